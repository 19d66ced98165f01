"""What doctor looks at for containers on this very machine: engine, namespaces, builds, room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rtlab.host import today
from rtlab.host.checks.contract import Check, Look, SwitchedOn, check, version
from rtlab.host.checks.programs import program
from rtlab.host.checks.room import disk
from rtlab.host.facts import HostFacts
from rtlab.units import GIB

TITLES: Mapping[str, str] = {"local": "This machine (local)"}
NEEDS: Mapping[str, frozenset[str]] = {
    "local": frozenset({"architecture", "root", "cache", "images", "runtimes"}),
}

# Program, package, and why; today's engine brings a containerd of its own.
PROGRAMS = (
    ("containerd", "containerd", "the private engine has a containerd of its own"),
    ("containerd-shim-runc-v2", "containerd", "it keeps each container"),
    ("ip", "iproute2", "the private engine lives in a network namespace"),
    ("nsenter", "util-linux", "the private engine is started inside its namespaces"),
    ("iptables", "iptables", "the engine publishes ports with it, inside its own namespace"),
)

# For Docker's images, one campaign, and what it writes.
DISK_BYTES = 5 * GIB


def checks(look: Look) -> Iterator[Check]:
    facts = look.facts
    yield from _builds(look)
    yield check(
        "engine",
        "Docker's daemon",
        "ok" if facts.engine or look.modules else "missing",
        (f"{facts.engine} ({facts.engine_package or 'not from a package'})" if facts.engine else "not installed")
        + (", another daemon is running: it stays untouched" if facts.engine_answers else ""),
        "rtlab starts a private one with its own data, sockets and network; it never uses yours",
        look.install("docker.io"),
        "local",
    )
    possible = facts.sys_admin and facts.net_admin and facts.netns
    lacking = [
        name for name, there in (("CAP_SYS_ADMIN", facts.sys_admin), ("CAP_NET_ADMIN", facts.net_admin)) if not there
    ]
    reason = f"this process may never have {' and '.join(lacking)}" if lacking else "unshare --net --mount fails"
    where = f"inside a {facts.container} container " if facts.container else ""
    unprivileged = (
        f"Start the {facts.container} container privileged (docker run --privileged …), or run rtlab on its host. "
        "To see the tool without any of this: rtlab up --provider simulated"
        if facts.container
        else "Run rtlab as root on a machine or VM of your own. To see the tool: rtlab up --provider simulated"
    )
    yield check(
        "namespaces",
        "private engine possible",
        "ok" if possible else "missing",
        "capabilities, network and mount namespaces are there" if possible else f"{where}{reason}",
        "a second engine in the host's network namespace would empty the first one's firewall chains",
        unprivileged if lacking or facts.container or look.admin else "Run rtlab as root.",
        "local",
    )
    yield check(
        "cgroups",
        "control groups",
        "ok" if facts.cgroups else "missing",
        {"v2": "v2", "hybrid": "v1 with v2 beside it", "v1": "v1"}.get(facts.cgroups, "none mounted"),
        "every container is put into one, and its CPU and memory are read there",
        unprivileged,
        "local",
    )
    yield check(
        "overlay",
        "overlay file system",
        "ok" if facts.overlay else "warning",
        "there" if facts.overlay else "not known to this kernel",
        "without it Docker copies whole images (vfs), and disk figures are another experiment's",
        look.sudo("modprobe overlay"),
        "local",
    )
    if facts.apparmor:
        there = "apparmor_parser" in facts.programs
        yield check(
            "apparmor",
            "AppArmor",
            "ok" if there else "missing",
            "on" if there else "on in the kernel, but apparmor_parser is not installed",
            "Docker loads its profile with it; without it every container start fails",
            look.install("apparmor"),
            "local",
        )
    yield from _programs(look)
    yield disk(look, "local", "disk here", DISK_BYTES, "local")


def switched_on(facts: HostFacts, accel: str, group: str) -> SwitchedOn:
    return SwitchedOn() if facts.overlay else SwitchedOn(modules=("overlay",), mends=frozenset({"overlay"}))


def _programs(look: Look) -> Iterator[Check]:
    docker = look.facts.programs.get("docker", "")
    # Debian 13 has the command in a package of its own.
    split = look.facts.os_id == "debian" and version(look.facts.os_version) >= (13,)
    yield check(
        "program-docker",
        "docker",
        "ok" if docker or look.modules else "missing",
        docker or "not installed",
        "starts are timed through Docker's command line too",
        look.install("docker-cli" if split else "docker.io"),
        "local",
    )
    for name, package, why in PROGRAMS:
        if not (look.modules and package == "containerd"):
            yield program(look, name, package, why, "local")


def _builds(look: Look) -> Iterator[Check]:
    """Today's engine and runtimes, and what compiling them needs."""
    facts = look.facts
    compiled = facts.modules == today.REACHABLE
    why = "what people run today is measured: engine and runtimes of rtlab's own, below /opt/rtlab"
    told = {
        today.RELEASED: "as their vendors release them",
        today.BUILT: "in the cache",
        today.REACHABLE: "not built yet: about 8 minutes on two cores, once",
    }
    found = told[facts.modules] if facts.modules else facts.modules_refused or "cannot be built here"
    yield check(
        "modules",
        "today's engine and runtimes",
        "ok" if facts.modules else "warning",
        found,
        why,
        "Set GOPROXY to a module proxy that this machine can reach; else this machine's own are taken.",
        "local",
    )
    if compiled and facts.lacks_compiler:
        yield check(
            "compiler",
            "compiler and libraries for runC",
            "missing" if look.modules else "warning",
            facts.lacks_compiler,
            why,
            look.install("gcc", "libc6-dev", "libseccomp-dev", "pkg-config"),
            "local",
        )
