"""Where the local provider's engine and runtimes come from: builds put below /opt/rtlab, or this machine's own.

Builds lie in a folder of this testbed's, copied from the cache and compared with its digests: nobody but root can
change them there, and teardown removes them. The cache stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rtlab import atomic, plugins
from rtlab.artifacts import programs
from rtlab.artifacts.profile import Profile
from rtlab.engines import private as own
from rtlab.errors import Unsafe
from rtlab.files import digest_of
from rtlab.model import Json, Notify
from rtlab.providers.sources import AS_ASKED, NO_BUILD
from rtlab.state import StateFolder

ROOT = Path("/opt/rtlab")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Programs that were put in place for one testbed.

    Attributes:
        folder: Where they lie; None: this machine's own are used.
        told: What is used, in a sentence for people.
        fallback: Why it is not today's, where that was not asked for; empty otherwise.
        records: Build -> its record (``Obtained.record``).
        runtimes: Runtimes whose programs lie in ``folder``.
        lacking: Runtime -> why its build cannot be had.
        instead: Runtime -> why another build than the profile's first was taken.
        own: Runtimes whose build is this machine's own because that was asked for.
    """

    folder: Path | None = None
    told: str = "engine and runtimes of this machine"
    fallback: str = ""
    records: Mapping[str, Json] = field(default_factory=dict)
    runtimes: frozenset[str] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()

    def has(self, runtime: str) -> bool:
        """Whether the runtime is one that was brought."""
        return runtime in self.runtimes

    def why_own(self, runtime: str) -> str:
        """Why a runtime beside an engine that was brought is this machine's own; empty when it is not."""
        if self.folder is None or self.has(runtime):
            return ""
        return AS_ASKED if runtime in self.own else NO_BUILD

    def find(self, runtime: str, program: str) -> str:
        """The runtime's program; empty when there is none."""
        if self.folder is not None and runtime in self.runtimes:
            return str(self.folder / program)
        return "" if runtime in self.lacking else own.find(program)


def home(testbed_id: str) -> Path:
    """The folder of a testbed's programs, there or not."""
    return ROOT / testbed_id


def folder_of(testbed_id: str) -> Path:
    return home(testbed_id) / "bin"


def bring(
    wanted: Sequence[str],
    profile: Profile,
    testbed_id: str,
    state: StateFolder,
    notify: Notify,
    further: Sequence[str] = (),
    own_builds: Sequence[str] = (),
) -> Brought:
    """Obtain the profile's builds for these runtimes and put them in place; at once where they are there already.

    Args:
        further: Builds beside the profile's that another engine needs.
        own_builds: Runtimes whose build on this machine is taken on purpose.

    Raises:
        HostUnfit, CommandFailed, Unsafe: the engine or runC cannot be had.
    """
    obtained = programs.obtain(wanted, profile, notify, further=further, own=own_builds)
    for folder in (ROOT,) if not ROOT.exists() else ():
        state.note("intend", "shared folder", str(folder), testbed_id)
    state.note("intend", "folder", str(home(testbed_id)), testbed_id)
    atomic.make_folder(ROOT, 0o755)
    own.mark_data(home(testbed_id), testbed_id)
    folder = atomic.make_folder(folder_of(testbed_id), 0o700)
    for one in obtained.builds:
        for program, file in one.programs.items():
            put(file, folder / program, one.sha256[program])
    chosen = tuple(name for name in dict.fromkeys((*programs.NEEDED, *wanted)) if name in own_builds)
    # What an earlier `up` brought would be found first.
    for program in (p for name in chosen for p in plugins.runtime(name).programs if "/" not in p):
        (folder / program).unlink(missing_ok=True)
    titles = ", ".join(plugins.runtime(name).title for name in chosen)
    return Brought(
        folder=folder,
        told=f"{obtained.titles}: {obtained.origin}, in {folder}"
        + (f"; this machine's own {titles}, as asked" if chosen else ""),
        records=obtained.records(),
        runtimes=obtained.runtimes,
        lacking=obtained.lacking,
        instead=obtained.instead,
        own=chosen,
    )


def put(file: Path, target: Path, sha256: str) -> None:
    """A program of the cache in its place, whole or not at all, and with these bytes; nothing when it is there."""
    if target.is_file() and not target.is_symlink() and digest_of(target) == sha256:
        return
    target.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.new")
    unfinished.unlink(missing_ok=True)
    try:
        shutil.copyfile(file, unfinished)
        unfinished.chmod(0o755)
        found = digest_of(unfinished)
        if found != sha256:
            raise Unsafe(
                f"{file} changed while it was copied: its SHA-256 is {found}, expected {sha256}.",
                remedy="Run the same command again: a damaged build is made anew.",
            )
        os.replace(unfinished, target)
    except OSError as error:
        raise atomic.cannot_write(target, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def existing_ids() -> tuple[str, ...]:
    """Ids of testbeds whose programs are on this machine."""
    try:
        found = sorted(entry.name for entry in os.scandir(ROOT) if own.is_data(Path(entry.path), entry.name))
    except OSError:
        return ()
    return tuple(found)
