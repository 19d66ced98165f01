"""``rtlab up`` and ``rtlab teardown``: machines created, roles applied, runtimes proved; and all of it removed again.

A second ``up`` changes nothing: what the roles were given is digested and kept on the machines, and machines that
carry the same digest are only verified.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rtlab
from rtlab import content, plugins
from rtlab.artifacts import images, profile
from rtlab.artifacts import pins as digests
from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.connection import client as probe_client
from rtlab.connection.playbook import apply
from rtlab.errors import HostUnfit, RtlabError, TestbedMissing, UsageError
from rtlab.model import Event, Level, Machine, Notify, Testbed
from rtlab.providers.contract import MachineStatus, Provider, Resource
from rtlab.runtimes.kata import compatibility
from rtlab.runtimes.kata import release as kata_release
from rtlab.state import StateFolder

# What the machine carries once the roles were applied: the digest of everything that they were given.
STAMP = "provisioned.sha256"
PROVISION_TIMEOUT_S = 3600.0
# Settings that hold the digest of a download.
DIGESTS = ("kata_sha256", "box_sha256", "gvisor_sha512", "crun_sha256")
GUEST_TRIES = 4  # as the role kata's own proof has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """What ``up`` did.

    Attributes:
        provisioned: Machines to which the roles were applied now; empty when everything was there already.
        changed: Machine -> how many tasks changed something, for those machines.
        unavailable: Runtime -> why it cannot run here, when the provider found that out (local machines only).
        failed_proofs: What a proof said before a later try succeeded; kept with the testbed and every campaign.
    """

    testbed: Testbed
    provisioned: tuple[str, ...]
    changed: Mapping[str, int]
    unavailable: Mapping[str, str]
    failed_proofs: tuple[str, ...]


def up(settings: TestbedSettings, state: StateFolder, notify: Notify, *, provision: bool = False) -> Up:
    """Create or start the machines, apply the roles, prove every runtime.

    Args:
        settings: With provider and profile resolved (not ``auto``).
        provision: Apply the roles even where the stamp says that they were applied.

    Raises:
        RtlabError: what was created so far stays and is in the journal; `up` goes on, `teardown` removes it.
    """
    provider: Provider = plugins.provider(settings.provider)
    pins = kata_release.chosen(profile.load(settings.profile), settings.kata_version, settings.kata_flavour)
    given = _given(settings)
    folder = state.path.parent
    pins = profile.with_sources(pins, given)
    locked = digests.read(folder)
    wanted = profile.missing_pins(pins, settings.runtimes, {k: v for k, v in given.items() if k not in DIGESTS})
    digests.refuse_changes(wanted, given, locked)
    given = {**digests.recall(wanted, locked), **given}
    if "box_sha256" in given:
        pins = replace(pins, box={**pins.box, "sha256": given["box_sha256"]})
    provider.check(settings)
    if settings.provider != "simulated":
        _require_pins(pins, settings, given, state)
    if settings.provider == "vagrant" and any(plugins.runtime(r).role == "kata" for r in settings.runtimes):
        _require_kata(pins, notify)
    with state.locked("rtlab up"):
        testbed_id = state.testbed_id() or state.new_testbed_id()
        _refuse_another_testbed(settings, state)
        testbed = provider.up(settings, pins, testbed_id, state, notify)
        unavailable = dict(testbed.details.get("unavailable_runtimes", {}))
        testbed = _with_runtimes(testbed, settings, unavailable)
        chosen = {"kata": settings.kata, "kata_version": settings.kata_version, "kata_flavour": settings.kata_flavour}
        testbed = replace(testbed, details={**testbed.details, **{k: v for k, v in chosen.items() if v}})
        state.write_testbed(testbed)
        if testbed.level is Level.SIMULATED:
            return Up(testbed=testbed, provisioned=(), changed={}, unavailable=unavailable, failed_proofs=())
        prepared = _prepare_images(pins, notify)
        variables = _variables(testbed, pins, settings, given, prepared)
        stamps = {m.name: _stamp(m, variables) for m in testbed.machines}
        waiting = tuple(m.name for m in testbed.machines if provision or _read_stamp(provider, m) != stamps[m.name])
        changed: Mapping[str, int] = {}
        if waiting:
            changed = apply(
                "site.yml",
                testbed,
                state=state,
                extra_vars=variables,
                notify=notify,
                timeout_s=PROVISION_TIMEOUT_S * (3 if testbed.level is Level.EMULATED else 1),
                limit=waiting,
            ).changed
        for name in waiting:
            machine = testbed.machine(name)
            shell = provider.shell(machine)
            shell.put(stamps[name].encode(), f"{machine.home}/{STAMP}", 0o644)
            shell.close()
        if testbed.provider == "vagrant":  # only there were they used and found right
            digests.write(folder, wanted, given, locked)
        testbed = replace(testbed, details={**testbed.details, "images": dict(prepared.references)})
        state.write_testbed(testbed)
        testbed, failed = _prove(provider, testbed, prepared.references, notify)
        if failed:
            testbed = replace(testbed, details={**testbed.details, "failed_proofs": list(failed)})
        state.write_testbed(testbed)
        return Up(
            testbed=testbed, provisioned=waiting, changed=changed, unavailable=unavailable, failed_proofs=tuple(failed)
        )


def _require_pins(pins: Profile, settings: TestbedSettings, given: Mapping[str, str], state: StateFolder) -> None:
    """Say at once, before anything is made, what cannot be reached or is not pinned."""
    if not _made_already(settings, state):
        installs = settings.runtimes if settings.provider == "vagrant" else ()
        profile.require_reachable(pins, installs, given)
    missing = profile.missing_pins(pins, settings.runtimes, given)
    if missing:
        listed = "\n".join(f"  {pin.variable} for {pin.of}" for pin in missing)
        raise HostUnfit(
            f"Profile {pins.name} does not pin every digest, because no independent value is known:\n{listed}",
            remedy="Give it once, from a source that you trust: "
            + " ".join(f"--{pin.variable.replace('_', '-')} SHA" for pin in missing)
            + "; or leave that runtime out with --runtimes.",
        )


def _require_kata(pins: Profile, notify: Notify) -> None:
    """Refuse before anything is made what is known not to work together."""
    warning = compatibility.require(pins.role_variables, pins.box.get("kernel_arguments", ()), pins.suite)
    if warning:
        notify(Event(stage="provision", level="warning", message=warning))


def _made_already(settings: TestbedSettings, state: StateFolder) -> bool:
    """Whether the machines stand with all that is asked for: then nothing is downloaded, and no server needed."""
    try:
        existing = state.testbed()
    except TestbedMissing:
        return False
    there = {runtime for machine in existing.machines for runtime in machine.runtimes}
    return existing.profile == settings.profile and "images" in existing.details and there >= set(settings.runtimes)


def _refuse_another_testbed(settings: TestbedSettings, state: StateFolder) -> None:
    try:
        existing = state.testbed()
    except TestbedMissing:
        return
    if (existing.provider, existing.profile, existing.design) != (settings.provider, settings.profile, settings.design):
        raise UsageError(
            f"There is a testbed here already (provider {existing.provider}, profile {existing.profile}, "
            f"design {existing.design}); {settings.provider}, {settings.profile}, {settings.design} was asked for.",
            remedy="Remove it first with `rtlab teardown`, or work in another folder.",
        )


def _with_runtimes(testbed: Testbed, settings: TestbedSettings, unavailable: Mapping[str, str]) -> Testbed:
    """Which runtimes each machine gets: all of them, or in the paper's design the first one on the first machine …"""
    wanted = tuple(r for r in settings.runtimes if r not in unavailable)
    for name in wanted:
        plugins.runtime(name)
    if not wanted:
        raise HostUnfit(
            "None of the runtimes can run here:\n  " + "\n  ".join(f"{r}: {why}" for r, why in unavailable.items()),
            remedy="`rtlab doctor` says what is missing.",
        )
    machines: list[Machine] = []
    for number, machine in enumerate(testbed.machines):
        mine = (wanted[number],) if settings.design == "paper" and number < len(wanted) else wanted
        machines.append(replace(machine, runtimes=mine))
    if settings.design == "paper":
        if len(testbed.machines) < len(wanted):
            raise UsageError(
                f"The paper's design has one runtime per machine: {len(wanted)} runtimes need as many machines, "
                f"there are {len(testbed.machines)}.",
                remedy="Say --machines, or name fewer --runtimes.",
            )
        machines = machines[: len(wanted)]
    return replace(testbed, machines=tuple(machines), design=settings.design)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """Where the machines get their images: pulled by digest, or from archives made here.

    Attributes:
        references: Role (``httpd``, ``tools``) to the reference under which Docker knows the image.
        registry, archives: As the role ``images`` takes them.
    """

    references: Mapping[str, str]
    registry: tuple[Mapping[str, str], ...]
    archives: tuple[Mapping[str, str], ...]


