"""The probe: proofs that are deceived on recorded facts, meters and polls against real processes, engines that hang."""

from __future__ import annotations

import ast
import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import rtlab
from rtlab import plugins
from rtlab.connection import archive
from rtlab.engines.docker import client
from rtlab.experiments.network import measure as network
from rtlab.probe import base, kernel, leaks, needs, page, proof, window
from rtlab.probe.engine import STDERR, Limits, ending, shim_of, without_registry
from rtlab.runtimes.gvisor import proof as gvisor
from rtlab.runtimes.kata import proof as kata

if sys.version_info >= (3, 11):
    pass
else:
    pass

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = Path(rtlab.__file__).parent
CID = "c0ffee" + "0" * 58


# pyenv's own command `python3.6` is none unless that version was chosen.
PYENV = sorted(str(p) for p in Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6"))
PYTHON_3_6 = PYENV[-1] if PYENV else shutil.which("python3.6")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("probe") / "probe.pyz"
    file.write_bytes(archive.built())
    return file


@pytest.mark.parametrize("path", archive.modules())
def test_what_is_shipped_is_python_3_6_of_the_standard_library(path: str) -> None:
    tree = ast.parse(archive.modules()[path], feature_version=(3, 6))
    names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert "annotations" not in {a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    ours = {name for name in names if name.split(".")[0] == "rtlab"}
    own = path.rpartition("/")[0].replace("/", ".")
    assert all(name.startswith(("rtlab.probe", f"{own}.")) for name in ours)
    assert {name.split(".")[0] for name in names - ours} <= sys.stdlib_module_names


def test_the_archive_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    """Also from a copy whose files are younger, have other rights, and lie in another order."""
    copy = tmp_path / "elsewhere" / "rtlab"
    for path, content in reversed(archive.modules().items()):
        file = tmp_path / "elsewhere" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o700)
    assert archive.build(copy) == archive.built()
    (copy / "probe" / "base.py").write_bytes(b"# another\n")
    assert archive.build(copy) != archive.built()


def test_it_holds_the_machines_half_of_every_plug_in(built: Path) -> None:
    with zipfile.ZipFile(built) as opened:
        listed = set(opened.namelist())
        assert {entry.compress_type for entry in opened.infolist()} == {zipfile.ZIP_STORED}
    halves_of = [("experiments", "measure"), ("runtimes", "proof"), ("engines", "client"), ("engines", "messages")]
    for room, half in halves_of:
        halves = {str(file.relative_to(PACKAGE.parent)) for file in (PACKAGE / room).glob(f"*/{half}.py")}
        assert halves and halves <= listed
    assert {f"rtlab/experiments/{name}/measure.py" for name in plugins.names("experiments")} <= listed
    assert {f"rtlab/runtimes/{plugins.runtime(n).proof}/proof.py" for n in plugins.names("runtimes")} <= listed


@pytest.mark.skipif(PYTHON_3_6 is None, reason="there is no Python 3.6 here")
def test_it_runs_under_python_3_6(engine: Any, built: Path) -> None:
    assert PYTHON_3_6 is not None
    _, path = engine({"GET /info": b'{"Runtimes": {"runc": {}}}', "GET /images/json": b"[]", **LOST})
    _, facts, _ = ask(request_to(path, verb="facts", timeout_s=20), PYTHON_3_6)
    assert (facts["outcome"], facts["python"][:4], list(facts["runtimes"])) == ("ok", "3.6.", ["runc"])
    _, ready, _ = ask(request_to(path, verb="ready"), PYTHON_3_6)
    assert (ready["outcome"], ready["blocking"]) == ("ok", False)
    status, trial, _ = ask(request_to(path, parameters={}), PYTHON_3_6)
    assert (status, trial["outcome"]) == (0, "failed") and "KeyError" in trial["reason"]


@pytest.mark.skipif(PYTHON_3_6 is None, reason="there is no Python 3.6 here")
def test_every_module_of_it_loads_under_python_3_6(built: Path) -> None:
    """Also those that no trial of one engine needs."""
    assert PYTHON_3_6 is not None
    names = [path[: -len(".py")].replace("/", ".") for path in archive.modules() if not path.endswith("__main__.py")]
    code = f"import sys, importlib; sys.path.insert(0, {str(built)!r}); [importlib.import_module(n) for n in {names!r}]"
    done = subprocess.run((PYTHON_3_6, "-c", code), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# --------------------------------------------------------------------------- proofs


BUILDS = {
    name: hashlib.sha256(name.encode()).hexdigest() for name in ("runc", "crun", "youki", "runsc", "kata", "qemu")
}
SHIM = "5" * 64
MACHINE, GUEST = "11111111-2222-3333-4444-555555555555", "99999999-8888-7777-6666-555555555555"


def seen(runtime: str) -> dict[str, Any]:
    """Evidence as the runtime leaves it; ``test_recorded_evidence`` holds the same rules to what real ones left."""
    program = {"gvisor": "runsc"}.get(runtime, runtime)
    found: dict[str, Any] = {
        "machine_boot_id": MACHINE,
        "inside_boot_id": {"gvisor": "none", "kata": GUEST}.get(runtime, MACHINE),
        "inside_version": "Linux version",
        "entry": {"path": f"/opt/{program}", "sha256": BUILDS[program]},
        "wanted_sha256": BUILDS[program],
        "shim_sha256": SHIM,
        "binary": f"/opt/{program}",
        "binary_sha256": BUILDS[program],
        "binary_is_script": False,
        "running": [],
        "kvm_held_by": [],
        "state_files": [],
    }
    if runtime == "runc":
        found.update(state_files=["state.json"], state_is_runcs=True)
    if runtime == "crun":
        found.update(state_files=["config.json", "status"], state_is_runcs=False)
    if runtime == "youki":
        found.update(state_files=["state.json", "youki_config.json"], state_is_runcs=False)
    if runtime == "gvisor":
        found.update(running=[["exe", BUILDS["runsc"]]])
    if runtime == "kata":  # with a shim of its own; 1.x is a case of its own below
        found.update(
            binary=None, binary_sha256=None, shim_sha256=BUILDS["kata"], kvm_held_by=[["qemu", BUILDS["qemu"]]]
        )
        found.update(running=[["qemu", BUILDS["qemu"]], ["virtiofsd", "7" * 64]])
    return found


FAMILY = ["runc", "crun", "youki", "gvisor", "kata"]


@pytest.mark.parametrize("runtime", FAMILY)
def test_a_runtime_is_proved_by_its_own_evidence(runtime: str) -> None:
    assert proof.objections(runtime, seen(runtime)) == []
    # The first time, nothing is known but what the engine's entry comes to.
    assert proof.objections(runtime, {**seen(runtime), "wanted_sha256": None}) == []


@pytest.mark.parametrize("claimed", FAMILY)
@pytest.mark.parametrize("real", FAMILY)
@pytest.mark.parametrize("known", [True, False])
def test_no_runtime_passes_for_another(claimed: str, real: str, known: bool) -> None:
    """An entry of the engine that is called ``claimed`` and leads to ``real``, known from `up` or never seen before."""
    if claimed != real:
        evidence = seen(real)
        evidence["wanted_sha256"] = seen(claimed)["wanted_sha256"] if known else None
        assert proof.objections(claimed, evidence)


OTHER = "e" * 64


@pytest.mark.parametrize(
    ("runtime", "lie", "objection"),
    [
        # A binary called runc that is crun: only crun leaves `status` for the container.
        ("runc", {"state_files": ["config.json", "status"], "state_is_runcs": False}, "state file"),
        ("crun", {"state_files": ["state.json"], "state_is_runcs": True}, "status file"),
        ("youki", {"state_files": ["state.json"]}, "youki's own file"),
        # daemon.json's "kata" entry points at runc: the path is right, the kernel is not.
        ("kata", {"inside_boot_id": MACHINE}, "no kernel of its own"),
        ("kata", {"inside_boot_id": "none"}, "no kernel of its own"),
        # A VMM without hardware virtualization (a fallback to TCG), or one that died.
        ("kata", {"kvm_held_by": []}, "holds /dev/kvm"),
        # Another shim than the installed Kata's.
        ("kata", {"shim_sha256": OTHER}, "names another program"),
        ("kata", {"shim_sha256": None}, "names another program"),
        # The sandbox runs a runsc of another version than the installed one.
        ("gvisor", {"running": [["exe", OTHER]]}, "no process of this container runs the installed runsc"),
        ("gvisor", {"running": []}, "nothing that could be read"),
        # gVisor that fell back to runC: sandbox or not, the kernel is the machine's.
        ("gvisor", {"inside_boot_id": MACHINE}, "no kernel of gVisor's"),
        ("gvisor", {"kvm_held_by": [["qemu", BUILDS["qemu"]]]}, "virtual machine of another program"),
        ("runc", {"binary": None, "binary_sha256": None}, "names another program"),
        ("runc", {"binary_sha256": OTHER}, "names another program"),
        # A wrapper that execs runC: it leaves runC's files, and what it runs today it need not run tomorrow.
        ("runc", {"binary": "/opt/wrap", "binary_is_script": True}, "names a script"),
        ("runc", {"inside_boot_id": "another"}, "another kernel"),
        ("runc", {"inside_version": None}, "did not tell"),
        ("runc", {"kvm_held_by": [["containerd-shim", SHIM]]}, "holds a virtual machine"),
        # Nothing was told on either side: two unknowns are not the same kernel.
        ("runc", {"inside_boot_id": None, "machine_boot_id": None}, "another kernel"),
        ("crun", {"inside_boot_id": "", "machine_boot_id": ""}, "another kernel"),
        # Put in place after `up`: the entry, the bundle and the sandbox all agree, and are not what was proved.
        ("runc", {"entry": {"sha256": OTHER}, "binary_sha256": OTHER}, "another build was put in place"),
        ("gvisor", {"entry": {"sha256": OTHER}, "running": [["exe", OTHER]]}, "another build was put in place"),
        ("kata", {"entry": {"sha256": OTHER}, "shim_sha256": OTHER}, "another build was put in place"),
        # The same runsc, with another sentry beside it than `up` proved.
        ("gvisor", {"entry": {"sha256": BUILDS["runsc"], "parts": {"gvisor_sentry": OTHER}}}, "another build"),
        ("gvisor", {"entry": {"path": "/gone", "sha256": None}}, "names no program"),
        ("runc", {"entry": {}, "wanted_sha256": None, "binary_sha256": None}, "names no program"),
    ],
)
def test_a_deception_is_objected_to(runtime: str, lie: dict[str, Any], objection: str) -> None:
    evidence = {**seen(runtime), **lie}
    assert any(objection in problem for problem in proof.objections(runtime, evidence))


@pytest.mark.parametrize(
    ("runtime", "way"),
    [
        # runC behind the same engine under another name, from another folder: it is the build that counts.
        ("runc", {"binary": "/opt/rtlab/bin/runc-1.3.3", "shim": "containerd-shim-runc-v2"}),
        # Docker 23 and later names gVisor's wrapper in the bundle; the sandbox tells what runs.
        ("gvisor", {"binary": "/var/lib/docker/runtimes/7f/runsc.NFR97", "binary_is_script": True}),
        ("gvisor", {"inside_version": "Linux version 4.19.0-gvisor #1 SMP Sun Jan 10 15:06:54 PST 2016"}),
        # On the kvm platform the sandbox itself holds the virtual machine.
        ("gvisor", {"kvm_held_by": [["exe", BUILDS["runsc"]]]}),
        # As shim v2: the entry names the shim, which calls runsc.
        (
            "gvisor",
            {"entry": {"sha256": SHIM, "runtime_sha256": BUILDS["runsc"]}, "binary": None, "binary_sha256": None},
        ),
        # Releases since 2026-07: a sentry of its own beside runsc boots the sandbox.
        (
            "gvisor",
            {
                "entry": {"sha256": BUILDS["runsc"], "parts": {"gvisor_sentry": OTHER, "x": "d" * 64}},
                "running": [["gvisor_sentry", OTHER]],
                "wanted_sha256": hashlib.sha256("\n".join([BUILDS["runsc"], OTHER, "d" * 64]).encode()).hexdigest(),
            },
        ),
        # Dragonball and OpenVMM live in the shim.
        ("kata", {"running": [], "kvm_held_by": [["containerd-shim", BUILDS["kata"]]]}),
        # 1.x: a command-line runtime behind runC's shim.
        ("kata", {"shim_sha256": SHIM, "binary": "/opt/kata/bin/kata-runtime", "binary_sha256": BUILDS["kata"]}),
    ],
)
def test_names_and_versions_do_not_matter(runtime: str, way: dict[str, Any]) -> None:
    assert proof.objections(runtime, {**seen(runtime), **way}) == []


RECORDED = sorted((GOLDEN / "proof").glob("*.json"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_recorded_evidence(file: Path) -> None:
    """What real runtimes left under real engines: each passes as itself and as nothing else."""
    recorded = json.loads(file.read_text())
    for claimed in FAMILY:
        problems = proof.objections(claimed, recorded["evidence"])
        assert bool(problems) == (claimed != recorded["runtime"]), f"{claimed}: {problems}"


def test_a_proof_nobody_knows_proves_nothing() -> None:
    assert proof.objections("railcar", seen("runc"))


@pytest.mark.parametrize(
    ("script", "followed"),
    [
        ("#!/bin/sh\n/opt/runsc --platform=systrap $@\n", True),
        ('#!/bin/sh\n/opt/runsc --debug "$@"\n', True),
        # Not dockerd's: more than one command, another shell, no arguments handed on.
        ("#!/bin/sh\n/opt/runsc $@\n/bin/true\n", False),
        ("#!/bin/bash\n/opt/runsc $@\n", False),
        ("#!/bin/sh\n/opt/runsc --version\n", False),
        ("\x7fELF", False),
    ],
)
def test_only_the_engines_own_wrapper_is_followed(tmp_path: Path, script: str, followed: bool) -> None:
    (tmp_path / "runtimes").mkdir()
    for folder in (tmp_path / "runtimes", tmp_path):
        path = folder / "runsc.NFR97"
        path.write_text(script)
        found = client.wrapped_by_engine(str(path), str(tmp_path / "runtimes"))
        assert found == ("/opt/runsc" if followed and folder != tmp_path else str(path))
    # A link in that folder to a script elsewhere is somebody else's script.
    (tmp_path / "runtimes" / "link").symlink_to(tmp_path / "runsc.NFR97")
    link = str(tmp_path / "runtimes" / "link")
    assert client.wrapped_by_engine(link, str(tmp_path / "runtimes")) == link


# --------------------------------------------------------------------------- meters and leaks, on real processes


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


BURN = """
import os, sys, time
held = bytearray(64 << 20)
held[::4096] = b"x" * (len(held) // 4096)
while sum(os.times()[:2]) < 1.0: pass
print("done", flush=True); sys.stdin.read()
"""


@pytest.fixture
def cid() -> str:
    """Nobody else's: the probe that another test runs, at the same time, kills all that is left of its container."""
    return uuid.uuid4().hex * 2


@pytest.fixture
def shim(tmp_path: Path) -> str:
    """A shell that the kernel calls containerd-shim."""
    path = tmp_path / "containerd-shim"
    path.symlink_to("/bin/sh")
    return str(path)


def test_meters_read_a_known_load(spawn: Callable[..., subprocess.Popen[str]], shim: str, cid: str) -> None:
    # One CPU-second and 64 MiB in a process that a shim with the id in its command line started.
    tree = spawn(shim, "-c", '"$@"; true', cid, sys.executable, "-c", BURN)
    bare = spawn(
        shim, "-c", '"$@"; true', cid[::-1], sys.executable, "-c", 'import sys; print("x", flush=True); input()'
    )
    assert tree.stdout is not None and bare.stdout is not None
    assert tree.stdout.readline() == "done\n"
    assert bare.stdout.readline() == "x\n"

    assert len(needs.needed_by(cid)) == 2
    assert sum(needs.cpu_of_process(pid) for pid in needs.needed_by(cid)) == pytest.approx(1.0, rel=0.05)
    held = needs.pss_bytes(cid) - needs.pss_bytes(cid[::-1])
    assert held == pytest.approx(64 * 2**20, rel=0.05)


SHARED = """
import ctypes, time
held = bytearray(64 << 20)
held[::4096] = b"x" * (len(held) // 4096)
print("done", flush=True)
ctypes.CDLL(None).vfork()
time.sleep(600)
"""


def test_processes_of_one_address_space_are_counted_once(
    spawn: Callable[..., subprocess.Popen[str]], shim: str, cid: str
) -> None:
    """As gVisor's stubs are on systrap. Each of them shows all pages of it."""
    tree = spawn(shim, "-c", '"$@"; true', cid, sys.executable, "-c", SHARED)
    bare = spawn(shim, "-c", '"$@"; true', cid[::-1], sys.executable, "-c", "print('x', flush=True); input()")
    assert tree.stdout is not None and bare.stdout is not None
    assert (tree.stdout.readline(), bare.stdout.readline()) == ("done\n", "x\n")
    deadline = time.monotonic() + 10
    while len(needs.needed_by(cid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        parent, child = sorted(needs.needed_by(cid))[1:]
        assert needs.address_spaces([parent, child, os.getpid()]) == sorted([os.getpid(), parent])
        held = (needs.pss_bytes(cid) or 0) - (needs.pss_bytes(cid[::-1]) or 0)
        assert held == pytest.approx(64 * 2**20, rel=0.05)
    finally:
        leaks.kill_all_of(cid)


def test_a_process_that_outlives_its_container_is_a_leak(
    spawn: Callable[..., subprocess.Popen[str]], shim: str, cid: str
) -> None:
    assert leaks.leaks_of(cid, patience_s=0) == []
    process = spawn(shim, "-c", "echo; read x; true", cid)
    assert process.stdout is not None and process.stdout.readline() == "\n"
    assert leaks.leaks_of(cid, patience_s=0) == ["process containerd-shim"]


def test_a_program_that_merely_mentions_the_container_is_no_part_of_it(
    spawn: Callable[..., subprocess.Popen[str]], cid: str
) -> None:
    """A `docker logs`, a grep, a shell of somebody who looks: counted, their CPU time would be the container's."""
    process = spawn("sh", "-c", "echo; read x; true", "docker", "logs", cid)
    assert process.stdout is not None and process.stdout.readline() == "\n"
    assert needs.needed_by(cid) == {}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eth0: 52:54:00:AF:33:01 up", "eth0: xx:xx:xx:xx:xx:xx up"),
        # As the kernel's firewall logs: both hardware addresses and the protocol in one.
        (
            "IN=eth0 MAC=52:54:00:af:33:01:52:54:00:af:33:02:08:00 SRC=10.1.2.3",
            "IN=eth0 MAC=xx:xx:xx:xx:xx:xx SRC=x.x.x.x",
        ),
        ("SRC=fe80:0:0:0:5054:ff:feaf:3301 DST=ff02::16 LEN=76", "SRC=x::x DST=x::x LEN=76"),
        ("systemd[1]: Hostname set to <bench-7>.", "systemd[1]: Hostname set to <<host>>."),
        ("bench-70 and my-bench-7 are others", "bench-70 and my-bench-7 are others"),
        ("Linux version 6.1.0 (me@bench-7) (gcc 12) #1 SMP", "Linux version 6.1.0 (gcc 12) #1 SMP"),
        ("docker0: port 1(veth75aebf3) entered blocking state", "docker0: port 1(veth75aebf3) entered blocking state"),
        ("pci 0000:00:1f.0: hello", "pci 0000:00:1f.0: hello"),
        ("std::string and a:", "std::string and a:"),
    ],
)
def test_addresses_and_names_do_not_leave_the_machine(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "bench-7")
    assert kernel.anonymous(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("BOOT_IMAGE=/boot/vmlinuz root=UUID=12-34 ro quiet psi=1", "ro quiet psi=1"),
        ("ip=10.0.0.2::10.0.0.1:255.255.255.0:bench-7:eth0:off mitigations=off", "mitigations=off"),
        ("psi=1 systemd.hostname=bench-7 ds=nocloud-net;s=http://seed.example/", "psi=1"),
        ("psi=1 -- --addr 10.0.0.2:2024 --token x\n", "psi=1"),
        ("", ""),
    ],
)
def test_the_kernels_command_line_names_no_host_or_disk(line: str, shown: str) -> None:
    assert kernel.kernel_command_line(line) == shown


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("mirror.example.org/library/debian:12", "library/debian:12"),
        ("localhost:5000/httpd@sha256:00", "httpd@sha256:00"),
        ("localhost/httpd", "httpd"),
        ("rtlab/httpd:debian-12", "rtlab/httpd:debian-12"),
        ("debian:12", "debian:12"),
    ],
)
def test_images_are_named_without_their_registry(reference: str, shown: str) -> None:
    assert without_registry(reference) == shown


# --------------------------------------------------------------------------- what /proc may lack


def test_a_kernel_without_psi_says_so_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    isdir = kernel.os.path.isdir
    monkeypatch.setattr(kernel.os.path, "isdir", lambda path: path != "/proc/pressure" and isdir(path))
    described = kernel.Surroundings().describe()
    assert described["psi_some_s"] is None
    assert "no /proc/pressure" in described["psi_missing"]
    assert described["uptime_s"] > 0


def test_psi_that_is_switched_off_is_no_pressure_of_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    """psi=0: the files are there, and reading them fails."""
    real = kernel.read
    monkeypatch.setattr(kernel.os.path, "isdir", lambda path: True)
    monkeypatch.setattr(kernel, "read", lambda path, default="": default if "pressure" in path else real(path))
    assert kernel.pressure() == (None, "the kernel does not fill /proc/pressure")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_kernel_messages_that_may_not_be_opened_are_none(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(kernel.os, "open", refuse)
    assert kernel.kernel_messages(7) == (7, [])


@pytest.mark.parametrize(
    ("reads", "found"),
    [
        # Overwritten while we read (EPIPE): the next record follows. Then nothing more for now.
        ([errno.EPIPE, b"6,8,1,-;new\n SUBSYSTEM=x\n", errno.EAGAIN], (8, ["new"])),
        # Reading fails for good: an end, not an endless loop.
        ([b"6,8,1,-;new\n", errno.EINVAL], (8, ["new"])),
        ([errno.EIO], (7, [])),
        ([b"garbage", b"6,x,1;y", b"6,7,1,-;old\n", errno.EAGAIN], (7, [])),
    ],
)
def test_kernel_messages_end(reads: list[Any], found: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    left = list(reads)

    def read(*_: object) -> bytes:
        record = left.pop(0)
        if isinstance(record, int):
            raise OSError(record, "no")
        return bytes(record)

    with monkeypatch.context() as patch:
        patch.setattr(kernel.os, "open", lambda *_: 99)
        patch.setattr(kernel.os, "close", lambda _: None)
        patch.setattr(kernel.os, "read", read)
        result = kernel.kernel_messages(7)
    assert result == found
    assert left == []


@pytest.mark.parametrize(
    ("path", "top"),
    [
        (f"/docker/{CID}", f"/docker/{CID}"),
        (f"/docker/{CID}/init.scope/x", f"/docker/{CID}"),
        (f"/system.slice/docker-{CID}.scope/init.scope", f"/system.slice/docker-{CID}.scope"),
        (f"/kata_overhead/{CID}", f"/kata_overhead/{CID}"),
        ("/user.slice", ""),
    ],
)
def test_a_containers_cgroup_is_the_outermost_that_names_it(path: str, top: str) -> None:
    assert needs.outermost(path, CID) == top


# --------------------------------------------------------------------------- the page


@pytest.fixture
def mirror() -> Iterator[Any]:
    server = network.Mirror("127.0.0.1", 1000, 100_000)
    server.start()
    yield server
    server.close()


def serve_once(answer: bytes) -> int:
    """A server that gives one connection this answer; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(answer)
        connection.close()
        listener.close()

    threading.Thread(target=run, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nIt works", True),
        (b"HTTP/1.1 200 OK\r\n\r\nIt wor", False),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nIt works", False),
        (b"HTTP/1.1 200", False),
        (b"", False),
    ],
)
def test_only_the_whole_right_page_counts(answer: bytes, there: bool) -> None:
    wanted = hashlib.sha256(b"It works").hexdigest()
    assert page.page_is_there("127.0.0.1", serve_once(answer), wanted, 2.0) is there


def test_a_page_that_drips_is_given_up_at_the_time_limit() -> None:
    """Each byte comes in time, the page does not: the limit is one for the whole attempt."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000:
                    if stop.wait(0.05):
                        return
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        assert page.page_is_there("127.0.0.1", listener.getsockname()[1], "", 0.5) is False
        assert time.monotonic() - began < 2
        stop.set()
        thread.join()


def test_nobody_listening_is_no_page() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert page.page_is_there("127.0.0.1", port, "", 1.0) is False


def test_an_accept_without_an_answer_is_no_page() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert page.page_is_there("127.0.0.1", listener.getsockname()[1], "", 0.1) is False


def test_the_native_peer_times_requests_and_transfers(mirror: Any) -> None:
    # Requests 20 ms apart by the client's clock, on one connection; then one transfer.
    with socket.create_connection(("127.0.0.1", mirror.port)) as client:
        for _ in range(4):
            client.sendall(b"GET /small HTTP/1.1\r\n\r\n")
            assert client.recv(1000).endswith(b"ok\n")
            time.sleep(0.02)
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        got = 0
        while got < 100_000:
            got += len(client.recv(65536))
    deadline = time.monotonic() + 5
    while mirror.big is None and time.monotonic() < deadline:
        time.sleep(0.01)

    gaps = [b - a for a, b in zip(mirror.small_ns, mirror.small_ns[1:], strict=False)]
    assert len(gaps) == 3
    assert all(20e6 <= gap < 2e9 for gap in gaps)
    assert mirror.big["bytes"] == 100_000


# --------------------------------------------------------------------------- the engine


def frame(kind: int, text: bytes) -> bytes:
    return struct.pack(">BxxxI", kind, len(text)) + text


class FakeEngine(threading.Thread):
    """Speaks just enough HTTP on a Unix socket; ``answers`` maps "METHOD /path" to a body, None hangs."""

    def __init__(self, path: Path, answers: dict[str, bytes | None]) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.asked: list[str] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)
        self.held: list[socket.socket] = []
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            head = connection.recv(65536).decode()
            if not head:  # asked who listens, no more
                connection.close()
                continue
            line = " ".join(head.split()[:2]).split("?")[0]
            self.asked.append(line)
            body = self.answers.get(line, b"{}")
            if body is None:
                self.held.append(connection)
                continue
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.close()

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.held:
            connection.close()
        self.join(5)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[dict[str, bytes | None]], tuple[FakeEngine, str]]]:
    fakes: list[FakeEngine] = []

    def start(answers: dict[str, bytes | None]) -> tuple[FakeEngine, str]:
        path = tmp_path / "docker.sock"
        fakes.append(FakeEngine(path, answers))
        return fakes[-1], str(path)

    yield start
    for fake in fakes:
        fake.stop()


