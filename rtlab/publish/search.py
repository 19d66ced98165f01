"""Searches texts and documents for what names a person, a host or a place, and for secrets. Pure, in linear time."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rtlab.publish import credentials, hosts, identities, people
from rtlab.publish.rule import GENERIC, OWN_MACHINE, Known, Rule
from rtlab.publish.vocabulary import KEYS, WORDS

_BEFORE_NAMES = (*credentials.RULES, hosts.URL, *identities.RULES, *people.RULES, *hosts.RULES)
_SLASHED_LINE = re.compile(r"(?m)^[^\n\\]*\\[^\n]*$")
_SLASHED = re.compile(r"(?<!\\)\\+([\"'/ ])")
# Words in which something may be hidden by how it is written.
_PERCENT = re.compile(r"(?<![^\s\"'<>])(?=[^\s\"'<>%]*%[0-9a-f]{2})[^\s\"'<>]+", re.I)
_ESCAPED = re.compile(r"(?<![^\s\"'<>])(?=[^\s\"'<>]*?\\(?:u00|x)[0-9a-f]{2})[^\s\"'<>]+", re.I)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{12,}={0,2}(?![A-Za-z0-9+/_=-])")
MOST_LAYERS = 3
# What a terminal does not show.
_UNSEEN = re.compile(
    r"\x1b\[[0-9;?]{0,40}[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0e-\x1f\x7f\xad\u200b-\u200f\u202a-\u202e\u2060\ufeff]"
)
_ESCAPE = re.compile(r"\\(?:u00|x)([0-9a-f]{2})", re.I)


class Search:
    """Replaces what names a person, a host or a place, and counts what it replaced.

    Attributes:
        machines: The testbed's machines: name -> the name under which it leaves.
        replaced: Kind -> how often.
    """

    def __init__(self, names: Iterable[str], machines: Iterable[str] = (), boot_ids: Iterable[str] = ()) -> None:
        """
        Args:
            names: Of accounts and hosts; those that name nobody are passed over.
            machines: The testbed's; names that a user gave are replaced by pseudonyms.
            boot_ids: Of the campaign's machines; they stay.
        """
        self.machines = _pseudonyms(machines)
        renamed = [old for old, new in self.machines.items() if old != new]
        every = {n.strip().lower() for n in (*names, *renamed)}
        every |= {n.partition(".")[0] for n in every}
        named = [n for n in every if len(n) > 1 and n not in GENERIC and n not in WORDS and not n.isdigit()]
        self.names = sorted(named, key=lambda n: (-len(n), n))
        pattern = "|".join(map(re.escape, self.names))
        self._named = (
            [Rule(kind="name", pattern=re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", re.I))] if pattern else []
        )
        self._known = Known(machines=frozenset(self.machines.values()), boot_ids=frozenset(b.lower() for b in boot_ids))
        self.replaced: Counter[str] = Counter()

    def text(self, value: str) -> str:
        """The text without keys, secrets, identities, URLs, accounts, home folders, addresses, hosts, given names."""
        if value.isascii() and value.isalpha() and value.islower():  # most texts are one word, which may be a name
            return self._apply(self._named[0], value) if self._named else value
        if _UNSEEN.search(value):  # colours and the like may part a name, or stick to it
            seen = _UNSEEN.sub("", value)
            clean = self._visible(seen)
            return value if clean == seen else clean
        return self._visible(value)

    def _visible(self, value: str) -> str:
        if "\\" in value:  # a line within a line: `{\"token\": \"x\"}`, `/home/jane\ doe`
            value = _SLASHED_LINE.sub(lambda match: self._unslashed(match[0]), value)
        return self._plain(self._decoded(value))

    def _unslashed(self, line: str) -> str:
        meant = _SLASHED.sub(r"\1", line)
        counted = self.replaced.copy()
        clean = self._plain(meant)
        if clean != meant:
            return clean
        self.replaced = counted
        return line

    def _plain(self, value: str) -> str:
        for rule in (*credentials.shaped_rules(value), *_BEFORE_NAMES, *self._named, credentials.UNLIKE_WORDS):
            value = self._apply(rule, value)
        return value

    def _apply(self, rule: Rule, value: str) -> str:
        def one(match: re.Match[str]) -> str:
            found = rule.replacement(match, self._known)
            self.replaced[rule.kind] += found != match[0]
            return found

        return rule.pattern.sub(one, value)

    def _decoded(self, value: str) -> str:
        """Words that hide something by their writing (`%40`, `\\u0040`, Base64) go as a whole."""
        for pattern, read in ((_PERCENT, _from_percent), (_ESCAPED, _from_escapes), (_BASE64, _from_base64)):

            def one(match: re.Match[str], read: Any = read) -> str:
                word = match[0]
                meant = read(word)
                if meant == word or meant is None:
                    return word
                counted = self.replaced.copy()
                if self._plain(meant) == meant:
                    return word
                self.replaced = counted
                self.replaced["encoded"] += 1
                return "[encoded]"

            value = pattern.sub(one, value)
        return value

    # ------------------------------------------------------------- documents

    def anything(self, value: Any) -> Any:
        """A JSON value with every text in it searched, and every key that is none of rtlab's own."""
        if isinstance(value, str):
            return self._document_in(value)
        if isinstance(value, Mapping):
            kept: dict[str, Any] = {}
            for key, inner in value.items():
                name = shown = self.key(str(key))
                number = 1
                while shown in kept:  # two names became the same
                    number += 1
                    shown = f"{name} {number}"
                kept[shown] = self.under(str(key), inner)
            return kept
        if isinstance(value, list | tuple):
            return [self.anything(v) for v in value]
        return value

    def _document_in(self, value: str) -> str:
        """A text that may be a document itself, as programs write them into a line."""
        if value[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                inner = json.loads(value)
                clean = self.anything(inner)
                value = value if clean == inner else json.dumps(clean, ensure_ascii=False)
        return self.text(value)

    def key(self, key: str) -> str:
        """A document's key as it may leave."""
        return key if key in KEYS else self.text(key)

    def under(self, key: str, value: Any) -> Any:
        """A value as it may leave from under its key: what a key calls a secret or a name is one, whatever it looks
        like."""
        if isinstance(value, list | tuple) and value and all(isinstance(v, str | int | float) for v in value):
            return [self.under(key, v) for v in value]
        if identities.BOOT_ID_KEY.fullmatch(key) and isinstance(value, str) and identities.UUID.fullmatch(value):
            return value
        if not isinstance(value, bool) and isinstance(value, str | int | float) and value and key not in KEYS:
            if credentials.SECRET_KEY.fullmatch(key):
                self.replaced["secret"] += 1
                return "[secret]"
            if identities.IDENTITY_KEY.fullmatch(key):
                self.replaced["identity"] += 1
                return self._known.pseudonym(str(value))
        if isinstance(value, str) and value and not self._known.names_nobody(value):
            for pattern, kind in ((people.ACCOUNT_KEY, "account"), (hosts.HOST_KEY, "host")):
                if pattern.fullmatch(key):
                    self.replaced[kind] += 1
                    return f"[{kind}]"
        return self.anything(value)


def _pseudonyms(machines: Iterable[str]) -> dict[str, str]:
    named = sorted(machines)
    if all(OWN_MACHINE.fullmatch(name) for name in named):
        return {name: name for name in named}
    # All of them, in the order of their names, on which the sign of the machine's effect depends.
    digits = len(str(len(named)))
    return {name: f"machine{number:0{digits}d}" for number, name in enumerate(named, 1)}


def _from_percent(word: str) -> str:
    for _ in range(MOST_LAYERS):
        word = urllib.parse.unquote(word, errors="replace")
    return word


def _from_escapes(word: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), word)


def _from_base64(word: str) -> str | None:
    """What a word says in Base64, when that is a text at all."""
    if not re.search("[A-Z]", word) or not re.search("[a-z]", word):
        return None
    plain = word.rstrip("=").translate(str.maketrans("-_", "+/"))
    if len(plain) % 4 == 1:
        return None
    try:
        text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if text.isprintable() or all(c.isprintable() or c in "\r\n\t" for c in text) else None


def boot_ids_in(value: Any) -> Iterator[str]:
    """Every boot id that a document tells."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if (
                identities.BOOT_ID_KEY.fullmatch(str(key))
                and isinstance(inner, str)
                and identities.UUID.fullmatch(inner)
            ):
                yield inner
            else:
                yield from boot_ids_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from boot_ids_in(inner)
