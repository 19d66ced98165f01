"""The command line as its users meet it: commands teach, mistakes get one clear sentence and a documented status."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rtlab.cli import COMMANDS
from rtlab.cli.ssh import ssh_argv
from rtlab.model import EngineAt, Machine
from rtlab.state import StateFolder
from tests.conftest import make_testbed

DATA_COMMANDS = [c for c in COMMANDS if c not in ("init", "ssh", "box")]


def rtlab(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtlab", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_by_example(command: str, tmp_path: Path) -> None:
    done = rtlab(command, "--help", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    examples = [line for line in done.stdout.splitlines() if line.strip().startswith(f"rtlab {command}")]
    if command == "box":
        done = rtlab("box", "build", "--help", cwd=tmp_path)
        examples = [line for line in done.stdout.splitlines() if line.strip().startswith("rtlab box build")]
    assert examples, f"rtlab {command} --help has no example"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_commands_whose_output_is_data_speak_json(command: str, tmp_path: Path) -> None:
    assert "--json" in rtlab(command, "--help", cwd=tmp_path).stdout


def test_the_list_of_commands_leads_a_newcomer_in_order(tmp_path: Path) -> None:
    shown = rtlab("--help", cwd=tmp_path).stdout
    places = [shown.index(f"\n  {name}") for name in ("init", "doctor", "up", "bench", "report", "teardown")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("frobnicate",), 2, "No such command"),
        (("bench", "--frob"), 2, "No such option"),
        (("bench",), 1, "rtlab up"),
        (("bench", "--runs", "abc"), 2, "--runs"),
        (("status",), 1, "There is no testbed"),
        (("plan",), 1, "There is no testbed"),
        (("ssh", "node1"), 1, "There is no testbed"),
        (("report",), 1, "There is no campaign"),
        (("verify",), 1, "There is no campaign"),
        (("verify", "nowhere"), 1, "There is no campaign"),
        (("teardown", "--id", "../../etc"), 2, "not an id"),
        (("up", "--provider", "cloud"), 2, "cloud"),
        (("up", "--provider", "simulated", "--profile", "nope"), 2, "nope"),
        (("up", "--provider", "static"), 2, "inventory"),
        (("up", "--provider", "static", "--inventory", "none.ini"), 2, "none.ini"),
        (("up", "--machines", "0"), 2, "machines"),
        (("up", "--runtimes", "kota"), 2, "kata"),
        (("box", "build", "beos"), 2, "beos"),
        (("box", "build", "debian-12", "--provider", "hyperv"), 2, "hyperv"),
        (("box", "keep", "node1"), 1, "There is no testbed"),
    ],
)
def test_mistakes_get_one_clear_sentence(words: tuple[str, ...], status: int, said: str, tmp_path: Path) -> None:
    done = rtlab(*words, cwd=tmp_path)

    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr
    assert not (tmp_path / "campaigns").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--runs", "0"), "runs"),
        (("--runs", "-3"), "runs"),
        (("--runs", "1000000000"), "runs"),
        (("--experiments", "boots"), "boot"),
        (("--runtimes", "kata"), "kata"),
        (("--runtimes", "$(reboot)"), "reboot"),
        (("--set", "io.size=1"), "size_mb"),
        (("--set", "io.size_mb=-1"), "size_mb"),
        (("--set", "frob"), "experiment.key=value"),
        (("--reboot", "sometimes"), "sometimes"),
        (("--design", "best"), "best"),
        (("--resume", "nowhere"), "campaign"),
    ],
)
def test_bench_refuses_before_it_does_anything(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    StateFolder(tmp_path / ".rtlab").write_testbed(make_testbed())

    done = rtlab("bench", *words, cwd=tmp_path)

    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 2)
    assert not list(tmp_path.glob("campaigns/*"))


def test_teardown_with_nothing_to_do_says_so_and_succeeds(tmp_path: Path) -> None:
    done = rtlab("teardown", "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    if done.stdout:
        assert json.loads(done.stdout)["removed"] == []


def test_version(tmp_path: Path) -> None:
    from rtlab import __version__

    assert rtlab("--version", cwd=tmp_path).stdout == f"rtlab {__version__}\n"


def machine_by(transport: str, **changes: object) -> Machine:
    (machine,) = make_testbed().machines[:1]
    given = {"transport": transport, "address": "192.168.130.11", "user": "vagrant", "key_file": "/k", **changes}
    return replace(machine, **given)  # type: ignore[arg-type]


def test_no_name_of_a_machine_s_user_is_an_option_of_ssh() -> None:
    machine = machine_by("ssh", user="-oProxyCommand=touch pwned;", port=22)
    argv = ssh_argv(machine, ("ls",))
    assert argv[argv.index("--") + 1 :] == ["-oProxyCommand=touch pwned;@192.168.130.11", "ls"]


def test_ssh_keeps_arguments_apart_and_takes_a_single_word_as_a_line() -> None:
    machine = machine_by("ssh", known_hosts_file="/known", port=22)
    assert ssh_argv(machine, ("ls", "a b"))[-2:] == ["vagrant@192.168.130.11", "ls 'a b'"]
    assert ssh_argv(machine, ("cd /tmp && ls",))[-1] == "cd /tmp && ls"
    assert ssh_argv(machine, ())[-1] == "vagrant@192.168.130.11"
    assert "StrictHostKeyChecking=yes" in ssh_argv(machine, ()) and 'UserKnownHostsFile="/known"' in ssh_argv(
        machine, ()
    )


def test_ssh_to_this_machine_runs_the_same_in_its_network() -> None:
    machine = machine_by("local", netns="/run/netns/x", engine=EngineAt(socket="/run/d.sock"))
    here = ["env", "DOCKER_HOST=unix:///run/d.sock", "nsenter", "--net=/run/netns/x", "--"]
    assert ssh_argv(machine, ("echo", "a b")) == [*here, "echo", "a b"]
    done = subprocess.run(
        ssh_argv(machine_by("local", netns=None), ("echo a; echo b",)), capture_output=True, check=True
    )
    assert done.stdout == b"a\nb\n"
