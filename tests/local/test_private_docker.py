"""The local provider for real: up, every runtime, recovery, teardown, and an ordinary Docker beside it, untouched."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtlab.artifacts import apt_sources, images, profile
from rtlab.config import TestbedSettings
from rtlab.engines import private as own
from rtlab.engines.docker import private as engine
from rtlab.engines.docker.private import Engine
from rtlab.model import Machine, Testbed, ignore_events
from rtlab.providers.local.provider import PROVIDER
from rtlab.state import StateFolder

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(not own.find("dockerd"), reason="docker.io is missing"),
]
PINS = profile.load("debian-12")


def output(*argv: str, timeout_s: float = 120) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert result.returncode == 0, f"{argv}: {result.stderr[-500:]}"
    return result.stdout


def up(testbed_id: str, state: StateFolder, *runtimes: str) -> Testbed:
    settings = TestbedSettings(provider="local", profile="debian-12", runtimes=runtimes)
    return PROVIDER.up(settings, PINS, testbed_id, state, ignore_events)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / ".rtlab")


@pytest.fixture
def testbed_id(state: StateFolder) -> Iterator[str]:
    """An id whose engine is gone after the test, whatever the test did."""
    new = StateFolder.new_testbed_id()
    yield new
    left = PROVIDER.teardown(new, state, ignore_events)
    assert left == ()


def docker(machine: Machine, *arguments: str, timeout_s: float = 120) -> str:
    return output(machine.engine.cli, "--host", f"unix://{machine.engine.socket}", *arguments, timeout_s=timeout_s)


def load(machine: Machine, role: str) -> str:
    archive = images.build(role)
    docker(machine, "load", "--quiet", "--input", str(archive.path))
    return archive.reference


def fetch_inside(machine: Machine, address: str) -> str:
    """SHA-256 of the page at an address inside the engine's network namespace; waits up to 20 s for the server."""
    deadline = time.monotonic() + 20
    while True:
        result = subprocess.run(
            ("nsenter", f"--net={machine.netns}", "--", "curl", "-s", "-S", "-f", "-m", "3", f"http://{address}/"),
            capture_output=True,
            timeout=30,
            check=False,
        )
        if result.returncode == 0:
            return hashlib.sha256(result.stdout).hexdigest()
        assert time.monotonic() < deadline, result.stderr
        time.sleep(0.05)


def traces(testbed_id: str) -> dict[str, list[str]]:
    """What this machine still has with the testbed's id in it, looked for without rtlab's own code."""
    listed = output("ps", "-eo", "stat=,args=").splitlines()
    cgroups = output("find", "/sys/fs/cgroup", "-name", f"*{testbed_id}*").splitlines()
    found = {
        "processes": [p for p in listed if f"rtlab-{testbed_id}" in p and not p.startswith("Z")],
        "mounts": [m for m in Path("/proc/mounts").read_text().splitlines() if testbed_id in m],
        "cgroups": cgroups,
        "run": [str(p) for folder in ("/run", "/run/netns") for p in Path(folder).glob(f"*{testbed_id}*")],
    }
    return {kind: names for kind, names in found.items() if names}


@dataclass(frozen=True)
class Host:
    """What must be the same before and after, apart from what virtual machines beside the test bring along."""

    rules: tuple[str, ...]
    bridges: frozenset[str]
    packages: str
    etc: Mapping[str, str]
    dead_sockets: frozenset[str]


def firewall() -> str:
    """Every iptables rule and policy, without comments and packet counters."""
    text = output("iptables-save")
    return "\n".join(re.sub(r" \[\d+:\d+\]$", "", line) for line in text.splitlines() if not line.startswith("#"))