LISTED = json.dumps([{"Id": CID}]).encode()
LOST = {"GET /containers/json": LISTED}


def request_to(path: str, **changes: Any) -> dict[str, Any]:
    request = {
        "schema": 1,
        "verb": "trial",
        "experiment": "boot",
        "engine": {"name": "docker", "socket": path, "cli": "/bin/false"},
        "netns": None,
        "home": "/tmp",
        "runtime": {"name": "runc", "docker_name": "runc", "proof": "runc", "own_kernel": False},
        "labels": {"rtlab.testbed": "0123abcd", "rtlab.trial": "0001"},
        "timeout_s": 1.0,
        "images": {"httpd": "h", "tools": "t"},
        "parameters": {"page_sha256": "0", "page_port": 80, "starts": 2, "cli_starts": 0, "null_starts": 0},
    }
    return {**request, **changes}


def ask(request: dict[str, Any], python: str = sys.executable) -> tuple[int, dict[str, Any], float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probe.pyz"
        file.write_bytes(archive.built())
        began = time.monotonic()
        done = subprocess.run(
            (python, str(file)), input=json.dumps(request), capture_output=True, text=True, timeout=60
        )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, time.monotonic() - began


def test_a_hung_create_is_timed_out_and_its_container_removed(engine: Any) -> None:
    fake, path = engine({"POST /containers/create": None, **LOST})
    status, answer, took = ask(request_to(path))
    assert (status, answer["outcome"]) == (0, "timed out")
    assert took < 15
    # The create never told an id; the container is found by its labels.
    assert f"DELETE /containers/{CID}" in fake.asked


def test_a_defect_of_the_probe_is_a_failed_trial_that_cleans_up(engine: Any) -> None:
    fake, path = engine(LOST)
    status, answer, _ = ask(request_to(path, parameters={}))
    assert (status, answer["outcome"]) == (0, "failed")
    assert "KeyError" in answer["reason"]
    assert f"DELETE /containers/{CID}" in fake.asked


def test_a_trial_that_is_told_to_stop_cleans_up(engine: Any, built: Path) -> None:
    fake, path = engine({"POST /containers/create": None, **LOST})
    process = subprocess.Popen(
        (sys.executable, str(built)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(request_to(path, timeout_s=60)))
    process.stdin.close()
    process.stdin = None
    deadline = time.monotonic() + 20
    while "POST /containers/create" not in fake.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=30)
    answer = json.loads(stdout)
    assert answer["outcome"] == "failed"
    assert "told to stop" in answer["reason"]
    assert f"DELETE /containers/{CID}" in fake.asked


def test_no_engine_is_a_failed_trial_with_its_reason(tmp_path: Path) -> None:
    status, answer, _ = ask(request_to(str(tmp_path / "none.sock")))
    assert (status, answer["outcome"]) == (0, "failed")
    assert "does not answer" in answer["reason"]


def test_ready_says_which_runtime_is_missing(engine: Any) -> None:
    _, path = engine({"GET /info": b'{"Runtimes": {"runc": {}}}'})
    wanted = {"name": "kata", "docker_name": "kata", "proof": "kata", "own_kernel": True}
    _, answer, _ = ask(request_to(path, verb="ready", runtime=wanted))
    assert answer["blocking"] is True
    assert "the engine does not know the runtime kata" in answer["missing"]
    assert answer["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_facts_leave_out_the_engines_own_names_of_runc(engine: Any) -> None:
    """Docker 20.10 lists them after a start and no more after a reload, so a resume would see other machines."""
    listed = {"runc": {"path": "runc"}, "io.containerd.runc.v2": {"path": "runc"}, "kata": {"path": "/no/kata-runtime"}}
    _, path = engine({"GET /info": json.dumps({"Runtimes": listed}).encode(), "GET /images/json": b"[]"})
    status, answer, stderr = ask(request_to(path, verb="facts"))
    assert status == 0, stderr
    assert sorted(answer["runtimes"]) == ["kata", "runc"]


def test_what_a_shim_is_stands_in_the_file_of_the_engine_that_listens(tmp_path: Path) -> None:
    """From Docker 26 on /info has an empty path for Kata; here a process listens as a private dockerd does."""
    file, path = tmp_path / "daemon.json", tmp_path / "docker.sock"
    file.write_text(json.dumps({"runtimes": {"kata": {"runtimeType": "/opt/kata/bin/containerd-shim-kata-v2"}}}))
    listen = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind({0!r}); s.listen(); time.sleep(60)"
    argv = [sys.executable, "-c", listen.format(str(path)), "--config-file", str(file)]
    with subprocess.Popen(argv) as process:
        try:
            deadline = time.monotonic() + 20
            while client.daemon_of(str(path)) is None and time.monotonic() < deadline:
                time.sleep(0.02)
            assert client.daemon_of(str(path)) == process.pid
            assert client.daemon_settings(process.pid) == json.loads(file.read_text())
            file.write_text("{")
            assert client.daemon_settings(process.pid) == {}
        finally:
            process.kill()
    assert client.daemon_of(str(tmp_path / "none.sock")) is None


@pytest.mark.parametrize(
    ("runtime_type", "program"),
    [
        ("io.containerd.kata.v2", "containerd-shim-kata-v2"),
        ("io.containerd.kata-qemu.v2", "containerd-shim-kata-qemu-v2"),
        ("/opt/kata/bin/containerd-shim-kata-v2", "/opt/kata/bin/containerd-shim-kata-v2"),
        ("", ""),
    ],
)
def test_a_shims_program_by_containerds_rule(runtime_type: str, program: str) -> None:
    assert shim_of(runtime_type) == program


RUNSC_FLAGS = (Path(__file__).parent / "golden" / "runsc-flags.txt").read_text()
RUNSC_2022 = (
    "  -network value\n    \tspecifies which network to use: sandbox (default), host, none. Using network inside\n"
    '  -platform string\n    \tspecifies which platform to use: ptrace (default), kvm. (default "ptrace")\n'
)


@pytest.mark.parametrize(
    ("told", "arguments", "platform", "network"),
    [
        (RUNSC_FLAGS, [], "systrap", "sandbox"),
        (RUNSC_FLAGS, ["--debug", "--platform=kvm"], "kvm", "sandbox"),
        (RUNSC_FLAGS, ["-platform=ptrace", "--network=host"], "ptrace", "host"),
        (RUNSC_2022, [], "ptrace", "sandbox"),
        ("no such command", [], None, None),
        ("no such command", ["--network=host"], None, "host"),
    ],
)
def test_what_nobody_said_is_gvisors_own_default(
    tmp_path: Path, told: str, arguments: list[str], platform: str | None, network: str | None
) -> None:
    (tmp_path / "told").write_text(told)
    runsc = tmp_path / "runsc"
    runsc.write_text(f"#!/bin/sh\ncat {tmp_path}/told\n")
    runsc.chmod(0o755)
    assert gvisor.gvisor_settings(str(runsc), arguments) == {"platform": platform, "network": network, "parts": []}
    (tmp_path / "gvisor-bin").mkdir()
    (tmp_path / "gvisor-bin" / "gvisor_sentry").touch()
    assert gvisor.gvisor_settings(str(runsc), arguments)["parts"] == ["gvisor_sentry"]


@pytest.mark.parametrize("wrong", [{"schema": 2}, {"verb": "dance"}])
def test_a_request_it_does_not_speak_ends_it(wrong: dict[str, Any]) -> None:
    status, answer, _ = ask(request_to("/none", **wrong))
    assert status != 0
    assert answer == {}


def test_a_markers_line_ends_the_reading_and_tells_the_status(engine: Any) -> None:
    log = frame(1, b"12,3") + frame(2, b"warning\n") + frame(1, b"4\nrtlab-do") + frame(1, b"ne 7\nmore")
    _, path = engine({f"GET /containers/{CID}/logs": log})
    found = client.Client(path, time.monotonic() + 5).follow(CID, "rtlab-done")
    assert found == ("12,34\n", "7")


def test_each_stream_has_its_own_end_and_needs_no_last_line(engine: Any) -> None:
    """The engine brings stdout's end before stderr's words: what was said there is not cut."""
    log = frame(1, b"no line's endrtlab-done 3\n") + frame(2, b"no such ") + frame(2, b"toolrtlab-done\n")
    _, path = engine({f"GET /containers/{CID}/logs": log})
    found = client.Client(path, time.monotonic() + 5)
    assert found.follow(CID, "rtlab-done") == ("no line's end", "3")
    assert found.follow(CID, "rtlab-done", STDERR) == ("no such tool", "")


def test_the_words_that_end_a_command_bring_its_status_and_both_markers() -> None:
    done = subprocess.run(["sh", "-c", "echo bad >&2; (exit 3); " + ending("rtlab-x")], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("rtlab-x 3\n", "bad\nrtlab-x\n", 0)


class Raw(threading.Thread):
    """A Unix socket that answers every connection by a function of its own."""

    def __init__(self, path: Path, answer: Callable[[socket.socket], None]) -> None:
        super().__init__(daemon=True)
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.read_request(connection)
                self.answer(connection)

    @staticmethod
    def read_request(connection: socket.socket) -> None:
        """All of it: head and body come in two pieces, and who closes before the second breaks the client's pipe."""
        with connection.makefile("rb") as request:
            lines = list(itertools.takewhile(lambda line: line not in (b"\r\n", b""), request))
            length = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
            request.read(sum(length))

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(10)


@contextlib.contextmanager
def raw_engine(path: Path, answer: Callable[[socket.socket], None], seconds: float) -> Iterator[Any]:
    server = Raw(path, answer)
    try:
        yield client.Client(str(path), time.monotonic() + seconds)
    finally:
        server.stop()


def dripping(head: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(80):
            connection.sendall(piece)
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_an_engine_that_drips_is_timed_out_at_the_deadline(head: bytes, tmp_path: Path) -> None:
    with raw_engine(tmp_path / "s", dripping(head, b"x"), 0.6) as engine:
        began = time.monotonic()
        with pytest.raises(base.TrialTimedOut):
            engine.call("GET", "/info")
        assert time.monotonic() - began < 2


def test_a_container_that_prints_for_ever_is_timed_out_at_the_deadline(tmp_path: Path) -> None:
    """Every line comes in time, the marker never does."""
    answer = dripping(b"HTTP/1.1 200 OK\r\n\r\n", frame(1, b"still here\n"))
    with raw_engine(tmp_path / "s", answer, 0.6) as engine:
        began = time.monotonic()
        with pytest.raises(base.TrialTimedOut):
            engine.follow(CID, "rtlab-done")
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-x\r\n", b"\0\xff" * 400, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"]
)
def test_an_engine_that_answers_garbage_is_a_failed_trial(said: bytes, tmp_path: Path) -> None:
    with (
        raw_engine(tmp_path / "s", lambda connection: connection.sendall(said), 5) as engine,
        pytest.raises(base.TrialFailed, match="does not answer"),
    ):
        engine.must("GET", "/info")


@pytest.mark.parametrize("body", [b'{"message": "no such image: x"}', b"no such image: x"])
def test_an_engine_that_refuses_is_quoted(body: bytes, tmp_path: Path) -> None:
    said = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with (
        raw_engine(tmp_path / "s", lambda connection: connection.sendall(said), 5) as engine,
        pytest.raises(base.TrialFailed, match=r"refused POST /containers/create: no such image: x"),
    ):
        engine.must("POST", "/containers/create?name=x", {})


def test_no_call_is_made_after_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(base.TrialTimedOut):
        client.Client(str(tmp_path / "none"), time.monotonic() - 1).call("GET", "/info")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (b'{"ExitCode": 137, "OOMKilled": false}', "with status 137 before rtlab-done"),
        (b'{"ExitCode": 137, "OOMKilled": true}', "with status 137 (the kernel killed it for want of memory) before"),
    ],
)
@pytest.mark.parametrize("cut", [0, 3, 8, 20])
def test_output_without_the_marker_fails(engine: Any, cut: int, state: bytes, said: str) -> None:
    log = (frame(1, b"1,2,3\n") + frame(1, b"4,5,6\n"))[:cut]
    _, path = engine({f"GET /containers/{CID}/logs": log, f"GET /containers/{CID}/json": b'{"State": %s}' % state})
    with pytest.raises(base.TrialFailed, match=re.escape(said)):
        client.Client(path, time.monotonic() + 5).follow(CID, "rtlab-done")


