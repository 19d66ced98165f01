"""An engine beside the machine's own, by SSH: what roles are told, and what the machine is asked. Pure but for sh."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins
from rtlab.artifacts import profile
from rtlab.config import TestbedSettings
from rtlab.errors import HostUnfit, MachineUnreachable
from rtlab.model import CommandResult, Machine, Testbed, ignore_events
from rtlab.providers.static import beside
from rtlab.providers.static import provider as static
from rtlab.state import StateFolder

ID = "0badcafe"


class HereAsThere:
    """A shell whose commands run on this machine; ``replies`` are given instead of running the program of that name."""

    def __init__(self, replies: Mapping[str, str] | None = None) -> None:
        self.replies = replies or {}
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        self.asked.append(argv)
        for words, reply in self.replies.items():
            if words in " ".join(argv):
                return result(argv, 0 if reply else 1, reply.encode())
        done = subprocess.run(argv, capture_output=True, timeout=timeout_s)
        return result(argv, done.returncode, done.stdout, done.stderr)

    def close(self) -> None: ...

    def put(self, content: bytes, path: str, mode: int) -> None:
        raise AssertionError("nothing is written by asking")

    def get(self, path: str) -> bytes:
        raise AssertionError


def result(argv: tuple[str, ...], status: int, stdout: bytes, stderr: bytes = b"") -> CommandResult:
    return CommandResult(
        argv=argv, exit_status=status, stdout=stdout, stderr=stderr, started_at="2026-11-27T00:00:00Z", elapsed_s=0.0
    )


def test_everything_that_the_roles_make_carries_the_testbeds_id_and_is_looked_for_afterwards() -> None:
    told = beside.variables(ID, {})
    places = told["docker_beside"]
    made = {
        places["folder"],
        places["run"],
        places["netns"],
        *(f"/etc/systemd/system/{unit}" for unit in (told["docker_unit"], places["containerd_unit"])),
    }
    assert made == set(beside.traces(ID))
    assert all(ID in path for path in made)
    # Whatever else is configured lies in one of them.
    options = places["daemon_options"]
    inner = [options[key] for key in ("data-root", "exec-root", "pidfile", "containerd")]
    inner += [url.removeprefix("unix://") for url in options["hosts"]]
    inner += [told["docker_daemon_json"], told["rtlab_bin"]]
    assert all(path.startswith((f"{places['folder']}/", f"{places['run']}/")) for path in inner)
    assert options["cgroup-parent"] == f"/rtlab-{ID}"
    assert json.loads(json.dumps(told)) == told


def test_the_machine_is_worked_on_through_that_engine_alone() -> None:
    machine = beside.at(Machine(name="n1", address="192.0.2.1"), ID)
    options = beside.variables(ID, {})["docker_beside"]["daemon_options"]
    assert options["hosts"] == [f"unix://{machine.engine.socket}"]
    assert machine.engine.cli == f"/opt/rtlab/{ID}/bin/docker"
    assert (machine.netns, machine.home) == (f"/run/netns/rtlab-{ID}", f"/opt/rtlab/{ID}")


def test_what_a_machine_lacks_is_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "NEEDED", ("sh", "no-such-program-of-rtlab", "find"))
    systemd = () if Path("/run/systemd/system").is_dir() else ("systemd",)
    found = beside.lacks(HereAsThere())
    assert [line for line in found if line != "apparmor_parser"] == [*systemd, "no-such-program-of-rtlab"]


def test_runtimes_without_a_build_are_the_machines_own_or_say_why_not() -> None:
    shell = HereAsThere({"command -v": "", "/dev/kvm": ""})
    own = beside.own_runtimes(shell, ["crun", "kata"], {})
    assert own.entries == {}
    assert own.unavailable["crun"].startswith("crun is not installed")
    assert own.unavailable["kata"].startswith("Kata is not installed")

    there = HereAsThere(
        {"sh crun": "/usr/bin/crun\n", "/opt/kata/bin/containerd-shim-kata-v2": "/k\n", "/dev/kvm": "x"}
    )
    own = beside.own_runtimes(there, ["crun", "kata"], {})
    assert own.entries == {"crun": {"path": "/usr/bin/crun"}, "kata": {"runtimeType": "/k"}}
    assert own.unavailable == {}


@pytest.mark.parametrize(
    ("asked", "brought", "own"),
    [
        ({"runtimes": ("runc", "gvisor", "crun")}, ("runc", "gvisor"), ("crun",)),
        ({"runtimes": ("runc", "gvisor"), "system_runtimes": ("gvisor",)}, ("runc",), ("gvisor",)),
    ],
)
def test_the_heading_will_name_what_is_not_of_the_profile(
    asked: dict[str, Any], brought: tuple[str, ...], own: tuple[str, ...]
) -> None:
    settings = TestbedSettings(provider="static", profile="modules", **asked)
    names = static._not_brought(settings, profile.load("modules"))
    assert names == own
    entries = {plugins.runtime(name).docker_name: {"path": f"/usr/bin/{name}"} for name in own}
    told = static._told([beside.Own(entries=entries)], settings, profile.load("modules"))
    asked_for = list(asked.get("system_runtimes", ()))
    assert told["system_runtimes"] == asked_for
    assert set(told["next_best"]) == set(own) - set(asked_for)


def test_the_engine_of_the_machine_tells_which_runtimes_it_knows() -> None:
    machine = Machine(name="n1", address="192.0.2.1")
    settings = TestbedSettings(provider="static", runtimes=("runc", "kata", "gvisor"))
    shell: Any = HereAsThere({"info": '{"runc": {}, "runsc": {}}'})
    assert static._unknown(shell, machine, settings) == {"kata": "the engine of n1 knows no runtime 'kata'"}
    # No answer is no evidence.
    shell = HereAsThere({"info": ""})
    assert static._unknown(shell, machine, settings) == {}


def testbed_of(state: StateFolder, *names: str) -> Testbed:
    machines = tuple(beside.at(Machine(name=name, address="192.0.2.1"), ID) for name in names)
    found = Testbed(
        id=ID,
        provider="static",
        profile="modules",
        design="crossover",
        machines=machines,
        created_at="2026-11-27T00:00:00Z",
        details={"runtime_wiring": {}},
    )
    state.prepare()
    state.write_testbed(found)
    for machine in machines:
        state.note("intend", static.ENGINE, f"{machine.name}:{machine.home}", ID)
    return found


class Unreachable(HereAsThere):
    def __init__(self, machine: Machine) -> None:
        super().__init__()

    def run(self, argv: tuple[str, ...], **_: Any) -> CommandResult:
        raise MachineUnreachable("n1 does not answer")


def test_an_engine_on_a_machine_that_does_not_answer_is_left_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    testbed_of(state, "n1")
    monkeypatch.setattr(static, "SSHShell", Unreachable)
    monkeypatch.setattr(static, "apply", lambda *_, **__: pytest.fail("nobody to apply it to"))
    left = static.PROVIDER.teardown(ID, state, ignore_events)
    assert [(r.kind, r.name, r.note) for r in left] == [("engine", f"n1:/opt/rtlab/{ID}", "n1 does not answer")]
    assert [entry.name for entry in state.outstanding(ID)] == [f"n1:/opt/rtlab/{ID}"]


def test_an_engine_whose_machine_is_forgotten_is_named_too(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    testbed_of(state, "n1")
    state.forget_testbed()
    (left,) = static.PROVIDER.leftovers(ID, state)
    assert left.note == "this folder no longer says how the machine is reached"


def test_a_machine_without_what_an_engine_needs_is_refused_with_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "lacks", lambda _: ("iptables", "systemd"))
    settings = TestbedSettings(provider="static", profile="modules", runtimes=("runc",))
    shell: Any = HereAsThere()
    with pytest.raises(HostUnfit, match="cannot run on n1, which lacks iptables, systemd") as caught:
        static._own(shell, "n1", settings, profile.load("modules"))
    assert "--engine system" in caught.value.remedy
