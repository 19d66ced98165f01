"""What stands in rtlab.toml and does nothing is said; what is typed and does nothing is refused: the same things."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from rtlab import cli, config
from rtlab.config import setting
from tests.test_bad_input import ALL_RUNTIMES, MADE, OF_RELEASES, READ_BY, VALUES

THREE_MACHINES = "machines = 3\n"


def run(capsys: pytest.CaptureFixture[str], words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = cli.run(words.split())
    said = capsys.readouterr()
    return status, said.out, " ".join(said.err.split())


@pytest.mark.parametrize(("key", "provider"), list(itertools.product(VALUES, READ_BY)))
def test_the_file_is_told_what_the_command_line_is_refused(key: str, provider: str, here: Path) -> None:
    given = {"inventory": "hosts.ini", "runtimes": ALL_RUNTIMES, key: VALUES[key]}
    lines = [f"{name} = {setting.toml(value)}" for name, value in given.items() if name != key]
    file = here / "rtlab.toml"
    file.write_text("\n".join(["[testbed]", f"{key} = {setting.toml(VALUES[key])}", *lines]))
    found = config.load(None, {"testbed": {"provider": provider}})

    told = config.idle(found, "testbed", lambda dotted: config.refusal(dotted.partition(".")[2], found.testbed))

    matters = key in {"profile", "runtimes", "design"} | READ_BY[provider] | (
        OF_RELEASES if provider in MADE else set()
    )
    about = [line for line in told if line.startswith(f"rtlab.toml line 2: testbed.{key} does nothing")]
    assert len(about) == (0 if matters else 1), told


def test_up_says_it_with_line_and_remedy_and_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rtlab.toml").write_text('[testbed]\nruntimes = ["runc", "gvisor"]\nkata_version = "3.31.0"\ncpus = 3\n')
    status, out, err = run(capsys, "up --provider simulated --json")
    assert status == 0
    assert "rtlab.toml line 3: testbed.kata_version does nothing with simulated; it is for libvirt, virtualbox." in err
    assert "rtlab.toml line 4: testbed.cpus does nothing with simulated; it is for libvirt, virtualbox." in err
    assert json.loads(out)["testbed"]["provider"] == "simulated"


def test_a_release_without_its_runtime_is_said(here: Path) -> None:
    (here / "rtlab.toml").write_text('[testbed]\nruntimes = ["runc", "gvisor"]\nkata_version = "3.31.0"\n')
    found = config.load(None, {"testbed": {"provider": "libvirt"}})
    (told,) = config.idle(found, "testbed", lambda dotted: config.refusal(dotted.partition(".")[2], found.testbed))
    assert (
        told == "rtlab.toml line 3: testbed.kata_version does nothing without the runtime kata; there are runc, gvisor."
    )


CAMPAIGNS = [
    ("[experiments.io]\nsize_mb = 64\n", "--set io.size_mb=64", "--experiments boot", "experiments.io"),
    ("[campaign]\nmax_blocks = 50\n", "--max-blocks 50", "", "campaign.max_blocks"),
    ("[campaign]\nmax_hours = 2.0\n", "--max-hours 2", "", "campaign.max_hours"),
    ("[campaign]\naa = true\n", "--aa", "--design paper", "campaign.aa"),
]


@pytest.mark.parametrize("command", ["plan", "bench --dry-run"])
@pytest.mark.parametrize(("text", "typed", "beside", "key"), CAMPAIGNS, ids=lambda p: p.strip()[:30])
def test_of_a_campaign_the_file_is_told_and_the_command_line_refused(
    text: str, typed: str, beside: str, key: str, command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design = " --design paper" if "paper" in beside else ""
    assert run(capsys, f"up --provider simulated{design}")[0] == 0
    status, _, err = run(capsys, f"{command} {beside} {typed}")
    assert status == 2 and f"{typed.split('=')[0].split('.')[0].split(' ')[0]}" in err and "does nothing" in err

    (here / "rtlab.toml").write_text(text)
    status, _, err = run(capsys, f"{command} {beside}")

    assert status == 0 and f"{key} does nothing" in err and "rtlab.toml line " in err


def test_where_it_matters_nothing_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of the file that `rtlab init` writes, whose every section is there."""
    assert run(capsys, "init")[0] == 0
    assert "does nothing" not in run(capsys, "up --provider simulated")[2]
    assert "does nothing" not in run(capsys, "plan --experiments boot")[2]
    (here / "rtlab.toml").write_text(
        "[campaign]\nuntil_percent = 5.0\nmax_blocks = 50\n[experiments.boot]\nstarts = 3\n"
    )
    assert "does nothing" not in run(capsys, "plan --experiments boot")[2]


@pytest.mark.parametrize(("typed", "made"), [("", 3), ("--machines 2", 2), ("--machines 4", 4)])
def test_the_number_of_machines_that_is_typed_goes_before_the_scenario_s(
    typed: str, made: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built_in = Path(cli.__file__).parents[1] / "providers" / "simulated" / "scenarios" / "paper.toml"
    (here / "three.toml").write_text(THREE_MACHINES + built_in.read_text())
    status, out, err = run(capsys, f"up --provider simulated --scenario three.toml --json {typed}")
    assert status == 0, err
    assert len(json.loads(out)["testbed"]["machines"]) == made
