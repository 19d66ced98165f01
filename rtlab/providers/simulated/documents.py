"""What a simulated machine's probe answers: the documents of probe/README.md, filled with drawn values. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from rtlab.errors import UsageError
from rtlab.experiments.cpu import experiment as cpu
from rtlab.model import Json
from rtlab.providers.simulated.scenario import Place, Scenario, generator

SCHEMA = 1
NS = 1_000_000_000
# The paper's counters count from boot and were read at about this uptime; a window takes its share of them.
PAPER_UPTIME_S = 380.0
# Starts within one trial scatter by this share of the runtime's noise between trials.
WITHIN = 0.25

Draw = Callable[[str], float]


def answer(scenario: Scenario, request: Mapping[str, Json], *, machine: str, boot_id: str) -> dict[str, Json]:
    """The answer to one request of the controller.

    Raises:
        ValueError: the verb or the experiment is not known.
    """
    verb = request.get("verb")
    common = {"schema": SCHEMA, "probe": "simulated", "boot_id": boot_id, "outcome": "ok", "reason": ""}
    if verb == "facts":
        return common | _facts(scenario, request)
    if verb == "ready":
        return common | {"missing": [], "blocking": False}
    if verb == "clean":
        return common | {"removed": []}
    if verb == "prove":
        return common | _trial_parts({})
    if verb == "trial":
        return common | _trial(scenario, request, machine)
    raise ValueError(f"the simulated probe knows no verb {verb!r}")


def _facts(scenario: Scenario, request: Mapping[str, Json]) -> dict[str, Json]:
    """Facts of a machine that does not exist: enough for every check, and nothing that could be taken for real."""
    return {
        "kernel": "simulated",
        "distribution": "simulated: no machine, values drawn from a scenario",
        "scenario": scenario.summary,
        "architecture": "simulated",
        "cpu": {"model": "simulated", "count": 4},
        "memory_total_bytes": 8348545024,
        "disk_free_bytes": 1 << 40,
        "docker": {"version": "simulated"},
        "runtimes": {r["docker_name"]: {"version": "simulated"} for r in request.get("runtimes", ())},
        "images": {},
    }


def _trial_parts(measured: Mapping[str, Json], tool: Json = None) -> dict[str, Json]:
    return {
        "measured": dict(measured),
        "tool": tool,
        "proof": {"ok": True, "objections": [], "evidence": {"simulated": True}},
        "leaks": [],
        "context": {"simulated": True, "new_kernel_messages": []},
        "timeline": [],
    }


def _trial(scenario: Scenario, request: Mapping[str, Json], machine: str) -> dict[str, Json]:
    number = int(str(request["labels"]["rtlab.trial"]).split("-", 1)[0])
    place = Place(seed=int(request.get("seed", 0)), number=number, machine=machine, runtime=request["runtime"]["name"])
    if scenario.fails(place):
        return _trial_parts({}) | {"outcome": "failed", "reason": "the scenario lets this trial fail"}
    experiment = str(request["experiment"])
    if experiment not in ("boot", "io", *_COUNTED):
        raise UsageError(
            f"The simulated provider draws no values for the experiment {experiment!r}.",
            remedy="Leave it out (--experiments names those to run), or give it a function in "
            "rtlab/providers/simulated/documents.py and values in the scenario.",
        )

    def draw(metric: str) -> float:
        return scenario.value(place, experiment, metric)

    parameters: Mapping[str, Any] = request["parameters"]
    if experiment == "io":
        size = int(parameters["size_mb"]) << 20
        seconds = size / draw("put_block_bytes_per_s") + size / draw("get_block_bytes_per_s") + 1.0
        return _trial_parts({"elapsed_ns": round(seconds * NS)}, _bonnie(draw, parameters))
    if experiment == "boot":
        return _trial_parts(_boot(scenario, place, draw, parameters))
    return _trial_parts(_COUNTED[experiment](draw, parameters))


def _boot(scenario: Scenario, place: Place, draw: Draw, parameters: Mapping[str, Any]) -> dict[str, Json]:
    noise = WITHIN * scenario.noise.get(place.runtime, scenario.noise.get("default", 0.04))

    def starts(count: int, phases: Mapping[str, str], what: str) -> list[dict[str, int]]:
        middle = {phase: draw(metric) for phase, metric in phases.items()}
        found = []
        for index in range(count):
            jitter = math.exp(noise * generator(place, f"{what} {index}").gauss(0, 1))
            found.append({phase: round(value * jitter * NS) for phase, value in middle.items()})
        return found

    phases = {f"{p}_ns": f"{p}_s" for p in ("created", "started", "first_page", "stop", "remove")}
    socket = starts(int(parameters["starts"]), phases, "socket")
    if socket:
        socket[0]["first_page_ns"] = round(draw("cold_first_page_s") * NS)
    cli = starts(
        int(parameters["cli_starts"]),
        {"returned_ns": "cli_returned_s", "first_page_ns": "cli_first_page_s" if socket else "first_page_s"},
        "cli",
    )
    return {
        "socket": socket,
        "cli": cli,
        "null": starts(int(parameters["null_starts"]), {"calls_ns": "null_s"}, "null"),
    }


def _bonnie(draw: Draw, parameters: Mapping[str, Any]) -> dict[str, Json]:
    """The line of Bonnie++ 2.00 (format 1.98), as rtlab.experiments.io.bonnie reads it."""
    values = [""] * 50
    values[0:6] = ["1.98", "simulated", "rtlab", "1", "0", f"{parameters['size_mb']}M"]
    values[7] = str(parameters.get("seek_count") or 8192)
    for index, rate, percent in (
        (11, draw("put_block_bytes_per_s") / 1024, draw("put_block_cpu_percent")),
        (17, draw("get_block_bytes_per_s") / 1024, draw("get_block_cpu_percent")),
    ):
        values[index], values[index + 1] = f"{rate:.0f}", f"{percent:.0f}"
    values[19], values[20] = f"{draw('seeks_per_s'):.1f}", "50"
    return {"argv": ["bonnie++"], "exit_status": 0, "stdout": ",".join(values) + "\n", "stderr": ""}


def _window(parameters: Mapping[str, Any]) -> tuple[float, float]:
    """(share of the since-boot counters that the trial sees, seconds)."""
    if parameters.get("uptime_s"):
        return 1.0, float(parameters["uptime_s"])
    seconds = float(parameters["window_s"])
    return seconds / PAPER_UPTIME_S, seconds


def _counted(section: str, values: Mapping[str, float], parameters: Mapping[str, Any]) -> dict[str, Json]:
    """Counters before and after: 0 before, so that change and since-boot are the same value."""
    _, seconds = _window(parameters)
    return {
        "before": {section: dict.fromkeys(values, 0.0), "at_uptime_s": 100.0},
        "after": {section: dict(values), "at_uptime_s": seconds if parameters.get("uptime_s") else 100.0 + seconds},
        "window_s": seconds,
    }


def _cpu(draw: Draw, parameters: Mapping[str, Any]) -> dict[str, Json]:
    share, _ = _window(parameters)
    times = {name: share * draw(f"{name}_s") for name in ("user", "nice", "system", "idle", "iowait")}
    container = {"startup_cpu_s": draw("startup_cpu_s"), "engine_cpu_s": draw("engine_cpu_s")}
    units = int(parameters.get("compute_units", 0))
    printed = f"{cpu.NUMBER}: {cpu.FACTORS[0]} {cpu.FACTORS[1]}\n" * units
    found: dict[str, Json] = {"work": container | {"cpu_s": draw("work_cpu_s") * int(parameters["work_mb"]) / 512}}
    if units:
        found["compute"] = container | {"cpu_s": draw("compute_cpu_s") * units / 4, "stdout": printed[-4000:]}
    return _counted("cpu_times_s", times, parameters) | found


def _memory(draw: Draw, parameters: Mapping[str, Any]) -> dict[str, Json]:
    names = ("total", "free", "active", "buffers", "cached")
    document = _counted("memory_bytes", {n: round(draw(f"{n}_bytes")) for n in names}, parameters)
    document["after"]["memory_used_by_the_paper_bytes"] = round(draw("used_bytes"))
    fixed = draw("fixed_pss_bytes")
    slopes = {
        "pss_bytes": draw("container_pss_bytes"),
        "cgroup_bytes": draw("container_cgroup_bytes"),
        "available_fall_bytes": draw("container_available_bytes"),
    }
    steps = [
        {"containers": n} | {key: round(fixed * (key == "pss_bytes") + n * slope) for key, slope in slopes.items()}
        for n in parameters["containers"]
    ]
    return document | {"density": {"ksm": "0", "steps": steps}}


def _network(draw: Draw, parameters: Mapping[str, Any]) -> dict[str, Json]:
    names = ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv")
    size = int(parameters["big_bytes"])
    return _counted("network", {n: round(draw(n)) for n in names}, parameters) | {
        "latency": {"median_ns": round(draw("request_s") * NS), "requests": int(parameters["requests"])},
        "transfer": {"bytes": size, "elapsed_ns": round(size / draw("transfer_bytes_per_s") * NS)},
    }


_COUNTED: Mapping[str, Callable[[Draw, Mapping[str, Any]], dict[str, Json]]] = {
    "cpu": _cpu,
    "memory": _memory,
    "network": _network,
}
