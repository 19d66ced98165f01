"""Parameters of an experiment, declared once: default in either design, range, meaning."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtlab.model import Design, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One setting of an experiment.

    Attributes:
        default: Its value in the default design; its type decides what is allowed.
        paper: Its value in the paper's design, when that differs.
        minimum, maximum: Bounds of a number, or of each number in a list; None where there is none.
        about: One line for the documents.
    """

    key: str
    default: Json
    paper: Json = None
    minimum: float | None = None
    maximum: float | None = None
    about: str

    def problem(self, value: Json) -> str:
        """What is wrong with the value, or an empty string."""
        numbers: Sequence[Json] = value if isinstance(value, (list, tuple)) else (value,)
        if isinstance(self.default, (list, tuple)) != isinstance(value, (list, tuple)):
            return f"{self.key} = {value!r}: {self.allowed()}"
        sample = self.default[0] if isinstance(self.default, (list, tuple)) and self.default else self.default
        for number in numbers:
            if isinstance(sample, bool) or isinstance(number, bool):
                fits = isinstance(sample, bool) and isinstance(number, bool)
            elif isinstance(sample, float):
                fits = isinstance(number, (int, float))
            else:
                fits = isinstance(number, type(sample))
            if not fits or not self._within(number):
                return f"{self.key} = {value!r}: {self.allowed()}"
        return ""

    def _within(self, number: Json) -> bool:
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            return True
        if not abs(number) < math.inf:  # unlike isfinite, for whole numbers of any length
            return False
        low_enough = self.maximum is None or number <= self.maximum
        return low_enough and (self.minimum is None or number >= self.minimum)

    def range(self) -> str:
        """Its bounds, for a table; empty where there are none."""
        if self.minimum is None:
            return ""
        return f"≥ {self.minimum:g}" if self.maximum is None else f"{self.minimum:.15g} … {self.maximum:.15g}"

    def allowed(self) -> str:
        """What may stand there, in words."""
        if isinstance(self.default, bool):
            return "allowed are true and false"
        if isinstance(self.default, str):
            return "a text is allowed"
        kind = "a list of numbers" if isinstance(self.default, (list, tuple)) else "a number"
        if self.minimum is not None and self.maximum is not None:
            return f"{kind} from {self.minimum:g} to {self.maximum:g} is allowed"
        return f"{kind} of at least {self.minimum:g} is allowed" if self.minimum is not None else f"{kind} is allowed"


@dataclass(frozen=True, slots=True)
class Parameters:
    """All settings of one experiment."""

    declared: tuple[Parameter, ...]

    def defaults(self, design: Design) -> dict[str, Json]:
        """Key -> value in that design."""
        paper = design == "paper"
        return {p.key: p.paper if paper and p.paper is not None else p.default for p in self.declared}

    def problems(self, values: Mapping[str, Json]) -> tuple[str, ...]:
        """Everything that is wrong, each naming its key and what is allowed."""
        known = {p.key: p for p in self.declared}
        found = [f"{key} is not a parameter; known are {', '.join(known)}" for key in values if key not in known]
        found += [known[key].problem(value) for key, value in values.items() if key in known]
        return tuple(problem for problem in found if problem)

    def table(self) -> str:
        """Markdown for docs/experiments.md, which a test compares with this."""
        lines = ["| setting | default | paper's design | allowed | meaning |", "|---|---|---|---|---|"]
        for p in self.declared:
            paper = "" if p.paper is None else f"`{_shown(p.paper)}`"
            lines.append(f"| `{p.key}` | `{_shown(p.default)}` | {paper} | {p.range()} | {p.about} |")
        return "\n".join(lines) + "\n"


def _shown(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 30 else f"{text[:13]}…{text[-5:]}"


# What several experiments share.
PAGE_SHA256 = "f2dcc96deec8bca2facba9ad0db55c89f3c4937cd6d2d28e5c4869216ffa81cf"
PAGE = (
    Parameter(
        key="page_sha256",
        default=PAGE_SHA256,
        about="SHA-256 of the page that the httpd image serves: a start is ready when this page came whole",
    ),
    Parameter(key="page_port", default=80, minimum=1, maximum=65535, about="the port of its server"),
)
WINDOW = (
    *PAGE,
    Parameter(
        key="window_s",
        default=30.0,
        minimum=1,
        maximum=3600,
        about="default design: counters are the change over this long from the container's start",
    ),
    Parameter(
        key="uptime_s",
        default=0.0,
        paper=380.0,
        minimum=0,
        maximum=86400,
        about="paper's design: counters since boot, read once at this uptime; 0 means a window",
    ),
)
LIMITS = (
    Parameter(key="limit_cpus", default=0.0, minimum=0, maximum=1024, about="CPUs of each container; 0: no limit"),
    Parameter(
        key="limit_memory_mb", default=0, minimum=0, maximum=1 << 20, about="memory of each container; 0: no limit"
    ),
)
