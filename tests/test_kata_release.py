"""Names of Kata's archives: the table of stack-facts §2, from upstream's release scripts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rtlab.artifacts import profile
from rtlab.errors import ConfigError, UsageError
from rtlab.runtimes.kata import hypervisors
from rtlab.runtimes.kata import release as kata_release
from rtlab.runtimes.kata.settings import KataSettings


@pytest.mark.parametrize(
    ("version", "flavour", "name"),
    [
        ("1.10.0", "go", "kata-static-1.10.0-x86_64.tar.xz"),
        ("1.12.1", "go", "kata-static-1.12.1-x86_64.tar.xz"),
        ("2.5.2", "go", "kata-static-2.5.2-x86_64.tar.xz"),
        ("3.1.3", "go", "kata-static-3.1.3-x86_64.tar.xz"),
        ("3.2.0", "go", "kata-static-3.2.0-amd64.tar.xz"),
        ("3.20.0", "go", "kata-static-3.20.0-amd64.tar.xz"),
        ("3.21.0", "go", "kata-static-3.21.0-amd64.tar.zst"),
        ("4.0.0", "rs", "kata-static-4.0.0-amd64.tar.zst"),
        ("4.1.0", "rs", "kata-static-4.1.0-amd64.tar.zst"),
        ("4.2.0", "go", "kata-go-static-4.2.0-amd64.tar.zst"),
    ],
)
def test_the_name_of_each_generations_archive(version: str, flavour: str, name: str) -> None:
    assert kata_release.archive_name(version, flavour) == name
    repository = "runtime" if version.startswith("1.") else "kata-containers"
    assert kata_release.url(version, flavour).startswith(f"https://github.com/kata-containers/{repository}/releases/")


@pytest.mark.parametrize("name", profile.names())
def test_every_profiles_address_is_the_releases(name: str) -> None:
    pins = profile.load(name)
    version, flavour = pins.role_variables["kata_version"], pins.role_variables.get("kata_flavour", "go")
    assert pins.role_variables["kata_url"] == kata_release.url(version, flavour)
    assert kata_release.chosen(pins, "", "") is pins
    assert kata_release.chosen(pins, version, "") is pins


@pytest.mark.parametrize("name", profile.names())
def test_profiles_and_the_table_of_digests_agree(name: str) -> None:
    variables = profile.load(name).role_variables
    version, flavour = variables["kata_version"], variables.get("kata_flavour", "go")
    assert kata_release.known_sha256(version, flavour) == variables["kata_sha256"] != ""


def test_digests_of_the_table_are_sha256_and_all_different() -> None:
    digests = list(kata_release.KNOWN_SHA256.values())
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)


def test_from_4_1_on_each_flavour_has_an_archive_of_its_own() -> None:
    pins = profile.load("current")
    assert pins.role_variables["kata_url"].endswith("/4.2.0/kata-static-4.2.0-amd64.tar.zst")
    go = kata_release.chosen(pins, "", "go").role_variables
    assert go["kata_url"].endswith("/4.2.0/kata-go-static-4.2.0-amd64.tar.zst")
    # stack-facts §2.
    assert go["kata_sha256"] == "7dda31ca54b397cbf8165f620d6041872d3c45b7a77383ce0e86f76a06e103d0"
    assert kata_release.known_sha256("4.1.0", "go") == kata_release.known_sha256("4.1.0", "rs") == ""


def test_another_release_has_another_digest() -> None:
    pins = profile.load("current")
    assert pins.role_variables["kata_sha256"]
    other = kata_release.chosen(pins, "3.30.0", "").role_variables
    # As Kubespray's checksums.yml has it.
    assert other["kata_sha256"] == "e65aa5e5bd9f4d59bcd12a8c44a00966406e7329511dd3f756026b6eedc8ad26"
    assert other["kata_url"].endswith("/3.30.0/kata-static-3.30.0-amd64.tar.zst")
    unknown = kata_release.chosen(pins, "3.20.0", "").role_variables
    assert (unknown["kata_version"], unknown["kata_sha256"]) == ("3.20.0", "")
    # Before 4.1 both runtimes lie in one archive: its digest stays.
    go, rs = (kata_release.chosen(pins, "3.32.0", flavour).role_variables for flavour in ("go", "rs"))
    assert go["kata_sha256"] == rs["kata_sha256"] == kata_release.KNOWN_SHA256["3.32.0"]


def test_what_is_no_release_is_refused() -> None:
    with pytest.raises(UsageError, match="no release of Kata"):
        kata_release.archive_name("latest")


# --------------------------------------------------------------------------- hypervisors

# `git ls-tree --name-only TAG src/runtime/config src/runtime-rs/config` in kata-containers, for x86_64; of 1.12.1
# cli/config in kata-containers/runtime.
CONFIGURATIONS = {
    ("1.12.1", "go"): "acrn clh fc qemu qemu-virtiofs",
    ("2.5.2", "go"): "acrn clh fc qemu",
    ("3.3.0", "rs"): "cloud-hypervisor dragonball qemu",
    ("3.5.0", "go"): "acrn clh fc qemu-coco-dev qemu-nvidia-gpu-snp qemu-nvidia-gpu-tdx qemu-nvidia-gpu qemu-sev "
    "qemu-snp qemu-tdx qemu stratovirt",
    ("3.5.0", "rs"): "cloud-hypervisor dragonball qemu-runtime-rs",
    ("3.29.0", "go"): "clh fc qemu-coco-dev qemu-nvidia-gpu-snp qemu-nvidia-gpu-tdx qemu-nvidia-gpu qemu-snp qemu-tdx "
    "qemu stratovirt",
    ("3.29.0", "rs"): "cloud-hypervisor dragonball qemu-coco-dev-runtime-rs qemu-runtime-rs qemu-snp-runtime-rs "
    "qemu-tdx-runtime-rs rs-fc",
    ("3.30.0", "rs"): "clh-runtime-rs dragonball qemu-coco-dev-runtime-rs qemu-runtime-rs qemu-snp-runtime-rs "
    "qemu-tdx-runtime-rs rs-fc",
    ("4.1.0", "go"): "clh-azure clh fc qemu-coco-dev qemu-nvidia-cpu qemu-nvidia-gpu-snp qemu-nvidia-gpu-tdx "
    "qemu-nvidia-gpu qemu-snp qemu-tdx qemu stratovirt",
    ("4.1.0", "rs"): "clh-azure-runtime-rs clh-runtime-rs dragonball openvmm-azure-runtime-rs qemu-coco-dev-runtime-rs "
    "qemu-nvidia-cpu-runtime-rs qemu-nvidia-gpu-runtime-rs qemu-nvidia-gpu-snp-runtime-rs "
    "qemu-nvidia-gpu-tdx-runtime-rs qemu-runtime-rs qemu-snp-runtime-rs qemu-tdx-runtime-rs rs-fc",
}


@pytest.mark.parametrize(("release", "files"), CONFIGURATIONS.items())
def test_each_release_has_the_configurations_that_upstream_ships(release: tuple[str, str], files: str) -> None:
    found = hypervisors.hypervisors(*release)
    assert sorted(found.values()) == sorted(f"configuration-{name}.toml" for name in files.split())


def test_an_arm_that_the_chosen_release_cannot_have_is_refused_before_anything_is_made() -> None:
    pins = profile.load("current")
    small = KataSettings(version="3.29.0", flavour="go", variants={"small": {"default_memory": 512}})
    small.pinned(pins, ("runc", "kata", "kata:clh", "kata:small"))
    cases: tuple[tuple[tuple[str, ...], dict[str, dict[str, str]]], ...]
    cases = ((("kata:dragonball",), {}), (("kata:x",), {"x": {"hypervisor": "dragonball"}}))
    for runtimes, variants in cases:
        go = KataSettings(version="3.29.0", flavour="go", variants=variants)
        with pytest.raises(
            ConfigError, match=r"Kata 3\.29\.0 with the Go runtime has no .*'dragonball'; there are: clh, fc"
        ):
            go.pinned(pins, runtimes)
        replace(go, flavour="rs").pinned(pins, runtimes)
    replace(go, variants={"x": {"hypervisor": "mine"}}, archive="/my/build.tar.zst").pinned(pins, ("kata:x",))
