"""network (Table V): the machine's network counters around one page, then request-response time and transfer.

The peer is native and local: a server of the probe's on the bridge's own address, so that nothing leaves the machine;
an external page is fetched only when `url` names one. Counters are system-wide, as the paper prints them: the sum over
the interfaces that exist when they are read, loopback and virtual ones included. From the local mirror the page is
therefore counted as *sent* (by the bridge, towards the container), not as received; and the container that fetched it
is removed before the second reading, so that its own interface is gone from the sum with all that it had counted. The
metric on which a verdict is given is the time from one small request's arrival at the native peer to the next one's,
over one kept connection: a whole request and response, on the machine's one clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rtlab.config.setting import setting
from rtlab.errors import ParseError
from rtlab.experiments import counters
from rtlab.experiments.contract import Declared
from rtlab.experiments.settings import Limited, Window
from rtlab.model import (
    Json,
    Metric,
    Observation,
    RawOutput,
)
from rtlab.units import MIB


@dataclass(frozen=True, kw_only=True)
class Settings(Limited, Window):
    """See ``rtlab.config.setting``."""

    url: str = setting("", "the page to fetch; empty: the local mirror")
    page_bytes: int = setting(
        1_200_000, "size of the mirror's page: about what the paper's counters received", low=1, high=1 << 30
    )
    requests: int = setting(200, "small requests, in a row", paper=0, low=0, high=100_000)
    big_bytes: int = setting(64 * MIB, "size of the one transfer", paper=0, low=0, high=1 << 34)


@dataclass(frozen=True, slots=True)
class Network(Declared):
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "network"
    title: str = "Network"
    summary: str = "System-wide network counters around one page; request time and transfer rate to a native peer."
    order: int = 4
    settings: type[Settings] = Settings
    # What curl is told to write: status and bytes, and of the first line what is left of it.
    prints: re.Pattern[str] = re.compile(r"(?:\d{0,3} )?\d{1,20}")
    metrics: tuple[Metric, ...] = (
        Metric(
            name="request_s",
            title="request and response",
            label="HTTP round trip",
            unit="s",
            display_unit="ms",
            better="lower",
            primary=True,
        ),
        Metric(
            name="transfer_bytes_per_s",
            title="transfer to the container",
            unit="B/s",
            display_unit="MiB/s",
            better="higher",
        ),
        Metric(name="bytes_sent", title="system, bytes sent", unit="B", paper=("V", "bytes_sent"), positive=False),
        Metric(name="bytes_recv", title="system, bytes received", unit="B", paper=("V", "bytes_recv"), positive=False),
        Metric(
            name="packets_sent", title="system, packets sent", unit="1", paper=("V", "packets_sent"), positive=False
        ),
        Metric(
            name="packets_recv", title="system, packets received", unit="1", paper=("V", "packets_recv"), positive=False
        ),
    )

    def contradictions(self, settings: Settings) -> tuple[str, ...]:
        found = []
        url = settings.url
        if url and (not url.startswith(("http://", "https://")) or any(c in url for c in '"\\\n\r ')):
            found.append(f"url = {url!r}: an http:// or https:// address is allowed, or nothing")
        if settings.requests == 1:
            found.append("requests = 1: times between requests need two or more; or 0 for none")
        return tuple(found)

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        return float(parameters["uptime_s"] or parameters["window_s"]) + 5.0 + 0.005 * float(parameters["requests"])

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        def value(metric: Metric) -> float | None:
            if metric.paper is not None:
                return counters.change(raw, parameters, "network", metric.paper[1])
            if metric.name == "request_s":
                if not parameters["requests"]:
                    return None
                return counters.number(raw.probe, "measured", "latency", "median_ns") * 1e-9
            if not parameters["big_bytes"]:
                return None
            elapsed_s = counters.number(raw.probe, "measured", "transfer", "elapsed_ns") * 1e-9
            if elapsed_s <= 0:
                raise ParseError(f"The probe's measured.transfer took {elapsed_s:g} s.")
            return counters.number(raw.probe, "measured", "transfer", "bytes") / elapsed_s

        return counters.observations(raw, self.metrics, value, counters.window_note(raw, parameters))


EXPERIMENT = Network()
