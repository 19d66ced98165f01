"""``analyse``: everything that a report says about a campaign's numbers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rtlab.model import CampaignSpec, Caveat, Comparison, Estimate, Metric, Observation, Record, Summary, Verdict
from rtlab.stats import describe, verdict
from rtlab.stats.change import Both
from rtlab.stats.describe import Outlier
from rtlab.stats.drift import Drift, drift
from rtlab.stats.failures import at_bound
from rtlab.stats.missing import left_out
from rtlab.stats.noise import Noise, noise
from rtlab.stats.ratio import (
    Fit,
    Pair,
    difference,
    estimate,
    fieller,
    limiting_arm,
    machine_estimate,
    pairs,
    regress,
    unpaired,
)
from rtlab.stats.series import Series, collect

# So many unusual trials are named in a sentence, the farthest first.
LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What ``analyse`` found.

    Attributes:
        summaries: Every arm and metric, also arms of which nothing came back (n = 0).
        comparisons: Every arm but the baseline, every metric.
        noise: One per metric for which A/A blocks ran.
        fits: The fit behind each comparison, by (experiment, metric, arm): what compare_campaigns takes.
        broken: The A/A blocks of a primary metric say that the testbed is broken.
    """

    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    caveats: tuple[Caveat, ...]
    noise: tuple[Noise, ...]
    outliers: tuple[Outlier, ...]
    drifts: tuple[Drift, ...]
    fits: Mapping[tuple[str, str, str], Fit] = field(default_factory=dict)
    broken: bool = False

    def summary(self, experiment: str, metric: str, arm: str) -> Summary | None:
        """That summary, or None."""
        wanted = (experiment, metric, arm)
        return next((s for s in self.summaries if (s.experiment, s.metric, s.arm) == wanted), None)

    def comparison(self, experiment: str, metric: str, arm: str) -> Comparison | None:
        """That comparison, or None."""
        wanted = (experiment, metric, arm)
        return next((c for c in self.comparisons if (c.experiment, c.metric, c.arm) == wanted), None)


@dataclass(slots=True)
class _Draft:
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


def analyse(
    spec: CampaignSpec,
    observations: Sequence[Observation],
    records: Sequence[Record],
    metrics: Mapping[str, Sequence[Metric]],
    *,
    causes: Mapping[int, str] | None = None,
    titles: Mapping[str, str] | None = None,
    given_up: Collection[int] = (),
) -> Analysis:
    """Summaries, comparisons, verdicts and warnings, from parsed observations and the records' outcomes.

    Args:
        metrics: Experiment -> its metrics.
        causes: Trial number -> what happened during it (new kernel messages, a long wait): told beside outliers.
        titles: Arm -> what it is called in sentences; its own name by default.
        given_up: Blocks that were interrupted and not repeated: their values are left out.
    """
    names = titles or {}
    units = {(name, m.name): m.unit for name in spec.experiments for m in metrics[name]}
    found = collect(observations, records, units, given_up)
    copies = (f"{spec.baseline}#1", f"{spec.baseline}#2")
    for experiment, metric in units:
        for arm in spec.runtimes:
            unit = units[experiment, metric]
            found.setdefault(
                (experiment, metric, arm), Series(experiment=experiment, metric=metric, arm=arm, unit=unit)
            )
    steps = {(name, m.name): step_of(m) for name in spec.experiments for m in metrics[name]}
    floors: dict[tuple[str, str], Noise] = {}
    for experiment, metric in units:
        first, second = (found.get((experiment, metric, copy)) for copy in copies)
        if first and second and (floor := noise(first, second, steps[experiment, metric])):
            floors[experiment, metric] = floor
    primary = {(name, m.name) for name in spec.experiments for m in metrics[name] if m.primary}
    broken = [floors[key] for key in sorted(primary) if key in floors and floors[key].broken]

    drafts = [
        _draft(spec, found, name, metric, arm, floors.get((name, metric.name)), names)
        for name in spec.experiments
        for metric in metrics[name]
        for arm in spec.runtimes
        if arm != spec.baseline
    ]
    comparisons = _decided(spec, drafts, bool(broken), names)
    watched = [
        found[name, metric.name, arm] for name in spec.experiments for metric in metrics[name] for arm in spec.runtimes
    ]
    # Totals and counters drift by nature (uptime); only what a verdict may rest on is watched.
    judged = [s for s in watched if (s.experiment, s.metric) in primary]
    flagged = tuple(o for series in watched for o in describe.outliers(series, causes, len(judged)))
    drifts = tuple(d for series in judged if (d := drift(series)))
    return Analysis(
        summaries=tuple(describe.summarise(series) for series in watched),
        comparisons=comparisons,
        caveats=_caveats(spec, drafts, flagged, drifts, broken, found, records, names),
        noise=tuple(floors.values()),
        outliers=flagged,
        drifts=drifts,
        fits={(d.experiment, d.metric.name, d.arm): d.fit for d in drafts if d.fit is not None},
        broken=bool(broken),
    )