def test_what_is_read_inside_is_split_from_the_tools_output() -> None:
    inside, rest = proof.split_inside("abc\nLinux version 1\nrtlab-inside-end\n1.98,x\n")
    assert (inside["inside_boot_id"], inside["inside_version"], rest) == ("abc", "Linux version 1", "1.98,x\n")
    inside, rest = proof.split_inside("1.98,x\n")
    assert set(inside.values()) == {None} and rest == "1.98,x\n"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # cgroup v2, Docker's --cpus 1.5 --memory 512m; then the same under v1; then without limits under both.
        (("cpus 4", "memory_kib 8138756", "cpu_limit 150000 100000", "memory_limit 536870912"), (4, 1.5, 536870912)),
        (("cpus 2", "memory_kib 8138756", "cpu_limit 100000 100000", "memory_limit 536870912"), (2, 1.0, 536870912)),
        (("cpus 4", "memory_kib 8138756", "cpu_limit max 100000", "memory_limit max"), (4, None, None)),
        (("cpus 4", "memory_kib 8138756", "cpu_limit -1 100000", "memory_limit 9223372036854771712"), (4, None, None)),
        # gVisor shows no cgroups, busybox may have no nproc.
        (("cpus", "memory_kib 8138756", "cpu_limit", "memory_limit"), (None, None, None)),
    ],
)
def test_cpus_and_memory_are_read_inside(told: tuple[str, ...], expected: tuple[Any, ...]) -> None:
    inside, _ = proof.split_inside("\n".join(["abc", "Linux version 1", *told, "rtlab-inside-end", ""]))
    assert (inside["inside_cpus"], inside["inside_cpu_limit"], inside["inside_memory_limit_bytes"]) == expected
    assert inside["inside_memory_bytes"] == 8138756 * 1024


