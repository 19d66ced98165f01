"""What Vagrant's machines are made from, and its preparation: keys, network, storage and seeds.

What comes of it is ``machines.json``, which the Vagrantfile reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.artifacts.box import catalogue
from rtlab.artifacts.box.catalogue import Box
from rtlab.connection import keys
from rtlab.model import Event, Notify
from rtlab.providers.vagrant import libvirt, seed
from rtlab.providers.vagrant.nodes import BOX_DISK_GB, Node, free_port, mac_of, seed_of
from rtlab.state import StateFolder

# A machine's first boot; an emulated one with all cores busy has been seen to take minutes.
BOOT_TIMEOUT_S = 600

# VirtualBox's NAT answers names there.
VIRTUALBOX_NAME_SERVER = "10.0.2.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where the machines will be reached.

    Attributes:
        name_server: As they see it.
        document: What the Vagrantfile must know of it.
    """

    nodes: tuple[Node, ...]
    name_server: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What the machines of a testbed are made from.

    Attributes:
        hardware: Accelerator, CPUs, memory and disk, as ``machines.json`` keeps them.
        suite: Of the box: ``debian-12``.
        count: How many machines.
        ports: Machine -> the port that VirtualBox forwarded to it before, where it was there.
    """

    testbed_id: str
    backend: str
    hardware: Mapping[str, Any]
    box: Box
    suite: str
    count: int
    ports: Mapping[str, int]

    @property
    def label(self) -> str:
        """The name of all that is made once for the testbed."""
        return f"rtlab-{self.testbed_id}"

    def prepare(self, state: StateFolder, log: Path, notify: Notify) -> dict[str, Any]:
        """Make keys, network, storage and seeds; returns the content of ``machines.json``."""
        folder = state.folder("keys")
        client = keys.ensure(folder / "id_ed25519", f"rtlab {self.testbed_id}")
        host_keys = self._host_keys(folder)
        notify(Event(stage="machines", message="Making network and storage"))
        if self.backend == "libvirt":
            network = self._libvirt_network(host_keys, state, log)
            self._make_pool(state, log)
        else:
            network = self._forwarded_ports(host_keys)
        known = [(node.address, node.port, node.host_key) for node in network.nodes]
        keys.write_known_hosts(folder / "known_hosts", known)
        machines = []
        for node in network.nodes:
            image = seed.image(seed_of(node, client, self.testbed_id, self.suite, network.name_server))
            machines.append(_machine(node, self._place_seed(node.name, image, state, log)))
        return {
            **network.document,
            "testbed": self.testbed_id,
            "backend": self.backend,
            "user": seed.USER,
            "private_key": str((folder / "id_ed25519").resolve()),
            "boot_timeout_s": BOOT_TIMEOUT_S,
            "grow_disk": int(self.hardware["disk_gb"]) > BOX_DISK_GB,
            "hardware": dict(self.hardware),
            "box": self._describe_box(state),
            "machines": machines,
        }

    def _host_keys(self, folder: Path) -> dict[str, keys.KeyPair]:
        """Of each machine, by its name: known before it exists."""
        names = [f"node{number}" for number in range(1, self.count + 1)]
        return {n: keys.ensure(folder / f"{n}_host_key", f"rtlab {self.testbed_id} {n}") for n in names}

    def _libvirt_network(self, host_keys: Mapping[str, keys.KeyPair], state: StateFolder, log: Path) -> Network:
        """Make a network in which each machine has its own address."""
        identity = self.testbed_id
        subnet = libvirt.network_address(identity) or libvirt.choose_subnet(identity, libvirt.routed_subnets())
        nodes = tuple(
            Node(name=n, mac=mac_of("52:54:00", identity, i), address=str(subnet[10 + i]), port=22, host_key=k)
            for i, (n, k) in enumerate(host_keys.items(), 1)
        )
        hosts = [libvirt.Host(name=n.name, mac=n.mac, address=n.address) for n in nodes]
        state.note("intend", "network", self.label, identity, backend=self.backend, subnet=str(subnet))
        libvirt.ensure_network(identity, libvirt.network_xml(identity, subnet, hosts), log)
        state.note("have", "network", self.label, identity, backend=self.backend, subnet=str(subnet))
        told = {"uri": libvirt.URI, "pool": self.label, "network": self.label, "network_address": str(subnet)}
        return Network(nodes=nodes, name_server=str(subnet[1]), document={"libvirt": told})

    def _make_pool(self, state: StateFolder, log: Path) -> None:
        state.note("intend", "pool", self.label, self.testbed_id, backend=self.backend)
        libvirt.ensure_pool(self.testbed_id, log)
        state.note("have", "pool", self.label, self.testbed_id, backend=self.backend)

    def _forwarded_ports(self, host_keys: Mapping[str, keys.KeyPair]) -> Network:
        """VirtualBox's machines, each behind a port of this host's."""
        nodes = tuple(
            Node(
                name=n,
                mac=mac_of("08:00:27", self.testbed_id, i),
                address="127.0.0.1",
                port=self.ports.get(n) or free_port(),
                host_key=k,
            )
            for i, (n, k) in enumerate(host_keys.items(), 1)
        )
        return Network(nodes=nodes, name_server=VIRTUALBOX_NAME_SERVER, document={})

    def _place_seed(self, name: str, image: bytes, state: StateFolder, log: Path) -> str:
        if self.backend == "libvirt":
            return libvirt.put_volume(self.testbed_id, f"{name}-seed.iso", image, log)
        file = state.folder("vagrant") / f"{name}-seed.iso"
        atomic.write_bytes(file, image, 0o600)
        return str(file.resolve())

    def _describe_box(self, state: StateFolder) -> dict[str, Any]:
        """Write the box's metadata for Vagrant; what ``machines.json`` says of it.

        vagrant-libvirt looks for a box's volume by name in all pools: a name without the testbed's id would find
        another testbed's volume, and that one's teardown would take this one's disks away.
        """
        name = f"{self.label}/{self.suite}"
        metadata = state.folder("vagrant") / "box-metadata.json"
        atomic.write_json(metadata, catalogue.metadata(name, self.box))
        return {
            "name": name,
            "version": self.box.version,
            "url": metadata.resolve().as_uri(),
            "sha256": self.box.sha256,
            "provisioned": self.box.provisioned,
        }


def _machine(node: Node, placed_seed: str) -> dict[str, Any]:
    return {
        "name": node.name,
        "mac": node.mac,
        "address": node.address,
        "ssh_port": node.port,
        "host_key": node.host_key.type_and_blob,
        "seed": placed_seed,
    }
