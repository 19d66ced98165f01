"""When containers run on this very machine: it is itself a guest, or its virtualization does not work.

Kata then runs directly on it where its KVM boots a guest, because a machine in between would make Kata a third level.
"""

from __future__ import annotations

from pathlib import Path

from rtlab import plugins
from rtlab.artifacts import cache
from rtlab.config import TestbedSettings
from rtlab.host import checks
from rtlab.host import facts as host
from rtlab.host.checks import Check
from rtlab.host.checks.runtimes import in_order
from rtlab.host.choice import Choice, compared_first, todays_profile
from rtlab.host.facts import HostFacts
from rtlab.model import Level

NAME = "local"
ORDER = 3


def offer(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings) -> str:
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


def chosen(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings, reason: str) -> Choice:
    return Choice(
        provider=NAME,
        level=Level.GUEST if facts.hypervisor else Level.METAL,
        runtimes=possible(facts, settings),
        reason=reason,
        lacks=checks.blocking(found, NAME),
    )


def possible(facts: HostFacts, settings: TestbedSettings | None = None) -> tuple[str, ...]:
    """Runtimes that can run directly on this host with what is installed or built; roles prove each again."""
    bad = {c.id for c in checks.examine(facts, settings) if c.id.startswith("runtime-") and c.status != "ok"}
    return tuple(name for name in in_order() if f"runtime-{name}" not in bad or _archive_will_do(name, facts))


def _archive_will_do(name: str, facts: HostFacts) -> bool:
    """Whether it need not be installed, because `up` unpacks its archive: it only needs what it runs on."""
    runtime = plugins.runtime(name)
    return runtime.unpacked and (checks.proven(facts) or not runtime.needs_kvm)


def title(choice: Choice) -> str:
    return f"this machine ({NAME})"


def is_open(settings: TestbedSettings, default_runtimes: bool) -> bool:
    return default_runtimes


def runtimes(can_run: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    taken = compared_first(can_run)
    more = [r for r in can_run if r not in taken]
    also = f" {' and '.join(more)} too, where they are named: --runtimes {','.join(can_run)}." if more else ""
    return taken, f"Runtimes that can run here: {', '.join(taken)}.{also}"


def instead(choice: Choice) -> list[str]:
    return []


def profile(settings: TestbedSettings, facts: HostFacts | None) -> tuple[str, str]:
    facts = facts or host.collect(Path.cwd(), cache.folder("."))
    can = checks.takes_modules(facts, settings)
    why = facts.modules_refused or facts.lacks_compiler or "today's cannot be built here"
    return todays_profile(settings, facts.modules if can else "", why, "this machine's own")