def test_the_question_is_one_that_a_plain_shell_answers() -> None:
    said = subprocess.run(["sh", "-c", proof.INSIDE], capture_output=True, text=True, check=True, timeout=30)
    assert said.stderr == ""
    inside, rest = proof.split_inside(said.stdout)
    assert rest == ""
    assert inside["inside_cpus"] == len(os.sched_getaffinity(0))
    assert inside["inside_memory_bytes"] == psutil.virtual_memory().total


def test_a_limit_that_is_not_in_force_inside_is_objected_to() -> None:
    wanted = Limits(1.0, 536870912)
    assert proof.other_limits(wanted, {"inside_cpu_limit": 1.0, "inside_memory_limit_bytes": 536870912}) == []
    assert proof.other_limits(wanted, {"inside_cpu_limit": None, "inside_memory_limit_bytes": None}) == []
    assert proof.other_limits(Limits(), {"inside_cpu_limit": 2.0, "inside_memory_limit_bytes": 1}) == []
    said = proof.other_limits(wanted, {"inside_cpu_limit": 2.0, "inside_memory_limit_bytes": 2147483648})
    assert said == [
        "inside, the container is limited to 2 CPUs, not 1",
        "inside, the container is limited to 2147483648 bytes, not 536870912",
    ]


def test_katas_settings_in_force_are_those_of_the_file_that_docker_names(tmp_path: Path) -> None:
    text = (
        "# Copyright\n[hypervisor.qemu]\n#default_memory = 2048\ndefault_memory = 512\n"
        'kernel_params = "pci=noearly quiet" \n[agent.kata]\n  dial_timeout = 300\n'
    )
    settings = {
        "hypervisor.qemu.default_memory": "512",
        "hypervisor.qemu.kernel_params": '"pci=noearly quiet"',
        "agent.kata.dial_timeout": "300",
    }
    assert kata.settings_of(text) == settings
    named = tmp_path / "configuration-small.toml"
    named.write_text(text)
    old = {"path": "/opt/kata/bin/kata-runtime", "runtimeArgs": ["--kata-config", str(named)]}
    assert kata.kata_configuration(old, old["path"]) == settings
    shim = {"runtimeType": "/opt/kata/bin/containerd-shim-kata-v2", "options": {"ConfigPath": str(named)}}
    assert kata.kata_configuration(shim, shim["runtimeType"]) == settings
    release = tmp_path / "kata"
    (release / "share/defaults/kata-containers").mkdir(parents=True)
    (release / "share/defaults/kata-containers/configuration.toml").write_text("[runtime]\nx = 1\n")
    if not Path("/etc/kata-containers/configuration.toml").exists():
        assert kata.kata_configuration({}, f"{release}/bin/kata-runtime") == {"runtime.x": "1"}
        assert kata.kata_configuration({}, "/nowhere/bin/kata-runtime") is None


