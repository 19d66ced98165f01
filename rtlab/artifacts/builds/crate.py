"""Compiles programs from a crate whose file is the one of its pin, with the dependencies that its Cargo.lock names."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from rtlab.artifacts.builds import compiler, keeping
from rtlab.artifacts.builds.gomodule import without_servers
from rtlab.artifacts.builds.keeping import STAGE, Obtained
from rtlab.artifacts.builds.kinds import Crate, title
from rtlab.artifacts.builds.toolchain import numbers
from rtlab.connection.shell import run
from rtlab.errors import CommandFailed, HostUnfit, Unsafe
from rtlab.files import digest_of
from rtlab.model import Event, Notify

DOWNLOAD_TIMEOUT_S = 1800.0
BUILD_TIMEOUT_S = 3600.0
# `cargo info`, by which the file is fetched, came with it.
_OLDEST_CARGO = "1.82"


def obtain(build: Crate, notify: Notify) -> Obtained:
    """The crate's programs, from the cache or compiled now.

    Raises:
        HostUnfit: Rust, a compiler or a library is missing or too old.
        Unsafe: the crate's file is not the pinned one.
        CommandFailed: a download or the compiler failed.
    """

    def make(scratch: Path, programs: Path, log: Path) -> None:
        _make(build, scratch, programs, log, notify)

    return keeping.keep(build, made_with(build), make, notify)


def made_with(build: Crate) -> dict[str, str]:
    """What of this machine decides the result; HostUnfit when Rust, a compiler or a library is missing or too old."""
    return {
        "rust": _rust(build),
        "architecture": platform.machine(),
        **compiler.identity(title(build), build.libraries, build.packages),
    }


def _rust(build: Crate) -> str:
    """The compiler's version; HostUnfit when it is missing or too old."""
    oldest = max((build.rust, _OLDEST_CARGO), key=numbers)
    versions = {}
    for program in ("rustc", "cargo"):
        answer = run((program, "--version"), timeout_s=60).stdout.decode() if shutil.which(program) else ""
        match = re.match(rf"{program} (\d+\.\d+\.\d+)", answer)
        versions[program] = match[1] if match else ""
    unfit = [
        f"{name} {version or 'missing'}" for name, version in versions.items() if numbers(version) < numbers(oldest)
    ]
    if unfit:
        raise HostUnfit(
            f"Building {title(build)} needs Rust {oldest} or newer; this machine has: {', '.join(unfit)}.",
            remedy="On Debian 12: sudo apt-get install rustc-web cargo-web; elsewhere Rust of rustup.rs.",
        )
    return versions["rustc"]


def _make(build: Crate, scratch: Path, programs: Path, log: Path, notify: Notify) -> None:
    notify(Event(stage=STAGE, message=f"fetching the source of {title(build)}", fraction=0.0))
    source = _unpacked(build, _fetch(build, scratch, log), scratch)
    notify(
        Event(
            stage=STAGE,
            message=f"compiling {title(build)} (it takes about {build.seconds:.0f} s on two cores)",
            fraction=0.2,
        )
    )
    target = f"{platform.machine()}-unknown-linux-gnu"
    # Where it was built must not be in the program; the registry's folder is below cargo's.
    flags = [f"--remap-path-prefix={_cargo_home()}=/cargo", f"--remap-path-prefix={scratch}=/build"]
    environment = {
        "CARGO_INCREMENTAL": "0",
        "RUSTC_WRAPPER": "",
        # A repository that the cache happens to lie in is not the crate's.
        "GIT_CEILING_DIRECTORIES": str(scratch),
        "LC_ALL": "C",
    }
    if build.static:
        flags.append("-Ctarget-feature=+crt-static")
        for library in build.libraries:
            # The convention of the -sys crates of libseccomp.
            stem = library.partition(".")[0].upper()
            environment |= {f"{stem}_LINK_TYPE": "static", f"{stem}_LIB_PATH": str(_folder_of(library))}
    environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(flags)
    argv = [
        *("cargo", "build", "--release", "--locked", "--target", target, "--target-dir", str(scratch / "target")),
        *(f"--features={','.join(build.features)}" for _ in build.features[:1]),
        *(() if build.default_features else ("--no-default-features",)),
        *(f"--bin={binary}" for binary in build.programs.values()),
    ]
    result = run(argv, timeout_s=BUILD_TIMEOUT_S, env=environment, cwd=source, log=log)
    if not result.ok:
        tail = without_servers(result.tail())
        what = f"no end after {BUILD_TIMEOUT_S:.0f} s" if result.timed_out else f"exit status {result.exit_status}"
        raise CommandFailed(
            f"Could not compile {title(build)}: {what}.\n{tail}",
            remedy=f"The whole output is in {log}.",
            argv=result.argv,
            exit_status=result.exit_status,
            output_tail=tail,
        )
    for name, binary in build.programs.items():
        os.replace(scratch / "target" / target / "release" / binary, programs / name)
    notify(Event(stage=STAGE, message=f"{title(build)} is ready", fraction=1.0))


def _folder_of(library: str) -> Path:
    file = compiler.where(library)
    assert file is not None  # compiler.identity has seen it
    return file.parent


def _cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def _fetch(build: Crate, scratch: Path, log: Path) -> Path:
    """The .crate file, by cargo from the registry that the user configured, its digest checked."""
    wanted = f"{build.crate}@{build.version}"
    result = run(("cargo", "info", wanted), timeout_s=DOWNLOAD_TIMEOUT_S, cwd=scratch, log=log)
    files = sorted((_cargo_home() / "registry" / "cache").glob(f"*/{build.crate}-{build.version}.crate"))
    if not result.ok or not files:
        raise CommandFailed(
            f"Cannot fetch the crate {wanted}: {without_servers(result.tail())}",
            remedy="Check the network and cargo's configuration, then run the same command again.",
            argv=result.argv,
            exit_status=result.exit_status,
        )
    digests = {digest_of(file): file for file in files}
    if build.sha256 not in digests:
        raise Unsafe(
            f"The crate {wanted} is not what was pinned: its SHA-256 is {', '.join(digests)}, expected {build.sha256}.",
            remedy="Do not use it. Compare with crates.io; if the pin is wrong, correct it.",
        )
    return digests[build.sha256]


def _unpacked(build: Crate, file: Path, scratch: Path) -> Path:
    """The crate's plain files in a folder of our own."""
    root = scratch / "source"
    prefix = f"{build.crate}-{build.version}/"
    with tarfile.open(file) as archive:
        for member in archive:
            name = member.name.removeprefix(prefix)
            if not member.isreg():
                continue
            if name == member.name or ".." in PurePosixPath(name).parts:
                raise Unsafe(f"{title(build)}: its file holds the path {member.name[:120]!r}.")
            content = archive.extractfile(member)
            assert content is not None
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as out:
                shutil.copyfileobj(content, out)
    return root
