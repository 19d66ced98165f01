"""What containers saw and left behind, from the trials' own records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtlab import store
from rtlab.report import build
from rtlab.report.containers import Containers
from tests.conftest import make_record, make_trial

TITLES = {"runc": "runC", "kata": "Kata"}
GIB = 1 << 30
WHOLE = {"inside_cpus": 4, "inside_memory_bytes": 8 * GIB}
GUEST = {"inside_cpus": 1, "inside_memory_bytes": 2 * GIB}


def collected(*trials: tuple[str, str, dict[str, Any]], parameters: dict[str, Any] | None = None) -> Containers:
    found = Containers()
    for number, (experiment, runtime, probe) in enumerate(trials, 1):
        trial = make_trial(number, experiment=experiment, runtime=runtime, arm=runtime)
        found.add(make_record(trial), probe, parameters or {})
    return found


def saw(**evidence: Any) -> dict[str, Any]:
    return {"proof": {"evidence": evidence}, "leaks": []}


def test_unequal_containers_are_named() -> None:
    found = collected(("boot", "runc", saw(**WHOLE)), ("boot", "kata", saw(**GUEST)), ("io", "kata", saw(**GUEST)))
    assert found.rows(("runc", "kata"), TITLES) == [
        ("all", "a container saw (boot)", "runC 4 CPUs and 8.0 GiB; Kata 1 CPU and 2.0 GiB"),
        ("all", "a container saw (io)", "Kata 1 CPU and 2.0 GiB"),
        ("all", "left behind", "nothing, after 3 trials"),
    ]
    (caveat,) = found.caveats(("runc", "kata"), TITLES)
    assert caveat.kind == "unequal containers"
    assert caveat.message.startswith("boot: containers did not have the same CPUs and memory (runC 4 CPUs and 8.0 GiB,")


@pytest.mark.parametrize(
    "kata",
    [
        # What Kata 1.12.1 gives for --cpus 1 --memory 512m: a CPU and memory more for the guest, a cgroup in it.
        {
            "inside_cpus": 2, "inside_memory_bytes": 2.5 * GIB,
            "inside_cpu_limit": 1.0, "inside_memory_limit_bytes": GIB / 2,
        },
        # gVisor shows no cgroups inside: the engine's limits are in force around it.
        {"inside_cpus": 4, "inside_memory_bytes": 8 * GIB},
    ],
)  # fmt: skip
def test_equal_limits_make_them_equal(kata: dict[str, Any]) -> None:
    runc = {**WHOLE, "inside_cpu_limit": 1.0, "inside_memory_limit_bytes": GIB // 2}
    limits = {"limit_cpus": 1.0, "limit_memory_mb": 512}
    found = collected(("cpu", "runc", saw(**runc)), ("cpu", "kata", saw(**kata)), parameters=limits)
    assert found.usual("cpu", "kata") == found.usual("cpu", "runc") == (1.0, GIB // 2)
    assert found.caveats(("runc", "kata"), TITLES) == []


def test_a_kernel_that_keeps_a_little_memory_is_no_difference() -> None:
    found = collected(
        ("io", "runc", saw(inside_cpus=4, inside_memory_bytes=8 * GIB)),
        ("io", "kata", saw(inside_cpus=4, inside_memory_bytes=7.8 * GIB)),
    )
    assert found.caveats(("runc", "kata"), TITLES) == []


def test_leaks_are_counted_by_arm_and_kind() -> None:
    left = {"leaks": ["process kata-proxy", "mount /run/kata/<id>"]}
    found = collected(
        ("io", "runc", {"leaks": []}), ("io", "kata", left), ("io", "kata", {"leaks": ["process kata-proxy"]}),
        ("io", "kata", {"leaks": []}), ("io", "kata", {}),
    )  # fmt: skip
    told = "Kata after 2 of 3 trials: process kata-proxy (2), mount /run/kata/ (1)"
    assert ("all", "left behind", told) in found.rows(("runc", "kata"), TITLES)
    assert [(c.kind, c.message) for c in found.caveats(("runc", "kata"), TITLES)] == [
        ("leaks", f"Left behind: {told}.")
    ]


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"leaks": "x", "proof": 3},
        {"leaks": [3, None], "proof": {"evidence": []}},
        {"proof": {"evidence": {"inside_cpus": "4", "inside_memory_bytes": None}}},
        {"proof": {"evidence": {"inside_cpus": -1, "inside_memory_bytes": 1e300}}},
    ],
)
def test_a_damaged_document_says_nothing(damaged: dict[str, Any]) -> None:
    found = collected(("io", "runc", damaged))
    assert found.usual("io", "runc") is None
    assert not [row for row in found.rows(("runc",), TITLES) if "saw" in row[1]]


def test_the_real_kata_campaign_left_nothing_behind() -> None:
    report = build(store.Campaign(Path(__file__).parent / "data" / "emulated-kata-1.12.1"))
    (row,) = [text for _, what, text in report.versions if what == "left behind"]
    # 40 trials, of which one never answered: its machine hung.
    assert row == "nothing, after 39 trials"
