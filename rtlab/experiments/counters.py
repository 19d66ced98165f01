"""The counters of tables III, IV and V in what the probe read (psutil and /proc/meminfo). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rtlab.errors import ParseError
from rtlab.model import Json, Metric, Observation, RawOutput

T = TypeVar("T")


def section(probe: Mapping[str, Json], *path: str) -> Any:
    """A value deep in the probe's document.

    Raises:
        ParseError: it is not there.
    """
    value: Any = probe
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise ParseError(f"The probe's document has no {'.'.join(path)}.")
        value = value[key]
    return value


def number(probe: Mapping[str, Json], *path: str) -> float:
    """A number deep in the probe's document (ParseError when it is none, or not finite)."""
    value = section(probe, *path)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) > 1e18:
        raise ParseError(f"The probe's {'.'.join(path)} is no number: {str(value)[:40]!r}.")
    return float(value)


def observations(
    raw: RawOutput, metrics: tuple[Metric, ...], reader: Callable[[Metric], float | None], note: str = ""
) -> tuple[Observation, ...]:
    """One observation per metric, by a function from metric to value.

    A metric whose counter is at fault has no value, and its note says why: iowait and idle really go backwards on
    some kernels, and that says nothing against what was read independently of them.

    Raises:
        ParseError: the primary metric is at fault, or nothing at all could be read.
    """
    found = []
    faults: list[ParseError] = []
    for metric in metrics:
        value, said = None, "not taken"
        try:
            value = reader(metric)
        except ParseError as error:
            if metric.primary:
                raise
            faults.append(error)
            said = error.message
        found.append(
            Observation(
                trial=raw.record.trial,
                metric=metric.name,
                value=value,
                unit=metric.unit,
                note=note if value is not None else said,
            )
        )
    if faults and all(o.value is None for o in found):
        raise faults[0]
    return tuple(found)


def since_boot(raw: RawOutput, parameters: Mapping[str, Json]) -> bool:
    """Whether the counters count from boot (paper's design) rather than over a window."""
    return bool(parameters.get("uptime_s"))


def change(raw: RawOutput, parameters: Mapping[str, Json], *path: str) -> float:
    """A cumulative counter: its change over the window, or its value since boot.

    Raises:
        ParseError: it is missing, or went backwards (the machine rebooted in between).
    """
    after = number(raw.probe, "measured", "after", *path)
    if since_boot(raw, parameters):
        return after
    difference = after - number(raw.probe, "measured", "before", *path)
    if difference < 0:
        raise ParseError(f"The counter {'.'.join(path)} went backwards by {-difference:g} in the window.")
    return difference


def window_note(raw: RawOutput, parameters: Mapping[str, Json]) -> str:
    """What the counters of this trial cover, in words."""
    if since_boot(raw, parameters):
        return f"since boot, read at {number(raw.probe, 'measured', 'after', 'at_uptime_s'):.0f} s of uptime"
    return f"change over {number(raw.probe, 'measured', 'window_s'):.0f} s from the container's start"
