"""Folders that are filled under a hidden name and then renamed or thrown away; those that a kill left are removed.

The maker holds a lock on its folder, which the kernel lets go of when the process ends, however it ends: a folder of
the right shape that nobody holds is a leftover. There is no moment in which a living process's folder can be taken for
one: the maker looks, once it has the lock, whether its folder is still there, and otherwise makes another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtlab import ownership


@contextmanager
def folder(parent: Path, name: str, suffix: str, mode: int = 0o777) -> Iterator[Path]:
    """A new folder ``.<name>.<random><suffix>`` in ``parent``, removed in the end unless it was renamed by then.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        path = parent / f".{name}.{secrets.token_hex(4)}{suffix}"
        path.mkdir(mode=mode)
        ownership.hand_over(path, parent)
        descriptor = _held(path)
        if descriptor is not None:
            break
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def _held(path: Path) -> int | None:
    """The folder, open and locked; None when a sweeper was faster."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):  # a file system without locks: there nothing is swept
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    os.close(descriptor)
    return None


def shape(name: str, suffix: str) -> re.Pattern[str]:
    """What ``folder`` makes, as a pattern; ``name`` is a pattern, too."""
    return re.compile(rf"\.{name}\.[0-9a-f]{{8}}{re.escape(suffix)}")


def sweep(parent: Path, leftover: re.Pattern[str]) -> None:
    """Remove the folders of that shape which are ours and which no process holds. What cannot be removed stays."""
    try:
        names = [entry.name for entry in os.scandir(parent) if leftover.fullmatch(entry.name)]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            _sweep(parent / name)


def _sweep(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(found, path.lstat()):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
