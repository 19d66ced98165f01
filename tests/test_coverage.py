"""benchmarks/coverage.py, a small version: what docs/method.md promises, in campaigns with known truth."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy import stats as reference

from benchmarks import cells, coverage, edges, hosts, stopping, whole

CAMPAIGNS = 200
TABLES = Path(__file__).parent.parent / "docs" / "method-tables.md"
EDGES = {edge.name: edge for edge in edges.EDGES}
FEW_EDGES = (
    "3 blocks on 1 machine",
    "4 blocks on 2 machines",
    "15 blocks on 3 machines",
    "20 blocks on 5 machines",
    "15 % of the arm 6 SD away, 15 blocks",
    "10 ms ticks at 0.1 s, noise 1 %, 3 blocks",
    "10 ms ticks at 0.1 s, noise 5 %, 15 blocks",
)
FEW_CELLS = [c for c in cells.cells() if c.ratio == 1.05 and c.noise == (0.04, 0.04)]
FEW_WHOLE = [w for w in whole.WHOLE if w.quiet or w.blocks == 5]


@pytest.fixture(scope="module")
def results() -> coverage.Results:
    """A part of the lines, each with so few campaigns that the tests stay quick."""
    return coverage.Results(
        campaigns=CAMPAIGNS,
        cells=tuple((c, cells.run(c, CAMPAIGNS)) for c in FEW_CELLS),
        edges=tuple((EDGES[name], edges.run(EDGES[name], CAMPAIGNS)) for name in FEW_EDGES),
        whole=tuple((w, whole.run(w, CAMPAIGNS // 2)) for w in FEW_WHOLE),
        hosts=((hosts.HOSTED[1], hosts.run(hosts.HOSTED[1], CAMPAIGNS)),),
        stopping=((0.05, stopping.run(0.05, CAMPAIGNS)),),
    )


def test_what_is_promised_holds_within_what_chance_explains(results: coverage.Results) -> None:
    asked = results.asked()
    assert len(asked) > 20
    assert not [f"{a.what}: {a.share}" for a in results.missed()]


def test_an_interval_that_is_too_short_is_missed_and_the_command_fails(
    results: coverage.Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The percentile bootstrap's 91.8 % where 93.5 are asked."""
    edge = EDGES["15 blocks on 3 machines"]
    short = coverage.Results(
        campaigns=coverage.CAMPAIGNS,
        cells=results.cells[:0],
        edges=((edge, edges.Found(covers=0.918, bias=0.0, silent=0.0)),),
        whole=(),
        hosts=(),
        stopping=(),
    )
    monkeypatch.setattr(coverage, "simulate", lambda campaigns, processes: short)
    assert coverage.main(["--write", str(tmp_path / "tables.md")]) == 1
    assert "Missed: covers: 15 blocks on 3 machines: 91.80 %, asked 93.5 % to 96.5 %" in capsys.readouterr().err
    assert "| 15 blocks on 3 machines | 91.8 % |" in (tmp_path / "tables.md").read_text()


def test_slow_failures_bias_the_ratio_by_what_the_truncated_normal_says() -> None:
    """A normal without its upper tenth has the mean -phi(z) / 0.9 SD: -1 % at SD 5 % (measurement.md §4.13)."""
    z = float(reference.norm.ppf(0.9))
    wanted = -0.05 * float(reference.norm.pdf(z)) / 0.9
    found = edges.run(EDGES["slowest tenth fails, noise 5 %"], CAMPAIGNS)
    # The mean over campaigns of about 13 differences of two values of SD 5 %.
    assert found.bias == pytest.approx(wanted, abs=4 * 0.05 * math.sqrt(2 / 13 / CAMPAIGNS))
    assert found.bound is not None and abs(found.bound) < abs(found.bias)


def test_the_kept_tables_are_those_of_the_lines_that_are_simulated() -> None:
    """Every line of the program stands in the appendix, which says that nothing is missed and names its program."""
    text = TABLES.read_text()
    assert "python -m benchmarks.coverage" in text
    assert f"{coverage.CAMPAIGNS} simulated campaigns" in text
    for name in (*EDGES, *(w.name for w in whole.WHOLE), *(h.name for h in hosts.HOSTED)):
        assert f"| {name} |" in text
    for cell in cells.cells():
        assert f"| {cell.scenario} | {100 * cell.noise[0]:g} / {100 * cell.noise[1]:g} % | {cell.ratio:g} |" in text
    assert "## What is asked of these tables" in text and "| missed |" not in text
