"""Machines made by Vagrant, with libvirt or VirtualBox.

Vagrant makes and starts the machines. What exists is asked of libvirt or VirtualBox themselves, and removed through
them: that works also when Vagrant's own state was lost (docs/decisions/0011-vagrant-machines.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from rtlab import atomic, content
from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.connection.rebooting import boot_id, reboot_over_ssh, set_clock
from rtlab.connection.ssh import SSHShell
from rtlab.errors import HostUnfit, MachineUnreachable, RtlabError, UsageError
from rtlab.model import EngineAt, Event, Level, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.providers.vagrant import libvirt, libvirtd, virtualbox
from rtlab.providers.vagrant.blueprint import Blueprint
from rtlab.providers.vagrant.hardware import accelerator, backend_of, reachable
from rtlab.providers.vagrant.nodes import SETTINGS, box_of, level_of
from rtlab.providers.vagrant.watched import WatchedVagrant
from rtlab.state import StateFolder, now

ANSWER_TIMEOUT_S = 300.0

# A machine that is still booting, and does not hang, answers after this at the latest.
BOOTING_S = {Level.EMULATED: 120.0}
BOOTING_ELSE_S = 20.0

REMOVE_ATTEMPTS = 4

# Where the roles put an engine of builds (rtlab_bin in playbooks/group_vars/all.yml).
PROGRAMS_FOLDER = "/opt/rtlab/bin"


class VagrantProvider(Provider):
    name = "vagrant"
    summary = "Vagrant machines with libvirt (hardware virtualization or emulated) or VirtualBox."
    makes_machines = True
    also_called: Mapping[str, Mapping[str, str]] = {name: {"backend": name} for name in ("libvirt", "virtualbox")}
    settings = SETTINGS

    # ------------------------------------------------------------- up

    def check(self, settings: TestbedSettings) -> None:
        """Nothing: ``up`` says what this host lacks before it makes anything."""

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        backend = backend_of(settings)
        accel = accelerator(settings, backend)
        log = _log(state)
        folder = state.folder("vagrant")
        hardware = {
            "accel": accel,
            "cpus": settings.cpus,
            "memory_mb": settings.memory_mb,
            "disk_gb": settings.disk_gb,
            "disk_cache": settings.disk_cache,
        }
        _check_hardware(backend, hardware, settings.nodes)
        written = _written(state, testbed_id)
        if written is not None:
            _refuse_changes(written, backend, hardware, settings.nodes)
            testbed = _testbed(written, testbed_id, profile, settings, state)
            if reachable(_module(backend)):
                for machine in testbed.machines:  # a campaign that was killed leaves some at rest
                    self.wake(testbed, machine, state)
            if _all_running(_module(backend), testbed_id, written):
                for machine in testbed.machines:
                    self.revive(testbed, machine, state, notify)
                return testbed
        if backend == "libvirt":
            libvirtd.ensure(log, notify)
        if written is not None and _all_exist(_module(backend), testbed_id, written):
            # Halted, or libvirt was restarted: they keep their box and seed, whatever a box would be made of today.
            data = written
            if backend == "libvirt":
                libvirt.start_again(testbed_id, log)
        else:
            blueprint = Blueprint(
                testbed_id=testbed_id,
                backend=backend,
                hardware=hardware,
                box=box_of(settings, profile, backend, notify),
                suite=profile.suite,
                count=settings.nodes,
                ports={m["name"]: m["ssh_port"] for m in (written or {}).get("machines", [])},
            )
            data = blueprint.prepare(state, log, notify)
        atomic.write_json(folder / "machines.json", data, 0o600)
        shutil.copyfile(content.root() / "Vagrantfile", folder / "Vagrantfile")
        vagrant = WatchedVagrant(folder, log, _vagrant_home(state))
        for machine in data["machines"]:
            state.note("intend", "domain", f"rtlab-{testbed_id}-{machine['name']}", testbed_id, backend=backend)
        notify(Event(stage="machines", message=f"Starting {settings.nodes} machines with {backend} ({accel})"))
        vagrant.up(provider=backend, provision=False)  # type: ignore[no-untyped-call]
        for machine in data["machines"]:
            state.note("have", "domain", f"rtlab-{testbed_id}-{machine['name']}", testbed_id, backend=backend)
        testbed = _testbed(data, testbed_id, profile, settings, state)
        _wait_for_answers(testbed.machines, ANSWER_TIMEOUT_S)
        notify(Event(stage="machines", message="All machines answer", fraction=1.0))
        return testbed

    # ------------------------------------------------------------- in use

    def status(self, testbed: Testbed, state: StateFolder) -> tuple[MachineStatus, ...]:
        module = _module(str(testbed.details["backend"]))
        found = module.states(testbed.id) if module.answers() else {}
        statuses = []
        for machine in testbed.machines:
            word = found.get(machine.name, "missing")
            statuses.append(
                MachineStatus(
                    name=machine.name,
                    state="running" if word == "paused" else word,
                    address=f"{machine.address}:{machine.port}",
                    note="resting" if word == "paused" else "",
                )
            )
        return tuple(statuses)

    def shell(self, machine: Machine) -> Shell:
        return SSHShell(machine)

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        """Reboot inside the guest: the virtual machine's process goes on. Addresses are fixed by MAC.

        A guest that does not answer (hung, or its sshd dead) is reset instead.
        """
        self.wake(testbed, machine, state)
        try:
            boot_id(machine)
        except MachineUnreachable as error:
            if "host key" in error.message:
                raise
            _module(str(testbed.details["backend"])).reset(f"rtlab-{testbed.id}-{machine.name}", _log(state))
            _wait_for_answers((machine,), timeout_s)
            return machine
        reboot_over_ssh(machine, timeout_s)
        return machine

    def rest(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        module = _module(str(testbed.details["backend"]))
        if module.states(testbed.id).get(machine.name) == "running":
            module.pause(f"rtlab-{testbed.id}-{machine.name}", _log(state))

    def wake(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        module = _module(str(testbed.details["backend"]))
        if module.states(testbed.id).get(machine.name) == "paused":
            module.resume(f"rtlab-{testbed.id}-{machine.name}", _log(state))
            # Its clock stood still meanwhile. One that does not answer now is found out by what comes next.
            with contextlib.suppress(MachineUnreachable):
                set_clock(machine)

    def revive(self, testbed: Testbed, machine: Machine, state: StateFolder, notify: Notify) -> None:
        """Wait until a running machine answers; one that hangs is reset."""
        try:
            _wait_for_answers((machine,), BOOTING_S.get(machine.level, BOOTING_ELSE_S))
        except MachineUnreachable as error:
            if "host key" in error.message:
                raise
            message = "It runs but does not answer: resetting it"
            notify(Event(stage="machines", level="warning", machine=machine.name, message=message))
            _module(str(testbed.details["backend"])).reset(f"rtlab-{testbed.id}-{machine.name}", _log(state))
            _wait_for_answers((machine,), ANSWER_TIMEOUT_S)

    # ------------------------------------------------------------- teardown

    def leftovers(self, testbed_id: str, state: StateFolder) -> tuple[Resource, ...]:
        found: list[Resource] = []
        for module in (libvirt, virtualbox):
            if reachable(module):
                found += module.resources(testbed_id)
        if reachable(virtualbox):
            found += virtualbox.unnamed(_uuids(state, testbed_id))
        known = {(r.kind, r.name) for r in found}
        for entry in state.outstanding(testbed_id):
            backend = entry.details.get("backend", "")
            # Only where reality cannot be asked does the journal decide.
            if backend in _MODULES and not reachable(_MODULES[backend]) and (entry.kind, entry.name) not in known:
                found.append(Resource(kind=entry.kind, name=entry.name, note=f"{backend} does not answer"))
        folder = state.path / "vagrant"
        if folder.exists() and _written(state, testbed_id) is not None:
            found.append(Resource(kind="folder", name=str(folder)))
        return tuple(found)

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        log = _log(state)
        outstanding = [e for e in state.outstanding(testbed_id) if e.details.get("backend") in _MODULES]
        if any(e.details["backend"] == "libvirt" for e in outstanding) and not reachable(libvirt):
            # Its daemon was stopped since (a reboot of this machine); without it nothing can be removed.
            with contextlib.suppress(RtlabError):
                libvirtd.ensure(log, notify)
        for module in (libvirt, virtualbox):
            if reachable(module):
                _remove_all(module, testbed_id, log, notify)
        if reachable(virtualbox):
            for resource in virtualbox.unnamed(_uuids(state, testbed_id)):
                virtualbox.remove(resource, log)
        remaining = tuple(r for r in self.leftovers(testbed_id, state) if r.kind != "folder")
        left = {(r.kind, r.name) for r in remaining}
        for entry in outstanding:
            if (entry.kind, entry.name) not in left:
                state.note("gone", entry.kind, entry.name, testbed_id)
        if not remaining and (_written(state, testbed_id) is not None or state.testbed_id() in (testbed_id, None)):
            for name in ("vagrant", "keys"):
                shutil.rmtree(state.path / name, ignore_errors=True)
        stopped = libvirtd.stop(log)
        return (*remaining, *(Resource(kind="process", name=f"{s.name} {s.pid}", note="does not end") for s in stopped))

    def candidates(self) -> tuple[str, ...]:
        return tuple(sorted({i for m in (libvirt, virtualbox) if reachable(m) for i in m.testbed_ids()}))


_MODULES: dict[str, ModuleType] = {"libvirt": libvirt, "virtualbox": virtualbox}


def _module(backend: str) -> Any:
    return _MODULES[backend]


def _log(state: StateFolder) -> Path:
    return state.folder("logs") / "vagrant.log"


def _check_hardware(backend: str, hardware: Mapping[str, Any], count: int) -> None:
    if backend == "virtualbox" and hardware["disk_cache"] == "writethrough":
        raise UsageError(
            "VirtualBox knows no disk cache mode `writethrough`.", remedy="Use none (host cache off) or writeback (on)."
        )
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    wanted = int(hardware["memory_mb"]) * count
    if wanted > memory_mb:
        raise HostUnfit(
            f"{count} machines with {hardware['memory_mb']} MB need {wanted} MB; this machine has {memory_mb} MB.",
            remedy=f"Say --memory-mb {max(512, memory_mb * 3 // 4 // count)}, or fewer --machines.",
        )


def _written(state: StateFolder, testbed_id: str) -> dict[str, Any] | None:
    """The machines.json of the last ``up`` of this testbed, if it is there and whole."""
    file = state.path / "vagrant" / "machines.json"
    try:
        data = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return cast(dict[str, Any], data) if data.get("testbed") == testbed_id else None


def _uuids(state: StateFolder, testbed_id: str) -> tuple[str, ...]:
    """VirtualBox's ids of this testbed's machines, as Vagrant noted them."""
    if _written(state, testbed_id) is None:
        return ()
    files = (state.path / "vagrant" / ".vagrant").glob("machines/*/virtualbox/id")
    return tuple(sorted(file.read_text().strip() for file in files))


def _refuse_changes(written: Mapping[str, Any], backend: str, hardware: Mapping[str, Any], count: int) -> None:
    had = {**written["hardware"], "backend": written["backend"], "machines": len(written["machines"])}
    wanted = {**hardware, "backend": backend, "machines": count}
    changes = [f"{key} {had.get(key)} -> {value}" for key, value in wanted.items() if had.get(key) != value]
    if changes:
        raise UsageError(
            f"The machines here were made with other settings ({', '.join(changes)}).",
            remedy="`rtlab teardown` removes them; or work in another folder.",
        )


def _all_running(module: Any, testbed_id: str, written: Mapping[str, Any]) -> bool:
    if not reachable(module):
        return False
    found = module.states(testbed_id)
    return all(found.get(m["name"]) == "running" for m in written["machines"])


def _all_exist(module: Any, testbed_id: str, written: Mapping[str, Any]) -> bool:
    return {m["name"] for m in written["machines"]} <= set(module.states(testbed_id))


def _vagrant_home(state: StateFolder) -> Path:
    """A VAGRANT_HOME of the testbed's own, with the plug-ins that the user installed for himself linked in."""
    home = state.folder("vagrant/home")
    users = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    for name in ("plugins.json", "gems"):
        if (users / name).exists() and not (home / name).exists():
            (home / name).symlink_to((users / name).resolve())
    return home


