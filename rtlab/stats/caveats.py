"""What a reader must know beside the numbers: failures, outliers, drift, a broken testbed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtlab.model import CampaignSpec, Caveat, Comparison, Record, Verdict
from rtlab.stats import failures, power
from rtlab.stats.describe import Outlier
from rtlab.stats.draft import Draft, step_of
from rtlab.stats.drift import Drift
from rtlab.stats.missing import left_out
from rtlab.stats.noise import Noise
from rtlab.stats.ratio import estimate, regress
from rtlab.stats.sentences import ratio
from rtlab.stats.series import Series
from rtlab.units import format_number, ratio_text

# So many unusual trials are named in a sentence, the farthest first.
LISTED = 8


def caveats(
    spec: CampaignSpec,
    drafts: Sequence[Draft],
    flagged: Sequence[Outlier],
    drifts: Sequence[Drift],
    broken: Sequence[Noise],
    found: Mapping[tuple[str, str, str], Series],
    records: Sequence[Record],
    names: Mapping[str, str],
) -> tuple[Caveat, ...]:
    """All of them: of the whole campaign, then of each primary comparison, then drift."""
    told = _of_the_whole(spec, drafts, broken)
    for d in drafts:
        if d.metric.primary:
            told += _about_one(spec, d, flagged, found, records, names)
    told += [
        Caveat(
            kind="drift",
            message=d.sentence(names.get(d.arm, d.arm), len(drifts)) + ".",
            where=f"{d.experiment}/{d.metric}",
        )
        for d in drifts
        if d.suspicious(len(drifts))
    ]
    return tuple(dict.fromkeys(told))


def could_not_tell(spec: CampaignSpec, comparisons: Sequence[Comparison], drafts: Sequence[Draft]) -> list[Caveat]:
    """Where a primary verdict is inconclusive: what so many blocks could have decided at all."""
    judged = [c for c in comparisons if not c.exploratory]
    open_ = [len(c.blocks) for c in judged if c.verdict is Verdict.INCONCLUSIVE and c.ratio is not None]
    if spec.design == "paper" or not open_:
        return []
    machines = {m for d in drafts for p in d.pairs for m in (p.arm_machine, p.baseline_machine)}
    family = sum(c.p_value is not None for c in judged) or len(judged)
    told = power.sentences(min(open_), margin=spec.margin, family=family, machines=max(1, len(machines)))
    return [Caveat(kind="what these blocks can decide", message=" ".join(told))]


def _of_the_whole(spec: CampaignSpec, drafts: Sequence[Draft], broken: Sequence[Noise]) -> list[Caveat]:
    told = [
        Caveat(
            kind="testbed broken",
            message=f"The same runtime in both arms differs: ratio {ratio_text(n.ratio.point).point}, and its 99.9 % "
            "interval excludes 1. Every verdict is withheld.",
            where=f"{n.experiment}/{n.metric}",
        )
        for n in broken
    ]
    if spec.design == "paper":
        told.append(
            Caveat(
                kind="design",
                message="The paper's design runs all trials of one runtime, then of the other: machine, time and "
                "runtime cannot be told apart. Under one 5 % step of the host such a design finds a false difference "
                "in 39 to 51 % of campaigns. Verdicts are what the numbers would say if nothing else had changed.",
            )
        )
    elif any(d.fit and d.fit.confounded for d in drafts):
        told.append(
            Caveat(
                kind="machines",
                message="In the blocks that are left, runtime and machine never swapped: they cannot be told apart.",
            )
        )
    return told


def _about_one(
    spec: CampaignSpec,
    d: Draft,
    flagged: Sequence[Outlier],
    found: Mapping[tuple[str, str, str], Series],
    records: Sequence[Record],
    names: Mapping[str, str],
) -> list[Caveat]:
    """What one primary comparison rests on, and what it leaves out."""
    where = f"{d.experiment}/{d.metric.name}"
    mine, base = (found[d.experiment, d.metric.name, arm] for arm in (d.arm, spec.baseline))
    told = []
    for series in (base, mine):
        name = names.get(series.arm, series.arm)
        if series.failed:
            total = len(series.failed) + len(series.values) + len(series.censored)
            told.append(
                Caveat(
                    kind="failed",
                    message=f"{len(series.failed)} of {total} {d.experiment} trials of {name} failed: they gave no "
                    "value and are left out of its mean, median and ratio.",
                    where=where,
                )
            )
        if series.censored:
            told.append(
                Caveat(
                    kind="censored",
                    message=f"In {len(series.censored)} trials of {name} the tool was too fast to tell: the true "
                    "values are beyond what it can measure and are left out of mean, median and ratio.",
                    where=where,
                )
            )
    if d.fit is None:
        return told
    if d.bounded is not None:
        arm, baseline = names.get(d.arm, d.arm), names.get(spec.baseline, spec.baseline)
        message = failures.sentence(d.bounded, d.fit, arm, baseline)
        told.append(Caveat(kind="failures", message=message, where=where))
    missing = left_out(mine, base, [p.block for p in d.pairs], records, names) if spec.design != "paper" else ""
    if missing:
        told.append(Caveat(kind="left out", message=missing, where=where))
    return [*told, *_unusual(spec, d, flagged, names)]


def _unusual(spec: CampaignSpec, d: Draft, flagged: Sequence[Outlier], names: Mapping[str, str]) -> list[Caveat]:
    """The unusual values of both arms, with the ratio with and without them."""
    mine = [
        o
        for o in flagged
        if (o.experiment, o.metric) == (d.experiment, d.metric.name) and o.arm in (d.arm, spec.baseline)
    ]
    if not mine or d.fit is None:
        return []
    blocks = {o.block for o in mine}
    rest = None
    if spec.design != "paper":
        rest = regress([p for p in d.pairs if p.block not in blocks], step_of(d.metric))
    without = ""
    if rest is not None and (kept := estimate(rest)).low is not None:
        without = f" Ratio {ratio(estimate(d.fit))} with them, {ratio(kept)} without."
    worst = sorted(mine, key=lambda o: -abs(o.z))[:LISTED]
    listed = ", ".join(
        f"{o.trial} ({names.get(o.arm, o.arm)}, {_far(o.z)}{', ' + o.cause if o.cause else ''})" for o in worst
    )
    if len(mine) > LISTED:
        listed += f" and {len(mine) - LISTED} more"
    return [
        Caveat(
            kind="outliers",
            message=f"Unusual values, kept in every estimate: trial{'s' * (len(mine) != 1)} {listed}.{without}",
            where=f"{d.experiment}/{d.metric.name}",
        )
    ]


def _far(z: float) -> str:
    """How far a value lies from its arm's median, in deviations that outliers do not swell (median absolute ones)."""
    size = "over 1000" if abs(z) > 1000 else format_number(abs(z), 2)
    return f"{size} deviations {'above' if z > 0 else 'below'} the median"
