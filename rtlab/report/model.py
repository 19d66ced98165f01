"""What a report holds, and what it means for figures where they were taken. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    Record,
    Testbed,
    Trial,
)
from rtlab.report import ages
from rtlab.report.answer import Answer, listed
from rtlab.report.tables import Table
from rtlab.stats import Analysis, sentences
from rtlab.text import counted
from rtlab.units import band, percent, ratio_text

# What it means for the figures where they were taken: heading, then a sentence (measurement.md §5).
MEANING = {
    Level.METAL: ("bare metal", "Containers ran directly on the hardware: figures of this hardware."),
    Level.VIRTUALIZED: (
        "virtual machines on metal",
        "As in the paper: a runtime with machines of its own, Kata, runs nested in them and "
        "pays for the second level; the others do not.",
    ),
    Level.NESTED: (
        "virtual machines inside a virtual machine",
        "Machines that are nested: only Kata pays for one level more, so its ratios say little about metal.",
    ),
    Level.GUEST: (
        "a virtual machine",
        "The host itself is a virtual machine: figures of this guest, not of its hardware; neighbours may disturb it.",
    ),
    Level.EMULATED: (
        "emulated machines",
        "The machines' processors were emulated in software (emulated, TCG): no figure from it means anything. It "
        "shows that every step works.",
    ),
    Level.SIMULATED: (
        "simulated machines",
        "The values were drawn from a scenario (simulated): no figure from it means anything. They show the tool.",
    ),
}

# Kinds of caveats that stand before the others: whole ratios rest on them.
_GRAVE = ("testbed broken", "design", "machines", "unfinished", "failures", "meters")

HOLM = (
    "The verdicts of all experiments are decided together (Holm), the intervals printed are 95 % each: an interval may "
    "lie beyond the margin and its verdict still be unclear. A ratio of 1 means no difference."
)


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
    """Everything that a campaign's raw files say. Formats are made from it; nothing is read again.

    Attributes:
        answer: The table that every format begins with.
        undated: Programs whose release date is not known, one line each.
    """

    name: str
    header: Mapping[str, Json]
    spec: CampaignSpec
    testbed: Testbed
    titles: Mapping[str, str]
    experiments: Mapping[str, Experiment]
    versions: tuple[tuple[str, str, str], ...]
    undated: tuple[str, ...]
    differences: tuple[str, ...]
    facts: Mapping[str, tuple[Mapping[str, Json], ...]]
    attempts: tuple[Attempt, ...]
    observations: tuple[Observation, ...]
    analysis: Analysis
    caveats: tuple[Caveat, ...]
    tables: tuple[Table, ...]
    answer: Answer

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
    def heading(self) -> tuple[Caveat, ...]:
        """What must be known before any number: what was measured is old, deprecated, or not how people run it."""
        return tuple(c for c in self.caveats if c.kind in ages.KINDS)

    @property
    def lessens(self) -> tuple[Caveat, ...]:
        """All that makes the answer less than it seems, the gravest first: where it ran, then what was measured, then
        what happened."""
        where = Caveat(kind="where it ran", message=self.meaning)
        grave = [c for c in self.notes if c.kind in _GRAVE]
        return (where, *self.heading, *grave, *(c for c in self.notes if c.kind not in _GRAVE))

    @property
    def notes(self) -> tuple[Caveat, ...]:
        """The other caveats, which stand beside the numbers."""
        return tuple(c for c in self.caveats if c.kind not in ages.KINDS)

    @property
    def stamp(self) -> str:
        """Where it ran, for what travels without its report: a plot, a file."""
        nothing = ": no figure from it means anything" if self.meaningless else ""
        return f"Measured on {self.where}{nothing}"

    def beside(self) -> tuple[str, ...]:
        """What else must be known of the verdicts, one sentence each: how they were decided, noise, machines, other
        ratios."""
        found = [HOLM] if self.primaries() else []
        for noise in self.analysis.noise:
            if self.metric(noise.experiment, noise.metric).primary:
                found.append(
                    f"Noise floor of {noise.experiment}: the same runtime in both arms (A/A blocks) gives a ratio of "
                    f"{sentences.ratio(noise.ratio)}.{_sees(noise.finds)}"
                )
        for c in self.primaries():
            who = f"{c.experiment}, {self.titles[c.arm]} against {self.titles[c.baseline]}"
            if c.machine_effect is not None:
                second = f"the second's values are {sentences.ratio(c.machine_effect)} times the first's"
                found.append(f"Machines, {who}: {second}; taken out of the ratio.")
            if c.mean_ratio is not None:
                wide = "; too wide, because the machines differ" if _excludes_one(c.machine_effect) else ""
                found.append(
                    f"Means, {who}: ratio of arithmetic means (Fieller) {sentences.ratio(c.mean_ratio)}{wide}."
                )
        found += [h.sentence(self.titles[h.arm], self.titles[h.baseline]) for h in self.analysis.hosts]
        return tuple(found)

    def metric(self, experiment: str, name: str) -> Metric:
        return next(m for m in self.experiments[experiment].metrics if m.name == name)

    def primaries(self) -> tuple[Comparison, ...]:
        """The comparisons on which verdicts are given, in the order of the experiments."""
        return tuple(c for c in self.analysis.comparisons if not c.exploratory)

    def design(self) -> str:
        """The design in one sentence."""
        spec = self.spec
        runtimes = listed([self.titles[r] for r in spec.runtimes])
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
        blocks = counted(spec.runs, "block")
        if spec.until is not None:
            own = [a for a in self.attempts if a.trial.kind == "ab" and a.trial.repeats is None]
            ran = len({a.trial.block for a in own if a.record is not None})
            blocks = f"{ran} blocks (adaptive: until ±{percent(spec.until.target)}, {spec.until.max_blocks} at most)"
        return (
            f"{blocks} of {runtimes} on {counted(machines, 'machine')}; "
            f"{order}; {reboots[spec.reboot]}; margin {band(spec.margin)}; seed {spec.seed}."
        )


def _sees(finds: float | None) -> str:
    """What A/A blocks could have found."""
    if finds is None:
        return " They do not scatter, or are too few, and prove nothing."
    size = percent(finds - 1) if finds < 2 else f"a factor of {ratio_text(finds).point}"
    return f" They would have found a bias of {size} or more (in 80 of 100 campaigns), and nothing smaller for certain."


def _excludes_one(effect: Estimate | None) -> bool:
    if effect is None or effect.low is None or effect.high is None:
        return False
    return not effect.low <= 1 <= effect.high
