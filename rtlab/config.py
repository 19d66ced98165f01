"""``rtlab.toml`` and the command line -> settings. Each default is written once: here, in these dataclasses.

Experiments' own parameters are the exception: their defaults stand in each experiment's module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedSettings:
    """Section ``[testbed]``: what ``rtlab up`` makes."""

    __test__ = False

    provider: str = "auto"
    profile: str = "auto"
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    backend: Literal["auto", "libvirt", "virtualbox"] = "auto"
    machines: int = 2
    cpus: int = 4
    memory_mb: int = 8192
    disk_gb: int = 10
    disk_cache: Literal["none", "writeback", "writethrough"] = "none"
    runtimes: tuple[str, ...] = ("runc", "kata")
    design: Literal["crossover", "paper"] = "crossover"
    box: str = ""
    inventory: str = ""
    allow_reboot: bool = False
    kata_archive: str = ""
    kata_sha256: str = ""
    scenario: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """Section ``[campaign]``: what ``rtlab bench`` runs. Empty tuples mean: all that the testbed has."""

    name: str = "campaign"
    design: Literal["default", "paper"] = "default"
    runs: int = 15
    experiments: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    baseline: str = "runc"
    reboot: Literal["auto", "trial", "block", "never"] = "auto"
    seed: int | None = None
    aa: bool = False
    margin_percent: float = 5.0
    strict: bool = False
    trial_timeout_s: float = 1800.0
    ready_timeout_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of ``rtlab.toml``.

    Attributes:
        parameters: Per experiment, only what the file sets; the experiment fills in the rest.
        source: The file it came from; empty when there is none.
    """

    testbed: TestbedSettings = field(default_factory=TestbedSettings)
    campaign: CampaignSettings = field(default_factory=CampaignSettings)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""
