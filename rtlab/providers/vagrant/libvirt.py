"""libvirt, as the backend of Vagrant machines: one network and one storage pool per testbed, all named by its id.

Everything that rtlab makes in libvirt carries the testbed's id in its name, so that it can be found without any
state; a user's own networks, pools and machines are never touched.
"""

from __future__ import annotations

import ipaddress
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from rtlab.connection.shell import run, run_checked
from rtlab.errors import HostUnfit
from rtlab.model import CommandResult, Resource

URI = "qemu:///system"
# virsh waits for ever for a libvirtd that hangs.
TIMEOUT_S = 60.0
POOL_PARENT = "/var/lib/libvirt/images"
_NAME = re.compile(r"rtlab-([0-9a-f]{8})(?:-([a-z0-9-]+))?\Z")
# libvirt's words for a domain -> MachineStatus.state.
STATES = {
    "running": "running",
    "idle": "running",
    "in shutdown": "running",
    "paused": "paused",
    "pmsuspended": "paused",
}


def virsh(*argv: str, log: Path | None = None, stdin: bytes = b"") -> CommandResult:
    """Run one virsh command, in English, whatever its outcome."""
    return run(_command(argv), timeout_s=TIMEOUT_S, env={"LC_ALL": "C"}, log=log, stdin=stdin)


def virsh_checked(*argv: str, doing: str, log: Path | None = None) -> CommandResult:
    """Run one virsh command; CommandFailed unless it succeeds."""
    return run_checked(_command(argv), timeout_s=TIMEOUT_S, env={"LC_ALL": "C"}, log=log, doing=doing)


def _command(argv: tuple[str, ...]) -> tuple[str, ...]:
    return ("virsh", "--connect", URI, "--quiet", *argv)


def answers() -> bool:
    """Whether libvirt's daemon can be reached."""
    return virsh("version").ok


# --------------------------------------------------------------------------- what exists


def parse_domains(text: str) -> dict[str, str]:
    """``virsh list --all`` -> name -> libvirt's word for the state (``shut off``, ``running`` …)."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*(?:\d+|-)\s+(\S.*?)\s{2,}(\S.*?)\s*$", line)
        if match:
            found[match[1]] = match[2]
    return found


def domains() -> dict[str, str]:
    """All domains, rtlab's or not: name -> state."""
    return parse_domains(virsh_checked("list", "--all", doing="list the machines").text())


def states(testbed_id: str) -> dict[str, str]:
    """Machine -> ``running``, ``paused`` or ``stopped``, for the testbed's machines that exist."""
    found = {}
    for name, word in domains().items():
        match = _NAME.match(name)
        if match and match[1] == testbed_id and match[2]:
            found[match[2]] = STATES.get(word, "stopped")
    return found


def pause(name: str, log: Path) -> None:
    """Stop a domain's virtual CPUs."""
    virsh_checked("suspend", name, doing=f"pause {name}", log=log)


def resume(name: str, log: Path) -> None:
    """Let a paused domain go on."""
    virsh_checked("resume", name, doing=f"resume {name}", log=log)


def reset(name: str, log: Path) -> None:
    """Turn a domain that hangs off and on, without asking its guest."""
    virsh_checked("reset", name, doing=f"reset {name}", log=log)


def _names(*argv: str) -> tuple[str, ...]:
    return tuple(virsh_checked(*argv, "--name", doing="list what libvirt has").text().split())


def resources(testbed_id: str) -> tuple[Resource, ...]:
    """Everything in libvirt that carries the testbed's id, in the order in which it can be removed."""
    found = [Resource(kind="domain", name=n) for n in domains() if _belongs(n, testbed_id)]
    for pool in _names("pool-list", "--all"):
        if _belongs(pool, testbed_id):
            found += [Resource(kind="volume", name=f"{pool}/{volume}") for volume in volumes(pool)]
            found.append(Resource(kind="pool", name=pool))
    found += [Resource(kind="network", name=n) for n in _names("net-list", "--all") if _belongs(n, testbed_id)]
    return tuple(found)


