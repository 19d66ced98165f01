"""``rtlab report``: from a campaign's raw files alone to its tables, estimates, plots and page.

Everything below ``derived/`` and ``report/`` may be deleted; building it again gives the same bytes. A campaign folder
is data from strangers: what cannot be read makes a trial unusable, and its reason is shown.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from rtlab import atomic, facts, page, paper, plots, plugins, tables
from rtlab.errors import ParseError, StoreError, Unsafe, UsageError
from rtlab.model import (
    CampaignSpec,
    Caveat,
    Comparison,
    Estimate,
    Experiment,
    Json,
    Level,
    Metric,
    Observation,
    Outcome,
    RawOutput,
    Record,
    Summary,
    Testbed,
    Trial,
)
from rtlab.stats import Analysis, analyse
from rtlab.store import Campaign
from rtlab.tables import Table
from rtlab.text import clean
from rtlab.units import format_number, from_base

# What it means for the figures where they were taken: heading, then a sentence (measurement.md §5).
MEANING = {
    Level.METAL: ("bare metal", "Containers ran directly on the hardware: figures of this hardware."),
    Level.VIRTUALIZED: (
        "machines with hardware virtualization",
        "Virtual machines on metal, as in the paper: a runtime with machines of its own, Kata, runs nested in them and "
        "pays for the second level; the others do not.",
    ),
    Level.NESTED: (
        "nested machines",
        "Virtual machines inside a virtual machine: only Kata pays for one level more, so its ratios say little about "
        "metal.",
    ),
    Level.GUEST: (
        "a guest, this very machine",
        "The host itself is a virtual machine: figures of this guest, not of its hardware; neighbours may disturb it.",
    ),
    Level.EMULATED: (
        "emulated machines",
        "The machines' processors were emulated in software (emulated, TCG): no figure from it means anything. It "
        "shows that every step works.",
    ),
    Level.SIMULATED: (
        "simulated, no machine at all",
        "The values were drawn from a scenario (simulated): no figure from it means anything. They show the tool.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One line of the list of trials: a stored attempt, or a planned trial that has not run (``record`` None).

    Attributes:
        outcome: As recorded; ``invalid`` also when the output could not be read.
        folder: Relative to the campaign.
    """

    trial: Trial
    record: Record | None
    outcome: str
    reason: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a campaign's raw files say. Formats are made from it; nothing is read again."""

    name: str
    header: Mapping[str, Json]
    spec: CampaignSpec
    testbed: Testbed
    titles: Mapping[str, str]
    experiments: Mapping[str, Experiment]
    versions: tuple[tuple[str, str, str], ...]
    differences: tuple[str, ...]
    facts: Mapping[str, tuple[Mapping[str, Json], ...]]
    attempts: tuple[Attempt, ...]
    observations: tuple[Observation, ...]
    analysis: Analysis
    caveats: tuple[Caveat, ...]
    tables: tuple[Table, ...]

    @property
    def where(self) -> str:
        return MEANING[self.testbed.level][0]

    @property
    def meaning(self) -> str:
        return MEANING[self.testbed.level][1]

    @property
    def meaningless(self) -> bool:
        """No figure of this campaign means anything."""
        return self.testbed.level in (Level.EMULATED, Level.SIMULATED)

    @property
    def verdicts_heading(self) -> str:
        return f"Verdicts (without meaning: {self.testbed.level.value})" if self.meaningless else "Verdicts"

    def beside(self) -> tuple[str, ...]:
        """What else the primary metrics say, one sentence each: noise, machines, other ratios."""
        found = []
        for noise in self.analysis.noise:
            if self.metric(noise.experiment, noise.metric).primary:
                found.append(f"Noise floor of {noise.experiment}: A/A blocks give a ratio of {_ratio(noise.ratio)}.")
        for c in self.primaries():
            who = f"{c.experiment}, {self.titles[c.arm]} against {self.titles[c.baseline]}"
            if c.machine_effect is not None:
                found.append(f"Machines, {who}: the second is to the first as {_ratio(c.machine_effect)}; removed.")
            if c.mean_ratio is not None:
                found.append(f"Means, {who}: ratio of arithmetic means (Fieller) {_ratio(c.mean_ratio)}.")
        return tuple(found)

    def metric(self, experiment: str, name: str) -> Metric:
        return next(m for m in self.experiments[experiment].metrics if m.name == name)

    def primaries(self) -> tuple[Comparison, ...]:
        """The comparisons on which verdicts are given, in the order of the experiments."""
        return tuple(c for c in self.analysis.comparisons if not c.exploratory)

    def design(self) -> str:
        """The design in one sentence."""
        spec = self.spec
        *others, last = [self.titles[r] for r in spec.runtimes]
        runtimes = f"{', '.join(others)} and {last}" if others else last
        reboots = {
            "trial": "a reboot before every trial",
            "block": "one reboot per block and arm",
            "never": "no reboot",
        }
        if spec.design == "paper":
            order = "the paper's design: all trials of one runtime, then of the other"
        else:
            order = "every arm once per block, in random order"
        machines = len(self.testbed.machines)
        return (
            f"{spec.runs} block{'s' * (spec.runs != 1)} of {runtimes} on {machines} machine{'s' * (machines != 1)}; "
            f"{order}; {reboots[spec.reboot]}; margin ±{spec.margin * 100:g} %; seed {spec.seed}."
        )


