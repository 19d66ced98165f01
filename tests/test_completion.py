"""Completion as shells ask for it: the protocol of the scripts that ``rtlab --show-completion`` prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rtlab import plugins
from rtlab.artifacts import profile
from rtlab.cli import completion
from rtlab.cli.report import FORMATS
from rtlab.publish import exports
from rtlab.state import StateFolder
from tests.conftest import make_testbed


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a testbed and two campaigns, of which completion needs no more than the names."""
    StateFolder(tmp_path / ".rtlab").write_testbed(make_testbed(2))
    for name in ("20261101T000000Z-a", "20261102T000000Z-b"):
        folder = tmp_path / "campaigns" / name
        (folder / "trials" / "0001.1-boot-runc-node1").mkdir(parents=True)
        (folder / "campaign.json").write_text("{}")
    return tmp_path


def asked(shell: str, line: str, folder: Path) -> list[str]:
    """What is offered for the last word of ``line``."""
    words = line.split(" ")
    environment = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'rtlab'; from rtlab.__main__ import main; main()"],
        cwd=folder,
        env={**os.environ, "_RTLAB_COMPLETE": f"complete_{shell}", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return re.findall('"([^"]+)"', done.stdout) if shell == "zsh" else done.stdout.split()


CAMPAIGNS = ["20261102T000000Z-b", "20261101T000000Z-a"]
PROFILES = ["auto", *profile.names()]
PROVIDERS = {"auto", *plugins.names("providers"), "libvirt", "virtualbox"}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rtlab report ", CAMPAIGNS),
        ("rtlab compare 20261101T000000Z-a 20261102", CAMPAIGNS[:1]),
        ("rtlab verify ", CAMPAIGNS),
        ("rtlab pack ", CAMPAIGNS),
        ("rtlab bench --like ", CAMPAIGNS),
        ("rtlab bench --resume ", CAMPAIGNS),
        ("rtlab up --like ", CAMPAIGNS),
        ("rtlab show 1 --campaign ", CAMPAIGNS),
        ("rtlab status --campaign ", CAMPAIGNS),
        ("rtlab export latex ", CAMPAIGNS),
        ("rtlab show ", ["0001.1-boot-runc-node1"]),
        ("rtlab up --profile ", PROFILES),
        ("rtlab box build debian-13 --profile debian-", ["debian-12", "debian-13"]),
        ("rtlab bench --experiments boot,", [f"boot,{e}" for e in plugins.names("experiments") if e != "boot"]),
        ("rtlab plan --runtimes runc,g", ["runc,gvisor"]),
        ("rtlab bench --baseline ", list(plugins.names("runtimes"))),
        ("rtlab report --format ", list(FORMATS)),
        ("rtlab export ", list(exports.FORMATS)),
        ("rtlab ssh ", ["node1", "node2"]),
        ("rtlab bench --reboot ", ["auto", "trial", "block", "never"]),
        ("rtlab up --accel ", ["auto", "kvm", "tcg"]),
        ("rtlab bench --set boot.sta", ["boot.starts="]),
        ("rtlab cam", ["campaigns"]),
    ],
)
def test_values_complete_in_bash(line: str, offered: list[str], study: Path) -> None:
    assert asked("bash", line, study) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_told_every_provider_profile_and_campaign(shell: str, study: Path) -> None:
    assert set(asked(shell, "rtlab up --provider ", study)) == PROVIDERS
    assert "debian-13" in asked(shell, "rtlab up --profile ", study)
    assert asked(shell, "rtlab report ", study) == CAMPAIGNS


def test_bash_itself_completes_with_the_script_that_rtlab_prints(study: Path, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash, "a Debian or Ubuntu has bash"
    command = tmp_path / "bin" / "rtlab"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from rtlab.__main__ import main; main()' \"$@\"\n")
    command.chmod(0o755)
    script = f"""
export PATH={command.parent}:$PATH
eval "$(rtlab --show-completion bash)"
COMP_WORDS=(rtlab up --profile debian-) COMP_CWORD=3
_rtlab_completion rtlab
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run([bash, "-c", script], cwd=study, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["debian-12", "debian-13"]


def test_a_folder_without_anything_completes_to_nothing(tmp_path: Path) -> None:
    assert asked("bash", "rtlab report ", tmp_path) == []
    assert asked("bash", "rtlab ssh ", tmp_path) == []


# What one of the three shells would evaluate, split, expand, or take for an option.
HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "a';touch pwned;'",
    'a")(touch pwned',
    "a b",
    "*",
    "~",
    "-rf",
    "a\nb",
    "\x1b[31m",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_that_a_shell_could_evaluate_is_not_offered(
    name: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "campaigns" / name).mkdir()
    (study / "campaigns" / name / "campaign.json").write_text("{}")
    (study / "campaigns" / CAMPAIGNS[0] / "trials" / name).mkdir()
    testbed = make_testbed(2)
    StateFolder(study / ".rtlab").write_testbed(
        replace(testbed, machines=(testbed.machines[0], replace(testbed.machines[1], name=name)))
    )
    monkeypatch.chdir(study)
    assert completion.campaigns("") == CAMPAIGNS
    assert set(completion.trials("")) <= {"0001.1-boot-runc-node1"}
    assert set(completion.machines("")) <= {"node1"}


def test_the_shell_that_evaluates_what_it_is_offered_gets_no_command(study: Path) -> None:
    (study / "campaigns" / HOSTILE[0]).mkdir()
    (study / "campaigns" / HOSTILE[0] / "campaign.json").write_text("{}")
    assert asked("zsh", "rtlab report ", study) == CAMPAIGNS


def loop(path: Path) -> None:
    path.symlink_to(path.name)


BROKEN = {"file": Path.touch, "loop": loop, "pipe": os.mkfifo, "unreadable": lambda path: path.mkdir(0)}


@pytest.mark.parametrize("odd", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("part", [".rtlab", "campaigns"])
def test_what_is_broken_completes_to_nothing(
    part: str, odd: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd(tmp_path / part)
    monkeypatch.chdir(tmp_path)
    assert completion.campaigns("") == completion.trials("") == completion.machines("") == []
