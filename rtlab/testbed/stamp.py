"""What the roles were given, as a digest that the machine carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rtlab import content
from rtlab.connection import archive
from rtlab.model import Machine
from rtlab.providers.contract import Provider

# What the machine carries once the roles were applied: the digest of everything that they were given.
STAMP = "provisioned.sha256"


def stamp_of(machine: Machine, variables: Mapping[str, Any]) -> str:
    """SHA-256 of roles, playbooks, probe and variables: what decides how a machine comes out.

    Neither the machine's name nor the testbed's id counts, nor where files lie on the controller: a machine from a kept
    box is known as ready.
    """
    given = {
        **variables,
        "rtlab_testbed": None,
        "bench_tools_probe": None,
        "images_archives": [archive["sha256"] for archive in variables["images_archives"]],
        "runtimes": machine.runtimes,
    }
    given |= {key: [file["sha256"] for file in value] for key, value in variables.items() if key.endswith("_programs")}
    digest = hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode())
    digest.update(archive.built())
    root = content.root()
    for folder in ("playbooks", "roles"):
        for file in sorted(p for p in (root / folder).rglob("*") if p.is_file()):
            digest.update(str(file.relative_to(root)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def read_stamp(provider: Provider, machine: Machine) -> str:
    shell = provider.shell(machine)
    try:
        result = shell.run(("cat", f"{machine.home}/{STAMP}"), timeout_s=60)
        return result.text().strip() if result.ok else ""
    finally:
        shell.close()
