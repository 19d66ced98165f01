"""Writing files so that a kill or a full disk leaves the old content or the new one, never a torn file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtlab import files, ownership
from rtlab.errors import StoreError, Unsafe


def write_bytes(path: Path, content: bytes | Iterable[bytes], mode: int = 0o644) -> None:
    """Write ``path`` by temporary file, fsync and rename, then fsync the folder.

    Args:
        content: Whole, or in parts that need not be in memory together.

    Raises:
        StoreError: the disk is full, read-only, or the folder may not be written; names the path.
    """
    try:
        _sweep(path)
        temporary, descriptor = _temporary(path, mode)
        try:
            ownership.hand_over(descriptor, path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def _temporary(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside ``path``, open and locked: a kill takes the lock away, and ``_sweep`` then the file."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with contextlib.suppress(OSError):  # a file system without locks: there nothing is swept
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), temporary.lstat()):
                return temporary, descriptor
        os.close(descriptor)  # a sweeper was faster


def _sweep(path: Path) -> None:
    """Remove the temporary files that killed processes left for this very file. What cannot be removed stays."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    try:
        names = [entry.name for entry in os.scandir(path.parent) if leftover.fullmatch(entry.name)]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove_unheld(path.with_name(name))


def _remove_unheld(temporary: Path) -> None:
    descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        if found.st_uid == os.geteuid() and os.path.samestat(found, temporary.lstat()):
            temporary.unlink()
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Write a value as JSON: sorted keys, two spaces, no NaN (ValueError), newline at the end."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode(), mode)


def append_line(path: Path, line: str, mode: int = 0o600) -> None:
    """Append one line, whole or not at all, then fsync file and (when the file is new) folder.

    A torn last line that an earlier write left (power loss) was never acknowledged: it is cut off first, so that it
    does not spoil the new one. One writer at a time: callers hold a lock.
    """
    try:
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
        try:
            if new:
                ownership.hand_over(descriptor, path.parent)
            end = _end_of_lines(descriptor)
            os.ftruncate(descriptor, end)
            try:
                _write_all(descriptor, line.encode() + b"\n", end)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(descriptor).st_size
    while end:
        begin = max(0, end - 4096)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _write_all(descriptor: int, content: bytes, at: int) -> None:
    """A full disk takes the beginning and reports success: write on until it takes all, or says no."""
    while content:
        taken = os.pwrite(descriptor, content, at)
        content, at = content[taken:], at + taken


def make_folder(path: Path, mode: int = 0o755) -> Path:
    """Create a folder and its parents; StoreError with the reason when that is impossible."""
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=mode if folder == path else 0o777, exist_ok=True)
                ownership.hand_over(folder, folder.parent)
        if mode == 0o700:
            path.chmod(mode)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def make_folder_inside(root: Path, name: str, mode: int = 0o755) -> Path:
    """Create a folder below ``root``, which is ours, with those between them.

    Raises:
        Unsafe: one of them is a link: what is written into it would land elsewhere.
        StoreError: as ``make_folder``.
    """
    made = root
    for part in Path(name).parts:
        made /= part
        refuse_link(made)
        make_folder(made, mode)
    return made


def refuse_link(folder: Path) -> None:
    """Unsafe where a link stands in the place of a folder of ours, which may be a stranger's."""
    if folder.is_symlink():
        raise Unsafe(f"{folder} is a link: nothing was written.", remedy=f"Remove it: rm {folder}")


def sync_folder(path: Path) -> None:
    """fsync a folder, so that a rename in it survives a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The StoreError for an OSError while writing ``path``, with what to do."""
    remedies = {
        errno.ENOSPC: "Free some space there and run the same command again: nothing that was stored is lost.",
        errno.EDQUOT: "Your disk quota is used up: free some space and run the same command again.",
        errno.EROFS: "The file system is read-only: choose another folder, or remount it writable.",
        errno.EACCES: "Choose a folder that you may write to.",
        errno.EIO: "The disk reports errors: check the kernel's log (dmesg) before measuring on.",
    }
    remedy = remedies.get(error.errno or 0, "Check the folder and run the same command again.")
    if isinstance(error, PermissionError) and (told := files.remedy(error, path)):
        remedy = told
    return StoreError(f"Cannot write {path}: {error.strerror or error}.", remedy=remedy)
