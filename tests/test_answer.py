"""The answer: its figures by hand, the same in every format, its words, and how it fits a terminal and a telephone."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab import report, store
from rtlab.model import Comparison, Estimate, Level, Metric, Outcome, Verdict
from rtlab.report import answer, plots, terminal
from rtlab.report.answer import Answer, Cell, Line
from rtlab.stats import sentences
from tests.conftest import make_record, make_testbed
from tests.test_report import boot_files, fill, io_files, make_campaign

SVG = "{http://www.w3.org/2000/svg}"
THREE = ("runc", "gvisor", "kata")


def three_arms(folder: Path, runs: int = 6) -> report.Report:
    """runC starts in 0.5 s, gVisor in 1 s (one of its trials fails), Kata never; all write at one rate."""
    bed = make_testbed()
    bed = replace(bed, machines=(replace(bed.machines[0], runtimes=THREE),))
    campaign = make_campaign(folder, bed, runtimes=THREE, runs=runs)
    for trial in campaign.plan:
        noise = 1 + 0.01 * ((trial.number * 7919) % 5 - 2)
        failed = trial.experiment == "boot" and (trial.arm == "kata" or (trial.arm, trial.block) == ("gvisor", 3))
        outcome = Outcome.FAILED if failed else Outcome.OK
        seconds = {"runc": 0.5, "gvisor": 1.0, "kata": 2.0}[trial.arm] * noise
        files = boot_files(seconds) if trial.experiment == "boot" else io_files(f"{1_000_000 * noise:.0f}")
        campaign.write_trial(make_record(trial, outcome=outcome, reason="it broke" if failed else ""), files)
    return report.build(campaign)


def test_the_answer_has_values_ratios_failures_and_reasons(tmp_path: Path) -> None:
    found = three_arms(tmp_path).answer

    assert found.title == "gVisor and Kata against runC"
    assert found.warnings == ("Simulated values: no figure means anything.",)
    assert found.summary[:2] == (
        "6 blocks, each with every runtime once per experiment, on 1 machine",
        "29 of 36 trials usable",
    )
    boot, io_ = found.lines
    assert (boot.label, boot.unit, boot.direction) == ("Start to web page", "s", "lower is better")
    assert boot.baseline == pytest.approx(0.5, rel=0.02)
    assert (io_.unit, io_.direction) == ("MiB/s", "higher is better")
    assert io_.baseline == pytest.approx(976.5625, rel=0.02)  # 1 000 000 KiB/s
    gvisor, kata = boot.cells
    assert gvisor.ratio == pytest.approx(2.0, rel=0.02)
    assert (gvisor.sign, gvisor.word, gvisor.tone, gvisor.n_failed) == ("✗", "worse", "worse", 1)
    assert (kata.ratio, kata.reason, kata.tone, kata.n_failed) == (None, "all failed", "none", 6)


def test_every_format_shows_the_same_answer(tmp_path: Path) -> None:
    built = three_arms(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    files = {p.name: p.read_text() for p in report.write(built, folder)}
    files["terminal"] = "\n".join(
        "".join(part.text for part in line) for line in terminal.answer_lines(built.answer, 80)
    )

    page = re.sub(r"<[^>]+>", " ", files["index.html"].partition("<main>")[2].partition("</section>")[0])
    latex = files["tables.tex"].partition(r"\end{table}")[0].replace("--", "–")
    texts = [page, latex, files["tables.md"].partition("## ")[0], files["terminal"]]
    for text in texts:
        for line, cell in built.answer.cells:
            assert line.label.split()[0] in text
            shown = (
                [cell.reason]
                if cell.ratio is None
                else [cell.ratio_text, cell.interval_text, cell.value_text, cell.word]
            )
            assert [s for s in shown if s not in text] == []
        assert "1 failed" in text and "all failed" in text
    stored = json.loads(files["tables.json"])["answer"]
    assert stored["lines"][0]["cells"][0]["ratio"] == built.answer.lines[0].cells[0].ratio
    assert stored["lines"][0]["cells"][0]["verdict"] == "slower"
    rows = [r for r in csv.DictReader(io.StringIO(files["tables.csv"])) if r["table"] == "answer"]
    (ratio,) = [r for r in rows if (r["runtime"], r["statistic"], r["column"]) == ("gVisor", "ratio", "boot")]
    assert float(ratio["value"]) == built.answer.lines[0].cells[0].ratio
    assert ratio["note"] == "worse"


def test_verdicts_on_exploratory_metrics_stand_apart_in_json(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)

    document: Any = report.as_json(report.build(campaign))

    assert document["schema"] == 2
    assert {c["metric"] for c in document["comparisons"]} == {"first_page_s", "put_block_bytes_per_s"}
    assert not [c for c in document["comparisons"] if c["exploratory"]]
    assert document["exploratory"] and all(c["exploratory"] for c in document["exploratory"])


@pytest.mark.parametrize(
    ("arms", "title"),
    [
        (["Kata", "gVisor", "crun"], "Kata, gVisor and crun against runC"),
        (["Kata", "gVisor"], "Kata and gVisor against runC"),
        (["Kata"], "Kata against runC"),
        ([], "runC alone: nothing to compare with"),
    ],
)
def test_the_title_names_the_arms(arms: list[str], title: str) -> None:
    assert answer.title(arms, "runC") == title


def test_one_arm_has_values_and_no_columns_of_ratios(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, runtimes=("runc",))
    fill(campaign)

    built = report.build(campaign)
    page = next(p for p in report.write(built, campaign.folder) if p.name == "index.html").read_text()

    assert built.answer.arms == () and built.answer.lines[0].baseline_text == "0.510 s"
    assert "runC alone: nothing to compare with" in page
    assert built.answer.key == ""


def test_what_ran_on_what_stands_above_the_table_in_every_format(tmp_path: Path) -> None:
    """Values: facts/local/0001.json of the kept campaign."""
    folder = tmp_path / "local-2026-11-27"
    shutil.copytree(Path(__file__).parent / "data" / folder.name, folder)
    built = report.build(store.Campaign(folder))

    assert built.answer.ran == (
        "runC 1.5.2",
        "gVisor 20260905.0 (systrap)",
        "youki 0.7.0",
        "Docker engine (moby) 2.0.0-beta.24",
        "2 CPUs, Intel(R) Xeon(R) Processor, 25.3 GB",
        "Debian GNU/Linux 12 (bookworm), kernel 6.18.44-fc-v657",
    )
    # By its intervals and adjusted p-values in derived/estimates.json: start 1.48 to 2.84 and write 0.65 to 0.92 lie
    # beyond 1/1.05 to 1.05, youki's memory 0.96 to 1.02 within it, and Holm's p of each is above 0.05.
    assert built.answer.result == (
        "gVisor: worse in idle memory and HTTP round trip; looks worse in start to web page and sequential write; "
        "unclear in CPU time to compute.",
        "youki: looks same in idle memory; unclear in start to web page, sequential write, CPU time to compute and "
        "HTTP round trip.",
    )
    assert built.answer.summary == (
        "4 blocks, each with every runtime once per experiment, on 1 machine",
        "60 of 60 trials usable",
        "2026-11-27",
    )
    page = next(p for p in report.write(built, folder) if p.name == "index.html").read_text().partition("<main>")[0]
    shown = " ".join("".join(part.text for part in line) for line in terminal.answer_lines(built.answer, 80))
    for text in (page, shown.partition("───")[0], report.markdown(built).partition("|")[0]):
        assert "gVisor 20260905.0 (systrap)" in text and "measured on a virtual machine" in text


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (1.2, 1.6, "lower", "looks worse"),
        (1.2, 1.6, "higher", "looks better"),
        (0.6, 0.8, "lower", "looks better"),
        (0.6, 0.8, "higher", "looks worse"),
        (0.96, 1.04, "lower", "looks same"),
        (1.2, 1.6, None, "unclear"),
    ],
)
def test_what_only_the_correction_keeps_open_is_worded_apart(
    low: float, high: float, better: Literal["lower", "higher"] | None, word: str
) -> None:
    metric = replace(TIME, better=better)
    alone = compared((low * high) ** 0.5, low, high, Verdict.INCONCLUSIVE, p_value=0.02, p_adjusted=0.2)
    assert answer.words(alone, metric, 0.05)[1] == word
    assert answer.words(replace(alone, p_adjusted=None), metric, 0.05)[1] == "unclear"


# --------------------------------------------------------------------------- words

MEMORY = Metric(name="container_pss_bytes", title="x", unit="B", display_unit="MiB", label="Memory per idle container")
TIME = Metric(name="first_page_s", title="x", unit="s", better="lower", label="Start to first page")
CPU = Metric(name="work_cpu_s", title="x", unit="s", better="lower", label="CPU time")
RATE = Metric(name="put", title="x", unit="B/s", better="higher", label="Block write")


def compared(point: float, low: float | None, high: float | None, verdict: Verdict, **changes: Any) -> Comparison:
    estimate = Estimate(point=point, low=low, high=high, confidence=0.95, method="", estimand="")
    fields: dict[str, Any] = {
        "experiment": "memory",
        "metric": "m",
        "arm": "gvisor",
        "baseline": "runc",
        "ratio": estimate,
        "mean_ratio": None,
        "machine_effect": None,
        "verdict": verdict,
        "p_value": None,
        "p_adjusted": None,
        "blocks_needed": None,
        "sentence": "",
        "blocks": (1, 2, 3, 4),
        "exploratory": False,
    }
    return Comparison(**{**fields, **changes})


def said(c: Comparison, metric: Metric, values: tuple[float, float] | None, unit: str, **more: Any) -> str:
    titles = {"gvisor": "gVisor", "runc": "runC"}
    return sentences.sentence(c, metric, values=values, unit=unit, titles=titles, margin=0.05, **more)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            said(compared(3.712, 3.681, 3.749, Verdict.SLOWER), MEMORY, (18.63, 5.02), "MiB"),
            "Memory per idle container: gVisor 18.6 MiB, runC 5.0 MiB: 3.71 times as much (95 %: 3.68 to 3.75; 4 "
            "blocks).",
        ),
        (
            said(compared(5.88, 5.62, 6.15, Verdict.SLOWER), TIME, (3.71, 0.633), "s"),
            "Start to first page: gVisor 3.71 s, runC 0.63 s: takes 5.88 times as long (95 %: 5.62 to 6.15; 4 blocks).",
        ),
        (
            said(compared(1.02, 0.98, 1.06, Verdict.INCONCLUSIVE, blocks_needed=1), CPU, (2.1, 2.07), "s"),
            "CPU time: gVisor 2.10 s, runC 2.07 s: costs 1.02 times as much (95 %: 0.98 to 1.06; 4 blocks): unclear at "
            "a margin of −4.8/+5 %; about 1 more block would tell.",
        ),
        (
            said(compared(1.05, 0.97, 1.13, Verdict.INCONCLUSIVE, blocks_needed=100), CPU, (2.2, 2.1), "s"),
            "CPU time: gVisor 2.20 s, runC 2.10 s: costs 1.05 times as much (95 %: 0.97 to 1.13; 4 blocks): unclear at "
            "a margin of −4.8/+5 %; about 100 more blocks would tell.",
        ),
        (
            said(compared(1.05, 0.97, 1.13, Verdict.INCONCLUSIVE, blocks_needed=514), CPU, (2.2, 2.1), "s"),
            "CPU time: gVisor 2.20 s, runC 2.10 s: costs 1.05 times as much (95 %: 0.97 to 1.13; 4 blocks): unclear at "
            "a margin of −4.8/+5 %; it would take more blocks than are practical (over 100).",
        ),
        (
            said(compared(0.99, 0.96, 1.02, Verdict.NO_DIFFERENCE), RATE, (1545.0, 1561.0), "MiB/s"),
            "Block write: gVisor 1545 MiB/s, runC 1561 MiB/s: 0.99 times the rate (95 %: 0.96 to 1.02; 4 blocks): no "
            "practical difference, within −4.8/+5 %.",
        ),
        (
            said(compared(1.08, 1.06, 1.1, Verdict.INCONCLUSIVE), TIME, (1.08, 1.0), "s", floor=0.09),
            "Start to first page: gVisor 1.08 s, runC 1.00 s: takes 1.08 times as long (95 %: 1.06 to 1.10; 4 blocks): "
            "unclear, not beyond the noise floor of ±9.4 % that the A/A blocks show.",
        ),
        (
            said(compared(2.0, None, None, Verdict.INCONCLUSIVE, blocks=(1,)), TIME, (2.0, 1.0), "s"),
            "Start to first page: gVisor 2.00 s, runC 1.00 s: takes 2.00 times as long (1 block): no verdict, because "
            "an interval takes more blocks.",
        ),
        (
            said(compared(2, 1, 3, Verdict.WITHHELD, why_not="the A/A blocks differ"), TIME, (2.0, 1.0), "s"),
            "Start to first page: gVisor 2.00 s, runC 1.00 s: takes 2.00 times as long (95 %: 1.00 to 3.00; 4 blocks): "
            "verdict withheld, the A/A blocks differ.",
        ),
        (
            said(replace(compared(1, 1, 1, Verdict.INCONCLUSIVE), ratio=None, why_not="all failed"), TIME, None, "s"),
            "Start to first page: gVisor cannot be compared with runC: all failed.",
        ),
    ],
)
def test_a_sentence_says_what_a_colleague_would(sentence: str, expected: str) -> None:
    assert sentence == expected


def test_no_format_has_a_range_of_equal_ends_or_an_absurd_number(tmp_path: Path) -> None:
    built = three_arms(tmp_path, runs=2)
    folder = tmp_path / "out"
    folder.mkdir()
    own = [report.markdown(built).partition("## Table")[0], *(c.sentence for c in built.analysis.comparisons)]
    own += [p.read_text() for p in report.write(built, folder) if p.name == "index.html"]
    for text in own:
        text = re.sub(r"<[^>]+>", " ", text)
        assert not [
            m[0] for m in re.finditer(r"(?<![\d.])(\d+\.\d+) ?(?:to|–) ?(\d+\.\d+)(?![\d.])", text) if m[1] == m[2]
        ]
        assert not re.search(r"\d\.\d+e[+-]\d", text.replace("\\", ""))


# --------------------------------------------------------------------------- where it is read

TITLES = ["crun", "gVisor", "Kata", "youki", "gVisor (next), ptrace", "Kata with Cloud Hypervisor"]


def an_answer(arms: list[str], cells: list[tuple[str, str, bool]]) -> Answer:
    lines = []
    for number in range(len(cells) // max(1, len(arms))):
        row = []
        for arm, (ratio, interval, empty) in zip(arms, cells[number * len(arms) :], strict=False):
            row.append(
                Cell(
                    arm=arm,
                    title=arm,
                    value=1.0,
                    value_text="1.00",
                    ratio=None if empty else 1.0,
                    low=None,
                    high=None,
                    ratio_text=ratio,
                    interval_text=interval,
                    verdict=None if empty else Verdict.SLOWER,
                    sign="✗",
                    word="worse",
                    tone="worse",
                    blocks=4,
                    n_failed=number,
                    reason="under it the tool found it too fast to tell in all 16 trials" if empty else "",
                    sentence="",
                )
            )
        lines.append(
            Line(
                experiment="boot",
                experiment_title="Boot",
                metric="m",
                label="Memory per idle container of the larger kind",
                unit="MiB/s",
                direction="higher is better",
                baseline=1.0,
                baseline_text="1506",
                n_failed=0,
                reason="",
                cells=tuple(row),
            )
        )
    return Answer(
        title=answer.title(arms, "runC"),
        campaign="c",
        where="metal",
        meaningless=False,
        warnings=("Old software: " + ", ".join(f"runC of 2023-0{n}" for n in range(4)) + ".",),
        summary=("15 blocks, each with every runtime once, on 2 machines",),
        result=("Kata: unclear in all of it.",),
        ran=("runC 1.5.2", "Kata 3.29.0"),
        key="Under runC: its median.",
        baseline="runC",
        arms=tuple(arms),
        margin="−4.8/+5 %",
        lines=tuple(lines),
        legend=("✗ worse, ✓ better: the whole interval lies outside the margin",),
    )


CELLS = st.tuples(
    st.sampled_from(["1.01", "29.5", "0.018", ">1000"]),
    st.sampled_from(["0.98–1.05", "<0.001 to >1000", "within 0.0001", ""]),
    st.booleans(),
)


@settings(max_examples=60)
@given(st.integers(0, 6), st.integers(60, 140), st.data())
def test_the_table_fits_any_terminal_and_tells_every_cell(arms: int, width: int, data: st.DataObject) -> None:
    cells = data.draw(st.lists(CELLS, min_size=2 * arms, max_size=2 * arms))
    found = an_answer(TITLES[:arms], cells)

    lines = ["".join(part.text for part in line) for line in terminal.answer_lines(found, width)]

    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("worse") == sum(1 for _, cell in found.cells if cell.ratio is not None) + 1  # and the legend
    assert all(cell.ratio_text in text for _, cell in found.cells if cell.ratio is not None)


@pytest.mark.parametrize("no_color", [True, False])
def test_colours_are_left_out_where_they_are_not_wanted(tmp_path: Path, no_color: bool) -> None:
    campaign = make_campaign(tmp_path / "campaigns")
    fill(campaign)
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    env |= {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"} | ({"NO_COLOR": "1"} if no_color else {})

    shown = subprocess.run(
        [sys.executable, "-m", "rtlab", "report", "--brief"], cwd=tmp_path, env=env, capture_output=True, text=True
    ).stdout

    coloured = re.findall(r"\x1b\[[\d;]*3[0-7]m", shown)
    assert bool(coloured) != no_color
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert "✗ worse" in plain or "? unclear" in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_open_gives_the_page_to_the_desktops_browser(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaigns", runs=1)
    fill(campaign)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)

    done = subprocess.run(
        [sys.executable, "-m", "rtlab", "report", "--brief", "--open"],
        cwd=tmp_path,
        env={**os.environ, "BROWSER": f"{browser} %s"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opened").read_text().strip() == (campaign.folder / "report" / "index.html").as_uri()


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", sorted({*plots._COLOURS, *plots._TONES.values()}))
@pytest.mark.parametrize("paper", ["#ffffff", "#0d1117"])
def test_marks_have_contrast_on_a_white_page_and_on_a_dark_one(colour: str, paper: str) -> None:
    light, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3.0  # WCAG 2.2, 1.4.11


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_text_of_the_page_has_contrast_in_light_and_in_dark() -> None:
    """What axe leaves undecided too: text of an SVG, which is drawn in the page's own ink."""
    css = (Path(answer.__file__).parent / "templates" / "report.css").read_text()
    schemes = [dict(re.findall(r"--(\w+): (#\w{6})", of)) for of in re.findall(r":root \{([^}]*)\}", css)]
    assert len(schemes) == 2 and all(len(scheme) == 14 for scheme in schemes)
    for c in schemes:
        pairs = [(ink, paper) for ink in ("ink", "soft", "link") for paper in ("paper", "band")]
        pairs += [("ink", f"{tone}paper") for tone in ("worse", "better", "same", "warn")]
        pairs += [(tone, f"{tone}paper") for tone in ("worse", "better", "same", "warn")]
        assert [(a, b, contrast(c[a], c[b])) for a, b in pairs if contrast(c[a], c[b]) < 4.5] == []  # WCAG 2.2, 1.4.3


