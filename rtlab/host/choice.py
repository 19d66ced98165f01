"""What ``auto`` takes on this host, and why. ``choose`` is pure; ``resolve`` looks at the host first.

On bare metal whose virtualization was proved: VirtualBox if it is usable, else libvirt. On a host that is itself a
guest, or without virtualization: this very machine, with Kata directly on it where its KVM boots a guest, because a
Vagrant machine in between would make Kata a third level. Never a silent substitute.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rtlab import plugins
from rtlab.artifacts import cache, profile
from rtlab.config import TestbedSettings
from rtlab.config.settings import COMPARED_FIRST
from rtlab.errors import HostUnfit
from rtlab.host import checks, today
from rtlab.host import facts as host
from rtlab.host.checks import Check
from rtlab.host.checks.runtimes import in_order
from rtlab.host.facts import HostFacts
from rtlab.model import Level, Testbed

OFFLINE_PROFILE = "debian-12"
# What people run today first; the last one needs no vendor's server.
VAGRANT_PROFILES = ("current", today.PROFILE, OFFLINE_PROFILE)
# The paper's own study wants the paper's own software, where it can still be had.
PAPER_PROFILES = ("paper-2020", *VAGRANT_PROFILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A provider for this host.

    Attributes:
        provider: Name of the module in ``rtlab.providers``.
        backend: ``libvirt`` or ``virtualbox`` for Vagrant machines, else empty.
        accel: ``kvm`` or ``tcg`` for libvirt machines, else empty.
        level: What the machines will be.
        runtimes: Which of rtlab's runtimes can run there, baseline first.
        reason: Why this one, in a sentence or two for people.
        lacks: What keeps it from working now; empty when it can run.
    """

    provider: str
    backend: str = ""
    accel: str = ""
    level: Level
    runtimes: tuple[str, ...]
    reason: str
    lacks: tuple[Check, ...] = ()

    @property
    def usable(self) -> bool:
        return not self.lacks

    @property
    def group(self) -> str:
        """The group of checks that concerns it."""
        return self.backend or self.provider

    @property
    def title(self) -> str:
        if self.provider == "vagrant":
            return f"Vagrant machines with {self.backend}" + (f" ({self.accel})" if self.accel else "")
        return {"local": "this machine (local)"}.get(self.provider, self.provider)


def choose(facts: HostFacts, settings: TestbedSettings | None = None) -> Choice:
    """The provider for these facts and settings; ``auto`` is decided, anything named is kept."""
    settings = settings or TestbedSettings()
    found = checks.examine(facts, settings)
    if settings.provider == "auto":
        return _auto(facts, found, settings)
    if settings.provider != "vagrant":
        return _given(settings.provider, facts, found, "it was asked for", settings)
    backend = settings.backend
    reason = "it was asked for"
    if backend == "auto":
        backend, reason = _backend(facts, found)
    return _vagrant(backend, facts, found, settings, reason)


def _auto(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings) -> Choice:
    if settings.accel == "tcg":
        return _vagrant("libvirt", facts, found, settings, "emulated machines (--accel tcg) are libvirt's")
    if settings.inventory:
        return _given("static", facts, found, "an inventory of machines is given", settings)
    if facts.hypervisor or not checks.proven(facts):
        return _given("local", facts, found, _why_local(facts), settings)
    backend, reason = _backend(facts, found)
    return _vagrant(backend, facts, found, settings, f"this is bare metal and KVM booted a guest; {reason}")


def _backend(facts: HostFacts, found: tuple[Check, ...]) -> tuple[Literal["libvirt", "virtualbox"], str]:
    """VirtualBox (the paper's) where it is usable, else libvirt, and why."""
    lacks = checks.blocking(found, "virtualbox")
    if not lacks:
        return "virtualbox", f"VirtualBox {facts.virtualbox}, the paper's, is usable"
    own = [c for c in lacks if "libvirt" not in c.needed_for] or list(lacks)
    return "libvirt", f"VirtualBox is not usable ({own[0].title}: {own[0].found})"


def _why_local(facts: HostFacts) -> str:
    if facts.hypervisor:
        where = f"this host is itself a guest of {facts.hypervisor}"
        if checks.proven(facts):
            return f"{where}: Kata runs directly on it; a machine in between would make Kata a third level"
        return f"{where} and {_no_kvm(facts)}: containers run directly on it, Kata cannot run"
    return f"{_no_kvm(facts)}: containers run directly on this host, Kata cannot run"


def _no_kvm(facts: HostFacts) -> str:
    if not facts.cpu_flag:
        return "its CPU offers neither vmx nor svm"
    if not facts.kvm_node:
        return "it has no /dev/kvm"
    return "its KVM boots no guest" if facts.kvm_opens else "this user may not open its /dev/kvm"


