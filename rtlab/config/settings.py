"""All settings of ``rtlab.toml`` with their defaults, ranges and meanings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rtlab.config.setting import SHA256, setting

# More blocks than this is a slip of the finger: 10 000 blocks of a few minutes each take weeks.
MAX_RUNS = 10_000

# What may follow the colon in kata:small.
VARIANT = "[a-z0-9][a-z0-9-]{0,19}"

# As in the study.
NODES = 2

# What a machine that can run more runtimes is asked for when nobody names any: what people compare first. The others
# (crun, youki) come when they are named: their compilation and their blocks are time that a first report need not take.
COMPARED_FIRST = ("runc", "kata", "gvisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedSettings:
    """Section ``[testbed]``: what ``rtlab up`` makes. What can be set of single runtimes stands in their folders
    (``rtlab.config.sections``)."""

    __test__ = False

    provider: str = setting(
        "auto",
        "What supplies the machines: auto, local (this machine), libvirt or virtualbox (Vagrant machines), "
        "static (machines of an inventory), simulated.",
    )
    profile: str = setting("auto", "Set of pinned versions: auto, or the name of a profile.")
    accel: Literal["auto", "kvm", "tcg"] = setting(
        "auto", "libvirt machines: hardware virtualization, or emulation (tcg: no figure from it means anything)."
    )
    backend: Literal["auto", "libvirt", "virtualbox"] = setting("auto", "What runs Vagrant's machines.")
    machines: int | None = setting(
        None,
        "Number of machines; unset: two Vagrant machines, or as many simulated ones as the scenario has.",
        example="4",
        low=1,
        high=32,
    )
    cpus: int = setting(4, "Virtual CPUs per machine; the paper's is 4.", low=1, high=512)
    memory_mb: int = setting(8192, "Memory per machine, MiB; the paper's is 8192.", low=512, high=4_194_304)
    disk_gb: int = setting(10, "Disk per machine, GB; the paper's is 10.", low=4, high=16_384)
    disk_cache: Literal["none", "writeback", "writethrough"] = setting(
        "none", "The host's cache mode for the machines' disks: it changes every disk figure."
    )
    engine: Literal["auto", "modules", "system"] = setting(
        "auto",
        "local, static: where engine and runtimes come from. auto: today's, as released or compiled here (modules), "
        "where that works, else the machine's own (system).",
    )
    system_runtimes: tuple[str, ...] = setting(
        (),
        "local, static: runtimes whose own build on the machine is taken on purpose, while the engine stays today's; "
        'the same as build = "system" in their sections.',
    )
    runtimes: tuple[str, ...] = setting(("runc", "kata"), "Runtimes that `up` installs and proves.")
    engines: tuple[str, ...] = setting(
        ("docker",),
        "Engines that drive each runtime: docker, containerd (local machines). Every runtime under each is an arm.",
    )
    design: Literal["crossover", "paper"] = setting(
        "crossover", "crossover: every runtime on every machine. paper: one runtime per machine, as in the study."
    )
    box: str = setting("", "Vagrant box (name or file); empty: the profile's, built here.")
    inventory: str = setting("", "static machines: path of an Ansible inventory.")
    allow_reboot: bool = setting(False, "static machines: whether rtlab may reboot them.")
    box_sha256: str = setting("", "SHA-256 of the profile's cloud image, where the profile pins none.", form=SHA256)
    scenario: str = setting("", "simulated machines: path of a scenario; empty: the built-in one.")

    @property
    def nodes(self) -> int:
        """How many machines Vagrant makes (node1, node2 …): two, as in the study, unless another number is set."""
        return NODES if self.machines is None else self.machines


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """Section ``[campaign]``: what ``rtlab bench`` runs. Empty tuples mean: all that the testbed has."""

    name: str = setting("campaign", "Part of the campaign's folder name: lower-case letters, digits and dashes.")
    design: Literal["default", "paper"] = setting("default", "paper repeats the study to the letter.")
    runs: int = setting(
        15,
        "Number of blocks: every runtime once in each. 15 is the paper's number, 16 balances the crossover.",
        low=1,
        high=MAX_RUNS,
    )
    experiments: tuple[str, ...] = setting((), "Experiments to run, such as boot,io; empty: the paper's five.")
    runtimes: tuple[str, ...] = setting(
        (), "Runtimes to compare, such as runc,gvisor; empty: all that the testbed has."
    )
    engines: tuple[str, ...] = setting((), "Engines whose arms take part; empty: all that the testbed has.")
    baseline: str = setting("runc", "The runtime that the others are compared with.")
    reboot: Literal["auto", "trial", "block", "never"] = setting(
        "auto", "When a machine is rebooted. auto: once per block and runtime where rtlab may reboot, else never."
    )
    seed: int | None = setting(
        None,
        "Of the random order: the same seed gives the same plan; unset: drawn at random, and stored with the campaign.",
        example="2020",
        low=0,
        high=2**63 - 1,
    )
    until_percent: float | None = setting(
        None,
        "Adaptive: after `runs` blocks go on until every primary ratio is known to this half-width, percent.",
        example="5.0",
        above=0,
        below=100,
    )
    max_blocks: int = setting(40, "Adaptive: stop after so many blocks.", low=1, high=MAX_RUNS)
    max_hours: float | None = setting(
        None,
        "Adaptive: stop before the next block once the trials took so long, hours.",
        example="6.0",
        above=0,
        high=10_000,
    )
    aa: bool = setting(False, "Add 4 blocks with the baseline in both arms: the noise floor.")
    margin_percent: float = setting(5.0, "A difference smaller than this has no practical meaning.", above=0, below=100)
    strict: bool = setting(False, "Refuse machines that differ beyond the runtime, instead of warning.")
    trial_timeout_s: float = setting(1800.0, "Cap for one trial, seconds.", above=0, high=86_400)
    ready_timeout_s: float = setting(
        600.0, "Cap for a machine to become quiet, and to return from a reboot, seconds.", above=0, high=86_400
    )
