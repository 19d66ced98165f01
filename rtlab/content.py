"""Where playbooks/, roles/, ansible.cfg and the Vagrantfile are: inside a wheel, or beside the package."""

from __future__ import annotations

from pathlib import Path

import rtlab
from rtlab.errors import RtlabError


def root() -> Path:
    """The folder that holds ``playbooks``, ``roles``, ``ansible.cfg`` and ``Vagrantfile``. Read-only."""
    package = Path(rtlab.__file__).resolve().parent
    for folder in (package / "_content", package.parent):
        if (folder / "Vagrantfile").is_file() and (folder / "roles").is_dir():
            return folder
    raise RtlabError(
        f"rtlab's playbooks and roles are missing: neither {package / '_content'} nor {package.parent} holds them.",
        remedy="In a checkout of rtlab: rm -r .venv && .ci/setup. It brings rtlab with all that belongs to it.",
    )
