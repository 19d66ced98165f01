"""Reading virsh (texts as libvirt 9.0 prints them), names by the testbed's id, and the network's XML."""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import HostUnfit
from rtlab.model import CommandResult
from rtlab.providers.vagrant import libvirt

LIST = """ Id   Name                   State
---------------------------------------
 1    rtlab-0123abcd-node1   running
 3    rtlab-0123abcd-node2   paused
 -    my web server          shut off
 -    rtlab-99887766-node1   shut off
 -    rtlab-0123abcdef-x     shut off
"""


def test_the_list_of_domains() -> None:
    found = libvirt.parse_domains(LIST)
    assert found["rtlab-0123abcd-node1"] == "running"
    assert found["rtlab-99887766-node1"] == "shut off"
    assert found["my web server"] == "shut off" and len(found) == 5


def fake_virsh(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> list[tuple[str, ...]]:
    calls: list[tuple[str, ...]] = []

    def virsh(*argv: str, **_: object) -> CommandResult:
        calls.append(argv)
        text = answers.get(" ".join(argv), "")
        return CommandResult(argv=argv, exit_status=0, stdout=text.encode(), stderr=b"", started_at="", elapsed_s=0.0)

    monkeypatch.setattr(libvirt, "virsh", virsh)
    monkeypatch.setattr(libvirt, "virsh_checked", virsh)
    return calls


ANSWERS = {
    "list --all": LIST,
    "pool-list --all --name": "default\nrtlab-0123abcd\nrtlab-99887766\n",
    "vol-list --pool rtlab-0123abcd": " node1-seed.iso   /x/node1-seed.iso\n",
    "net-list --all --name": "default\nrtlab-0123abcd\nrtlab-55555555\n",
}


def test_only_what_carries_exactly_the_id_belongs_to_a_testbed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_virsh(monkeypatch, ANSWERS)
    assert [(r.kind, r.name) for r in libvirt.resources("0123abcd")] == [
        ("domain", "rtlab-0123abcd-node1"),
        ("domain", "rtlab-0123abcd-node2"),
        ("volume", "rtlab-0123abcd/node1-seed.iso"),
        ("pool", "rtlab-0123abcd"),
        ("network", "rtlab-0123abcd"),
    ]


def test_candidates_are_found_by_any_of_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_virsh(monkeypatch, ANSWERS)
    assert libvirt.testbed_ids() == ("0123abcd", "55555555", "99887766")


def test_states_are_those_of_the_testbed_s_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_virsh(monkeypatch, ANSWERS)
    assert libvirt.states("0123abcd") == {"node1": "running", "node2": "paused"}
    assert libvirt.states("99887766") == {"node1": "stopped"}


@given(st.text("0123456789abcdef", min_size=8, max_size=8), st.lists(st.integers(124, 251), max_size=60))
def test_the_subnet_is_free_and_the_same_every_time(testbed_id: str, thirds: list[int]) -> None:
    taken = [f"192.168.{third}.0/24" for third in thirds] + ["10.0.0.0/8", "192.168.1.7"]
    subnet = libvirt.choose_subnet(testbed_id, taken)
    assert not any(subnet.overlaps(ipaddress.ip_network(t)) for t in taken)
    assert subnet == libvirt.choose_subnet(testbed_id, taken)


def test_no_free_subnet() -> None:
    with pytest.raises(HostUnfit, match="address range"):
        libvirt.choose_subnet("0123abcd", ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8"])


@pytest.mark.parametrize(
    ("taken", "within"),
    [
        # OpenVPN's redirect-gateway def1: libnetwork#779.
        (["0.0.0.0/1", "128.0.0.0/1", "10.8.0.0/24"], "192.168.0.0/16"),
        (["0.0.0.0/0", "192.0.0.0/4"], "192.168.0.0/16"),
        (["192.168.0.0/16"], "172.16.0.0/12"),
        (["192.168.0.0/16", "172.16.0.0/12"], "10.0.0.0/8"),
    ],
)
def test_wide_routes_take_no_range_and_others_are_tried(taken: list[str], within: str) -> None:
    for testbed_id in ("0123abcd", "ffffffff", "00000000"):
        subnet = libvirt.choose_subnet(testbed_id, taken)
        assert subnet.prefixlen == 24
        assert subnet.subnet_of(ipaddress.IPv4Network(within))


def test_the_network_gives_each_mac_its_address() -> None:
    subnet = ipaddress.IPv4Network("192.168.130.0/24")
    hosts = [libvirt.Host(name="node1", mac="52:54:00:01:23:01", address="192.168.130.11")]
    root = ET.fromstring(libvirt.network_xml("0123abcd", subnet, hosts))
    assert root.findtext("name") == "rtlab-0123abcd"
    bridge = root.find("bridge")
    assert bridge is not None and len(bridge.attrib["name"]) <= 15  # IFNAMSIZ - 1
    host = root.find("ip/dhcp/host")
    assert host is not None
    assert host.attrib == {"mac": "52:54:00:01:23:01", "name": "node1", "ip": "192.168.130.11"}
