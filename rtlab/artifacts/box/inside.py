"""Files below a folder whose content a machine chose: the mounted disk of a guest, worked on by the controller's root.

Every path is walked one component after the other from an open folder, and a symbolic link is never followed, neither
in the middle nor at the end: whatever the guest put there, nothing outside the folder can be reached, read or changed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rtlab.errors import Unsafe

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Folders within folders are walked by recursion; no Debian has more, and a guest's endless nesting ends here.
MOST_LEVELS = 200


class Disk:
    """A context: the folder ``root``, and what may be done below it. Paths are relative, without ``..``.

    Raises:
        Unsafe: a folder on the way is a link, or the disk does not let itself be changed (an immutable file, nesting
            without end). What could not be done is named: the caller must not go on as if it had been.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._descriptor = -1

    def __enter__(self) -> Disk:
        self._descriptor = os.open(self.root, _FOLDER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    # ------------------------------------------------------------- what may be done

    def remove(self, pattern: str) -> None:
        """Remove all that fits: ``home/*/.bash_history``. A link is removed itself, a folder with its content."""
        *folders, last = pattern.split("/")
        for folder, shown in self._folders(self._descriptor, folders, ""):
            for name in _fitting(folder, last):
                with self._saying(shown + name):
                    _remove(folder, name, 0)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a new regular file in place of whatever is there; its folder must exist, or nothing is written."""
        *folders, name = path.split("/")
        for folder, shown in self._folders(self._descriptor, folders, ""):
            with self._saying(shown + name):
                if name in _names(folder):
                    _remove(folder, name, 0)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "wb") as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(content)

    def empty_files(self, path: str) -> None:
        """Truncate every regular file below a folder."""
        for folder, shown in self._folders(self._descriptor, path.split("/"), ""):
            with self._saying(shown):
                _empty_files(folder, 0)

    # ------------------------------------------------------------- the way there

    def _folders(self, folder: int, parts: list[str], shown: str) -> Iterator[tuple[int, str]]:
        """Each folder that fits, open, with its name for messages; those that do not exist are passed over."""
        if not parts:
            yield folder, shown
            return
        for name in _fitting(folder, parts[0]):
            with self._saying(shown + name):
                kind = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            if kind == stat.S_IFLNK:
                raise Unsafe(
                    f"On the machine's disk /{shown}{name} is a link; what lies behind it is not looked at, so the box "
                    f"could keep keys or logs of this machine.",
                    remedy=f"In the machine, make /{shown}{name} a folder again, and keep the machine then.",
                )
            if kind != stat.S_IFDIR:
                continue
            with self._saying(shown + name):
                inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                yield from self._folders(inner, parts[1:], f"{shown}{name}/")
            finally:
                os.close(inner)

    @contextmanager
    def _saying(self, shown: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unsafe(
                f"On the machine's disk /{shown} cannot be cleared: {error.strerror or error}.",
                remedy="In the machine, look what is special about it (`lsattr`, a damaged disk), and mend it.",
            ) from error


def _names(folder: int) -> list[str]:
    return sorted(os.listdir(folder))


def _fitting(folder: int, pattern: str) -> list[str]:
    if pattern in ("", ".", "..") or "/" in pattern:
        raise ValueError(f"{pattern!r} is no name below a folder")
    return [name for name in _names(folder) if fnmatch.fnmatchcase(name, pattern)]


def _remove(folder: int, name: str, level: int) -> None:
    """Like shutil.rmtree, which with ``dir_fd`` follows no links either but only from Python 3.11 on takes one."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    if level > MOST_LEVELS:
        raise OSError(0, f"more than {MOST_LEVELS} folders within each other")
    inner = os.open(name, _FOLDER, dir_fd=folder)
    try:
        for entry in _names(inner):
            _remove(inner, entry, level + 1)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


def _empty_files(folder: int, level: int) -> None:
    if level > MOST_LEVELS:
        raise OSError(0, f"more than {MOST_LEVELS} folders within each other")
    for name in _names(folder):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _empty_files(inner, level + 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(mode):
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
            with contextlib.closing(os.fdopen(descriptor, "wb")) as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    os.ftruncate(file.fileno(), 0)
