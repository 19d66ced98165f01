"""Every published value: what is drawn measures what rtlab's metric does; the rest says what it measures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins, report
from rtlab.report import figures, paper
from rtlab.report.paper import OtherMeasure, SameMeasure
from tests.conftest import make_testbed
from tests.test_report import fill, make_campaign

EVERY = paper.published()
NAMES = [f"{n}-{p.arm}-{p.value:g}" for n, p in enumerate(EVERY)]


@pytest.mark.parametrize("entry", EVERY, ids=NAMES)
def test_it_says_where_how_how_often_and_when(entry: paper.Published) -> None:
    assert entry.citation.strip()
    assert entry.method.strip()
    assert 2018 <= entry.year <= 2026
    assert (entry.n is None) == bool(entry.no_n)
    assert entry.n is None or entry.n >= 1
    assert entry.arm in plugins.names("runtimes")
    assert (entry.baseline is None) == (entry.baseline_value is None)
    assert entry.experiment in ("", *plugins.names("experiments"))


@pytest.mark.parametrize("entry", [p for p in EVERY if isinstance(p, SameMeasure)], ids=str)
def test_what_may_be_drawn_is_a_metric_of_ours_in_the_same_direction(entry: SameMeasure) -> None:
    metrics = {m.name: m for m in plugins.experiment(entry.experiment).metrics}
    assert metrics[entry.metric].better == entry.better
    # The meter is in the metric's name, and the source must say that it used it.
    meter = {"container_available_bytes": "MemAvailable", "container_pss_bytes": "PSS"}[entry.metric]
    assert meter in entry.method


@pytest.mark.parametrize("entry", [p for p in EVERY if isinstance(p, OtherMeasure)], ids=str)
def test_what_is_none_of_our_metrics_says_what_it_is(entry: OtherMeasure) -> None:
    assert len(entry.measures) > 5
    titles = {m.title for name in plugins.names("experiments") for m in plugins.experiment(name).metrics}
    assert entry.measures not in titles


def test_no_entry_has_both_a_metric_and_a_measure_of_its_own() -> None:
    document = json.loads((Path(paper.__file__).parent / "published.json").read_text())
    assert all(("metric" in v) != ("measures" in v) for v in document["values"])
    assert {v["source"] for v in document["values"]} == set(document["sources"])


def test_crun_alone_and_nerdctl_in_a_lab_are_no_first_pages() -> None:
    for entry in EVERY:
        if "nerdctl" in entry.method or entry.arm == "crun":
            assert isinstance(entry, OtherMeasure)


# field.md §10, by hand: row 1, 3, 6, 11, 19, 22.
@pytest.mark.parametrize(
    ("arm", "value", "baseline", "n", "year"),
    [
        ("kata", 899.9, None, 1007, 2023),
        ("gvisor", 77, 38, 25, 2026),
        ("kata", 631.5, None, None, 2026),
        ("gvisor", 15325.67, 30312.21, None, 2020),
        ("gvisor", 96.69, 51.65, 12, 2026),
        ("gvisor", 86.91, 86.78, 74379, 2026),
    ],
)
def test_the_values_of_the_field_are_there(
    arm: str, value: float, baseline: float | None, n: int | None, year: int
) -> None:
    found = [(p.arm, p.baseline_value, p.n, p.year) for p in EVERY if p.value == value]
    assert found == [(arm, baseline, n, year)]


def kata_campaign(folder: Path) -> Any:
    bed = make_testbed()
    bed = replace(bed, machines=(replace(bed.machines[0], runtimes=("runc", "kata")),))
    campaign = make_campaign(folder, bed, runtimes=("runc", "kata"))
    fill(campaign)
    return report.build(campaign)


def same(metric: str) -> SameMeasure:
    return SameMeasure(
        experiment="boot",
        metric=metric,
        better="lower",
        arm="kata",
        variant="",
        value=3.0,
        baseline="runc",
        baseline_value=1.0,
        unit="s",
        n=9,
        no_n="",
        year=2026,
        citation="somebody",
        method="as ours",
    )


def test_the_plot_of_ratios_has_only_what_measures_the_primary_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = kata_campaign(tmp_path)

    def others() -> str:
        figure = figures.figures(built)[0]
        return dict(zip(figure.heads, figure.rows[0], strict=True))["others'"]

    assert others() == "–"  # of today's values, none is a first page through an engine's socket
    monkeypatch.setattr(paper, "published", lambda: (same("created_s"),))
    assert others() == "–"
    monkeypatch.setattr(paper, "published", lambda: (same("created_s"), same("first_page_s")))
    assert others() == "3.00"
    assert "published by others" in str(figures.figures(built)[0].svg)


def test_other_measures_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    built = kata_campaign(tmp_path)
    ours, theirs = figures.published_rows(built), figures.other_rows(built)
    assert [row[0] for row in ours] and all("paper" in row[8] for row in ours)
    lab = [row for row in theirs if "nerdctl" in row[9]]
    assert len(lab) == 6
    assert lab[0][:8] == (
        "boot: nerdctl run of a short command, start to end",
        "Kata",
        "#1576, KVM",
        "1.250 s",
        "0.2060 s",
        "6.07",
        "5",
        "2026",
    )
