"""What several experiments' simulated halves share: the document of the machine's counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.settings import Window
from rtlab.model import Json

NS = 1_000_000_000
# The paper's counters count from boot and were read at about this uptime; a window takes its share of them.
PAPER_UPTIME_S = 380.0


def share(settings: Window) -> float:
    """The share of the since-boot counters that the trial sees."""
    return 1.0 if settings.uptime_s else settings.window_s / PAPER_UPTIME_S


def counted(section: str, values: Mapping[str, float], settings: Window) -> dict[str, Json]:
    """Counters before and after: 0 before, so that change and since-boot are the same value."""
    seconds = settings.uptime_s or settings.window_s
    return {
        "before": {section: dict.fromkeys(values, 0.0), "at_uptime_s": 100.0},
        "after": {section: dict(values), "at_uptime_s": seconds if settings.uptime_s else 100.0 + seconds},
        "window_s": seconds,
    }
