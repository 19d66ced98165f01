"""A process in a container that nothing can end: state D, by a file system whose answer never comes.

Called with the pid of a container's first process. It mounts a FUSE in the container, answers the kernel's greeting and
nothing else, and starts ``cat`` on it there. Once its question has been read here, the kernel waits for the answer
whatever signal comes; it lets go when this program's end of the file system closes, which is when its stdin does.
Prints what SIGKILL did to ``cat``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

GREETED, GREETING, AT = 26, "<IIIIHHIIHHI7I", "/rtlab-stuck"


def question(device: int) -> tuple[int, int]:
    """What the kernel asks next: (operation, its number)."""
    _, operation, number = struct.unpack_from("<IIQ", os.read(device, 1 << 20))
    return operation, number


def greet(device: int) -> None:
    operation, number = question(device)
    assert operation == GREETED
    answer = struct.pack(GREETING, 7, 31, 65536, 0, 12, 10, 65536, 1, 256, 0, 0, *[0] * 7)
    os.write(device, struct.pack("<IiQ", 16 + len(answer), 0, number) + answer)


def control_groups(pid: int) -> list[Path]:
    """The folders of those that a process is in, of every version."""
    mounted = [m.split() for m in Path("/proc/self/mounts").read_text().splitlines() if " cgroup" in m]
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for _, at, kind, options, *_ in mounted:
            if kind == "cgroup2" if not controllers else set(controllers.split(",")) <= set(options.split(",")):
                found.append(Path(at + path))
    return found


def main() -> None:
    pid = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    # Opened before the container is entered: its /proc and /sys are others.
    groups = [os.open(group / "cgroup.procs", os.O_WRONLY) for group in control_groups(pid)]
    for namespace in [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("pid", "mnt")]:
        assert libc.setns(namespace, 0) == 0, os.strerror(ctypes.get_errno())
    os.makedirs(AT)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    assert libc.mount(b"stuck", AT.encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
    greet(device)
    # No thread: a process whose children go to another pid namespace cannot start one.
    sleeper = subprocess.Popen(["cat", f"{AT}/file"])
    question(device)
    for group in groups:
        os.write(group, str(sleeper.pid).encode())
    sleeper.send_signal(signal.SIGKILL)
    time.sleep(0.5)
    print("it was ended" if sleeper.poll() is not None else "stuck", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
