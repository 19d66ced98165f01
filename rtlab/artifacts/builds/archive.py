"""Programs that are there already: in a vendor's release, in a file of the user's, in the distribution's packages."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from rtlab.artifacts import download
from rtlab.artifacts.builds import keeping
from rtlab.artifacts.builds.keeping import Obtained
from rtlab.artifacts.builds.kinds import Distribution, Release, UserFile, title
from rtlab.errors import ConfigError, HostUnfit, Unsafe
from rtlab.files import digest_of
from rtlab.model import Notify


def obtain(build: Release | UserFile, notify: Notify) -> Obtained:
    """The programs of a release or file, its digest checked before it is opened.

    Raises:
        Unsafe: it is not the pinned file.
        ConfigError: it does not hold a program where the pin says.
    """
    source = build.url if isinstance(build, Release) else str(Path(build.path).expanduser())
    if isinstance(build, UserFile) and not Path(source).is_file():
        raise ConfigError(f"{title(build)}: there is no file {source}.", remedy="Correct its path.")

    def make(_scratch: Path, programs: Path, _log: Path) -> None:
        file = download.fetch(source, build.sha256, notify, stage=keeping.STAGE)
        _take(build, file, programs)

    return keeping.keep(build, {}, make, notify)


def _take(build: Release | UserFile, file: Path, programs: Path) -> None:
    """Copy the programs out; only plain files, only under the names that the pin gives them."""
    inside = {path: name for name, path in build.programs.items() if path}
    folders = build.folders if isinstance(build, Release) else ()
    for name, path in build.programs.items():
        if not path:
            shutil.copyfile(file, programs / name)
    if not inside:
        return
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                path = member.name.removeprefix("./")
                name = inside.get(path, "") or (path if _lies_in(path, folders) and not member.isdir() else "")
                if not name:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise Unsafe(f"{title(build)}: {member.name[:120]!r} in its archive is no plain file.")
                (programs / name).parent.mkdir(parents=True, exist_ok=True)
                with content, (programs / name).open("wb") as out:
                    shutil.copyfileobj(content, out, 1 << 20)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ConfigError(
            f"{title(build)}: its file is no tar archive that can be read: {error}.",
            remedy="For a single program, give an empty path.",
        ) from error
    missing = [path for path, name in inside.items() if not (programs / name).exists()]
    if missing:
        raise ConfigError(f"{title(build)}: its archive holds no {', '.join(missing)}.", remedy="Correct the paths.")


def _lies_in(path: str, folders: Sequence[str]) -> bool:
    """Whether a member's path is one below these folders, and leaves none of them."""
    parts = path.split("/")
    return not {"", ".", ".."} & set(parts) and any(path.startswith(f"{folder}/") for folder in folders)


def installed(build: Distribution) -> Obtained:
    """The programs of the distribution, where they lie."""
    found = {name: shutil.which(command) for name, command in build.programs.items()}
    missing = [build.programs[name] for name, path in found.items() if path is None]
    if missing:
        raise HostUnfit(
            f"{title(build)}: {', '.join(missing)} is not installed.",
            remedy=f"On Debian and Ubuntu: sudo apt-get install {' '.join(build.packages)}",
        )
    programs = {name: Path(path).resolve() for name, path in found.items() if path is not None}
    digests = {name: digest_of(path) for name, path in programs.items()}
    return Obtained(build=build, programs=programs, sha256=digests, made_with={})
