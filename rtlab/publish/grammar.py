"""What an experiment's tool prints to stdout: lines whose whole form is known leave, no other line does.

An experiment says it by an attribute ``prints``: a pattern that a whole line matches. What its groups match may not
leave either: it becomes ``rtlab``. An experiment without the attribute has its text searched instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtlab import plugins
from rtlab.errors import UsageError
from rtlab.publish.search import Search

LEFT_OUT = "[line left out]"


@dataclass(frozen=True, slots=True)
class Grammar:
    """Of one experiment.

    Attributes:
        prints: A line of its tool; None: not known.
    """

    prints: re.Pattern[str] | None

    @classmethod
    def of(cls, experiment: str) -> Grammar:
        """Of an experiment by name, whether this rtlab has it or not."""
        try:
            return cls(getattr(plugins.experiment(experiment), "prints", None))
        except UsageError:
            return cls(None)

    def stdout(self, text: str, search: Search) -> str:
        """The lines that the tool prints; with what its groups match taken out."""
        return text if self.prints is None else "\n".join(self._line(line, search) for line in text.split("\n"))

    def _line(self, line: str, search: Search) -> str:
        assert self.prints is not None
        if not line or line == LEFT_OUT:
            return line
        match = self.prints.fullmatch(line)
        if match is None:
            search.replaced["line"] += 1
            return LEFT_OUT
        for number in range(self.prints.groups, 0, -1):
            begin, end = match.span(number)
            if match[number] not in (None, "rtlab"):
                search.replaced["name"] += 1
                line = f"{line[:begin]}rtlab{line[end:]}"
        return line

    def document(self, value: Any, search: Search) -> Any:
        """A probe's answer, in which the tool's stdout may stand, too."""
        if self.prints is None:
            return value
        if isinstance(value, Mapping):
            return {
                key: self.stdout(inner, search)
                if key == "stdout" and isinstance(inner, str)
                else self.document(inner, search)
                for key, inner in value.items()
            }
        return [self.document(inner, search) for inner in value] if isinstance(value, list) else value
