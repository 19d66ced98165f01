"""Tables I-V: the paper's columns, units and values, and how numbers are shown."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from rtlab import plugins
from rtlab.model import Metric, Observation, Summary
from rtlab.report import paper, tables
from rtlab.stats.describe import median_interval
from tests.conftest import make_spec, make_trial

METRICS = {name: plugins.experiment(name).metrics for name in plugins.names("experiments")}
TITLES = {"runc": "runC", "kata": "Kata", "gvisor": "gVisor"}


def summary(experiment: str, metric: str, arm: str, values: list[float], **changes: Any) -> Summary:
    fields: dict[str, Any] = {
        "experiment": experiment,
        "metric": metric,
        "arm": arm,
        "unit": "",
        "n": len(values),
        "n_failed": 0,
        "n_censored": 0,
        "median": median_interval(values) if values else None,
        "mean": sum(values) / len(values) if values else None,
        "sd": None,
        "cov": None,
        "minimum": None,
        "maximum": None,
        "trials": (),
    }
    return Summary(**{**fields, **changes})


def made(
    summaries: list[Summary], observations: list[Observation] | None = None, **spec: Any
) -> dict[str, tables.Table]:
    defaults = {"experiments": tuple(METRICS), "parameters": {n: {} for n in METRICS}}
    found = tables.paper_tables(make_spec(**{**defaults, **spec}), summaries, observations or [], METRICS, TITLES)
    return {t.number: t for t in found}


def test_every_column_of_the_paper_is_some_metrics_and_only_one() -> None:
    claimed = [m.paper for ms in METRICS.values() for m in ms if m.paper]

    assert sorted(claimed) == sorted((n, c) for n, t in paper.tables().items() for c in t.units)


def test_the_papers_values_are_those_it_prints() -> None:
    # paper.txt, Tables I-V, one value of each.
    printed = paper.tables()

    assert printed["I"].values["kata"]["average_time"] == 3.707
    assert printed["II"].values["runc"]["sequential_output_block"] == 1549371
    assert printed["III"].values["kata"]["nice"] == 306.54
    assert printed["IV"].values["runc"]["used"] == 897.396736
    assert printed["V"].values["kata"]["packets_recv"] == 963


def test_the_papers_used_memory_is_total_less_free_buffers_and_cached() -> None:
    """The note under Table IV says so; the paper's own numbers prove it, to the byte."""
    for values in paper.tables()["IV"].values.values():
        rest = values["total"] - values["free"] - values["buffers"] - values["cached"]
        assert round(rest * 1e6) == round(values["used"] * 1e6)


def test_units_are_converted_to_the_papers() -> None:
    found = made(
        [
            summary("io", "put_block_bytes_per_s", "runc", [1549371.0 * 1024]),
            summary("memory", "total_bytes", "runc", [8348545024.0]),
        ]
    )

    assert found["II"].rows[0].cells[0].mean == 1549371.0
    assert found["IV"].rows[0].cells[0].mean == 8348.545024
    assert found["IV"].shown(found["IV"].rows[0])[0] == ("8348.55", "(8348.55; 1)")
    assert found["II"].heads()[0] == "Sequential output (block) (K/sec)"


def test_values_over_a_window_are_never_passed_off_as_since_boot() -> None:
    found = made([summary("cpu", "user_s", "runc", [3.0])], parameters={"cpu": {"window_s": 10, "uptime_s": 0}})["III"]

    rows = dict(found.rows[0].statistics())
    assert rows["mean, window"] == (3.0, *["not taken"] * 4)
    assert found.key == "mean ± SD (median; n), over the window"
    assert any("another quantity" in note for note in found.notes)


def test_values_since_boot_stand_as_such_with_their_uptime() -> None:
    found = made([summary("cpu", "user_s", "runc", [90.0])], parameters={"cpu": {"uptime_s": 380}})["III"]

    assert [s for s, _ in found.rows[0].statistics()] == ["mean", "median", "SD", "n ok", "n failed"]
    assert found.key == "mean ± SD (median; n)"
    assert any("380 s of uptime" in note for note in found.notes)


