"""Which campaigns a folder holds, and which one a name means."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rtlab.errors import StoreError
from rtlab.files import reason, remedy
from rtlab.store.campaign import Campaign
from rtlab.store.layout import LEFTOVER


def find(parent: Path, name: str | None = None) -> Campaign:
    """The campaign called ``name`` (a folder, its name, or a unique beginning of it); None or "last": the newest one.

    Raises:
        StoreError: there is none, or the name fits several.
    """
    if name and LEFTOVER.fullmatch(Path(name).name):
        raise StoreError(
            f"{name[:120]!r} is no campaign, but what a kill left of one before its first trial.",
            remedy="The next `rtlab bench` removes it and begins anew.",
        )
    if name and _holds(Path(name), "campaign.json"):
        return Campaign(Path(name))
    if name and _holds(Path(name), "bagit.txt"):  # what `rtlab pack` made, unpacked
        inside = sorted((Path(name) / "data").glob("*/campaign.json"))
        if len(inside) == 1:
            return Campaign(inside[0].parent)
    known = folders(parent)
    if not known:
        raise StoreError(f"There is no campaign in {parent}.", remedy="Run `rtlab bench` first, or name a folder.")
    if name is None or name == "last":
        return Campaign(known[-1])
    fitting = [p for p in known if p.name == name] or [p for p in known if p.name.startswith(name)]
    if len(fitting) == 1:
        return Campaign(fitting[0])
    problem = "fits several campaigns" if fitting else "is no campaign"
    listed = "\n".join(f"  {p.name}" for p in (fitting or known)[-10:])
    raise StoreError(f"{name[:80]!r} {problem} in {parent}:\n{listed}", remedy="Give the whole name of one of them.")


def known(parent: Path) -> tuple[Campaign, ...]:
    """All campaigns in a folder that this rtlab can read, oldest first."""
    found = []
    for folder in folders(parent):
        campaign = Campaign(folder)
        try:
            _ = campaign.spec
        except StoreError:
            continue  # foreign or newer: `report` says so when it is asked for it
        found.append(campaign)
    return tuple(found)


def folders(parent: Path) -> list[Path]:
    """Folders with a campaign.json, by name. Hidden ones are in the making, or left from it: never a campaign."""
    try:
        names = [entry.name for entry in os.scandir(parent) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"Cannot read {parent}: {reason(error)}.", remedy=remedy(error, parent)) from error
    return [parent / name for name in sorted(names) if _holds(parent / name, "campaign.json")]


def _holds(folder: Path, name: str) -> bool:
    """Whether there is a file of that name in a folder; what can be no folder holds none."""
    try:
        return stat.S_ISREG(os.stat(folder / name).st_mode)
    except ValueError:  # a null character
        return False
    except OSError as error:
        if isinstance(error, PermissionError):
            raise StoreError(f"Cannot read {folder}: {reason(error)}.", remedy=remedy(error, folder)) from error
        return False
