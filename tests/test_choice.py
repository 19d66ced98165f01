"""What ``auto`` takes, on hosts of every kind, as the design says."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Literal

import pytest

from rtlab import plugins
from rtlab.artifacts import profile
from rtlab.config import TestbedSettings
from rtlab.errors import HostUnfit
from rtlab.host import choice, today
from rtlab.host import facts as host
from rtlab.host.facts import HostFacts
from rtlab.model import Level
from rtlab.providers.local import choice as local_choice
from tests.conftest import make_testbed

from .hosts import GUEST, METAL, NESTED, VIRTUALBOX, without


@pytest.mark.parametrize(
    ("facts", "provider", "backend", "level", "reason"),
    [
        (METAL, "vagrant", "libvirt", Level.VIRTUALIZED, "VirtualBox is not usable"),
        (VIRTUALBOX, "vagrant", "virtualbox", Level.VIRTUALIZED, "VirtualBox 7.0.20, the paper's, is usable"),
        (replace(VIRTUALBOX, vboxdrv=False), "vagrant", "libvirt", Level.VIRTUALIZED, "vboxdrv is not loaded"),
        (replace(VIRTUALBOX, virtualbox="7.2.10"), "vagrant", "libvirt", Level.VIRTUALIZED, "Vagrant knows"),
        (GUEST, "local", "", Level.GUEST, "neither vmx nor svm: containers run directly on it, Kata cannot run"),
        (NESTED, "local", "", Level.GUEST, "Kata runs directly on it"),
        (replace(METAL, cpu_flag=""), "local", "", Level.METAL, "neither vmx nor svm"),
        (replace(METAL, kvm_boots=False), "local", "", Level.METAL, "its KVM boots no guest"),
        (replace(METAL, kvm_node=False, kvm_boots=None), "local", "", Level.METAL, "it has no /dev/kvm"),
    ],
)
def test_auto_takes_what_the_design_says(
    facts: HostFacts, provider: str, backend: str, level: Level, reason: str
) -> None:
    taken = choice.choose(facts)

    assert (taken.provider, taken.backend, taken.level) == (provider, backend, level)
    assert reason in taken.reason
    assert taken.usable


@pytest.mark.parametrize(
    ("facts", "runtimes"),
    [
        (GUEST, ("runc", "gvisor")),  # crun 1.8 refuses hybrid control groups, Kata has no KVM
        (NESTED, ("runc", "kata", "gvisor", "crun")),
        (replace(NESTED, runtimes={"runc": "1.1.5"}), ("runc", "kata")),
        (replace(GUEST, runtimes={"runc": "1.1.5", "kata": "3.32.0"}), ("runc",)),
    ],
)
def test_locally_the_runtimes_that_can_run_are_taken(facts: HostFacts, runtimes: tuple[str, ...]) -> None:
    assert choice.choose(facts).runtimes == runtimes


def test_an_unfit_choice_is_not_replaced_by_another() -> None:
    taken = choice.choose(without(METAL, "vagrant", vagrant="", vagrant_plugins={}))

    assert (taken.provider, taken.backend, taken.usable) == ("vagrant", "libvirt", False)
    assert {"vagrant", "vagrant-libvirt"} <= {c.id for c in taken.lacks}


def test_emulation_is_taken_only_when_asked_for() -> None:
    taken = choice.choose(GUEST, TestbedSettings(accel="tcg"))

    assert (taken.backend, taken.accel, taken.level, taken.usable) == ("libvirt", "tcg", Level.EMULATED, True)
    assert "no figure" in taken.reason


def test_an_inventory_means_static_machines() -> None:
    assert choice.choose(METAL, TestbedSettings(inventory="hosts.ini")).provider == "static"


def test_a_machine_on_a_guest_is_called_nested() -> None:
    assert choice.choose(NESTED, TestbedSettings(provider="vagrant", backend="libvirt")).level is Level.NESTED


def test_each_provider_says_when_it_is_taken_and_what_doctor_looks_at() -> None:
    assert set(plugins.choices()) == set(plugins.names("providers"))
    for part in plugins.choices().values():
        for name, asked in inspect.getmembers(choice.Chooser, inspect.isfunction):
            if not name.startswith("_"):
                wanted = [p for p in inspect.signature(asked).parameters if p != "self"]
                assert list(inspect.signature(getattr(part, name)).parameters) == wanted, (part.__name__, name)
    assert len({part.ORDER for part in plugins.choices().values()}) == len(plugins.choices())
    for part in plugins.doctors("providers").values():
        assert part.TITLES.keys() == part.NEEDS.keys()
        assert part.switched_on(METAL, "", "") is not None


def test_auto_with_an_inventory_compares_what_static_machines_are_compared_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `--provider static` does: auto used to leave runC and Kata alone."""
    monkeypatch.setattr(host, "collect", lambda *_args, **_more: METAL)
    monkeypatch.setattr(today, "found", lambda: (today.BUILT, ""))
    monkeypatch.setattr(today, "refusal", lambda *_: "")
    named, _ = choice.resolve(TestbedSettings(provider="static", inventory="hosts.ini"))
    auto, _ = choice.resolve(TestbedSettings(inventory="hosts.ini"))
    assert (auto.provider, auto.runtimes, auto.profile) == ("static", named.runtimes, named.profile)
    assert named.runtimes == ("runc", "kata", "gvisor")


