"""What two sets of facts about machines differ in: between twins, and between the start of a campaign and its resume.

The facts themselves come from the probe (verb ``facts``, probe/README.md); this module only compares. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Facts that identify one machine or one moment and may differ between twins or readings.
VOLATILE = frozenset(
    {
        "boot_id",
        "booted_at",
        "uptime_s",
        "load",
        "memory_available_bytes",
        "disk_free_bytes",
        "taken_at",
        "hostname",
        "temperature_c",
        "steal_s",
        "psi",
        "ksm_pages_sharing",
        "entropy_available",
        "schema",
        "outcome",
        "reason",
        "timeline",
        "engine_id",
        "network_interfaces",
        "cpu_mhz",
    }
)
# Twins may differ by this share in memory size: firmware and kernel reserve slightly different amounts.
MEMORY_TOLERANCE = 0.005


def flatten(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested facts as ``section.key`` -> value, without the volatile ones."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if key in VOLATILE:
            continue
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def changes(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> tuple[str, ...]:
    """What changed in one machine, one line per fact."""
    return _differences(flatten(earlier), flatten(later), "was", "is now")


def twin_differences(machines: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """What differs between machines that should be twins, one line per fact; empty for one machine."""
    names = list(machines)
    lines: list[str] = []
    for other in names[1:]:
        first, second = flatten(machines[names[0]]), flatten(machines[other])
        lines += _differences(first, second, f"on {names[0]}", f"on {other}")
    return tuple(lines)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], word_a: str, word_b: str) -> tuple[str, ...]:
    lines = []
    for key in sorted(set(a) | set(b)):
        x, y = a.get(key), b.get(key)
        if x == y or (key.endswith("memory_total_bytes") and _close(x, y)):
            continue
        lines.append(f"{key}: {word_a} {_short(x)}, {word_b} {_short(y)}")
    return tuple(lines)


def _close(x: Any, y: Any) -> bool:
    numbers = isinstance(x, (int, float)) and isinstance(y, (int, float))
    return numbers and abs(x - y) <= MEMORY_TOLERANCE * max(x, y)


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
