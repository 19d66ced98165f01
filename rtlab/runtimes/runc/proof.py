"""Proof that runC ran a container, on the machine. Python 3.6 and the standard library."""

from typing import List

from rtlab.probe.base import Document
from rtlab.probe.proof import native

PROGRAMS = ("runc",)


def proof(seen: Document, installed: List[str]) -> List[str]:
    files = seen.get("state_files") or []
    return native(
        seen,
        installed,
        bool(seen.get("state_is_runcs")) and "status" not in files,
        "runc's state file for this container is missing",
    )
