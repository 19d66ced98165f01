"""The system that rtlab runs on: architecture, Python, rights."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import Check, Look, check, version, wanting

# Systems on which `doctor --fix` knows the packages.
FIXABLE = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")}
# As pyproject.toml's requires-python.
PYTHON_FROM, PYTHON_BELOW = (3, 10), (3, 14)


def system(look: Look) -> Iterator[Check]:
    facts = look.facts
    fixable = facts.os_version in FIXABLE.get(facts.os_id, ())
    yield check(
        "os",
        "operating system",
        "ok" if fixable else "warning",
        f"{facts.os_name or 'unknown'}, kernel {facts.kernel}",
        "`doctor --fix` knows the packages of Debian 12 and 13, Ubuntu 22.04 and 24.04",
        "Install what is missing by hand: the packages' names below are Debian's.",
    )
    yield check(
        "arch",
        "architecture",
        "ok" if facts.arch == "x86_64" else "missing",
        facts.arch,
        "boxes, Kata's archives and the probe's proofs are for x86_64",
        "Use an x86_64 machine; `rtlab report` and the simulated provider run anywhere.",
        *wanting("architecture"),
    )
    old, new = version(facts.python) < PYTHON_FROM, version(facts.python) >= PYTHON_BELOW
    yield check(
        "python",
        "Python",
        "missing" if old else "warning" if new else "ok",
        facts.python,
        "rtlab's pinned libraries, ansible-core 2.16 among them, are tested with Python 3.10 to 3.13",
        "In the repository's clone, with one of these: python3.13 -m venv --clear .venv && .venv/bin/pip install "
        "--require-hashes -r requirements.lock && .venv/bin/pip install --no-deps --no-build-isolation -e .",
    )
    yield check(
        "root",
        "root or sudo",
        "ok" if look.admin else "missing",
        look.rights,
        "network namespaces, a private engine and loop devices for boxes need root",
        "Run rtlab as root" + (", or run `sudo -v` first" if facts.sudo else ": su -c 'rtlab up'"),
        *wanting("root"),
    )
