"""The boxes on this machine, by content, and the metadata.json through which Vagrant takes one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.artifacts import cache
from rtlab.artifacts.box.packing import Backend
from rtlab.errors import StoreError

BOX_FILE = "rtlab.box"
# What a box's content depends on besides its settings: a change there makes a new box.
_RECIPE = ("overlay.py", "mmdebstrap.py", "packing.py", "cloud_image.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A Vagrant box on this machine.

    Attributes:
        name, version: As Vagrant knows it.
        path: The box file.
        sha256: Its digest, hex.
        metadata_path: The metadata.json to give to Vagrant.
        suite: ``debian-12`` …
        cached: It was there already.
        provisioned: The roles were applied before it was kept (see ``rtlab.providers.vagrant.kept``).
    """

    name: str
    version: str
    path: Path
    sha256: str
    metadata_path: Path
    suite: str
    backend: Backend
    cached: bool
    provisioned: bool = False


def key(suite: str, backend: Backend, settings: Mapping[str, Any]) -> str:
    """Hex digest of everything that decides what the box will be, except the moment's packages."""
    digest = hashlib.sha256(json.dumps([suite, backend, dict(settings)], sort_keys=True, default=list).encode())
    for name in _RECIPE:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def folder(suite: str, backend: Backend, content_key: str) -> Path:
    """Where the box of that key is, or is to be."""
    return cache.folder("boxes") / f"{suite}-{backend}-{content_key[:16]}"


def version(sha256: str) -> str:
    """A version that RubyGems accepts and that differs for every content."""
    return f"1.0.{int(sha256[:12], 16)}"


def metadata(name: str, box: Box) -> dict[str, Any]:
    """Vagrant's catalogue metadata for one box (developer.hashicorp.com/vagrant/docs/boxes/format)."""
    provider = {
        "name": box.backend,
        "url": box.path.resolve().as_uri(),
        "checksum_type": "sha256",
        "checksum": box.sha256,
    }
    return {
        "name": name,
        "description": "Made by rtlab.",
        "versions": [{"version": box.version, "providers": [provider]}],
    }


def register(where: Path, *, suite: str, backend: Backend, sha256: str, provisioned: bool = False) -> None:
    """Write down what the box in ``where`` is; its presence is what makes the box complete."""
    facts = {"suite": suite, "backend": backend, "sha256": sha256, "provisioned": provisioned}
    atomic.write_json(where / "box.json", facts)


def find(where: Path) -> Box | None:
    """The complete box in ``where``; None if there is none.

    Raises:
        StoreError: its description is damaged.
    """
    file = where / "box.json"
    if not file.exists() or not (where / BOX_FILE).exists():
        return None
    try:
        facts = json.loads(file.read_text())
        suite, backend, sha256 = facts["suite"], facts["backend"], facts["sha256"]
        provisioned = bool(facts["provisioned"])
    except (ValueError, KeyError) as error:
        raise StoreError(
            f"{file} is damaged: {error}.", remedy=f"Remove the folder {where}; the box is made again."
        ) from error
    box = Box(
        name=f"rtlab/{suite}" + ("-provisioned" if provisioned else ""),
        version=version(sha256),
        path=where / BOX_FILE,
        sha256=sha256,
        metadata_path=where / "metadata.json",
        suite=suite,
        backend=backend,
        cached=True,
        provisioned=provisioned,
    )
    # Written anew each time: it holds an absolute path, and the cache may have been moved.
    atomic.write_json(box.metadata_path, metadata(box.name, box))
    return box


def at(path: Path) -> Box:
    """The box that a user names: a folder of the catalogue, or a box file or metadata.json in one."""
    where = path if path.is_dir() else path.parent
    box = find(where)
    if box is None:
        raise StoreError(
            f"{path} is not a box that rtlab made.",
            remedy="`rtlab box build` prints the path to give here.",
        )
    return box
