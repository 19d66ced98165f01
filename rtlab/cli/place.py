"""Where the user works: state, campaigns and rtlab.toml are below the current folder."""

from __future__ import annotations

import os
from pathlib import Path

from rtlab.errors import Unsafe
from rtlab.state import StateFolder

STATE = ".rtlab"
CAMPAIGNS = "campaigns"


def state_folder() -> StateFolder:
    return StateFolder(Path.cwd() / STATE)


def campaigns_folder() -> Path:
    """Where campaigns are. A link there is followed when whoever runs rtlab made it: root writes where root decides.

    Raises:
        Unsafe: somebody else made the link.
    """
    folder = Path.cwd() / CAMPAIGNS
    if folder.is_symlink() and folder.lstat().st_uid != os.geteuid():
        raise Unsafe(
            f"{folder} is a link that somebody else made: it is not followed.",
            remedy=f"Look where it leads (readlink -f {CAMPAIGNS}); then work there, or make the link yourself.",
        )
    return folder