@pytest.mark.parametrize(("size", "labelled"), [(256, True), (2048, False)])
def test_a_smaller_file_than_the_papers_is_labelled(size: int, labelled: bool) -> None:
    found = made([], parameters={"io": {"size_mb": size}})["II"]

    assert any("smaller than the paper's 2 GB" in note for note in found.notes) == labelled


@pytest.mark.parametrize(
    ("cell", "places", "text"),
    [
        (None, 3, "–"),
        (0.0, 3, "0"),
        (0.633, 3, "0.633"),
        (1549371.4, 0, "1549371"),
        (0.00042, 3, "0.00042"),
        (-1.5, 2, "−1.50"),
        ("too fast to tell", 0, "too fast to tell"),
    ],
)
def test_how_a_number_is_shown(cell: tables.Number, places: int, text: str) -> None:
    assert tables.shown(cell, places) == text


def test_csv_leaves_a_missing_value_empty_and_says_why() -> None:
    found = made([summary("io", "seeks_per_s", "runc", [], n_censored=3)])

    lines = list(csv.DictReader(io.StringIO(tables.as_csv(list(found.values()), "nested"))))

    (line,) = [x for x in lines if (x["column"], x["statistic"], x["runtime"]) == ("random_seeks", "mean", "runC")]
    assert (line["value"], line["note"], line["measured_on"]) == ("", "too fast to tell", "nested")


def test_markdown_has_the_five_titles_and_one_width_per_table() -> None:
    values = [summary(name, m.name, "runc", [1.0]) for name, ms in METRICS.items() for m in ms]
    text = tables.markdown(list(made(values).values()))

    for number in paper.NUMBERS:
        assert f"## Table {number}. " in text
    for block in text.split("## ")[1:]:
        widths = {line.replace("\\|", "").count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) == 1


def test_what_a_parser_noted_stands_under_the_table() -> None:
    note = "change over 10 s from the container's start"
    trial = make_trial(experiment="cpu")
    noted = [Observation(trial=trial, metric="user_s", value=1.0, unit="s", note=note)]

    found = made([], noted, parameters={"cpu": {"window_s": 10}})["III"]

    assert f"As measured: {note}." in found.notes


def test_a_new_metric_finds_its_column_by_metric_paper_alone() -> None:
    metric = Metric(name="anything", title="x", unit="s", paper=("I", "average_time"))
    spec = make_spec(experiments=("other",), parameters={"other": {}})

    found = tables.paper_tables(spec, [summary("other", "anything", "runc", [2.0])], [], {"other": (metric,)}, TITLES)

    assert [cell.mean for cell in found[0].rows[0].cells] == [2.0]


def test_the_page_from_the_local_mirror_is_said_to_count_as_sent() -> None:
    """Seen on a real machine (private dockerd, runC, page of 1 200 000 bytes): 1 204 234 sent, 3060 received."""
    local = made([], parameters={"network": {"url": "", "page_bytes": 1_200_000, "window_s": 10}})["V"]
    outside = made([], parameters={"network": {"url": "https://example.org/", "window_s": 10}})["V"]

    (note,) = [n for n in local.notes if "local mirror" in n]
    assert "page (1200000 bytes)" in note
    assert "counts as sent" in note and "not as received" in note
    assert "interface had counted vanishes" in note
    (note,) = [n for n in outside.notes if "configured address" in n]
    assert "counts as received where it entered" in note and "interface had counted vanishes" in note


@pytest.mark.parametrize("odd", [10**5000, -(10**5000), True, "x" * 5000, [1], {}], ids=lambda odd: type(odd).__name__)
def test_a_setting_that_cannot_be_one_is_not_known_and_swells_no_note(odd: Any) -> None:
    settings = dict.fromkeys(("url", "page_bytes", "window_s", "uptime_s", "size_mb", "starts"), odd)

    for parameters in (settings, settings | {"uptime_s": 0, "url": ""}):
        found = made([], parameters=dict.fromkeys(METRICS, parameters))

        notes = [n for t in found.values() for n in t.notes]
        assert any("not known" in n for n in notes)
        assert all(len(n) < 1000 for n in notes)
