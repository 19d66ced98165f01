"""``rtlab compare``: what changed between two campaigns, beyond noise or not.

Two campaigns share no state of the host, so their absolute values differ by chance; what is tested is the change of
each ratio to the shared baseline (measurement.md §4.11). The answer comes first, then what the campaigns differ in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from rtlab.errors import RtlabError
from rtlab.model import Estimate, Json, Metric, Verdict
from rtlab.report import Report
from rtlab.stats import Change, compare_campaigns
from rtlab.stats.analysis import shared
from rtlab.stats.sentences import ratio
from rtlab.stats.verdict import forecast, words
from rtlab.store import facts
from rtlab.text import clean, counted
from rtlab.units import band

# Exit statuses of `rtlab compare`, for CI.
NOT_SLOWER, SLOWER, UNCLEAR, INCOMPARABLE = 0, 10, 11, 12


class CannotCompare(RtlabError):
    """The campaigns do not match; the message says in what."""

    exit_code = INCOMPARABLE


# What decides figures most, in this order: the beginnings of the facts' names. Everything else differs "further".
MATTERS = (
    "runtimes.",
    "engine.",
    "docker.version",
    "docker.components.",
    "docker.storage_driver",
    "kernel",
    "cpu.model",
    "cpu.count",
    "cpu.governor",
    "memory_total_bytes",
    "architecture",
    "cgroups",
    "clocksource",
    "distribution",
    "images.",
)
# Of these only the digest says something.
_UNTOLD = (".size_bytes", ".digests")

# How a verdict is marked where there are no colours.
SIGNS = {
    Verdict.SLOWER: "✗",
    Verdict.FASTER: "✓",
    Verdict.NO_DIFFERENCE: "=",
    Verdict.INCONCLUSIVE: "?",
    Verdict.WITHHELD: "–",
}
# By which a workflow finds its own comment again.
MARKER = "<!-- rtlab compare -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One ratio, ready to be shown.

    Attributes:
        before, after, change: With their 95 % intervals.
        verdict: In the metric's own word: slower, higher, lower in throughput …
    """

    experiment: str
    arm: str
    before: str
    after: str
    change: str
    verdict: str
    sign: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCampaigns:
    """Two campaigns side by side.

    Attributes:
        where: What both were measured on, and what that means; of both where they differ.
        meaningless: No figure of one of them means anything.
        differences: What the campaigns and their machines differ in and decides figures, one line each.
        further: What else differs.
        changes: The change of each experiment's own ratio, on which the verdicts are given.
        exploratory: Of every other metric.
        metrics: (experiment, metric) to what it is.
        status: The exit status for CI: worst verdict among the changes.
    """

    first: str
    second: str
    baseline: str
    margin: float
    where: str
    meaningless: bool
    differences: tuple[str, ...]
    further: tuple[str, ...]
    changes: tuple[Change, ...]
    exploratory: tuple[Change, ...]
    metrics: Mapping[tuple[str, str], Metric]

    @property
    def status(self) -> int:
        verdicts = {c.verdict for c in self.changes}
        if Verdict.SLOWER in verdicts:
            return SLOWER
        return UNCLEAR if verdicts & {Verdict.INCONCLUSIVE, Verdict.WITHHELD} else NOT_SLOWER

    @property
    def result(self) -> str:
        """The answer in one line."""
        return self.answer(clean)

    def answer(self, named: Callable[[str], str]) -> str:
        """The answer in one line; ``named`` shows what comes from the campaigns."""
        number, margin = len(self.changes), band(self.margin)
        ratios = f"{counted(number, 'ratio')} to {named(self.baseline)}"
        worse, better = self._which(named, Verdict.SLOWER), self._which(named, Verdict.FASTER)
        undecided = self._which(named, Verdict.INCONCLUSIVE, Verdict.WITHHELD)
        rest = f" Better: {', '.join(better)}." if better else ""
        if worse:
            left = f" Undecided: {', '.join(undecided)}." if undecided else ""
            return f"Worse: {len(worse)} of {ratios}, beyond the margin of {margin}: {', '.join(worse)}.{left}{rest}"
        if len(undecided) == number:
            return f"Unclear: {ratios}, and none can be decided at a margin of {margin}."
        if undecided:
            which = f"{len(undecided)} of {ratios} cannot be decided at a margin of {margin}: {', '.join(undecided)}"
            return f"Unclear: {which}. No other is known to be worse.{rest}"
        return f"Not worse: none of {ratios} became worse beyond the margin of {margin}.{rest}"

    def _which(self, named: Callable[[str], str], *verdicts: Verdict) -> list[str]:
        return [f"{c.experiment} ({named(c.arm)})" for c in self.changes if c.verdict in verdicts]

    def lines(self) -> tuple[Line, ...]:
        """The changes on which verdicts are given, as a table has them."""
        return tuple(
            Line(
                experiment=c.experiment,
                arm=clean(c.arm),
                before=_shown(c.first),
                after=_shown(c.second),
                change=f"× {_shown(c.change)}",
                verdict=self._word(c),
                sign=SIGNS[c.verdict],
            )
            for c in self.changes
        )

    def _word(self, change: Change) -> str:
        if change.verdict in (Verdict.SLOWER, Verdict.FASTER):
            metric: Metric = self.metrics[change.experiment, change.metric]
            return words(metric, above=change.change.point > 1)
        if change.verdict is not Verdict.INCONCLUSIVE:
            return str(change.verdict.value)
        return f"unclear{forecast(change.blocks_needed, 'each')}"

    def as_json(self) -> dict[str, Json]:
        """For machines."""
        return {
            "result": self.result,
            "first": self.first,
            "second": self.second,
            "baseline": self.baseline,
            "margin": self.margin,
            "where": self.where,
            "meaningless": self.meaningless,
            "differences": list(self.differences),
            "further_differences": list(self.further),
            "changes": [_change(c) for c in self.changes],
            "exploratory": [_change(c) for c in self.exploratory],
            "status": self.status,
        }


