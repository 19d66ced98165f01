"""A disk image from a distribution's cloud image: fetched once, verified before it is opened."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtlab.artifacts.box import packing
from rtlab.artifacts.download import fetch
from rtlab.connection.shell import run_checked
from rtlab.errors import ConfigError, HostUnfit
from rtlab.model import Event, Notify
from rtlab.units import GIB


def build_disk(suite: str, settings: Mapping[str, Any], image: Path, notify: Notify, log: Path) -> None:
    """Write a qcow2 image: the cloud image, enlarged to ``disk_gb``. Its own cloud-init grows the file system.

    Args:
        settings: ``url`` (https, or a path on this machine), ``sha256``, ``disk_gb``.
    """
    for name in ("url", "sha256"):
        if not settings.get(name):
            raise ConfigError(
                f"No `{name}` is pinned for the cloud image of {suite}.",
                remedy="A profile's [box] needs url and sha256; a checksum that upstream signs lies beside the image.",
            )
    if shutil.which("qemu-img") is None:
        raise HostUnfit("qemu-img is missing.", remedy="sudo apt-get install qemu-utils")
    source = fetch(str(settings["url"]), str(settings["sha256"]), notify, stage="box")
    notify(Event(stage="box", message="Preparing the disk", fraction=0.7))
    size, _ = packing.disk_info(source, log, "qcow2")
    packing.convert(source, image, source_format="qcow2", target_format="qcow2", log=log)
    wanted = int(settings.get("disk_gb", 10)) * GIB
    if wanted > size:
        run_checked(
            ("qemu-img", "resize", "-q", "-f", "qcow2", str(image), str(wanted)),
            timeout_s=60,
            doing="enlarge the disk",
            log=log,
        )
