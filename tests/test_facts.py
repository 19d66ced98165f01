"""Facts are compared without what changes by itself."""

from __future__ import annotations

from rtlab.store import facts

BASE = {
    "kernel": "6.1.0",
    "boot_id": "a",
    "cpu": {"model": "EPYC", "count": 4, "cpu_mhz": 2900.1},
    "memory_total_bytes": 8_348_545_024,
    "docker": {"version": "20.10.24"},
}


def test_what_changes_by_itself_is_not_a_change() -> None:
    later = {**BASE, "boot_id": "b", "cpu": {**BASE["cpu"], "cpu_mhz": 1200.0}}  # type: ignore[dict-item]
    assert facts.changes(BASE, later) == ()


def test_a_change_is_named_with_both_values() -> None:
    later = {**BASE, "docker": {"version": "23.0.1"}}
    assert facts.changes(BASE, later) == ("docker.version: was 20.10.24, is now 23.0.1",)


def test_something_absent_is_not_a_zero() -> None:
    later = {k: v for k, v in BASE.items() if k != "kernel"}
    assert facts.changes(BASE, later) == ("kernel: was 6.1.0, is now absent",)


def test_the_papers_own_machines_were_no_twins_within_a_thousandth_they_are() -> None:
    """Table IV: 8348.5 and 8361.5 MB: 0.16 % apart, within the tolerance; 1 % apart is named."""
    paper = {"node1": BASE, "node2": {**BASE, "memory_total_bytes": 8_361_545_728}}
    assert facts.twin_differences(paper) == ()
    unequal = {"node1": BASE, "node2": {**BASE, "memory_total_bytes": 8_264_000_000}}
    assert facts.twin_differences(unequal) == ("memory_total_bytes: on node1 8348545024, on node2 8264000000",)


def test_one_machine_has_no_twin() -> None:
    assert facts.twin_differences({"node1": BASE}) == ()
