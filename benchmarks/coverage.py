"""How often intervals cover and verdicts are right: campaigns with known truth, through rtlab.stats itself.

    nice python -m benchmarks.coverage [--campaigns 4000] [--processes 2] [--write docs/method-tables.md]

Prints the tables of docs/method-tables.md and what is asked of them; exit status 1 where one misses it. With fewer
campaigns than 4000 what is asked is widened by what chance explains (3.5 standard errors).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cells, edges, hosts, stopping, whole

CAMPAIGNS = 4000
LIGHT_TAILED = ("steady", "5 % step", "5 % drift", "5 % machine effect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that must hold: a share between two ends."""

    what: str
    share: float
    least: float = 0.0
    most: float = 1.0

    def holds(self, campaigns: int) -> bool:
        """Whether it does, chance allowed for where there are few campaigns."""
        slack = 0.0
        if campaigns < CAMPAIGNS:
            end = self.least if self.share < self.least else self.most
            slack = 3.5 * math.sqrt(end * (1 - end) / campaigns)
        return self.least - slack <= self.share <= self.most + slack


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that was simulated."""

    campaigns: int
    cells: tuple[tuple[cells.Cell, cells.Counts], ...]
    edges: tuple[tuple[edges.Edge, edges.Found], ...]
    whole: tuple[tuple[whole.Whole, whole.Told], ...]
    hosts: tuple[tuple[hosts.Hosted, hosts.Told], ...]
    stopping: tuple[tuple[float, float], ...]

    @property
    def stopped(self) -> int:
        """Campaigns per line that stop by themselves: more, because they are cheap and were once misread."""
        return 3 * self.campaigns

    def asked(self) -> tuple[Asked, ...]:
        """What docs/method.md promises."""
        found = []
        for cell, counts in self.cells:
            name = f"{cell.scenario}, noise {_noise(cell)}, ratio {cell.ratio:g}"
            if cell.scenario in LIGHT_TAILED:
                found.append(Asked(what=f"covers: {name}", share=counts.primary, least=0.935, most=0.965))
            else:
                found.append(Asked(what=f"covers: {name}", share=counts.primary, least=0.91))
        for edge, of in self.edges:
            if edge.least is not None:
                found.append(
                    Asked(what=f"covers: {edge.name}", share=of.covers, least=edge.least, most=edge.most or 1.0)
                )
        for line, told in self.whole:
            found.append(Asked(what=f"a false verdict: {line.name}", share=told.false, most=0.05))
            if line.quiet:
                found.append(Asked(what=f"an outlier note: {line.name}", share=told.outliers, most=0.05))
                found.append(Asked(what=f"a drift note: {line.name}", share=told.drift, most=0.05))
        for hosted, of_hosts in self.hosts:
            found.append(Asked(what=f"covers the mean: {hosted.name}", share=of_hosts.mean, least=0.93))
        for scatter, share in self.stopping:
            found.append(
                Asked(what=f"covers after --until 5 %: scatter {_percent(scatter, 0)}", share=share, least=0.93)
            )
        return tuple(found)

    def missed(self) -> tuple[Asked, ...]:
        """What does not hold."""
        return tuple(a for a in self.asked() if not a.holds(self.campaigns))


def simulate(campaigns: int, processes: int) -> Results:
    """Every line of every table."""
    of_cells, of_scatters = tuple(cells.cells()), stopping.SCATTERS
    with ProcessPoolExecutor(processes) as pool:
        # The longest lines first, so that no process waits for another at the end.
        stopped = pool.map(stopping.run, of_scatters, [3 * campaigns] * len(of_scatters))
        told = pool.map(whole.run, whole.WHOLE, [campaigns] * len(whole.WHOLE))
        counted = pool.map(cells.run, of_cells, [campaigns] * len(of_cells))
        found = pool.map(edges.run, edges.EDGES, [campaigns] * len(edges.EDGES))
        hosted = pool.map(hosts.run, hosts.HOSTED, [campaigns] * len(hosts.HOSTED))
        return Results(
            campaigns=campaigns,
            cells=tuple(zip(of_cells, counted, strict=True)),
            edges=tuple(zip(edges.EDGES, found, strict=True)),
            whole=tuple(zip(whole.WHOLE, told, strict=True)),
            hosts=tuple(zip(hosts.HOSTED, hosted, strict=True)),
            stopping=tuple(zip(of_scatters, stopped, strict=True)),
        )


def page(results: Results) -> str:
    """The appendix, as Markdown."""
    error = 100 * math.sqrt(0.95 * 0.05 / results.campaigns)
    return (
        "\n\n".join(
            (
                "# How often rtlab is right: the tables",
                "Made by `python -m benchmarks.coverage --write docs/method-tables.md`; not written by hand. What the "
                "words mean is said in [method.md](method.md).",
                f"Each line is {results.campaigns} simulated campaigns with a known truth, sent through the code that "
                f"reports use. A share of 95 % is known to ±{error:.2f} % (one standard error). Noise is the scatter "
                "(SD of logarithms) of one runtime's values; of two numbers, the first is the arm's, the second the "
                "baseline's.",
                *_cells(results),
                *_edges(results),
                *_whole(results),
                *_hosts(results),
                *_stopping(results),
                *_asked(results),
            )
        )
        + "\n"
    )


def _cells(results: Results) -> tuple[str, ...]:
    ratios = [
        (
            cell.scenario,
            _noise(cell),
            f"{cell.ratio:g}",
            *map(_percent, (c.primary, c.fieller, c.excludes_one, c.slower, c.faster)),
        )
        for cell, c in results.cells
    ]
    paper = [
        (cell.scenario, _noise(cell), _percent(c.paper), _percent(c.paper_excludes_one), _percent(c.bootstrap))
        for cell, c in results.cells
        if c.bootstrap is not None
    ]
    return (
        "## 15 blocks on two machines",
        "“Covers”: the 95 % interval holds the true ratio; it should in 95 %. At a true ratio of 1 the interval should "
        "exclude 1 in 5 %. 1.05 is the margin itself, where “slower” is false: it should come up in 2.5 %. Fieller's "
        "interval is that of the ratio of arithmetic means; under a machine effect it is too wide, and a report says "
        "so.",
        _table(
            ("scenario", "noise", "true ratio", "covers", "Fieller covers", "excludes 1", "slower", "faster"), ratios
        ),
        "## The paper's design on the same machines",
        "All trials of one runtime on one machine, then all of the other on the other; the true ratio is 1. Beside it "
        "the percentile bootstrap over blocks, which rtlab does not use: with 15 blocks it is too short.",
        _table(("scenario", "noise", "covers", "excludes 1", "bootstrap over blocks covers"), paper),
    )


def _edges(results: Results) -> tuple[str, ...]:
    rows = [
        (
            edge.name,
            _percent(found.covers),
            _percent(found.silent),
            _signed(found.bias),
            "–" if found.bound is None else _signed(found.bound),
        )
        for edge, found in results.edges
    ]
    return (
        "## At the edges",
        f"The true ratio is {math.exp(edges.TRUE):g}, the machines differ by {_percent(edges.MACHINE_SD, 0)} (SD), the "
        "noise is 5 % where nothing else is said. An interval that cannot be given counts as covering, because nothing "
        "false is claimed. “Error” is the mean error of the ratio, “at the bound” that of the ratio with failed trials "
        "at the worst value of their runtime. Coarse readings are covered in more than 95 %: their interval is never "
        "narrower than the readings' step.",
        _table(("campaigns", "covers", "no interval", "error", "error at the bound"), rows),
    )


def _whole(results: Results) -> tuple[str, ...]:
    rows = [
        (line.name, *map(_percent, (told.false, told.decided, told.outliers, told.drift)))
        for line, told in results.whole
    ]
    return (
        "## Whole campaigns of five experiments",
        "15 blocks, two machines that differ by 5 %, noise 4 %, where nothing else is said. “False”: at least one of "
        "the five verdicts is not true; it should be at most 5 %. “Decided”: verdicts that are not “inconclusive”. The "
        "notes are false alarms, because nothing unusual happens in these campaigns.",
        _table(("true ratios", "a false verdict", "decided", "a note of outliers", "a note of drift"), rows),
    )


def _hosts(results: Results) -> tuple[str, ...]:
    rows = [(hosted.name, _percent(told.mean), _percent(told.new)) for hosted, told in results.hosts]
    return (
        "## Many hosts",
        f"The mean ratio over all hosts there are is {math.exp(hosts.TRUE):g}; each host's own differs from it by the "
        f"SD named. The noise is {_percent(hosts.NOISE, 0)}, the machines differ by {_percent(hosts.MACHINE_SD, 0)} "
        "(SD). “Covers a new host”: the 95 % prediction interval holds the ratio of a host drawn afterwards.",
        _table(("campaigns", "covers the mean", "covers a new host"), rows),
    )


def _stopping(results: Results) -> tuple[str, ...]:
    rows = [(_percent(scatter, 0), _percent(share, 2)) for scatter, share in results.stopping]
    return (
        "## Campaigns that stop by themselves",
        f"`--until 5%`, at least {stopping.FIRST} and at most {stopping.LAST} blocks, {results.stopped} campaigns a "
        "line; by the scatter (SD) of the blocks' log ratios.",
        _table(("scatter", "covers"), rows),
    )


def _asked(results: Results) -> tuple[str, ...]:
    asked, missed = results.asked(), results.missed()
    said = f"{len(asked) - len(missed)} of {len(asked)} hold."
    rows = [(a.what, _percent(a.share, 2), _range(a)) for a in missed]
    rules = (
        "Asked: in light-tailed cells without failures (few blocks, one to five machines) coverage of 93.5 to 96.5 %; "
        "with coarse readings at least 93.5 %; with heavy tails and two modes at 15 blocks at least 91 %; a false "
        "verdict in at most 5 % of campaigns; a note of outliers, and one of drift, in at most 5 % of quiet campaigns; "
        "after stopping by itself, and of the mean over hosts, at least 93 %."
    )
    return (
        "## What is asked of these tables",
        f"{rules} {said}",
        *([_table(("missed", "is", "asked"), rows)] * bool(rows)),
    )


def _range(asked: Asked) -> str:
    return f"{_percent(asked.least)} to {_percent(asked.most)}"


def _noise(cell: cells.Cell) -> str:
    return f"{100 * cell.noise[0]:g} / {100 * cell.noise[1]:g} %"


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _signed(log_error: float) -> str:
    text = f"{100 * math.expm1(log_error):+.1f} %"
    return text[1:] if text in ("+0.0 %", "-0.0 %") else text


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaigns", type=int, default=CAMPAIGNS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path, help="file that the tables go to, instead of standard output")
    options = parser.parse_args(words)
    began = time.monotonic()
    results = simulate(options.campaigns, options.processes)
    text = page(results)
    if options.write is None:
        print(text)
    else:
        options.write.write_text(text)
    for missed in results.missed():
        print(f"Missed: {missed.what}: {_percent(missed.share, 2)}, asked {_range(missed)}", file=sys.stderr)
    print(f"{len(results.asked())} things were asked; {time.monotonic() - began:.0f} s.", file=sys.stderr)
    return 1 if results.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