def shared(
    first: Analysis, second: Analysis, metrics: Mapping[str, Sequence[Metric]], baseline: str
) -> tuple[Both, ...]:
    """What two campaigns have in common, for compare_campaigns; ``baseline`` must be the baseline of both."""
    found = []
    for name, of in metrics.items():
        for metric in of:
            for experiment, title, arm in first.fits:
                if (experiment, title) != (name, metric.name) or (experiment, title, arm) not in second.fits:
                    continue
                a, b = (x.summary(experiment, title, arm) for x in (first, second))
                medians = [s.median.point if s and s.median else None for s in (a, b)]
                absolute = medians[1] / medians[0] if medians[0] and medians[1] is not None else None
                found.append(
                    Both(
                        experiment=name,
                        metric=metric,
                        arm=arm,
                        baseline=baseline,
                        first=first.fits[experiment, title, arm],
                        second=second.fits[experiment, title, arm],
                        absolute=absolute,
                        broken=first.broken or second.broken,
                    )
                )
    return tuple(found)


def _draft(
    spec: CampaignSpec,
    found: Mapping[tuple[str, str, str], Series],
    experiment: str,
    metric: Metric,
    arm: str,
    floor: Noise | None,
    names: Mapping[str, str],
) -> _Draft:
    mine, base = found[experiment, metric.name, arm], found[experiment, metric.name, spec.baseline]
    paired = pairs(mine, base)
    fit: Fit | None = None
    if metric.positive:
        step = step_of(metric)
        fit = unpaired(mine, base, step) if spec.design == "paper" else regress(paired, step)
    height = floor.floor if floor else None
    return _Draft(
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
    )


# What a metric that declares no resolution is read in, by its unit.
_FINEST = {"s": 1e-9, "B": 1.0, "1": 1.0}


def step_of(metric: Metric) -> float:
    """The step in which a metric is read; 0 where it is not known."""
    return metric.resolution or _FINEST.get(metric.unit, 0.0)


def _apart(d: _Draft, spec: CampaignSpec, names: Mapping[str, str]) -> str:
    """Why runtime and machine cannot be told apart in these pairs, and what would mend it."""
    where = sorted({(p.arm_machine, p.baseline_machine) for p in d.pairs})
    arm, baseline = names.get(d.arm, d.arm), names.get(spec.baseline, spec.baseline)
    mend = "one more block in which they swap machines would mend it"
    if len(where) == 1:
        return f"{arm} ran on {where[0][0]} and {baseline} on {where[0][1]} in every block that is left; {mend}"
    return f"the blocks that are left do not tell runtime and machine apart; {mend}"


def _span(e: Estimate, unit: str) -> str:
    if e.low is None or e.high is None:
        return f"difference {e.point:+.3g} {unit}, too few blocks for an interval"
    return f"difference {e.point:+.3g} {unit}, 95 % interval {e.low:.3g} to {e.high:.3g} {unit}"


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


