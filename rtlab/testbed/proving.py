"""Every runtime of a testbed proved on its machines."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rtlab import plugins
from rtlab.connection import client as probe_client
from rtlab.errors import HostUnfit
from rtlab.model import Event, Level, Machine, Notify, Testbed
from rtlab.providers.contract import Provider

GUEST_TRIES = 4  # as the role kata's own proof has it


def prove(
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
