"""What the machines are, before the first trial of a session: read, compared with earlier readings, kept."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab import plugins
from rtlab.campaign import like
from rtlab.campaign.machines import Lane
from rtlab.connection import client as probe_client
from rtlab.errors import HostUnfit, RtlabError
from rtlab.model import CampaignSpec, Event, Json, Machine, Notify
from rtlab.store import Campaign, facts
from rtlab.units import format_bytes


def inspect(
    lane: Lane,
    campaign: Campaign,
    notify: Notify,
    *,
    like_campaign: Campaign | None = None,
    strict: bool = False,
    accept_changes: bool = False,
) -> None:
    """Install the probe, clear what earlier trials left, and keep the machines' facts in the campaign.

    Args:
        like_campaign: Another campaign, with whose machines these are compared (``--like``).
        strict: Refuse machines that are not twins.
        accept_changes: Go on although the machines' facts changed since the campaign began.

    Raises:
        RtlabError: the machines are not what they were.
        HostUnfit: they are not twins, or have not enough disk.
    """
    earlier = {name: taken[0] for name, taken in campaign.facts().items() if taken}
    found: dict[str, Mapping[str, Json]] = {}
    for machine in map(lane.named, lane.names):
        lane.wake(machine.name)
        shell = lane.shell(machine.name)
        notify(Event(stage="facts", message="reading hardware, versions and digests", machine=machine.name))
        probe_client.install(shell, machine)
        probe_client.clean(shell, machine, lane.testbed_id)
        found[machine.name] = probe_client.facts(shell, machine)
        _require_disk(campaign.spec, machine, found[machine.name])
    changes = [
        f"{name}: {change}" for name in found if name in earlier for change in facts.changes(earlier[name], found[name])
    ]
    if changes and not accept_changes:
        raise RtlabError(
            "The machines are not what they were when this campaign began:\n  " + "\n  ".join(changes),
            remedy="Start a new campaign (rtlab bench --new), or say --accept-changes to go on with this one.",
        )
    if like_campaign is not None:
        for line in like.facts_differences(like_campaign, list(found.values())):
            message = f"not as in {like_campaign.folder.name}: {line}"
            notify(Event(stage="like", message=message, level="warning"))
    differences = facts.twin_differences(found)
    for difference in differences:
        notify(Event(stage="facts", message=f"the machines differ: {difference}", level="warning"))
    if differences and strict:
        raise HostUnfit(
            "The machines are not twins:\n  " + "\n  ".join(differences),
            remedy="Make them equal (`rtlab teardown`, `rtlab up`), or bench without --strict.",
        )
    for name, taken in found.items():
        campaign.write_facts(name, taken)


def _require_disk(spec: CampaignSpec, machine: Machine, taken: Mapping[str, Json]) -> None:
    needed = max(plugins.experiment(name).needs_disk_bytes(spec.parameters[name]) for name in spec.experiments)
    free = taken.get("disk_free_bytes")
    if isinstance(free, int) and free < needed:
        raise HostUnfit(
            f"{machine.name} has {format_bytes(free)} free where containers are kept; "
            f"the experiments need {format_bytes(needed)}.",
            remedy="Make the disk larger ([testbed] disk_gb), or the io experiment smaller "
            "(--set io.size_mb=512, labelled in the report).",
        )
