"""Profiles: one TOML file of pins each, in ``rtlab/profiles/`` (versions, URLs, SHA-256). Data, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A set of pins that fit together.

    Attributes:
        name: File name without ``.toml``.
        summary: One sentence.
        suite: Box suite: ``debian-12``, ``debian-13``, ``ubuntu-18.04`` …
        box: How its box is made (``kind`` = ``mmdebstrap`` or ``cloud-image``, ``url``, ``sha256`` …).
        role_variables: Extra variables for the playbooks, by role prefix (``docker_version`` …).
        needs: Host names of vendors' servers that must be reachable for it.
    """

    name: str
    summary: str
    suite: str
    box: Mapping[str, Any]
    role_variables: Mapping[str, Any]
    needs: tuple[str, ...]
