"""Kata's settings in force, read on the machine as TOML is."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rtlab.runtimes.kata import proof as kata

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOML = '''# Copyright
title = "none of a section" # a comment
[hypervisor.qemu] # the default
default_memory = 512   # MiB
path = "/opt/kata/bin/qemu-system-x86_64" # "quoted" comment
kernel_params = "a=b # no comment" # comment
empty = ""
quote = "say \\"hi\\" # still" # comment
literal = 'C:\\path # no comment'
enable_annotations = ["enable_iommu", # first
    "virtio_fs_extra_args", # ], not the end
    "kernel_params",
]
valid_paths = [ "/a]#", '/b' ]
nested = [
  [1, 2],
  [3],
]
inline = { a = 1, b = "}" } # comment
multi = """one # no comment
two"""
"quoted key" = 1
dotted.key = true
[agent."kata"]
dial_timeout = 45
[[hypervisor.qemu.guest_extension_images]]
path = "/x"
[[hypervisor.qemu.guest_extension_images]]
path = "/y"
'''


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A TOML document as an independent parser reads it, in the probe's keys."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{path}.{key}").items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {k: v for number, item in enumerate(value) for k, v in flat(item, f"{path}.{number}").items()}
    return {path[1:]: value}


def test_katas_configuration_is_read_as_toml_is() -> None:
    """Each value as an independent parser reads it, and each on one line without its comment."""
    found = kata.settings_of(TOML)
    read = {key: tomllib.loads(f"x = {text}")["x"] for key, text in found.items() if key != "hypervisor.qemu.inline"}
    expected = flat(tomllib.loads(TOML))
    inline = {expected.pop("hypervisor.qemu.inline.a"), expected.pop("hypervisor.qemu.inline.b")}
    assert read == expected and inline == {1, "}"}
    assert found["hypervisor.qemu.inline"] == '{ a = 1, b = "}" }'
    assert found["hypervisor.qemu.default_memory"] == "512"
    assert found["hypervisor.qemu.enable_annotations"] == '["enable_iommu", "virtio_fs_extra_args", "kernel_params",]'
    assert found["hypervisor.qemu.valid_paths"] == """[ "/a]#", '/b' ]"""
    assert kata.settings_of(TOML.replace("\n", "\r\n")).keys() == found.keys()


def test_katas_drop_ins_are_merged_in_the_order_of_their_names(tmp_path: Path) -> None:
    """kata PR 4109, 12456: each file of config.d beside the file that is in force, which may be a link."""
    real = tmp_path / "release"
    (real / "config.d").mkdir(parents=True)
    main = real / "configuration-qemu.toml"
    main.write_text(
        "[hypervisor.qemu]\ndefault_memory = 2048\ndefault_vcpus = 1 # one\n"
        "[[hypervisor.qemu.guest_extension_images]]\npath = '/a'\n"
        "[[hypervisor.qemu.guest_extension_images]]\npath = '/b'\n"
    )
    for name, text in {
        "9-first-of-nine": "[hypervisor.qemu]\ndefault_memory = 9\n",
        "10.toml": "[hypervisor.qemu]\ndefault_memory = 512 # less\n[agent.kata]\ndial_timeout = 300\n",
        "2.toml": "[hypervisor.qemu]\ndefault_memory = 256\nsandbox = 'new'\n",
        "11.toml": "[[hypervisor.qemu.guest_extension_images]]\npath = '/c'\n",
    }.items():
        (real / "config.d" / name).write_text(text)
    (tmp_path / "configuration.toml").symlink_to(main)
    entry = {"options": {"ConfigPath": str(tmp_path / "configuration.toml")}}

    assert kata.kata_configuration(entry, "/opt/kata/bin/containerd-shim-kata-v2") == {
        "hypervisor.qemu.default_memory": "9",  # "10" < "11" < "2" < "9" as names are sorted
        "hypervisor.qemu.default_vcpus": "1",
        "hypervisor.qemu.sandbox": "'new'",
        "hypervisor.qemu.guest_extension_images.0.path": "'/c'",
        "agent.kata.dial_timeout": "300",
    }
    (real / "config.d" / "9-first-of-nine").unlink()
    (real / "config.d" / "2.toml").unlink()
    found = kata.kata_configuration(entry, "/opt/kata/bin/containerd-shim-kata-v2")
    assert found is not None and found["hypervisor.qemu.default_memory"] == "512"


@given(st.text(alphabet="ab.=[]{}\"'#\n\\ ,\t\r", max_size=60))
def test_no_text_ends_the_reading_of_settings(text: str) -> None:
    assert all(isinstance(v, str) for v in kata.settings_of(text).values())


def test_settings_are_read_in_linear_time() -> None:
    began = time.monotonic()
    for text in (
        "x = " + "[" * 100_000,
        'x = "' + "a\\" * 100_000,
        "x = " + '"' * 100_000,
        "a." * 100_000,
        "x = #\n" * 50_000,
    ):
        kata.settings_of(text)
    assert time.monotonic() - began < 3
