"""Reading VBoxManage: texts as VirtualBox 7.0's manual shows them (chapter VBoxManage, list and showvminfo)."""

from __future__ import annotations

import pytest

from rtlab.model import CommandResult
from rtlab.providers import virtualbox

VMS = """\
"rtlab-0123abcd-node1" {8c1b9a6e-1111-4222-8333-123456789abc}
"my "quoted" vm" {8c1b9a6e-1111-4222-8333-123456789abd}
"<inaccessible>" {8c1b9a6e-1111-4222-8333-123456789abe}
"rtlab-99887766-node1" {8c1b9a6e-1111-4222-8333-123456789abf}
"""


def answer(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    def run(argv: tuple[str, ...], **_: object) -> CommandResult:
        text = VMS if argv[1] == "list" else f'name="x"\nVMState="{state}"\nVMStateChangeTime="2026"\n'
        return CommandResult(argv=argv, exit_status=0, stdout=text.encode(), stderr=b"", started_at="", elapsed_s=0.0)

    monkeypatch.setattr(virtualbox, "run", run)
    monkeypatch.setattr(virtualbox, "run_checked", run)


def test_the_list_of_machines() -> None:
    found = virtualbox.parse_machines(VMS)
    assert found["rtlab-0123abcd-node1"] == "8c1b9a6e-1111-4222-8333-123456789abc"
    assert found['my "quoted" vm'].endswith("abd") and len(found) == 4


@pytest.mark.parametrize(
    ("word", "state"), [("running", "running"), ("paused", "paused"), ("poweroff", "stopped"), ("aborted", "stopped")]
)
def test_states(monkeypatch: pytest.MonkeyPatch, word: str, state: str) -> None:
    answer(monkeypatch, word)
    assert virtualbox.states("0123abcd") == {"node1": state}


def test_only_the_testbed_s_own_machines_belong_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "poweroff")
    assert [r.name for r in virtualbox.resources("0123abcd")] == ["rtlab-0123abcd-node1"]
    assert virtualbox.testbed_ids() == ("0123abcd", "99887766")
