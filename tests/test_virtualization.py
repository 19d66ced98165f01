"""The tiny guest really boots under another machine emulator, and what does not boot is reported, never raised."""

from __future__ import annotations

import platform
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rtlab.host import virtualization
from rtlab.model import Level
from rtlab.probe import cpuid

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


XEON = "model name\t: Intel(R) Xeon(R)\nflags\t\t: fpu vmx hypervisor lahf_lm\n"
METAL = "model name\t: AMD EPYC 7543\nflags\t\t: fpu svm lahf_lm\n"
# "QEMU TCG CPU version 2.5+" is what QEMU's emulated maximum CPU calls itself (target/i386/cpu.c).
TCG = "model name\t: QEMU TCG CPU version 2.5+\nflags\t\t: fpu svm hypervisor\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd\n"
QEMU_DMI = "QEMU Standard PC (Q35 + ICH9, 2009)"


@pytest.mark.parametrize(
    ("cpuinfo", "detected", "signatures", "dmi", "level", "hypervisor", "conflict"),
    [
        (TCG, "", (), "", Level.EMULATED, "qemu", ""),
        (TCG, "qemu", ("TCGTCGTCGTCG",), QEMU_DMI, Level.EMULATED, "qemu", ""),
        # An emulated CPU under another model's name: only CPUID says it.
        (XEON, "qemu", ("TCGTCGTCGTCG",), QEMU_DMI, Level.EMULATED, "qemu", ""),
        (XEON, "", ("TCGTCGTCGTCG",), "", Level.EMULATED, "qemu", ""),
        # systemd#22709: a KVM guest whose DMI says QEMU; systemd calls it emulated.
        (XEON, "qemu", ("KVMKVMKVM",), QEMU_DMI, Level.GUEST, "kvm", "CPUID says kvm: taken as a guest"),
        (XEON, "kvm", ("KVMKVMKVM",), QEMU_DMI, Level.GUEST, "kvm", ""),
        (XEON, "", ("KVMKVMKVM",), QEMU_DMI, Level.GUEST, "kvm", ""),
        # KVM that shows Hyper-V's interface first, for Windows.
        (XEON, "microsoft", ("Microsoft Hv", "KVMKVMKVM"), QEMU_DMI, Level.GUEST, "kvm", ""),
        (XEON, "microsoft", ("Microsoft Hv",), "", Level.GUEST, "microsoft", ""),
        # CPUID cannot be read: no witness of emulation, but the doubt is told.
        (XEON, "qemu", (), QEMU_DMI, Level.GUEST, "qemu", "nothing in CPUID says so"),
        (ARM, "qemu", (), QEMU_DMI, Level.GUEST, "qemu", "nothing in CPUID says so"),
        (TCG, "kvm", ("KVMKVMKVM",), QEMU_DMI, Level.GUEST, "kvm", "the CPU's name says TCG"),
        (XEON, "", (), "", Level.GUEST, "unknown hypervisor", ""),
        (XEON, "", ("SomethingNew",), "", Level.GUEST, "SomethingNew", ""),
        # A guest that hides its hypervisor (-cpu host,-hypervisor).
        (METAL, "qemu", (), QEMU_DMI, Level.GUEST, "qemu", "systemd-detect-virt says qemu"),
        (METAL, "none", (), QEMU_DMI, Level.GUEST, QEMU_DMI, "but the CPU names no hypervisor"),
        (METAL, "none", (), "Dell Inc. PowerEdge R640", Level.METAL, "", ""),
        (METAL, "none", (), "Amazon EC2 m5.metal", Level.METAL, "", ""),
        (METAL, "", (), "", Level.METAL, "", ""),
        (ARM, "kvm", (), "", Level.GUEST, "kvm", ""),
        (ARM, "none", (), "", Level.METAL, "", ""),
    ],
)
def test_what_a_machine_is_by_all_witnesses(
    cpuinfo: str, detected: str, signatures: tuple[str, ...], dmi: str, level: Level, hypervisor: str, conflict: str
) -> None:
    found = virtualization.identify(cpuinfo, detected, signatures, dmi)

    assert (found.level, found.hypervisor) == (level, hypervisor)
    assert conflict in found.conflict and bool(found.conflict) is bool(conflict)


def registers(leaves: dict[int, str], *, hypervisor: bool = True) -> Callable[[int], tuple[int, ...]]:
    def read(leaf: int) -> tuple[int, ...]:
        if leaf == 1:
            return 0, 0, (1 << 31) * hypervisor, 0
        # An unknown leaf gives what the highest known one holds: numbers, no name.
        return 0, *struct.unpack("<3I", leaves.get(leaf, "\x01\x02").encode("latin-1").ljust(12, b"\0"))

    return read


def test_signatures_are_read_from_the_leaves_where_hypervisors_put_them() -> None:
    # Linux, Documentation/virt/kvm/x86/cpuid.rst: EBX, ECX, EDX of 0x40000000; KVM beside Hyper-V at 0x40000100.
    both = {0x40000000: "Microsoft Hv", 0x40000100: "KVMKVMKVM"}
    assert cpuid.signatures(registers(both)) == ["Microsoft Hv", "KVMKVMKVM"]
    assert cpuid.signatures(registers({0x40000000: "TCGTCGTCGTCG"})) == ["TCGTCGTCGTCG"]
    assert cpuid.signatures(registers(both, hypervisor=False)) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CPUID is x86's")
def test_the_cpu_of_this_machine_is_asked_and_says_what_the_kernel_says() -> None:
    said = subprocess.run(
        [sys.executable, "-c", virtualization.cpuid_program()], capture_output=True, text=True, check=True, timeout=30
    )
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)

    assert flags is not None
    assert bool(virtualization.signatures_in(said.stdout)) == (" hypervisor" in flags[1]), said.stderr
    assert virtualization.this_machine("").hypervisor != "unknown hypervisor"
