"""Every sentence with a number in it, wherever it leaves rtlab: one form of ratio, of range, of share; plain words."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rtlab
from rtlab import report, store
from rtlab.campaign.plan import plan
from rtlab.model import Outcome
from rtlab.report import compare, terminal
from rtlab.stats import power
from tests.conftest import make_record, make_spec, make_testbed
from tests.test_report import PARAMETERS, boot_files, io_files

KEPT = sorted(p.parent for p in (Path(__file__).parent / "data").glob("*/campaign.json"))

# A ratio has three digits, two places near 1, and no more than four places where the ends of its interval are close.
RATIO = r"(?:>1000|<0\.001|\d{3}(?:\.\d{1,4})?|\d\d\.\d{1,4}|\d\.\d{2,4}|0\.0\d{2,3})"
# Where a ratio stands in a sentence.
PLACES = re.compile(
    r"(?:takes|costs|(?<!%):|the ratio is|[Rr]atio|ratio of|mean ratio is|values are) (?P<ratio>[<>]?\d[\d.e+-]*) "
    r"(?:times|\(|without|with |or more)"
)
FORBIDDEN = {
    "an exponent": r"(?<![\w.])\d(?:\.\d+)?[eE][+-]?\d",
    "no number": r"\b(?:nan|inf)\b|\bNone[,.;)]",
    "a share without its blank": r"(?<![:\w])\d+%",
    "a band that is not the margin's": r"margin of ±|within ±|than ±",
    "two forms of one verdict": r"by between|\binconclusive\b|slower, |faster, ",
    "a number of 9 digits after the point": r"\d\.\d{9}",
    "one thing in the plural": r"(?<![\d.,/+−–-])\b1 (?:blocks|trials|ratios|machines)\b",
}
EQUAL_ENDS = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)( ?%)? ?(?:to|–|and) ?(\d+(?:\.\d+)?)( ?%)?(?![\d.])")


def faults(text: str) -> list[str]:
    """What is wrong with the numbers of a text."""
    text = text.replace("\u00a0", " ")
    found = [f"{what}: …{m[0]}" for what, pattern in FORBIDDEN.items() for m in re.finditer(pattern, text)]
    found += [f"a range of equal ends: {m[0]}" for m in EQUAL_ENDS.finditer(text) if m[1] == m[3] and "." in m[1]]
    found += [f"a ratio of another form: {m[0]}" for m in PLACES.finditer(text) if not re.fullmatch(RATIO, m["ratio"])]
    return found


def told(built: report.Report) -> Iterator[str]:
    """Every sentence that rtlab makes of a campaign's numbers."""
    yield from (c.sentence for c in built.analysis.comparisons)
    yield from (c.failures for c in built.analysis.comparisons)
    yield from (c.message for c in built.caveats)
    yield from built.beside()
    yield from (note for table in built.tables for note in table.notes)
    yield from built.answer.legend
    yield from built.answer.summary
    yield built.design()


