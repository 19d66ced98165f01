"""Vagrant's machines before they exist: address, port, seed, and the box that they are made from."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rtlab.artifacts import apt_sources, box
from rtlab.artifacts.box.catalogue import Box, at
from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.connection import keys
from rtlab.errors import UsageError
from rtlab.model import Level, Notify
from rtlab.providers.vagrant import seed

# Boxes are no larger than this; a larger disk is grown at the first boot.
BOX_DISK_GB = 10
# What decides how they are made (see ``rtlab.providers.contract.Provider.settings``).
SETTINGS = frozenset(
    {"accel", "backend", "machines", "cpus", "memory_mb", "disk_gb", "disk_cache", "box", "box_sha256"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine, before it exists.

    Attributes:
        port: Where sshd can be reached: 22, or a forwarded port with VirtualBox.
        host_key: What its sshd will show.
    """

    name: str
    mac: str
    address: str
    port: int
    host_key: keys.KeyPair


def level_of(accel: str) -> Level:
    if accel == "tcg":
        return Level.EMULATED
    guest = re.search(r"^flags\s*:.*\bhypervisor\b", Path("/proc/cpuinfo").read_text(), re.M)
    return Level.NESTED if guest else Level.VIRTUALIZED


def box_of(settings: TestbedSettings, profile: Profile, backend: str, notify: Notify) -> Box:
    name = cast(box.Backend, backend)
    if not settings.box:
        return box.build(
            profile.suite, name, settings=profile.box, disk_gb=min(settings.disk_gb, BOX_DISK_GB), notify=notify
        )
    chosen = at(Path(settings.box).expanduser())
    if chosen.backend != backend or chosen.suite != profile.suite:
        raise UsageError(
            f"The box {settings.box} is {chosen.suite} for {chosen.backend}; {profile.suite} for {backend} is needed."
        )
    return chosen


def mac_of(prefix: str, testbed_id: str, number: int) -> str:
    return f"{prefix}:{testbed_id[0:2]}:{testbed_id[2:4]}:{number:02x}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def seed_of(node: Node, client: keys.KeyPair, testbed_id: str, suite: str, name_server: str) -> seed.Seed:
    debian = apt_sources.CODENAMES[suite][0] == "debian"
    sources = apt_sources.of_this_machine(suite, elsewhere=True) if debian else ()
    encrypted = any(s.uri.startswith("https") for s in sources)
    return seed.Seed(
        hostname=node.name,
        instance_id=f"rtlab-{testbed_id}-{node.name}",
        host_key=node.host_key,
        authorized_key=client.public,
        name_server=name_server,
        sources_list=apt_sources.text(sources),
        apt_conf=apt_sources.proxy_of_this_machine(),
        ca_certificates=apt_sources.local_authorities() if encrypted else "",
    )
