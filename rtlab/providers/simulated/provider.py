"""No machines at all: the probe's answers are drawn from a scenario with known truth.

Plan, store, statistics and report run the same code as on real machines. Nothing exists outside the state folder:
``.rtlab/simulated/`` holds the scenario as it was at ``up`` and, per machine, how often it was booted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from importlib import resources
from pathlib import Path

from rtlab import atomic
from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.errors import ConfigError, MachineUnreachable, UsageError
from rtlab.model import CommandResult, Event, Level, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.providers.simulated import simulation
from rtlab.providers.simulated.scenario import Place, Scenario, generator
from rtlab.state import StateFolder, now

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUILT_IN = "paper"
SCENARIO, BOOTS = "scenario.toml", "boots"
MOST_BYTES = 1 << 20


def built_in() -> tuple[str, ...]:
    """Names of the scenarios that come with rtlab."""
    folder = resources.files("rtlab.providers.simulated.scenarios")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def scenario_text(name: str) -> tuple[str, str]:
    """The text of a scenario, by the name of a built-in one or by path, and where it came from.

    Raises:
        UsageError: there is no such file.
    """
    name = name or BUILT_IN
    if name in built_in():
        return resources.files("rtlab.providers.simulated.scenarios").joinpath(f"{name}.toml").read_text(
            encoding="utf-8"
        ), name
    try:
        content = Path(name).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(
            f"There is no scenario {name[:200]!r}: {error.strerror}.",
            remedy=f"Give a path, or one of {', '.join(built_in())}.",
        ) from error
    return content[:MOST_BYTES].decode("utf-8", "replace"), name


def read_scenario(text: str, where: str) -> Scenario:
    """Parsed and checked (ConfigError names the key)."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}.") from error
    return simulation.parse(data, where)


class SimulatedShell:
    """Answers what the controller asks of a machine, from its folder; see ``rtlab.model.Shell``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._home = home_of(machine)
        try:
            text = (self._home.parent / SCENARIO).read_text(encoding="utf-8")
        except OSError as error:
            raise MachineUnreachable(
                f"The simulated machine {machine.name} is gone: {error.strerror}.",
                remedy="`rtlab up` makes it again.",
            ) from error
        self._scenario = read_scenario(text, SCENARIO)

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        """``sha256sum -- FILE`` and the probe; anything else is a command that the machine does not have."""
        status, out, err = 127, b"", f"simulated machine: no {argv[0]}".encode()
        if argv[0] == "sha256sum":
            try:
                status, out = 0, hashlib.sha256(self.get(argv[-1])).hexdigest().encode()
            except OSError as error:
                status, err = 1, str(error).encode()
        elif argv[0] == self._machine.python:
            boot_id = _boot_id(self._machine.name, boots(self._home))
            document = simulation.answer(self._scenario, json.loads(stdin), machine=self._machine.name, boot_id=boot_id)
            status, out, err = 0, json.dumps(document, sort_keys=True, allow_nan=False).encode() + b"\n", b""
        return CommandResult(argv=argv, exit_status=status, stdout=out, stderr=err, started_at=now(), elapsed_s=0.0)

    def put(self, content: bytes, path: str, mode: int) -> None:
        atomic.write_bytes(self._home / Path(path).name, content, mode)

    def get(self, path: str) -> bytes:
        return (self._home / Path(path).name).read_bytes()

    def close(self) -> None: ...


def home_of(machine: Machine) -> Path:
    """The machine's folder; Unsafe when a link stands in its place, or in that of the folder above."""
    home = Path(machine.home)
    for folder in (home.parent, home):
        atomic.refuse_link(folder)
    return home


def boots(home: Path) -> int:
    """How often the machine was booted."""
    try:
        return int((home / BOOTS).read_text())
    except (OSError, ValueError):
        return 1


def _boot_id(name: str, count: int) -> str:
    digest = hashlib.sha256(f"{name}/{count}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


class SimulatedProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "simulated"
    summary = "No machines: values drawn from a scenario with known truth, to see and test the tool."
    is_simulated = True
    settings = frozenset({"machines", "scenario"})

    def check(self, settings: TestbedSettings) -> None:
        """The scenario exists and is right."""
        read_scenario(*scenario_text(settings.scenario))

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Check the scenario and keep a copy; nothing else is created."""
        text, where = scenario_text(settings.scenario)
        scenario = read_scenario(text, where)
        state.note("intend", "folder", self.name, testbed_id)
        folder = state.folder(self.name)
        atomic.write_bytes(folder / SCENARIO, text.encode(), 0o600)
        state.note("have", "folder", self.name, testbed_id)
        machines = []
        # The scenario says how many, unless the user does.
        wanted = scenario.machines if settings.machines is None else settings.machines
        for number in range(1, wanted + 1):
            home = state.folder(f"{self.name}/node{number}")
            machines.append(
                Machine(
                    name=f"node{number}",
                    transport="simulated",
                    home=str(home.resolve()),
                    sudo=False,
                    may_reboot=True,
                    level=Level.SIMULATED,
                )
            )
        notify(Event(stage="machines", message=f"{len(machines)} simulated machines: {scenario.summary}"))
        return Testbed(
            id=testbed_id,
            provider=self.name,
            profile=profile.name,
            design=settings.design,
            machines=tuple(machines),
            created_at=now(),
            details={"scenario": text, "scenario_name": where, "images": {"httpd": "simulated", "tools": "simulated"}},
        )

    def status(self, testbed: Testbed, state: StateFolder) -> tuple[MachineStatus, ...]:
        return tuple(
            MachineStatus(
                name=m.name,
                state="running" if Path(m.home).is_dir() else "missing",
                address="nowhere",
                note="simulated",
            )
            for m in testbed.machines
        )

    def shell(self, machine: Machine) -> Shell:
        return SimulatedShell(machine)

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        """Another boot id at once. A slow reboot takes no time either; it fails when it would outlast the limit."""
        home = home_of(machine)
        count = boots(home) + 1
        text, where = str(testbed.details["scenario"]), str(testbed.details["scenario_name"])
        scenario = read_scenario(text, where)
        place = Place(seed=0, number=count, machine=machine.name, runtime="")
        atomic.write_bytes(home / BOOTS, str(count).encode(), 0o600)
        slow = generator(place, "reboot").random() < scenario.slow_reboots
        if slow and scenario.slow_reboot_s > timeout_s:
            raise MachineUnreachable(
                f"{machine.name} did not come back from its reboot within {timeout_s:.0f} s (so the scenario has it).",
                remedy="Allow more time: --ready-timeout.",
            )
        return machine

    def rest(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """Nothing runs that could be paused."""

    def wake(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """See ``rest``."""

    def leftovers(self, testbed_id: str, state: StateFolder) -> tuple[Resource, ...]:
        folder = state.path / self.name
        mine = folder.is_dir() and state.testbed_id() == testbed_id
        return (Resource(kind="folder", name=str(folder)),) if mine else ()

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        folder = state.path / self.name
        if self.leftovers(testbed_id, state) and not folder.is_symlink():
            shutil.rmtree(folder)
            state.note("gone", "folder", self.name, testbed_id)
        return ()

    def candidates(self) -> tuple[str, ...]:
        return ()


PROVIDER = SimulatedProvider()
