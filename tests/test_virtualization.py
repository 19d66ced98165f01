"""The tiny guest really boots under another machine emulator, and what does not boot is reported, never raised."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rtlab import virtualization
from rtlab.model import Level

QEMU = shutil.which("qemu-system-x86_64")


@pytest.mark.skipif(QEMU is None, reason="needs qemu-system-x86")
def test_the_guest_reaches_64_bit_code_under_an_emulator() -> None:
    assert QEMU is not None

    # QEMU's TCG is the independent judge of the 512 bytes: only the last instruction ends it with this status.
    assert virtualization.qemu_boots(QEMU, "tcg") == ""


@pytest.mark.skipif(QEMU is None, reason="needs qemu-system-x86")
def test_a_guest_that_does_not_come_through_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert QEMU is not None
    broken = bytearray(virtualization.boot_sector())
    broken[0:2] = b"\xeb\xfe"  # jump to itself
    monkeypatch.setattr(virtualization, "boot_sector", lambda: bytes(broken))
    monkeypatch.setattr(virtualization, "QEMU_TIMEOUT_S", 2.0)

    assert virtualization.qemu_boots(QEMU, "tcg") == "no sign of life within 2 s"


def test_the_guest_is_a_boot_sector() -> None:
    sector = virtualization.boot_sector()

    assert len(sector) == 512
    assert sector[-2:] == b"\x55\xaa"


@pytest.mark.parametrize(
    ("cpuinfo", "flag"),
    [
        ("flags\t\t: fpu vme svm sse4_1\n", "svm"),
        ("flags\t\t: fpu vmx lm\n", "vmx"),
        ("flags\t\t: fpu lm hypervisor\nvmx flags\t: vnmi\n", ""),
        ("model name\t: svm vmx\n", ""),
    ],
)
def test_the_flag_is_one_of_the_cpus_flags(cpuinfo: str, flag: str) -> None:
    assert virtualization.cpu_flag(cpuinfo) == flag


def test_without_a_node_nothing_boots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(virtualization, "DEVICE", str(tmp_path / "kvm"))

    proof = virtualization.guest_boots()

    assert (proof.usable, proof.reason) == (False, f"there is no {tmp_path / 'kvm'}")


def test_a_node_that_is_not_kvm_proves_nothing() -> None:
    """The child that opens the device fails; its words are the reason."""
    outcome = virtualization._outcome(shell_argv=("/bin/sh", "-c", "echo Inappropriate ioctl >&2; exit 1"), timeout_s=5)

    assert outcome == "Inappropriate ioctl"
    assert "Cannot run" in virtualization._outcome(shell_argv=("/no/such/program",), timeout_s=5)


@pytest.mark.parametrize(
    ("cpuinfo", "detected", "level"),
    [
        # "QEMU TCG CPU version 2.5+" is what QEMU's emulated maximum CPU calls itself (target/i386/cpu.c).
        ("model name\t: QEMU TCG CPU version 2.5+\nflags\t\t: fpu svm hypervisor\n", "", Level.EMULATED),
        # systemd-detect-virt(1): "qemu: QEMU software virtualization, without KVM".
        ("model name\t: AMD EPYC\nflags\t\t: fpu svm hypervisor\n", "qemu", Level.EMULATED),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "qemu", Level.EMULATED),
        ("model name\t: Intel(R) Xeon(R)\nflags\t\t: fpu vmx hypervisor lahf_lm\n", "kvm", Level.GUEST),
        ("model name\t: AMD EPYC 7543\nflags\t\t: fpu svm lahf_lm\n", "none", Level.METAL),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "kvm", Level.GUEST),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "none", Level.METAL),
    ],
)
def test_what_a_machine_is(cpuinfo: str, detected: str, level: Level) -> None:
    assert virtualization.level(cpuinfo, detected) is level