def _change(change: Change) -> dict[str, Json]:
    return {**asdict(change), "verdict": change.verdict.value}


def _shown(estimate: Estimate) -> str:
    return f"{ratio(estimate)} (no interval)" if estimate.low is None or estimate.high is None else ratio(estimate)


def markdown(found: ComparedCampaigns) -> str:
    """A comment for a pull request, for GitHub's Markdown.

    Whatever comes from a campaign stands in a code span: there GitHub makes no link, mention, commit, emoji or HTML.
    """
    rows = [
        f"| {line.experiment} | {code(line.arm)} | {line.before} | {line.after} | {line.change} | "
        f"{line.sign} {line.verdict} |"
        for line in found.lines()
    ]
    head, colon, rest = found.answer(code).partition(": ")
    differing = [f"- {code(line)}" for line in found.differences]
    differing += (
        [f"- and {len(found.further)} further facts: `rtlab compare --all` lists them"] if found.further else []
    )
    return "\n".join(
        [
            MARKER,
            f"**{head}**{colon}{rest}",
            "",
            f"From {code(found.first)} to {code(found.second)}. {found.where}",
            "",
            f"| experiment | runtime | before, to {code(found.baseline)} | after | change | verdict |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "Ratios with their 95 % intervals. The verdicts are decided together (Holm).",
            "",
            "<details><summary>What the campaigns differ in</summary>",
            "",
            *(differing or ["Nothing that was recorded."]),
            "",
            "</details>",
            "",
        ]
    )


def code(text: str) -> str:
    """Text as a code span of GitHub's Markdown, also within a table; nothing in it is markup."""
    # A table ends its cells at a pipe before it looks for code, and a backslash before one is taken away.
    shown = " ".join(clean(text).replace("|", "¦").replace("\\", "⧵").split()) or "–"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def compare(first: Report, second: Report, *, anyway: bool = False) -> ComparedCampaigns:
    """Compare two campaigns' reports.

    Args:
        anyway: Compare although experiments were run with other parameters, or one of them was emulated or simulated
            and the other was not.

    Raises:
        CannotCompare: they do not match, and ``anyway`` was not said; or they have nothing in common at all.
    """
    obstacles = _obstacles(first, second)
    if obstacles and not anyway:
        raise CannotCompare(
            f"{first.name} and {second.name} do not match:\n  " + "\n  ".join(obstacles),
            remedy="Compare campaigns of the same design and parameters, or say --anyway; the differences are listed.",
        )
    if first.spec.baseline != second.spec.baseline:
        raise CannotCompare(
            f"The baselines differ: {first.spec.baseline} and {second.spec.baseline}.",
            remedy="Only ratios to the same baseline can be compared: measure again with the other's --baseline.",
        )
    experiments = [name for name in first.experiments if name in second.experiments]
    metrics = {name: first.experiments[name].metrics for name in experiments}
    both = shared(first.analysis, second.analysis, metrics, first.spec.baseline)
    if not both:
        raise CannotCompare(
            f"{first.name} and {second.name} have no ratio in common.",
            remedy="Both need the same baseline, another runtime that both have, and complete blocks.",
        )
    changes = compare_campaigns(both, first.spec.margin, titles={**second.titles, **first.titles})
    matters, further = _differences(first, second)
    same_place = first.testbed.level is second.testbed.level
    return ComparedCampaigns(
        first=first.name,
        second=second.name,
        baseline=first.spec.baseline,
        margin=first.spec.margin,
        where=f"{first.stamp}." if same_place else f"Before: {first.stamp}. After: {second.stamp}.",
        meaningless=first.meaningless or second.meaningless,
        differences=(*obstacles, *matters),
        further=further,
        changes=tuple(c for c in changes if not c.exploratory),
        exploratory=tuple(c for c in changes if c.exploratory),
        metrics={(name, m.name): m for name, ms in metrics.items() for m in ms},
    )


