"""What a simulated machine's probe answers: the documents of probe/README.md, filled with drawn values. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rtlab import plugins
from rtlab.config.setting import typed
from rtlab.errors import UsageError
from rtlab.model import Json
from rtlab.providers.simulated.scenario import Place, Scenario, generator

SCHEMA = 1
# Repetitions within one trial scatter by this share of the runtime's noise between trials.
WITHIN = 0.25


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


@dataclass(frozen=True, slots=True)
class Drawn:
    """One trial's values; see ``rtlab.experiments.contract.Draw``."""

    scenario: Scenario
    place: Place
    experiment: str

    def __call__(self, metric: str) -> float:
        return self.scenario.value(self.place, self.experiment, metric)

    def scatter(self, what: str) -> float:
        noise = WITHIN * self.scenario.noise.get(self.place.runtime, self.scenario.noise.get("default", 0.04))
        return math.exp(noise * generator(self.place, what).gauss(0, 1))


def _trial(scenario: Scenario, request: Mapping[str, Json], machine: str) -> dict[str, Json]:
    number = int(str(request["labels"]["rtlab.trial"]).split("-", 1)[0])
    place = Place(seed=int(request.get("seed", 0)), number=number, machine=machine, runtime=request["runtime"]["name"])
    if scenario.fails(place):
        return _trial_parts({}) | {"outcome": "failed", "reason": "the scenario lets this trial fail"}
    name = str(request["experiment"])
    half = plugins.simulation(name)
    if half is None:
        raise UsageError(
            f"The simulated provider draws no values for the experiment {name!r}.",
            remedy="Leave it out (--experiments names those to run), or write its simulate.py (docs/extending.md).",
        )
    settings = typed(plugins.experiment(name).settings, request["parameters"])
    simulated = half.simulate(Drawn(scenario, place, name), settings)
    return _trial_parts(simulated.measured, simulated.tool)
