"""rtlab.connection.playbook against real ansible-playbook runs on this very machine and a closed SSH port."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rtlab import content
from rtlab.connection import playbook
from rtlab.errors import MachineUnreachable, ProvisionFailed
from rtlab.model import Event, Level, Machine, Testbed
from rtlab.state import StateFolder

HERE = Machine(name="here", transport="local", sudo=False)


def testbed(*machines: Machine) -> Testbed:
    return Testbed(
        id="0a1b2c3d", provider="local", profile="debian-12", design="crossover", machines=machines, created_at=""
    )


def write_play(folder: Path, tasks: str) -> str:
    file = folder / "play.yml"
    file.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    return str(file)


def run(
    folder: Path, tasks: str, *machines: Machine, timeout_s: float = 60, **variables: object
) -> playbook.PlaybookRun:
    return playbook.apply(
        write_play(folder, tasks),
        testbed(*(machines or (HERE,))),
        state=StateFolder(folder / ".rtlab"),
        extra_vars=variables,
        notify=EVENTS.append,
        timeout_s=timeout_s,
    )


EVENTS: list[Event] = []


@pytest.fixture(autouse=True)
def _no_events() -> None:
    EVENTS.clear()


def running(text: str) -> bool:
    """Whether a process with this in its command line exists."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in file.read_bytes().replace(b"\0", b" "):
                return True
    return False


WRITE = """
    - name: Write the file
      ansible.builtin.copy: {content: "{{ text }}", dest: "{{ file }}", mode: "0600"}
    - name: Read it
      ansible.builtin.command: {argv: [cat, "{{ file }}"]}
      changed_when: false
"""


def test_counts_changes_and_reports_progress(tmp_path: Path) -> None:
    """The second run of an idempotent play changes nothing, and progress never goes back."""
    target = tmp_path / "written"

    first = run(tmp_path, WRITE, text="one", file=str(target))
    second = run(tmp_path, WRITE, text="one", file=str(target))
    third = run(tmp_path, WRITE, text="two", file=str(target))

    assert [r.changed for r in (first, second, third)] == [{"here": 1}, {"here": 0}, {"here": 1}]
    assert first.ok == {"here": 2}
    assert target.read_text() == "two"  # ansible-runner would keep the variables of the first run
    fractions = [e.fraction for e in EVENTS[:2]]
    assert fractions == sorted(fractions, key=lambda f: f or 0)
    assert [e.message for e in EVENTS[:2]] == ["Write the file", "Read it"]
    assert "TASK [Write the file]" in first.log.read_text()


def test_failure_names_host_task_and_message(tmp_path: Path) -> None:
    tasks = """
    - name: Go wrong
      ansible.builtin.command: {argv: [sh, -c, "echo too little of it >&2; exit 7"]}
"""
    with pytest.raises(ProvisionFailed) as caught:
        run(tmp_path, tasks)

    message = str(caught.value)
    assert "here: task 'Go wrong' failed" in message
    assert "too little of it" in message
    logs = list((tmp_path / ".rtlab" / "logs").iterdir())
    assert str(logs[0]) in caught.value.remedy
    assert '"rc": 7' in logs[0].read_text()


def test_failure_in_a_loop_names_the_failed_item(tmp_path: Path) -> None:
    tasks = """
    - name: Go through a list
      ansible.builtin.command: {argv: [sh, -c, "echo item {{ item }} >&2; exit {{ item }}"]}
      loop: [0, 3]
"""
    with pytest.raises(ProvisionFailed, match="item 3"):
        run(tmp_path, tasks)


def test_rescued_failure_is_none(tmp_path: Path) -> None:
    """A block with a rescue ends well; when the rescue fails as well, its failure is the one that counts."""
    tasks = """
    - name: Try
      block:
        - name: First way
          ansible.builtin.command: {argv: [sh, -c, "echo first >&2; exit 1"]}
      rescue:
        - name: Second way
          ansible.builtin.command: {argv: [sh, -c, "echo second >&2; exit {{ status }}"]}
"""
    run(tmp_path, tasks, status=0)
    with pytest.raises(ProvisionFailed) as caught:
        run(tmp_path, tasks, status=1)

    assert "second" in str(caught.value)
    assert "first" not in str(caught.value)


def test_play_that_ansible_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(ProvisionFailed, match=r"could not run[\s\S]*no_such_module"):
        run(tmp_path, "    - no_such_module: {}\n")


def test_unreachable_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as server:  # bound but not listening: refused
        server.bind(("127.0.0.1", 0))
        machine = Machine(
            name="far",
            address="127.0.0.1",
            port=server.getsockname()[1],
            known_hosts_file=str(tmp_path / "known hosts"),
        )
        with pytest.raises(MachineUnreachable, match="far cannot be reached") as caught:
            run(tmp_path, "    - ansible.builtin.ping:\n", machine)

    # Where ssh ends before Ansible has written to it, Ansible tells of its own end of the pipe instead.
    assert re.search("refused|Broken pipe", caught.value.message)
    assert "rtlab up" in caught.value.remedy
    assert not list(tmp_path.glob("rtlab-ssh-*"))


