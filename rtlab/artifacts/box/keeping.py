"""Removes from a machine's disk image what must not be in two machines."""

from __future__ import annotations

import json
from pathlib import Path

from rtlab.artifacts.box import mmdebstrap
from rtlab.connection.shell import run, run_checked
from rtlab.model import Event, Notify


def anonymize(image: Path, suite: str, log: Path, notify: Notify) -> None:
    """Remove host keys, machine-id, engine id, authorized keys, logs and the seed's mark from a raw disk image."""
    notify(Event(stage="box", message="Removing what is this machine's own", fraction=0.6))
    with (
        mmdebstrap.attached(image, log, root_offset(image, log)) as device,
        mmdebstrap.mounted(device, image.parent / "root", log, guest=True) as root,
    ):
        mmdebstrap.forget_identity(root, suite)
        run(("fstrim", str(root)), timeout_s=120, log=log)


def root_offset(image: Path, log: Path) -> int:
    """Where the largest partition begins, in bytes: the root file system of every box that rtlab makes."""
    result = run_checked(("sfdisk", "--json", str(image)), timeout_s=60, doing="read the partitions", log=log)
    table = json.loads(result.stdout)["partitiontable"]
    largest = max(table["partitions"], key=lambda partition: int(partition["size"]))
    return int(largest["start"]) * int(table.get("sectorsize", 512))
