"""What containers saw of their machine, and what they left behind: by arm, from the trials' own records. Pure.

A ratio compares runtimes only as far as their containers had the same CPUs and memory: Kata's guest has what its
configuration gives it, a container under runC the whole machine, unless both are limited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtlab.model import Caveat, Json, Record
from rtlab.text import clean
from rtlab.units import format_number

GIB = 1 << 30
# Kernels keep some memory for themselves, each another amount.
SAME_MEMORY = 0.05
MOST_KINDS = 4


@dataclass(slots=True)
class Containers:
    """Collected trial by trial.

    Attributes:
        seen: (experiment, arm) to how often a container there had so many CPUs and so many bytes of memory.
        asked: Arm to its trials in which leaks were looked for.
        leaked: Arm to the trials after which something was left.
        left: Arm to what was left, and how often.
    """

    seen: dict[tuple[str, str], Counter[tuple[float, int]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    leaked: Counter[str] = field(default_factory=Counter)
    left: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, record: Record, probe: Mapping[str, Json], parameters: Mapping[str, Any]) -> None:
        """Take what one trial's probe document says; what is missing or damaged in it is passed over."""
        arm = record.trial.runtime
        leaks = probe.get("leaks")
        if isinstance(leaks, list):
            self.asked[arm] += 1
            if leaks:
                self.leaked[arm] += 1
                kinds = {clean(leak).removesuffix("<id>")[:60] for leak in leaks[:20] if isinstance(leak, str)}
                self.left.setdefault(arm, Counter()).update(kinds)
        proof = probe.get("proof")
        evidence = proof.get("evidence") if isinstance(proof, Mapping) else None
        if isinstance(evidence, Mapping):
            had = _had(evidence, parameters)
            if had is not None:
                self.seen.setdefault((record.trial.experiment, arm), Counter())[had] += 1

    def usual(self, experiment: str, arm: str) -> tuple[float, int] | None:
        """CPUs and bytes of memory that most containers of an arm had in an experiment; None when not recorded."""
        counts = self.seen.get((experiment, arm))
        return counts.most_common(1)[0][0] if counts else None

    def rows(self, runtimes: tuple[str, ...], titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Lines for the provenance: ("all", what, text)."""
        lines: list[tuple[str, str, str]] = []
        groups = self._groups(runtimes)
        for shape, experiments in groups.items():
            told = "; ".join(f"{titles[arm]} {_words(had)}" for arm, had in shape)
            where = "" if len(groups) == 1 else f" ({', '.join(experiments)})"
            lines.append(("all", f"a container saw{where}", told))
        looked = sum(self.asked[arm] for arm in runtimes)
        if looked:
            told = "; ".join(self._left(arm, titles) for arm in runtimes if self.leaked[arm])
            lines.append(("all", "left behind", told or f"nothing, after {looked} trials"))
        return lines

    def caveats(self, runtimes: tuple[str, ...], titles: Mapping[str, str]) -> list[Caveat]:
        """Unequal containers, and what was left behind."""
        found = []
        for shape, experiments in self._groups(runtimes).items():
            if not _equal([had for _, had in shape]):
                told = ", ".join(f"{titles[arm]} {_words(had)}" for arm, had in shape)
                found.append(
                    Caveat(
                        kind="unequal containers",
                        message=f"{', '.join(experiments)}: containers did not have the same CPUs and memory ({told}); "
                        "the ratios hold that, too. limit_cpus and limit_memory_mb of an experiment make them equal.",
                    )
                )
        for arm in runtimes:
            if self.leaked[arm]:
                found.append(Caveat(kind="leaks", message=f"Left behind: {self._left(arm, titles)}."))
        return found

    def _left(self, arm: str, titles: Mapping[str, str]) -> str:
        kinds = self.left[arm].most_common()
        told = ", ".join(f"{kind} ({n})" for kind, n in kinds[:MOST_KINDS])
        more = f" and {len(kinds) - MOST_KINDS} kinds more" if len(kinds) > MOST_KINDS else ""
        return f"{titles[arm]} after {self.leaked[arm]} of {self.asked[arm]} trials: {told}{more}"

    def _groups(self, runtimes: tuple[str, ...]) -> dict[tuple[tuple[str, tuple[float, int]], ...], list[str]]:
        """What each arm had, to the experiments in which it was so; only where two arms are known."""
        groups: dict[tuple[tuple[str, tuple[float, int]], ...], list[str]] = {}
        for experiment in dict.fromkeys(experiment for experiment, _ in self.seen):
            shape = tuple((arm, had) for arm in runtimes if (had := self.usual(experiment, arm)) is not None)
            if shape:
                groups.setdefault(shape, []).append(experiment)
        return groups


def _had(evidence: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[float, int] | None:
    """CPUs and bytes: the least of what the kernel inside shows and of the limit, seen inside or set by the engine.

    gVisor shows no cgroups inside; the engine's limit is in force around it.
    """
    cpus, memory = _number(evidence.get("inside_cpus")), _number(evidence.get("inside_memory_bytes"))
    if not cpus or not memory:
        return None
    cpu_limit = _number(evidence.get("inside_cpu_limit")) or _number(parameters.get("limit_cpus"))
    mib = _number(parameters.get("limit_memory_mb"))
    memory_limit = _number(evidence.get("inside_memory_limit_bytes")) or (mib * (1 << 20) if mib else None)
    return min(cpus, cpu_limit or cpus), int(min(memory, memory_limit or memory))


def _equal(all_had: list[tuple[float, int]]) -> bool:
    cpus, memory = {cpus for cpus, _ in all_had}, [memory for _, memory in all_had]
    return len(cpus) <= 1 and max(memory) - min(memory) <= SAME_MEMORY * max(memory)


def _words(had: tuple[float, int]) -> str:
    cpus, memory = had
    return f"{cpus:g} CPU{'s' * (cpus != 1)} and {format_number(memory / GIB, 2)} GiB"


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1e18 else None