def _given(provider: str, facts: HostFacts, found: tuple[Check, ...], reason: str, settings: TestbedSettings) -> Choice:
    if provider == "local":
        level, runtimes = (Level.GUEST if facts.hypervisor else Level.METAL), local_runtimes(facts, settings)
    elif provider == "simulated":
        level, runtimes = Level.SIMULATED, TestbedSettings().runtimes
    else:
        level, runtimes = Level.METAL, TestbedSettings().runtimes
    return Choice(
        provider=provider,
        level=level,
        runtimes=runtimes,
        reason=reason,
        lacks=() if provider == "simulated" else checks.blocking(found, provider),
    )


def _vagrant(
    backend: str, facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings, reason: str
) -> Choice:
    emulated = backend == "libvirt" and settings.accel == "tcg"
    level = Level.NESTED if facts.hypervisor else Level.VIRTUALIZED
    return Choice(
        provider="vagrant",
        backend=backend,
        accel="" if backend == "virtualbox" else "tcg" if emulated else "kvm",
        level=Level.EMULATED if emulated else level,
        runtimes=settings.runtimes,
        reason=reason + (" (no figure from emulated machines means anything)" if emulated else ""),
        lacks=checks.blocking(found, backend, emulated=emulated),
    )


def local_runtimes(facts: HostFacts, settings: TestbedSettings | None = None) -> tuple[str, ...]:
    """Runtimes that can run directly on this host with what is installed or built; roles prove each again."""
    bad = {c.id for c in checks.examine(facts, settings) if c.id.startswith("runtime-") and c.status != "ok"}
    return tuple(name for name in in_order() if f"runtime-{name}" not in bad or _archive_will_do(name, facts))


def _archive_will_do(name: str, facts: HostFacts) -> bool:
    """Whether it need not be installed, because `up` unpacks its archive: it only needs what it runs on."""
    runtime = plugins.runtime(name)
    return runtime.unpacked and (checks.proven(facts) or not runtime.needs_kvm)


# --------------------------------------------------------------------------- for `rtlab up`


def resolve(
    settings: TestbedSettings, *, runtimes_named: bool = False, standing: Testbed | None = None
) -> tuple[TestbedSettings, str]:
    """Settings without any ``auto`` left, and what was chosen and why (empty when nothing had to be).

    Args:
        runtimes_named: The user named runtimes; otherwise those of ``COMPARED_FIRST`` are taken that can run on
            machines that rtlab does not make.
        standing: The testbed that is there already: it keeps its profile, whichever servers answer today.

    Raises:
        HostUnfit: the choice cannot work here, with the commands that mend it.
    """
    reasons = []
    undecided = settings.provider == "auto" or (
        settings.provider == "vagrant" and "auto" in (settings.backend, settings.accel)
    )
    default_runtimes = not runtimes_named and settings.runtimes == TestbedSettings().runtimes
    if settings.provider == "static" and default_runtimes:
        settings = dataclasses.replace(settings, runtimes=COMPARED_FIRST)
    facts = None
    if undecided or (settings.provider == "local" and default_runtimes):
        facts = host.collect(Path.cwd(), cache.folder("."))
        choice = choose(facts, settings)
        refuse_unfit(choice, auto=settings.provider == "auto")
        reasons.append(f"Provider: {choice.title}, because {choice.reason}.")
        settings = dataclasses.replace(
            settings,
            provider=choice.provider,
            backend=choice.backend or settings.backend,  # type: ignore[arg-type]
            accel=choice.accel or settings.accel,  # type: ignore[arg-type]
        )
        if choice.provider == "local" and default_runtimes:
            settings = dataclasses.replace(settings, runtimes=_first(choice.runtimes))
            reasons.append(_why_these(settings.runtimes, choice.runtimes))
    if settings.profile == "auto" and standing is not None and standing.provider == settings.provider:
        settings = dataclasses.replace(settings, profile=standing.profile)
    if settings.profile == "auto":
        if settings.provider == "local":
            name, reason = local_profile(facts or host.collect(Path.cwd(), cache.folder(".")), settings)
        elif settings.provider == "static":
            name, reason = static_profile(settings)
        else:
            name, reason = choose_profile(settings.provider, settings.design)
        settings = dataclasses.replace(settings, profile=name)
        if reason:
            reasons.append(reason)
    return settings, "\n".join(reasons)


