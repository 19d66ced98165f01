"""The apt sources of this machine, as sources for another suite of the same distribution.

Machines fetch their packages from where this machine does (a company's mirror, a proxy), or from the
distribution's own servers where this machine runs something else. A mirror's name is read at run time and is
never written into a box, only into the seed of a machine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rtlab.shell import run

# Suite of rtlab -> (distribution, code name).
CODENAMES: dict[str, tuple[str, str]] = {
    "debian-12": ("debian", "bookworm"),
    "debian-13": ("debian", "trixie"),
    "ubuntu-18.04": ("ubuntu", "bionic"),
    "ubuntu-20.04": ("ubuntu", "focal"),
    "ubuntu-22.04": ("ubuntu", "jammy"),
    "ubuntu-24.04": ("ubuntu", "noble"),
}
_POCKETS = ("", "-updates", "-security")
_PUBLIC = {"debian": ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")}
_KEYRING = {"debian": "/usr/share/keyrings/debian-archive-keyring.gpg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line of ``sources.list`` or one stanza's worth of a ``.sources`` file, for binary packages."""

    uri: str
    suite: str
    components: tuple[str, ...]


def public(suite: str) -> tuple[Source, ...]:
    """The distribution's own servers; empty for Ubuntu, whose cloud images bring their sources along."""
    distribution, codename = CODENAMES[suite]
    if distribution not in _PUBLIC:
        return ()
    main, security = _PUBLIC[distribution]
    return (
        Source(uri=main, suite=codename, components=("main",)),
        Source(uri=main, suite=f"{codename}-updates", components=("main",)),
        Source(uri=security, suite=f"{codename}-security", components=("main",)),
    )


def of_this_machine(suite: str, folder: Path = Path("/etc/apt")) -> tuple[Source, ...]:
    """This machine's sources, moved to ``suite``; ``public`` when this machine has none for the distribution.

    A Debian 12 machine's ``bookworm-security`` becomes ``trixie-security`` for ``debian-13``, at the same server.
    """
    distribution, codename = CODENAMES[suite]
    known = {name for other, name in CODENAMES.values() if other == distribution}
    found: dict[Source, None] = {}
    for source in _read_all(folder):
        base, _, pocket = source.suite.partition("-")
        pocket = f"-{pocket}" if pocket else ""
        if base in known and pocket in _POCKETS:
            components = tuple(c for c in source.components if c in ("main", "universe"))
            found[Source(uri=source.uri, suite=codename + pocket, components=components)] = None
    return tuple(found) if any(s.suite == codename for s in found) else public(suite)


def one_line_style(sources: Iterable[Source], suite: str) -> str:
    """The content of a ``sources.list`` (the form that every apt and mmdebstrap reads), signed-by where known."""
    keyring = _KEYRING.get(CODENAMES[suite][0])
    option = f"[signed-by={keyring}] " if keyring else ""
    return "".join(f"deb {option}{s.uri} {s.suite} {' '.join(s.components)}\n" for s in sources)


def _read_all(folder: Path) -> Iterable[Source]:
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for file in lists:
        if file.is_file():
            yield from _read_one_line_style(file.read_text(errors="replace"))
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        yield from _read_deb822_style(file.read_text(errors="replace"))


def _read_one_line_style(text: str) -> Iterable[Source]:
    for line in text.splitlines():
        words = line.split("#", 1)[0].replace("[", " [").split()
        if not words or words[0] != "deb":
            continue
        rest = words[1:]
        while rest and rest[0].startswith("["):
            while rest and not rest[0].endswith("]"):
                rest.pop(0)
            rest = rest[1:]
        if len(rest) >= 3:
            yield Source(uri=rest[0].rstrip("/"), suite=rest[1], components=tuple(rest[2:]))


def _read_deb822_style(text: str) -> Iterable[Source]:
    for stanza in "\n".join(line for line in text.splitlines() if not line.startswith("#")).split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[key] = fields.get(key, "") + " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri=uri.rstrip("/"), suite=suite, components=tuple(fields.get("components", "").split()))


def proxy_of_this_machine() -> str:
    """apt's proxies here as apt.conf text; empty without any, or where they only exist on this machine's loopback."""
    if shutil.which("apt-config") is None:
        return ""
    text = run(("apt-config", "dump"), timeout_s=20).text()
    lines = [line for line in text.splitlines() if re.match(r'Acquire::https?::Proxy "[^"]', line)]
    return "".join(f"{line}\n" for line in lines if not re.search(r"//(localhost|127\.|\[::1\])", line))


def local_authorities() -> str:
    """Certificate authorities that this machine's administrator added, as PEM; a mirror by https may need them."""
    folder = Path("/usr/local/share/ca-certificates")
    return "".join(f.read_text().rstrip() + "\n" for f in sorted(folder.rglob("*.crt"))) if folder.is_dir() else ""
