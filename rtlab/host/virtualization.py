"""Proof that /dev/kvm really boots a guest.

A node proves nothing: some hosts carry one that boots no ordinary guest. So a tiny guest is booted: 512 bytes that go
from real mode through paging into 64-bit code and write one byte to a port. It runs twice: through KVM's own
interface (no QEMU needed), and where QEMU is installed as a boot sector under QEMU's firmware, as machines and Kata do.
Each run is a process of its own under a time limit, because a broken KVM may hang or loop.

Source of numbers and layouts: Linux, include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import struct
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlab.connection import shell
from rtlab.errors import CommandFailed
from rtlab.model import Level
from rtlab.probe import cpuid

DEVICE = "/dev/kvm"
LOAD_ADDRESS = 0x7C00  # where firmware puts a boot sector
PORT, SIGN = 0xF4, 42
# QEMU's isa-debug-exit ends the process with this status when SIGN is written to it.
QEMU_STATUS = SIGN << 1 | 1
GUEST_TIMEOUT_S = 10.0
QEMU_TIMEOUT_S = 20.0

_CREATE_VM, _VCPU_MMAP_SIZE, _SUPPORTED_CPUID = 0xAE01, 0xAE04, 0xC008AE05
_CREATE_VCPU, _SET_MEMORY, _SET_TSS, _RUN = 0xAE41, 0x4020AE46, 0xAE47, 0xAE80
_SET_REGS, _GET_SREGS, _SET_SREGS, _SET_CPUID = 0x4090AE82, 0x8138AE83, 0x4138AE84, 0x4008AE90
_EXIT_IO = 2
_EXITS = {5: "halted", 8: "triple fault", 9: "KVM could not enter the guest", 17: "KVM could not emulate it"}
_CPUID_ENTRIES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the attempt to boot a guest showed.

    Attributes:
        usable: Whether it booted.
        reason: What was seen, one sentence without a full stop.
    """

    usable: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a machine is, by all witnesses together.

    Attributes:
        hypervisor: Whose guest it is, in systemd-detect-virt's words where it has one; empty on bare metal.
        conflict: How the witnesses disagree, one sentence without a full stop; empty when they agree.
    """

    level: Level
    hypervisor: str
    conflict: str = ""


# What firmware calls machines that are none. "QEMU" says nothing about who runs their CPU: KVM or an emulator.
_VIRTUAL_DMI = (
    *("QEMU", "VMware", "innotek", "Xen", "Bochs", "KubeVirt", "OpenStack", "Parallels", "Red Hat KVM"),
    "Microsoft Corporation Virtual Machine",
    "Oracle Corporation VirtualBox",
)


def identify(cpuinfo: str, detected: str, signatures: Sequence[str] = (), dmi: str = "") -> Identity:
    """Metal, somebody's guest, or an emulated machine.

    Only the CPU itself can say that it is emulated, by its signature or, where that cannot be read, by its name.
    systemd says "qemu" of KVM guests too, where it finds QEMU's name in the firmware (its issue 22709).

    Args:
        cpuinfo: The machine's /proc/cpuinfo.
        detected: What its ``systemd-detect-virt --vm`` prints; empty where there is none.
        signatures: What ``rtlab.probe.cpuid`` prints there.
        dmi: Vendor and product as its firmware says.
    """
    detected = "" if detected == "none" else detected
    names = [cpuid.NAMES[s] for s in signatures if s in cpuid.NAMES]
    tcg_name = re.search(r"^model name\s*:.*\bTCG\b", cpuinfo, re.M) is not None
    flag = re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.M) is not None
    virtual_dmi = dmi.startswith(_VIRTUAL_DMI) and "metal" not in dmi
    # A KVM that shows Hyper-V's interface has its own signature further on.
    by_cpu = next((n for n in names if n != "microsoft"), names[0] if names else "")
    if by_cpu == "qemu" or (tcg_name and not by_cpu):
        return Identity(level=Level.EMULATED, hypervisor="qemu")
    conflicts = []
    if tcg_name:
        conflicts.append("the CPU's name says TCG")
    if detected == "qemu":
        conflicts.append("systemd-detect-virt says qemu (emulated)")
    if conflicts:
        seen = f"CPUID says {by_cpu}" if by_cpu else "nothing in CPUID says so"
        conflict = f"{' and '.join(conflicts)}, but {seen}: taken as a guest, not as emulated"
        return Identity(level=Level.GUEST, hypervisor=by_cpu or detected, conflict=conflict)
    if flag or by_cpu or signatures:
        hypervisor = by_cpu or detected or next(iter(signatures), "") or (dmi if virtual_dmi else "")
        return Identity(level=Level.GUEST, hypervisor=hypervisor or "unknown hypervisor")
    if detected or virtual_dmi:
        x86 = re.search(r"^flags\s*:", cpuinfo, re.M) is not None
        said = f"systemd-detect-virt says {detected}" if detected else f"the firmware says {dmi}"
        conflict = f"{said}, but the CPU names no hypervisor: taken as a guest" if x86 else ""
        return Identity(level=Level.GUEST, hypervisor=detected or dmi, conflict=conflict)
    return Identity(level=Level.METAL, hypervisor="")


def cpuid_program() -> str:
    """Text of a Python program that prints a machine's CPUID signatures, one a line, for ``python3 -c``."""
    return Path(cpuid.__file__).read_text(encoding="utf-8")


