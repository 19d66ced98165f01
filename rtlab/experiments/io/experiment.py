"""io (Table II): Bonnie++ in the container, on its root file system.

The paper: 2 GB of file, "without write buffering" (`-b`), no file creation test. `-r` is needed because the file is
smaller than twice the memory: what is measured then is mostly the page cache, and the report says so. In the default
design the per-character tests are left out (`-f`): Table II does not have them, and they take most of the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rtlab.config.setting import setting
from rtlab.errors import ParseError
from rtlab.experiments import counters
from rtlab.experiments.calibration import FIRST_MB, FIRST_SEEKS, Reading, Step
from rtlab.experiments.contract import Declared
from rtlab.experiments.io import bonnie
from rtlab.experiments.io.bonnie import Rate
from rtlab.experiments.settings import Limited
from rtlab.model import (
    CampaignSpec,
    Json,
    Machine,
    Metric,
    Observation,
    PlaceInBoot,
    RawOutput,
    Runtime,
    Trial,
)
from rtlab.units import MIB


@dataclass(frozen=True, kw_only=True)
class Settings(Limited):
    """See ``rtlab.config.setting``."""

    size_mb: int = setting(
        0,
        "Bonnie++ -s: file size, MiB, at least 16; 0: chosen before the first block (calibration)",
        paper=2048,
        low=0,
        high=1 << 20,
    )
    seek_count: int = setting(
        0,
        "number of random seeks; 0: chosen with the size, or Bonnie++'s own 8192 where a size is set",
        paper=FIRST_SEEKS,
        low=0,
        high=1 << 24,
    )
    longest_s: float = setting(120.0, "calibration: no trial of any runtime shall take longer", low=5, high=3600)
    calibrated: str = setting("", "written by `bench`: why size and seeks were chosen")
    ram_mb: int = setting(0, "Bonnie++ -r: at most half of size_mb; 0: half of it", low=0, high=1 << 20)
    skip_per_character: bool = setting(True, "Bonnie++ -f: leave out the per-character tests", paper=False)
    folder: str = setting("/tmp", "Bonnie++ -d: folder in the container")


_PAPER_MB = 2048


@dataclass(frozen=True, slots=True)
class Io(Declared):
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "io"
    title: str = "Block I/O"
    summary: str = "Bonnie++: sequential block output and input, random seeks."
    order: int = 9
    place: PlaceInBoot = "last"  # it fills the caches
    settings: type[Settings] = Settings
    prints: re.Pattern[str] = bonnie.PRINTS
    metrics: tuple[Metric, ...] = (
        Metric(
            name="put_block_bytes_per_s",
            title="sequential output, block",
            label="Sequential write",
            unit="B/s",
            display_unit="K/s",
            better="higher",
            primary=True,
            paper=("II", "sequential_output_block"),
            resolution=1024.0,
        ),
        Metric(
            name="put_block_cpu_percent",
            title="sequential output, CPU",
            unit="%",
            paper=("II", "sequential_output_block_cpu"),
            resolution=1.0,
        ),
        Metric(
            name="get_block_bytes_per_s",
            title="sequential input, block",
            unit="B/s",
            display_unit="K/s",
            better="higher",
            paper=("II", "sequential_input_block"),
            resolution=1024.0,
        ),
        Metric(
            name="get_block_cpu_percent",
            title="sequential input, CPU",
            unit="%",
            paper=("II", "sequential_input_block_cpu"),
            resolution=1.0,
        ),
        Metric(name="seeks_per_s", title="random seeks", unit="1/s", better="higher", paper=("II", "random_seeks")),
    )

    def contradictions(self, settings: Settings) -> tuple[str, ...]:
        found = []
        if 0 < settings.size_mb < 16:
            found.append(f"size_mb = {settings.size_mb}: 0, or at least 16 is allowed")
        if 2 * settings.ram_mb > settings.size_mb:
            found.append(
                f"ram_mb = {settings.ram_mb}: Bonnie++ wants a file of at least twice that; "
                f"at most {settings.size_mb // 2} is allowed with size_mb = {settings.size_mb}"
            )
        if not settings.folder.startswith("/") or any(c in settings.folder for c in "\0\n"):
            found.append(f"folder = {settings.folder!r}: an absolute path in the container is allowed")
        return tuple(found)

    def needs_disk_bytes(self, parameters: Mapping[str, Json]) -> int:
        # The file, what a copy-on-write layer may add, and room for the engine.
        return (int(parameters["size_mb"]) or FIRST_MB) * MIB + 256 * MIB

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        per_mb = 0.015 if parameters["skip_per_character"] else 0.05
        return 3.0 + per_mb * float(parameters["size_mb"] or 4 * FIRST_MB)

    def needs_calibration(self, parameters: Mapping[str, Json]) -> bool:
        """Whether the size is left to runs before the first block (see ``rtlab.experiments.calibration``)."""
        return not parameters["size_mb"]

    def with_sizes(self, parameters: Mapping[str, Json], step: Step) -> dict[str, Json]:
        """The parameters of one such run."""
        return {**parameters, "size_mb": step.size_mb, "seek_count": step.seek_count}

    def reading(self, raw: RawOutput, arm: str) -> Reading:
        """What such a run told (ParseError when it is not readable)."""
        result = bonnie.parse(raw.stdout)
        return Reading(
            arm=arm,
            size_mb=result.file_size_bytes // MIB,
            seek_count=result.seek_count or FIRST_SEEKS,
            put=result.put_block.value,
            get=result.get_block.value,
            seeks=result.seeks.value,
            elapsed_s=counters.number(raw.probe, "measured", "elapsed_ns") / 1e9,
        )

    def request(self, trial: Trial, spec: CampaignSpec, machine: Machine, runtime: Runtime) -> dict[str, Json]:
        parameters = dict(spec.parameters[self.name])
        ram_mb = int(parameters["ram_mb"]) or int(parameters["size_mb"]) // 2
        # size:chunk:seeks; campaigns before there was such a setting have Bonnie++'s own numbers.
        seeks = int(parameters.get("seek_count") or FIRST_SEEKS)
        size = str(parameters["size_mb"]) + ("" if seeks == FIRST_SEEKS else f":8192:{seeks}")
        command = ["bonnie++", "-d", parameters["folder"], "-s", size, "-r", str(ram_mb)]
        if parameters["skip_per_character"]:
            command.append("-f")
        # -m: otherwise the container's host name would stand in the output.
        return {**parameters, "command": [*command, "-b", "-n", "0", "-u", "root", "-q", "-m", "rtlab"]}

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        result = bonnie.parse(raw.stdout)
        wanted = int(parameters["size_mb"]) * MIB
        if result.file_size_bytes != wanted:
            raise ParseError(f"Bonnie++ used a file of {result.file_size_bytes} bytes, not of {wanted}.")
        label = "" if parameters["size_mb"] == _PAPER_MB else f"file of {parameters['size_mb']} MiB, not 2 GB"
        values: tuple[tuple[str, Rate, float | None], ...] = (
            ("put_block_bytes_per_s", result.put_block, result.put_block.value),
            ("put_block_cpu_percent", result.put_block, result.put_block.cpu_percent),
            ("get_block_bytes_per_s", result.get_block, result.get_block.value),
            ("get_block_cpu_percent", result.get_block, result.get_block.cpu_percent),
            ("seeks_per_s", result.seeks, result.seeks.value),
        )
        units = {metric.name: metric.unit for metric in self.metrics}
        found = []
        for name, rate, value in values:
            note = "too fast to tell" if rate.censored else (rate.fault or "not taken") if value is None else label
            found.append(Observation(trial=raw.record.trial, metric=name, value=value, unit=units[name], note=note))
        return tuple(found)


EXPERIMENT = Io()