def _decided(
    spec: CampaignSpec, drafts: Sequence[_Draft], broken: bool, names: Mapping[str, str]
) -> tuple[Comparison, ...]:
    family = [i for i, d in enumerate(drafts) if d.metric.primary and d.p is not None]
    raw = [p for i in family if (p := drafts[i].p) is not None]
    adjusted = dict(zip(family, verdict.holm(raw), strict=True))
    found = []
    for index, d in enumerate(drafts):
        deciding = adjusted.get(index) if d.metric.primary else d.p
        result = verdict.decide(d.fit, d.metric, spec.margin, d.floor, deciding)
        if broken and d.fit is not None:
            result = Verdict.WITHHELD
        apart = d.fit is not None and d.fit.confounded
        if apart:
            result = Verdict.WITHHELD
        further = None
        if d.fit is not None and result is Verdict.INCONCLUSIVE:
            further = verdict.blocks_needed(
                d.fit, spec.margin, d.floor, among=verdict.still_among(d.p, raw) if index in adjusted else 1
            )
        why_not = d.why_not
        if apart:
            why_not = _apart(d, spec, names)
        elif result is Verdict.WITHHELD:
            why_not = "the A/A blocks differ, so the testbed is broken"
        elif d.difference is not None:
            why_not += f". {_span(d.difference, d.metric.unit).capitalize()}"
        words = verdict.sentence(
            names.get(d.arm, d.arm),
            names.get(spec.baseline, spec.baseline),
            d.metric,
            result,
            d.fit,
            spec.margin,
            further=further,
            why_not=why_not,
            floor=d.floor,
            exploratory=not d.metric.primary,
        )
        found.append(
            Comparison(
                experiment=d.experiment,
                metric=d.metric.name,
                arm=d.arm,
                baseline=spec.baseline,
                ratio=estimate(d.fit) if d.fit else None,
                mean_ratio=fieller(d.pairs) if spec.design != "paper" and d.metric.positive else None,
                machine_effect=machine_estimate(d.fit) if d.fit else None,
                verdict=result,
                p_value=d.p,
                p_adjusted=adjusted.get(index),
                blocks_needed=further,
                sentence=words,
                blocks=tuple(p.block for p in d.pairs),
                exploratory=not d.metric.primary,
                limiting_arm=d.limiting,
                difference=d.difference,
                why_not=why_not,
            )
        )
    return tuple(found)


def _caveats(
    spec: CampaignSpec,
    drafts: Sequence[_Draft],
    flagged: Sequence[Outlier],
    drifts: Sequence[Drift],
    broken: Sequence[Noise],
    found: Mapping[tuple[str, str, str], Series],
    records: Sequence[Record],
    names: Mapping[str, str],
) -> tuple[Caveat, ...]:
    caveats = [
        Caveat(
            kind="testbed broken",
            message=f"The same runtime in both arms differs: ratio {n.ratio.point:.3g}, and its 99.9 % interval "
            "excludes 1. Every verdict is withheld.",
            where=f"{n.experiment}/{n.metric}",
        )
        for n in broken
    ]
    if spec.design == "paper":
        caveats.append(
            Caveat(
                kind="design",
                message="The paper's design runs all trials of one runtime, then of the other: machine, time and "
                "runtime cannot be told apart. Under one 5 % step of the host such a design finds a false difference "
                "in 39-51 % of campaigns. Verdicts are what the numbers would say if nothing else had changed.",
            )
        )
    elif any(d.fit and d.fit.confounded for d in drafts):
        caveats.append(
            Caveat(
                kind="machines",
                message="In the blocks that are left, runtime and machine never swapped: they cannot be told apart.",
            )
        )
    for d in drafts:
        if d.metric.primary:
            caveats += _about_one(spec, d, flagged, found, records, names)
    caveats += [
        Caveat(
            kind="drift",
            message=d.sentence(names.get(d.arm, d.arm), len(drifts)) + ".",
            where=f"{d.experiment}/{d.metric}",
        )
        for d in drifts
        if d.suspicious(len(drifts))
    ]
    return tuple(caveats)


