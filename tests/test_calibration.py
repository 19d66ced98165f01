"""The sizes that io's calibration chooses: by hand, and on what real runs printed."""

from __future__ import annotations

import pytest

from rtlab.experiments.calibration import Chosen, Limits, Reading, Step, next_step
from rtlab.units import MIB

KIB = 1024


def reading(
    arm: str, size_mb: int, put: float | None, get: float | None, seeks: float | None, s: float, count: int = 8192
) -> Reading:
    """Rates as Bonnie++ prints them: KiB/s."""
    return Reading(
        arm=arm,
        size_mb=size_mb,
        seek_count=count,
        put=put and put * KIB,
        get=get and get * KIB,
        seeks=seeks,
        elapsed_s=s,
    )


# What four runs under runC and gVisor (ptrace, two shared CPUs) printed on 2026-11-25.
RUNC = reading("runc", 256, None, None, None, 3.71)
GVISOR = reading("gvisor", 256, 181738, 292742, 13912, 8.56)
RUNC_1024 = reading("runc", 1024, 794796, None, 55412, 5.94, 32768)
RUNC_1184 = reading("runc", 1184, 1202208, None, 50458, 5.81, 32768)
LIMITS = Limits(disk_mb=40000, longest_s=40)
ARMS = ("runc", "gvisor")


def test_each_arm_runs_once_small() -> None:
    assert next_step(ARMS, [], LIMITS) == Step(arm="runc", size_mb=256, seek_count=8192)
    assert next_step(ARMS, [RUNC], LIMITS) == Step(arm="gvisor", size_mb=256, seek_count=8192)


def test_what_was_too_fast_is_tried_four_times_as_large_within_the_slowest_arms_time() -> None:
    assert next_step(ARMS, [RUNC, GVISOR], LIMITS) == Step(arm="runc", size_mb=1024, seek_count=32768)
    # gVisor: 256 MiB took 8.56 s, so 40 s allow 1196 MiB; whole 16 MiB of that are 1184.
    assert next_step(ARMS, [RUNC, GVISOR, RUNC_1024], LIMITS) == Step(arm="runc", size_mb=1184, seek_count=32768)


def test_the_choice_and_what_it_cannot_tell_as_in_the_real_campaign() -> None:
    chosen = next_step(ARMS, [RUNC, GVISOR, RUNC_1024, RUNC_1184], LIMITS)
    assert isinstance(chosen, Chosen)
    # 50458 seeks/s for 1.5 s are 75687, in steps of 4096: 77824. The primary gets all of the 1184 MiB there are.
    assert (chosen.size_mb, chosen.seek_count) == (1184, 77824)
    assert "io.longest_s) under gvisor" in chosen.reason
    (first,) = chosen.cannot  # at 1202208 KiB/s the output takes 1.008 s
    assert "block input under runc" in first and "block output" not in first


def test_a_primary_that_the_bound_keeps_below_a_second_is_said_to_be_less_exact() -> None:
    limits = Limits(disk_mb=40000, longest_s=30)  # 896 MiB of gVisor's, 0.76 s of runC's
    chosen = next_step(ARMS, [RUNC, GVISOR, RUNC_1184], limits)
    assert isinstance(chosen, Chosen)
    assert chosen.size_mb == 896
    assert chosen.cannot[1] == "shorter than 1 s, so less exact: block output under runc"


def test_where_everything_can_be_told_no_phase_ends_below_a_second() -> None:
    found = [
        reading("runc", 256, 102400, 204800, 5000, 5.0),
        reading("kata", 256, 51200, 409600, 9000, 6.0),
    ]
    chosen = next_step(("runc", "kata"), found, Limits(disk_mb=100000, longest_s=120))
    # 400 MiB/s for 1.5 s: 600 MiB, in steps of 64: 640. 9000/s for 1.5 s: 13500, in steps of 4096: 16384.
    assert chosen == Chosen(
        size_mb=640,
        seek_count=16384,
        reason="640 MiB is the least at which no phase ends below 1 s; 16384 seeks; by 2 runs before the first block",
        cannot=(),
    )
    for run in found:
        for rate in (run.put, run.get):
            assert rate is not None and chosen.size_mb * MIB / rate >= 1
        assert run.seeks is not None and chosen.seek_count / run.seeks >= 1


def test_a_phase_that_no_allowed_size_can_tell_does_not_make_the_file_large() -> None:
    found = [reading("runc", 256, 102400, None, 5000, 5.0), reading("runc", 1024, 102400, None, 5000, 20.0)]
    found.append(reading("runc", 1488, 102400, None, 5000, 29.0))
    chosen = next_step(("runc",), found, Limits(disk_mb=100000, longest_s=29))
    assert isinstance(chosen, Chosen)
    assert chosen.size_mb == 256  # 100 MiB/s for 1.5 s are 150 MiB
    assert chosen.cannot[0].startswith("too fast to tell, so without a value: block input under runc")


def test_the_disk_bounds_it_and_is_named() -> None:
    first = next_step(("runc",), [], Limits(disk_mb=100, longest_s=120))
    assert first == Step(arm="runc", size_mb=100, seek_count=8192)
    chosen = next_step(("runc",), [reading("runc", 96, None, None, 5000, 1.0)], Limits(disk_mb=100, longest_s=120))
    assert isinstance(chosen, Chosen)
    assert chosen.size_mb == 96
    assert "the free disk" in chosen.cannot[0]


def test_the_users_number_of_seeks_is_kept() -> None:
    limits = Limits(disk_mb=40000, longest_s=120, seek_count=100)
    step = next_step(("runc",), [], limits)
    assert isinstance(step, Step) and step.seek_count == 100
    chosen = next_step(("runc",), [reading("runc", 256, 102400, 102400, None, 5.0, 100)], limits)
    assert isinstance(chosen, Chosen)
    assert chosen.seek_count == 100
    assert "random seeks under runc" in chosen.cannot[0]


def test_without_any_run_the_papers_size_is_taken_and_said() -> None:
    chosen = next_step((), [], LIMITS)
    assert isinstance(chosen, Chosen)
    assert (chosen.size_mb, chosen.seek_count) == (2048, 8192)
    assert "no run" in chosen.reason


@pytest.mark.parametrize("speed", [20e3, 500e3, 3e6, 20e6])
@pytest.mark.parametrize("longest", [10.0, 120.0])
def test_it_always_comes_to_an_end(speed: float, longest: float) -> None:
    """A model of Bonnie++: phases under half a second are withheld; the second arm is eight times slower."""
    found: list[Reading] = []
    limits = Limits(disk_mb=20000, longest_s=longest)
    for _ in range(20):
        step = next_step(ARMS, found, limits)
        if isinstance(step, Chosen):
            break
        rate = speed if step.arm == "runc" else speed / 8
        put, get = (None if step.size_mb * KIB / r < 0.5 else r for r in (rate, 4 * rate))
        seeks = None if step.seek_count / 30000 < 0.5 else 30000.0
        seconds = step.size_mb * KIB / rate * 1.5 + step.seek_count / 30000
        found.append(reading(step.arm, step.size_mb, put, get, seeks, seconds, step.seek_count))
    assert isinstance(step, Chosen)
    assert 16 <= step.size_mb <= 20000
    assert len(found) <= 12
