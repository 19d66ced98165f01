"""What makes figures noisier or hides what they mean; nothing here stops a run."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import Check, Look, check

# More steal than this since boot, and the host is shared with somebody busy.
STEAL_PERCENT = 1.0


def figures(look: Look) -> Iterator[Check]:
    """Nothing here stops a run; each makes figures noisier or hides what they mean."""
    facts = look.facts
    if facts.governor is not None:
        yield _figure(
            "governor",
            "CPU governor",
            facts.governor == "performance",
            facts.governor,
            "a CPU that changes its clock while measured adds noise",
            "echo performance | " + look.sudo("tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"),
        )
    if facts.turbo is not None:
        intel = "/sys/devices/system/cpu/intel_pstate/no_turbo"
        switch = (
            f"echo 1 | {look.sudo(f'tee {intel}')}"
            if facts.cpu_flag == "vmx"
            else (f"echo 0 | {look.sudo('tee /sys/devices/system/cpu/cpufreq/boost')}")
        )
        yield _figure(
            "turbo",
            "turbo clock",
            not facts.turbo,
            "on" if facts.turbo else "off",
            "its clock depends on temperature and on what else runs",
            switch,
        )
    if facts.ksm is not None:
        yield _figure(
            "ksm",
            "memory merging (KSM)",
            not facts.ksm,
            "on" if facts.ksm else "off",
            "it merges equal pages of guests, so memory per container depends on what else runs",
            "echo 2 | " + look.sudo("tee /sys/kernel/mm/ksm/run"),
        )
    if facts.clocksource is not None:
        yield _figure(
            "clocksource",
            "clock source",
            facts.clocksource in ("tsc", "kvm-clock", "arch_sys_counter"),
            facts.clocksource,
            "a slow clock source adds its own cost to every time stamp",
            "echo tsc | " + look.sudo("tee /sys/devices/system/clocksource/clocksource0/current_clocksource"),
        )
    if facts.steal_percent is not None:
        yield _figure(
            "steal",
            "CPU time given to others",
            facts.steal_percent < STEAL_PERCENT,
            f"{facts.steal_percent:.2f} % since boot",
            "the host beneath is shared; its other guests are in the figures",
            "Use a dedicated host or another instance type; --aa measures the noise floor.",
        )
    if facts.load is not None:
        yield _figure(
            "load",
            "load now",
            facts.load < max(1.0, facts.cores / 2),
            f"{facts.load:.1f} on {facts.cores} CPUs",
            "whatever else runs now is in the figures",
            "Stop it, or wait: `bench` holds each trial until the machine is quiet.",
        )


def _figure(id: str, title: str, good: bool, found: str, why: str, remedy: str) -> Check:
    return check(id, title, "ok" if good else "warning", found, why, remedy, "figures")
