"""Compiles programs from a Go module whose files are the ones of its pin.

Who vouches for what: the pin's ``h1`` for the module's own files, which are hashed here once more after they were
copied; the module's ``go.sum``, thereby pinned as well, for all that it needs, which Go checks (``-mod=readonly`` lets
nothing be added to it). What the user's environment says about proxies counts; what it says about compiling does not,
so that the same pin gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.artifacts import cache
from rtlab.artifacts.builds import compiler, h1, keeping, toolchain
from rtlab.artifacts.builds.keeping import STAGE, Obtained
from rtlab.artifacts.builds.kinds import GoModule, title
from rtlab.connection.shell import run
from rtlab.errors import CommandFailed, Unsafe
from rtlab.model import CommandResult, Event, Notify

DOWNLOAD_TIMEOUT_S = 1800.0
BUILD_TIMEOUT_S = 3600.0
# Whom Go asks, and whom it believes: the user's business.
_NETWORK = ("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOVCS", "GOAUTH")
# What would change the result if the user's environment had it; empty is Go's default.
_SILENCED = (
    "GOEXPERIMENT",
    "GODEBUG",
    "GOFIPS140",
    "GOROOT",
    "GO111MODULE",
    "GOBIN",
    "GOCACHEPROG",
    "CGO_CFLAGS",
    "CGO_CPPFLAGS",
    "CGO_CXXFLAGS",
    "CGO_LDFLAGS",
    "CC",
    "CXX",
    "AR",
    "PKG_CONFIG",
)
# The oldest processors that this architecture has, as the vendors' releases are made.
_PROCESSORS = {"x86_64": {"GOARCH": "amd64", "GOAMD64": "v1"}, "aarch64": {"GOARCH": "arm64", "GOARM64": "v8.0"}}


def obtain(build: GoModule, notify: Notify) -> Obtained:
    """The module's programs, from the cache or compiled now.

    Raises:
        HostUnfit: no Go and none to be had, or a compiler or library for C is missing.
        Unsafe: the module's files are not the pinned ones.
        CommandFailed: a download or the compiler failed.
    """
    go = toolchain.choose(build.go)

    def make(scratch: Path, programs: Path, log: Path) -> None:
        _make(build, go, scratch, programs, log, notify)

    return keeping.keep(build, made_with(build), make, notify)


def made_with(build: GoModule) -> dict[str, str]:
    """What of this machine decides the result; HostUnfit when a compiler or library for C is missing."""
    identity = compiler.identity(title(build), build.libraries, build.packages) if build.cgo else {}
    return {"go": toolchain.choose(build.go).version, "architecture": platform.machine(), **identity}


def _make(build: GoModule, go: toolchain.Choice, scratch: Path, programs: Path, log: Path, notify: Notify) -> None:
    program = toolchain.ready(go, notify)
    environment = _environment(program, scratch, build.cgo)
    notify(Event(stage=STAGE, message=f"fetching the source of {title(build)}", fraction=0.0))
    source = scratch / "source"
    _fetch(build, program, environment, scratch, source, log)
    if build.go_mod:
        shutil.copyfile(source / build.go_mod, source / "go.mod")
        shutil.copyfile((source / build.go_mod).with_suffix(".sum"), source / "go.sum")
    for module in build.dropped_replaces:
        edit = (program, "mod", "edit", f"-dropreplace={module}")
        _checked(run(edit, timeout_s=60, env=environment, cwd=source, log=log), build, "edit the go.mod", log)
    for number, (name, package) in enumerate(build.programs.items()):
        notify(
            Event(
                stage=STAGE,
                message=f"compiling {name} of {title(build)} with Go {go.version} "
                f"(the whole takes about {build.seconds:.0f} s on two cores)",
                fraction=(1 + number) / (1 + len(build.programs)),
            )
        )
        argv = (program, "build", *_flags(build), "-o", str(programs / name), _package(package))
        result = run(argv, timeout_s=BUILD_TIMEOUT_S, env=environment, cwd=source, log=log)
        _checked(result, build, f"compile {name}", log)
    notify(Event(stage=STAGE, message=f"{title(build)} is ready", fraction=1.0))


def _flags(build: GoModule) -> tuple[str, ...]:
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    if build.buildmode:
        flags.append(f"-buildmode={build.buildmode}")
    if build.tags:
        flags.append(f"-tags={','.join(build.tags)}")
    if build.ldflags:
        flags.append(f"-ldflags={' '.join(build.ldflags)}")
    return tuple(flags)


def _package(package: str) -> str:
    return package if package == "." or package.startswith("./") else f"./{package}"


def _fetch(
    build: GoModule, program: str, environment: Mapping[str, str], scratch: Path, source: Path, log: Path
) -> None:
    """The module's files in a folder of our own, verified twice: what Go says, and what was really copied."""
    wanted = f"{build.module}@{build.version}"
    empty = atomic.make_folder(scratch / "empty")
    result = run(
        (program, "mod", "download", "-json", wanted),
        timeout_s=DOWNLOAD_TIMEOUT_S,
        env=environment,
        cwd=empty,
        log=log,
    )
    answer = _json(result.stdout)
    if not result.ok or answer.get("Error") or not answer.get("Dir"):
        reason = str(answer.get("Error") or result.tail())
        raise CommandFailed(
            f"Cannot fetch {wanted}: {without_servers(reason)}",
            remedy="Check the network and the Go module proxy (`go env GOPROXY`), then run the same command again.",
            argv=result.argv,
            exit_status=result.exit_status,
            output_tail=without_servers(result.tail()),
        )
    if answer.get("Sum") != build.h1:
        raise Unsafe(
            f"{wanted} is not what was pinned: its hash is {answer.get('Sum')!s:.80}, expected {build.h1}.",
            remedy="Do not use it. Compare with sum.golang.org; if the pin is wrong, correct it.",
        )
    copied = h1.of_digests(copy_of(Path(str(answer["Dir"])), source, wanted))
    if copied != build.h1:
        shutil.rmtree(source)
        raise Unsafe(
            f"The files of {wanted} in the cache were changed: their hash is {copied}, expected {build.h1}.",
            remedy=f"Remove {cache.folder('go')} and run the same command again.",
        )


