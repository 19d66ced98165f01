"""What a simulated machine measures of the network. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.contract import Draw, Simulated
from rtlab.experiments.network.experiment import Settings
from rtlab.experiments.simulation import NS, counted

# The system's counters are the paper's for runC (Table V); the others are of the order that a laptop shows.
TRUTH: Mapping[str, float] = {
    "request_s": 0.0001,
    "transfer_bytes_per_s": 1e9,
    "bytes_sent": 62076.0,
    "bytes_recv": 1273228.0,
    "packets_sent": 766.0,
    "packets_recv": 857.0,
}
_READ = ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv")


def simulate(draw: Draw, settings: Settings) -> Simulated:
    size = settings.big_bytes
    counters = counted("network", {n: round(draw(n)) for n in _READ}, settings)
    return Simulated(
        counters
        | {
            "latency": {"median_ns": round(draw("request_s") * NS), "requests": settings.requests},
            "transfer": {"bytes": size, "elapsed_ns": round(size / draw("transfer_bytes_per_s") * NS)},
        }
    )
