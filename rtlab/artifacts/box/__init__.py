"""Vagrant boxes made here: from a distribution's packages, from its cloud image, or from a provisioned machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtlab.artifacts import cache
from rtlab.artifacts.apt_sources import CODENAMES
from rtlab.artifacts.box import catalogue, cloud_image, mmdebstrap, packing
from rtlab.artifacts.box.catalogue import Box
from rtlab.artifacts.box.packing import Backend
from rtlab.errors import UsageError
from rtlab.model import Event, Notify
from rtlab.state import hold_lock

__all__ = ["Backend", "Box", "build", "default_settings", "ready", "store", "suites", "workspace"]


def suites() -> tuple[str, ...]:
    """What ``rtlab box build`` can make."""
    return tuple(CODENAMES)


def default_settings(suite: str) -> dict[str, Any]:
    """How a suite's box is made when no profile says it."""
    kind = "mmdebstrap" if CODENAMES[suite][0] == "debian" else "cloud-image"
    return {"kind": kind}


def build(
    suite: str,
    backend: Backend,
    *,
    settings: Mapping[str, Any] | None = None,
    disk_gb: int = 10,
    rebuild: bool = False,
    notify: Notify,
) -> Box:
    """The box for a suite; made only if it is not in the catalogue yet.

    Args:
        settings: A profile's ``box``: ``kind``, and for mmdebstrap ``kernel_arguments`` and ``packages``, for a
            cloud image ``url`` and ``sha256``. None takes ``default_settings``.
        disk_gb: Size of the disk, sparse.
        rebuild: Make it anew, with the packages of today.

    Raises:
        UsageError: an unknown suite, backend or kind.
        HostUnfit, CommandFailed, Unsafe: see the builders.
    """
    if suite not in CODENAMES:
        raise UsageError(f"There is no suite {suite[:60]!r}.", remedy=f"Known suites: {', '.join(suites())}.")
    if backend not in ("libvirt", "virtualbox"):
        raise UsageError(f"Boxes are made for libvirt or virtualbox, not for {backend!r}.")
    recipe = {**(settings or default_settings(suite)), "disk_gb": disk_gb}
    builders = {"mmdebstrap": (mmdebstrap.build_disk, "raw"), "cloud-image": (cloud_image.build_disk, "qcow2")}
    if recipe.get("kind") not in builders:
        raise UsageError(f"A box is made by {' or '.join(builders)}, not by {recipe.get('kind')!r}.")
    build_disk, image_format = builders[recipe["kind"]]
    where = catalogue.folder(suite, backend, catalogue.key(suite, backend, recipe))
    if not rebuild and (box := catalogue.find(where)):
        notify(Event(stage="box", message=f"The box is there already: {box.path}", fraction=1.0))
        return box
    with workspace(where) as (work, log):
        image = work / "disk.image"
        build_disk(suite, recipe, image, notify, log)
        notify(Event(stage="box", message=f"Packing the box for {backend}", fraction=0.95))
        sha256 = packing.pack(image, image_format, backend, suite, work / catalogue.BOX_FILE, log)
        store(work, where, suite=suite, backend=backend, sha256=sha256)
    return ready(where, notify)


def store(work: Path, where: Path, *, suite: str, backend: Backend, sha256: str, provisioned: bool = False) -> None:
    """Move a packed box from the workspace to its place in the catalogue."""
    if where.exists():
        shutil.rmtree(where)
    where.mkdir(mode=0o700)
    (work / catalogue.BOX_FILE).replace(where / catalogue.BOX_FILE)
    catalogue.register(where, suite=suite, backend=backend, sha256=sha256, provisioned=provisioned)


@contextmanager
def workspace(where: Path) -> Iterator[tuple[Path, Path]]:
    """A folder for the work (same file system as the catalogue, removed in the end) and a log that stays."""
    boxes = cache.folder("boxes")
    log = boxes / f"{where.name}.log"
    log.unlink(missing_ok=True)
    with hold_lock(boxes / f"{where.name}.lock", "box build"):
        work = Path(tempfile.mkdtemp(prefix="work-", dir=boxes))
        try:
            yield work, log
        finally:
            shutil.rmtree(work, ignore_errors=True)


def ready(where: Path, notify: Notify) -> Box:
    """The box that was just put there."""
    box = catalogue.find(where)
    assert box is not None
    notify(Event(stage="box", message=f"The box is ready: {box.path}", fraction=1.0))
    return replace(box, cached=False)
