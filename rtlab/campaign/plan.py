"""The plan of a campaign: every trial, in order, before the first runs. Pure: the same seed gives the same plan.

Default design (measurement.md §1, §4.2): blocks, in which every arm comes once, in random order. On two machines the
arms swap machines between blocks; every four blocks hold each combination (baseline's machine × which arm goes first)
once, shuffled. Paper's design: all trials of one runtime, then of the other, each after a boot of its own.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rtlab import plugins
from rtlab.model import CampaignSpec, Trial

AA_BLOCKS = 4
# memory first, because earlier trials leave caches; io last, because it fills them.
FIRST, LAST = "memory", "io"


def plan(
    spec: CampaignSpec,
    machines: Sequence[str],
    seed: int,
    *,
    runtimes_on: Mapping[str, Sequence[str]] | None = None,
    further: int = 0,
) -> tuple[Trial, ...]:
    """All trials of the campaign, in order of execution.

    Args:
        machines: Names, in the testbed's order.
        seed: Of ``random.Random`` (Mersenne Twister), whose ``shuffle`` and ``choice`` decide every order.
        runtimes_on: Machine -> its runtimes; decides in the paper's design which machine a runtime has.
        further: Blocks after the last one (default design only); they change nothing of what is before them.
    """
    if spec.design == "paper":
        return _paper(spec, machines, runtimes_on or {})
    return _crossover(spec, machines, random.Random(seed), further)


def next_block(spec: CampaignSpec, machines: Sequence[str], trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The block that an adaptive campaign runs after ``trials``: the seed's own next one, whatever was repeated."""
    planned = len({t.block for t in trials if t.kind == "ab" and t.repeats is None})
    whole = plan(spec, machines, spec.seed, further=planned - spec.runs + 1)
    return _renumbered([t for t in whole if t.block == whole[-1].block], trials, None)


def repeat_block(trials: Sequence[Trial], block: int) -> tuple[Trial, ...]:
    """The same block again, at the end: new numbers, a new block number, new boots, and which block it replaces."""
    return _renumbered([t for t in trials if t.block == block], trials, block)


def _renumbered(block: Sequence[Trial], after: Sequence[Trial], repeats: int | None) -> tuple[Trial, ...]:
    """The trials of one block, numbered on after others."""
    number = max(t.number for t in after)
    new_block = max(t.block for t in after) + 1
    boots = itertools.count(max(t.boot for t in after) + 1)
    new_boot: dict[int, int] = {}
    added = []
    for offset, trial in enumerate(block, 1):
        if trial.boot not in new_boot:
            new_boot[trial.boot] = next(boots)
        added.append(
            replace(trial, number=number + offset, block=new_block, boot=new_boot[trial.boot], repeats=repeats)
        )
    return tuple(added)


def _paper(spec: CampaignSpec, machines: Sequence[str], runtimes_on: Mapping[str, Sequence[str]]) -> tuple[Trial, ...]:
    trials: list[Trial] = []
    order = [spec.baseline, *(r for r in spec.runtimes if r != spec.baseline)]
    for position, runtime in enumerate(order):
        own = [m for m in machines if runtime in runtimes_on.get(m, ())]
        machine = own[0] if len(own) == 1 else machines[position % len(machines)]
        for experiment in _ordered(spec.experiments, None):
            for run in range(1, spec.runs + 1):
                number = len(trials) + 1
                trials.append(
                    Trial(
                        number=number,
                        block=run,
                        kind="ab",
                        arm=runtime,
                        experiment=experiment,
                        runtime=runtime,
                        machine=machine,
                        boot=number,
                    )
                )
    return tuple(trials)


def _crossover(spec: CampaignSpec, machines: Sequence[str], rng: random.Random, further: int) -> tuple[Trial, ...]:
    trials: list[Trial] = []
    boot = 0
    arms = [(runtime, runtime) for runtime in spec.runtimes]
    copies = [(f"{spec.baseline}#1", spec.baseline), (f"{spec.baseline}#2", spec.baseline)]
    kinds: list[tuple[Literal["ab", "aa"], list[tuple[str, str]]]] = [("ab", arms)] * spec.runs
    kinds += [("aa", copies)] * (AA_BLOCKS if spec.aa else 0)
    kinds += [("ab", arms)] * further
    layouts = {kind: _layouts(len(of), len(machines), rng) for kind, of in (("ab", arms), ("aa", copies))}
    for block, (kind, of) in enumerate(kinds, 1):
        for index, machine in next(layouts[kind]):
            arm, runtime = of[index]
            boot += 1
            for experiment in _ordered(spec.experiments, rng):
                if spec.reboot == "trial" and trials and trials[-1].boot == boot:
                    boot += 1
                trials.append(
                    Trial(
                        number=len(trials) + 1,
                        block=block,
                        kind=kind,
                        arm=arm,
                        experiment=experiment,
                        runtime=runtime,
                        machine=machines[machine],
                        boot=boot,
                    )
                )
    return tuple(trials)


Layout = list[tuple[int, int]]


def _layouts(arms: int, machines: int, rng: random.Random) -> Iterator[Layout]:
    """Without end: for each block the arms in order of execution, each with its machine (both as indices).

    Every four blocks hold each combination (machine of arm 0 × whether arm 0 or arm 1 goes first) once, shuffled. With
    more than two arms the others keep the place that the shuffle gave them, and machines rotate.
    """
    while True:
        combinations = list(itertools.product(range(min(machines, 2)), (True, False)))
        rng.shuffle(combinations)
        for shift, baseline_first in combinations:
            order = list(range(arms))
            rng.shuffle(order)
            if arms > 1:
                earlier, later = sorted((order.index(0), order.index(1)))
                order[earlier], order[later] = (0, 1) if baseline_first else (1, 0)
            yield [(arm, (shift + arm) % machines) for arm in order]


def _ordered(experiments: Sequence[str], rng: random.Random | None) -> list[str]:
    ordered = sorted(experiments, key=lambda name: plugins.experiment(name).order)
    middle = [e for e in ordered if e not in (FIRST, LAST)]
    if rng is not None:
        rng.shuffle(middle)
    return [e for e in ordered if e == FIRST] + middle + [e for e in ordered if e == LAST]
