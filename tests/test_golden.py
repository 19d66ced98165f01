"""Real trials, parsed: one case per experiment in tests/golden (its NOTE says where the expected values come from)."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins, store
from rtlab.errors import ParseError
from rtlab.model import Outcome, RawOutput, Record, Trial
from tests.conftest import make_spec, make_testbed

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/expected.json"))
NAMES = [f"{case.parent.name}/{case.name}" for case in CASES]
Damage = Callable[[dict[str, Any]], None]


def record_of(folder: Path) -> Record:
    document = json.loads((folder / "record.json").read_text())
    return Record(
        **{
            **document,
            "outcome": Outcome(document["outcome"]),
            "trial": Trial(**document["trial"]),
        }
    )


def load(folder: Path, damage: Damage | None = None, **texts: str) -> tuple[RawOutput, dict[str, Any]]:
    """The raw output, damaged if wanted, and the parameters."""
    expected = json.loads((folder / "expected.json").read_text())
    probe = json.loads((folder / "probe.json").read_text())
    if damage is not None:
        damage(probe)
    raw = RawOutput(
        record=record_of(folder),
        stdout=texts.get("stdout", (folder / "stdout").read_text()),
        stderr=(folder / "stderr").read_text(),
        probe=probe,
    )
    return raw, expected["parameters"]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_real_trial_yields_the_values_computed_apart(case: Path) -> None:
    experiment = plugins.experiment(case.parent.name)
    raw, parameters = load(case)
    expected = json.loads((case / "expected.json").read_text())["values"]

    found: dict[str, list[float | None]] = {}
    units: dict[str, str] = {}
    for observation in experiment.parse(raw, parameters):
        assert observation.index == len(found.setdefault(observation.metric, []))
        assert observation.trial == raw.record.trial
        found[observation.metric].append(observation.value)
        units[observation.metric] = observation.unit
        assert (observation.value is not None) or observation.note
    assert set(found) == set(expected) == {metric.name for metric in experiment.metrics}
    from_meminfo = {metric.name for metric in experiment.metrics if metric.paper and metric.paper[0] == "IV"}
    for name, values in expected.items():
        # /proc/meminfo and psutil are read one after the other (see the NOTE).
        tolerance = 1e-3 if name in from_meminfo else 1e-9
        assert len(found[name]) == len(values), name
        for value, wanted in zip(found[name], values, strict=True):
            if wanted is None:
                assert value is None, name
            else:
                assert value == pytest.approx(wanted, rel=tolerance, abs=1e-9), name
    assert units == {metric.name: metric.unit for metric in experiment.metrics}


@pytest.mark.parametrize("name", plugins.names("experiments"))
def test_every_experiment_has_a_case_of_runc_and_of_another_runtime(name: str) -> None:
    runtimes = {case.name for case in CASES if case.parent.name == name}
    assert "runc" in runtimes and len(runtimes) > 1, f"put a real trial of {name} into tests/golden/{name}/<runtime>"


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_files_are_those_of_the_record_and_tell_nothing_private(case: Path) -> None:
    record = json.loads((case / "record.json").read_text())
    for name, digest in record["files"].items():
        content = (case / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name
        assert not re.search(rb"(?i)\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", content)
        assert not re.search(rb"\b\d{1,3}(\.\d{1,3}){3}\b|https?://|\w@\w", content)
    probe = json.loads((case / "probe.json").read_text())
    assert (probe["outcome"], probe["leaks"], probe["proof"]["ok"]) == ("ok", [], True)


def test_a_metric_that_was_too_fast_to_tell_has_no_value_rather_than_nought() -> None:
    """gVisor's random seeks are `+++++` in the golden case."""
    raw, parameters = load(GOLDEN / "io" / "gvisor")
    seeks = [o for o in plugins.experiment("io").parse(raw, parameters) if o.metric == "seeks_per_s"]
    assert [(o.value, o.note) for o in seeks] == [(None, "too fast to tell")]


# --------------------------------------------------------------------------- damaged


def without(*path: str | int) -> Damage:
    def damage(probe: dict[str, Any]) -> None:
        place: Any = probe
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return damage


def put(value: Any, *path: str | int) -> Damage:
    def damage(probe: dict[str, Any]) -> None:
        place: Any = probe
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return damage


def backwards(*path: str) -> Damage:
    """A counter that is smaller at the end of the window, as after a reboot in it."""

    def damage(probe: dict[str, Any]) -> None:
        before, after = probe["measured"]["before"], probe["measured"]["after"]
        for key in path[:-1]:
            before, after = before[key], after[key]
        after[path[-1]] = before[path[-1]] - 1

    return damage


