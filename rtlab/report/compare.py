"""``rtlab compare``: what changed between two campaigns, beyond noise or not.

Two campaigns share no state of the host, so their absolute values differ by chance; what is tested is the change of
each ratio to the shared baseline (measurement.md §4.11). What the campaigns differ in stands first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rtlab.errors import RtlabError
from rtlab.model import Json, Verdict
from rtlab.report import Report
from rtlab.stats import Change, compare_campaigns
from rtlab.stats.analysis import shared
from rtlab.store import facts

# Exit statuses of `rtlab compare`, for CI.
NOT_SLOWER, SLOWER, UNCLEAR, INCOMPARABLE = 0, 10, 11, 12


class CannotCompare(RtlabError):
    """The campaigns do not match; the message says in what."""

    exit_code = INCOMPARABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCampaigns:
    """Two campaigns side by side.

    Attributes:
        differences: What the campaigns and their machines differ in, one line each.
        changes: Every shared ratio, primaries first.
        status: The exit status for CI: worst verdict among the primary metrics.
    """

    first: str
    second: str
    differences: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def primaries(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if not c.exploratory)

    @property
    def status(self) -> int:
        verdicts = {c.verdict for c in self.primaries}
        if Verdict.SLOWER in verdicts:
            return SLOWER
        return UNCLEAR if verdicts & {Verdict.INCONCLUSIVE, Verdict.WITHHELD} else NOT_SLOWER

    def as_json(self) -> dict[str, Json]:
        """For machines."""
        return {
            "first": self.first,
            "second": self.second,
            "differences": list(self.differences),
            "changes": [{**asdict(c), "verdict": c.verdict.value} for c in self.changes],
            "status": self.status,
        }


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
    changes = compare_campaigns(both, first.spec.margin)
    return ComparedCampaigns(
        first=first.name,
        second=second.name,
        differences=(*obstacles, *_differences(first, second)),
        changes=tuple(sorted(changes, key=lambda c: c.exploratory)),
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
            found += _parameter_differences(name, first.spec.parameters[name], second.spec.parameters[name])
    return tuple(found)


def _parameter_differences(name: str, a: Mapping[str, Json], b: Mapping[str, Json]) -> list[str]:
    keys: Sequence[str] = sorted({*a, *b})
    return [f"{name}.{key}: {a.get(key)} and {b.get(key)}" for key in keys if a.get(key) != b.get(key)]


def _differences(first: Report, second: Report) -> tuple[str, ...]:
    """What differs in hardware, software and settings without forbidding the comparison."""
    found = []
    if first.spec.margin != second.spec.margin:
        found.append(f"margin: {first.spec.margin:g} and {second.spec.margin:g}; the first is used")
    if first.spec.runs != second.spec.runs:
        found.append(f"blocks: {first.spec.runs} and {second.spec.runs}")
    for position, (a, b) in enumerate(zip(first.facts.values(), second.facts.values(), strict=False), 1):
        if a and b:
            found += [f"machine {position}: {line}" for line in facts.changes(a[0], b[0])]
    return tuple(found)
