"""From a campaign's raw files alone to a Report: parse again, analyse, lay out. Writes nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rtlab import plugins, store
from rtlab.collection import no_collection
from rtlab.errors import ParseError, StoreError, UsageError
from rtlab.model import (
    CampaignSpec,
    Caveat,
    Experiment,
    Json,
    Level,
    Observation,
    Outcome,
    RawOutput,
    Record,
    Testbed,
    Trial,
)
from rtlab.report import ages, answer, between, causes, meters, paper, tables
from rtlab.report.containers import Containers
from rtlab.report.model import MEANING, Attempt, Report
from rtlab.stats import analyse
from rtlab.stats.missing import numbered
from rtlab.store import Campaign, facts
from rtlab.store.checking import AGAINST_THE_PLAN
from rtlab.text import clean
from rtlab.units import percent

UNKNOWN = "not known"
# Characters of a reason that are kept; the whole stands in the record.
MOST_REASON = 400
# A spec of so many arms or machines is no campaign of rtlab's, and its tables would have no end.
MOST_ARMS = 50
MOST_OBSERVATIONS = 4_000_000


def build(campaign: Campaign) -> Report:
    """Parse every raw file and analyse what is found. Writes nothing.

    Raises:
        StoreError: the campaign is damaged, or a raw file is not what was stored.
    """
    with no_collection():
        return _built(campaign)


def _built(campaign: Campaign) -> Report:
    spec, testbed, plan = campaign.spec, campaign.testbed, campaign.plan
    _check(spec, testbed, campaign.folder)
    experiments, caveats = _experiments(spec)
    known = {name: experiment.metrics for name, experiment in experiments.items()}
    spec_known = _only(spec, experiments)
    titles = {name: _title(name) for name in dict.fromkeys((*spec.runtimes, *paper.RUNTIMES))}
    read = _read(campaign, experiments)
    observations, records, attempts = read.observations, read.records, read.attempts
    told_of = {number: "; ".join(told) for number, told in read.happened.items()}
    given_up = campaign.given_up()
    analysis = analyse(spec_known, observations, records, known, causes=told_of, titles=titles, given_up=given_up)
    held = {name: experiment.meters for name, experiment in experiments.items() if experiment.meters}
    disagreeing, notes = meters.told(held, read.by_meters, analysis.summaries, spec.runtimes, titles)
    found_in_plan = _about_the_plan(plan, attempts, campaign.stopped, given_up)
    caveats += [*found_in_plan, *_about_the_end(campaign), *analysis.caveats, *disagreeing]
    caveats += read.containers.caveats(spec.runtimes, titles)
    compared = between.comparisons(spec_known, observations, records, known, titles, given_up)
    caveats += between.caveats(compared)
    taken = campaign.facts()
    newest = {name: readings[-1] for name, readings in taken.items() if readings and isinstance(readings[-1], Mapping)}
    parts, began = _parts(newest, spec, testbed), str(campaign.header.get("created_at"))
    caveats += [*ages.taken(testbed.details), *ages.caveats(parts, began)]
    return Report(
        name=campaign.folder.name,
        header=campaign.header,
        spec=spec,
        testbed=testbed,
        titles=titles,
        experiments=experiments,
        versions=(*_versions(newest, spec), *read.containers.rows(spec.runtimes, titles)),
        undated=ages.unknown(parts, began),
        differences=facts.twin_differences(newest),
        facts=taken,
        attempts=tuple(attempts),
        observations=tuple(observations),
        analysis=analysis,
        caveats=tuple(caveats),
        tables=tuple(
            replace(table, notes=(*table.notes, notes[table.number])) if table.number in notes and table.rows else table
            for table in tables.paper_tables(spec_known, analysis.summaries, observations, known, titles)
        ),
        answer=answer.answer(
            answer.Campaign(
                name=campaign.folder.name,
                where=MEANING[testbed.level][0],
                level=testbed.level,
                ran=_ran(newest, spec, titles) if testbed.level is not Level.SIMULATED else (),
                spec=spec_known,
                machines=len(testbed.machines),
                titles=titles,
                experiments=experiments,
                analysis=analysis,
                caveats=caveats,
                day=_day(campaign.header.get("created_at")),
                trials=len(records),
                planned=len(plan),
                usable=sum(1 for a in attempts if a.outcome == Outcome.OK.value),
            )
        ),
    )


@dataclass(slots=True)
class _Read:
    """What the raw files of all attempts gave.

    Attributes:
        happened: Trial number -> what happened during or before it.
        by_meters: What experiments' meters say of each trial (``meters.read``).
    """

    observations: list[Observation] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    happened: dict[int, list[str]] = field(default_factory=dict)
    by_meters: meters.Read = field(default_factory=dict)
    containers: Containers = field(default_factory=Containers)


def _read(campaign: Campaign, experiments: Mapping[str, Experiment]) -> _Read:
    """Every raw file parsed again."""
    spec, read = campaign.spec, _Read()
    planned = {t.number: t for t in campaign.plan}
    for raw in campaign.raw_outputs():
        record = _kept(raw.record, planned)
        raw = replace(raw, record=record)
        against = record.trial != planned.get(record.trial.number)
        found, reason = ((), AGAINST_THE_PLAN) if against else _parsed(raw, experiments, spec)
        if told := causes.during(record, raw.probe):
            read.happened[record.trial.number] = told
        if found and record.trial.kind == "ab":
            meters.read(experiments[record.trial.experiment], record.trial.arm, raw.probe, read.by_meters)
        read.containers.add(record, raw.probe, spec.parameters.get(record.trial.experiment, {}))
        read.observations += found
        if len(read.observations) > MOST_OBSERVATIONS:
            raise StoreError(f"{campaign.folder} has more than {MOST_OBSERVATIONS} values: too many for one report.")
        read.records.append(record)
        unreadable = record.outcome is Outcome.OK and reason
        read.attempts.append(
            Attempt(
                trial=record.trial,
                record=record,
                outcome=Outcome.INVALID.value if unreadable else record.outcome.value,
                reason=reason[:MOST_REASON] or record.reason,
                folder=f"trials/{store.folder_name(record)}",
            )
        )
    done = {record.trial.number for record in read.records}
    read.attempts += [
        Attempt(trial=t, record=None, outcome="not run", reason="", folder="")
        for t in campaign.plan
        if t.number not in done
    ]
    for number, before in causes.between(read.records, spec.reboot).items():
        read.happened[number] = [*before, *read.happened.get(number, [])]
    return read


def _kept(record: Record, planned: Mapping[int, Trial]) -> Record:
    """A record as it stays in memory: its trial is the plan's own, its reason no longer than a cell."""
    trial = planned.get(record.trial.number)
    same = trial if trial == record.trial else record.trial
    return replace(record, trial=same or record.trial, reason=record.reason[:MOST_REASON])