def _testbed(
    data: Mapping[str, Any], testbed_id: str, profile: Profile, settings: TestbedSettings, state: StateFolder
) -> Testbed:
    backend, hardware = data["backend"], data["hardware"]
    level = level_of(hardware["accel"])
    # Of builds there is no /usr/bin/docker: the role `docker` puts the client among its programs.
    own = profile.role_variables.get("docker_source") == "builds"
    engine = EngineAt(cli=f"{PROGRAMS_FOLDER}/docker") if own else EngineAt()
    machines = tuple(
        Machine(
            name=m["name"],
            transport="ssh",
            address=m["address"],
            port=m["ssh_port"],
            user=data["user"],
            key_file=data["private_key"],
            known_hosts_file=str((state.path / "keys" / "known_hosts").resolve()),
            engine=engine,
            level=level,
        )
        for m in data["machines"]
    )
    try:
        created_at = state.testbed().created_at
    except RtlabError:
        created_at = now()
    return Testbed(
        id=testbed_id,
        provider="vagrant",
        profile=profile.name,
        design=settings.design,
        machines=machines,
        created_at=created_at,
        details={
            "backend": backend,
            "box": {k: data["box"][k] for k in ("name", "version", "sha256", "provisioned")},
            **hardware,
            **_module(backend).describe(),
        },
    )


def _wait_for_answers(machines: Sequence[Machine], timeout_s: float) -> None:
    """Every machine answers over SSH, with the host key that it was given."""
    for machine in machines:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                boot_id(machine)
                break
            except MachineUnreachable as error:
                if time.monotonic() > deadline or "host key" in error.message:
                    raise
                time.sleep(1)


def _remove_all(module: Any, testbed_id: str, log: Path, notify: Notify) -> None:
    """Remove what exists, again and again with growing pauses: a domain may take a moment to let its disk go."""
    for attempt in range(REMOVE_ATTEMPTS):
        existing = module.resources(testbed_id)
        if not existing:
            return
        if attempt:
            time.sleep(2**attempt)
        for resource in existing:
            notify(Event(stage="teardown", message=f"Removing {resource.kind} {resource.name}"))
            # One thing that cannot be removed must not keep the others.
            with contextlib.suppress(RtlabError, subprocess.SubprocessError, OSError):
                module.remove(resource, log)


PROVIDER = VagrantProvider()