def _ratio(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return format_number(estimate.point, 3)
    return f"{format_number(estimate.point, 3)} ({format_number(estimate.low, 3)} to {format_number(estimate.high, 3)})"


def build(campaign: Campaign) -> Report:
    """Parse every raw file and analyse what is found. Writes nothing.

    Raises:
        StoreError: the campaign is damaged, or a raw file is not what was stored.
    """
    spec, testbed, plan = campaign.spec, campaign.testbed, campaign.plan
    _check(spec, testbed, campaign.folder)
    experiments, caveats = _experiments(spec)
    known = {name: experiment.metrics for name, experiment in experiments.items()}
    spec_known = _only(spec, experiments)
    titles = {name: _title(name) for name in dict.fromkeys((*spec.runtimes, *paper.RUNTIMES))}
    observations: list[Observation] = []
    records: list[Record] = []
    attempts: list[Attempt] = []
    causes: dict[int, str] = {}
    for raw in campaign.raw_outputs():
        record = raw.record
        found, reason = _parsed(raw, experiments, spec)
        observations += found
        records.append(record)
        unreadable = record.outcome is Outcome.OK and reason
        attempts.append(
            Attempt(
                trial=record.trial,
                record=record,
                outcome=Outcome.INVALID.value if unreadable else record.outcome.value,
                reason=reason or record.reason,
                folder=f"trials/{record.trial.number:04d}.{record.attempt}-{record.trial.key.split('-', 1)[1]}",
            )
        )
    done = {record.trial.number for record in records}
    attempts += [
        Attempt(trial=t, record=None, outcome="not run", reason="", folder="") for t in plan if t.number not in done
    ]
    analysis = analyse(spec_known, observations, records, known, causes=causes)
    caveats += [*_about_the_plan(plan, attempts), *analysis.caveats]
    taken = campaign.facts()
    newest = {name: readings[-1] for name, readings in taken.items() if readings and isinstance(readings[-1], Mapping)}
    return Report(
        name=campaign.folder.name,
        header=campaign.header,
        spec=spec,
        testbed=testbed,
        titles=titles,
        experiments=experiments,
        versions=_versions(newest, spec),
        differences=facts.twin_differences(newest),
        facts=taken,
        attempts=tuple(attempts),
        observations=tuple(observations),
        analysis=analysis,
        caveats=tuple(caveats),
        tables=tables.paper_tables(spec_known, analysis.summaries, observations, known, titles),
    )


def _check(spec: CampaignSpec, testbed: Testbed, folder: Path) -> None:
    """Refuse what ``bench`` never writes and no analysis can be made of."""
    problems = {
        "its spec names no runtime": not spec.runtimes,
        "its baseline is none of its runtimes": spec.baseline not in spec.runtimes,
        "its margin is not between 0 and 1": not 0 < spec.margin < 1,
        "its testbed has no machine": not testbed.machines,
    }
    for problem, found in problems.items():
        if found:
            raise StoreError(f"{folder} is damaged: {problem}.", remedy="Get an unchanged copy of the campaign.")


def _experiments(spec: CampaignSpec) -> tuple[dict[str, Experiment], list[Caveat]]:
    found: dict[str, Experiment] = {}
    caveats = []
    for name in spec.experiments:
        try:
            found[name] = plugins.experiment(name)
        except UsageError:
            message = f"Unknown to this rtlab: experiment {clean(name)[:60]!r}. Its trials are listed, not analysed."
            caveats.append(Caveat(kind="unknown experiment", message=message))
    return found, caveats


def _only(spec: CampaignSpec, experiments: Mapping[str, Experiment]) -> CampaignSpec:
    return replace(spec, experiments=tuple(n for n in spec.experiments if n in experiments))


def _title(name: str) -> str:
    try:
        title = plugins.runtime(name).title
    except UsageError:
        return clean(name)[:40]
    _, colon, variant = name.partition(":")
    return f"{title} ({clean(variant)[:40]})" if colon else title


def _parsed(
    raw: RawOutput, experiments: Mapping[str, Experiment], spec: CampaignSpec
) -> tuple[tuple[Observation, ...], str]:
    """A trial's observations, or why there are none."""
    trial = raw.record.trial
    if raw.record.outcome is not Outcome.OK:
        return (), ""
    if trial.experiment not in experiments:
        return (), "unknown experiment"
    try:
        return experiments[trial.experiment].parse(raw, spec.parameters.get(trial.experiment, {})), ""
    except ParseError as error:
        return (), f"output not readable: {error.message}"
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The document has another shape than the parser was written for: from a stranger, that is no bug.
        return (), f"output not readable: {type(error).__name__}: {error}"


def _about_the_plan(plan: Sequence[Trial], attempts: Sequence[Attempt]) -> list[Caveat]:
    found = []
    replaced = sorted({t.repeats for t in plan if t.repeats is not None})
    # What an interrupted block still lacked is never run: its repeat took its place.
    waiting = sum(1 for a in attempts if a.record is None and a.trial.block not in replaced)
    if waiting:
        message = f"{waiting} of {len(plan)} planned trials have not run: the campaign is unfinished."
        found.append(Caveat(kind="unfinished", message=message))
    unusable = sum(1 for a in attempts if a.record is not None and a.outcome != Outcome.OK.value)
    if unusable:
        ran = sum(1 for a in attempts if a.record is not None)
        message = f"{unusable} of {ran} trials gave no usable value; they are counted and listed."
        found.append(Caveat(kind="failed", message=message))
    if replaced:
        listed = ", ".join(map(str, replaced))
        found.append(Caveat(kind="repeated", message=f"Repeated whole, and left out of the ratios: block {listed}."))
    return found


def _versions(newest: Mapping[str, Mapping[str, Json]], spec: CampaignSpec) -> tuple[tuple[str, str, str], ...]:
    """(machine, what, version) of what the figures depend on, in order."""
    found: list[tuple[str, str, str]] = []
    for machine, known in sorted(newest.items()):
        cpu = _mapping(known.get("cpu"))
        memory = known.get("memory_total_bytes")
        found.append((machine, "system", f"{_text(known.get('distribution'))}, kernel {_text(known.get('kernel'))}"))
        size = f"{memory / 1e9:.1f} GB" if isinstance(memory, int | float) and not isinstance(memory, bool) else "–"
        found.append((machine, "hardware", f"{_text(cpu.get('count'))} × {_text(cpu.get('model'))}, {size}"))
        docker = known.get("docker")
        found.append((machine, "engine", f"Docker {_text(_mapping(docker).get('version') if docker else None)}"))
        runtimes = _mapping(known.get("runtimes"))
        for name in spec.runtimes:
            entry = _mapping(runtimes.get(_docker_name(name)))
            arguments = entry.get("arguments") or []
            words = [_text(entry.get("version")), *(_text(a) for a in arguments if isinstance(arguments, list))]
            found.append((machine, _title(name), " ".join(words)))
    return tuple(found)


def _docker_name(name: str) -> str:
    try:
        return plugins.runtime(name).docker_name
    except UsageError:
        return name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return "not known" if value in (None, "", []) else clean(str(value))[:120]


# --------------------------------------------------------------------------- what is written


def write(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write ``derived/`` and ``report/`` below the campaign's folder, each file atomically; returns them.

    Raises:
        StoreError: the folder cannot be written; the raw files are untouched.
        Unsafe: a folder to write into is a link.
    """
    drawn = drawings(report)
    files: dict[str, str] = {
        "derived/observations.csv": observations_csv(report),
        "derived/estimates.json": _json(estimates(report)),
        "report/tables.md": markdown(report),
        "report/tables.csv": tables.as_csv(report.tables, report.testbed.level.value),
        "report/tables.json": _json(as_json(report)),
        **{f"report/plots/{name}.svg": _alone(svg) for name, svg in drawn.items()},
        "report/index.html": page.render(report, drawn),
    }
    for name in ("derived", "report", "report/plots"):
        # A stranger's folder must not lead our files elsewhere.
        if (folder / name).is_symlink():
            raise Unsafe(f"{folder / name} is a link: nothing was written.", remedy=f"Remove it: rm {folder / name}")
        atomic.make_folder(folder / name)
    for name, text in files.items():
        atomic.write_bytes(folder / name, text.encode())
    return tuple(folder / name for name in files)


def _json(value: Json) -> str:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _alone(svg: str) -> str:
    """An SVG as a file of its own: ``currentColor`` has no page to take a colour from."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg.replace("<svg ", '<svg color="#444444" ', 1)


def drawings(report: Report) -> dict[str, str]:
    """Name -> SVG: the forest of primary ratios, and the values of each primary metric by order."""
    found: dict[str, str] = {}
    lines = [
        plots.Interval(
            label=f"{c.experiment}: {report.titles[c.arm]}",
            point=c.ratio.point,
            low=c.ratio.low,
            high=c.ratio.high,
            published=_published(report.metric(c.experiment, c.metric), c.arm, c.baseline),
        )
        for c in report.primaries()
        if c.ratio is not None
    ]
    if lines:
        found["ratios"] = plots.forest("ratios", lines, report.spec.margin)
    for name, experiment in report.experiments.items():
        for metric in experiment.metrics:
            dots = _dots(report, name, metric) if metric.primary else []
            if dots:
                arms = [report.titles[r] for r in report.spec.runtimes]
                found[f"{name}-{metric.name}"] = plots.dots(
                    f"{name}-{metric.name}", dots, arms, f"{metric.title} ({metric.shown_unit})"
                )
    return found


def _dots(report: Report, experiment: str, metric: Metric) -> list[plots.Dot]:
    return [
        plots.Dot(
            arm=report.titles.get(o.trial.arm, o.trial.arm),
            order=o.trial.number,
            value=from_base(o.value, metric.shown_unit),
        )
        for o in report.observations
        if (o.trial.experiment, o.metric, o.trial.kind) == (experiment, metric.name, "ab")
        and o.value is not None
        and abs(o.value) < 1e15
    ]


def _published(metric: Metric, arm: str, baseline: str) -> float | None:
    """The paper's ratio, where it printed both values."""
    if metric.paper is None:
        return None
    number, column = metric.paper
    values = paper.tables()[number].values
    if arm not in values or baseline not in values:
        return None
    return values[arm][column] / values[baseline][column]


_OBSERVATION_COLUMNS = (
    "trial",
    "block",
    "kind",
    "experiment",
    "arm",
    "runtime",
    "machine",
    "boot",
    "metric",
    "index",
    "value",
    "unit",
    "note",
)


def observations_csv(report: Report) -> str:
    """Every observation, one line each; no value is an empty field and its note says why."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_OBSERVATION_COLUMNS)
    for o in report.observations:
        t = o.trial
        texts = [tables.csv_text(x) for x in (t.experiment, t.arm, t.runtime, t.machine)]
        value = "" if o.value is None else repr(o.value)
        writer.writerow(
            (t.number, t.block, t.kind, *texts, t.boot, o.metric, o.index, value, o.unit, tables.csv_text(o.note))
        )
    return out.getvalue()


def estimates(report: Report) -> Json:
    """Summaries, comparisons and warnings, with full numbers."""
    return {
        "summaries": [_plain(s) for s in report.analysis.summaries],
        "comparisons": [_plain(c) for c in report.analysis.comparisons],
        "caveats": [_plain(c) for c in report.caveats],
    }


def _plain(value: Summary | Comparison | Caveat | Table) -> Json:
    """As JSON takes it, and safe to show: texts cleaned, an infinite end of an interval becomes None."""

    def plain(x: Any) -> Any:
        if isinstance(x, float):
            return x if math.isfinite(x) else None
        if isinstance(x, Enum):
            return x.value
        if isinstance(x, str):
            return clean(x)
        if isinstance(x, dict):
            return {clean(k): plain(v) for k, v in x.items()}
        return [plain(v) for v in x] if isinstance(x, list | tuple) else x

    return plain(asdict(value))


def as_json(report: Report) -> Json:
    """The report for programs: where it ran first, then estimates and tables."""
    return {
        "campaign": clean(report.name),
        "level": report.testbed.level.value,
        "where": report.where,
        "meaning": report.meaning,
        "design": report.design(),
        "tables": [_plain(table) for table in report.tables],
        "trials": {
            outcome: sum(1 for a in report.attempts if a.outcome == outcome)
            for outcome in sorted({a.outcome for a in report.attempts})
        },
        **estimates(report),
    }


def markdown(report: Report) -> str:
    """The report as Markdown: where it ran and what that means first."""
    text = tables.markdown_text
    lines = [
        f"# {text(report.name)}: measured on {text(report.where)}",
        "",
        f"**{text(report.meaning)}**",
        "",
        text(report.design()),
        "",
        *(f"- {text(machine)}: {text(what)}: {text(version)}" for machine, what, version in report.versions),
        "",
        f"## {text(report.verdicts_heading)}",
        "",
        *(f"- {text(c.sentence)}" for c in report.primaries()),
        *(f"- {text(line)}" for line in report.beside()),
        *(
            f"- Note ({text(c.kind)}{', ' + text(c.where) if c.where else ''}): {text(c.message)}"
            for c in report.caveats
        ),
        "",
    ]
    return "\n".join(lines) + "\n" + tables.markdown(report.tables)
