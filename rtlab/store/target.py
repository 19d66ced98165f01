"""Where a file for others may be written: never through a link or a device, never into a campaign."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rtlab.errors import UsageError
from rtlab.files import reason


def require_target(file: Path) -> None:
    """Refuse a place in which writing would replace what is no ordinary file, or change a campaign.

    Raises:
        UsageError: it is a link, a device, a pipe, a folder, or lies in a campaign's folder, or in one that is not
            there: no folder is made, because a path with a slip in it would grow wherever it leads.
    """
    try:
        found = file.lstat()
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot write {str(file)[:200]}: {reason(error)}.") from error
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise UsageError(
            f"{file} is {_kind(found.st_mode)}: nothing was written.", remedy="Name an ordinary file, or a new one."
        )
    try:
        folder = file.parent.resolve()
        campaign = next((f for f in (folder, *folder.parents) if os.path.lexists(f / "campaign.json")), None)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UsageError(f"Cannot write {str(file)[:200]}: {reason(error)}.") from error
    if campaign is not None:
        raise UsageError(
            f"{file} lies in the campaign {campaign.name}, whose files are kept as they are: nothing was written.",
            remedy="Name a file elsewhere.",
        )
    if not folder.is_dir():
        raise UsageError(f"Cannot write {str(file)[:200]}: there is no folder {str(file.parent)[:200]}.")


def _kind(mode: int) -> str:
    for is_one, name in (
        (stat.S_ISLNK, "a link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if is_one(mode):
            return name
    return "a device"