# --------------------------------------------------------------------------- for up


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> object:
    """Lets ``resolve`` find given facts instead of this machine's."""

    def set_facts(facts: HostFacts) -> None:
        monkeypatch.setattr(host, "collect", lambda *_args, **_more: facts)

    return set_facts


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "unreachable", lambda pins, **_more: tuple(pins.needs))
    monkeypatch.setattr(today, "refusal", lambda: "no Go module proxy serves moby here")


def test_resolve_leaves_no_auto_and_says_why(on: object, offline: None) -> None:
    on(GUEST)  # type: ignore[operator]

    settings, reason = choice.resolve(TestbedSettings())

    assert (settings.provider, settings.profile, settings.runtimes) == ("local", "debian-12", ("runc", "gvisor"))
    assert "because this host is itself a guest of kvm" in reason


def test_resolve_keeps_runtimes_that_were_named(on: object) -> None:
    on(GUEST)  # type: ignore[operator]

    settings, _ = choice.resolve(TestbedSettings(runtimes=("runc", "kata")), runtimes_named=True)

    assert settings.runtimes == ("runc", "kata")


def test_resolve_decides_accelerator_and_profile_of_machines(on: object, offline: None) -> None:
    on(METAL)  # type: ignore[operator]

    settings, reason = choice.resolve(TestbedSettings())

    assert (settings.provider, settings.backend, settings.accel) == ("vagrant", "libvirt", "kvm")
    assert settings.profile == "debian-12"
    assert "current needs" in reason
    assert "modules cannot be built here: no Go module proxy serves moby here" in reason


@pytest.mark.parametrize(
    ("design", "silent", "taken"),
    [
        ("crossover", (), "current"),
        ("paper", (), "paper-2020"),
        ("crossover", ("current", "paper-2020"), "modules"),
        ("paper", ("paper-2020",), "current"),
        ("paper", ("current", "paper-2020"), "modules"),
    ],
)
def test_machines_get_what_people_run_today_and_the_papers_study_its_own(
    on: object,
    monkeypatch: pytest.MonkeyPatch,
    design: Literal["crossover", "paper"],
    silent: tuple[str, ...],
    taken: str,
) -> None:
    on(METAL)  # type: ignore[operator]
    monkeypatch.setattr(profile, "unreachable", lambda pins, **_more: pins.needs if pins.name in silent else ())
    monkeypatch.setattr(today, "refusal", lambda: "")

    assert choice.resolve(TestbedSettings(design=design))[0].profile == taken


def test_resolve_refuses_what_cannot_work_with_all_its_remedies(on: object) -> None:
    on(GUEST)  # type: ignore[operator]

    with pytest.raises(HostUnfit) as caught:
        choice.resolve(TestbedSettings(provider="vagrant", backend="libvirt"))

    assert "neither vmx nor svm" in caught.value.message
    assert "--accel tcg" in caught.value.remedy
    assert caught.value.exit_code == 3


def test_where_nothing_can_run_the_simulated_provider_is_named(on: object) -> None:
    on(replace(GUEST, sys_admin=False, net_admin=False, netns=False))  # type: ignore[operator]

    with pytest.raises(HostUnfit) as caught:
        choice.resolve(TestbedSettings())

    assert "may never have CAP_SYS_ADMIN and CAP_NET_ADMIN" in caught.value.message
    assert "docker run --privileged" in caught.value.message
    assert "--provider simulated" in caught.value.remedy


