"""Container images made here from the distribution's packages: no registry is needed, and nothing is downloaded twice.

Two roles: ``httpd`` serves one page (what *boot* starts), ``tools`` holds the programs that workloads run. Packages
are extracted, not installed (no maintainer script runs, no root needed where mmdebstrap can use user namespaces), and
what neither role uses is left out. The result is a docker-archive that ``docker load`` of any version reads, with
fixed times and order: the same packages give the same bytes.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import os
import platform
import re
import shutil
import tarfile
import tempfile
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from rtlab import atomic
from rtlab.artifacts import apt_sources, cache
from rtlab.connection.shell import run
from rtlab.errors import CommandFailed, HostUnfit, StoreError, UsageError
from rtlab.files import digest_of
from rtlab.model import Event, Notify, ignore_events
from rtlab.state import wait_for_lock

Role = Literal["httpd", "tools"]
ROLES: tuple[Role, ...] = ("httpd", "tools")

# The page of the official httpd image, byte for byte, so that readiness is checked by the same digest with either.
PAGE = b"<html><body><h1>It works!</h1></body></html>\n"
PAGE_SHA256 = hashlib.sha256(PAGE).hexdigest()

# Part of the cache's key: raise it whenever the same recipe would give another image.
RECIPE_VERSION = 2
TIMEOUT_S = 1800.0
# 2020-01-01: a fixed, ordinary time (0 makes some tools complain).
EPOCH = 1577836800
CREATED = "2020-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_LEFT_OUT = (
    # Never part of an image: devices, apt's and dpkg's state (it names the mirror), documentation, translations.
    *("dev/*", "etc/apt/*", "var/lib/apt/*", "var/lib/dpkg/*", "var/cache/*", "var/log/*", "run/*"),
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian/*"),
    *("usr/share/bug/*", "usr/share/menu/*", "usr/share/doc-base/*", "usr/share/zoneinfo/*", "usr/lib/*/gconv/*"),
    # Perl is a dependency of scripts that no workload runs; ICU and libxml2 of Apache modules that are not loaded.
    *("usr/bin/*perl*", "usr/share/perl*", "usr/lib/*/perl*", "usr/lib/*/libperl*"),
    *("usr/lib/*/libicu*", "usr/lib/*/libxml2*", "usr/share/icu/*", "usr/lib/*/libdb-*", "etc/init.d/*"),
)
_APACHE_MODULES = ("mpm_event", "authz_core", "dir")
_APACHE_CONFIG = f"""\
# One static page on port 80; as little as Apache starts with.
ServerRoot /etc/apache2
ServerName localhost
Listen 80
PidFile /run/httpd.pid
{"".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" + chr(10) for m in _APACHE_MODULES)}\
User www-data
Group www-data
ErrorLog /proc/self/fd/2
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog /proc/self/fd/1 common
DocumentRoot /var/www/html
DirectoryIndex index.html
<Directory /var/www/html>
    ForceType text/html
    Require all granted
</Directory>
"""
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\nwww-data:x:33:\n"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image is made of.

    Attributes:
        packages: Asked for by name; their dependencies come along.
        left_out: Patterns of paths that are not taken over, beside the common ones.
        files: Path -> content, written by rtlab.
        config: Part of the image's configuration: Cmd, ExposedPorts, StopSignal …
    """

    packages: tuple[str, ...]
    left_out: tuple[str, ...]
    files: Mapping[str, bytes]
    config: Mapping[str, Any]


RECIPES: Mapping[Role, Recipe] = {
    "httpd": Recipe(
        packages=("apache2-bin", "dash", "coreutils"),
        left_out=("usr/share/apache2/*", "usr/lib/*/libbrotlienc*"),
        files={"etc/apache2/rtlab.conf": _APACHE_CONFIG.encode(), "var/www/html/index.html": PAGE},
        config={
            "Cmd": ["/usr/sbin/apache2", "-DFOREGROUND", "-f", "/etc/apache2/rtlab.conf"],
            "ExposedPorts": {"80/tcp": {}},
            # As in the official image: finish requests, then end.
            "StopSignal": "SIGWINCH",
        },
    ),
    "tools": Recipe(
        packages=("bonnie++", "curl", "iperf3", "python3-minimal", "dash", "coreutils"),
        left_out=("usr/share/bonnie++/*",),
        files={},
        config={"Cmd": ["/bin/sh"]},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArchive:
    """An image as a file on the controller.

    Attributes:
        reference: Its name once loaded.
        path: The docker-archive.
        sha256: Of the file.
        image_id: ``sha256:…`` of the image's configuration: the id in Docker's classic image store.
        packages: Debian package -> version, of everything that went in.
    """

    role: Role
    reference: str
    path: Path
    sha256: str
    image_id: str
    packages: dict[str, str]


def reference(role: Role, suite: str) -> str:
    """The image's name on the machines: ``rtlab/httpd:debian-12``."""
    return f"rtlab/{role}:{suite}"


def host_suite(os_release: Path = Path("/etc/os-release")) -> str:
    """The suite whose packages this machine can fetch: its own, or debian-12 where that is not known to rtlab."""
    try:
        text = os_release.read_text(errors="replace")
    except OSError:
        text = ""
    fields = {m[1]: m[2] for m in re.finditer(r'^(ID|VERSION_ID)="?([^"\n]*)"?$', text, re.M)}
    suite = f"{fields.get('ID', '')}-{fields.get('VERSION_ID', '')}"
    return suite if suite in apt_sources.CODENAMES else "debian-12"


def build(role: str, *, suite: str = "", notify: Notify = ignore_events) -> ImageArchive:
    """The image of that role, from the cache or made now (5 to 60 s, mostly the download).

    Args:
        suite: ``debian-12`` …; empty: this machine's own.

    Raises:
        UsageError: no such role or suite.
        HostUnfit: mmdebstrap is missing, or the packages cannot be fetched.
    """
    recipe = RECIPES.get(role)  # type: ignore[call-overload]
    if recipe is None:
        raise UsageError(f"There is no image {role!r}.", remedy=f"Known images: {', '.join(ROLES)}.")
    suite = suite or host_suite()
    if suite not in apt_sources.CODENAMES:
        raise UsageError(f"There is no suite {suite!r}.", remedy=f"Known: {', '.join(apt_sources.CODENAMES)}.")
    known: Role = "httpd" if role == "httpd" else "tools"
    folder = cache.folder("images")
    stem = f"{known}-{suite}-{recipe_key(known, suite)[:16]}"
    with wait_for_lock(folder / f"{stem}.lock", f"building the {known} image", timeout_s=TIMEOUT_S):
        cached = _cached(folder, stem, known, suite)
        if cached is not None:
            return cached
        notify(Event(stage="images", message=f"making the {known} image from {suite}'s packages"))
        with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as work:
            root, packages = _extract(recipe, suite, Path(work), notify)
            archive, image_id = write_archive(
                Path(work) / "image.tar", root, recipe, reference(known, suite), packages, suite
            )
            root.unlink()
            made = ImageArchive(
                role=known,
                reference=reference(known, suite),
                path=folder / f"{stem}.tar",
                sha256=digest_of(archive),
                image_id=image_id,
                packages=packages,
            )
            os.replace(archive, made.path)
        # Last: an archive counts only with its description.
        atomic.write_json(folder / f"{stem}.json", {**asdict(made), "path": made.path.name})
        notify(Event(stage="images", message=f"the {known} image is ready", fraction=1.0))
        return made


def recipe_key(role: Role, suite: str) -> str:
    """SHA-256 over everything that decides what goes into the image, apart from the packages' versions."""
    recipe = RECIPES[role]
    content = {
        "version": RECIPE_VERSION,
        "role": role,
        "suite": suite,
        "architecture": platform.machine(),
        "packages": recipe.packages,
        "left_out": (*_LEFT_OUT, *recipe.left_out),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in recipe.files.items()},
        "accounts": [_PASSWD, _GROUP],
        "config": recipe.config,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# --------------------------------------------------------------------------- from packages to a root


def _extract(recipe: Recipe, suite: str, work: Path, notify: Notify) -> tuple[Path, dict[str, str]]:
    """The packages' files as a tar, and the packages' versions."""
    if shutil.which("mmdebstrap") is None:
        raise HostUnfit(
            "Images are made with mmdebstrap, which is not installed.",
            remedy="sudo apt-get install mmdebstrap (or: rtlab doctor --fix)",
        )
    chosen = apt_sources.choose(suite)
    if chosen.note:
        notify(Event(stage="images", message=chosen.note))
    # No suffix: by its content mmdebstrap knows lines from stanzas.
    sources = work / "sources"
    atomic.write_bytes(sources, apt_sources.text(chosen.sources).encode(), 0o644)
    root = work / "root.tar"
    work.chmod(0o755)
    result = run(
        (
            "mmdebstrap",
            "--variant=extract",
            f"--include={','.join(recipe.packages)}",
            "--aptopt=APT::Install-Recommends false",
            # The names of the packages' files say which versions went in: an extracted root has no dpkg status.
            '--extract-hook=cd "$1/var/cache/apt/archives" && for f in *.deb; do echo "rtlab-package $f" >&2; done',
            apt_sources.CODENAMES[suite][1],
            str(root),
            str(sources),
        ),
        timeout_s=TIMEOUT_S,
        env={"LC_ALL": "C", "SOURCE_DATE_EPOCH": str(EPOCH)},
    )
    text = result.stderr.decode("utf-8", "replace")
    if not result.ok:
        # The whole output names the mirror: only its errors are shown, without addresses.
        errors = [line for line in text.splitlines() if line.startswith(("E:", "W:"))] or text.splitlines()
        raise CommandFailed(
            "mmdebstrap could not fetch and extract the packages:\n"
            + re.sub(r"\w+://[^\s/]+", "<mirror>", "\n".join(errors[-8:])),
            remedy=apt_sources.explain(chosen, text),
            argv=result.argv,
            exit_status=result.exit_status,
        )
    return root, package_versions(re.findall(r"^rtlab-package (\S+)$", text, re.M))


def package_versions(file_names: Iterable[str]) -> dict[str, str]:
    """Package -> version from apt's names of .deb files: ``zlib1g_1%3a1.2.13-1_amd64.deb``."""
    found = {}
    for name in file_names:
        package, version, _ = name.split("_", 2)
        found[package] = urllib.parse.unquote(version)
    return dict(sorted(found.items()))


# --------------------------------------------------------------------------- from a root to an archive


def write_archive(
    path: Path, root: Path, recipe: Recipe, name: str, packages: Mapping[str, str], suite: str
) -> tuple[Path, str]:
    """Write a docker-archive with one layer; the same input gives the same bytes.

    Args:
        root: Tar with the files of the packages.

    Returns:
        The archive and the image's id (``sha256:…`` of its configuration).
    """
    layer = path.with_suffix(".layer")
    write_layer(layer, root, recipe)
    diff_id = digest_of(layer)
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": [_PATH],
            "WorkingDir": "/",
            "Labels": {
                "rtlab.source": "debian-packages" if suite.startswith("debian") else "ubuntu-packages",
                "rtlab.suite": suite,
                "rtlab.packages": " ".join(f"{p}={v}" for p, v in sorted(packages.items())),
            },
            **recipe.config,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": CREATED, "created_by": f"rtlab: {' '.join(recipe.packages)} of {suite}"}],
    }
    config_bytes = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    config_digest = hashlib.sha256(config_bytes).hexdigest()
    manifest = [{"Config": f"{config_digest}.json", "RepoTags": [name], "Layers": [f"{diff_id}/layer.tar"]}]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(*_entry("manifest.json", json.dumps(manifest, sort_keys=True).encode()))
        archive.addfile(*_entry(f"{config_digest}.json", config_bytes))
        info = _folder(diff_id)
        archive.addfile(info)
        with layer.open("rb") as content:
            info = _entry(f"{diff_id}/layer.tar", b"")[0]
            info.size = layer.stat().st_size
            archive.addfile(info, content)
    layer.unlink()
    return path, f"sha256:{config_digest}"


def write_layer(path: Path, root: Path, recipe: Recipe) -> None:
    """The image's one layer: what is kept of ``root``, merged under /usr, sorted, with fixed times, plus our files."""
    left_out = (*_LEFT_OUT, *recipe.left_out)
    with tarfile.open(root) as source, tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as layer:
        members: dict[str, tuple[tarfile.TarInfo, bytes | tarfile.TarInfo | None]] = {}
        for member in source:
            name = merged(member.name)
            if not name or _matches(name, left_out) or _is_unused_module(name) or member.isdev():
                continue
            members[name] = (_plain(member, name), member if member.isreg() else None)
        for name, mode in (("etc", 0o755), ("root", 0o700), ("run", 0o755), ("proc", 0o755), ("sys", 0o755)):
            members.setdefault(name, (_folder(name, mode), None))
        for name in ("dev", "usr", "usr/bin", "var", "var/www", "var/tmp", "var/log"):
            members.setdefault(name, (_folder(name, 0o1777 if name == "var/tmp" else 0o755), None))
        members["tmp"] = (_folder("tmp", 0o1777), None)
        for link in ("bin", "sbin", "lib", "lib64"):
            members[link] = (_link(link, f"usr/{link}"), None)
        members["usr/bin/sh"] = (_link("usr/bin/sh", "dash"), None)
        ours = {**recipe.files, "etc/passwd": _PASSWD.encode(), "etc/group": _GROUP.encode()}
        for name, content in ours.items():
            for parent in PurePosixPath(name).parents:
                if str(parent) != ".":
                    members.setdefault(str(parent), (_folder(str(parent)), None))
            members[name] = (_entry(name, content)[0], content)
        # A hard link can only follow the file that it links to.
        for name in sorted(members, key=lambda n: (members[n][0].islnk(), n)):
            info, data = members[name]
            if isinstance(data, tarfile.TarInfo):
                layer.addfile(info, source.extractfile(data))
            else:
                layer.addfile(info, io.BytesIO(data) if data is not None else None)


def merged(name: str) -> str:
    """A path of a package as it is with /usr merged: ``./lib/x`` becomes ``usr/lib/x``; empty for the top itself."""
    parts = [part for part in PurePosixPath(name).parts if part not in (".", "/")]
    if ".." in parts:
        raise StoreError(f"A package holds the path {name[:120]!r}, which leaves its root.")
    if not parts or (len(parts) == 1 and parts[0] in ("bin", "sbin", "lib", "lib64")):
        return ""
    if parts[0] in ("bin", "sbin", "lib", "lib64"):
        parts.insert(0, "usr")
    return "/".join(parts)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_unused_module(name: str) -> bool:
    found = re.fullmatch(r"usr/lib/apache2/modules/mod_(\w+)\.so", name)
    return found is not None and found[1] not in _APACHE_MODULES


def _plain(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    """A member with only what an image needs; a hard link's target is merged under /usr as well."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime = member.type, member.size, member.mode, EPOCH
    info.uid, info.gid = member.uid, member.gid
    info.linkname = merged(member.linkname) if member.islnk() else member.linkname
    return info


def _entry(name: str, content: bytes) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o644, EPOCH
    return info, io.BytesIO(content)


def _folder(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, mode, EPOCH
    return info


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = tarfile.SYMTYPE, target, 0o777, EPOCH
    return info


# --------------------------------------------------------------------------- the cache


def _cached(folder: Path, stem: str, role: Role, suite: str) -> ImageArchive | None:
    """The archive in the cache, if its bytes are what was written; a damaged one is made again."""
    try:
        data = json.loads((folder / f"{stem}.json").read_text())
        made = ImageArchive(**{**data, "role": role, "path": folder / f"{stem}.tar"})
    except (OSError, ValueError, TypeError):
        return None
    if made.reference != reference(role, suite) or not made.path.is_file() or digest_of(made.path) != made.sha256:
        return None
    return made