def volumes(pool: str) -> tuple[str, ...]:
    """Names of a pool's volumes; empty when the pool is not active."""
    result = virsh("vol-list", "--pool", pool)
    return tuple(line.split()[0] for line in result.text().splitlines() if line.strip()) if result.ok else ()


def testbed_ids() -> tuple[str, ...]:
    """Ids of all testbeds of which something exists in libvirt."""
    everything = (*domains(), *_names("pool-list", "--all"), *_names("net-list", "--all"))
    return tuple(sorted({match[1] for name in everything if (match := _NAME.match(name))}))


def _belongs(name: str, testbed_id: str) -> bool:
    match = _NAME.match(name)
    return match is not None and match[1] == testbed_id


# Where the machines' /24 networks are looked for, in this order: first address, how many. Private (RFC 1918); Docker's
# own defaults (172.17-19) and what routers at home use are left out.
RANGES = (
    (ipaddress.IPv4Address("192.168.124.0"), 128),
    (ipaddress.IPv4Address("172.20.0.0"), 12 * 256),
    (ipaddress.IPv4Address("10.124.0.0"), 128 * 256),
)
WIDEST = 8


# --------------------------------------------------------------------------- making


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine's place in a network."""

    name: str
    mac: str
    address: str


def choose_subnet(testbed_id: str, taken: Iterable[str]) -> ipaddress.IPv4Network:
    """A /24 that overlaps nothing that this machine routes already; the same id prefers the same one.

    A route wider than WIDEST is no network that somebody lives in: VPNs send everything through 0.0.0.0/1 and
    128.0.0.0/1, and a range of our own is the narrower route beside these.

    Raises:
        HostUnfit: all are taken.
    """
    networks = (ipaddress.ip_network(t, strict=False) for t in taken)
    in_use = [n for n in networks if n.version == 4 and n.prefixlen >= WIDEST]
    start = int(testbed_id, 16)
    for low, count in RANGES:
        for step in range(count):
            subnet = ipaddress.IPv4Network((int(low) + ((start + step) % count << 8), 24))
            if not any(subnet.overlaps(other) for other in in_use):
                return subnet
    raise HostUnfit(
        "No free address range is left for the machines: this machine has routes into all of 192.168.124-251, "
        "172.20-31 and 10.124-251.",
        remedy="`rtlab teardown` of other testbeds frees theirs; `ip route` shows what is in use.",
    )


def routed_subnets() -> tuple[str, ...]:
    """Networks that this machine has routes or addresses in, the default route left out."""
    routes = json.loads(
        run_checked(("ip", "-4", "-json", "route", "show", "table", "all"), timeout_s=20).stdout or b"[]"
    )
    return tuple(r["dst"] for r in routes if r.get("dst") not in (None, "default", "0.0.0.0/0"))


def network_xml(testbed_id: str, subnet: ipaddress.IPv4Network, hosts: Iterable[Host]) -> str:
    """A NAT network with a fixed address per machine, so that host keys are known before the first contact."""
    fixed = "".join(
        f"      <host mac={quoteattr(h.mac)} name={quoteattr(h.name)} ip={quoteattr(h.address)}/>\n" for h in hosts
    )
    return f"""<network>
  <name>rtlab-{testbed_id}</name>
  <metadata><rtlab:testbed xmlns:rtlab="urn:rtlab:testbed" id="{testbed_id}"/></metadata>
  <forward mode="nat"/>
  <bridge name="rt-{testbed_id}" stp="off" delay="0"/>
  <ip address="{subnet[1]}" netmask="{subnet.netmask}">
    <dhcp>
      <range start="{subnet[10]}" end="{subnet[250]}"/>
{fixed}    </dhcp>
  </ip>
</network>
"""


