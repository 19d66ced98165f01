"""This very machine, with a Docker of rtlab's own beside whatever there is (see ``rtlab.engines.docker.private``).

For CI runners and bare metal. Nothing outside the state folder, /run/rtlab-<id>, /opt/rtlab/<id>, one network
namespace and one cgroup is written; the machine is never rebooted. Which runtimes can run here is found out by running
each of them once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtlab import atomic, plugins
from rtlab.artifacts import images
from rtlab.artifacts.profile import Profile
from rtlab.artifacts.profile import load as load_profile
from rtlab.config import TestbedSettings
from rtlab.connection.shell import LocalShell, run
from rtlab.engines import private as own
from rtlab.engines.contract import Place
from rtlab.engines.docker import private as engine
from rtlab.engines.docker.private import Engine, Programs
from rtlab.errors import CommandFailed, HostUnfit, UsageError
from rtlab.host import today, virtualization
from rtlab.model import EngineAt, Event, Level, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.providers.local import beside
from rtlab.providers.local.programs import ROOT, Brought, bring
from rtlab.providers.local.programs import existing_ids as programs_ids
from rtlab.providers.local.programs import folder_of as programs_folder
from rtlab.providers.local.programs import home as programs_home
from rtlab.state import StateFolder, now

MACHINE = "local"
# A container that only prints a line: 0.3 to 1 s for runC, up to 3 s for Kata on metal. Some runtimes hang instead.
TRIAL_S = 90.0
# Where Kata's release archives unpack to; ours first.
KATA_FOLDERS = ("/opt/rtlab/kata", "/opt/kata")
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21
_INSTEAD = "`rtlab up --provider simulated` shows the whole tool without any machine."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """One way to hand a runtime to this Docker.

    Attributes:
        entry: Its value in daemon.json's ``runtimes``; None for runc, which is built in.
        note: What is special about it, for the record; empty otherwise.
        features: Switches of the engine's that it needs; they then hold for every runtime.
    """

    entry: Mapping[str, Any] | None
    note: str = ""
    features: Mapping[str, bool] = field(default_factory=dict)


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


class LocalProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "local"
    starts_engines = True
    summary = "This very machine, with a private Docker in its own network namespace; never rebooted."
    settings = frozenset({"engine", "engines", "system_runtimes"})

    def check(self, settings: TestbedSettings) -> None:
        """Settings that contradict one another; ``up`` says what this host lacks before it makes anything."""
        beside.check(settings.engines, load_profile(settings.profile), settings.engine)
        if settings.engine == "modules" and not load_profile(settings.profile).builds:
            raise UsageError(
                f"--engine modules needs a profile that brings builds; {settings.profile} brings none.",
                remedy=f"Say --profile {today.PROFILE}, or leave the profile out.",
            )

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Start the private Docker and find out which runtimes run; at once when it answers already.

        Raises:
            HostUnfit: a program, a right or a kernel feature is missing; with the remedy.
            CommandFailed: a daemon did not come up.
        """
        check_rights()
        private = Engine(testbed_id)
        data = state.folder("local")
        wanted = tuple(name for name in settings.runtimes if ":" not in name)
        if profile.builds and settings.engine != "system":
            further = [build for name in beside.others(settings.engines) for build in plugins.engine(name).builds]
            brought = bring(wanted, profile, testbed_id, state, notify, further, settings.system_runtimes)
        else:
            brought = Brought(fallback=today.refusal() if settings.engine == "auto" else "")
            beside.require_builds(settings.engines, brought)
        notify(Event(stage="machines", message=f"taking {brought.told}", machine=MACHINE))
        programs = engine.find_programs(brought.folder)
        key = findings_key(programs, wanted, profile, brought)
        findings = read_findings(data)
        if findings is None or findings.key != key or not self._runs(private, data, programs, findings):
            findings = self._make(private, data, programs, brought, wanted, profile, key, state, notify)
        machine = machine_of(private, programs, data)
        engines: dict[str, beside.Beside] = {}
        if beside.others(settings.engines) and brought.folder is not None:
            place = Place(
                testbed_id=testbed_id,
                programs=brought.folder,
                data=data,
                logs=state.folder("logs"),
                python=machine.python,
            )
            machine, engines = beside.start(machine, place, settings.engines, wanted, brought, state, notify)
        details = self._details(private, programs, brought, findings, settings)
        for found in engines.values():
            details["runtime_notes"] |= found.notes
            details["unavailable_runtimes"] |= found.unavailable
        return Testbed(
            id=testbed_id,
            provider=self.name,
            profile=profile.name,
            design=settings.design,
            machines=(machine,),
            created_at=now(),
            details=details,
        )

    def _runs(self, private: Engine, data: Path, programs: Programs, findings: Findings) -> bool:
        """Whether the engine is up and configured as it should be."""
        wanted = private.daemon_json(
            data, entries(findings.usable), programs.major, iptables=findings.iptables, features=findings.features
        )
        try:
            as_configured = json.loads(private.config_file.read_text()) == wanted
        except (OSError, ValueError):
            return False
        return as_configured and private.netns_works() and private.answers()

    def _make(
        self,
        private: Engine,
        data: Path,
        programs: Programs,
        brought: Brought,
        wanted: Sequence[str],
        profile: Profile,
        key: str,
        state: StateFolder,
        notify: Notify,
    ) -> Findings:
        wirings = {name: wirings_of(name, programs, profile, brought) for name in wanted}
        image = images.build("tools", suite=images.host_suite(), notify=notify)
        notify(Event(stage="machines", message="starting a private Docker", machine=MACHINE))
        # Whatever a killed dockerd, or one with another configuration, left behind.
        private.stop(programs.docker)
        for kind, name in (
            ("netns", str(private.netns)),
            ("folder", str(private.folder)),
            ("folder", str(data)),
            ("cgroup", private.name),
        ):
            state.note("intend", kind, name, private.id)
        for folder in engine.SHARED_FOLDERS:
            if not os.path.exists(folder):
                state.note("intend", "shared folder", folder, private.id)
        own.mark_data(data, private.id)
        private.make_netns()
        # Every way of wiring under a name of its own, so that one start of dockerd serves all the trials.
        tried = {
            f"try-{name}-{number}": wiring.entry
            for name, ways in wirings.items()
            for number, wiring in enumerate(ways if not isinstance(ways, str) else ())
            if wiring.entry is not None
        }
        iptables = self._start(private, data, programs, tried, state)
        for process in private.processes():
            if process.program in ("dockerd", "containerd"):
                state.note(
                    "have",
                    "process",
                    f"{process.program}[{process.pid}]",
                    private.id,
                    started=process.started,
                    boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                )
        log = state.folder("logs") / "local-docker.log"
        loaded = private.docker(programs.docker, "load", "--input", str(image.path), timeout_s=300, log=log)
        if not loaded.ok:
            raise CommandFailed(
                f"The private Docker did not load the tools image: {loaded.tail(3)}",
                remedy=f"Its log is {state.path / 'logs' / 'local-dockerd.log'}.",
                argv=loaded.argv,
            )
        usable: dict[str, Mapping[str, Any] | None] = {}
        notes: dict[str, str] = {}
        unavailable: dict[str, str] = {}
        features: dict[str, bool] = {}
        for name, ways in wirings.items():
            if isinstance(ways, str):
                unavailable[name] = ways
                continue
            notify(Event(stage="machines", message=f"trying {name}", machine=MACHINE))
            refusals: list[str] = []
            for number, wiring in enumerate(ways):
                docker_name = f"try-{name}-{number}" if wiring.entry is not None else "runc"
                needed = {key: value for key, value in wiring.features.items() if features.get(key) != value}
                if needed:
                    self._switch(private, data, programs, tried, {**features, **needed}, iptables=iptables)
                refusal = try_runtime(private, programs, docker_name, image.reference, log)
                if refusal is None:
                    usable[name] = wiring.entry
                    features |= needed
                    if wiring.note:
                        because = f" (without it: {'; '.join(dict.fromkeys(refusals))})" if refusals else ""
                        notes[name] = wiring.note + because
                    break
                refusals.append(plugins.runtime(name).meaning_of(refusal) or refusal)
                if needed:
                    self._switch(private, data, programs, tried, features, iptables=iptables)
            else:
                unavailable[name] = "; ".join(dict.fromkeys(refusals))
                notify(
                    Event(
                        stage="machines",
                        message=f"{name} cannot run here: {unavailable[name]}",
                        machine=MACHINE,
                        level="warning",
                    )
                )
        private.settle(programs.docker)
        findings = Findings(
            key=key, usable=usable, notes=notes, unavailable=unavailable, iptables=iptables, features=features
        )
        private.reload(private.daemon_json(data, entries(usable), programs.major, iptables=iptables, features=features))
        self._await_runtimes(private, programs, entries(usable))
        if self._info(private, programs).get("Driver") == "vfs":
            notify(
                Event(
                    stage="machines",
                    message=f"no overlay file system on {data}: each start copies the whole image, and is measured so",
                    machine=MACHINE,
                    level="warning",
                )
            )
        atomic.write_json(data / "findings.json", asdict(findings), 0o600)
        return findings

    def _start(
        self, private: Engine, data: Path, programs: Programs, tried: Mapping[str, Any], state: StateFolder
    ) -> bool:
        """Start it with iptables, or without where this kernel has none for us; returns which."""
        logs = state.folder("logs")
        try:
            private.start(programs, data, private.daemon_json(data, tried, programs.major), logs)
        except CommandFailed as error:
            private.stop()
            if not re.search(r"iptables|nft|NAT chain", error.output_tail, re.I):
                raise
            private.start(programs, data, private.daemon_json(data, tried, programs.major, iptables=False), logs)
            return False
        return True

    def _switch(
        self,
        private: Engine,
        data: Path,
        programs: Programs,
        tried: Mapping[str, Any],
        features: Mapping[str, bool],
        *,
        iptables: bool,
    ) -> None:
        """Have the running dockerd take over other switches: known by a runtime's name that comes with them."""
        mark = f"try-{len(features)}-{time.monotonic_ns()}"
        runtimes = {**tried, mark: {"path": "/bin/true"}}
        private.reload(private.daemon_json(data, runtimes, programs.major, iptables=iptables, features=features))
        deadline = time.monotonic() + 15
        while mark not in self._info(private, programs).get("Runtimes", {}) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _await_runtimes(self, private: Engine, programs: Programs, wanted: Mapping[str, Any]) -> None:
        """Wait until dockerd has read its new configuration (it answers SIGHUP in its own time)."""
        deadline = time.monotonic() + 15
        known: Mapping[str, Any] = {}
        while time.monotonic() < deadline:
            known = self._info(private, programs).get("Runtimes", {})
            if set(wanted) <= set(known) and not any(name.startswith("try-") for name in known):
                return
            time.sleep(0.1)
        raise CommandFailed(f"The private Docker did not take over the runtimes {', '.join(wanted)}: it has {known}.")

    def _info(self, private: Engine, programs: Programs) -> dict[str, Any]:
        result = private.docker(programs.docker, "info", "--format", "{{json .}}", timeout_s=30)
        try:
            found = json.loads(result.stdout)
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _details(
        self, private: Engine, programs: Programs, brought: Brought, findings: Findings, settings: TestbedSettings
    ) -> dict[str, Any]:
        info = self._info(private, programs)
        unavailable = {
            name: findings.unavailable.get(name, "variants need machines whose Kata rtlab installs (Vagrant)")
            for name in settings.runtimes
            if name in findings.unavailable or ":" in name
        }
        return {
            "engine": {"docker": info.get("ServerVersion"), "containerd": info.get("ContainerdCommit", {}).get("ID")},
            "taken": brought.told,
            "fallback": brought.fallback,
            "system_runtimes": list(brought.own),
            "builds": dict(brought.records),
            "engine_features": dict(findings.features),
            "storage_driver": info.get("Driver"),
            "cgroup_version": info.get("CgroupVersion"),
            "cgroup_driver": info.get("CgroupDriver"),
            "iptables": findings.iptables,
            "netns": str(private.netns),
            "runtime_wiring": {plugins.runtime(n).docker_name: entry for n, entry in findings.usable.items()},
            "runtime_notes": dict(findings.notes),
            "unavailable_runtimes": unavailable,
            "reboots": "none: this machine runs rtlab itself",
        }

    # ------------------------------------------------------------- while it is there

    def status(self, testbed: Testbed, state: StateFolder) -> tuple[MachineStatus, ...]:
        private = Engine(testbed.id)
        readable = os.access(private.folder, os.X_OK)
        if not private.folder.exists():
            found, note = "missing", "`rtlab up` starts it again"
        elif not readable:
            found, note = "unreachable", "its socket is root's: use sudo"
        elif private.answers():
            found, note = "running", f"netns {private.netns}"
        else:
            found, note = "stopped", "its Docker does not answer: `rtlab up` starts it again"
        return tuple(
            MachineStatus(name=m.name, state=found, address=str(private.socket), note=note) for m in testbed.machines
        )

    def shell(self, machine: Machine) -> Shell:
        return LocalShell()

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        raise UsageError(
            f"{machine.name} is the machine that rtlab itself runs on: it is not rebooted.",
            remedy="Say --reboot never, or use machines of their own (--provider vagrant).",
        )

    def rest(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """There is no other machine."""

    def wake(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """See ``rest``."""

    # ------------------------------------------------------------- its end

    def leftovers(self, testbed_id: str, state: StateFolder) -> tuple[Resource, ...]:
        private = Engine(testbed_id)
        found = {(r.kind, r.name): r for r in private.resources()}
        for name in plugins.names("engines"):
            found |= {(r.kind, r.name): r for r in plugins.engine(name).resources(testbed_id)}
        if own.is_data(programs_home(testbed_id), testbed_id):
            name = str(programs_home(testbed_id))
            found.setdefault(("folder", name), Resource(kind="folder", name=name))
        for folder in self._data_folders(private, state):
            found.setdefault(("folder", str(folder)), Resource(kind="folder", name=str(folder)))
            for mount in own.mounts_below(folder):
                found.setdefault(("mount", mount), Resource(kind="mount", name=mount))
        return tuple(found.values())

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        """Stop the private Docker and remove its traces; returns what could not be removed."""
        private = Engine(testbed_id)
        existing = self.leftovers(testbed_id, state)
        if not existing:
            self._journal_gone(private, state)
            return ()
        if os.geteuid() != 0:
            raise HostUnfit(
                f"The private Docker of testbed {testbed_id} belongs to root.",
                remedy="Run `sudo rtlab teardown` (with the path of this rtlab if sudo does not find it).",
            )
        notify(Event(stage="teardown", message="stopping the private Docker", machine=MACHINE))
        # Its own, or the installed one; gone meanwhile: then without asking it.
        docker = own.find("docker", (str(programs_folder(testbed_id)),))
        folders = self._data_folders(private, state)
        private.remove(docker)
        for name in plugins.names("engines"):
            plugins.engine(name).forget(testbed_id)
        for folder in folders:
            # Its daemon.json was lost, but the state folder says where its data is.
            own.remove_data(folder, testbed_id)
        own.remove_data(programs_home(testbed_id), testbed_id)
        left = self.leftovers(testbed_id, state)
        if not left:
            self._journal_gone(private, state)
        return left

    def _data_folders(self, private: Engine, state: StateFolder) -> tuple[Path, ...]:
        """Where this testbed's data is: as its daemon.json says, and in this state folder."""
        candidates = (private.data(), state.path / "local")
        return tuple(dict.fromkeys(f.resolve() for f in candidates if f is not None and own.is_data(f, private.id)))

    def _journal_gone(self, private: Engine, state: StateFolder) -> None:
        """Everything is gone: empty folders that only our daemons made go too, then the journal says so."""
        made = [e.name for e in state.outstanding(private.id) if e.kind == "shared folder"]
        engine.remove_shared_folders(made)
        beside.remove_shared_folders(made)
        if str(ROOT) in made:
            with contextlib.suppress(OSError):  # another testbed's are in it
                os.rmdir(ROOT)
        for entry in state.outstanding(private.id):
            if entry.kind in ("netns", "folder", "cgroup", "process", "shared folder"):
                state.note("gone", entry.kind, entry.name, private.id)

    def candidates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*own.existing_ids(), *programs_ids())))