def _check(spec: CampaignSpec, testbed: Testbed, folder: Path) -> None:
    """Refuse what ``bench`` never writes and no analysis can be made of."""
    problems = {
        "its spec names no runtime": not spec.runtimes,
        "its baseline is none of its runtimes": spec.baseline not in spec.runtimes,
        "its margin is not between 0 and 1": not 0 < spec.margin < 1,
        "its testbed has no machine": not testbed.machines,
        f"it has more than {MOST_ARMS} runtimes, experiments or machines": max(
            len(spec.runtimes), len(spec.experiments), len(testbed.machines)
        )
        > MOST_ARMS,
    }
    for problem, found in problems.items():
        if found:
            raise StoreError(f"{folder} is damaged: {problem}.", remedy="Get an unchanged copy of the campaign.")


def _experiments(spec: CampaignSpec) -> tuple[dict[str, Experiment], list[Caveat]]:
    found: dict[str, Experiment] = {}
    caveats = []
    for name in spec.experiments:
        try:
            found[name] = plugins.experiment_of(name, spec.parameters.get(name, {}))
        except UsageError:
            message = f"Unknown to this rtlab: experiment {clean(name)[:60]!r}. Its trials are listed, not analysed."
            caveats.append(Caveat(kind="unknown experiment", message=message))
    return found, caveats


def _only(spec: CampaignSpec, experiments: Mapping[str, Experiment]) -> CampaignSpec:
    return replace(spec, experiments=tuple(n for n in spec.experiments if n in experiments))


def _title(name: str) -> str:
    try:
        return clean(plugins.runtime(name).title)[:60]
    except UsageError:
        return clean(name)[:40]


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


def _about_the_end(campaign: Campaign) -> list[Caveat]:
    """That and why an adaptive campaign stopped, and what that does to its intervals."""
    until, stopped = campaign.spec.until, clean(campaign.stopped)[:200]
    if until is None or not stopped:
        return []
    looked = [f"{look['full']}" for look in campaign.looks() if isinstance(look.get("full"), int)]
    shown = looked if len(looked) <= 6 else [*looked[:3], "…", looked[-1]]
    looks = f"Looked at after {', '.join(shown)} full blocks" if looked else "Never looked at"
    message = (
        f"The campaign stopped adaptively (target ±{percent(until.target)}, {until.max_blocks} blocks at most): "
        f"{stopped}. {looks}, at widths only, never at a verdict. After such stopping a 95 % interval covers in at "
        "least 93 % (simulated)."
    )
    return [Caveat(kind="adaptive", message=message)]