def signatures_in(printed: str) -> tuple[str, ...]:
    """The signatures in what ``cpuid_program`` printed."""
    return tuple(line for line in printed.splitlines() if line.strip())


def this_machine(detected: str) -> Identity:
    """``identify`` for the machine that this runs on."""
    try:
        said = shell.run((sys.executable, "-I", cpuid.__file__), timeout_s=10)
        signatures = signatures_in(said.stdout.decode("utf-8", "replace")) if said.ok else ()
    except CommandFailed:
        signatures = ()
    return identify(_text("/proc/cpuinfo"), detected, signatures, dmi_of_this_machine())


def dmi_of_this_machine() -> str:
    """Vendor and product as the firmware says; empty where there is no such thing."""
    return " ".join(filter(None, (_text(f"/sys/class/dmi/id/{n}").strip() for n in ("sys_vendor", "product_name"))))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def prove(qemu: str = "") -> Proof:
    """Whether hardware virtualization really works here: the CPU's flag, and a guest that boots.

    Both are needed: a KVM without the flag (seen: module kvm_pvm) boots this guest, and no ordinary kernel.
    """
    if not cpu_flag(Path("/proc/cpuinfo").read_text(errors="replace")):
        return Proof(usable=False, reason="the CPU offers neither vmx nor svm")
    return guest_boots(qemu)


def cpu_flag(cpuinfo: str) -> str:
    """``vmx`` or ``svm`` from the text of /proc/cpuinfo; empty when the CPU has neither."""
    match = re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.M)
    return match[1] if match else ""


def guest_boots(qemu: str = "") -> Proof:
    """Boot the tiny guest; never raises, never hangs.

    Args:
        qemu: Path of qemu-system-x86_64; empty leaves that half of the proof out.
    """
    if not os.path.exists(DEVICE):
        return Proof(usable=False, reason=f"there is no {DEVICE}")
    direct = _outcome(shell_argv=(sys.executable, "-m", "rtlab.host.virtualization"), timeout_s=GUEST_TIMEOUT_S)
    if direct:
        return Proof(usable=False, reason=f"a 512-byte guest did not boot: {direct}")
    if not qemu:
        return Proof(usable=True, reason="a 512-byte guest reached 64-bit code")
    under_qemu = qemu_boots(qemu, "kvm")
    if under_qemu:
        return Proof(usable=False, reason=f"a guest did not boot under QEMU: {under_qemu}")
    return Proof(usable=True, reason="a guest reached 64-bit code, directly and under QEMU's firmware")


def qemu_boots(qemu: str, accel: str) -> str:
    """Boot the guest as a boot sector under QEMU; empty when it did, else why not."""
    with tempfile.TemporaryDirectory(prefix="rtlab-guest-") as folder:
        image = Path(folder) / "guest.img"
        image.write_bytes(boot_sector())
        return _outcome(
            shell_argv=(
                *(qemu, "-accel", accel, "-m", "16", "-nodefaults", "-display", "none", "-no-reboot"),
                *("-device", f"isa-debug-exit,iobase={PORT:#x}"),
                *("-drive", f"file={image},format=raw,if=ide"),
            ),
            timeout_s=QEMU_TIMEOUT_S,
            good_status=QEMU_STATUS,
        )


def _outcome(*, shell_argv: tuple[str, ...], timeout_s: float, good_status: int = 0) -> str:
    """Run one attempt; empty when it ended as it should, else why not."""
    try:
        # The child imports this very package, wherever it was imported from.
        result = shell.run(
            shell_argv, timeout_s=timeout_s, env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        )
    except CommandFailed as error:
        return error.message
    if result.exit_status == good_status:
        return ""
    if result.timed_out:
        return f"no sign of life within {timeout_s:.0f} s"
    return result.tail(1) or f"status {result.exit_status}"


