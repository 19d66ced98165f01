"""Whose the files are that rtlab makes under sudo: the user's who called sudo, where the folder is that user's.

A folder that root has used is then still that user's: `status`, `cp -r` and `rm` work. Only what rtlab has just made
itself is given away, by its open descriptor or without following links: nobody gets a file that was there before.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def caller() -> int | None:
    """The user who called sudo; None when nobody did."""
    number = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not (number.isascii() and number.isdigit()):
        return None
    return int(number) if 0 < int(number) < 2**32 - 1 else None


def ours() -> frozenset[int]:
    """The users whose folders this process may take for its own: its own, and under sudo the caller's."""
    user = caller()
    return frozenset({os.getuid()} if user is None else {os.getuid(), user})


def hand_over(made: int | Path, parent: Path) -> None:
    """Give a file or folder that was just made in ``parent`` to the caller of sudo, when ``parent`` is the caller's.

    Args:
        made: An open descriptor, or a path whose last part is not followed.
    """
    user = caller()
    if user is None:
        return
    with contextlib.suppress(OSError):  # a file system without owners: there everything is everybody's
        found = parent.stat()
        if found.st_uid != user:
            return
        if isinstance(made, int):
            os.fchown(made, user, found.st_gid)
        else:
            os.chown(made, user, found.st_gid, follow_symlinks=False)
