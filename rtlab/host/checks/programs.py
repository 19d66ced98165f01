"""Programs that several providers call, and how a check of a program is made."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import Check, Group, Look, check, wanting


def program(look: Look, name: str, package: str, why: str, *groups: Group) -> Check:
    """Whether a program is there; the package (Debian's name) brings it."""
    path = look.facts.programs.get(name, "")
    return check(
        f"program-{name}",
        name,
        "ok" if path else "missing",
        path or "not installed",
        why,
        look.install(package),
        *groups,
    )


def programs(look: Look) -> Iterator[Check]:
    why = "boxes and images are made with it from packages"
    yield program(look, "mmdebstrap", "mmdebstrap", why, *wanting("images"))
    why = "Ansible and `rtlab ssh` reach the machines with it"
    yield program(look, "ssh", "openssh-client", why, *wanting("connection"))
