"""Each experiment's parser on output of real trials, and on the same output damaged.

Expected values come from the golden files by other tools than the parsers: `jq` for single fields and differences,
`numpy.polyfit` for slopes, the eye for Bonnie++'s line (a rate of N K/s is 1024 N B/s).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins
from rtlab.errors import ParseError
from rtlab.experiments.cpu import experiment as cpu
from rtlab.experiments.settings import PAGE_SHA256
from rtlab.model import CampaignSpec, Machine, Observation, RawOutput
from tests.conftest import make_record, make_spec, make_trial

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("boot", "cpu", "io", "memory", "network")
# The settings of the campaign that the golden files come from.
CHANGED: dict[str, dict[str, Any]] = {
    "cpu": {"window_s": 5},
    "io": {"size_mb": 2048},
    "memory": {"window_s": 10, "containers": [1, 2, 5]},
    "network": {"window_s": 10},
}


def parameters(name: str, **changes: Any) -> dict[str, Any]:
    return {**plugins.experiment(name).defaults("default"), **CHANGED.get(name, {}), **changes}


def golden(name: str, runtime: str) -> tuple[str, dict[str, Any]]:
    folder = GOLDEN / name / runtime
    stdout = folder / "stdout"
    return stdout.read_text() if stdout.exists() else "", json.loads((folder / "probe.json").read_text())


def parse(name: str, stdout: str, probe: dict[str, Any], **changes: Any) -> tuple[Observation, ...]:
    record = make_record(make_trial(experiment=name))
    raw = RawOutput(record=record, stdout=stdout, stderr="", probe=probe)
    return plugins.experiment(name).parse(raw, parameters(name, **changes))


def values(found: tuple[Observation, ...], metric: str) -> list[float | None]:
    return [o.value for o in found if o.metric == metric]


BOOT = {
    "runc": {
        "cold_first_page_s": [0.986378378],
        "first_page_s": [0.223684789, 0.235135924, 0.198249118, 0.217401817],
        "cli_returned_s": [0.275358705, 0.247087635],
        "null_s": [0.002132692, 0.000797297, 0.000405539, 0.000436305, 0.000495744],
    },
    "gvisor": {
        "cold_first_page_s": [0.808376572],
        "first_page_s": [0.691983, 0.670982752, 0.518291861, 0.509516555],
        "cli_returned_s": [0.4588918, 0.396894655],
        "null_s": [0.000709124, 0.000424778, 0.000303486, 0.000291708, 0.000423446],
    },
}
CPU = {
    "runc": {
        "compute_cpu_s": 1.973024388,
        "work_cpu_s": 1.606136999,
        "startup_cpu_s": 0.081204212,
        "user_s": 4.6,
        "idle_s": 4.68,
    },
    "gvisor": {
        "compute_cpu_s": 2.004468425,
        "work_cpu_s": 15.322320153,
        "startup_cpu_s": 0.167907132,
        "user_s": 1.31,
        "idle_s": 2.83,
    },
}
MEMORY = {
    "runc": {
        "container_pss_bytes": 5191719.384615383,
        "fixed_pss_bytes": 13220076.307692295,
        "container_cgroup_bytes": 5795209.846153845,
        "container_available_bytes": 12223094.153846152,
        "total_bytes": 25276502016,
        "used_bytes": 2995773440,
        "active_bytes": 1507999744,
    },
    "gvisor": {
        "container_pss_bytes": 19067234.461538456,
        "fixed_pss_bytes": 31765582.769230735,
        "container_cgroup_bytes": 22836775.38461538,
        "container_available_bytes": 27197439.999999993,
        "total_bytes": 25276502016,
        "used_bytes": 5795209216,
        "active_bytes": 1302499328,
    },
}
NETWORK = {
    "runc": {
        "bytes_recv": 2800,
        "packets_sent": 64,
        "request_s": 46.6e-6,
        "transfer_bytes_per_s": 67108864 / 0.047127379,
    },
    "gvisor": {
        "bytes_recv": 15072,
        "packets_sent": 323,
        "request_s": 943.977e-6,
        "transfer_bytes_per_s": 67108864 / 0.170549485,
    },
}
IO: dict[str, dict[str, float | None]] = {
    "runc": {
        "put_block_bytes_per_s": 252728 * 1024,
        "put_block_cpu_percent": 30,
        "get_block_bytes_per_s": 2242197 * 1024,
        "get_block_cpu_percent": 34,
        "seeks_per_s": 5239,
    },
    "gvisor": {
        "put_block_bytes_per_s": 256054 * 1024,
        "put_block_cpu_percent": 98,
        "get_block_bytes_per_s": 525235 * 1024,
        "get_block_cpu_percent": 97,
        "seeks_per_s": None,
    },
}


@pytest.mark.parametrize("runtime", ["runc", "gvisor"])
def test_boot(runtime: str) -> None:
    found = parse("boot", *golden("boot", runtime))
    for metric, expected in BOOT[runtime].items():
        assert values(found, metric) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("runtime", ["runc", "gvisor"])
@pytest.mark.parametrize(("name", "expected"), [("cpu", CPU), ("memory", MEMORY), ("network", NETWORK)])
def test_one_value_per_metric(name: str, expected: dict[str, dict[str, float]], runtime: str) -> None:
    found = parse(name, *golden(name, runtime))
    for metric, value in expected[runtime].items():
        assert values(found, metric) == [pytest.approx(value, rel=1e-6)], metric


@pytest.mark.parametrize("runtime", ["runc", "gvisor"])
def test_io(runtime: str) -> None:
    found = parse("io", *golden("io", runtime))
    assert {o.metric: o.value for o in found} == pytest.approx(IO[runtime])


def test_too_fast_to_tell_is_no_value_and_never_zero() -> None:
    seeks = [o for o in parse("io", *golden("io", "gvisor")) if o.metric == "seeks_per_s"]
    assert [(o.value, o.note) for o in seeks] == [(None, "too fast to tell")]


def test_another_file_size_than_the_papers_is_labelled() -> None:
    stdout, probe = golden("io", "runc")
    found = parse("io", stdout.replace(",2G,", ",512M,"), probe, size_mb=512)
    assert {o.note for o in found} == {"file of 512 MiB, not 2 GB"}


def test_a_file_size_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(ParseError, match="not of 536870912"):
        parse("io", *golden("io", "runc"), size_mb=512)


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def damage(probe: dict[str, Any]) -> None:
        for key in path[:-1]:
            probe = probe[key]
        del probe[path[-1]]

    return damage


def put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def damage(probe: Any) -> None:
        for key in path[:-1]:
            probe = probe[key]
        probe[path[-1]] = value

    return damage


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("boot", without("measured", "socket")),
        ("boot", put("fast", "measured", "socket", 2, "first_page_ns")),
        ("boot", put(0, "measured", "socket", 2, "first_page_ns")),
        ("cpu", without("measured", "compute")),
        ("cpu", put("118842243771410157926686392677: 3 5\n", "measured", "compute", "stdout")),
        ("cpu", put(None, "measured", "compute", "stdout")),
        ("cpu", put(-1.0, "measured", "compute", "cpu_s")),
        ("cpu", put(float("nan"), "measured", "compute", "cpu_s")),
        ("memory", put([], "measured", "density", "steps")),
        ("memory", put("many", "measured", "density", "steps", 0, "pss_bytes")),
        ("network", without("measured", "latency")),
    ],
)
def test_a_damaged_document_raises(name: str, damage: Callable[[dict[str, Any]], None]) -> None:
    stdout, probe = golden(name, "runc")
    damage(probe)
    with pytest.raises(ParseError):
        parse(name, stdout, probe)


@pytest.mark.parametrize(
    ("name", "damage", "lost", "why"),
    [
        # iowait and idle that go down between two readings: nomad#18804, sysstat#273.
        ("cpu", put(0.0, "measured", "after", "cpu_times_s", "iowait"), {"iowait_s"}, "went backwards"),
        ("cpu", put(0.0, "measured", "after", "cpu_times_s", "idle"), {"idle_s"}, "went backwards"),
        ("cpu", put(float("nan"), "measured", "after", "cpu_times_s", "user"), {"user_s"}, "is no number"),
        ("cpu", put(-1.0, "measured", "compute", "startup_cpu_s"), {"startup_cpu_s"}, "went backwards"),
        ("cpu", without("measured", "work"), {"work_cpu_s"}, "has no measured.work"),
        ("memory", without("measured", "after", "memory_used_by_the_paper_bytes"), {"used_bytes"}, "has no"),
        ("memory", put("x", "measured", "density", "steps", 0, "cgroup_bytes"), {"container_cgroup_bytes"}, "number"),
        ("network", put(0, "measured", "after", "network", "bytes_recv"), {"bytes_recv"}, "went backwards"),
        ("network", put(0, "measured", "transfer", "elapsed_ns"), {"transfer_bytes_per_s"}, "took 0 s"),
        ("boot", put(True, "measured", "cli", 0, "returned_ns"), {"cli_returned_s"}, "has no returned_ns"),
        ("boot", without("measured", "null"), {"null_s"}, "has no measured.null"),
        ("boot", put(None, "measured", "socket", 2, "stop_ns"), {"stop_s"}, "has no stop_ns"),
    ],
)
def test_a_fault_of_a_secondary_counter_costs_that_value_alone(
    name: str, damage: Callable[[dict[str, Any]], None], lost: set[str], why: str
) -> None:
    stdout, probe = golden(name, "runc")
    whole = {(o.metric, o.index, o.value) for o in parse(name, stdout, probe)}
    damage(probe)
    found = parse(name, stdout, probe)

    assert {o.metric for o in found if o.value is None} - {m for m, _, v in whole if v is None} == lost
    assert all(why in o.note for o in found if o.metric in lost)
    assert {(o.metric, o.index, o.value) for o in found if o.metric not in lost} == {
        (m, i, v) for m, i, v in whole if m not in lost
    }


def test_a_broken_column_of_bonnie_costs_that_column_alone() -> None:
    stdout, probe = golden("io", "runc")
    found = {o.metric: o for o in parse("io", stdout.replace(",2242197,34,", ",22x42197,34,"), probe)}

    assert found["put_block_bytes_per_s"].value == 252728 * 1024
    assert found["seeks_per_s"].value == 5239
    assert found["get_block_bytes_per_s"].value is None
    assert "'22x42197'" in found["get_block_bytes_per_s"].note


@pytest.mark.parametrize("cut", [0, 1, 30, 60, 100, 137])
def test_a_cut_line_of_bonnie_raises(cut: int) -> None:
    stdout, probe = golden("io", "runc")
    with pytest.raises(ParseError):
        parse("io", stdout.rstrip("\n")[:cut].rstrip(","), probe)


def test_counters_since_boot_are_not_differences() -> None:
    stdout, probe = golden("cpu", "runc")
    found = parse("cpu", stdout, probe, uptime_s=380.0, work_mb=0, compute_units=0)
    assert values(found, "user_s") == [probe["measured"]["after"]["cpu_times_s"]["user"]]
    assert values(found, "work_cpu_s") == [None]
    assert any(f"read at {probe['measured']['after']['at_uptime_s']:.0f} s of uptime" in o.note for o in found)


def test_meters_that_disagree_are_named() -> None:
    # By the expected slopes above: cgroup is 11.6 % and the fall of MemAvailable 135 % above PSS.
    notes = {o.note for o in parse("memory", *golden("memory", "runc")) if o.metric == "container_pss_bytes"}
    assert notes == {"the meters disagree: PSS 5.0 MiB, cgroup 5.5 MiB, fall of MemAvailable 11.7 MiB"}


def test_meters_that_agree_need_no_note() -> None:
    stdout, probe = golden("memory", "runc")
    for step in probe["measured"]["density"]["steps"]:
        step.update(
            dict.fromkeys(("pss_bytes", "cgroup_bytes", "available_fall_bytes"), 1_000_000 * step["containers"])
        )
        step["cgroup_bytes"] = int(1.09 * step["cgroup_bytes"])
    notes = {o.note for o in parse("memory", stdout, probe) if o.metric == "container_pss_bytes"}
    assert notes == {""}


@pytest.mark.parametrize("design", ["default", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_allowed_and_one_metric_is_primary(name: str, design: Any) -> None:
    experiment = plugins.experiment(name)
    defaults = experiment.defaults(design)
    assert experiment.problems(defaults) == ()
    assert experiment.duration_s(defaults) > 0
    assert sum(metric.primary for metric in experiment.metrics) == 1
    assert len({metric.name for metric in experiment.metrics}) == len(experiment.metrics)


@pytest.mark.parametrize(
    ("name", "wrong", "named"),
    [
        ("boot", {"starts": 1}, "starts"),
        ("boot", {"starts": -1}, "starts"),
        ("boot", {"begins": 3}, "begins"),
        ("io", {"ram_mb": 2048}, "ram_mb"),
        ("io", {"folder": "tmp"}, "folder"),
        ("cpu", {"window_s": "long"}, "window_s"),
        ("memory", {"containers": [3, 3]}, "containers"),
        ("memory", {"containers": 5}, "containers"),
        ("network", {"url": "ftp://x"}, "url"),
        ("network", {"url": 'http://x"\nproxy = "y'}, "url"),
        ("network", {"requests": 1}, "requests"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, wrong: dict[str, Any], named: str) -> None:
    problems = plugins.experiment(name).problems(wrong)
    assert len(problems) == 1
    assert named in problems[0]


def spec_of(name: str, **changes: Any) -> CampaignSpec:
    return make_spec(parameters={name: parameters(name, **changes)}, experiments=(name,))


@pytest.mark.parametrize("name", NAMES)
def test_the_workload_is_the_same_for_every_runtime(name: str) -> None:
    experiment, spec, machine = plugins.experiment(name), spec_of(name), Machine(name="node1")
    requests = [
        experiment.request(make_trial(experiment=name, runtime=r, arm=r), spec, machine, plugins.runtime(r))
        for r in ("runc", "crun", "gvisor", "kata")
    ]
    assert all(request == requests[0] for request in requests)


def test_bonnie_is_asked_as_the_paper_has_it() -> None:
    request = plugins.experiment("io").request(
        make_trial(experiment="io"), spec_of("io"), Machine(name="node1"), plugins.runtime("runc")
    )
    assert " ".join(request["command"]) == "bonnie++ -d /tmp -s 2048 -r 1024 -f -b -n 0 -u root -q -m rtlab"


def test_papers_tables_have_their_cells() -> None:
    # The columns of Tables I to V as paper-tables.json has them.
    covered = {metric.paper for name in NAMES for metric in plugins.experiment(name).metrics if metric.paper}
    published = json.loads((Path(plugins.__file__).parent / "report" / "paper-tables.json").read_text())["tables"]
    assert covered == {(table, column) for table, content in published.items() for column in content["runc"]}


def test_the_page_is_the_image_builders_page() -> None:
    from rtlab.artifacts import images

    assert images.PAGE_SHA256 == PAGE_SHA256


def test_the_number_to_factor_is_the_product_of_its_two_primes() -> None:
    assert cpu.FACTORS[0] * cpu.FACTORS[1] == cpu.NUMBER
    found = parse("cpu", *golden("cpu", "runc"))
    assert values(found, "compute_cpu_s") == [pytest.approx(1.973024388)]
    with pytest.raises(ParseError, match="factors"):  # four lines were printed, five asked for
        parse("cpu", *golden("cpu", "runc"), compute_units=5)


def test_a_campaign_from_before_there_was_computing_keeps_the_pipe_as_its_primary() -> None:
    old = plugins.experiment_of("cpu", {"work_mb": 512, "window_s": 10})
    assert [(m.name, m.title) for m in old.metrics if m.primary] == [("work_cpu_s", "CPU time for the unit of work")]
    assert "compute_cpu_s" not in {m.name for m in old.metrics}
    new = plugins.experiment_of("cpu", plugins.experiment("cpu").defaults("default"))
    assert [m.name for m in new.metrics if m.primary] == ["compute_cpu_s"]
    assert new is plugins.experiment("cpu")
