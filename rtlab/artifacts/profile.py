"""Profiles: one TOML file of pins each, in ``rtlab/artifacts/profiles/`` (versions, URLs, SHA-256). Data, not code."""

from __future__ import annotations

import difflib
import socket
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rtlab.artifacts import builds
from rtlab.errors import ConfigError, HostUnfit, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

FOLDER = Path(__file__).parent / "profiles"
# A section per role: [docker] version = "…" becomes the role's variable docker_version.
ROLES = ("common", "docker", "runc", "crun", "youki", "gvisor", "kata", "bench_tools")
_KEYS: Mapping[str, type] = {"summary": str, "suite": str, "needs": list, "box": dict, "images": dict}
_ENGINE = "engine"
_INSTEAD = "instead"
_REACH_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A set of pins that fit together.

    Attributes:
        name: File name without ``.toml``.
        summary: One sentence.
        suite: Box suite: ``debian-12``, ``debian-13``, ``ubuntu-18.04`` …
        box: How its box is made (``kind`` = ``mmdebstrap`` or ``cloud-image``, ``url``, ``sha256`` …).
        role_variables: Extra variables for the playbooks, by role prefix (``docker_version`` …).
        needs: Host names of vendors' servers that must be reachable for it, besides the one of its box.
        images: What an image is for (``httpd``, ``tools``) to where it comes from: ``source`` = ``registry``
            (``reference``, ``digest``) or ``debian-packages`` (``reference``, ``packages``).
        builds: ``engine``, or a runtime's name, to the builds that its programs come from (docs/builds.md); empty where
            packages and releases bring everything.
        instead: The same, for runtimes whose first builds cannot be had.
    """

    name: str
    summary: str
    suite: str
    box: Mapping[str, Any]
    role_variables: Mapping[str, Any]
    needs: tuple[str, ...]
    images: Mapping[str, Mapping[str, Any]]
    builds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPin:
    """A pin that no independent source gives, which the user must give once.

    Attributes:
        variable: The setting that takes it: ``kata_sha256``, ``gvisor_sha512``, ``box_sha256``.
        of: What it is the digest of: a URL.
    """

    variable: str
    of: str


def names() -> tuple[str, ...]:
    """Names of all profiles."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))


def load(name: str) -> Profile:
    """The profile of that name, checked.

    Raises:
        UsageError: there is none.
        ConfigError: its file is damaged; names the key.
    """
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"There is no profile {name[:60]!r}.{hint}", remedy=f"Known profiles: {', '.join(names())}.")
    file = FOLDER / f"{name}.toml"
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {error}.", remedy="Install rtlab again: profiles are part of it.") from error
    return from_data(name, data, str(file))


def from_data(name: str, data: Mapping[str, Any], where: str) -> Profile:
    """A profile from parsed TOML; ConfigError names the first wrong key and what is allowed."""
    allowed = (*_KEYS, *ROLES, "builds")
    for key, value in data.items():
        if key not in allowed:
            raise ConfigError(f"{where}: unknown key {key!r}.", remedy=f"Allowed: {', '.join(allowed)}.")
        kind = _KEYS.get(key, dict)
        if not isinstance(value, kind):
            raise ConfigError(f"{where}: {key} must be a {kind.__name__}, not {value!r:.60}.")
    for key in _KEYS:
        if key not in data:
            raise ConfigError(f"{where}: {key} is missing.")
    for role, image in data["images"].items():
        wanted = {"registry": "digest", "debian-packages": "packages"}.get(image.get("source", ""))
        if wanted is None or wanted not in image or "reference" not in image:
            raise ConfigError(
                f"{where}: images.{role} needs source, reference and {wanted or 'what its source needs'}.",
                remedy="source is registry (with digest) or debian-packages (with packages).",
            )
    variables = {f"{role}_{key}": value for role in ROLES for key, value in data.get(role, {}).items()}
    variables |= {
        f"images_{role}_{key}": value for role, image in data["images"].items() for key, value in image.items()
    }
    variables["images_registry"] = [
        {"role": role, "reference": image["reference"], "digest": image["digest"]}
        for role, image in data["images"].items()
        if image["source"] == "registry"
    ]
    brought = data.get("builds", {})
    return Profile(
        name=name,
        summary=data["summary"],
        suite=data["suite"],
        box=data["box"],
        role_variables=variables,
        needs=tuple(data["needs"]),
        images=data["images"],
        builds=_builds({k: v for k, v in brought.items() if k != _INSTEAD}, where),
        instead=_named_builds(brought.get(_INSTEAD, {}), f"{where}: builds.{_INSTEAD}"),
    )


