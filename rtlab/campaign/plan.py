"""The plan of a campaign: every trial, in order, before the first runs. Pure: the same seed gives the same plan.

Default design (measurement.md §1, §4.2): blocks, in which every arm comes once, in random order. On two machines the
arms swap machines between blocks; every four blocks hold each combination (baseline's machine × which arm goes first)
once, shuffled. On more machines the blocks come in rounds in which every machine carries every arm once, and all rounds
together hold every ordered pair of machines once. Paper's design: all trials of one runtime, then of the other, each
after a boot of its own.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rtlab import plugins
from rtlab.model import CampaignSpec, PlaceInBoot, Trial

AA_BLOCKS = 4


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
    layouts = {
        "ab": _layouts(len(arms), len(machines), spec.runs, rng),
        "aa": _layouts(len(copies), len(machines), AA_BLOCKS, rng),
    }
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


def machines_used(blocks: int, machines: int) -> int:
    """On how many machines the arms go round: on at least two, beyond that with two blocks for each.

    Every further machine costs the ratio a degree of freedom: four blocks on four machines would leave no interval.
    """
    return min(machines, max(2, blocks // 2))


def balance(blocks: int, machines: int) -> str:
    """What so many blocks balance over more than one machine, in a sentence; empty on one machine."""
    if machines < 2:
        return ""
    used = machines_used(blocks, machines)
    whole, rest = divmod(blocks, used * (used - 1))
    if blocks < 2:
        return "One block: runtime and machine cannot be told apart. From 2 blocks on they swap."
    found = []
    if used < machines:
        found.append(
            f"{blocks} blocks use {used} of {machines} machines: {2 * machines} blocks or more would use all of them."
        )
    if whole and not rest:
        times = "once" if whole == 1 else f"{whole} times"
        found.append(f"Every ordered pair of {used} machines carries baseline and arm {times}.")
    elif blocks % used == 0:
        found.append(
            f"Every machine carries every arm {blocks // used} times; {used * (used - 1)} blocks, or a multiple, hold "
            "every ordered pair of machines equally often."
        )
    else:
        found.append(
            f"Not balanced: some machines carry an arm once more than others, which the fit corrects; a multiple of "
            f"{used} blocks would balance it."
        )
    return " ".join(found)


def _layouts(arms: int, machines: int, blocks: int, rng: random.Random) -> Iterator[Layout]:
    """Without end: for each block the arms in order of execution, each with its machine (both as indices).

    On one or two machines every four blocks hold each combination (machine of arm 0 × whether arm 0 or arm 1 goes
    first) once, shuffled; of only two blocks on two machines the second swaps the machines. The arms after the second
    keep the place that the shuffle gave them.
    """
    if machines > 2:
        used = machines_used(blocks, machines)
        chosen = rng.sample(range(machines), used)
        if used > 2:
            yield from _rounds(arms, chosen, rng)
    else:
        chosen = list(range(machines))
    while True:
        combinations = list(itertools.product(range(len(chosen)), (True, False)))
        rng.shuffle(combinations)
        if blocks == 2 and len(chosen) == 2 and combinations[0][0] == combinations[1][0]:
            combinations[1], combinations[2] = combinations[2], combinations[1]
        for shift, baseline_first in combinations:
            order = _order(arms, baseline_first, rng)
            yield [(arm, chosen[(shift + arm) % len(chosen)]) for arm in order]


def _rounds(arms: int, machines: Sequence[int], rng: random.Random) -> Iterator[Layout]:
    """Without end, on three or more machines: in a round of as many blocks every machine carries every arm once.

    The arms other than the baseline lie so many machines after it in a round; every round of a cycle takes another
    distance, so that after ``count × (count - 1)`` blocks every ordered pair of machines carried (baseline, arm) once.
    Who goes first alternates along the machines, and turns round with the next round.
    """
    count = len(machines)
    first = rng.choice((0, 1))
    while True:
        distances = list(range(1, count))
        rng.shuffle(distances)
        for number, distance in enumerate(distances):
            shifts = list(range(count))
            rng.shuffle(shifts)
            for shift in shifts:
                order = _order(arms, (shift + number + first) % 2 == 0, rng)
                away = {arm: (distance + arm - 2) % (count - 1) + 1 if arm else 0 for arm in order}
                yield [(arm, machines[(shift + away[arm]) % count]) for arm in order]
        first = 1 - first


def _order(arms: int, baseline_first: bool, rng: random.Random) -> list[int]:
    order = list(range(arms))
    rng.shuffle(order)
    if arms > 1:
        earlier, later = sorted((order.index(0), order.index(1)))
        order[earlier], order[later] = (0, 1) if baseline_first else (1, 0)
    return order


def _ordered(experiments: Sequence[str], rng: random.Random | None) -> list[str]:
    """The experiments of one boot; those that declare no place at its ends are shuffled."""
    places: dict[PlaceInBoot, list[str]] = {"first": [], "middle": [], "last": []}
    for name in sorted(experiments, key=lambda name: plugins.experiment(name).order):
        places[plugins.experiment(name).place].append(name)
    if rng is not None:
        rng.shuffle(places["middle"])
    return [*places["first"], *places["middle"], *places["last"]]
