"""The cache on the controller: boxes, images and downloads, by content, shared by all working folders."""

from __future__ import annotations

import os
from pathlib import Path

from rtlab import atomic


def folder(name: str) -> Path:
    """A sub-folder of ``$RTLAB_CACHE`` or ``~/.cache/rtlab``, made (0700) if missing."""
    return atomic.make_folder(path() / name, 0o700)


def path() -> Path:
    """Where the cache is, or would be made."""
    base = os.environ.get("RTLAB_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "rtlab"
    )
    return Path(base)