def test_a_fully_decided_testbed_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_more: object) -> HostFacts:
        raise AssertionError("looked at the host")

    monkeypatch.setattr(host, "collect", fail)
    wanted = TestbedSettings(provider="vagrant", backend="libvirt", accel="tcg", profile="debian-12")

    assert choice.resolve(wanted) == (wanted, "")


def test_a_testbed_that_stands_keeps_its_profile(on: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers that answer may be others today; `up` would else refuse its own testbed."""
    on(replace(MODULES, modules="released"))  # type: ignore[operator]
    standing = make_testbed()
    local = replace(standing, provider="local", profile="modules")
    assert choice.resolve(TestbedSettings(provider="local"), standing=local)[0].profile == "modules"
    assert choice.resolve(TestbedSettings(provider="local", profile="current"), standing=local)[0].profile == "current"
    assert choice.resolve(TestbedSettings(provider="local"), standing=standing)[0].profile == "current"
    assert choice.resolve(TestbedSettings(provider="local"))[0].profile == "current"


MODULES = replace(GUEST, modules="reachable", lacks_rust="needs Rust 1.94")


@pytest.mark.parametrize(
    ("facts", "engine", "profile_name", "told"),
    [
        (MODULES, "auto", "modules", "about 8 minutes"),
        (replace(MODULES, modules="built"), "auto", "modules", "compiled here)"),
        (replace(MODULES, modules="released"), "auto", "current", "as released"),
        (replace(MODULES, modules="released", lacks_compiler="needs gcc"), "auto", "current", "as released"),
        (MODULES, "system", "debian-12", "as asked for"),
        (replace(MODULES, lacks_compiler="needs gcc"), "auto", "debian-12", "because needs gcc"),
        (replace(GUEST, modules_refused="no proxy answers"), "auto", "debian-12", "because no proxy answers"),
    ],
)
def test_todays_engine_is_taken_where_it_can_be_had_and_the_reason_is_told(
    on: object, facts: HostFacts, engine: Literal["auto", "system"], profile_name: str, told: str
) -> None:
    on(facts)  # type: ignore[operator]
    settings, reason = choice.resolve(TestbedSettings(engine=engine))
    assert settings.profile == profile_name
    assert told in reason


def test_modules_asked_for_by_name_are_compiled_although_releases_can_be_had(on: object) -> None:
    on(replace(MODULES, modules="released"))  # type: ignore[operator]
    settings, reason = choice.resolve(TestbedSettings(engine="modules"))
    assert settings.profile == "modules"
    assert "compiled here), as asked for." in reason


def test_with_modules_no_engine_of_the_distribution_is_needed(on: object) -> None:
    bare = replace(MODULES, engine="", runtimes={}, programs={
        name: path for name, path in GUEST.programs.items()
        if name not in ("dockerd", "containerd", "containerd-shim-runc-v2", "docker", "runc", "runsc", "crun")
    })  # fmt: skip
    assert choice.choose(bare, TestbedSettings(provider="local")).lacks == ()
    assert local_choice.possible(bare) == ("runc", "gvisor")
    assert local_choice.possible(replace(bare, lacks_rust="")) == ("runc", "gvisor", "youki")
    lacks = choice.choose(replace(bare, lacks_compiler="needs gcc"), TestbedSettings(provider="local")).lacks
    assert [c.id for c in lacks] == ["compiler"]


def test_what_people_compare_first_is_taken_and_the_others_are_named(on: object) -> None:
    on(replace(MODULES, lacks_rust=""))  # type: ignore[operator]
    settings, reason = choice.resolve(TestbedSettings(provider="local"))
    assert settings.runtimes == ("runc", "gvisor")
    assert "youki too, where they are named: --runtimes runc,gvisor," in reason
    asked = TestbedSettings(provider="local", runtimes=("runc", "youki"))
    assert choice.resolve(asked, runtimes_named=True)[0].runtimes == ("runc", "youki")


def test_todays_engine_asked_for_by_name_is_not_replaced(on: object) -> None:
    on(replace(GUEST, modules_refused="no proxy answers"))  # type: ignore[operator]
    with pytest.raises(HostUnfit, match="cannot be had here: no proxy answers"):
        choice.resolve(TestbedSettings(engine="modules"))