def test_used_memory_is_the_papers_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    # Table IV, runC: used = total - free - buffers - cached = 897396736 B (paper.txt).
    table = json.loads((PACKAGE / "report" / "paper-tables.json").read_text())["tables"]["IV"]["runc"]
    cells = {name: round(value * 1e6) for name, value in table.items()}
    fields = {
        "MemTotal": cells["total"],
        "MemFree": cells["free"],
        "Buffers": cells["buffers"],
        "Cached": cells["cached"] - 4096,
        "SReclaimable": 4096,
    }
    monkeypatch.setattr(window, "meminfo", lambda: fields)
    assert window.counters()["memory_used_by_the_paper_bytes"] == cells["used"] == 897396736


def test_psutil_missing_fails_the_trial_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(base.TrialFailed, match="psutil is missing"):
        window.counters()


def test_a_namespace_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError):
        kernel.enter_network("/run/netns/rtlab-none")


def test_each_byte_is_counted_at_the_bottom_disk_only(tmp_path: Path) -> None:
    """Two disks under an md array, one of them also under LVM; a partition; a loop device."""
    rows = {"sda": 100, "sda1": 100, "sdb": 100, "md0": 200, "dm-0": 200, "nvme0n1": 7, "loop0": 50, "zram0": 3}
    for disk in rows.keys() - {"sda1"}:
        (tmp_path / "block" / disk / "slaves").mkdir(parents=True)
    (tmp_path / "block/md0/slaves/sda").touch()
    (tmp_path / "block/md0/slaves/sdb").touch()
    (tmp_path / "block/dm-0/slaves/md0").touch()
    # Linux, admin-guide/iostats.rst: major, minor, name, reads, merged, sectors read, ms, writes, merged, sectors.
    stats = tmp_path / "diskstats"
    stats.write_text("".join(f"   8  0 {name} 1 2 {n} 4 5 6 {2 * n} 8 9 10 11\n" for name, n in rows.items()))

    found = kernel.diskstats(str(stats), str(tmp_path / "block"))

    assert found == {"read_bytes": 207 * 512, "written_bytes": 414 * 512}