def _prepare_images(pins: Profile, notify: Notify) -> _Images:
    references: dict[str, str] = {}
    registry: list[Mapping[str, str]] = []
    archives: list[Mapping[str, str]] = []
    for role, wanted in pins.images.items():
        if wanted["source"] == "registry":
            reference = str(wanted["reference"])
            registry.append({"role": role, "reference": reference, "digest": str(wanted["digest"])})
        else:
            archive = images.build(role, notify=notify)
            reference = archive.reference
            archives.append({"role": role, "reference": reference, "path": str(archive.path), "sha256": archive.sha256})
        references[role] = reference
    return _Images(references=references, registry=tuple(registry), archives=tuple(archives))


def _variables(
    testbed: Testbed, pins: Profile, settings: TestbedSettings, given: Mapping[str, str], prepared: _Images
) -> dict[str, Any]:
    """Everything that the playbooks are given."""
    variables: dict[str, Any] = {
        **pins.role_variables,
        "rtlab_owned": testbed.provider == "vagrant",
        "images_registry": list(prepared.registry),
        "images_archives": list(prepared.archives),
        "bench_tools_probe": str(probe_file()),
        "kata_variants": {name: dict(variant) for name, variant in settings.kata.items()},
    }
    return variables | {k: v for k, v in given.items() if k != "box_sha256"}


