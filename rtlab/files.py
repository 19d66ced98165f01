"""Reading files that somebody else may have made: regular ones only, no links, never more than a limit; digests."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import IO

from rtlab.errors import StoreError


def read(path: Path | str, cap: int, *, follow: bool = False) -> bytes:
    """A regular file's content. Links, other kinds (a pipe would hang, a device never ends) and files above the cap
    are refused, the last before reading.

    Args:
        follow: A link that the user named is followed; what it leads to must be a regular file all the same.

    Raises:
        StoreError: it cannot be read; the message names it and says why.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character in it
        raise StoreError(f"Cannot read {path}: {reason(error)}.", remedy=remedy(error, path)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is not a regular file.")
        content = _all(descriptor, status.st_size) if 0 < status.st_size <= cap else b""
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {reason(error)}.") from error
    finally:
        os.close(descriptor)
    if max(status.st_size, len(content)) > cap:
        raise StoreError(f"{path} is larger than {cap} bytes.")
    return content


def digest_of(path: Path) -> str:
    """SHA-256 of a file of any size, hex."""
    with path.open("rb") as file:
        return digest_of_open(file)


def digest_of_open(file: IO[bytes]) -> str:
    """SHA-256 of what is left to read in an open file, hex."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def reason(error: Exception) -> str:
    """What the operating system says, in its own words."""
    return getattr(error, "strerror", None) or str(error)


def remedy(error: Exception, path: Path | str) -> str:
    """What to do about a file or folder that may not be read; empty where that is plain."""
    if not isinstance(error, PermissionError):
        return ""
    owner = _owner(path)
    if owner == 0 and os.geteuid() != 0:
        return f"It is root's: rtlab ran there as root. Take it over: sudo chown -R {os.getuid()} '{_top(path)}'"
    return "Ask its owner, or run rtlab as that user." if owner not in (None, os.geteuid()) else ""


def _owner(path: Path | str) -> int | None:
    """Of the file, or of the nearest folder above it that can be looked at."""
    for place in (Path(path), *Path(path).parents):
        try:
            return place.lstat().st_uid
        except OSError:
            continue
    return None


def _top(path: Path | str) -> Path:
    """The highest folder above a file that is root's, too: what is handed over is handed over whole."""
    top = Path(path)
    for place in Path(path).parents:
        try:
            if place.lstat().st_uid != 0 or place == place.parent or len(place.parts) < 3:
                break
        except OSError:
            continue
        top = place
    return top


def _all(descriptor: int, size: int) -> bytes:
    """An open file of ``size`` bytes; one byte more where it has grown."""
    content = os.read(descriptor, size + 1)
    while len(content) < size and (part := os.read(descriptor, size + 1 - len(content))):
        content += part
    return content