DAMAGES: dict[str, list[Damage]] = {
    "boot": [
        without("measured"),
        without("measured", "socket"),
        without("measured", "cli"),
        without("measured", "socket", 2, "first_page_ns"),
        put({}, "measured", "socket"),
        put(None, "measured", "socket", 0),
        put("1s", "measured", "socket", 1, "first_page_ns"),
        put(-5, "measured", "socket", 1, "started_ns"),
        put(0, "measured", "null", 0, "calls_ns"),
        put(True, "measured", "cli", 0, "returned_ns"),
        put([], "measured", "socket"),
        lambda probe: probe["measured"]["socket"].pop(),
    ],
    "cpu": [
        without("measured"),
        without("measured", "before"),
        without("measured", "after", "cpu_times_s", "iowait"),
        without("measured", "work"),
        without("measured", "work", "cpu_s"),
        without("measured", "window_s"),
        backwards("cpu_times_s", "user"),
        put("12", "measured", "work", "cpu_s"),
        put(None, "measured", "after", "cpu_times_s", "idle"),
        put(-0.5, "measured", "work", "cpu_s"),
        without("measured", "compute"),
        put("factor: not found\n", "measured", "compute", "stdout"),
    ],
    "memory": [
        without("measured"),
        without("measured", "density"),
        without("measured", "density", "steps", 1),
        without("measured", "density", "steps", 1, "containers"),
        without("measured", "after", "memory_bytes", "active"),
        without("measured", "after", "memory_used_by_the_paper_bytes"),
        put(7, "measured", "density", "steps"),
        put("5 MB", "measured", "density", "steps", 0, "pss_bytes"),
        put([None, None, None], "measured", "density", "steps"),
        put(2, "measured", "density", "steps", 2, "containers"),
    ],
    "network": [
        without("measured"),
        without("measured", "latency"),
        without("measured", "latency", "median_ns"),
        without("measured", "transfer"),
        without("measured", "after", "network", "bytes_recv"),
        backwards("network", "packets_sent"),
        put(0, "measured", "transfer", "elapsed_ns"),
        put(None, "measured", "latency", "median_ns"),
    ],
    "io": [],
}
# By number: those that concern other metrics than the primary one, which keeps its values.
SECONDARY: dict[str, set[int]] = {
    "boot": {2, 7, 8, 9},
    "cpu": {1, 2, 3, 4, 6, 7, 8, 9},
    "memory": {4, 5},
    "network": {3, 4, 5, 6},
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, damages in DAMAGES.items() for number in range(len(damages))]
)
def test_a_damaged_document_is_a_parse_error_or_costs_secondary_values(name: str, number: int) -> None:
    whole, parameters = load(GOLDEN / name / "runc")
    raw, _ = load(GOLDEN / name / "runc", DAMAGES[name][number])
    if number not in SECONDARY[name]:
        with pytest.raises(ParseError):
            plugins.experiment(name).parse(raw, parameters)
        return
    experiment = plugins.experiment(name)
    before = {(o.metric, o.index): o.value for o in experiment.parse(whole, parameters)}
    found = experiment.parse(raw, parameters)
    lost = {o.metric for o in found if o.value is None and before[o.metric, o.index] is not None}
    assert lost and not lost & {m.name for m in experiment.metrics if m.primary}
    assert all(o.note not in ("", "not taken") for o in found if o.metric in lost)
    assert {(o.metric, o.index): o.value for o in found if o.metric not in lost} == {
        key: value for key, value in before.items() if key[0] not in lost
    }


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - {"io"}))
@pytest.mark.parametrize("document", [{}, {"measured": None}, {"measured": []}, {"measured": "cut"}, {"outcome": "ok"}])
def test_an_empty_or_strange_document_is_a_parse_error(name: str, document: dict[str, Any]) -> None:
    raw, parameters = load(GOLDEN / name / "runc")
    raw = replace(raw, probe=document)
    with pytest.raises(ParseError):
        plugins.experiment(name).parse(raw, parameters)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("case", [c for c in CASES if c.parent.name != "io"], ids=[n for n in NAMES if n[:2] != "io"])
def test_a_truncated_probe_json_never_becomes_values(case: Path, share: float, tmp_path: Path) -> None:
    """Stored as it came, read back by the store, parsed: an error at the end, no values."""
    content = (case / "probe.json").read_bytes()
    record = record_of(case)
    parameters = json.loads((case / "expected.json").read_text())["parameters"]
    name = record.trial.experiment
    spec = make_spec(experiments=(name,), parameters={name: parameters})
    campaign = store.create(tmp_path / "c", spec, make_testbed(), (record.trial,))
    stored = campaign.write_trial(record, {"probe.json": content[: int(len(content) * share)]})
    with pytest.raises(ParseError):
        plugins.experiment(name).parse(campaign.raw_output(stored), parameters)


def _line() -> list[str]:
    return (GOLDEN / "io" / "runc" / "stdout").read_text().strip().split(",")


def _with(index: int, text: str) -> str:
    fields = _line()
    fields[index] = text
    return ",".join(fields)


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "\n\n",
        "Writing intelligently...done\n",
        ",".join(_line())[:60],
        ",".join(_line()[:47]),
        ",".join(_line()) + ",1",
        ",".join(_line()) + "\n" + ",".join(_line()) + "\n",
        _with(11, "fast"),
        _with(12, "x"),
        _with(11, "nan"),
        _with(11, "-1"),
        _with(11, "1e300"),
        _with(5, "1G"),
        _with(5, ""),
        _with(0, "3.00"),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_what_bonnie_never_prints_is_a_parse_error(stdout: str) -> None:
    raw, parameters = load(GOLDEN / "io" / "runc", stdout=stdout)
    with pytest.raises(ParseError):
        plugins.experiment("io").parse(raw, parameters)


@pytest.mark.parametrize("text", ["nan", "-1", "1e300"])
def test_what_bonnie_never_prints_in_another_column_is_no_value(text: str) -> None:
    raw, parameters = load(GOLDEN / "io" / "runc", stdout=_with(17, text))
    found = {o.metric: o for o in plugins.experiment("io").parse(raw, parameters)}
    assert found["get_block_bytes_per_s"].value is None
    assert text in found["get_block_bytes_per_s"].note
    assert found["put_block_bytes_per_s"].value is not None and found["seeks_per_s"].value is not None


def test_parsing_changes_nothing() -> None:
    """parse is pure: twice the same, and the document as it was."""
    for case in CASES:
        raw, parameters = load(case)
        before = copy.deepcopy(raw.probe)
        experiment = plugins.experiment(case.parent.name)
        assert experiment.parse(raw, parameters) == experiment.parse(raw, parameters)
        assert raw.probe == before
