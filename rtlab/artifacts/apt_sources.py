"""The distribution's own apt sources of this machine, as sources for another suite of the same distribution.

Machines fetch their packages from where this machine does (a company's mirror, a proxy), or from the
distribution's own servers where this machine runs something else. A mirror's name is read at run time and is
never written into a box, only into the seed of a machine.

A code name proves no origin: docker-ce, HashiCorp, VirtualBox and many others name their suites after Debian's. Whose
an archive is stands in its Release file (``Origin``), which apt keeps after `apt-get update`. In a fresh image without
these files only the distribution's servers, and what is signed by the distribution's keyring, count as its own.
"""

from __future__ import annotations

import platform
import re
import shutil
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rtlab.connection.shell import run

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
_KEYRING = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}
# Main archive, security archive, components that rtlab uses.
_SERVERS = {
    "debian": ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security", ("main",)),
    "ubuntu": ("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu", ("main", "universe")),
}
_NAMES = {"debian": "Debian", "ubuntu": "Ubuntu"}  # as in a Release file's Origin, to the letter
# The distributions' own servers and their country mirrors, which only they can name.
_OFFICIAL = {
    "debian": re.compile(
        r"((cdn-aws\.)?deb|security|httpredir|snapshot|ftp(\.\w+)?|archive)\.debian\.org"
        r"/(archive/)?debian(-security)?(/\d{8}T\d{6}Z)?",
    ),
    "ubuntu": re.compile(r"(([\w.-]+\.)?archive|security|ports|old-releases)\.ubuntu\.com/ubuntu(-ports)?"),
}
# Names that stand for whatever suite is the stable one at the time.
_ALIASES = ("stable", "oldstable", "oldoldstable", "testing")
# Options without which apt would refuse such a source (a snapshot's old Release, an unsigned mirror).
_KEPT_OPTIONS = ("trusted", "check-valid-until", "check-date", "allow-insecure", "allow-weak")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LOOPBACK = re.compile(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?$", re.I)
_OFF = ("no", "false", "without", "off", "disable", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line of ``sources.list`` or one URI and suite of a ``.sources`` file, for binary packages.

    Attributes:
        signed_by: Its own Signed-By: paths, fingerprints, or a whole key block; empty: whatever apt trusts.
        options: Others that the archive needs, as pairs.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Where a suite's packages come from.

    Attributes:
        public: They are the distribution's public servers, because this machine has no usable source.
        note: What a user should know of it: empty when this machine's own sources are used.
    """

    sources: tuple[Source, ...]
    public: bool
    note: str = ""


Verdict = Literal["own", "foreign", "unknown", "only here"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A source as it was read, and the file that it stands in."""

    source: Source
    file: Path
    architectures: tuple[str, ...] = ()


def public(suite: str) -> tuple[Source, ...]:
    """The distribution's own servers; empty for Ubuntu, whose cloud images bring their sources along."""
    return _servers(suite) if CODENAMES[suite][0] == "debian" else ()


def _servers(suite: str) -> tuple[Source, ...]:
    distribution, codename = CODENAMES[suite]
    main, security, components = _SERVERS[distribution]
    return tuple(
        Source(uri=uri, suite=codename + pocket, components=components, signed_by=_KEYRING[distribution])
        for uri, pocket in ((main, ""), (main, "-updates"), (security, "-security"))
    )


def of_this_machine(suite: str, root: Path = Path("/"), *, elsewhere: bool = False) -> tuple[Source, ...]:
    """The sources that ``choose`` chooses."""
    return choose(suite, root, elsewhere=elsewhere).sources


def choose(suite: str, root: Path = Path("/"), *, elsewhere: bool = False) -> Choice:
    """This machine's sources of the distribution, moved to ``suite``; the public servers when it has none.

    A Debian 12 machine's ``bookworm-security`` becomes ``trixie-security`` for ``debian-13``, at the same server.

    Args:
        root: Whose ``etc/apt`` and ``var/lib/apt/lists`` to read.
        elsewhere: For another machine: servers on this one's loopback, and keys that only this one has, are left out.
    """
    distribution, codename = CODENAMES[suite]
    lists = root / "var/lib/apt/lists"
    found: dict[Source, None] = {}
    passed: dict[Verdict, dict[str, None]] = {"unknown": {}, "only here": {}}
    for entry in _read_all(root):
        judged, verdict = _judge(entry, distribution, lists, root, elsewhere=elsewhere)
        if verdict == "own" and judged is not None:
            found[replace(judged, suite=codename + judged.suite)] = None
        elif verdict in passed:
            passed[verdict][f"/{entry.file.relative_to(root)}"] = None
    if any(s.suite == codename for s in found):
        return Choice(sources=tuple(found), public=False)
    name = _NAMES[distribution]
    reasons = [f"this machine has no usable source of {name}'s"]
    if passed["unknown"]:
        reasons = [f"whose archive is in {', '.join(passed['unknown'])} is not known until apt-get update has run"]
    if passed["only here"]:
        reasons.append(f"what {', '.join(passed['only here'])} names can be reached from this machine's apt alone")
    note = f"packages come from {name}'s public servers: {'; '.join(reasons)}"
    return Choice(sources=_servers(suite), public=True, note=note)


def _judge(
    entry: _Entry, distribution: str, lists: Path, root: Path, *, elsewhere: bool
) -> tuple[Source | None, Verdict]:
    """Whether it is the distribution's; if so, it comes back with only the pocket (``-security``) as its suite."""
    source = entry.source
    native = _ARCHITECTURES.get(platform.machine(), platform.machine())
    if source.suite.endswith("/") or (entry.architectures and native not in entry.architectures):
        return None, "foreign"
    components = tuple(c for c in source.components if c in _SERVERS[distribution][2])
    base, _, pocket = source.suite.partition("-")
    pocket = f"-{pocket}" if pocket else ""
    if not components or pocket not in _POCKETS:
        return None, "foreign"
    release = _release(source, lists)
    known = {name for other, name in CODENAMES.values() if other == distribution}
    if base in _ALIASES:
        base = release.get("codename", "" if base == "testing" else next(iter(known))).partition("-")[0]
    if base not in known:
        return None, "foreign"
    uri = _reachable(source.uri, root)
    official = bool(uri) and _is_official(uri, distribution)
    keyring = _is_keyring(source.signed_by, distribution)
    if release and release.get("origin") != _NAMES[distribution]:
        return None, "foreign"
    if not release and not official and not keyring:
        return None, "unknown"
    server = urllib.parse.urlsplit(uri).netloc.rpartition("@")[2] if uri else ""
    if not uri or (elsewhere and (_LOOPBACK.match(server) or (source.signed_by and not keyring and not official))):
        return None, "only here"
    signed_by = source.signed_by
    if (elsewhere and (keyring or official or not signed_by)) or (official and not signed_by):
        signed_by = _KEYRING[distribution]
    return replace(source, uri=uri, suite=pocket, components=components, signed_by=signed_by), "own"


def _release(source: Source, lists: Path) -> dict[str, str]:
    """Fields of the Release file that apt has of it, with small keys; empty when apt never fetched it."""
    scheme, _, rest = source.uri.partition(":")
    path = rest.removeprefix("//")
    if path != rest and not scheme.endswith("file"):
        server, slash, folder = path.partition("/")
        path = server.rpartition("@")[2].replace("[", "").replace("]", "") + slash + folder
    # As apt names them (URItoFileName in apt-pkg/contrib/strutl.cc).
    name = "".join(
        f"%{ord(c):02x}" if c in '\\|{}[]<>"^~_=!@#$%^&*' or not "!" <= c <= "~" else c
        for c in f"{path}/dists/{source.suite}/"
    ).replace("/", "_")
    for kind in ("InRelease", "Release"):
        try:
            text = (lists / (name + kind)).read_text(errors="replace")
        except OSError:
            continue
        return {m[1].lower(): m[2].strip() for m in re.finditer(r"^(Origin|Label|Suite|Codename): *(.*)$", text, re.M)}
    return {}


def _reachable(uri: str, root: Path) -> str:
    """Its http(s) address, of a list of mirrors the first; empty where only apt on this machine gets there."""
    scheme, _, rest = uri.partition(":")
    if scheme in ("http", "https"):
        return uri.rstrip("/")
    if scheme != "mirror+file":
        return ""
    try:
        text = (root / rest.lstrip("/")).read_text(errors="replace")
    except OSError:
        return ""
    # apt-transport-mirror(1): one address a line, then a tab and its properties.
    lines = (line.split("#", 1)[0].split() for line in text.splitlines())
    return next((words[0].rstrip("/") for words in lines if words and words[0].startswith(("http:", "https:"))), "")


def _is_official(uri: str, distribution: str) -> bool:
    split = urllib.parse.urlsplit(uri)
    return _OFFICIAL[distribution].fullmatch((split.hostname or "") + split.path.rstrip("/")) is not None


def _is_keyring(signed_by: str, distribution: str) -> bool:
    """Whether nothing but the distribution's own keyrings may sign it."""
    pattern = rf"/(usr/share/keyrings|etc/apt/trusted\.gpg\.d)/{distribution}-archive-[\w.-]+\.(gpg|pgp|asc)"
    parts = re.split(r"[,\s]+", signed_by.strip())
    return all(re.fullmatch(pattern, part) for part in parts)


def explain(choice: Choice, output: str) -> str:
    """What to do after apt or mmdebstrap failed with these sources, by what it said."""
    note = f" Note: {choice.note}." if choice.note else ""
    if re.search(r"NO_PUBKEY|BADSIG|EXPKEYSIG|is not signed|couldn't be verified|no Signed-By", output, re.I):
        return "Update the distribution's keyring package (debian-archive-keyring or ubuntu-keyring)." + note
    if re.search(r"Failed to fetch|Unable to fetch|Could not (resolve|connect)|Unable to connect", output):
        if choice.public:
            return f"The distribution's public servers must be reachable from here.{note}"
        return "`sudo apt-get update` must work on this machine: check its sources and its network."
    return f"The lines above are mmdebstrap's own; the sources it was given were read from /etc/apt.{note}"


# --------------------------------------------------------------------------- writing


def text(sources: Iterable[Source]) -> str:
    """The sources for apt and mmdebstrap: lines (which every apt reads), or stanzas where a key stands among them."""
    listed = tuple(sources)
    style = _stanza if any("\n" in s.signed_by for s in listed) else _line
    return "".join(style(s) for s in listed)


def _line(source: Source) -> str:
    options = list(source.options)
    if source.signed_by:
        options.insert(0, ("signed-by", ",".join(source.signed_by.replace(",", " ").split())))
    shown = f"[{' '.join(f'{k}={v}' for k, v in options)}] " if options else ""
    return f"deb {shown}{source.uri} {source.suite} {' '.join(source.components)}\n"


def _stanza(source: Source) -> str:
    key = source.signed_by
    if "\n" in key:
        key = "".join(f"\n {line.strip() or '.'}" for line in key.strip().splitlines())
    fields = {
        "Types": "deb",
        "URIs": source.uri,
        "Suites": source.suite,
        "Components": " ".join(source.components),
        **{name.title(): value for name, value in source.options},
        **({"Signed-By": key.replace(",", " ") if "\n" not in key else key} if key else {}),
    }
    return "".join(f"{k}:{'' if v.startswith(chr(10)) else ' '}{v}\n" for k, v in fields.items()) + "\n"


# --------------------------------------------------------------------------- reading (sources.list(5))


def _read_all(root: Path) -> Iterator[_Entry]:
    folder = root / "etc/apt"
    parts = sorted((folder / "sources.list.d").glob("*")) if (folder / "sources.list.d").is_dir() else []
    for file in (folder / "sources.list", *parts):
        # apt passes over every other name: copies of editors, of upgrades, of packages.
        if not file.is_file() or not re.fullmatch(r"[\w.-]+\.(list|sources)", file.name, re.A):
            continue
        try:
            content = file.read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            continue
        yield from _read_lines(content, file) if file.suffix == ".list" else _read_stanzas(content, file)


def _read_lines(content: str, file: Path) -> Iterator[_Entry]:
    for line in content.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?([^#]*)", line)
        words = match[2].split() if match else []
        if match is None or len(words) < 2 or words[0].startswith("cdrom:"):
            continue
        options = {}
        for word in re.findall(r'[^\s"=]+=(?:"[^"]*"|\S+)', match[1] or ""):
            key, _, value = word.partition("=")
            options[key.lower()] = value.strip('"')
        yield _entry(words[0], words[1], words[2:], options, file)


def _read_stanzas(content: str, file: Path) -> Iterator[_Entry]:
    plain = "\n".join(line.rstrip() for line in content.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\n+", plain):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and key:
                fields[key] += "\n" + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in _OFF:
            continue
        signed_by = fields.get("signed-by", "").strip()
        if "BEGIN PGP" not in signed_by:
            signed_by = ",".join(signed_by.split())
        else:
            signed_by = "\n".join("" if line == "." else line for line in signed_by.splitlines())
        options = {**fields, "signed-by": signed_by, "arch": ",".join(fields.get("architectures", "").split())}
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                if not uri.startswith("cdrom:"):
                    yield _entry(uri, suite, fields.get("components", "").split(), options, file)


def _entry(uri: str, suite: str, components: Iterable[str], options: dict[str, str], file: Path) -> _Entry:
    return _Entry(
        Source(
            uri=uri.rstrip("/"),
            suite=suite,
            components=tuple(components),
            signed_by=options.get("signed-by", ""),
            options=tuple((name, options[name]) for name in _KEPT_OPTIONS if name in options),
        ),
        file,
        tuple(options["arch"].split(",")) if options.get("arch") else (),
    )


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