def look_at_host() -> Host:
    etc = {}
    for file in sorted(Path("/etc").rglob("*")):
        if file.is_file() and not file.is_symlink() and "libvirt" not in str(file):
            etc[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    links = output("ip", "-o", "-br", "link")
    return Host(
        rules=tuple(line for line in firewall().splitlines() if not re.search("LIBVIRT|virbr| rt-|mangle", line)),
        bridges=frozenset(re.findall(r"^(docker\d+|br-[0-9a-f]{12})\s", links, re.M)),
        packages=output("dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\n"),
        etc=etc,
        dead_sockets=frozenset(str(s) for s in Path("/run/containerd/s").glob("*") if not listens(s)),
    )


def listens(path: Path) -> bool:
    """Whether a shim still listens: a socket without one was left behind."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return True


# --------------------------------------------------------------------------- one whole life


def test_every_runtime_that_can_run_serves_the_page_and_nothing_is_left(testbed_id: str, state: StateFolder) -> None:
    before = look_at_host()
    testbed = up(testbed_id, state, "runc", "gvisor", "crun")
    (machine,) = testbed.machines
    unavailable = testbed.details["unavailable_runtimes"]
    # The installed ones either run or say why not; runC runs wherever Docker does.
    assert "runc" not in unavailable
    assert all(unavailable.values())
    daemons = {p.pid for p in Engine(testbed_id).processes()}
    assert len(daemons) == 2, "only dockerd and containerd may run when no container does"

    begin = time.monotonic()
    again = up(testbed_id, state, "runc", "gvisor", "crun")
    assert time.monotonic() - begin < 5
    assert again.machines == testbed.machines
    assert {p.pid for p in Engine(testbed_id).processes()} == daemons
    assert PROVIDER.status(testbed, state)[0].state == "running"

    reference = load(machine, "httpd")
    wired = json.loads(docker(machine, "info", "--format", "{{json .Runtimes}}"))
    names = {"runc": "runc", "gvisor": "runsc", "crun": "crun"}
    for number, name in enumerate(n for n in names if n not in unavailable):
        assert names[name] in wired
        port = 18080 + number
        docker(
            machine,
            *("run", "-d", "--name", name, "--runtime", names[name], "-p", f"127.0.0.1:{port}:80", reference),
        )
        address = docker(machine, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).strip()
        for place in (address, f"127.0.0.1:{port}"):
            assert fetch_inside(machine, place) == images.PAGE_SHA256
        kernel = docker(machine, "exec", name, "cat", "/proc/version")
        assert (kernel == Path("/proc/version").read_text()) == (name != "gvisor")
    assert oct(Path(machine.engine.socket).stat().st_mode & 0o777) == "0o600"
    assert look_at_host().rules == before.rules

    # Torn down with its containers running.
    assert PROVIDER.teardown(testbed_id, state, ignore_events) == ()
    assert traces(testbed_id) == {}
    assert not (state.path / "local").exists()
    assert state.outstanding(testbed_id) == ()
    assert PROVIDER.teardown(testbed_id, state, ignore_events) == ()
    after = look_at_host()
    assert (after.rules, after.bridges) == (before.rules, before.bridges)
    assert after.dead_sockets <= before.dead_sockets


# --------------------------------------------------------------------------- beside an ordinary Docker


@dataclass(frozen=True)
class Ordinary:
    """A Docker in the host's own namespace, with one container that publishes a port."""

    command: tuple[str, ...]
    port: int

    def look(self) -> tuple[str, bytes]:
        """Its containers (ids, starts, pids), and the page through its published port."""
        form = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}} {{.State.Status}} {{.RestartCount}}"
        ids = output(*self.command, "ps", "--quiet", "--no-trunc").split()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
            return output(*self.command, "inspect", "--format", form, *sorted(ids)), answer.read()


@pytest.fixture
def ordinary() -> Iterator[Ordinary]:
    """The host's own Docker if it runs, else one started like it: default bridge, iptables in the host's namespace."""
    port = 18090
    programs = engine.find_programs()
    with contextlib.ExitStack() as stack:
        usual = Path("/var/run/docker.sock")
        path = usual if engine.ping(usual) else stack.enter_context(ordinary_daemon(programs))
        command = (programs.docker, "--host", f"unix://{path}")
        archive = images.build("httpd")
        output(*command, "load", "--quiet", "--input", str(archive.path))
        output(*command, "run", "-d", "--name", "ordinary", "-p", f"{port}:80", archive.reference)
        stack.callback(subprocess.run, (*command, "rm", "-f", "ordinary"), capture_output=True, check=False)
        found = Ordinary(command, port)
        deadline = time.monotonic() + 20
        while True:
            try:
                found.look()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield found


