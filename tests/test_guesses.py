"""Rules of thumb with a number in them: how long a trial may take, how much stolen time is told."""

from __future__ import annotations

import pytest

from rtlab import plugins
from rtlab.campaign.pace import Pace
from rtlab.model import Level
from rtlab.report import causes
from tests.conftest import make_record, make_spec, make_trial


@pytest.mark.parametrize(
    ("stolen_s", "lasted_s", "told"),
    [(1.1, 60, False), (1.3, 60, True), (0.09, 1, False), (0.11, 1, True), (2.0, 120, False)],
)
def test_stolen_time_is_told_above_two_percent_of_the_trial_and_a_tenth_of_a_second(
    stolen_s: float, lasted_s: int, told: bool
) -> None:
    record = make_record(
        started_at="2026-11-23T10:00:00Z", ended_at=f"2026-11-23T10:{lasted_s // 60:02}:{lasted_s % 60:02}Z"
    )
    found = causes.during(record, {"context": {"steal_s": stolen_s}})
    assert found == ([f"{stolen_s:.1f} s of processor time stolen"] if told else [])


# Worked out by hand: seconds for each start, MB, exec, container or request, beside the windows.
GUESSES = [
    ("boot", {"starts": 10, "cli_starts": 2}, 30.0),
    ("cpu", {"uptime_s": 0, "window_s": 20, "work_mb": 1000, "compute_units": 5}, 20 + 4 + 6 + 3),
    ("cpu", {"uptime_s": 60, "window_s": 20, "work_mb": 0}, 64.0),
    ("exec", {"execs": 200}, 24.0),
    ("io", {"skip_per_character": False, "size_mb": 2048}, 3 + 102.4),
    ("io", {"skip_per_character": True, "size_mb": 2000}, 33.0),
    ("memory", {"containers": [1, 5, 10], "settle_s": 2, "uptime_s": 0, "window_s": 20}, 20 + 4 + 7 + 6),
    ("network", {"uptime_s": 0, "window_s": 20, "requests": 1000}, 30.0),
]


@pytest.mark.parametrize(("name", "parameters", "seconds"), GUESSES)
def test_a_trials_first_guess(name: str, parameters: dict[str, object], seconds: float) -> None:
    assert plugins.experiment(name).duration_s(parameters) == pytest.approx(seconds)


@pytest.mark.parametrize(("level", "times"), [(Level.METAL, 1), (Level.NESTED, 1), (Level.EMULATED, 4)])
def test_emulated_machines_take_four_times_as_long_until_one_was_seen(level: Level, times: int) -> None:
    pace = Pace(make_spec(parameters={"boot": {"starts": 10, "cli_starts": 2}}), level)
    assert pace.trial_s(make_trial()) == times * 30
    pace.seen["boot", "runc"] = [7.0, 9.0]
    assert pace.trial_s(make_trial()) == 8


def test_simulated_trials_take_no_time() -> None:
    pace = Pace(make_spec(parameters={"boot": {"starts": 10, "cli_starts": 2}}), Level.SIMULATED)
    assert pace.trial_s(make_trial()) == 0
