"""Which hypervisors a release of Kata has, and under which file names: the table of the role ``kata``
(roles/kata/vars/main.yml), asked beforehand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from rtlab import content


@cache
def configurations() -> tuple[Mapping[str, str], ...]:
    """The rows, in order."""
    import yaml

    file = content.root() / "roles" / "kata" / "vars" / "main.yml"
    return tuple(yaml.safe_load(file.read_text(encoding="utf-8"))["kata_configurations"])


def numbers(release: str) -> tuple[int, ...]:
    """``3.32.0`` as ``(3, 32, 0)``; ``()`` when it does not begin with a number."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", release)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def hypervisors(version: str = "", flavour: str = "") -> dict[str, str]:
    """Hypervisor -> file name of its configuration in this release and flavour.

    Args:
        version: Empty: every release, of which the latest names the file.
        flavour: Empty: both; Kata 1.x has one only.
    """
    release = numbers(version)
    flavour = "go" if release[:1] == (1,) else flavour
    return {
        row["hypervisor"]: f"configuration-{row['file']}.toml"
        for row in configurations()
        if flavour in ("", row["flavour"])
        and (not release or numbers(row["since"]) <= release)
        and (not release or not row["until"] or release < numbers(row["until"]))
    }


def refusal(hypervisor: str, version: str, flavour: str) -> str:
    """Why a release has no configuration for a hypervisor, and for which it has one; empty when it has."""
    have = hypervisors(version, flavour)
    if hypervisor in have:
        return ""
    of = f"Kata {version}" if version else "no release of Kata" if not flavour else "Kata"
    of += {"go": " with the Go runtime", "rs": " with runtime-rs", "": ""}[flavour]
    no = "has" if not version and not flavour else "has no"
    one = "a configuration" if no == "has" else "configuration"
    listed = ", ".join(sorted(have)) or "none"
    return f"{of} {no} {one} for the hypervisor {hypervisor[:40]!r}; there are: {listed}"