def test_text_of_a_plot_is_drawn_in_the_ink_of_its_page() -> None:
    words = plots.Words(title="t", description="d", where="Measured on metal")
    line = plots.Interval(label="boot: Kata", point=2.0, low=1.5, high=2.5, floor=0.1, told="2.00 ✗ worse")
    drawn = [
        plots.forest("f", [line], 0.05, words),
        plots.dots("d", [plots.Dot(arm="runC", order=1, value=1.0)], ["runC"], "s", words),
        plots.ecdf("e", [plots.Curve(arm="runC", values=[1.0, 2.0])], "s", words),
    ]
    for svg in drawn:
        texts = list(ElementTree.fromstring(svg).iter(f"{SVG}text"))
        assert texts
        fills = {match[1] for t in texts if (match := re.search(r"fill: ([^;\"]+)", t.get("style", "")))}
        assert fills <= {"currentColor"}, fills


@pytest.mark.parametrize("narrow", [True, False])
def test_nothing_of_the_forest_is_cut(narrow: bool) -> None:
    lines = [
        plots.Interval(label=f"memory: {title}"[:30], point=2.0, low=1.9, high=2.1, told="0.018 (0.014–0.022) ✗ worse")
        for title in TITLES[:4]
    ]
    words = plots.Words(
        title="t", description="d", where="Measured on emulated machines: no figure from it means anything"
    )

    root = ElementTree.fromstring(plots.forest("f", lines, 0.05, words, narrow=narrow))

    width = float(str(root.get("viewBox")).split()[2])
    for text in root.iter(f"{SVG}text"):
        size = float(re.findall(r"([\d.]+)px", text.get("style", ""))[0])
        start = float(text.get("x") or re.findall(r"translate\(([\d.]+)", text.get("transform", "0"))[0])
        if "middle" not in text.get("style", "") and "rotate(-90" not in str(text.get("transform")):
            # A letter is about half as wide as it is high.
            assert start + 0.5 * size * len(text.text or "") <= width, text.text


@pytest.mark.parametrize("level", list(Level))
def test_only_a_campaign_without_meaning_says_so_first(tmp_path: Path, level: Level) -> None:
    bed = make_testbed()
    bed = replace(bed, machines=(replace(bed.machines[0], level=level),))
    campaign = make_campaign(tmp_path, bed)
    fill(campaign)

    found = report.build(campaign).answer

    assert found.meaningless == (level in (Level.EMULATED, Level.SIMULATED))
    assert [w for w in found.warnings if "no figure means anything" in w] == list(found.warnings[: found.meaningless])