def boot_sector() -> bytes:
    """The guest: real mode -> page tables -> long mode -> ``out PORT, SIGN``. 512 bytes, loaded at LOAD_ADDRESS."""
    code = bytes.fromhex(
        "fa 31c0 8ed8 8ec0 8ed0 bc007c"  # cli; ds = es = ss = 0; sp = 0x7c00
        "66c706 0010 03200000 66c706 0410 00000000"  # page map level 4 at 0x1000 -> 0x2000
        "66c706 0020 03300000 66c706 0420 00000000"  # directory pointers at 0x2000 -> 0x3000
        "66c706 0030 83000000 66c706 0430 00000000"  # directory at 0x3000: one page of 2 MiB
        "66b8 20000000 0f22e0"  # cr4: PAE
        "66b8 00100000 0f22d8"  # cr3 = 0x1000
        "66b9 800000c0 0f32 660d 00010000 0f30"  # EFER: long mode enable
    )
    lgdt, enter = b"\x0f\x01\x16", bytes.fromhex("0f20c0 660d 01000080 0f22c0")  # cr0: paging and protection
    long_mode = bytes((0xB0, SIGN, 0xE6, PORT, 0xF4, 0xEB, 0xFD))  # mov al, SIGN; out PORT, al; hlt; jmp back
    long_at = LOAD_ADDRESS + len(code) + len(lgdt) + 2 + len(enter) + 5
    table_at = long_at + len(long_mode)
    table = struct.pack("<QQ", 0, 0x00AF9A000000FFFF)  # null, 64-bit code
    pointer = struct.pack("<HI", len(table) - 1, table_at)
    code += lgdt + struct.pack("<H", table_at + len(table)) + enter
    code += b"\xea" + struct.pack("<HH", long_at, 8) + long_mode + table + pointer
    return code.ljust(510, b"\0") + b"\x55\xaa"


def run_guest() -> None:
    """Run the guest through KVM's ioctls in this process; OSError or RuntimeError when it does not come through."""
    import ctypes  # some minimal Pythons lack it, and only this child process needs it

    kvm = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    vm = fcntl.ioctl(kvm, _CREATE_VM, 0)
    fcntl.ioctl(vm, _SET_TSS, 0x400000)  # beside the memory; Intel CPUs without "unrestricted guest" need it
    memory = mmap.mmap(-1, 2 * 1024 * 1024)
    memory[LOAD_ADDRESS : LOAD_ADDRESS + 512] = boot_sector()
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(vm, _SET_MEMORY, struct.pack("<IIQQQ", 0, 0, 0, len(memory), address))
    vcpu = fcntl.ioctl(vm, _CREATE_VCPU, 0)
    # Without the host's CPUID the guest would have no long mode to enter.
    features = bytearray(struct.pack("<II", _CPUID_ENTRIES, 0) + bytes(40 * _CPUID_ENTRIES))
    fcntl.ioctl(kvm, _SUPPORTED_CPUID, features)
    fcntl.ioctl(vcpu, _SET_CPUID, features)
    special = bytearray(312)
    fcntl.ioctl(vcpu, _GET_SREGS, special)
    struct.pack_into("<QIH", special, 0, 0, 0xFFFF, 0)  # cs: base, limit, selector
    fcntl.ioctl(vcpu, _SET_SREGS, special)
    fcntl.ioctl(vcpu, _SET_REGS, struct.pack("<18Q", *(0,) * 16, LOAD_ADDRESS, 2))
    shared = mmap.mmap(vcpu, fcntl.ioctl(kvm, _VCPU_MMAP_SIZE, 0))
    fcntl.ioctl(vcpu, _RUN, 0)
    (reason,) = struct.unpack_from("<I", shared, 8)
    if reason != _EXIT_IO:
        raise RuntimeError(f"the guest stopped: {_EXITS.get(reason, f'exit reason {reason}')}")
    _direction, _size, port, _count, offset = struct.unpack_from("<BBHIQ", shared, 32)
    if (port, shared[offset]) != (PORT, SIGN):
        raise RuntimeError(f"the guest wrote {shared[offset]} to port {port:#x}")


if __name__ == "__main__":
    try:
        run_guest()
    except (OSError, RuntimeError, ImportError) as error:
        sys.exit(str(error))
