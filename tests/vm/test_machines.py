"""One emulated machine through the provider: up, up again, rest, reboot, found without any state, removed."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtlab.artifacts import profile
from rtlab.config import TestbedSettings
from rtlab.connection.rebooting import boot_id
from rtlab.model import Level, Machine, Testbed, ignore_events
from rtlab.providers.vagrant import libvirt
from rtlab.providers.vagrant.provider import PROVIDER
from rtlab.state import StateFolder

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="Vagrant is missing: rtlab doctor --fix"),
]
SETTINGS = TestbedSettings(
    provider="vagrant", backend="libvirt", accel="tcg", profile="debian-12", machines=1, cpus=2, memory_mb=1024
)
PINS = profile.load("debian-12")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    return StateFolder(tmp_path_factory.mktemp("folder") / ".rtlab")


@pytest.fixture(scope="module")
def testbed(state: StateFolder) -> Iterator[Testbed]:
    """A running machine; whatever the tests did to it, nothing of it is left in the end."""
    identity = state.new_testbed_id()
    try:
        made = PROVIDER.up(SETTINGS, PINS, identity, state, ignore_events)
        state.write_testbed(made)
        yield made
    finally:
        left = PROVIDER.teardown(identity, state, ignore_events)
    assert left == ()
    assert not Path(f"{libvirt.POOL_PARENT}/rtlab-{identity}").exists()
    assert not Path(f"/sys/class/net/rt-{identity}").exists()


def test_a_second_up_is_quick_and_changes_nothing(testbed: Testbed, state: StateFolder) -> None:
    before, began = boot_id(testbed.machines[0]), time.monotonic()
    again = PROVIDER.up(SETTINGS, PINS, testbed.id, state, ignore_events)
    assert time.monotonic() - began < 60  # 3 s on an idle machine
    assert again == testbed and boot_id(testbed.machines[0]) == before
    assert testbed.level is Level.EMULATED


def test_the_machine_has_nested_kvm_sudo_and_only_its_own_host_key(testbed: Testbed) -> None:
    with contextlib.closing(PROVIDER.shell(testbed.machines[0])) as shell:
        assert shell.run(("modprobe", "kvm_amd"), timeout_s=120).ok
        assert shell.run(("test", "-c", "/dev/kvm"), timeout_s=60).ok
        names = shell.run(("sh", "-c", "ls /etc/ssh/ssh_host_*"), timeout_s=60).text().split()
    assert names == ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"]


def behind_s(machine: Machine) -> float:
    """By how many seconds the machine's clock is behind this one's (SSH makes it up to a second or two too large)."""
    with contextlib.closing(PROVIDER.shell(machine)) as shell:
        shell.run(("true",), timeout_s=60)
        return time.time() - float(shell.run(("date", "+%s.%N"), timeout_s=60).text())


def test_a_machine_that_rested_wakes_with_the_right_time(testbed: Testbed, state: StateFolder) -> None:
    machine = testbed.machines[0]
    PROVIDER.rest(testbed, machine, state)
    assert libvirt.states(testbed.id) == {"node1": "paused"}
    time.sleep(20)
    libvirt.resume(f"rtlab-{testbed.id}-node1", state.folder("logs") / "test.log")
    assert behind_s(machine) > 15, "its clock stands still while it rests"
    PROVIDER.rest(testbed, machine, state)
    PROVIDER.wake(testbed, machine, state)
    assert abs(behind_s(machine)) < 5


def test_up_wakes_what_a_killed_campaign_left_at_rest(testbed: Testbed, state: StateFolder) -> None:
    before = boot_id(testbed.machines[0])
    PROVIDER.rest(testbed, testbed.machines[0], state)
    assert PROVIDER.up(SETTINGS, PINS, testbed.id, state, ignore_events) == testbed
    assert libvirt.states(testbed.id) == {"node1": "running"} and boot_id(testbed.machines[0]) == before


def test_a_reboot_is_proved_by_the_boot_id(testbed: Testbed, state: StateFolder) -> None:
    machine = testbed.machines[0]
    before = boot_id(machine)
    assert boot_id(PROVIDER.reboot(testbed, machine, state, 600)) != before


def test_it_is_found_and_removed_without_any_state(testbed: Testbed, tmp_path: Path) -> None:
    # The last test: another folder, no journal, and the domain destroyed by hand.
    libvirt.virsh("destroy", f"rtlab-{testbed.id}-node1")
    elsewhere = StateFolder(tmp_path / ".rtlab")
    assert testbed.id in PROVIDER.candidates()
    assert {r.kind for r in PROVIDER.leftovers(testbed.id, elsewhere)} >= {"domain", "volume", "pool", "network"}
    assert PROVIDER.teardown(testbed.id, elsewhere, ignore_events) == ()
    assert PROVIDER.leftovers(testbed.id, elsewhere) == ()
    assert PROVIDER.teardown(testbed.id, elsewhere, ignore_events) == (), "twice in a row"
