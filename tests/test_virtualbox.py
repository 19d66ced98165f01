"""Reading VBoxManage: texts as VirtualBox 7.0's manual shows them, and one that a real 7.2.22 printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtlab.model import CommandResult
from rtlab.providers.vagrant import virtualbox

VMS = """\
"rtlab-0123abcd-node1" {8c1b9a6e-1111-4222-8333-123456789abc}
"my "quoted" vm" {8c1b9a6e-1111-4222-8333-123456789abd}
"<inaccessible>" {8c1b9a6e-1111-4222-8333-123456789abe}
"rtlab-99887766-node1" {8c1b9a6e-1111-4222-8333-123456789abf}
"""


REAL = (Path(__file__).parent / "data" / "virtualbox-7.2.22" / "showvminfo.txt").read_text()


def answer(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    def run(argv: tuple[str, ...], **_: object) -> CommandResult:
        text = VMS if argv[1] == "list" else REAL.replace('VMState="running"', f'VMState="{state}"')
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


def test_the_vagrantfile_names_the_controller_that_an_import_makes() -> None:
    """A real import of rtlab's box; its OVF says "SATA Controller"."""
    (name,) = [line.split("=", 1)[1] for line in REAL.splitlines() if line.startswith("storagecontrollername0=")]
    vagrantfile = Path(__file__).parents[1] / "Vagrantfile"
    assert f"sata = {name}\n" in vagrantfile.read_text()
    assert '"SATA-1-0"="/root/t/.rtlab/vagrant/node1-seed.iso"' in REAL.splitlines()
