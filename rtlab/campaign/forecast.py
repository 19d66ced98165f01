"""How many blocks a wanted precision takes, and how long: from a past campaign or a pilot. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from rtlab import report
from rtlab.campaign.pace import Pace
from rtlab.errors import UsageError
from rtlab.stats.adaptive import blocks_for, half_width, scatter, scatter_bound
from rtlab.store import Campaign

# The scatter of a pilot is itself uncertain: the careful number of blocks takes its upper limit at this confidence.
CAREFUL = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one primary ratio takes.

    Attributes:
        blocks_seen: Blocks in the ratio's interval there.
        half_width: Of that interval, relative (0.05 is × or ÷ 1.05); None where there is none.
        blocks: Number of blocks whose interval is expected to be as narrow as wanted; None: more than MOST_BLOCKS, or
            the campaign has no interval.
        careful_blocks: The same should the pilot have understated the scatter (upper limit at CAREFUL).
    """

    experiment: str
    metric: str
    arm: str
    blocks_seen: int
    half_width: float | None
    blocks: int | None
    careful_blocks: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What ``rtlab plan --target`` says.

    Attributes:
        blocks, careful_blocks: Of the ratio that needs most; None when one cannot be foretold.
        block_s: What one block took there, seconds.
    """

    campaign: str
    target: float
    forecasts: tuple[Forecast, ...]
    blocks: int | None
    careful_blocks: int | None
    block_s: float


def foretell(campaign: Campaign, target: float) -> Precision:
    """How many blocks each primary ratio takes for a relative half-width of ``target`` (0.05 is × or ÷ 1.05).

    Raises:
        UsageError: the campaign is of the paper's design, or has no primary ratio at all.
        StoreError: the campaign is damaged.
    """
    built = report.build(campaign)
    spec = built.spec
    if spec.design == "paper":
        raise UsageError(
            f"{built.name} repeats the paper's design, which has no blocks whose scatter could be read.",
            remedy="Run a pilot in the default design: rtlab bench --runs 5",
        )
    two = len(built.testbed.machines) > 1
    found = []
    for c in built.primaries():
        fitted = 2 if c.machine_effect is not None else 1
        seen = len(c.blocks)
        sd = scatter(c.ratio, seen, machines=fitted) if c.ratio else None
        careful = scatter_bound(sd, seen - fitted, CAREFUL) if sd is not None else None
        found.append(
            Forecast(
                experiment=c.experiment,
                metric=c.metric,
                arm=c.arm,
                blocks_seen=seen,
                half_width=half_width(c.ratio),
                blocks=blocks_for(sd, target, machines=1 + two) if sd is not None else None,
                careful_blocks=blocks_for(careful, target, machines=1 + two) if careful is not None else None,
            )
        )
    if not found:
        raise UsageError(
            f"{built.name} compares nothing: it has one runtime, or no experiment that this rtlab knows.",
            remedy="Name another one with --campaign.",
        )
    pace = Pace(spec, built.testbed.level)
    pace.learn(campaign)
    blocks = [t for t in campaign.plan if t.kind == "ab" and t.repeats is None]
    return Precision(
        campaign=built.name,
        target=target,
        forecasts=tuple(found),
        blocks=_most([f.blocks for f in found]),
        careful_blocks=_most([f.careful_blocks for f in found]),
        block_s=pace.remaining_s(blocks) / max(1, len({t.block for t in blocks})),
    )


def _most(numbers: list[int | None]) -> int | None:
    known = [n for n in numbers if n is not None]
    return max(known) if len(known) == len(numbers) else None
