"""Where and when the trials of a campaign run, by rtlab's own plan."""

from __future__ import annotations

from collections.abc import Sequence

from rtlab.campaign.plan import plan
from rtlab.model import CampaignSpec, Trial


def spec_of(blocks: int, seed: int, experiments: Sequence[str] = ("boot",), margin: float = 0.05) -> CampaignSpec:
    """A campaign of runC and Kata that is nothing but its blocks."""
    return CampaignSpec(
        name="coverage",
        design="default",
        runs=blocks,
        experiments=tuple(experiments),
        runtimes=("runc", "kata"),
        baseline="runc",
        reboot="never",
        seed=seed,
        aa=False,
        margin=margin,
        parameters={},
        images={},
        trial_timeout_s=1,
        ready_timeout_s=1,
    )


def planned(blocks: int, machines: Sequence[str], seed: int) -> tuple[Trial, ...]:
    """The trials of one experiment in order."""
    return plan(spec_of(blocks, seed), machines, seed)


def blocks_of(trials: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    """(baseline's, arm's) trial of each block."""
    found: dict[int, dict[str, Trial]] = {}
    for trial in trials:
        found.setdefault(trial.block, {})[trial.arm] = trial
    return [(block["runc"], block["kata"]) for block in found.values()]