def test_changed_host_key_has_its_own_remedy() -> None:
    # OpenSSH's own words, readconf/sshconnect.c.
    said = "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@"
    assert "host key" in playbook._unreachable_remedy(said)


def test_time_limit_ends_every_process(tmp_path: Path) -> None:
    with pytest.raises(ProvisionFailed, match=r"did not end within 4 s; it was at task 'Hang'"):
        run(tmp_path, "    - name: Hang\n      ansible.builtin.command: sleep 71.25\n", timeout_s=4)

    assert not running("sleep 71.25")
    assert not running(str(tmp_path / "play.yml"))


def test_interrupt_ends_every_process(tmp_path: Path) -> None:
    """Ctrl-C while a task runs: nothing of Ansible is left."""
    write_play(tmp_path, "    - name: Hang\n      ansible.builtin.command: sleep 72.25\n")
    program = (
        # A test run in the background of a shell inherits SIGINT ignored.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; import test_playbook as t\n"
        "t.run(Path(sys.argv[1]), Path(sys.argv[1], 'play.yml').read_text().split('tasks:\\n')[1])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not running("sleep 72.25") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert b"KeyboardInterrupt" in stderr
    assert not running("sleep 72.25")
    assert not running(str(tmp_path / "play.yml"))


def test_environment_holds_known_names_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_SECRET", "hunter2")
    monkeypatch.setenv("ANSIBLE_CONFIG", "/nonexistent/ansible.cfg")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent/agent")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    tasks = '    - ansible.builtin.shell: "env -0 > {{ file }}"\n'

    run(tmp_path, tasks, file=str(tmp_path / "env"))

    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0") if "=" in line)
    assert "CLOUD_SECRET" not in found
    assert "SSH_AUTH_SOCK" not in found
    assert found["https_proxy"] == "http://proxy.example:3128"
    assert found["ANSIBLE_CONFIG"] == str(content.root() / "ansible.cfg")
    assert found["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert found["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_state_is_private(tmp_path: Path) -> None:
    run(tmp_path, "    - ansible.builtin.ping:\n")
    folder = tmp_path / ".rtlab" / "ansible"

    assert folder.stat().st_mode & 0o777 == 0o700
    assert json.loads((folder / "inventory.json").read_text())["all"]["hosts"]["here"]["ansible_connection"] == "local"
    assert not (folder / "tmp").exists()


def test_ssh_reads_nobodys_configuration() -> None:
    machine = Machine(
        name="node1",
        address="192.0.2.1",
        port=2222,
        user="vagrant",
        key_file="/k/id",
        known_hosts_file="/with space/known",
    )
    variables = playbook.host_variables(testbed(machine), machine)

    assert variables["ansible_port"] == 2222
    assert variables["ansible_become"] is True
    arguments = playbook.ssh_arguments(machine)
    assert arguments[:2] == ("-F", "none")
    # ssh -G prints what OpenSSH itself makes of the arguments.
    said = subprocess.run(["ssh", *arguments, "-G", "192.0.2.1"], capture_output=True, text=True, check=True).stdout
    assert "userknownhostsfile /with space/known" in said
    assert "stricthostkeychecking true" in said
    assert "identitiesonly yes" in said


def test_machine_with_root_user_needs_no_become() -> None:
    machine = Machine(name="m", address="192.0.2.1", user="root", level=Level.EMULATED, runtimes=("runc", "gvisor"))
    variables = playbook.host_variables(testbed(machine), machine)

    assert variables["ansible_become"] is False
    assert variables["rtlab_emulated"] is True
    assert variables["runtimes"] == ["runc", "gvisor"]
    assert variables["docker_host"] == "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"msg": "non-zero return code", "rc": 1, "stderr": "no space"}, "non-zero return code\nno space"),
        ({"msg": "non-zero return code", "rc": 2, "stdout": "only here"}, "non-zero return code\nonly here"),
        ({"results": [{"failed": False, "msg": "fine"}, {"failed": True, "msg": "bad"}]}, "bad"),
        ({}, "no message"),
        ({"msg": "\n".join(str(n) for n in range(50))}, "\n".join(str(n) for n in range(12)) + "\n…"),
    ],
)
def test_message_of(result: dict[str, object], expected: str) -> None:
    assert playbook.message_of(result) == expected


def test_expected_tasks_counts_the_roles_of_the_runtimes() -> None:
    few = playbook.expected_tasks(content.root(), "site.yml", [Machine(name="a", runtimes=("runc",))])
    more = playbook.expected_tasks(content.root(), "site.yml", [Machine(name="a", runtimes=("runc", "gvisor"))])

    assert 20 < few < more
    assert playbook.expected_tasks(content.root(), "verify.yml", [Machine(name="a", runtimes=("runc",))]) < few


def test_runs_in_an_environment_of_its_own() -> None:
    assert playbook._ansible_playbook().parent == Path(sys.executable).parent
    assert os.access(playbook._ansible_playbook(), os.X_OK)
