"""``rtlab up``: machines created, roles applied, runtimes proved.

A second ``up`` changes nothing: what the roles were given is digested and kept on the machines, and machines that
carry the same digest are only verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtlab import atomic, plugins
from rtlab.artifacts import images, profile, programs
from rtlab.artifacts import pins as digests
from rtlab.artifacts.profile import Profile
from rtlab.artifacts.programs import Programs
from rtlab.config import TestbedSettings, kept, of_runtimes
from rtlab.config.setting import digest_keys
from rtlab.connection import archive
from rtlab.connection.playbook import apply
from rtlab.errors import HostUnfit, UsageError
from rtlab.model import Event, Level, Machine, Notify, Testbed
from rtlab.providers import sources
from rtlab.providers.contract import Provider
from rtlab.state import StateFolder
from rtlab.testbed.proving import prove
from rtlab.testbed.stamp import STAMP, read_stamp, stamp_of

PROVISION_TIMEOUT_S = 3600.0


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
    pins = profile.load(settings.profile)
    for runtime in of_runtimes(settings):
        pins = runtime.pinned(pins, settings.runtimes)
    pins = _with_switches(pins, settings)
    given = _given(settings)
    folder = state.path.parent
    pins = profile.with_sources(pins, given)
    locked = digests.read(folder)
    wanted = profile.missing_pins(pins, settings.runtimes, _without_digests(given, settings))
    digests.refuse_changes(wanted, given, locked)
    given = {**digests.recall(wanted, locked), **given}
    if "box_sha256" in given:
        pins = replace(pins, box={**pins.box, "sha256": given["box_sha256"]})
    _require_engines(provider, settings)
    provider.check(settings)
    if not provider.is_simulated:
        _require_pins(pins, settings, given, state)
    if provider.makes_machines:
        _check_runtimes(pins, settings.runtimes, notify)
    with state.locked("rtlab up"):
        testbed_id = state.testbed_id() or state.new_testbed_id()
        _refuse_another_testbed(settings, state)
        brought = _obtain(provider, settings, pins, notify)
        testbed = provider.up(settings, pins, testbed_id, state, notify)
        unavailable = {**testbed.details.get("unavailable_runtimes", {}), **brought.lacking}
        testbed = _with_runtimes(testbed, settings, unavailable)
        if brought.of:
            testbed = replace(testbed, details={**testbed.details, **_told(brought, pins)})
        testbed = replace(testbed, details={**testbed.details, **kept(settings)})
        state.write_testbed(testbed)
        if testbed.level is Level.SIMULATED:
            return Up(testbed=testbed, provisioned=(), changed={}, unavailable=unavailable, failed_proofs=())
        prepared = _prepare_images(pins, notify)
        probe = state.path / "probe.pyz"
        atomic.write_bytes(probe, archive.built())
        variables = _variables(testbed, pins, settings, given, prepared, brought, probe)
        waiting, changed = _apply_roles(provider, testbed, variables, state, notify, again=provision)
        if provider.makes_machines:  # only there were they used and found right
            digests.write(folder, wanted, given, locked)
        testbed = replace(testbed, details={**testbed.details, "images": dict(prepared.references)})
        state.write_testbed(testbed)
        testbed, failed = prove(provider, testbed, prepared.references, notify)
        if failed:
            testbed = replace(testbed, details={**testbed.details, "failed_proofs": list(failed)})
        state.write_testbed(testbed)
        return Up(
            testbed=testbed, provisioned=waiting, changed=changed, unavailable=unavailable, failed_proofs=tuple(failed)
        )


def _obtain(provider: Provider, settings: TestbedSettings, pins: Profile, notify: Notify) -> Programs:
    """The builds that the roles are to install; none where the provider brings them itself, or nothing is brought."""
    if not (provider.makes_machines or (provider.takes_builds and sources.brings(settings, pins))):
        return Programs()
    return programs.obtain(settings.runtimes, pins, notify, own=settings.system_runtimes)


def _told(brought: Programs, pins: Profile) -> dict[str, Any]:
    """What a testbed keeps of the builds that the roles install."""
    told: dict[str, Any] = {"taken": f"{brought.titles}: {brought.origin}", "builds": brought.records()}
    switches = pins.role_variables.get("docker_daemon_options", {}).get("features")
    return told | ({"engine_features": dict(switches)} if switches else {})


def _with_switches(pins: Profile, settings: TestbedSettings) -> Profile:
    """The profile with the switches of today's engine without which one of the runtimes is known not to start."""
    named = (plugins.runtime(name.partition(":")[0]) for name in settings.runtimes)
    switches = {switch: on for runtime in named for switch, on in runtime.features.items()}
    if not pins.builds or not switches:
        return pins
    options = dict(pins.role_variables.get("docker_daemon_options", {}))
    options["features"] = {**options.get("features", {}), **switches}
    return replace(pins, role_variables={**pins.role_variables, "docker_daemon_options": options})


