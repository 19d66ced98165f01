"""``analyse``: everything that a report says about a campaign's numbers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rtlab.model import CampaignSpec, Caveat, Comparison, Metric, Observation, Record, Summary, Verdict
from rtlab.stats import describe, failures, sentences, verdict
from rtlab.stats.caveats import caveats, could_not_tell
from rtlab.stats.change import Both
from rtlab.stats.describe import Outlier
from rtlab.stats.draft import Draft, apart, draft, step_of
from rtlab.stats.drift import Drift, drift
from rtlab.stats.hosts import Hosts, over_hosts
from rtlab.stats.noise import Noise, noise
from rtlab.stats.ratio import Fit, estimate, fieller, machine_estimate
from rtlab.stats.series import Series, collect


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What ``analyse`` found.

    Attributes:
        summaries: Every arm and metric, also arms of which nothing came back (n = 0).
        comparisons: Every arm but the baseline, every metric.
        noise: One per metric for which A/A blocks ran.
        fits: The fit behind each comparison, by (experiment, metric, arm): what compare_campaigns takes.
        broken: The A/A blocks of a primary metric say that the testbed is broken.
        hosts: Each primary comparison host by host, where three or more machines tell their own ratio.
    """

    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    caveats: tuple[Caveat, ...]
    noise: tuple[Noise, ...]
    outliers: tuple[Outlier, ...]
    drifts: tuple[Drift, ...]
    fits: Mapping[tuple[str, str, str], Fit] = field(default_factory=dict)
    broken: bool = False
    hosts: tuple[Hosts, ...] = ()

    def summary(self, experiment: str, metric: str, arm: str) -> Summary | None:
        """That summary, or None."""
        wanted = (experiment, metric, arm)
        return next((s for s in self.summaries if (s.experiment, s.metric, s.arm) == wanted), None)

    def comparison(self, experiment: str, metric: str, arm: str) -> Comparison | None:
        """That comparison, or None."""
        wanted = (experiment, metric, arm)
        return next((c for c in self.comparisons if (c.experiment, c.metric, c.arm) == wanted), None)


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
        draft(spec, found, name, metric, arm, floors.get((name, metric.name)), names, records)
        for name in spec.experiments
        for metric in metrics[name]
        for arm in spec.runtimes
        if arm != spec.baseline
    ]
    watched = [
        found[name, metric.name, arm] for name in spec.experiments for metric in metrics[name] for arm in spec.runtimes
    ]
    summaries = tuple(describe.summarise(series) for series in watched)
    by_name = {(name, m.name): m for name in spec.experiments for m in metrics[name]}
    decided = _decided(spec, drafts, bool(broken), names)
    comparisons = sentences.reworded(decided, summaries, floors, by_name, names, spec.margin)
    # Totals and counters drift by nature (uptime); only what a verdict may rest on is watched.
    judged = [s for s in watched if (s.experiment, s.metric) in primary]
    flagged = tuple(o for series in watched for o in describe.outliers(series, causes, len(judged)))
    drifts = tuple(d for series in judged if (d := drift(series)))
    return Analysis(
        summaries=summaries,
        comparisons=comparisons,
        caveats=(
            *caveats(spec, drafts, flagged, drifts, broken, found, records, names),
            *could_not_tell(spec, comparisons, drafts),
        ),
        noise=tuple(floors.values()),
        outliers=flagged,
        drifts=drifts,
        fits={(d.experiment, d.metric.name, d.arm): d.fit for d in drafts if d.fit is not None},
        broken=bool(broken),
        hosts=tuple(
            over
            for d in drafts
            if d.metric.primary and d.fit is not None and spec.design != "paper"
            if (over := over_hosts(d.pairs, d.experiment, d.metric.name, d.arm, spec.baseline))
        ),
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


def _failures(d: Draft, spec: CampaignSpec, names: Mapping[str, str]) -> str:
    if d.bounded is None or d.fit is None:
        return ""
    return failures.sentence(d.bounded, d.fit, names.get(d.arm, d.arm), names.get(spec.baseline, spec.baseline))


def _decided(
    spec: CampaignSpec, drafts: Sequence[Draft], broken: bool, names: Mapping[str, str]
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
        confounded = d.fit is not None and d.fit.confounded
        if confounded:
            result = Verdict.WITHHELD
        further = None
        if d.fit is not None and result is Verdict.INCONCLUSIVE:
            further = verdict.blocks_needed(
                d.fit, spec.margin, d.floor, among=verdict.still_among(d.p, raw) if index in adjusted else 1
            )
        why_not = d.why_not
        if confounded:
            why_not = apart(d, spec, names)
        elif result is Verdict.WITHHELD:
            why_not = "the A/A blocks differ, so the testbed is broken"
        elif d.difference is not None:
            told = sentences.difference(d.difference, d.metric)
            why_not += f". {told[0].upper()}{told[1:]}"
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
                sentence="",
                blocks=tuple(p.block for p in d.pairs),
                exploratory=not d.metric.primary,
                limiting_arm=d.limiting,
                difference=d.difference,
                at_bound=d.bounded.ratio if d.bounded else None,
                failures=_failures(d, spec, names),
                why_not=why_not,
            )
        )
    return tuple(found)
