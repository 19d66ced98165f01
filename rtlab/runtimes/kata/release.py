"""Where a release of Kata lies and how its archive is called: both changed several times. Pure.

Source: kata-containers, tools/packaging/release/release.sh at each tag; kata-containers/packaging for 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rtlab.artifacts.profile import Profile
from rtlab.errors import UsageError
from rtlab.runtimes.kata.compatibility import version as numbers

_DOWNLOADS = "https://github.com/kata-containers/{repository}/releases/download/{version}/{name}"
# Upstream publishes no digests from 3.28 on. Those up to 3.32.0 are what Kubespray pins for the x86_64 archives
# (checksums.yml of its master at 46dbdd39, and of its branches back to release-2.16); others pin 3.32.0's, too. GitHub
# names those of 4.2.0's files, and several projects pin them.
KNOWN_SHA256 = {
    "1.12.1": "9b9c8e061dd77a4feb4ded8e5b175ad302edbd7b6be862fc39ee448631f160e4",
    "3.3.0": "72e29c7b3ee325e0049bf694bbb843ed07c3eb0a05d89c2b3a1635241e4bafe8",
    "3.4.0": "13f2c2442a4bbcafddcb4739428bee95eb26600516a96e29576fa0ff31152e44",
    "3.5.0": "cd0e6a70828db3f9e27390f08c863edda36824c201c35eaa0a4c7498b7e4c9e3",
    "3.6.0": "d418859e123d04edd71e79c8f532213e5281ec7170b97cdfe3cf85487187d60f",
    "3.7.0": "bebf218cafdc082476c7dabbcc5439aee6a41d6dda24dd3cfffbe0a6ae94e23d",
    "3.28.0": "99cefb46d70bc27b7bcffd7595be9010c6bed43e1cdfcf8078554c19e7c9b19d",
    "3.29.0": "19d0241405bc2b8fdc74240f381ab021880d1d8c7adf1fd7859f8f6370e735f3",
    "3.30.0": "e65aa5e5bd9f4d59bcd12a8c44a00966406e7329511dd3f756026b6eedc8ad26",
    "3.31.0": "68c2786a0b97023f62f3eca02dc868b78a794e5469d4ddd6cc9e0bd4a7212b0b",
    "3.32.0": "1449ecea50bd91fa73a94648db195d18950fe869ba4b1f12d05f55f1fa7c1b01",
    "4.2.0": "b828904fa3f1e49ddd7dc799c72cb1503cd1e772d354c3987c8d4189b2a623a8",
    "4.2.0 go": "7dda31ca54b397cbf8165f620d6041872d3c45b7a77383ce0e86f76a06e103d0",
}
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


def known_sha256(version: str, flavour: str = "go") -> str:
    """Of the archive that ``archive_name`` names; empty where nobody vouches for one."""
    apart = numbers(version) >= _SPLIT and flavour == "go"
    return KNOWN_SHA256.get(f"{version} go" if apart else version, "")


def of(pins: Profile) -> tuple[str, str]:
    """Release and flavour that a profile installs."""
    return str(pins.role_variables.get("kata_version", "")), str(pins.role_variables.get("kata_flavour", "go"))


def chosen(pins: Profile, version: str, flavour: str) -> Profile:
    """The profile with another release of Kata, or flavour; its digest is then that one's, empty where none is known.

    ``version`` or ``flavour`` empty: the profile's.
    """
    have: Mapping[str, Any] = pins.role_variables
    version, flavour = (asked or pinned for asked, pinned in zip((version, flavour), of(pins), strict=True))
    if (version, flavour) == (have.get("kata_version"), have.get("kata_flavour", "go")):
        return pins
    changes = {"kata_version": version, "kata_flavour": flavour, "kata_url": url(version, flavour)}
    if changes["kata_url"] != have.get("kata_url"):
        changes["kata_sha256"] = known_sha256(version, flavour)
    return replace(pins, role_variables={**have, **changes})
