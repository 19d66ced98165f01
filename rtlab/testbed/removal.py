"""``rtlab teardown`` and ``rtlab status``: what there is of a testbed, and all of it removed."""

from __future__ import annotations

from dataclasses import dataclass

from rtlab import plugins
from rtlab.errors import RtlabError, TestbedMissing
from rtlab.model import Notify, Resource, Testbed
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.state import StateFolder


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

    Raises:
        TestbedMissing: nothing carries the given id.
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
            state.clear(plugins.names("providers"))
        if testbed_id and target != own and not removed and not left:
            raise TestbedMissing(
                f"There is no testbed {testbed_id}: nothing on this machine carries that id.",
                remedy="`rtlab teardown` without --id lists those whose folder was lost.",
            )
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
    return testbed, plugins.provider(testbed.provider).open(testbed, state).status()
