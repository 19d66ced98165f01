"""Which campaign ``rtlab bench`` works on: a new one, or one that was begun; and whether there is room for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rtlab import content, plugins, store
from rtlab.campaign import plan
from rtlab.errors import StoreError, UsageError
from rtlab.model import CampaignSpec, Testbed
from rtlab.store import Campaign
from rtlab.units import format_bytes

# The campaign's own disk must keep this much free, or the next trial is not started.
KEEP_FREE_BYTES = 64 * 1024 * 1024


def choose_campaign(
    parent: Path,
    spec: CampaignSpec,
    testbed: Testbed,
    *,
    new: bool = False,
    resume: str | None = None,
    durable: bool = True,
) -> tuple[Campaign, bool]:
    """The campaign to work on, and whether it is resumed: the unfinished one with the same digest, or a new one.

    Raises:
        UsageError: an unfinished campaign with another spec is the newest and neither ``new`` nor ``resume`` was said;
            or the campaign to resume needs machines or runtimes that the testbed has not.
        StoreError: the disk is full or nearly so, or the campaign is damaged or of a newer rtlab.
    """
    campaign = unfinished(parent, spec, testbed, new=new, resume=resume)
    if campaign is not None:
        return campaign, True
    machines = tuple(m.name for m in testbed.machines)
    trials = plan.plan(spec, machines, spec.seed, runtimes_on={m.name: m.runtimes for m in testbed.machines})
    require_space(parent)
    made_with = content.root() if plugins.provider(testbed.provider).makes_machines else None
    return store.create(parent, spec, testbed, trials, made_with=made_with, durable=durable), False


def unfinished(
    parent: Path, spec: CampaignSpec, testbed: Testbed, *, new: bool = False, resume: str | None = None
) -> Campaign | None:
    """The campaign that ``bench`` would go on with; None when it would begin a new one. Writes nothing.

    Raises:
        UsageError, StoreError: as ``choose_campaign``.
    """
    if new and resume is not None:
        raise UsageError("--new and --resume exclude each other.", remedy="Say one of them.")
    if resume is not None:
        campaign = store.find(parent, resume)
        if campaign.finished:
            raise UsageError(
                f"{campaign.folder.name} is finished: there is nothing to resume.", remedy="Use `rtlab bench --new`."
            )
        _require_machines(campaign, testbed)
        return campaign
    if not new:
        digest = store.spec_digest(spec, testbed.id)
        waiting = [c for c in store.known(parent) if not c.finished]
        for campaign in reversed(waiting):
            if campaign.digest == digest:
                return campaign
        if waiting:
            newest = waiting[-1]
            raise UsageError(
                f"{newest.folder.name} is unfinished and was started with other settings or on another testbed.",
                remedy=f"Go on with it: rtlab bench --resume {newest.folder.name}\nOr start afresh: rtlab bench --new",
            )
    return None


def _require_machines(campaign: Campaign, testbed: Testbed) -> None:
    """Every machine that the plan names is there, with the runtimes that it is to run."""
    _ = campaign.header  # StoreError when a newer rtlab made it
    there = {m.name: m.runtimes for m in testbed.machines}
    lacking = sorted(
        {
            f"{t.runtime} on {t.machine}"
            for t in campaign.plan
            if t.machine not in there or (there[t.machine] and t.runtime not in there[t.machine])
        }
    )
    if lacking:
        raise UsageError(
            f"{campaign.folder.name} cannot go on here: its plan needs {', '.join(lacking)}, "
            f"which this testbed has not.",
            remedy="Make a testbed as it had one (`rtlab teardown`, `rtlab up`), or start afresh: rtlab bench --new",
        )


def require_space(folder: Path) -> None:
    """StoreError when another trial might not find room on the disk that holds the campaigns."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"Cannot tell how much is free at {folder}: {error.strerror}.") from error
    if free < KEEP_FREE_BYTES:
        raise StoreError(
            f"{folder} has only {format_bytes(free)} free; "
            f"{format_bytes(KEEP_FREE_BYTES)} are needed before the next trial may start.",
            remedy="Free some space and run `rtlab bench` again: it goes on where it stopped.",
        )