def shown(built: report.Report, folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every format, as far as its words are rtlab's own."""
    folder.mkdir()
    files = {
        p.name: p.read_text() for p in report.write(built, folder) if p.suffix in (".html", ".md", ".tex", ".json")
    }
    page = files["index.html"].partition("<main>")[2].partition('<h2 id="published"')[0]
    yield "page", re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", page, flags=re.S))
    yield "markdown", re.sub(r"\\(.)", r"\1", files["tables.md"].partition("## How it was measured")[0])
    yield "latex", files["tables.tex"].partition(r"\end{table}")[0]
    lines = [*terminal.answer_lines(built.answer, 80), *terminal.lessening_lines(built, 80)]
    yield "terminal", "\n".join("".join(part.text for part in line) for line in lines)
    yield from (
        (f"json of {name}", "\n".join(sentences(json.loads(text))))
        for name, text in files.items()
        if name.endswith("json")
    )


def sentences(document: Any) -> Iterator[str]:
    """The texts of a JSON document that are sentences."""
    if isinstance(document, str):
        if document.endswith("."):
            yield document
    elif isinstance(document, list):
        for inner in document:
            yield from sentences(inner)
    elif isinstance(document, dict):
        for inner in document.values():
            yield from sentences(inner)


def troubled(folder: Path, factor: float) -> report.Report:
    """Everything that may happen: A/A blocks, failures that go with slowness, an outlier, drift, ratios from tiny to
    huge, and one that does not scatter."""
    spec = make_spec(runs=16, aa=True, experiments=("boot", "io"), parameters=PARAMETERS)
    trials = plan(spec, ("node1", "node2"), 7)
    campaign = store.create(folder, spec, make_testbed(), trials, durable=False)
    for trial in campaign.plan:
        noise = 1 + 0.01 * ((trial.number * 7919) % 7 - 3) + 0.02 * trial.block
        arm = factor if trial.arm == "gvisor" else 1.0
        failed = (trial.arm, trial.block) in (("gvisor", 3), ("gvisor", 5), ("runc", 9))
        outcome = Outcome.TIMED_OUT if failed else Outcome.OK
        spike = 40 if (trial.arm, trial.block) == ("gvisor", 7) else 1
        seconds = max(0.0002, 0.5 * arm * noise * spike)
        files = boot_files(seconds) if trial.experiment == "boot" else io_files(f"{max(1, 1_000_000 / arm):.0f}")
        campaign.write_trial(make_record(trial, outcome=outcome, reason="it was slow" if failed else ""), files)
    return report.build(campaign)


@pytest.mark.parametrize("factor", [1.06, 5.861, 3000.0, 0.0007])
def test_sentences_of_a_campaign_in_which_everything_happens(factor: float, tmp_path: Path) -> None:
    built = troubled(tmp_path / "a", factor)

    kinds = {c.kind for c in built.caveats}
    assert {"failures", "outliers", "drift", "failed", "left out"} <= kinds
    assert built.analysis.noise
    assert [fault for text in told(built) for fault in faults(text)] == []
    assert {name: faults(text) for name, text in shown(built, tmp_path / "out") if faults(text)} == {}


def test_every_format_of_a_campaign_of_today(tmp_path: Path) -> None:
    built = report.build(store.Campaign(KEPT[-1]))
    assert KEPT[-1].name == "local-2026-11-27"
    assert {name: faults(text) for name, text in shown(built, tmp_path / "out") if faults(text)} == {}


@pytest.mark.parametrize("kept", KEPT, ids=lambda p: p.name)
def test_sentences_of_the_kept_campaigns_and_of_their_comparison(kept: Path) -> None:
    built = report.build(store.Campaign(kept))

    assert [fault for text in told(built) for fault in faults(text)] == []
    found = compare.compare(built, built)
    texts = [found.result, compare.markdown(found), *sentences(found.as_json())]
    texts += [f"{line.before} {line.after} {line.change}" for line in found.lines()]
    assert len(texts) > 5 and [fault for text in texts for fault in faults(text)] == []


def test_what_is_said_before_a_campaign_has_the_same_form() -> None:
    said = [text for blocks in (1, 3, 4, 15, 40) for text in power.sentences(blocks, margin=0.05, family=5, machines=2)]
    assert len(said) >= 6 and [fault for text in said for fault in faults(text)] == []


def test_a_fault_is_found() -> None:
    for text in (
        "kata is slower, 5.1 to 5.6 times",
        "ratio 2.03e-06 (95 %: 0.1 to 0.2)",
        "slower by between 64 % and 64 %",
        "the ratio is 1.2 (1.1 to 1.3)",
        "takes 5.8613 times as long (95 %: 1.00 to 1.00; 4 blocks)",
        "inconclusive at a margin of ±5 %",
        "over 50% of 1 blocks",
    ):
        assert faults(text), text
    good = "Start: gVisor 0.343 s, runC 0.144 s: takes 2.33 times as long (95 %: 1.90 to 2.86; 4 blocks)."
    assert not faults(good) and PLACES.search(good)


def test_no_number_for_people_is_formatted_to_an_exponent() -> None:
    """``.3g`` turns 1234 into 1.23e+03: numbers for people are made in ``rtlab.units``."""
    wrong = []
    for file in Path(rtlab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                spec = ast.unparse(node.format_spec).strip("f'\"")
                if re.search(r"\.\d[ge]$", spec):
                    wrong.append(f"{file.name}:{node.lineno}: {spec}")
    assert wrong == []
