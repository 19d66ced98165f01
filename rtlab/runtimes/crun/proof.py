"""Proof that crun ran a container, on the machine. Python 3.6 and the standard library."""

from typing import List

from rtlab.probe.base import Document
from rtlab.probe.proof import native

PROGRAMS = ("crun",)


def proof(seen: Document, installed: List[str]) -> List[str]:
    files = seen.get("state_files") or []
    return native(seen, installed, "status" in files, "crun's status file for this container is missing")