@contextlib.contextmanager
def ordinary_daemon(programs: engine.Programs) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    config = {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "run"),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{folder}/docker.sock"],
        "cgroup-parent": f"/{folder.name}",
        **({"deprecated-key-path": str(folder / "key.json")} if programs.major < 24 else {}),
    }
    (folder / "daemon.json").write_text(json.dumps(config))
    rules, links = firewall().splitlines(), output("ip", "-o", "-br", "link")
    forward = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            (programs.dockerd, "--config-file", str(folder / "daemon.json")),
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": os.pathsep.join((os.environ["PATH"], *own.SYSTEM_FOLDERS))},
        )
    try:
        deadline = time.monotonic() + 60
        while not engine.ping(folder / "docker.sock"):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-1000:]
            time.sleep(0.1)
        yield folder / "docker.sock"
    finally:
        process.terminate()
        process.wait(60)
        for mount in reversed(own.mounts_below(folder)):
            own.unmount(mount)
        for root in own.cgroup_roots():
            for cgroup, _, _ in os.walk(root / folder.name, topdown=False):
                os.rmdir(cgroup)
        shutil.rmtree(folder)
        remove_new_rules(rules)
        if "docker0" not in links:
            subprocess.run(("ip", "link", "delete", "docker0"), capture_output=True, check=False)
        Path("/proc/sys/net/ipv4/ip_forward").write_text(forward)


def remove_new_rules(before: list[str]) -> None:
    """Take away exactly the rules, chains and policies that came since, and nobody else's."""
    table = ""
    later: list[tuple[str, ...]] = []
    for line in firewall().splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif "docker" not in line.lower() and not line.startswith(":FORWARD"):
            continue
        elif line.startswith("-A") and line not in before:
            words = [word.strip('"') for word in line.split()]
            output("iptables", "-t", table, "-D", *words[1:])
        elif line.startswith(":FORWARD") and table == "filter" and ":FORWARD ACCEPT" in before:
            output("iptables", "-P", "FORWARD", "ACCEPT")
        elif line.startswith(":DOCKER") and line not in before:
            later.append(("iptables", "-t", table, "-X", line[1:].split()[0]))
    for argv in later:
        output(*argv)


def test_an_ordinary_docker_beside_it_is_untouched(ordinary: Ordinary, testbed_id: str, state: StateFolder) -> None:
    before, containers = look_at_host(), ordinary.look()
    testbed = up(testbed_id, state, "runc")
    (machine,) = testbed.machines
    reference = load(machine, "httpd")
    docker(machine, "run", "-d", "--name", "ours", "-p", f"{ordinary.port}:80", reference)
    # The same port in both: each has its own network.
    assert fetch_inside(machine, f"127.0.0.1:{ordinary.port}") == images.PAGE_SHA256
    assert "ordinary" not in docker(machine, "ps", "--format", "{{.Names}}")
    assert (look_at_host().rules, ordinary.look()) == (before.rules, containers)
    assert PROVIDER.teardown(testbed_id, state, ignore_events) == ()
    assert traces(testbed_id) == {}
    after = look_at_host()
    assert ordinary.look() == containers
    assert after.rules == before.rules
    assert after.packages == before.packages
    assert after.bridges == before.bridges
    assert after.dead_sockets <= before.dead_sockets
    changed = {f for f in before.etc.keys() | after.etc.keys() if before.etc.get(f) != after.etc.get(f)}
    assert changed == set()


# --------------------------------------------------------------------------- faults

UP = """
import sys
from pathlib import Path
from rtlab.artifacts import profile
from rtlab.config import TestbedSettings
from rtlab.model import ignore_events
from rtlab.providers.local.provider import PROVIDER
from rtlab.state import StateFolder
settings = TestbedSettings(provider="local", profile="debian-12", runtimes=("runc",))
PROVIDER.up(settings, profile.load("debian-12"), sys.argv[1], StateFolder(Path(sys.argv[2])), ignore_events)
"""


