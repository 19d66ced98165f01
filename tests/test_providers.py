"""What every provider that is found must keep, and what the configuration asks of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rtlab import config, plugins
from rtlab.config import TestbedSettings
from rtlab.config.setting import check
from rtlab.errors import ConfigError

NAMES = plugins.names("providers")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_folder_of_its_own_name(name: str) -> None:
    provider = plugins.provider(name)
    assert type(provider).__module__ == f"rtlab.providers.{name}.provider"
    assert (provider.name, provider.summary[-1:]) == (name, ".")
    assert not (provider.makes_machines and provider.is_simulated)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_lacks_and_how_else_it_is_called_are_settings_of_the_testbed(name: str) -> None:
    provider = plugins.provider(name)
    settings = TestbedSettings(provider=name)
    known = {field.name for field in dataclasses.fields(settings)}
    assert set(provider.lacks(settings)) <= known
    assert all(why.startswith("must ") for why in provider.lacks(settings).values())
    for other, meant in provider.also_called.items():
        assert other not in NAMES
        for key, value in meant.items():
            assert check(TestbedSettings, key, value) == value


def test_no_two_are_called_the_same() -> None:
    others = [other for name in NAMES for other in plugins.provider(name).also_called]
    assert len(set(others)) == len(others)
    assert set(others) == {"libvirt", "virtualbox"}


@pytest.mark.parametrize("other", ["libvirt", "virtualbox"])
def test_another_name_stands_for_the_provider_with_its_settings(other: str, tmp_path: Path) -> None:
    file = tmp_path / "rtlab.toml"
    file.write_text(f'[testbed]\nprovider = "{other}"\n')
    testbed = config.load(file).testbed
    assert (testbed.provider, testbed.backend) == ("vagrant", other)

    contrary = {"libvirt": "virtualbox", "virtualbox": "libvirt"}[other]
    file.write_text(f'[testbed]\nprovider = "{other}"\nbackend = "{contrary}"\n')
    with pytest.raises(ConfigError, match=f"contradicts provider = '{other}'"):
        config.load(file)


def test_what_a_provider_lacks_is_told_with_the_other_problems(tmp_path: Path) -> None:
    file = tmp_path / "rtlab.toml"
    file.write_text('[testbed]\nprovider = "static"\ncpus = 0\n')
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    told = caught.value.message.splitlines()
    assert any("testbed.cpus = 0" in line for line in told)
    assert any("must be the path of an Ansible inventory" in line for line in told)