def copy_of(module: Path, target: Path, prefix: str) -> dict[str, str]:
    """Copy a module's folder, writable; return name (``prefix/path``) -> SHA-256 of what was copied."""
    digests = {}
    for parent, folders, files in os.walk(module):
        folders.sort()
        into = target / Path(parent).relative_to(module)
        into.mkdir()
        for name in files:
            # A module has plain files only; a link would lead out of what the hash covers.
            content = Path(parent, name).read_bytes() if not Path(parent, name).is_symlink() else b""
            (into / name).write_bytes(content)
            relative = Path(parent, name).relative_to(module).as_posix()
            digests[f"{prefix}/{relative}"] = hashlib.sha256(content).hexdigest()
    return digests


def _environment(program: str, scratch: Path, cgo: bool) -> dict[str, str]:
    """The user's network settings, and nothing else of theirs that decides the result."""
    asked = run((program, "env", "-json", *_NETWORK), timeout_s=60, env={"GOTOOLCHAIN": "local"})
    answers = _json(asked.stdout)
    network = {name: str(answers.get(name) or os.environ.get(name, "")) for name in _NETWORK}
    go = cache.folder("go")
    processor = _PROCESSORS.get(platform.machine(), {})
    return {
        **dict.fromkeys(_SILENCED, ""),
        **network,
        **processor,
        "CGO_ENABLED": "1" if cgo else "0",
        "GOENV": "off",
        # So that whoever removes the cache can: the module cache is read-only otherwise.
        "GOFLAGS": "-modcacherw",
        "GOOS": "linux",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOPATH": str(go),
        "GOMODCACHE": str(go / "mod"),
        "GOCACHE": str(go / "compiled"),
        "GOTMPDIR": str(atomic.make_folder(scratch / "tmp")),
        "LC_ALL": "C",
    }


def _json(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def without_servers(text: str) -> str:
    """Text of a tool without addresses: they name the user's proxy or mirror."""
    return re.sub(r"\w+://[^\s/]+", "<server>", text)


def _checked(result: CommandResult, build: GoModule, doing: str, log: Path) -> None:
    if result.ok:
        return
    what = f"no end after {BUILD_TIMEOUT_S:.0f} s" if result.timed_out else f"exit status {result.exit_status}"
    tail = without_servers(result.tail())
    raise CommandFailed(
        f"Could not {doing} of {title(build)}: {what}.\n{tail}",
        remedy=f"The whole output is in {log}.",
        argv=result.argv,
        exit_status=result.exit_status,
        output_tail=tail,
    )