def _named_builds(section: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, wanted in section.items():
        if not isinstance(wanted, list) or not wanted or not set(wanted) <= set(builds.names()):
            raise ConfigError(
                f"{where}.{name} must list builds, not {wanted!r:.60}.",
                remedy=f"rtlab pins: {', '.join(builds.names())}.",
            )
        found[name] = tuple(wanted)
    return found


def _builds(section: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    found = _named_builds(section, f"{where}: builds")
    if found and not {_ENGINE, "runc"} <= set(found):
        raise ConfigError(f"{where}: builds need an engine and the runc that it starts by default.")
    return found


def refusal(profile: Profile, key: str) -> str:
    """Why a setting of a release or an image does nothing with this profile; empty when it matters."""
    sources = {f"{name}_{what}": name for name in ("gvisor", "crun") for what in ("url", "sha256", "sha512")}
    runtime = sources.get(key)
    source = profile.role_variables.get(f"{runtime}_source")
    if runtime and source != "release":
        origin = "its builds" if source == "builds" else "its distribution"
        return f"does nothing: profile {profile.name} takes {runtime} from {origin}"
    if key == "box_sha256" and profile.box["kind"] != "cloud-image":
        return f"does nothing: profile {profile.name} builds its machines from packages, not from an image"
    return ""


def require_use(profile: Profile, given: Iterable[str]) -> None:
    """UsageError for what was given of a release or an image that this profile does not take."""
    for key in given:
        if why := refusal(profile, key):
            raise UsageError(f"--{key.replace('_', '-')} {why}.", remedy="Leave it out, or choose another --profile.")


def with_sources(profile: Profile, given: Mapping[str, str]) -> Profile:
    """The profile without its digests of files that the user takes from elsewhere under other names.

    A file of the same name is held to be the same file, from a mirror or brought along: its digest stays.
    """
    changes = {}
    for runtime in ("kata", "crun"):
        source = given.get(f"{runtime}_archive") or given.get(f"{runtime}_url")
        of_profile = str(profile.role_variables.get(f"{runtime}_url", ""))
        if source and source.rpartition("/")[2] != of_profile.rpartition("/")[2]:
            changes[f"{runtime}_sha256"] = ""
    return replace(profile, role_variables={**profile.role_variables, **changes}) if changes else profile


def missing_pins(profile: Profile, runtimes: Iterable[str], given: Mapping[str, str]) -> tuple[MissingPin, ...]:
    """Digests that this profile does not know and the user has not given, as far as these runtimes need them.

    Args:
        given: What the user gave, by variable; empty values count as not given. A ``kata_archive`` needs a
            digest as well.
    """
    variables = {**profile.role_variables, **{k: v for k, v in given.items() if v}}
    wanted = {runtime.split(":", 1)[0] for runtime in runtimes}
    missing = []
    if profile.box["kind"] == "cloud-image" and not (profile.box.get("sha256") or variables.get("box_sha256")):
        missing.append(MissingPin(variable="box_sha256", of=profile.box["url"]))
    for runtime, digest in _released(wanted, variables):
        if not variables.get(f"{runtime}_{digest}"):
            source = variables.get(f"{runtime}_archive") or variables.get(f"{runtime}_url") or f"{runtime}'s release"
            missing.append(MissingPin(variable=f"{runtime}_{digest}", of=source))
    return tuple(missing)


def _released(runtimes: Container[str], variables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those of the runtimes that come as a release's file, each with the kind of digest that its role checks."""
    for runtime, digest in (("kata", "sha256"), ("gvisor", "sha512"), ("crun", "sha256")):
        if runtime in runtimes and (runtime == "kata" or variables.get(f"{runtime}_source") == "release"):
            yield runtime, digest


def downloads(profile: Profile, runtimes: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Runtime -> the server that it is downloaded from, for those that are no package and not at hand as a file."""
    variables = {**profile.role_variables, **{k: v for k, v in given.items() if v}}
    wanted = {runtime.split(":", 1)[0] for runtime in runtimes}
    found = {}
    for runtime, _ in _released(wanted, variables):
        host = urlsplit(str(variables.get(f"{runtime}_url", ""))).hostname
        if host and not variables.get(f"{runtime}_archive"):
            found[runtime] = host
    return found


def unreachable(profile: Profile, *, box: bool = True, timeout_s: float = _REACH_S) -> tuple[str, ...]:
    """Which of the vendors' servers that the profile needs do not answer on port 443, within ``timeout_s``.

    Args:
        box: Whether machines are made, and their box's server is needed, too.

    A proxy (``https_proxy``) is what must answer where there is one: what it can reach only it knows.
    """
    server = urlsplit(str(profile.box.get("url", ""))).hostname if box else None
    return _silent((*([server] if server else ()), *profile.needs), timeout_s)


def _silent(hosts: Iterable[str], timeout_s: float = _REACH_S) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(hosts))
    if not asked:
        return ()
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        answers = tuple(pool.map(lambda host: _answers(host, timeout_s), asked))
    return tuple(host for host, answered in zip(asked, answers, strict=True) if not answered)


def require_reachable(
    profile: Profile, runtimes: Iterable[str] = (), given: Mapping[str, str] | None = None, *, box: bool = True
) -> None:
    """Raise HostUnfit, at once, naming what does not answer and what can be had without it.

    Args:
        box: As for ``unreachable``.
        runtimes: Those that are wanted: what they are downloaded from must answer, too.
        given: What the user gave, a ``kata_archive`` that is at hand among it.
    """
    silent = unreachable(profile, box=box)
    if not silent:
        _require_downloads(profile, downloads(profile, runtimes, given or {}))
        return
    others = [other for other in names() if other != profile.name and not unreachable(load(other))]
    raise HostUnfit(
        f"Profile {profile.name} needs {', '.join(silent)}, which this machine cannot reach.",
        remedy=(
            f"Use a profile that can be had here: `--profile {others[0]}`."
            if others
            else "Check the network or the proxy (https_proxy); no profile can be had from here as it is."
        ),
    )


def _require_downloads(profile: Profile, servers: Mapping[str, str]) -> None:
    silent = _silent(servers.values())
    cut_off = {runtime: host for runtime, host in servers.items() if host in silent}
    if not cut_off:
        return
    listed = ", ".join(f"{runtime} from {host}" for runtime, host in cut_off.items())
    raise HostUnfit(
        f"Profile {profile.name} downloads {listed}, which this machine cannot reach.",
        remedy="Leave that runtime out with --runtimes"
        + (", or bring Kata's archive along: --kata-archive FILE." if "kata" in cut_off else "."),
    )


def _answers(host: str, timeout_s: float) -> bool:
    target = (host, 443)
    proxy = _proxy_for(host)
    if proxy is not None:
        target = proxy
    try:
        with socket.create_connection(target, timeout_s):
            return True
    except OSError:
        return False


def _proxy_for(host: str) -> tuple[str, int] | None:
    # Imported here: urllib.request costs 30 ms that `rtlab --help` need not pay.
    from urllib.request import getproxies, proxy_bypass

    address = getproxies().get("https")
    if not address or proxy_bypass(host):
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    return (parts.hostname, parts.port or 3128) if parts.hostname else None