def _given(settings: TestbedSettings) -> dict[str, str]:
    """What the user gave that the profile may not pin."""
    given = {key: getattr(settings, key) for key in (*DIGESTS, "crun_url")}
    if settings.kata_archive.startswith("https://"):
        given["kata_url"] = settings.kata_archive
    elif settings.kata_archive:
        given["kata_archive"] = str(Path(settings.kata_archive).expanduser().resolve())
    return {key: value for key, value in given.items() if value}


def probe_file() -> Path:
    """The probe's file in this installation."""
    return Path(rtlab.__file__).parent / "probe" / "probe.py"


def _stamp(machine: Machine, variables: Mapping[str, Any]) -> str:
    """SHA-256 of roles, playbooks, probe and variables: what decides how a machine comes out.

    Neither the machine's name nor the testbed's id counts, nor where files lie on the controller: a machine from a kept
    box is known as ready.
    """
    given = {
        **variables,
        "rtlab_testbed": None,
        "bench_tools_probe": None,
        "images_archives": [archive["sha256"] for archive in variables["images_archives"]],
        "runtimes": machine.runtimes,
    }
    digest = hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode())
    digest.update(probe_client.probe_source())
    root = content.root()
    for folder in ("playbooks", "roles"):
        for file in sorted(p for p in (root / folder).rglob("*") if p.is_file()):
            digest.update(str(file.relative_to(root)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _read_stamp(provider: Provider, machine: Machine) -> str:
    shell = provider.shell(machine)
    try:
        result = shell.run(("cat", f"{machine.home}/{STAMP}"), timeout_s=60)
        return result.text().strip() if result.ok else ""
    finally:
        shell.close()


def _prove(
    provider: Provider, testbed: Testbed, references: Mapping[str, str], notify: Notify
) -> tuple[Testbed, list[str]]:
    """Every runtime on every machine starts a container and is proved, machines side by side.

    Returns the testbed with the digest of each proved program, and the failed tries.

    A guest inside an emulated machine takes longer to boot than Kata waits for its agent, about one time in eight
    (more on a busy host): there, and only there, a runtime with guests is tried again.
    """
    failed: list[str] = []

    def prove_on(machine: Machine) -> Machine:
        shell = provider.shell(machine)
        programs: dict[str, str] = {}
        try:
            probe_client.install(shell, machine)
            for number, runtime in enumerate(machine.runtimes):
                notify(
                    Event(
                        stage="prove",
                        message=f"proving {runtime}",
                        machine=machine.name,
                        fraction=number / len(machine.runtimes),
                    )
                )
                slow = machine.level is Level.EMULATED and plugins.runtime(runtime).needs_kvm
                for left in reversed(range(GUEST_TRIES if slow else 1)):
                    try:
                        answer = probe_client.prove(shell, machine, runtime, references, testbed.id)
                        if digest := probe_client.proved_program(answer):
                            programs[runtime] = digest
                        break
                    except HostUnfit as error:
                        if not left:
                            raise
                        failed.append(error.message)
                        message = f"{error.message} Trying again, {left} more."
                        notify(Event(stage="prove", level="warning", message=message, machine=machine.name))
            return replace(machine, programs=programs)
        finally:
            shell.close()

    with ThreadPoolExecutor(max_workers=max(1, len(testbed.machines))) as pool:
        machines = tuple(pool.map(prove_on, testbed.machines))
    return replace(testbed, machines=machines), failed


# --------------------------------------------------------------------------- teardown


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """What ``teardown`` did.

    Attributes:
        testbed_id: None when there was nothing to remove.
        removed: What was there before.
        left: What could not be removed; each with the reason.
    """

    testbed_id: str | None
    removed: tuple[Resource, ...]
    left: tuple[Resource, ...]


def teardown(state: StateFolder, notify: Notify, *, testbed_id: str | None = None, provider_name: str = "") -> Down:
    """Remove everything of this folder's testbed, or of the one with the given id (when the state was lost).

    Works after a half-failed ``up`` (from the journal and from what exists), and twice in a row.
    """
    with state.locked("rtlab teardown"):
        own = state.testbed_id()
        target = testbed_id or own
        if target is None:
            return Down(testbed_id=None, removed=(), left=())
        removed: list[Resource] = []
        left: list[Resource] = []
        for provider in _providers_of(state, target, provider_name):
            existing = provider.leftovers(target, state)
            remaining = provider.teardown(target, state, notify)
            left += remaining
            gone = {(r.kind, r.name) for r in remaining}
            removed += [r for r in existing if (r.kind, r.name) not in gone]
        if not left and target == own:
            state.clear()
        return Down(testbed_id=target, removed=tuple(removed), left=tuple(left))


def _providers_of(state: StateFolder, testbed_id: str, name: str) -> list[Provider]:
    """The provider that made the testbed; all of them when that is not known."""
    if not name:
        try:
            testbed = state.testbed()
            name = testbed.provider if testbed.id == testbed_id else ""
        except RtlabError:
            name = ""
    names = (name,) if name else plugins.names("providers")
    return [plugins.provider(n) for n in names]


def candidates() -> dict[str, tuple[str, ...]]:
    """Ids of testbeds that exist in reality, per provider, whatever this folder says."""
    found = {name: plugins.provider(name).candidates() for name in plugins.names("providers")}
    return {name: ids for name, ids in found.items() if ids}


def status(state: StateFolder) -> tuple[Testbed, tuple[MachineStatus, ...]]:
    """The testbed of this folder and what its machines are doing.

    Raises:
        TestbedMissing: there is none.
    """
    testbed = state.testbed()
    return testbed, plugins.provider(testbed.provider).status(testbed, state)