def ensure_network(testbed_id: str, xml: str, log: Path) -> None:
    """Define and start the testbed's network."""
    name = f"rtlab-{testbed_id}"
    if name not in _names("net-list", "--all"):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(xml)
            file.flush()
            virsh_checked("net-define", file.name, doing="define the machines' network", log=log)
    if name not in _names("net-list"):
        virsh_checked("net-start", name, doing="start the machines' network", log=log)


def network_address(testbed_id: str) -> ipaddress.IPv4Network | None:
    """The subnet of the testbed's network; None if there is no such network."""
    result = virsh("net-dumpxml", f"rtlab-{testbed_id}")
    match = re.search(r"<ip address='([\d.]+)' netmask='([\d.]+)'", result.text())
    return ipaddress.IPv4Network(f"{match[1]}/{match[2]}", strict=False) if match else None


def ensure_pool(testbed_id: str, log: Path) -> None:
    """Define, build and start the testbed's storage pool, a folder of libvirt's own."""
    name = f"rtlab-{testbed_id}"
    if name not in _names("pool-list", "--all"):
        virsh_checked(
            *("pool-define-as", name, "dir", "--target", f"{POOL_PARENT}/{name}"),
            doing="define the storage pool",
            log=log,
        )
    if name not in _names("pool-list"):
        virsh_checked("pool-build", name, doing="make the storage pool's folder", log=log)
        virsh_checked("pool-start", name, doing="start the storage pool", log=log)


def start_again(testbed_id: str, log: Path) -> None:
    """Start the testbed's network and pool if a restart of libvirt or of this machine stopped them."""
    name = f"rtlab-{testbed_id}"
    if name not in _names("net-list"):
        virsh_checked("net-start", name, doing="start the machines' network", log=log)
    if name not in _names("pool-list"):
        virsh_checked("pool-start", name, doing="start the storage pool", log=log)


def put_volume(testbed_id: str, name: str, content: bytes, log: Path) -> str:
    """Store a small file as a volume (QEMU may not read the state folder); returns its path."""
    pool = f"rtlab-{testbed_id}"
    if name not in volumes(pool):
        virsh_checked(
            *("vol-create-as", pool, name, str(len(content)), "--format", "raw"), doing=f"make {name}", log=log
        )
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        virsh_checked("vol-upload", name, file.name, "--pool", pool, doing=f"fill {name}", log=log)
    return virsh_checked("vol-path", name, "--pool", pool, doing=f"find {name}").text().strip()


# --------------------------------------------------------------------------- removing


def remove(resource: Resource, log: Path) -> str:
    """Remove one resource; empty when it is gone, otherwise what libvirt said."""
    if resource.kind == "domain":
        virsh("destroy", resource.name, log=log)
        result = virsh("undefine", resource.name, "--managed-save", "--snapshots-metadata", "--nvram", log=log)
        gone = resource.name not in domains()
    elif resource.kind == "volume":
        pool, _, name = resource.name.partition("/")
        result = virsh("vol-delete", name, "--pool", pool, log=log)
        gone = name not in volumes(pool)
    elif resource.kind == "pool":
        virsh("pool-destroy", resource.name, log=log)
        # pool-delete removes the folder; it must be empty and the pool inactive.
        virsh("pool-delete", resource.name, log=log)
        result = virsh("pool-undefine", resource.name, log=log)
        gone = resource.name not in _names("pool-list", "--all")
    else:
        virsh("net-destroy", resource.name, log=log)
        result = virsh("net-undefine", resource.name, log=log)
        gone = resource.name not in _names("net-list", "--all")
    return "" if gone else result.tail(2) or "libvirt still has it"


def describe() -> dict[str, Any]:
    """Versions worth keeping with a campaign."""
    text = virsh("version").text()
    found = dict(re.findall(r"(library|hypervisor): \w+ ([\d.]+)", text))
    return {"libvirt_version": found.get("library", ""), "qemu_version": found.get("hypervisor", "")}