# --------------------------------------------------------------------------- this machine


def check_rights(status: str | None = None, mounts: str | None = None, euid: int | None = None) -> None:
    """HostUnfit unless root may make namespaces, mounts and cgroups here.

    Args:
        status, mounts, euid: For tests; otherwise this process's own.
    """
    if (os.geteuid() if euid is None else euid) != 0:
        raise HostUnfit(
            "The local provider starts a Docker of its own on this machine, which only root may do.",
            remedy=f"sudo {sys.executable} -m rtlab up --provider local",
        )
    text = status if status is not None else Path("/proc/self/status").read_text()
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.M)
    capabilities = int(match[1], 16) if match else 0
    missing = [
        name
        for name, bit in (("CAP_SYS_ADMIN", _CAP_SYS_ADMIN), ("CAP_NET_ADMIN", _CAP_NET_ADMIN))
        if not capabilities >> bit & 1
    ]
    if missing:
        raise HostUnfit(
            f"No Docker can run here: root lacks {' and '.join(missing)} (an unprivileged container, it seems).",
            remedy=f"Run rtlab on the host itself, or in a privileged container (docker run --privileged). {_INSTEAD}",
        )
    table = mounts if mounts is not None else Path("/proc/self/mounts").read_text()
    cgroups = [words for words in map(str.split, table.splitlines()) if words[2] in ("cgroup", "cgroup2")]
    if not any("rw" in words[3].split(",") for words in cgroups):
        how = "mounted read-only" if cgroups else "not mounted"
        raise HostUnfit(
            f"No Docker can run here: cgroups are {how} (an unprivileged container, it seems).",
            remedy=f"mount -t cgroup2 none /sys/fs/cgroup; or run rtlab on the host itself. {_INSTEAD}",
        )


