"""boot (Table I): the time until a container serves its page.

Default design: through the engine's socket, phase by phase, on the machine's own clock: request, created, started,
first page (HTTP 200 with the right body), stopped, removed; the first start of a trial (cold) apart from later
ones. The same through the docker command line, and a null driver that makes no container, whose time is the harness's
own. Paper's design: 15 starts by `docker run -d` after one boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtlab.config.setting import setting
from rtlab.errors import ParseError
from rtlab.experiments.contract import Declared
from rtlab.experiments.counters import section
from rtlab.experiments.settings import Limited, Page
from rtlab.model import (
    Curves,
    Json,
    Metric,
    Observation,
    RawOutput,
)


@dataclass(frozen=True, kw_only=True)
class Settings(Limited, Page):
    """See ``rtlab.config.setting``."""

    starts: int = setting(5, "starts through the socket", paper=0, low=0, high=1000)
    cli_starts: int = setting(2, "starts by docker run -d", paper=15, low=0, high=1000)
    null_starts: int = setting(5, "rounds of the null driver", low=0, high=1000)


_NS = 1e-9
# Metric -> (list of starts, phase), both as the probe names them.
_SOURCES = {
    "first_page_s": ("socket", "first_page_ns"),
    "cold_first_page_s": ("socket", "first_page_ns"),
    "created_s": ("socket", "created_ns"),
    "started_s": ("socket", "started_ns"),
    "stop_s": ("socket", "stop_ns"),
    "remove_s": ("socket", "remove_ns"),
    "cli_returned_s": ("cli", "returned_ns"),
    "cli_first_page_s": ("cli", "first_page_ns"),
    "null_s": ("null", "calls_ns"),
}
# List of starts -> the parameter that says how many there must be.
_COUNTS = {"socket": "starts", "cli": "cli_starts", "null": "null_starts"}


_CURVES = Curves(
    title="Start times of all containers: the share that served its page by then",
    axis="time until the first page (s)",
    what="start",
    metrics={"first_page_s": False, "cold_first_page_s": True},
)


@dataclass(frozen=True, slots=True)
class Boot(Declared):
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "boot"
    title: str = "Container boot"
    summary: str = "Time from the request until the container's page is served."
    order: int = 2
    settings: type[Settings] = Settings
    curves: Curves = _CURVES
    metrics: tuple[Metric, ...] = (
        Metric(
            name="first_page_s",
            title="first page, warm",
            label="Start to web page",
            unit="s",
            better="lower",
            primary=True,
            paper=("I", "average_time"),
        ),
        Metric(name="cold_first_page_s", title="first page, first start of the trial", unit="s", better="lower"),
        Metric(name="created_s", title="created", unit="s", better="lower"),
        Metric(name="started_s", title="started", unit="s", better="lower"),
        Metric(name="stop_s", title="stop", unit="s", better="lower"),
        Metric(name="remove_s", title="remove", unit="s", better="lower"),
        Metric(name="cli_returned_s", title="docker run -d returned", unit="s", better="lower"),
        Metric(name="cli_first_page_s", title="first page, by docker run -d", unit="s", better="lower"),
        Metric(name="null_s", title="the harness's own calls", unit="s", better="lower"),
    )

    def contradictions(self, settings: Settings) -> tuple[str, ...]:
        if settings.starts == 1:
            return ("starts = 1: the first start of a trial is cold and counted apart; use 2 or more, or 0",)
        if not settings.starts and not settings.cli_starts:
            return ("starts = 0 and cli_starts = 0: nothing would be measured; set one of them",)
        return ()

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        return 2.5 * float(parameters["starts"] + parameters["cli_starts"])

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        found: list[Observation] = []
        for metric in self.metrics:
            driver, phase = self._source(metric, parameters)
            try:
                values = _phases(raw, driver, phase, int(parameters[_COUNTS[driver]]))
            except ParseError as error:
                # Another phase, or another way to start, says nothing against the primary metric's own times.
                if metric.primary:
                    raise
                found.append(
                    Observation(trial=raw.record.trial, metric=metric.name, value=None, unit="s", note=error.message)
                )
                continue
            # In the default design the first start of a trial is cold: its own metric, never pooled.
            cold_apart = driver == "socket" and metric.name in ("first_page_s", "cold_first_page_s")
            if cold_apart:
                values = values[:1] if metric.name == "cold_first_page_s" else values[1:]
            found += [
                Observation(trial=raw.record.trial, metric=metric.name, value=value, unit="s", index=index)
                for index, value in enumerate(values)
            ]
        return tuple(found)

    @staticmethod
    def _source(metric: Metric, parameters: Mapping[str, Json]) -> tuple[str, str]:
        """The paper's 15 starts go through the command line, so there its first page is that of `docker run`."""
        driver, phase = _SOURCES[metric.name]
        if metric.name == "first_page_s" and not parameters.get("starts"):
            return "cli", phase
        return driver, phase


def _phases(raw: RawOutput, driver: str, phase: str, count: int) -> list[float]:
    starts = section(raw.probe, "measured", driver)
    if not isinstance(starts, list):
        raise ParseError(f"The probe's measured.{driver} is no list of starts.")
    if len(starts) != count:
        raise ParseError(f"The probe measured {len(starts)} starts through {driver} instead of {count}.")
    values = []
    for start in starts:
        nanoseconds = start.get(phase) if isinstance(start, dict) else None
        if isinstance(nanoseconds, bool) or not isinstance(nanoseconds, int) or nanoseconds <= 0:
            raise ParseError(f"A start through {driver} has no {phase}: {str(start)[:80]}")
        values.append(nanoseconds * _NS)
    return values


EXPERIMENT = Boot()
