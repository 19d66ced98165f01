"""One comparison before Holm: what was fitted from an arm's and the baseline's series. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtlab.model import CampaignSpec, Estimate, Metric, Record
from rtlab.stats import verdict
from rtlab.stats.failures import Bounded, at_bound
from rtlab.stats.noise import Noise
from rtlab.stats.ratio import Fit, Pair, difference, limiting_arm, pairs, regress, unpaired
from rtlab.stats.series import Series


@dataclass(slots=True)
class Draft:
    """One comparison before Holm."""

    experiment: str
    metric: Metric
    arm: str
    fit: Fit | None
    pairs: tuple[Pair, ...]
    why_not: str
    floor: float | None
    limiting: str | None
    p: float | None
    difference: Estimate | None = None
    bounded: Bounded | None = None


def draft(
    spec: CampaignSpec,
    found: Mapping[tuple[str, str, str], Series],
    experiment: str,
    metric: Metric,
    arm: str,
    floor: Noise | None,
    names: Mapping[str, str],
    records: Sequence[Record],
) -> Draft:
    mine, base = found[experiment, metric.name, arm], found[experiment, metric.name, spec.baseline]
    paired = pairs(mine, base)
    fit: Fit | None = None
    bounded: Bounded | None = None
    if metric.positive:
        step = step_of(metric)
        fit = unpaired(mine, base, step) if spec.design == "paper" else regress(paired, step)
        if fit is not None and spec.design != "paper":
            bounded = at_bound(mine, base, metric, records, step)
    height = floor.floor if floor else None
    return Draft(
        experiment=experiment,
        metric=metric,
        arm=arm,
        fit=fit,
        pairs=paired,
        why_not="" if fit else _why_not(metric, mine, base, paired, names),
        floor=height,
        limiting=limiting_arm(mine, base) if metric.positive else None,
        # Runtime and machine in one: no test of the runtime, and none that Holm should count.
        p=verdict.p_value(fit, spec.margin, height) if fit and not fit.confounded else None,
        difference=difference(paired, step_of(metric)) if fit is None and spec.design != "paper" else None,
        bounded=bounded,
    )


# What a metric that declares no resolution is read in, by its unit.
_FINEST = {"s": 1e-9, "B": 1.0, "1": 1.0}


def step_of(metric: Metric) -> float:
    """The step in which a metric is read; 0 where it is not known."""
    return metric.resolution or _FINEST.get(metric.unit, 0.0)


def apart(d: Draft, spec: CampaignSpec, names: Mapping[str, str]) -> str:
    """Why runtime and machine cannot be told apart in these pairs, and what would change that."""
    where = sorted({(p.arm_machine, p.baseline_machine) for p in d.pairs})
    arm, baseline = names.get(d.arm, d.arm), names.get(spec.baseline, spec.baseline)
    more = "one more block in which they swap machines would tell them apart"
    if len(where) == 1:
        return f"{arm} ran on {where[0][0]} and {baseline} on {where[0][1]} in every block that is left; {more}"
    return f"the blocks that are left do not tell runtime and machine apart; {more}"


def _why_not(metric: Metric, mine: Series, base: Series, paired: Sequence[Pair], names: Mapping[str, str]) -> str:
    """Why there is no ratio, in words."""
    if not metric.positive:
        return "it may be 0 or negative, so a ratio means nothing"
    for series in (mine, base):
        if series.values:
            continue
        name = names.get(series.arm, series.arm)
        if series.censored:
            return f"under {name} the tool found it too fast to tell in all {len(series.censored)} trials"
        if series.failed:
            return f"all {len(series.failed)} trials of {name} failed"
        return f"{name} has no values"
    if not paired:
        return "no block has a value of both"
    return "some values are 0 or negative, so a ratio means nothing"