def kill(testbed_id: str, *programs: str) -> None:
    for process in Engine(testbed_id).processes():
        if process.program in programs:
            assert own.end(process, signal.SIGKILL)
            while own.alive(process):
                time.sleep(0.01)


def test_it_outlives_its_up_recovers_from_kill_9_and_is_found_without_state(
    testbed_id: str, state: StateFolder, tmp_path: Path
) -> None:
    output(sys.executable, "-c", UP, testbed_id, str(state.path))
    assert Engine(testbed_id).answers(), "the daemons ended with the process that started them"
    testbed = up(testbed_id, state, "runc")
    (machine,) = testbed.machines
    reference = load(machine, "httpd")
    docker(machine, "run", "-d", "--name", "one", reference)
    first = {p.pid for p in Engine(testbed_id).processes()}

    kill(testbed_id, "dockerd")
    assert PROVIDER.status(testbed, state)[0].state == "stopped"
    up(testbed_id, state, "runc")
    assert not first & {p.pid for p in Engine(testbed_id).processes()}
    # The images are still there, the container that lost its engine is not running.
    assert docker(machine, "ps", "--quiet") == ""
    docker(machine, "run", "-d", "--name", "two", reference)
    address = docker(machine, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", "two").strip()
    assert fetch_inside(machine, address) == images.PAGE_SHA256

    # Killed altogether with a container running, and the state folder's memory lost.
    kill(testbed_id, "dockerd", "containerd")
    (state.path / "journal.jsonl").unlink()
    elsewhere = StateFolder(tmp_path / "elsewhere" / ".rtlab")
    assert testbed_id in PROVIDER.candidates()
    assert {r.kind for r in PROVIDER.leftovers(testbed_id, elsewhere)} >= {"process", "netns", "folder", "cgroup"}
    other = Engine(StateFolder.new_testbed_id())
    assert other.resources() == ()
    assert PROVIDER.teardown(testbed_id, elsewhere, ignore_events) == ()
    assert traces(testbed_id) == {}
    assert not (state.path / "local").exists()
    assert testbed_id not in PROVIDER.candidates()


def test_a_daemon_that_does_not_come_up_shows_its_log_and_leaves_nothing(
    testbed_id: str, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtlab.errors import CommandFailed

    real = Engine.daemon_json

    def wrong(self: Engine, *arguments: object, **options: object) -> object:
        return {**real(self, *arguments, **options), "no-such-key": 1}  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "daemon_json", wrong)
    with pytest.raises(CommandFailed, match="no-such-key") as caught:
        up(testbed_id, state, "runc")
    assert "--provider simulated" in caught.value.remedy
    assert PROVIDER.teardown(testbed_id, state, ignore_events) == ()
    assert traces(testbed_id) == {}


# --------------------------------------------------------------------------- images


@pytest.mark.skipif(not own.find("mmdebstrap"), reason="mmdebstrap is missing")
def test_an_image_made_anew_is_the_same_and_names_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = images.build("httpd")
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path))
    made = images.build("httpd")
    if made.packages == cached.packages:
        assert made.sha256 == cached.sha256
    assert "apache2-bin" in made.packages
    content = made.path.read_bytes()
    public = {"deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com"}
    for source in apt_sources.of_this_machine(images.host_suite()):
        host = source.uri.split("//")[-1].split("/")[0]
        assert host in public or host.encode() not in content


def test_the_tools_run(testbed_id: str, state: StateFolder) -> None:
    (machine,) = up(testbed_id, state, "runc").machines
    reference = load(machine, "tools")
    line = docker(
        machine,
        *("run", "--rm", reference, "bonnie++", "-u", "root", "-d", "/tmp", "-s", "16m", "-r", "8", "-n", "0"),
        *("-b", "-q", "-f"),
    )
    assert re.match(r"1\.9[78],2\.00", line)
    assert line.split(",")[0] != "1.98" or len(line.strip().split(",")) == 50
    for program in (("curl", "--version"), ("iperf3", "--version"), ("python3", "-c", "import hashlib, time")):
        docker(machine, "run", "--rm", reference, *program)
