"""Settings of rtlab.toml and of experiments: what is refused, in which words, and that the documents are the code's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from rtlab import plugins
from rtlab.config import setting as settings
from rtlab.config.setting import again, setting

DOCUMENTS = Path(__file__).parent.parent / "docs" / "experiments"
NAMES = plugins.names("experiments")


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_table_is_the_codes(name: str) -> None:
    table = settings.table(plugins.experiment(name).settings)
    page = DOCUMENTS / f"{name}.md"
    (written,) = re.findall(rf"<!-- settings of {name} -->\n(.*?)<!-- end -->", page.read_text(), re.S)
    assert written == table, f"put this into {page}:\n{table}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("design", ["default", "paper"])
def test_the_defaults_are_allowed(name: str, design: Any) -> None:
    experiment = plugins.experiment(name)
    assert experiment.problems(experiment.defaults(design)) == ()
    assert experiment.duration_s(experiment.defaults(design)) > 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    n: int = setting(5, "a count", paper=7, low=1, high=10)
    s: float = setting(1.0, "seconds", low=0)
    b: bool = setting(True, "a switch", paper=False)
    t: str = setting("x", "a text")
    l: tuple[int, ...] = setting((1, 2), "steps", paper=(), low=1, high=500)  # noqa: E741
    p: float | None = setting(None, "percent", above=0, below=100)
    c: Literal["a", "b"] = setting("a", "a choice")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("n", 1), ("n", 10), ("s", 0), ("s", 2.5), ("b", False), ("t", ""), ("l", [3]), ("l", []), ("l", (1, 500))),
        *(("p", None), ("p", 99.9), ("c", "b")),
    ],
)
def test_what_is_allowed_is_no_problem(key: str, value: Any) -> None:
    assert settings.problem(Sample, key, value) == ""


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        *(
            ("n", value, "a whole number from 1 to 10")
            for value in (0, 11, 10**400, 2.5, "5", True, None, [5], float("nan"))
        ),
        *(("s", value, "a number of at least 0") for value in (-1, "1", float("nan"), float("inf"), -(10**400), False)),
        *(("b", value, "true or false") for value in (1, "true")),
        ("t", 5, "a text in quotes"),
        *(("l", value, "a list of whole numbers from 1 to 500") for value in (5, [0], [1, "2"], [1, True], [1.5])),
        *(("p", value, "a number above 0 and below 100") for value in (0, 100, float("inf"))),
        ("c", "z", 'one of "a", "b"'),
    ],
)
def test_anything_else_is_refused_with_the_key_and_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    problem = settings.problem(Sample, key, value)
    assert problem.startswith(f"{key} = ")
    assert problem.endswith(f": must be {allowed}")


def test_an_unknown_key_is_refused_and_the_known_ones_named() -> None:
    (problem,) = settings.problems(Sample, {"m": 1, "n": 5})
    assert "m is not a parameter" in problem and "n, s, b" in problem


def test_the_papers_design_has_its_own_defaults_where_they_differ() -> None:
    same = {"s": 1.0, "t": "x", "p": None, "c": "a"}
    assert settings.defaults(Sample, "paper") == {"n": 7, "b": False, "l": [], **same}
    assert settings.defaults(Sample) == {"n": 5, "b": True, "l": [1, 2], **same}


def test_values_of_an_older_campaign_are_completed_and_what_is_not_known_is_left_out() -> None:
    assert settings.typed(Sample, {"n": 3, "l": [4], "gone": 1}) == Sample(n=3, l=(4,))


def test_a_setting_of_others_has_other_defaults_and_the_same_limits() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Own(Sample):
        n: int = again(Sample, "n", 9, paper=2)

    assert (Own().n, settings.defaults(Own, "paper")["n"]) == (9, 2)
    assert settings.problem(Own, "n", 11) == "n = 11: must be a whole number from 1 to 10"
    assert list(settings.defaults(Own)) == list(settings.defaults(Sample))


def test_the_table_says_default_limits_and_meaning() -> None:
    assert settings.table(Sample).splitlines()[2] == "| `n` | `5` | `7` | a whole number from 1 to 10 | a count |"
