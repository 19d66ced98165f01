"""exec: what is in the timed interval, what counts of a trial, and what a damaged document costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins
from rtlab.errors import ParseError
from rtlab.experiments.exec import measure
from rtlab.model import RawOutput
from rtlab.probe.base import Invalid
from rtlab.probe.engine import Executed
from tests import processes
from tests.conftest import make_record, make_trial

EXEC = plugins.experiment("exec")
MS = 1_000_000


def document() -> dict[str, Any]:
    """Two hundred commands that took 1, 2, … 200 ms, in no order; 9 ms for the first; 1, 2 and 6 ms for nothing."""
    times = [(n * 77 % 200 + 1) * MS for n in range(200)]
    return {"first_ns": [9 * MS], "execs_ns": times, "null_ns": [6 * MS, 1 * MS, 2 * MS]}


def parsed(measured: dict[str, Any]) -> dict[str, tuple[float | None, str]]:
    raw = RawOutput(
        record=make_record(make_trial(experiment="exec")), stdout="", stderr="", probe={"measured": measured}
    )
    parameters = {**EXEC.defaults("default"), "execs": 200, "null_execs": 3}
    return {o.metric: (o.value, o.note) for o in EXEC.parse(raw, parameters)}


def test_median_and_95th_percentile_are_of_the_later_commands() -> None:
    """Of 1 … 200 the median is 100.5, and 190 is the least that 95 % (190 of 200) do not exceed."""
    found = parsed(document())
    assert found == {
        "exec_s": (pytest.approx(0.1005), ""),
        "exec_p95_s": (pytest.approx(0.190), ""),
        "first_exec_s": (pytest.approx(0.009), ""),
        "null_s": (pytest.approx(0.002), ""),
    }


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("execs_ns"),
        lambda d: d["execs_ns"].pop(),
        lambda d: d["execs_ns"].append(1),
        lambda d: d.update(execs_ns=7),
        *(lambda d, v=value: d["execs_ns"].__setitem__(5, v) for value in (0, -1, True, None, "3", 1.5, 10**18)),
    ],
)
def test_without_the_commands_times_there_is_no_value(damage: Callable[[dict[str, Any]], Any]) -> None:
    measured = document()
    damage(measured)
    with pytest.raises(ParseError):
        parsed(measured)


@pytest.mark.parametrize(("place", "metric"), [("first_ns", "first_exec_s"), ("null_ns", "null_s")])
@pytest.mark.parametrize("value", [[], None, [0], ["x"]])
def test_what_is_damaged_beside_them_costs_its_own_value_only(place: str, metric: str, value: Any) -> None:
    found, whole = parsed({**document(), place: value}), parsed(document())
    value, note = found.pop(metric)
    assert value is None and place in note
    assert all(found[name] == whole[name] for name in found)


# --------------------------------------------------------------------------- on the machine


class SlowAround(processes.ProcessEngine):
    """Commands that take 5 ms, whose status is told 60 ms later."""

    status = 0

    def exec(self, cid: str, command: Sequence[str]) -> Executed:
        time.sleep(0.005)

        def told() -> int:
            time.sleep(0.06)
            return self.status

        return Executed("", "no such file", told)


def request() -> dict[str, Any]:
    return {
        "runtime": {"name": "runc", "docker_name": "runc", "proof": "runc"},
        "images": {"tools": "tools"},
        "parameters": {**EXEC.defaults("default"), "execs": 20, "null_execs": 3},
        "engine_socket": "",
        "timeout_s": 60.0,
    }


def test_asking_for_the_status_is_not_timed(tmp_path: Path) -> None:
    with processes.trial(tmp_path, request()) as trial:
        trial.engine.__class__ = SlowAround
        found = measure.measure(trial)
    assert len(found["execs_ns"]) == 20
    assert sorted(found["execs_ns"])[10] < 50 * MS, "5 ms, and not the 60 after them"


def test_a_command_that_fails_makes_the_trial_invalid(tmp_path: Path) -> None:
    with processes.trial(tmp_path, request()) as trial:
        trial.engine.__class__ = SlowAround
        trial.engine.status = 127
        with pytest.raises(Invalid, match="status 127: no such file"):
            measure.measure(trial)
        assert not trial.proved


def test_a_status_that_the_engine_learns_a_moment_later_is_waited_for(tmp_path: Path) -> None:
    class Late(processes.ProcessEngine):
        def exec(self, cid: str, command: Sequence[str]) -> Executed:
            answers = [None, None, 0]
            return Executed("", "", lambda: answers.pop(0))

    with processes.trial(tmp_path, request()) as trial:
        trial.engine.__class__ = Late
        assert len(measure.measure(trial)["execs_ns"]) == 20


def test_it_is_proved_after_the_first_command_and_before_the_others(tmp_path: Path) -> None:
    """Looking inside is a command, too: it must neither warm up the first nor stand between the others."""
    seen: list[str] = []

    class Told(processes.ProcessEngine):
        def exec(self, cid: str, command: Sequence[str]) -> Executed:
            seen.append(" ".join(command))
            return Executed("", "", lambda: 0)

    with processes.trial(tmp_path, request()) as trial:
        trial.engine.__class__ = Told
        proved = type(trial).prove
        trial.prove = lambda cid: (seen.append("proof"), proved(trial, cid))  # type: ignore[method-assign]
        measure.measure(trial)
    assert seen == ["true", "proof", *["true"] * 20]
