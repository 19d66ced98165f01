"""Prints who the CPU says is beneath this machine: the hypervisors' signatures in CPUID, one a line.

Runs by itself on any machine, with nothing but Python 3.6 (``python3 cpuid.py``, or its text given by ``-c``): a
process of its own, because a few bytes of machine code are called in it. Prints nothing where there is no hypervisor,
or where it cannot be told.

Sources of numbers: Linux, Documentation/virt/kvm/x86/cpuid.rst and arch/x86/include/asm/cpuid (leaves
0x40000000 to 0x4000ffff in steps of 0x100; valid when leaf 1 has bit 31 of ECX).
"""

import mmap
import platform
import struct
import sys
from typing import Callable, List, Tuple

# push rbx; mov eax, edi; xor ecx, ecx; cpuid; mov [rsi], eax; [rsi+4], ebx; [rsi+8], ecx; [rsi+12], edx; pop rbx; ret
CODE = bytes.fromhex("53 89f8 31c9 0fa2 8906 895e04 894e08 89560c 5b c3".replace(" ", ""))
HYPERVISOR = 1 << 31
FIRST, STEP, LEAVES = 0x40000000, 0x100, 4
# Signature -> systemd-detect-virt's name.
NAMES = {
    "TCGTCGTCGTCG": "qemu",
    "KVMKVMKVM": "kvm",
    "Linux KVM Hv": "kvm",
    "Microsoft Hv": "microsoft",
    "VMwareVMware": "vmware",
    "XenVMMXenVMM": "xen",
    "VBoxVBoxVBox": "oracle",
    "bhyve bhyve ": "bhyve",
    "ACRNACRNACRN": "acrn",
    " lrpepyh  vr": "parallels",
    "QNXQVMBSQG": "qnx",
    "SRESRESRESRE": "sre",
}


def by_machine_code(leaf: int) -> Tuple[int, ...]:
    """EAX, EBX, ECX, EDX of a leaf."""
    import ctypes  # some minimal Pythons lack it

    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    registers = (ctypes.c_uint32 * 4)()
    ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)(address)(leaf, ctypes.addressof(registers))
    return tuple(registers)


def by_device(leaf: int) -> Tuple[int, ...]:
    """The same through the kernel's module cpuid, where it is loaded and this user may read it."""
    with open("/dev/cpu/0/cpuid", "rb", buffering=0) as device:
        device.seek(leaf)
        return struct.unpack("<4I", device.read(16))


def signatures(read: Callable[[int], Tuple[int, ...]]) -> List[str]:
    """The signature of the first leaf, and further known ones (KVM that shows itself as Hyper-V first)."""
    if not read(1)[2] & HYPERVISOR:
        return []
    found: List[str] = []
    for number in range(LEAVES):
        name = struct.pack("<3I", *read(FIRST + number * STEP)[1:]).decode("latin-1").rstrip("\0")
        if name not in found and name.isprintable() and (number == 0 or name in NAMES):
            found.append(name)
    return found


def main() -> None:
    if platform.machine() not in ("x86_64", "AMD64"):
        return
    for read in (by_machine_code, by_device):
        try:
            found = signatures(read)
        except (ImportError, OSError, ValueError, TypeError, struct.error) as error:
            sys.stderr.write(str(error) + "\n")
            continue
        print("\n".join(found))
        return


if __name__ == "__main__":
    main()