def _first(can_run: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(r for r in can_run if r in COMPARED_FIRST) or can_run


def _why_these(taken: tuple[str, ...], can_run: tuple[str, ...]) -> str:
    more = [r for r in can_run if r not in taken]
    also = f" {' and '.join(more)} too, where they are named: --runtimes {','.join(can_run)}." if more else ""
    return f"Runtimes that can run here: {', '.join(taken)}.{also}"


def refuse_unfit(choice: Choice, *, auto: bool) -> None:
    """HostUnfit when what was chosen lacks something: every lack, and the way to mend it."""
    if choice.usable:
        return
    lines = "\n".join(f"  {c.title}: {c.found}. {c.remedy}" for c in choice.lacks)
    wish = "" if choice.provider == "local" or auto else f" --provider {choice.group}"
    ways = [f"`rtlab doctor --fix{wish}` installs what can be installed"]
    if choice.backend == "libvirt" and choice.accel == "kvm":
        ways.append("`--accel tcg` emulates the machines (no figure from it means anything)")
        ways.append("`--provider local` runs on this very machine")
    ways.append("`--provider simulated` shows the tool without machines")
    raise HostUnfit(
        f"{choice.title[0].upper()}{choice.title[1:]} cannot work here now ({choice.reason}):\n{lines}",
        remedy="; ".join(ways) + ".",
    )


def local_profile(facts: HostFacts, settings: TestbedSettings) -> tuple[str, str]:
    """Today's engine and runtimes where they can be had, else this machine's own: the profile, and why."""
    can = checks.takes_modules(facts, settings)
    why = facts.modules_refused or facts.lacks_compiler or "today's cannot be built here"
    return _profile_of(settings, facts.modules if can else "", why, "this machine's own")


def static_profile(settings: TestbedSettings) -> tuple[str, str]:
    """The same for machines of an inventory: the controller fetches or compiles what is put on them."""
    where, why = ("", "") if settings.engine == "system" else today.found()
    if where == today.REACHABLE and (lacks := today.lacks_compiler()):
        where, why = "", lacks
    return _profile_of(settings, where, why, "the machines' own")


def _profile_of(settings: TestbedSettings, where: str, why: str, whose: str) -> tuple[str, str]:
    """Profile and reason.

    Args:
        where: An answer of ``today.found``; empty: today's engine and runtimes cannot be had, or are not wanted.
        why: Why they cannot be had.
        whose: Engine and runtimes that are taken instead: ``this machine's own``.
    """
    if where:
        if settings.engine == "modules":
            return (
                today.PROFILE,
                f"Profile: {today.PROFILE} (engine and runtimes of today, compiled here), as asked for.",
            )
        if where == today.RELEASED:
            return today.RELEASES, f"Profile: {today.RELEASES} (engine and runtimes of today, as released)."
        once = "" if where == today.BUILT else "; the first time that takes about 8 minutes on two cores"
        return today.PROFILE, (
            f"Profile: {today.PROFILE} (engine and runtimes of today, compiled here{once}), because "
            f"{today.RELEASES} cannot be had here: {today.refusal(today.RELEASES) or 'it was not looked for'}."
        )
    if settings.engine == "system":
        return OFFLINE_PROFILE, f"Engine and runtimes: {whose}, as asked for (system)."
    if settings.engine == "modules":
        raise HostUnfit(
            f"Today's engine was asked for and cannot be had here: {why}",
            remedy="Set GOPROXY to a module proxy that this machine can reach, or take --engine system.",
        )
    return OFFLINE_PROFILE, f"Engine and runtimes: {whose}, because {why}"


def choose_profile(provider: str, design: str = "crossover") -> tuple[str, str]:
    """The profile for a provider, and what could not be reached for a better one (empty when nothing was asked).

    Raises:
        HostUnfit: no profile's sources can be reached.
    """
    if provider != "vagrant":
        return OFFLINE_PROFILE, ""
    passed_over: list[str] = []
    for name in PAPER_PROFILES if design == "paper" else VAGRANT_PROFILES:
        refused = _refusal(name)
        if not refused:
            because = f", because {'; '.join(passed_over)}" if passed_over else ""
            return name, f"Profile: {name}{because}."
        passed_over.append(f"{name} {refused}")
    raise HostUnfit(
        f"No profile's sources can be reached: {'; '.join(passed_over)}.",
        remedy="Check the network (and https_proxy).",
    )


def _refusal(name: str) -> str:
    """Why that profile cannot be had here now; empty when it can."""
    silent = profile.unreachable(profile.load(name))
    if silent:
        return f"needs {', '.join(silent)}, which cannot be reached"
    why = today.refusal() if name == today.PROFILE else ""
    return f"cannot be built here: {why}" if why else ""
