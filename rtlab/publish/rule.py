"""One kind of what must not leave, as a pattern with what stands in its place; and what a campaign's texts may name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# Words that name nobody, though a host or an account may be called so; and rtlab's own, which data is made of.
GENERIC = frozenset(
    "root localhost localdomain local user users admin home work tmp host machine debian ubuntu fedora vagrant docker "  # noqa: SIM905
    "linux runc kata gvisor crun youki boot io cpu memory network none simulated this-machine test guest rtlab ok "
    "failed nobody daemon null unknown true false".split()
)
OWN_MACHINE = re.compile(r"node\d{1,4}|machine\d{1,4}|this-machine|local|localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a campaign's texts may name, and the pseudonyms that were given in them.

    Attributes:
        machines: Names under which its machines leave.
        boot_ids: Of its machines and guests: a number of one boot, on which the proof of every trial rests.
        pseudonyms: What names a thing -> its number, in the order in which they were met.
    """

    machines: frozenset[str] = frozenset()
    boot_ids: frozenset[str] = frozenset()
    pseudonyms: dict[str, int] = field(default_factory=dict)

    def names_nobody(self, word: str) -> bool:
        """Whether a host's or an account's name may stay."""
        low = word.lower()
        return low in GENERIC or low.isdigit() or word in self.machines or bool(OWN_MACHINE.fullmatch(low))

    def pseudonym(self, value: str) -> str:
        """The same for the same thing, and nothing that tells which it is."""
        return f"[id {self.pseudonyms.setdefault(value.lower(), len(self.pseudonyms) + 1)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is replaced. A pattern reads a text once: it begins where a word begins, and what it repeats is bounded, or
    ends for certain.

    Attributes:
        kind: As it is counted and, unless ``new`` says otherwise, as it stands in the text: ``[host]``.
        new: What stands in the match's place; the match itself: it stays.
    """

    kind: str
    pattern: re.Pattern[str]
    new: Callable[[re.Match[str], Known], str] | None = None

    def replacement(self, match: re.Match[str], known: Known) -> str:
        return f"[{self.kind}]" if self.new is None else self.new(match, known)


def after_first_group(kind: str) -> Callable[[re.Match[str], Known], str]:
    """The match's first group stays; what follows it goes."""
    return lambda match, _: f"{match[1] or ''}[{kind}]"