def _about_one(
    spec: CampaignSpec,
    d: _Draft,
    flagged: Sequence[Outlier],
    found: Mapping[tuple[str, str, str], Series],
    records: Sequence[Record],
    names: Mapping[str, str],
) -> list[Caveat]:
    where = f"{d.experiment}/{d.metric.name}"
    caveats = []
    for arm in (spec.baseline, d.arm):
        series, name = found[d.experiment, d.metric.name, arm], names.get(arm, arm)
        if series.failed:
            total = len(series.failed) + len(series.values) + len(series.censored)
            caveats.append(
                Caveat(
                    kind="failed",
                    message=f"{len(series.failed)} of {total} {d.experiment} trials of {name} failed: they gave no "
                    "value and are left out of its mean, median and ratio.",
                    where=where,
                )
            )
        if series.censored:
            caveats.append(
                Caveat(
                    kind="censored",
                    message=f"In {len(series.censored)} trials of {name} the tool was too fast to tell: the true "
                    "values are beyond what it can measure and are left out of mean, median and ratio.",
                    where=where,
                )
            )
    if spec.design != "paper" and d.fit is not None:
        mine_, base = (found[d.experiment, d.metric.name, arm] for arm in (d.arm, spec.baseline))
        bounded = at_bound(mine_, base, d.metric, records, step_of(d.metric))
        if bounded is not None:
            caveats.append(Caveat(kind="failures", message=_failures(d, bounded, mine_, base, names), where=where))
        missing = left_out(mine_, base, [p.block for p in d.pairs], records, names)
        if missing:
            caveats.append(Caveat(kind="left out", message=missing, where=where))
    mine = [o for o in flagged if (o.experiment, o.metric) == (d.experiment, d.metric.name)]
    mine = [o for o in mine if o.arm in (d.arm, spec.baseline)]
    if mine and d.fit is not None:
        blocks = {o.block for o in mine}
        rest = regress([p for p in d.pairs if p.block not in blocks]) if spec.design != "paper" else None
        without = ""
        if rest is not None and (interval := estimate(rest)) and interval.low is not None:
            with_ = estimate(d.fit)
            without = (
                f" Ratio {_shown(with_.point, with_.low, with_.high)} with them, "
                f"{_shown(interval.point, interval.low, interval.high)} without."
            )
        worst = sorted(mine, key=lambda o: -abs(o.z))[:LISTED]
        listed = ", ".join(
            f"{o.trial} ({names.get(o.arm, o.arm)}, z {o.z:+.1f}{', ' + o.cause if o.cause else ''})" for o in worst
        )
        if len(mine) > LISTED:
            listed += f" and {len(mine) - LISTED} more"
        caveats.append(
            Caveat(
                kind="outliers",
                message=f"Unusual values, kept in every estimate: trials {listed}.{without}",
                where=where,
            )
        )
    return caveats


def _failures(d: _Draft, bounded: Fit, mine: Series, base: Series, names: Mapping[str, str]) -> str:
    arm, baseline = (names.get(s.arm, s.arm) for s in (mine, base))
    more, fewer = (arm, baseline) if len(mine.failed) >= len(base.failed) else (baseline, arm)
    looks = f"it makes {more} look better against {fewer} than it is"
    if len(mine.failed) == len(base.failed):
        looks = "it makes both look better than they are"
    assert d.fit is not None
    with_, without = estimate(bounded), estimate(d.fit)
    return (
        f"If trials failed because they were slow, leaving them out is not neutral: {looks}. With each failed trial "
        f"at the worst value of its runtime the ratio is {_shown(with_.point, with_.low, with_.high)}, without them "
        f"{_shown(without.point, without.low, without.high)}; were they worse than that, it lies still farther."
    )


def _told(outlier: Outlier, name: str) -> str:
    cause = f", {outlier.cause}" if outlier.cause else ""
    return f"{outlier.trial} ({name}, z {outlier.z:+.1f}{cause})"


def _shown(point: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{point:.3g}"
    return f"{point:.3g} ({low:.3g} to {high:.3g})"
