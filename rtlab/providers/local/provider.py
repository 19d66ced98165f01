"""This very machine, with a Docker of rtlab's own beside whatever there is (see ``rtlab.engines.docker.private``).

For CI runners and bare metal. Nothing outside the state folder, /run/rtlab-<id>, /opt/rtlab/<id>, one network
namespace and one cgroup is written; the machine is never rebooted. Which runtimes can run here is found out by running
each of them once.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtlab import plugins
from rtlab.artifacts.profile import Profile
from rtlab.artifacts.profile import load as load_profile
from rtlab.config import TestbedSettings
from rtlab.connection.shell import LocalShell
from rtlab.engines import private as own
from rtlab.engines.contract import Place
from rtlab.engines.docker import private as engine
from rtlab.engines.docker.private import Engine, Programs
from rtlab.errors import HostUnfit, UsageError
from rtlab.host import today
from rtlab.model import Event, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers import sources
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.providers.local import beside, here, trying
from rtlab.providers.local.programs import ROOT, Brought, bring
from rtlab.providers.local.programs import existing_ids as programs_ids
from rtlab.providers.local.programs import folder_of as programs_folder
from rtlab.providers.local.programs import home as programs_home
from rtlab.providers.local.trying import Findings, entries
from rtlab.providers.sources import NO_BUILD
from rtlab.state import StateFolder, now


class LocalProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "local"
    starts_engines = True
    summary = "This very machine, with a private Docker in its own network namespace; never rebooted."
    settings = frozenset({"engine", "engines", "system_runtimes"})

    def check(self, settings: TestbedSettings) -> None:
        """Settings that contradict one another; ``up`` says what this host lacks before it makes anything."""
        beside.check(settings.engines, load_profile(settings.profile), settings.engine)
        sources.check(settings, "this machine")
        if settings.system_runtimes and (others := beside.others(settings.engines)):
            raise UsageError(
                f"A runtime of this machine's own runs under Docker here, not under {' and '.join(others)}.",
                remedy="Leave out --system-runtimes, or the engine.",
            )

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Start the private Docker and find out which runtimes run; at once when it answers already.

        Raises:
            HostUnfit: a program, a right or a kernel feature is missing; with the remedy.
            CommandFailed: a daemon did not come up.
        """
        here.check_rights()
        private = Engine(testbed_id)
        data = state.folder("local")
        wanted = tuple(name for name in settings.runtimes if ":" not in name)
        if sources.brings(settings, profile):
            further = [build for name in beside.others(settings.engines) for build in plugins.engine(name).builds]
            brought = bring(wanted, profile, testbed_id, state, notify, further, settings.system_runtimes)
        else:
            brought = Brought(fallback=today.refusal() if settings.engine == "auto" else "")
            beside.require_builds(settings.engines, brought)
        notify(Event(stage="machines", message=f"taking {brought.told}", machine=here.MACHINE))
        programs = engine.find_programs(brought.folder)
        key = trying.findings_key(programs, wanted, profile, brought)
        findings = trying.read_findings(data)
        if findings is None or findings.key != key or not self._runs(private, data, programs, findings):
            findings = trying.Lab(
                private=private, data=data, programs=programs, brought=brought, state=state, notify=notify
            ).find_out(wanted, profile, key)
        machine = here.machine_of(private, programs, data)
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
            data,
            entries(findings.usable),
            programs.major,
            iptables=findings.iptables,
            features=findings.features,
        )
        try:
            as_configured = json.loads(private.config_file.read_text()) == wanted
        except (OSError, ValueError):
            return False
        return as_configured and private.netns_works() and private.answers()

    def _details(
        self,
        private: Engine,
        programs: Programs,
        brought: Brought,
        findings: Findings,
        settings: TestbedSettings,
    ) -> dict[str, Any]:
        said = trying.info(private, programs)
        unavailable = {
            name: findings.unavailable.get(name, "variants need machines whose Kata rtlab installs (Vagrant)")
            for name in settings.runtimes
            if name in findings.unavailable or ":" in name
        }
        return {
            "engine": {"docker": said.get("ServerVersion"), "containerd": said.get("ContainerdCommit", {}).get("ID")},
            "taken": brought.told,
            "fallback": brought.fallback,
            "system_runtimes": list(brought.own),
            "next_best": {**brought.instead, **no_build(findings.usable, brought)},
            "builds": dict(brought.records),
            "engine_features": dict(findings.features),
            "storage_driver": said.get("Driver"),
            "cgroup_version": said.get("CgroupVersion"),
            "cgroup_driver": said.get("CgroupDriver"),
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
        notify(Event(stage="teardown", message="stopping the private Docker", machine=here.MACHINE))
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


def no_build(usable: Iterable[str], brought: Brought) -> dict[str, str]:
    """Runtime -> why it is this machine's own beside an engine that was brought, though nobody asked for that."""
    return {name: f"{NO_BUILD}: this machine's own" for name in usable if brought.why_own(name) == NO_BUILD}


PROVIDER = LocalProvider()
