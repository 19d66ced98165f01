"""Builds in the cache: made once, whole or not at all, and handed out only while their bytes are what was made.

``builds/<name>-<version>-<key>/`` holds the programs and ``build.json`` with their digests. It is made in a scratch
folder beside it and renamed, under a lock: whoever wants the same meanwhile waits for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.artifacts import cache
from rtlab.artifacts.builds.kinds import Build, kind_of, title
from rtlab.errors import StoreError
from rtlab.files import digest_of
from rtlab.model import Event, Notify
from rtlab.state import wait_for_lock

STAGE = "builds"
# Part of every key: raise it whenever the same build would be made differently.
RECIPE_VERSION = 1
# For the longest build on a slow machine, and for whoever waits for it.
TIMEOUT_S = 7200.0
_DESCRIPTION = "build.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """A build's programs, on this machine.

    Attributes:
        programs: Name -> file.
        sha256: Name -> digest of that file, hex; checked when it was obtained.
        made_with: What decided the result beside the build: ``go`` -> ``1.26.8`` …; empty where nothing was compiled.
    """

    build: Build
    programs: Mapping[str, Path]
    sha256: Mapping[str, str]
    made_with: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        """What a testbed's facts keep of it, as JSON values; no path of this machine."""
        return {
            "title": title(self.build),
            "build": described(self.build),
            "made_with": dict(self.made_with),
            "sha256": dict(self.sha256),
        }


def described(build: Build) -> dict[str, Any]:
    """A build as JSON values."""
    return {"kind": kind_of(build), **json.loads(json.dumps(asdict(build)))}


def key_of(build: Build, made_with: Mapping[str, str]) -> str:
    """SHA-256 over everything that decides the programs' bytes."""
    fields = {k: v for k, v in described(build).items() if k not in ("name", "label", "packages", "seconds")}
    content = {"recipe": RECIPE_VERSION, "build": fields, "made_with": dict(made_with)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def keep(
    build: Build, made_with: Mapping[str, str], make: Callable[[Path, Path, Path], None], notify: Notify
) -> Obtained:
    """The build from the cache, or made now.

    Args:
        make: Called with a scratch folder, an empty folder for the programs, and a log to append to.

    Raises:
        StoreError: ``make`` left a program out.
    """
    folder = cache.folder("builds")
    stem = _stem(build, made_with)
    with wait_for_lock(
        folder / f"{stem}.lock",
        f"building {title(build)}",
        timeout_s=TIMEOUT_S,
        on_wait=lambda: notify(
            Event(stage=STAGE, message=f"waiting for another rtlab that is building {title(build)}")
        ),
    ):
        there = _kept(folder / stem, build, made_with)
        if there is not None:
            return there
        # Under the lock these are of builders that were killed.
        for left in folder.glob(f".{stem}.*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{stem}.", dir=folder, ignore_cleanup_errors=True) as work:
            programs = Path(work) / "programs"
            programs.mkdir()
            make(Path(work), programs, folder / f"{stem}.log")
            _seal(programs, build, made_with)
            if (folder / stem).exists():  # damaged
                shutil.rmtree(folder / stem)
            try:
                os.rename(programs, folder / stem)
                atomic.sync_folder(folder)
            except OSError as error:
                raise atomic.cannot_write(folder / stem, error) from error
        made = _kept(folder / stem, build, made_with)
        if made is None:
            raise StoreError(
                f"{folder / stem} is not what was just written there.",
                remedy="Check the disk (dmesg), then run the same command again.",
            )
        return made


def kept(build: Build, made_with: Mapping[str, str]) -> Obtained | None:
    """What the cache holds now; None when it must be made."""
    return _kept(cache.path() / "builds" / _stem(build, made_with), build, made_with)


def _stem(build: Build, made_with: Mapping[str, str]) -> str:
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", f"{build.name}-{build.version}")[:80]
    return f"{name}-{key_of(build, made_with)[:16]}"


def _seal(programs: Path, build: Build, made_with: Mapping[str, str]) -> None:
    """Everything that the folder must hold is on the disk, and described, before it gets its name."""
    digests = {}
    for name in build.programs:
        if not (programs / name).is_file() or (programs / name).is_symlink():
            raise StoreError(f"Building {title(build)} left no {name}.", remedy="See the log beside it in the cache.")
    # A release's folders hold more programs than the pin names.
    for file in sorted(path for path in programs.rglob("*") if not path.is_dir()):
        name = str(file.relative_to(programs))
        file.chmod(0o755)
        digests[name] = digest_of(file)
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    programs.chmod(0o755)
    atomic.write_json(
        programs / _DESCRIPTION,
        {"title": title(build), "build": described(build), "made_with": dict(made_with), "sha256": digests},
    )


def _kept(folder: Path, build: Build, made_with: Mapping[str, str]) -> Obtained | None:
    """What the cache holds, if its bytes are what was made; None when it must be made (again)."""
    try:
        digests = dict(json.loads((folder / _DESCRIPTION).read_text())["sha256"])
        for name in {**digests, **build.programs}:
            file = folder / name
            if file.is_symlink() or not os.access(file, os.X_OK) or digest_of(file) != digests[name]:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Obtained(
        build=build,
        programs={name: folder / name for name in digests},
        sha256=digests,
        made_with=dict(made_with),
    )
