"""Where the user works: state, campaigns and rtlab.toml are below the current folder."""

from __future__ import annotations

from pathlib import Path

from rtlab.state import StateFolder

STATE = ".rtlab"
CAMPAIGNS = "campaigns"


def state_folder() -> StateFolder:
    return StateFolder(Path.cwd() / STATE)


def campaigns_folder() -> Path:
    return Path.cwd() / CAMPAIGNS