def _obstacles(first: Report, second: Report) -> tuple[str, ...]:
    """What forbids a comparison unless told otherwise."""
    found = []
    if first.testbed.level is not second.testbed.level:
        found.append(f"machines: {first.testbed.level.value} and {second.testbed.level.value}")
    if first.spec.design != second.spec.design:
        found.append(f"design: {first.spec.design} and {second.spec.design}")
    for name in first.experiments:
        if name in second.experiments:
            a, b = first.spec.parameters[name], second.spec.parameters[name]
            found += [] if _chosen_alike(a, b) else _parameter_differences(name, a, b)
    return tuple(found)


# What calibration chooses before the first block, in each campaign anew; sizes as close as this are the same workload.
CHOSEN, SAME_SIZE = ("calibrated", "size_mb", "seek_count"), 2.0


def _chosen_alike(a: Mapping[str, Json], b: Mapping[str, Json]) -> bool:
    """Whether parameters differ only in what calibration chose, and not by much."""
    sizes = [s for s in (a.get("size_mb"), b.get("size_mb")) if isinstance(s, int | float) and s > 0]
    if not (a.get("calibrated") and b.get("calibrated")) or len(sizes) < 2:
        return False
    rest = [{k: v for k, v in p.items() if k not in CHOSEN} for p in (a, b)]
    return rest[0] == rest[1] and max(sizes) <= SAME_SIZE * min(sizes)


def _parameter_differences(name: str, a: Mapping[str, Json], b: Mapping[str, Json]) -> list[str]:
    keys: Sequence[str] = sorted({*a, *b})
    return [f"{name}.{key}: {a.get(key)} and {b.get(key)}" for key in keys if a.get(key) != b.get(key)]


def _differences(first: Report, second: Report) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What differs without forbidding the comparison: what decides figures most, and what else there is."""
    found = []
    for what, a, b in (
        ("margin", f"{band(first.spec.margin)}, which is used", band(second.spec.margin)),
        ("blocks", first.spec.runs, second.spec.runs),
        ("machines", len(first.testbed.machines), len(second.testbed.machines)),
        ("profile", first.testbed.profile, second.testbed.profile),
        ("rtlab", first.header.get("rtlab"), second.header.get("rtlab")),
    ):
        if (a != b and what != "margin") or (what == "margin" and first.spec.margin != second.spec.margin):
            found.append(f"{what}: was {a}, is now {b}")
    for name in (n for n in first.experiments if n in second.experiments):
        a, b = first.spec.parameters[name], second.spec.parameters[name]
        if _chosen_alike(a, b) and a["size_mb"] != b["size_mb"]:
            found.append(f"{name}.size_mb: {a['size_mb']} and {b['size_mb']}, chosen before the first block")
    ranked: list[tuple[int, str]] = []
    for line, machines in _facts(first, second).items():
        rank = _rank(line)
        which = "" if len(machines) == len(first.testbed.machines) else f" (machine {', '.join(map(str, machines))})"
        ranked.append((rank, f"{line}{which}"))
    ranked.sort(key=lambda one: one[0])
    told = [line for rank, line in ranked if rank < len(MATTERS)]
    return (*found, *told), tuple(line for rank, line in ranked if rank == len(MATTERS))


def _facts(first: Report, second: Report) -> dict[str, list[int]]:
    """Each difference of the machines' facts to the machines, from 1, that have it."""
    found: dict[str, list[int]] = {}
    for position, (a, b) in enumerate(zip(first.facts.values(), second.facts.values(), strict=False), 1):
        for line in facts.changes(a[0], b[0]) if a and b else ():
            found.setdefault(line, []).append(position)
    return found


def _rank(line: str) -> int:
    """The place in MATTERS of the fact that a line tells of; beyond its end when it is not in there."""
    name = line.partition(": ")[0]
    if name.endswith(_UNTOLD):
        return len(MATTERS)
    return next((place for place, start in enumerate(MATTERS) if name.startswith(start)), len(MATTERS))
