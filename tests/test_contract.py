"""What every experiment that is found must keep: its simulated half and its machine's half answer what it parses."""

from __future__ import annotations

import importlib
import json
import shutil
import stat
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from rtlab import plugins
from rtlab.config.setting import typed
from rtlab.model import Observation, PlaceInBoot, RawOutput
from rtlab.providers.simulated.documents import Drawn
from rtlab.providers.simulated.scenario import Place, Scenario
from rtlab.units import to_base
from tests import processes
from tests.conftest import make_record, make_spec, make_testbed, make_trial

NAMES = plugins.names("experiments")
PLACE = Place(seed=1, number=1, machine="node1", runtime="runc")
# So that each takes a second or two; a setting that an experiment does not have is left out.
SMALL: dict[str, Any] = {
    "window_s": 1.0,
    "starts": 2,
    "cli_starts": 1,
    "null_starts": 1,
    "size_mb": 16,
    "compute_units": 1,
    "work_mb": 64,
    "containers": [1, 2],
    "settle_s": 0.0,
    "requests": 5,
    "big_bytes": 1 << 20,
    "execs": 20,
    "null_execs": 3,
}
# What Bonnie++ prints of a file of 16 MiB (format 1.98), for machines where it is not installed.
BONNIE = "1.98,2.00,rtlab,1,0,16M,,8192,5,,,256054,97,,,,,2242197,98,14779,50" + "," * 29


def parameters(name: str, **changes: Any) -> dict[str, Any]:
    return {**plugins.experiment(name).defaults("default"), **changes}


def parsed(name: str, document: dict[str, Any], tool: dict[str, Any] | None, given: dict[str, Any]) -> Any:
    """By the experiment's parser, through JSON as it is stored."""
    raw = RawOutput(
        record=make_record(make_trial(experiment=name)),
        stdout=str((tool or {}).get("stdout", "")),
        stderr=str((tool or {}).get("stderr", "")),
        probe=json.loads(json.dumps({"measured": document})),
    )
    return plugins.experiment(name).parse(raw, given)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    experiment = plugins.experiment(name)
    assert (experiment.name, experiment.title[:1].isupper(), experiment.summary[-1:]) == (name, True, ".")
    assert type(experiment).__module__ == f"rtlab.experiments.{name}.experiment", "a folder of its own name"
    assert is_dataclass(experiment.settings) and fields(experiment.settings)
    assert experiment.place in get_args(PlaceInBoot)
    names = [m.name for m in experiment.metrics]
    assert len(set(names)) == len(names) and [m.primary for m in experiment.metrics].count(True) == 1
    for metric in experiment.metrics:
        assert to_base(1, metric.shown_unit) > 0
    for shown in (experiment.curves, experiment.meters):
        assert shown is None or set(shown.metrics) <= set(names)


def test_orders_are_different() -> None:
    orders = [plugins.experiment(name).order for name in NAMES]
    assert sorted(set(orders)) == orders


@pytest.mark.parametrize("name", NAMES)
def test_what_is_simulated_gives_every_metric_and_the_scenarios_truth(name: str) -> None:
    half = plugins.simulation(name)
    assert half is not None, f"rtlab/experiments/{name}/simulate.py"
    experiment = plugins.experiment(name)
    assert set(half.TRUTH) == {m.name for m in experiment.metrics}
    given = parameters(name, **{key: 16 for key in ("size_mb",) if key in parameters(name)})
    draw = Drawn(Scenario(summary="x.", noise={"default": 0.0}), PLACE, name)
    simulated = half.simulate(draw, typed(experiment.settings, given))
    found: tuple[Observation, ...] = parsed(name, dict(simulated.measured), dict(simulated.tool or {}), given)
    assert {o.metric for o in found if o.value is not None} == {m.name for m in experiment.metrics}
    (primary,) = (m.name for m in experiment.metrics if m.primary)
    for observation in found:
        if observation.metric == primary:
            assert observation.value == pytest.approx(half.TRUTH[primary], rel=2e-3)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_measured_is_what_it_parses(name: str, tmp_path: Path) -> None:
    """On an engine whose containers are processes: every command runs, apart from Bonnie++, whose line is given."""
    if name == "network" and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    program = tmp_path / "bonnie++"
    program.write_text(f"#!/bin/sh\necho '{BONNIE}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    experiment = plugins.experiment(name)
    given = {**parameters(name), **{key: value for key, value in SMALL.items() if key in parameters(name)}}
    assert experiment.problems(given) == ()
    spec = make_spec(experiments=(name,), parameters={name: given})
    trial = make_trial(experiment=name)
    machine = make_testbed().machines[0]
    asked = experiment.request(trial, spec, machine, plugins.runtime("runc"))
    request = {
        "runtime": {"name": "runc", "docker_name": "runc", "proof": "runc"},
        "images": {"httpd": "httpd", "tools": "tools"},
        "labels": {},
        "parameters": json.loads(json.dumps(asked)),
        "engine": {"name": "docker", "socket": "", "cli": ""},
        "timeout_s": 100.0,
    }
    measure = importlib.import_module(f"rtlab.experiments.{name}.measure").measure
    with processes.trial(tmp_path, request) as made:
        measured = measure(made)
        assert not made.containers and not made.engine.containers, "it removes its containers itself"
    assert made.proved, "it proves the runtime by a container of its own"
    found: tuple[Observation, ...] = parsed(name, measured, made.tool, given)
    assert {o.metric for o in found} == {m.name for m in experiment.metrics}
    (primary,) = (m.name for m in experiment.metrics if m.primary)
    values = [o.value for o in found if o.metric == primary]
    assert values and all(value is not None and value > 0 for value in values)