def level() -> Level:
    """What this machine is."""
    program = own.find("systemd-detect-virt")
    said = run((program, "--vm"), timeout_s=10).text().strip() if program else ""
    return virtualization.this_machine(said).level


def machine_of(private: Engine, programs: Programs, data: Path) -> Machine:
    """The machine as everything else sees it."""
    return Machine(
        name=MACHINE,
        transport="local",
        python=sys.executable,
        sudo=os.geteuid() != 0,
        engine=EngineAt(socket=str(private.socket), cli=programs.docker),
        netns=str(private.netns),
        home=str(data / "home"),
        may_reboot=False,
        level=level(),
    )


# --------------------------------------------------------------------------- runtimes


def entries(usable: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """daemon.json's ``runtimes``, by the names that Docker knows them by."""
    return {plugins.runtime(name).docker_name: dict(entry) for name, entry in usable.items() if entry is not None}


def wirings_of(name: str, programs: Programs, profile: Profile, brought: Brought) -> tuple[Wiring, ...] | str:
    """The ways to try, best first; or why there is none."""
    runtime = plugins.runtime(name)
    if name in brought.lacking:
        return brought.lacking[name]
    if runtime.proof == "runc":
        there = brought.find(name, "runc")
        return (Wiring(entry=None),) if there else "runc is not installed (apt-get install runc)"
    if runtime.proof == "gvisor":
        path = brought.find(name, "runsc")
        if not path:
            return "runsc is not installed (apt-get install runsc)"
        asked = str(profile.role_variables.get("gvisor_platform", ""))
        return gvisor_wirings(path, default_platform(path), asked, kvm=virtualization.prove().usable)
    if runtime.proof == "kata":
        return kata_wirings(programs)
    path = brought.find(name, name)
    own = (
        f"this machine's own {name}: there is no build of it"
        if path and brought.folder and not brought.has(name) and name not in brought.own
        else ""
    )
    if runtime.proof == "youki":
        return (
            youki_wirings(path)
            if path
            else "youki is not installed: no distribution has it (profile modules builds it)"
        )
    return (Wiring(entry={"path": path}, note=own),) if path else f"{name} is not installed (apt-get install {name})"


def youki_wirings(path: str) -> tuple[Wiring, ...]:
    """As it is; and where that fails with the engine's private time namespaces (Docker 29.5 on; youki issue 3538)
    switched off. Engines before know no such switch and ignore it."""
    note = "the engine's private time namespaces are switched off, for every runtime (youki issue 3538)"
    return (
        Wiring(entry={"path": path}),
        Wiring(entry={"path": path}, note=note, features={"time-namespaces": False}),
    )


def default_platform(runsc: str) -> str:
    """What this runsc runs on when nobody says: ``systrap`` since mid-2023, ``ptrace`` before; empty if not told."""
    told = run((runsc, "flags"), timeout_s=20)
    match = re.search(
        r"-platform\b.*?\(default \"?(\w+)\"?\)", (told.stdout + told.stderr).decode("utf-8", "replace"), re.S
    )
    return match[1] if match else ""


def gvisor_wirings(path: str, default: str, asked: str, *, kvm: bool) -> tuple[Wiring, ...]:
    """gVisor as people run it first: its own network stack, and no arguments at all where that is the platform.

    Docker wraps a runtime with arguments in a script, which costs each call a shell. ptrace is deprecated and comes
    last, and ``--network=host`` (the container's own namespace with the machine's network stack, which old releases
    need on new kernels) only after everything else: both change what is measured, and are recorded.

    Args:
        default: This runsc's own platform; empty when not known.
        asked: The profile's; empty for none.
        kvm: Whether the machine's KVM boots guests.
    """
    sound = dict.fromkeys(p for p in (asked, default, "systrap", "kvm" if kvm else "") if p and p != "ptrace")
    platforms = (*sound, "ptrace")
    ways = []
    for network in ((), ("--network=host",)):
        for platform in platforms:
            arguments = [*([] if platform == default else [f"--platform={platform}"]), *network]
            note = f"platform {platform}" + (", with --network=host: the kernel's network stack" if network else "")
            ways.append(Wiring(entry={"path": path, **({"runtimeArgs": arguments} if arguments else {})}, note=note))
    return tuple(ways)


def kata_wirings(programs: Programs) -> tuple[Wiring, ...] | str:
    """Kata as this Docker can drive it, if it is installed and KVM boots a guest."""
    shims = [p for f in KATA_FOLDERS for p in (f"{f}/bin/containerd-shim-kata-v2",) if os.access(p, os.X_OK)]
    clis = [p for f in KATA_FOLDERS for p in (f"{f}/bin/kata-runtime",) if os.access(p, os.X_OK)]
    if not shims and not clis:
        return f"Kata is not installed (looked in {' and '.join(KATA_FOLDERS)})"
    proof = virtualization.prove()
    if not proof.usable:
        return f"Kata needs a KVM that boots guests: {proof.reason}"
    if programs.major >= 23 and shims:
        return (Wiring(entry={"runtimeType": shims[0]}),)
    if clis:
        return (Wiring(entry={"path": clis[0]}),)
    return f"Docker {programs.version} can drive Kata 1.x only; Kata 3.x needs Docker 23 or later"


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


# --------------------------------------------------------------------------- what is known already


def findings_key(programs: Programs, wanted: Sequence[str], profile: Profile, brought: Brought) -> str:
    """Digest of everything that may change which runtimes run: programs (size, time), kernel, profile, our code."""
    paths = [programs.dockerd, programs.containerd, *(own.find(p) for p in ("runc", "crun", "runsc"))]
    paths += [brought.find(name, p) for name, p in (("runc", "runc"), ("gvisor", "runsc"), ("youki", "youki"))]
    paths += [f"{f}/bin/{p}" for f in KATA_FOLDERS for p in ("kata-runtime", "containerd-shim-kata-v2")]
    seen: list[Any] = [
        list(wanted),
        profile.name,
        str(brought.folder),
        os.uname().release,
        os.uname().version,
        _STARTED,
    ]
    for path in paths:
        try:
            stat = os.stat(path)
        except OSError:
            continue
        seen.append([path, stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


# Another rtlab may wire differently: its findings are its own.
_STARTED = hashlib.sha256(Path(__file__).read_bytes() + Path(engine.__file__).read_bytes()).hexdigest()


def read_findings(data: Path) -> Findings | None:
    """What an earlier ``up`` found out; None when there is nothing (readable)."""
    try:
        return Findings(**json.loads((data / "findings.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


PROVIDER = LocalProvider()