def _about_the_plan(
    plan: Sequence[Trial], attempts: Sequence[Attempt], stopped: str, given_up: Mapping[int, str]
) -> list[Caveat]:
    found = []
    replaced = sorted({t.repeats for t in plan if t.repeats is not None})
    # What an interrupted block still lacked is never run: its repeat took its place, or the block was given up.
    never = {*replaced, *given_up}
    waiting = sum(1 for a in attempts if a.record is None and a.trial.block not in never)
    if waiting:
        why = "were left out by the cap" if stopped else "have not run: the campaign is unfinished"
        message = f"{waiting} of {len(plan)} planned trials {why}."
        found.append(Caveat(kind="unfinished", message=message))
    ran = [a for a in attempts if a.record is not None]
    unusable = Counter(a.outcome for a in ran if a.outcome != Outcome.OK.value)
    if unusable:
        kinds = ", ".join(f"{n} {outcome}" for outcome, n in sorted(unusable.items()))
        message = (
            f"{unusable.total()} of {len(ran)} trials gave no usable value ({kinds}): they stand in the list of trials "
            "and among the failed, and are left out of every mean, median and ratio."
        )
        found.append(Caveat(kind="failed", message=message))
    if against := [a.folder for a in ran if a.reason == AGAINST_THE_PLAN]:
        more = f" and {len(against) - 3} more" if len(against) > 3 else ""
        message = (
            f"What the record of {', '.join(against[:3])}{more} says of its trial is not what was planned: no "
            "value is taken from it. `rtlab verify` names everything that is not as it was stored."
        )
        found.append(Caveat(kind="contradiction", message=message))
    if replaced:
        again = sorted({t.block for t in plan if t.repeats is not None})
        message = (
            f"Repeated whole, because a trial in it was interrupted or gave no usable value: {numbered(replaced)}. The "
            f"repeats are {numbered(again)}; where a repeat ran, what the first attempt gave is left out of every "
            "mean, median and ratio."
        )
        found.append(Caveat(kind="repeated", message=message))
    for block, reason in sorted(given_up.items()):
        message = f"Block {block} was given up: {reason}. What it gave is left out of every mean, median and ratio."
        found.append(Caveat(kind="given up", message=message))
    return found


def _versions(newest: Mapping[str, Mapping[str, Json]], spec: CampaignSpec) -> tuple[tuple[str, str, str], ...]:
    """(machine, what, version) of what the figures depend on, in order."""
    found: list[tuple[str, str, str]] = []
    for machine, known in sorted(newest.items()):
        cpu = _mapping(known.get("cpu"))
        found.append((machine, "system", _system(known)))
        size = _gigabytes(known.get("memory_total_bytes"))
        found.append((machine, "hardware", f"{_text(cpu.get('count'))} × {_text(cpu.get('model'))}, memory {size}"))
        found.append((machine, "engine", f"Docker {_text(_mapping(known.get('docker')).get('version'))}"))
        for title, version in _other_engines(known):
            found.append((machine, "engine", f"{title} {version}, by its own socket"))
        for name in spec.runtimes:
            entry = _entry(known, name)
            arguments = entry.get("arguments")
            words = [_text(entry.get("version")), *map(_text, arguments if isinstance(arguments, list) else [])][:20]
            found.append((machine, _title(name), " ".join(words)))
            if told := _kata_settings(_mapping(entry.get("configuration"))):
                found.append((machine, f"{_title(name)}'s settings", told))
    return tuple(found)


def _ran(newest: Mapping[str, Mapping[str, Json]], spec: CampaignSpec, titles: Mapping[str, str]) -> tuple[str, ...]:
    """Engine and runtimes with their versions, then the machine, in few words: of several machines the first that has
    it. Empty where no facts were stored."""
    machines = [known for _, known in sorted(newest.items())]
    if not machines:
        return ()
    found = []
    for name in spec.runtimes:
        entry = next((e for known in machines if (e := _entry(known, name))), {})
        platform = entry.get("platform")
        told = f" ({clean(platform)[:40]})" if isinstance(platform, str) else ""
        found.append(f"{titles[name]} {ages.number(_text(entry.get('version')))}{told}")
    first = machines[0]
    if (docker := _text(_mapping(first.get("docker")).get("version"))) != UNKNOWN:
        found.append(f"Docker engine (moby) {ages.number(docker)}")
    found += [f"{title} {ages.number(version)}" for title, version in _other_engines(first)]
    cpu = _mapping(first.get("cpu"))
    found.append(
        f"{_text(cpu.get('count'))} CPUs, {_text(cpu.get('model'))}, {_gigabytes(first.get('memory_total_bytes'))}"
    )
    found.append(_system(first))
    return tuple(found)


def _system(known: Mapping[str, Json]) -> str:
    return f"{_text(known.get('distribution'))}, kernel {_text(known.get('kernel'))}"


