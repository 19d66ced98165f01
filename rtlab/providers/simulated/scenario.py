"""A scenario: the truth of a simulated testbed, and the values drawn from it. Pure.

Every value depends only on the scenario, the campaign's seed, the trial and the attempt, never on what was drawn
before; so an interrupted and resumed campaign has the values of an undisturbed one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal, get_args

from rtlab import plugins
from rtlab.errors import ConfigError

Shape = Literal["normal", "heavy tails", "two modes"]


@cache
def truths() -> Mapping[str, Mapping[str, float]]:
    """Experiment -> metric -> what the baseline measures where a scenario says nothing else, in its base unit."""
    found = {name: plugins.simulation(name) for name in plugins.names("experiments")}
    return {name: module.TRUTH for name, module in found.items() if module is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which attempt at which trial: all that a drawn value depends on beside the scenario and the seed."""

    seed: int
    number: int
    machine: str
    runtime: str
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The truth. Factors of time are factors of slowness: a time is multiplied, a rate divided.

    Attributes:
        summary: What it shows, one sentence.
        machines: How many.
        noise: Runtime -> SD of a trial's log values; ``default`` for the others.
        shape: How the noise is distributed; its SD stays the same.
        machine_effect: Factor of every machine but the first.
        step_factor, step_after: From this trial number on the host is slower by the factor (0: no step).
        drift_factor: What the host has become slower by after 100 trials, evenly in logarithms.
        failures: Runtime -> probability that a trial fails.
        slow_reboots: Probability that a reboot takes ``slow_reboot_s`` (a time limit below it makes it fail).
        ratios: Runtime -> experiment or ``experiment.metric`` -> true ratio to the baseline's value.
        baseline: Experiment -> metric -> the baseline's value; replaces the experiment's own.
    """

    summary: str
    machines: int = 2
    noise: Mapping[str, float] = field(default_factory=lambda: {"default": 0.04})
    shape: Shape = "normal"
    machine_effect: float = 1.0
    step_factor: float = 1.0
    step_after: int = 0
    drift_factor: float = 1.0
    failures: Mapping[str, float] = field(default_factory=dict)
    slow_reboots: float = 0.0
    slow_reboot_s: float = 300.0
    ratios: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    baseline: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def truth(self, experiment: str, metric: str, runtime: str) -> float:
        """The true ratio of the runtime to the baseline on that metric."""
        given = self.ratios.get(runtime, {})
        return given.get(f"{experiment}.{metric}", given.get(experiment, 1.0))

    def value(self, place: Place, experiment: str, metric: str) -> float:
        """What that trial measures, in the metric's base unit."""
        base = self.baseline.get(experiment, {}).get(metric, truths()[experiment][metric])
        noise = self.noise.get(place.runtime, self.noise.get("default", 0.04))
        log = noise * self.standard(place, f"{experiment}.{metric}")
        slowness = math.log(self.slowness(place))
        # Where more is better, a slower machine has less.
        log += -slowness if is_rate(experiment, metric) else slowness
        return base * self.truth(experiment, metric, place.runtime) * math.exp(log)

    def slowness(self, place: Place) -> float:
        """Factor by which machine and moment are slow, whatever runs."""
        factor = self.machine_effect if place.machine != "node1" else 1.0
        if self.step_after and place.number > self.step_after:
            factor *= self.step_factor
        return float(factor * self.drift_factor ** (place.number / 100))

    def fails(self, place: Place) -> bool:
        """Whether that attempt fails."""
        return generator(place, "failure").random() < self.failures.get(place.runtime, 0.0)

    def standard(self, place: Place, what: str) -> float:
        """A draw with mean 0 and SD 1 in the scenario's shape."""
        rng = generator(place, what)
        if self.shape == "heavy tails":  # t with 3 degrees of freedom, whose variance is 3
            chi_square = sum(rng.gauss(0, 1) ** 2 for _ in range(3))
            return rng.gauss(0, 1) / math.sqrt(chi_square / 3) / math.sqrt(3)
        if self.shape == "two modes":  # 0.81 of the variance between the modes
            return (0.9 if rng.random() < 0.5 else -0.9) + math.sqrt(0.19) * rng.gauss(0, 1)
        return rng.gauss(0, 1)


@cache
def is_rate(experiment: str, metric: str) -> bool:
    return any(m.name == metric and m.better == "higher" for m in plugins.experiment(experiment).metrics)


def generator(place: Place, what: str) -> random.Random:
    """Randomness that belongs to this place and purpose alone (seeding with text is the same in every Python)."""
    return random.Random(f"{place.seed}/{place.number}/{place.machine}/{place.runtime}/{place.attempt}/{what}")


# --------------------------------------------------------------------------- from TOML

_FACTORS = ("machine_effect", "step_factor", "drift_factor")
_PROBABILITIES = ("slow_reboots",)


def parse(data: Mapping[str, Any], where: str) -> Scenario:
    """A scenario from parsed TOML.

    Raises:
        ConfigError: names the key and what is allowed.
    """
    known = {f.name for f in fields(Scenario)}
    for key in data:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r:.60}.", remedy=f"Allowed: {', '.join(sorted(known))}.")
    if not isinstance(data.get("summary"), str):
        raise ConfigError(f"{where}: summary must say in one sentence what the scenario shows.")
    if data.get("shape", "normal") not in get_args(Shape):
        raise ConfigError(f"{where}: shape = {data['shape']!r:.60}.", remedy=f"Allowed: {', '.join(get_args(Shape))}.")
    for key in ("machines", "step_after"):
        value = data.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not (key == "machines") <= value <= 10**6:
            raise ConfigError(f"{where}: {key} = {value!r:.60}: a whole number is allowed.")
    for key in _FACTORS:
        _number(f"{where}: {key}", data.get(key, 1.0), above=0)
    for key in _PROBABILITIES:
        _number(f"{where}: {key}", data.get(key, 0.0), low=0, high=1)
    _number(f"{where}: slow_reboot_s", data.get("slow_reboot_s", 0.0), low=0)
    for runtime, sd in _table(where, data, "noise").items():
        _number(f"{where}: noise.{runtime}", sd, low=0)
    for runtime, probability in _table(where, data, "failures").items():
        _number(f"{where}: failures.{runtime}", probability, low=0, high=1)
    names = {f"{e}.{m}" for e, metrics in truths().items() for m in metrics} | set(truths())
    for runtime in _table(where, data, "ratios"):
        for name, ratio in _table(f"{where}: ratios", data["ratios"], runtime).items():
            if name not in names:
                raise ConfigError(f"{where}: ratios.{runtime}: no experiment or metric is called {name!r:.60}.")
            _number(f"{where}: ratios.{runtime}.{name}", ratio, above=0)
    for experiment in _table(where, data, "baseline"):
        for metric, value in _table(f"{where}: baseline", data["baseline"], experiment).items():
            if f"{experiment}.{metric}" not in names:
                raise ConfigError(f"{where}: baseline.{experiment}: no metric is called {metric!r:.60}.")
            _number(f"{where}: baseline.{experiment}.{metric}", value, above=0)
    return Scenario(**data)


def _table(where: str, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {key} must be a table, not {value!r:.60}.")
    return value


def _number(what: str, value: Any, *, low: float = -math.inf, high: float = math.inf, above: float = -math.inf) -> None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not low <= value <= high or not value > above:
        allowed = f"more than {above:g}" if above > -math.inf else f"{low:g} to {high:g}"
        raise ConfigError(f"{what} = {value!r:.60}: a number is allowed, {allowed}.")
