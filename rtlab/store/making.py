"""A new campaign's folder, whole before it gets its name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

import rtlab
from rtlab import atomic, ownership, scratch
from rtlab.model import CampaignSpec, Testbed, Trial
from rtlab.state import now, testbed_to_json
from rtlab.store.campaign import Campaign
from rtlab.store.layout import LEFTOVER, SCHEMA


def spec_digest(spec: CampaignSpec, testbed_id: str) -> str:
    """SHA-256 (hex) of what a campaign is to do, where; the seed does not count, because it is drawn anew."""
    content = {**asdict(spec), "seed": None, "testbed": testbed_id}
    if spec.until is None:  # as before there were adaptive campaigns
        del content["until"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def create(
    parent: Path,
    spec: CampaignSpec,
    testbed: Testbed,
    plan: Sequence[Trial],
    *,
    made_with: Path | None = None,
    durable: bool = True,
) -> Campaign:
    """Make a new campaign folder with spec, testbed and the whole plan, before anything runs.

    Args:
        parent: Usually ``campaigns``; made if missing.
        made_with: The folder of the Vagrantfile, playbooks and roles that made the machines, copied into the campaign
            (a profile's pins stand in the facts, as what they came to); None where rtlab made none.
        durable: False skips fsync per trial (simulated campaigns only); the protocol stays the same.

    Raises:
        StoreError: the folder cannot be written.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    atomic.make_folder(parent)
    scratch.sweep(parent, LEFTOVER)
    folder = parent / f"{stamp}-{spec.name}"
    try:
        with scratch.folder(parent, folder.name, ".tmp") as temporary:
            atomic.make_folder(temporary / "trials")
            atomic.make_folder(temporary / "facts")
            atomic.write_json(temporary / "testbed.json", testbed_to_json(published(testbed)))
            lines = "".join(json.dumps(asdict(trial), sort_keys=True) + "\n" for trial in plan)
            atomic.write_bytes(temporary / "plan.jsonl", lines.encode())
            if made_with is not None:
                _keep_provisioning(made_with, temporary)
            header = {
                "schema": SCHEMA,
                "rtlab": rtlab.__version__,
                "created_at": now(),
                "spec": asdict(spec),
                "digest": spec_digest(spec, testbed.id),
            }
            # Last: what has it is whole, even where something else takes a folder for a campaign by it.
            atomic.write_json(temporary / "campaign.json", header)
            while folder.exists() or not _renamed(temporary, folder):
                folder = parent / f"{stamp}-{spec.name}-{secrets.token_hex(2)}"
        atomic.sync_folder(parent)
    except OSError as error:
        raise atomic.cannot_write(folder, error) from error
    return Campaign(folder, durable=durable)


def _renamed(temporary: Path, folder: Path) -> bool:
    """False when another rtlab made a campaign of that name in this moment."""
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _keep_provisioning(made_with: Path, folder: Path) -> None:
    """For whoever asks later how the machines were made; the report does not read it, and `pack` leaves it out."""
    shutil.copyfile(made_with / "Vagrantfile", folder / "Vagrantfile")
    for name in ("playbooks", "roles"):
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(made_with / name, folder / "ansible" / name, ignore=ignored, copy_function=shutil.copyfile)
    for place, _, names in os.walk(folder / "ansible"):  # from above, so that each finds its parent handed over
        ownership.hand_over(Path(place), Path(place).parent)
        for name in names:
            ownership.hand_over(Path(place) / name, Path(place))
    ownership.hand_over(folder / "Vagrantfile", folder)


def published(testbed: Testbed) -> Testbed:
    """The testbed without what only this controller needs: key files, addresses and the user's paths."""
    machines = tuple(
        replace(
            m,
            address="",
            port=0,
            user="",
            key_file=None,
            known_hosts_file=None,
            python="",
            netns=None,
            engine=replace(m.engine, socket="", settings={}),
            beside=tuple(replace(e, socket="", settings={}) for e in m.beside),
        )
        for m in testbed.machines
    )
    return replace(testbed, machines=machines)
