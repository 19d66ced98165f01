"""Reads a user's known_hosts file as OpenSSH does (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), line by line: a line that
cannot be used is skipped and named, whatever bytes it holds. Pure."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import re
from dataclasses import dataclass

import paramiko

# A file with thousands of bad lines gives one short warning.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line that can be used.

    Attributes:
        hosts: Patterns as they stand there: names, ``[name]:port``, ``*.example.org``, ``!name``, ``|1|salt|hash``.
        revoked: The key must not be accepted from these hosts.
    """

    hosts: tuple[str, ...]
    key: paramiko.PKey
    revoked: bool = False

    def matches(self, name: str) -> bool:
        """Whether the line is about this host; a pattern with ``!`` that fits rules the whole line out."""
        found = False
        for pattern in self.hosts:
            if pattern.startswith("!"):
                if _fits(pattern[1:], name):
                    return False
            elif _fits(pattern, name):
                found = True
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHosts:
    """What a file says.

    Attributes:
        skipped: Number of the line -> why it cannot be used.
        authorities: Patterns of hosts whose keys a certificate authority vouches for, which is not supported here.
    """

    entries: tuple[Entry, ...]
    skipped: dict[int, str]
    authorities: tuple[tuple[str, ...], ...] = ()

    def keys(self, address: str, port: int) -> tuple[paramiko.PKey, ...]:
        """The keys that this host may show."""
        name = host_name(address, port)
        about = [entry for entry in self.entries if entry.matches(name)]
        refused = {entry.key.asbytes() for entry in about if entry.revoked}
        return tuple(e.key for e in about if not e.revoked and e.key.asbytes() not in refused)

    def revoked(self, address: str, port: int, key: paramiko.PKey) -> bool:
        """Whether the file revokes this key of this host."""
        name = host_name(address, port)
        return any(e.revoked and e.key.asbytes() == key.asbytes() and e.matches(name) for e in self.entries)

    def vouched(self, address: str, port: int) -> bool:
        """Whether only a certificate authority stands for this host, as far as the file says."""
        name = host_name(address, port)
        return any(Entry(hosts=hosts, key=_NO_KEY).matches(name) for hosts in self.authorities)

    def warning(self) -> str:
        """The lines that were skipped, in words; empty when there are none."""
        told = [f"line {number} ({why})" for number, why in sorted(self.skipped.items())]
        more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        return ", ".join(told[:MOST_NAMED]) + more


_NO_KEY = paramiko.PKey()


def host_name(address: str, port: int) -> str:
    """How known_hosts calls a host."""
    return (address if port == 22 else f"[{address}]:{port}").lower()


def parse(content: bytes) -> KnownHosts:
    """Every line that can be used, and why the others cannot."""
    entries, skipped, authorities = [], {}, []
    for number, line in enumerate(content.split(b"\n"), 1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        marker = words.pop(0) if words[0].startswith(b"@") else b""
        if marker == b"@cert-authority":
            skipped[number] = "@cert-authority is not supported"
            if words and (named := _hosts(words[0])):
                authorities.append(named)
            continue
        if marker not in (b"", b"@revoked"):
            skipped[number] = "its marker is unknown"
            continue
        try:
            hosts, key = _line(words)
        except ValueError as error:
            skipped[number] = str(error)
        else:
            entries.append(Entry(hosts=hosts, key=key, revoked=bool(marker)))
    return KnownHosts(entries=tuple(entries), skipped=skipped, authorities=tuple(authorities))


def _line(words: list[bytes]) -> tuple[tuple[str, ...], paramiko.PKey]:
    """Hosts and key of a line; ValueError says why it has none."""
    if len(words) >= 2 and re.fullmatch(rb"\d+", words[1]):
        raise ValueError("a key of SSH's first version")
    if len(words) < 3:
        raise ValueError("it is cut")
    hosts = _hosts(words[0])
    if not hosts:
        raise ValueError("its host's name has bytes that no name has")
    kind = words[1].decode("ascii", "replace")
    try:
        blob = base64.b64decode(words[2], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its key is no base64") from None
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != words[1]:
        raise ValueError("its key is cut, or of another kind than it says")
    try:
        key = paramiko.PKey.from_type_string(kind, blob)
    except paramiko.UnknownKeyType:
        raise ValueError(f"keys of the kind {kind[:40]!r} are not supported") from None
    except Exception as error:  # paramiko and cryptography raise what their parsers meet, of many families
        raise ValueError("its key cannot be read, perhaps it is cut") from error
    if key.asbytes() != blob:
        raise ValueError("its key is cut, or has more than a key")
    return hosts, key


def _hosts(word: bytes) -> tuple[str, ...]:
    try:
        return tuple(part for part in word.decode("ascii").split(",") if part)
    except UnicodeDecodeError:
        return ()


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        salt, _, digest = pattern[3:].partition("|")
        try:
            key, wanted = base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(hmac.new(key, name.encode(), hashlib.sha1).digest(), wanted)
    # Only * and ? stand for other characters here: a bracket is part of [name]:port.
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))
