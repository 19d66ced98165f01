"""Which Docker drives which Kata: the matrix of the role ``kata`` (roles/kata/vars/matrix.yml), asked beforehand. Pure.

The role asks again on the machine, for the engine that is really there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from rtlab import content
from rtlab.errors import HostUnfit
from rtlab.model.machines import MOBY_V2_IS

# From which Docker on each container has a time namespace of its own; switched off, it is like the one before.
TIME_NAMESPACES_FROM, WITHOUT_THEM = (29, 5), (29, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is known about a pair.

    Attributes:
        verdict: ``works``, ``fails`` or ``unknown`` (no source says anything).
        reason: Why, in a clause; empty when unknown.
        nearest: For ``fails``: versions near to it that do.
    """

    verdict: Literal["works", "fails", "unknown"]
    reason: str = ""
    nearest: str = ""


def version(text: str) -> tuple[int, ...]:
    """``26.1.5+dfsg1`` as ``(26, 1, 5)``; ``()`` when it does not begin with a number."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def look_up(
    docker: str,
    kata: str,
    flavour: str,
    rows: Iterable[Mapping[str, Any]] | None = None,
    *,
    time_namespaces: bool = True,
) -> Finding:
    """What the first matching row says about an engine and a release of Kata (``flavour``: ``go`` or ``rs``).

    ``time_namespaces``: whether an engine that gives each container one of its own was left to do so.
    """
    engine, release = version(docker), version(kata)
    if engine[:1] == (2,):
        engine = MOBY_V2_IS
    if not time_namespaces and engine >= TIME_NAMESPACES_FROM:
        engine = WITHOUT_THEM
    for row in matrix() if rows is None else rows:
        if (
            _within(engine, row["docker_from"], row["docker_below"])
            and _within(release, row["kata_from"], row["kata_below"])
            and row["flavour"] in ("both", flavour)
        ):
            return Finding(
                verdict="works" if row["works"] else "fails",
                reason=str(row["reason"]),
                nearest=str(row.get("nearest", "")),
            )
    return Finding(verdict="unknown")


def require(variables: Mapping[str, Any], kernel_arguments: Iterable[str], suite: str) -> str:
    """Refuse what is known not to work with a profile's Docker and box; a warning, or an empty text.

    Args:
        variables: Of the roles: ``docker_version``, ``docker_daemon_options``, ``kata_version``, ``kata_flavour``.
        kernel_arguments: Of the box; Kata 1.x needs cgroup v1.
        suite: Of the box.

    Raises:
        HostUnfit: with the reason and the nearest that does.
    """
    docker, kata = str(variables.get("docker_version", "")), str(variables.get("kata_version", ""))
    features = variables.get("docker_daemon_options", {}).get("features", {})
    time_namespaces = features.get("time-namespaces") is not False
    found = look_up(docker, kata, str(variables.get("kata_flavour", "go")), time_namespaces=time_namespaces)
    if found.verdict == "fails":
        raise HostUnfit(
            f"Kata {kata} does not work under Docker {docker}: {found.reason}.",
            remedy=f"What does: {found.nearest}. Choose another --profile, or leave kata out with --runtimes.",
        )
    # Ubuntu 18.04 boots with v1 by itself.
    old_cgroups = suite == "ubuntu-18.04" or "systemd.unified_cgroup_hierarchy=0" in kernel_arguments
    if version(kata)[:1] == (1,) and not old_cgroups:
        raise HostUnfit(
            f"Kata {kata} knows cgroup v1 only, and the machines of {suite} boot with v2.",
            remedy="Boot them with systemd.unified_cgroup_hierarchy=0, as profile debian-12 does, or take Kata 3.x.",
        )
    if found.verdict == "unknown":
        return f"No source says whether Kata {kata} works under Docker {docker}; the proof will show it."
    return ""


def _within(found: tuple[int, ...], low: str, high: str) -> bool:
    def padded(numbers: tuple[int, ...]) -> tuple[int, ...]:
        return (*numbers, 0, 0, 0, 0)[:4]

    return bool(found) and padded(version(low)) <= padded(found) < padded(version(high))


@cache
def matrix() -> tuple[Mapping[str, Any], ...]:
    """The rows, in order."""
    import yaml

    file = content.root() / "roles" / "kata" / "vars" / "matrix.yml"
    return tuple(yaml.safe_load(file.read_text(encoding="utf-8"))["kata_matrix"])