def _other_engines(known: Mapping[str, Json]) -> list[tuple[str, str]]:
    """(title, version) of the engines beside a machine's first one, as each says of itself."""
    engines = _mapping(known.get("engines"))
    return [
        (_engine_title(name), _text(_mapping(_mapping(of).get(name)).get("version"))) for name, of in engines.items()
    ]


def _day(created_at: object) -> str:
    """The day of a time in ISO 8601; empty where it is none."""
    found = re.match(r"20\d\d-[01]\d-[0-3]\d(?=T|$)", created_at) if isinstance(created_at, str) else None
    return found[0] if found else ""


def _parts(newest: Mapping[str, Mapping[str, Json]], spec: CampaignSpec, testbed: Testbed) -> tuple[ages.Part, ...]:
    """What may be old: engine and runtimes, as each machine names them. Twins give the same part once."""
    found: list[ages.Part] = []
    wirings = _mapping(testbed.details.get("runtime_wiring"))
    notes = _mapping(testbed.details.get("runtime_notes"))
    for _, known in sorted(newest.items()):
        docker = _mapping(known.get("docker"))
        engine = {"docker": docker.get("version"), "containerd": _mapping(docker.get("components")).get("containerd")}
        for product, version in engine.items():
            if isinstance(version, str) and any(map(str.isdigit, version)):
                found.append(ages.Part(product=product, title=ages.products()[product], version=version))
        for name in spec.runtimes:
            product, docker_name = name.partition(":")[0], _docker_name(name)
            entry = _mapping(_mapping(known.get("runtimes")).get(docker_name))
            version = entry.get("version")
            if product not in ages.products() or not isinstance(version, str) or not any(map(str.isdigit, version)):
                continue
            wiring = _mapping(wirings.get(docker_name))
            words = _words(entry.get("arguments")) or _words(wiring.get("runtimeArgs"))
            # What nobody said is the program's own default, which the machine was asked for.
            told = [f"--{name}={entry[name]}" for name in ("platform", "network") if isinstance(entry.get(name), str)]
            words = " ".join([*filter(None, [words]), *told])
            beside = entry.get("parts")
            found.append(
                ages.Part(
                    product=product,
                    title=_title(name),
                    version=version[:300],
                    path=_path(entry.get("path")),
                    words=words or _note(notes.get(name)),
                    beside=len(beside) if isinstance(beside, list) else None,
                )
            )
    return tuple(dict.fromkeys(found))


def _words(value: Any) -> str:
    return " ".join(_text(word) for word in value[:40]) if isinstance(value, list) else ""


def _path(value: Any) -> str:
    return value[:300] if isinstance(value, str) else ""


def _note(value: Any) -> str:
    """rtlab's own note on a wiring, ``platform ptrace, with --network=host: …``, as arguments."""
    return value[:300].replace("platform ", "--platform=", 1) if isinstance(value, str) else ""


# What decides most about Kata's figures; all of them stand in the facts.
_KATA_KEYS = ("default_vcpus", "default_memory", "shared_fs", "use_vsock", "machine_type", "internetworking_model")


def _kata_settings(configuration: Mapping[str, Any]) -> str:
    """Hypervisor and main settings in force, as Kata's file has them; empty where none is recorded."""
    sections = [key.split(".")[1] for key in configuration if key.startswith("hypervisor.")]
    told = [f"hypervisor {clean(sections[0])[:40]}"] if sections else []
    for wanted in _KATA_KEYS:
        for key, value in configuration.items():
            if key.rpartition(".")[2] == wanted:
                told.append(f"{wanted} {clean(str(value))[:40]}")
    return ", ".join(told)


def _entry(known: Mapping[str, Json], arm: str) -> Mapping[str, Any]:
    """What a machine told of an arm's runtime, as the arm's engine has it."""
    _, at, engine = arm.partition("@")
    told = _mapping(_mapping(known.get("engines")).get(engine)) if at else known
    return _mapping(_mapping(told.get("runtimes")).get(_docker_name(arm)))


def _engine_title(name: str) -> str:
    try:
        return clean(plugins.engine(name).title)[:60]
    except UsageError:
        return clean(name)[:40]


def _docker_name(name: str) -> str:
    try:
        return plugins.runtime(name).docker_name
    except UsageError:
        return name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _gigabytes(value: Any) -> str:
    """A size as text; what no memory of a machine can be (a stranger's 4000-digit number) is not known."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value / 1e9:.1f} GB" if is_number and 0 < value < 1e18 else UNKNOWN


def _text(value: Any) -> str:
    """A fact as text: words and ordinary numbers; any other shape is not known."""
    if isinstance(value, str):
        return clean(value)[:120].strip() or UNKNOWN
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.15g}" if is_number and abs(value) < 1e15 else UNKNOWN
