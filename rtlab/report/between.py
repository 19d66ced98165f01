"""What an engine adds: each runtime under one engine against the same runtime under another, within one campaign."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rtlab import plugins
from rtlab.model import CampaignSpec, Caveat, Comparison, Metric, Observation, Record
from rtlab.stats.analysis import analyse


def pairs(runtimes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(the arm of the machine's first engine, the same runtime's of another one), in the campaign's order."""
    found = []
    for arm in runtimes:
        plain, at, _ = arm.partition("@")
        if at and plain in runtimes:
            found.append((plain, arm))
    return tuple(found)


def comparisons(
    spec: CampaignSpec,
    observations: Sequence[Observation],
    records: Sequence[Record],
    metrics: Mapping[str, Sequence[Metric]],
    titles: Mapping[str, str],
    given_up: Collection[int],
) -> tuple[Comparison, ...]:
    """The primary metrics of every such pair, analysed as a campaign's own: within blocks, with its interval."""
    found: list[Comparison] = []
    primary = {name: [m for m in of if m.primary] for name, of in metrics.items()}
    for first, other in pairs(spec.runtimes):
        both = replace(spec, runtimes=(other, first), baseline=other, aa=False)
        arms = {first, other}
        analysis = analyse(
            both,
            [o for o in observations if o.trial.arm in arms],
            [r for r in records if r.trial.arm in arms],
            primary,
            titles=titles,
            given_up=given_up,
        )
        found += analysis.comparisons
    return tuple(found)


def caveats(found: Sequence[Comparison]) -> tuple[Caveat, ...]:
    """A sentence for each runtime: what the engine in between adds, or that it cannot be told."""
    told: dict[str, list[str]] = {}
    for comparison in found:
        told.setdefault(comparison.arm, []).append(comparison.sentence)
    engine = plugins.engine(plugins.names("engines")[0]).title
    return tuple(
        Caveat(kind="engine", message=f"What {engine} adds: {' '.join(statements)}") for statements in told.values()
    )