def _apply_roles(
    provider: Provider,
    testbed: Testbed,
    variables: Mapping[str, Any],
    state: StateFolder,
    notify: Notify,
    *,
    again: bool,
) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """Apply the roles to machines that do not carry this stamp (``again``: to all), and leave it there.

    Returns those machines, and how many tasks changed something on each.
    """
    stamps = {m.name: stamp_of(m, variables) for m in testbed.machines}
    waiting = tuple(m.name for m in testbed.machines if again or read_stamp(provider, m) != stamps[m.name])
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
    return waiting, changed


def _require_engines(provider: Provider, settings: TestbedSettings) -> None:
    first = plugins.names("engines")[0]
    others = [name for name in settings.engines if name != first]
    if others and not provider.starts_engines:
        raise UsageError(
            f"Provider {provider.name} cannot give its machines the engine {others[0]} yet.",
            remedy=f"Say --provider local, or leave {others[0]} out of --engines.",
        )


def _require_pins(pins: Profile, settings: TestbedSettings, given: Mapping[str, str], state: StateFolder) -> None:
    """Say at once, before anything is made, what cannot be reached or is not pinned."""
    if not _made_already(settings, state):
        makes = plugins.provider(settings.provider).makes_machines
        if makes or not programs.releases_are_kept(pins):
            profile.require_reachable(pins, settings.runtimes if makes else (), given, box=makes)
    missing = profile.missing_pins(pins, settings.runtimes, given)
    if missing:
        listed = "\n".join(f"  {pin.variable} for {pin.of}" for pin in missing)
        raise HostUnfit(
            f"Profile {pins.name} does not pin every digest, because no independent value is known:\n{listed}",
            remedy="Give it once, from a source that you trust: "
            + " ".join(f"--{pin.variable.replace('_', '-')} SHA" for pin in missing)
            + "; or leave that runtime out with --runtimes.",
        )


def _check_runtimes(pins: Profile, names: Sequence[str], notify: Notify) -> None:
    """Refuse before anything is made what is known not to work together."""
    for name in dict.fromkeys(name.partition(":")[0] for name in names):
        warning = plugins.runtime(name).check(pins)
        if warning:
            notify(Event(stage="provision", level="warning", message=warning))


def _made_already(settings: TestbedSettings, state: StateFolder) -> bool:
    """Whether the machines stand with all that is asked for: then nothing is downloaded, and no server needed."""
    existing = state.standing()
    if existing is None:
        return False
    there = {runtime for machine in existing.machines for runtime in machine.runtimes}
    asked = plugins.arms(settings.runtimes, settings.engines)
    return existing.profile == settings.profile and "images" in existing.details and there >= set(asked)


def _refuse_another_testbed(settings: TestbedSettings, state: StateFolder) -> None:
    existing = state.standing()
    if existing is None:
        return
    if (existing.provider, existing.profile, existing.design) != (settings.provider, settings.profile, settings.design):
        raise UsageError(
            f"There is a testbed here already (provider {existing.provider}, profile {existing.profile}, "
            f"design {existing.design}); {settings.provider}, {settings.profile}, {settings.design} was asked for.",
            remedy="Remove it first with `rtlab teardown`, or work in another folder.",
        )


def _with_runtimes(testbed: Testbed, settings: TestbedSettings, unavailable: Mapping[str, str]) -> Testbed:
    """Which runtimes each machine gets: all of them, or in the paper's design the first one on the first machine …"""
    wanted = tuple(r for r in plugins.arms(settings.runtimes, settings.engines) if r not in unavailable)
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
    testbed: Testbed,
    pins: Profile,
    settings: TestbedSettings,
    given: Mapping[str, str],
    prepared: _Images,
    brought: Programs,
    probe: Path,
) -> dict[str, Any]:
    """Everything that the playbooks are given."""
    variables: dict[str, Any] = {
        **pins.role_variables,
        "rtlab_owned": plugins.provider(testbed.provider).makes_machines,
        "images_registry": list(prepared.registry),
        "images_archives": list(prepared.archives),
        "bench_tools_probe": str(probe),
    }
    for runtime in of_runtimes(settings):
        variables |= runtime.variables()
    # What the engine starts by itself comes with it.
    files = {plugins.runtime(name).role: brought.files(name) for name in brought.runtimes - set(programs.NEEDED)}
    variables |= {f"{role}_programs": listed for role, listed in files.items()}
    if brought.of:
        variables["docker_programs"] = [file for name in programs.NEEDED for file in brought.files(name)]
    variables |= plugins.provider(testbed.provider).variables(testbed)
    return variables | {k: v for k, v in given.items() if k != "box_sha256"}


def _given(settings: TestbedSettings) -> dict[str, str]:
    """What the user gave that the profile may not pin."""
    given = {key: getattr(settings, key) for key in digest_keys(type(settings))}
    for runtime in of_runtimes(settings):
        given |= runtime.sources()
    return {key: value for key, value in given.items() if value}


def _without_digests(given: Mapping[str, str], settings: TestbedSettings) -> dict[str, str]:
    digests_of_files = digest_keys(type(settings))
    return {key: value for key, value in given.items() if key not in digests_of_files}
