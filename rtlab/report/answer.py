"""The answer: one table, experiment × arm, of which every format is a rendering. Pure; built once per report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from rtlab.model import CampaignSpec, Caveat, Comparison, Experiment, Level, Metric, Summary, Verdict
from rtlab.report import ages
from rtlab.stats import Analysis
from rtlab.stats.sentences import together
from rtlab.text import clean, counted
from rtlab.units import RatioText, alike, band, format_number, from_base, ratio_text, readable_unit

# How a cell is coloured. A cell without a verdict has the tone "none".
Tone = Literal["worse", "better", "same", "looks", "unclear", "withheld", "none"]
# The verdict as the table says it: its sign and its word. Slower and faster have other words for sizes and rates. No
# sign points up or down: worse beside a halved rate would seem to say that it rose.
WORDS: Mapping[Verdict, tuple[str, str, Tone]] = {
    Verdict.SLOWER: ("✗", "worse", "worse"),
    Verdict.FASTER: ("✓", "better", "better"),
    Verdict.NO_DIFFERENCE: ("=", "same", "same"),
    Verdict.INCONCLUSIVE: ("?", "unclear", "unclear"),
    Verdict.WITHHELD: ("!", "withheld", "withheld"),
}
# What each word means, for below the table; ``{margin}`` is the band as it is, ``{blocks}`` is ``4 blocks are``.
LEGEND: Mapping[Tone, str] = {
    "worse": "✗ worse, ✓ better: the whole interval lies outside the margin of {margin} ({times})",
    "same": "= same: the whole interval lies within {same}",
    "looks": "? looks worse, better, same: clear by its own interval, but not once {ratios} are allowed for",
    "unclear": "? unclear: {blocks} too few to tell",
    "withheld": "! withheld: the numbers cannot be trusted",
}
# The order in which a runtime's sentence names the words.
_PLACES = ("worse", "better", "same", "looks worse", "looks better", "looks same", "unclear", "withheld", "no ratio")
# Above the table, so many warnings of one kind are named.
_NAMED = 4
_KINDS = {
    ages.OLD: "Old software",
    ages.DEPRECATED: "Deprecated",
    ages.UNREPRESENTATIVE: "Not as people run it",
}
_MEANINGLESS = {
    Level.EMULATED: "Emulated machines: no figure means anything.",
    Level.SIMULATED: "Simulated values: no figure means anything.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm against the baseline in one experiment.

    Attributes:
        value: The arm's median, in the line's unit; None where it has none. Its text is as it is shown, with the unit.
        ratio, low, high: To the baseline; None where there is none.
        verdict: None where no ratio could be made.
        n_failed: Trials that gave no value.
        reason: Why the cell is empty, or has no verdict; empty otherwise.
        sentence: The same in words.
    """

    arm: str
    title: str
    value: float | None
    value_text: str
    ratio: float | None
    low: float | None
    high: float | None
    ratio_text: str
    interval_text: str
    verdict: Verdict | None
    sign: str
    word: str
    tone: Tone
    blocks: int
    n_failed: int
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One experiment by its primary metric.

    Attributes:
        unit: Of every value of the line, a display unit of ``rtlab.units``.
        direction: ``lower is better``; empty where neither is.
        baseline: The baseline's median in ``unit``; None where it has none, and then ``reason`` says why.
    """

    experiment: str
    experiment_title: str
    metric: str
    label: str
    unit: str
    direction: str
    baseline: float | None
    baseline_text: str
    n_failed: int
    reason: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reader meets first.

    Attributes:
        warnings: One short line each; the whole stands in what weakens the answer.
        meaningless: No figure means anything: the first warning says why.
        summary: Blocks, machines and usable trials, for one line.
        result: One sentence an arm: what is worse, better, same, unclear. Empty where no figure means anything.
        ran: What was measured, and on what: programs with their versions, then the machine; for one line.
        key: How a cell is read; empty where nothing is compared.
        arms: Titles of the columns after the baseline's.
        margin: The band as it is, ``−4.8/+5 %``.
    """

    title: str
    campaign: str
    where: str
    meaningless: bool
    warnings: tuple[str, ...]
    summary: tuple[str, ...]
    result: tuple[str, ...]
    ran: tuple[str, ...]
    key: str
    baseline: str
    arms: tuple[str, ...]
    margin: str
    lines: tuple[Line, ...]
    legend: tuple[str, ...]

    @property
    def longest(self) -> int:
        """Letters of the longest column's title: where a page is narrow, titles stand before the values."""
        return max(map(len, (self.baseline, *self.arms)))

    @property
    def cells(self) -> tuple[tuple[Line, Cell], ...]:
        """Every comparison with the line in which it stands."""
        return tuple((line, cell) for line in self.lines for cell in line.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What the answer is made of."""

    name: str
    where: str
    level: Level
    ran: tuple[str, ...]
    spec: CampaignSpec
    machines: int
    titles: Mapping[str, str]
    experiments: Mapping[str, Experiment]
    analysis: Analysis
    caveats: Sequence[Caveat]
    day: str
    trials: int
    planned: int
    usable: int


def answer(campaign: Campaign) -> Answer:
    """The answer to the campaign's question."""
    spec, titles = campaign.spec, campaign.titles
    others = [arm for arm in spec.runtimes if arm != spec.baseline]
    lines = tuple(
        _line(campaign, experiment, metric, others)
        for experiment in sorted(campaign.experiments.values(), key=_place)
        for metric in experiment.metrics
        if metric.primary
    )
    tones = {cell.tone for line in lines for cell in line.cells}
    if "better" in tones:
        tones.add("worse")
    return Answer(
        title=title([titles[arm] for arm in others], titles[spec.baseline]),
        campaign=clean(campaign.name)[:120],
        where=campaign.where,
        meaningless=campaign.level in _MEANINGLESS,
        warnings=_warnings(campaign),
        summary=_summary(campaign),
        result=() if campaign.level in _MEANINGLESS else _result(lines, [titles[arm] for arm in others]),
        ran=campaign.ran,
        key=_key(titles[spec.baseline], [titles[arm] for arm in others]),
        baseline=titles[spec.baseline],
        arms=tuple(titles[arm] for arm in others),
        margin=band(spec.margin),
        lines=lines,
        legend=_legend(tones, campaign),
    )


def _legend(tones: Set[Tone], campaign: Campaign) -> tuple[str, ...]:
    """What the words in the table mean, and only those."""
    margin, comparisons = band(campaign.spec.margin), campaign.analysis.comparisons
    most = 1 + campaign.spec.margin
    compared = sum(c.p_adjusted is not None and not c.exploratory for c in comparisons)
    fields = {
        "margin": margin,
        "same": "it" if tones & {"worse"} else f"the margin of {margin}",
        "times": f"× {format_number(1 / most, 3)} to {format_number(most, 3)}",
        "blocks": f"{counted(_blocks(campaign), 'block')} {'is' if _blocks(campaign) == 1 else 'are'}",
        "ratios": counted(compared, "comparison"),
    }
    return tuple(text.format(**fields) for tone, text in LEGEND.items() if tone in tones)


def _place(experiment: Experiment) -> str:
    """Experiments stand in the order of the paper's tables, others after them."""
    numbers = {m.paper[0] for m in experiment.metrics if m.paper}
    return {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5"}.get(min(numbers, default=""), "6")


def title(arms: Sequence[str], baseline: str) -> str:
    """``Kata, gVisor and crun against runC``."""
    if not arms:
        return f"{baseline} alone: nothing to compare with"
    return f"{listed(arms)} against {baseline}"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _warnings(campaign: Campaign) -> tuple[str, ...]:
    found = []
    if campaign.level in _MEANINGLESS:
        found.append(_MEANINGLESS[campaign.level])
    if campaign.analysis.broken:
        found.append("The same runtime differs from itself (A/A): every verdict is withheld.")
    if campaign.spec.design == "paper":
        found.append("The paper's design: runtime, machine and time cannot be told apart.")
    for kind, words in _KINDS.items():
        named = list(dict.fromkeys(c.short or c.message for c in campaign.caveats if c.kind == kind))
        if named:
            more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            shown = ", ".join(clean(n)[:80] for n in named[:_NAMED])
            found.append(f"{words}: {shown}{more}.")
    missing = campaign.planned - campaign.trials
    if any(c.kind == "unfinished" for c in campaign.caveats) and missing > 0:
        found.append(f"Unfinished: {missing} of {campaign.planned} planned trials have not run.")
    return tuple(found)


def _blocks(campaign: Campaign) -> int:
    spec = campaign.spec
    if spec.until is None:
        return spec.runs
    return max((len(c.blocks) for c in campaign.analysis.comparisons), default=spec.runs)


def _summary(campaign: Campaign) -> tuple[str, ...]:
    blocks = counted(_blocks(campaign), "block")
    if campaign.spec.design != "paper":
        blocks += ", each with every runtime once per experiment" if _blocks(campaign) > 1 else ""
    return (
        f"{blocks}, on {counted(campaign.machines, 'machine')}",
        f"{campaign.usable} of {counted(campaign.trials, 'trial')} usable",
        *([campaign.day] * bool(campaign.day)),
    )


def _result(lines: Sequence[Line], arms: Sequence[str]) -> tuple[str, ...]:
    """``gVisor: worse in HTTP round trip; unclear in CPU time``, for each arm."""
    found = []
    for arm in arms:
        by_word: dict[str, list[str]] = {}
        for word, label in ((c.word, line.label) for line in lines for c in line.cells if c.title == arm):
            by_word.setdefault(word, []).append(_lower(label))
        ordered = sorted(by_word, key=_PLACES.index)
        told = [f"{word} in {listed(by_word[word])}" for word in ordered]
        if len(ordered) == 1 and len(lines) > 1:
            told = [f"{ordered[0]} in all {len(lines)} experiments"]
        if told:
            found.append(f"{arm}: {'; '.join(told)}.")
    return tuple(found)


def _lower(label: str) -> str:
    """A label within a sentence: an abbreviation stays as it is."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _key(baseline: str, others: Sequence[str]) -> str:
    """How a cell is read."""
    if not others:
        return ""
    return (
        f"Column {baseline}: its median. Others: × ratio to {baseline}, made within each block (so not that of the "
        "medians), and its 95 % interval; below, their own median and the verdict."
    )


def _line(campaign: Campaign, experiment: Experiment, metric: Metric, others: Sequence[str]) -> Line:
    spec, analysis = campaign.spec, campaign.analysis
    described = {arm: analysis.summary(experiment.name, metric.name, arm) for arm in spec.runtimes}
    medians = {arm: s.median.point for arm, s in described.items() if s and s.median}
    some = next(iter(medians.values()), 0.0)
    unit = readable_unit(medians.get(spec.baseline) or some, metric.shown_unit)
    baseline = described[spec.baseline]
    value = _in(medians.get(spec.baseline), unit)
    return Line(
        experiment=experiment.name,
        experiment_title=experiment.title,
        metric=metric.name,
        label=metric.label or f"{experiment.title}: {metric.title}",
        unit=unit,
        direction=f"{metric.better} is better" if metric.better else "",
        baseline=value,
        baseline_text=_shown(value, unit),
        n_failed=baseline.n_failed if baseline else 0,
        reason="" if value is not None else _why_empty(baseline),
        cells=tuple(
            _cell(campaign, metric, unit, described[arm], comparison)
            for arm in others
            if (comparison := analysis.comparison(experiment.name, metric.name, arm)) is not None
        ),
    )


def _cell(campaign: Campaign, metric: Metric, unit: str, summary: Summary | None, c: Comparison) -> Cell:
    value = _in(summary.median.point if summary and summary.median else None, unit)
    sign, word, tone = words(c, metric, campaign.spec.margin)
    shown = ratio_text(c.ratio.point, c.ratio.low, c.ratio.high) if c.ratio else RatioText("–")
    reason = c.why_not
    if c.ratio is None and value is None:
        reason = _why_empty(summary)
    elif c.ratio is not None and not shown.low and c.verdict is Verdict.INCONCLUSIVE:
        reason = "too few blocks" if len(c.blocks) < 3 else "no scatter"
    return Cell(
        arm=c.arm,
        title=campaign.titles[c.arm],
        value=value,
        value_text=_shown(value, unit),
        ratio=c.ratio.point if c.ratio else None,
        low=c.ratio.low if c.ratio else None,
        high=c.ratio.high if c.ratio else None,
        ratio_text=shown.point,
        interval_text=shown.interval("–") if not shown.low.startswith("<") else shown.interval(),
        verdict=c.verdict if c.ratio else None,
        sign=sign,
        word=word,
        tone=tone,
        blocks=len(c.blocks),
        n_failed=summary.n_failed if summary else 0,
        reason=reason,
        sentence=c.sentence,
    )


def words(c: Comparison, metric: Metric, margin: float) -> tuple[str, str, Tone]:
    """Sign, word and tone of a primary comparison. Where only the correction for all comparisons keeps it open, the
    word is what its interval alone says."""
    if c.ratio is None:
        return "–", "no ratio", "none"
    sign, word, tone = WORDS[c.verdict]
    if c.ratio.low is None or c.ratio.high is None or not together(c):
        return sign, word, tone
    if 1 / (1 + margin) <= c.ratio.low and c.ratio.high <= 1 + margin:
        return sign, "looks same", "looks"
    if not metric.better:
        return sign, word, tone
    return sign, "looks worse" if (c.ratio.point > 1) == (metric.better == "lower") else "looks better", "looks"


def _in(value: float | None, unit: str) -> float | None:
    return None if value is None else from_base(value, unit)


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return alike([value])[0] + ("" if unit == "1" else f" {unit}")


def _why_empty(summary: Summary | None) -> str:
    """Why an arm has no value, in few words."""
    if summary is None:
        return "not measured"
    if summary.n_censored:
        return "too fast to tell"
    if summary.n_failed:
        return "all failed" if not summary.n else f"{summary.n_failed} failed"
    return "not run"
