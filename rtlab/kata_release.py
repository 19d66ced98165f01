"""Where a release of Kata lies and how its archive is called: both changed several times. Pure.

Source: kata-containers, tools/packaging/release/release.sh at each tag; kata-containers/packaging for 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rtlab.compatibility import version as numbers
from rtlab.errors import UsageError
from rtlab.profile import Profile

_DOWNLOADS = "https://github.com/kata-containers/{repository}/releases/download/{version}/{name}"
# From which release on; each row holds until the next one.
_AMD64 = (3, 2)
_ZSTANDARD = (3, 21)
_SPLIT = (4, 1)


def archive_name(version: str, flavour: str = "go") -> str:
    """The archive for x86_64; ``flavour`` (``go`` or ``rs``) matters from 4.1 on, where each has one of its own."""
    release = numbers(version)
    if not release:
        raise UsageError(f"{version[:40]!r} is no release of Kata.", remedy="For example: --kata-version 3.32.0")
    program = "kata-go-static" if release >= _SPLIT and flavour == "go" else "kata-static"
    processor = "amd64" if release >= _AMD64 else "x86_64"
    suffix = "tar.zst" if release >= _ZSTANDARD else "tar.xz"
    return f"{program}-{version}-{processor}.{suffix}"


def url(version: str, flavour: str = "go") -> str:
    """Where upstream serves it."""
    repository = "runtime" if numbers(version)[:1] == (1,) else "kata-containers"
    return _DOWNLOADS.format(repository=repository, version=version, name=archive_name(version, flavour))


def chosen(pins: Profile, version: str, flavour: str) -> Profile:
    """The profile with another release of Kata, or flavour; its digest is then another one's, and left out.

    ``version`` or ``flavour`` empty: the profile's.
    """
    have: Mapping[str, Any] = pins.role_variables
    version = version or str(have.get("kata_version", ""))
    flavour = flavour or str(have.get("kata_flavour", "go"))
    if (version, flavour) == (have.get("kata_version"), have.get("kata_flavour", "go")):
        return pins
    changes = {"kata_version": version, "kata_flavour": flavour, "kata_url": url(version, flavour)}
    if changes["kata_url"] != have.get("kata_url"):
        changes["kata_sha256"] = ""
    return replace(pins, role_variables={**have, **changes})
