"""Settings of experiments: what is refused, and that the document's tables are the code's."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins
from rtlab.experiments.parameters import Parameter, Parameters

DOCUMENT = Path(__file__).parent.parent / "docs" / "experiments.md"
NAMES = plugins.names("experiments")


def declared(name: str) -> Parameters:
    found: Parameters = importlib.import_module(f"rtlab.experiments.{name}.experiment")._PARAMETERS
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_table_is_the_codes(name: str) -> None:
    (table,) = re.findall(rf"<!-- settings of {name} -->\n(.*?)<!-- end -->", DOCUMENT.read_text(), re.S)
    assert table == declared(name).table(), f"put this into docs/experiments.md:\n{declared(name).table()}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("design", ["default", "paper"])
def test_the_defaults_are_allowed(name: str, design: Any) -> None:
    experiment = plugins.experiment(name)
    assert experiment.problems(experiment.defaults(design)) == ()
    assert experiment.duration_s(experiment.defaults(design)) > 0


COUNT = Parameter(key="n", default=5, paper=7, minimum=1, maximum=10, about="a count")
SECONDS = Parameter(key="s", default=1.0, minimum=0, about="seconds")
SWITCH = Parameter(key="b", default=True, about="a switch")
TEXT = Parameter(key="t", default="x", about="a text")
STEPS = Parameter(key="l", default=[1, 2], paper=[], minimum=1, about="steps")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(COUNT, 1), (COUNT, 10), (SECONDS, 0), (SECONDS, 2.5), (SWITCH, False), (TEXT, ""), (STEPS, [3]), (STEPS, [])],
)
def test_what_is_allowed_is_no_problem(parameter: Parameter, value: Any) -> None:
    assert parameter.problem(value) == ""


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (COUNT, 0),
        (COUNT, 11),
        (COUNT, 2.5),
        (COUNT, "5"),
        (COUNT, True),
        (COUNT, None),
        (COUNT, [5]),
        (SECONDS, -1),
        (SECONDS, "1"),
        (SECONDS, float("nan")),
        (SECONDS, float("inf")),
        (SECONDS, False),
        (SWITCH, 1),
        (SWITCH, "true"),
        (TEXT, 5),
        (STEPS, 5),
        (STEPS, [0]),
        (STEPS, [1, "2"]),
        (STEPS, [1, True]),
    ],
)
def test_anything_else_is_refused_with_the_key_and_what_is_allowed(parameter: Parameter, value: Any) -> None:
    problem = parameter.problem(value)
    assert problem.startswith(f"{parameter.key} = ")
    assert "allowed" in problem


def test_an_unknown_key_is_refused_and_the_known_ones_named() -> None:
    (problem,) = Parameters((COUNT, TEXT)).problems({"m": 1, "n": 5})
    assert "m is not a parameter" in problem and "n, t" in problem


def test_the_papers_design_has_its_own_defaults_where_they_differ() -> None:
    assert Parameters((COUNT, STEPS, TEXT)).defaults("paper") == {"n": 7, "l": [], "t": "x"}
    assert Parameters((COUNT, STEPS, TEXT)).defaults("default") == {"n": 5, "l": [1, 2], "t": "x"}
