"""Which runtimes run on this machine, found out by running each of them once under the private Docker."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from rtlab import atomic, plugins
from rtlab.artifacts import images
from rtlab.artifacts.profile import Profile
from rtlab.connection.shell import run
from rtlab.engines import private as own
from rtlab.engines.docker import private as engine
from rtlab.engines.docker.private import Engine, Programs
from rtlab.errors import CommandFailed
from rtlab.host import virtualization
from rtlab.model import Event, Notify, Surroundings, Ways, Wiring
from rtlab.providers.local.here import MACHINE
from rtlab.providers.local.programs import Brought
from rtlab.state import StateFolder

# A container that only prints a line: 0.3 to 1 s for runC, up to 3 s for Kata on metal. Some runtimes hang instead.
TRIAL_S = 90.0
# So long dockerd may take to read its configuration again.
RELOAD_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found out about this machine, kept in the state folder: the next ``up`` need not try again.

    Attributes:
        key: Digest of what it depends on (programs, kernel, wanted runtimes).
        usable: Runtime -> its daemon.json entry (None: built in).
        notes: Runtime -> what is special about its wiring.
        unavailable: Runtime -> why it cannot run here.
        iptables: Whether this kernel lets Docker use iptables in its namespace.
        features: Switches of the engine's that a runtime needs.
    """

    key: str
    usable: Mapping[str, Mapping[str, Any] | None]
    notes: Mapping[str, str] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    iptables: bool = True
    features: Mapping[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """What the trials have shown so far."""

    usable: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    features: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A private Docker that is made, and told which runtimes there are, until it is known which of them run.

    Attributes:
        data: The engine's folder.
    """

    private: Engine
    data: Path
    programs: Programs
    brought: Brought
    state: StateFolder
    notify: Notify

    def find_out(self, wanted: Sequence[str], profile: Profile, key: str) -> Findings:
        """Start the engine, try every wanted runtime, and leave the engine with those that run.

        Raises:
            CommandFailed: a daemon did not come up, or the engine does not do what it was told.
        """
        ways = {name: ways_of(name, self.programs, profile, self.brought) for name in wanted}
        image = images.build("tools", suite=images.host_suite(), notify=self.notify)
        self._say("starting a private Docker")
        self._prepare()
        # Every way of wiring under a name of its own, so that one start of dockerd serves all the trials.
        tried = {
            _trial_name(name, number): wiring.entry
            for name, found in ways.items()
            for number, wiring in enumerate(found if not isinstance(found, str) else ())
            if wiring.entry is not None
        }
        iptables = self._start(tried)
        self._load(image.path)
        known = _Known()
        for name, found in ways.items():
            if isinstance(found, str):
                known.unavailable[name] = found
                continue
            self._say(f"trying {name}")
            self._try(name, found, known, tried, image.reference, iptables=iptables)
        self.private.settle(self.programs.docker)
        findings = Findings(
            key=key,
            usable=known.usable,
            notes=known.notes,
            unavailable=known.unavailable,
            iptables=iptables,
            features=known.features,
        )
        self._reload(entries(known.usable), known.features, iptables=iptables)
        self._await_runtimes(entries(known.usable))
        if info(self.private, self.programs).get("Driver") == "vfs":
            self._say(
                f"no overlay file system on {self.data}: each start copies the whole image, and is measured so",
                level="warning",
            )
        atomic.write_json(self.data / "findings.json", asdict(findings), 0o600)
        return findings

    def _say(self, message: str, level: Literal["info", "warning"] = "info") -> None:
        self.notify(Event(stage="machines", message=message, machine=MACHINE, level=level))

    def _prepare(self) -> None:
        """Nothing of an earlier engine is left, everything that will be made is in the journal, the namespace is."""
        private, state = self.private, self.state
        # Whatever a killed dockerd, or one with another configuration, left behind.
        private.stop(self.programs.docker)
        for kind, name in (
            ("netns", str(private.netns)),
            ("folder", str(private.folder)),
            ("folder", str(self.data)),
            ("cgroup", private.name),
        ):
            state.note("intend", kind, name, private.id)
        for folder in engine.SHARED_FOLDERS:
            if not os.path.exists(folder):
                state.note("intend", "shared folder", folder, private.id)
        own.mark_data(self.data, private.id)
        private.make_netns()

    def _start(self, tried: Mapping[str, Any]) -> bool:
        """Start it with iptables, or without where this kernel has none for us; returns which."""
        try:
            self._launch(tried, {}, iptables=True)
        except CommandFailed as error:
            self.private.stop()
            if not re.search(r"iptables|nft|NAT chain", error.output_tail, re.I):
                raise
            self._launch(tried, {}, iptables=False)
            return False
        return True

    def _launch(self, runtimes: Mapping[str, Any], features: Mapping[str, bool], *, iptables: bool) -> None:
        """Start the engine so, and note in the journal what runs, told apart from later processes by when it began."""
        config = self._config(runtimes, features, iptables=iptables)
        self.private.start(self.programs, self.data, config, self.state.folder("logs"))
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for process in self.private.processes():
            if process.program in own.DAEMONS:
                name = f"{process.program}[{process.pid}]"
                self.state.note("have", "process", name, self.private.id, started=process.started, boot_id=boot_id)

    @property
    def _log(self) -> Path:
        return self.state.folder("logs") / "local-docker.log"

    def _load(self, image: Path) -> None:
        loaded = self.private.docker(self.programs.docker, "load", "--input", str(image), timeout_s=300, log=self._log)
        if not loaded.ok:
            raise CommandFailed(
                f"The private Docker did not load the tools image: {loaded.tail(3)}",
                remedy=f"Its log is {self.state.path / 'logs' / 'local-dockerd.log'}.",
                argv=loaded.argv,
            )

    def _try(
        self,
        name: str,
        ways: Sequence[Wiring],
        known: _Known,
        tried: Mapping[str, Any],
        reference: str,
        *,
        iptables: bool,
    ) -> None:
        """Run a container in each way until one works; the engine's switches stay as the way that works needs them."""
        refusals: list[str] = []
        for number, wiring in enumerate(ways):
            docker_name = _trial_name(name, number) if wiring.entry is not None else "runc"
            needed = {key: value for key, value in wiring.features.items() if known.features.get(key) != value}
            if needed:
                self._switch(tried, {**known.features, **needed}, iptables=iptables)
            refusal = try_runtime(self.private, self.programs, docker_name, reference, self._log)
            if refusal is None:
                known.usable[name] = wiring.entry
                known.features |= needed
                if wiring.note:
                    because = f" (without it: {'; '.join(dict.fromkeys(refusals))})" if refusals else ""
                    known.notes[name] = wiring.note + because
                return
            refusals.append(plugins.runtime(name).meaning_of(refusal) or refusal)
            if needed:
                self._switch(tried, known.features, iptables=iptables)
        known.unavailable[name] = "; ".join(dict.fromkeys(refusals))
        self._say(f"{name} cannot run here: {known.unavailable[name]}", level="warning")

    def _reload(self, runtimes: Mapping[str, Any], features: Mapping[str, bool], *, iptables: bool) -> None:
        self.private.reload(self._config(runtimes, features, iptables=iptables))

    def _config(self, runtimes: Mapping[str, Any], features: Mapping[str, bool], *, iptables: bool) -> Any:
        major = self.programs.major
        return self.private.daemon_json(self.data, runtimes, major, iptables=iptables, features=features)

    def _switch(self, tried: Mapping[str, Any], features: Mapping[str, bool], *, iptables: bool) -> None:
        """Start dockerd anew with other switches: it looks at them when it starts, and never again (moby's sysinfo)."""
        self.private.stop(self.programs.docker)
        self._launch(tried, features, iptables=iptables)

    def _await_runtimes(self, wanted: Mapping[str, Any]) -> None:
        """Wait until dockerd has read its new configuration (it answers SIGHUP in its own time)."""
        deadline = time.monotonic() + RELOAD_S
        known: Mapping[str, Any] = {}
        while time.monotonic() < deadline:
            known = info(self.private, self.programs).get("Runtimes", {})
            if set(wanted) <= set(known) and not any(name.startswith("try-") for name in known):
                return
            time.sleep(0.1)
        raise CommandFailed(f"The private Docker did not take over the runtimes {', '.join(wanted)}: it has {known}.")


def _trial_name(runtime: str, number: int) -> str:
    return f"try-{runtime}-{number}"


def info(private: Engine, programs: Programs) -> dict[str, Any]:
    """What ``docker info`` says; empty when it does not answer."""
    result = private.docker(programs.docker, "info", "--format", "{{json .}}", timeout_s=30)
    try:
        found = json.loads(result.stdout)
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def entries(usable: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """daemon.json's ``runtimes``, by the names that Docker knows them by."""
    return {plugins.runtime(name).docker_name: dict(entry) for name, entry in usable.items() if entry is not None}


def ways_of(name: str, programs: Programs, profile: Profile, brought: Brought) -> Ways:
    """The ways to try, best first; or why there is none."""
    if name in brought.lacking:
        return brought.lacking[name]
    runtime = plugins.runtime(name)
    around = Surroundings(
        find=lambda program: brought.find(name, program),
        said=_said,
        kvm_refuses=_kvm_refuses,
        engine_version=programs.version,
        engine_major=programs.major,
        asked=profile.role_variables,
    )
    found, why = runtime.ways(around), brought.why_own(name)
    if isinstance(found, str) or not why:
        return found
    # Beside an engine of today it is named that the runtime is not of today's builds.
    ours = f"this machine's own {name}: {why}"
    return tuple(replace(way, note="; ".join(filter(None, (ours, way.note)))) for way in found)


def _said(argv: tuple[str, ...]) -> str:
    told = run(argv, timeout_s=20)
    return (told.stdout + told.stderr).decode("utf-8", "replace")


def _kvm_refuses() -> str:
    proof = virtualization.prove()
    return "" if proof.usable else proof.reason


def try_runtime(private: Engine, programs: Programs, docker_name: str, reference: str, log: Path) -> str | None:
    """Run one container, with a network, under the runtime; None when it worked, else the reason in a line."""
    name = f"{private.name}-try"
    result = private.docker(
        programs.docker,
        *("run", "--rm", "--name", name, "--runtime", docker_name, reference, "/bin/cat", "/proc/version"),
        timeout_s=TRIAL_S,
        log=log,
    )
    if result.ok and result.stdout.startswith(b"Linux version"):
        return None
    private.docker(programs.docker, "rm", "--force", name, timeout_s=60, log=log)
    if result.timed_out:
        return f"a container did not end within {TRIAL_S:.0f} s"
    return reason_in(result.stderr.decode("utf-8", "replace") or result.text())


def reason_in(text: str) -> str:
    """The cause at the end of Docker's chain of errors, in one line of at most 200 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((x for x in lines if "rror" in x), lines[0] if lines else "it printed nothing")
    line = re.sub(r"^(docker|/\S*docker): (Error response from daemon: )?", "", line)
    for marker in ("OCI runtime create failed: ", "failed to create shim task: ", "failed to create shim: "):
        line = line.rpartition(marker)[2] or line
    line = re.sub(r"unable to retrieve OCI runtime error \([^)]*\): ", "", line)
    return re.sub(r"[\s:]*unknown\.?$", "", line).strip()[:200]


def findings_key(programs: Programs, wanted: Sequence[str], profile: Profile, brought: Brought) -> str:
    """Digest of everything that may change which runtimes run: programs (size, time), kernel, profile, our code."""
    paths = [programs.dockerd, programs.containerd]
    for name in plugins.names("runtimes"):
        for program in plugins.runtime(name).programs:
            paths += [own.find(program), brought.find(name, program)]
    seen: list[Any] = [
        list(wanted),
        profile.name,
        str(brought.folder),
        os.uname().release,
        os.uname().version,
        _ours(),
    ]
    for path in paths:
        try:
            stat = os.stat(path)
        except OSError:
            continue
        seen.append([path, stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


@cache
def _ours() -> str:
    """Another rtlab may wire differently: its findings are its own."""
    files = [Path(__file__), Path(engine.__file__)]
    files += sorted((Path(plugins.__file__).parent / "runtimes").glob("*/wiring.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def read_findings(data: Path) -> Findings | None:
    """What an earlier ``up`` found out; None when there is nothing (readable)."""
    try:
        return Findings(**json.loads((data / "findings.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
