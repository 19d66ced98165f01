"""Reading /proc and /sys: what the kernel says of the machine and of its processes."""

import ctypes
import errno
import glob
import os
import platform
import re
import socket
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from rtlab.probe.base import Document


class Process(NamedTuple):
    parent: int
    comm: str
    line: str


def read(path: str, default: str = "") -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except (OSError, UnicodeError):
        return default


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id").strip()


def meminfo() -> Dict[str, int]:
    """Bytes by field name."""
    found = {}
    for line in read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words:
            found[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return found


def pressure() -> Tuple[Optional[Dict[str, Dict[str, Any]]], str]:
    """Totals of PSI per resource in microseconds, or (None, the reason)."""
    if not os.path.isdir("/proc/pressure"):
        return None, "the kernel has no /proc/pressure (%s)" % platform.release()
    found = {}
    for resource in ("cpu", "io", "memory"):
        match = re.search(r"some avg10=([\d.]+) .*total=(\d+)", read("/proc/pressure/" + resource))
        if match:
            found[resource] = {"avg10": float(match.group(1)), "total_us": int(match.group(2))}
    if not found:
        return None, "the kernel does not fill /proc/pressure"
    return found, ""


def ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


def steal_s() -> Optional[float]:
    words = read("/proc/stat").split("\n")[0].split()
    return int(words[8]) / ticks() if len(words) > 8 else None


def kernel_messages(after: int) -> Tuple[int, List[str]]:
    """(sequence number of the last message, texts of messages after ``after``), at most 50."""
    last = after
    texts: List[str] = []
    try:
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return after, texts
    try:
        while True:
            try:
                record = os.read(descriptor, 8192).decode("utf-8", "replace")
            except OSError as error:
                if error.errno == errno.EPIPE:  # the record was overwritten meanwhile: the next one follows
                    continue
                break
            head, _, text = record.partition(";")
            fields = head.split(",")
            if len(fields) < 2 or not fields[1].isdigit():
                continue
            number = int(fields[1])
            if number > after:
                last = number
                if after >= 0 and len(texts) < 50:
                    texts.append(anonymous(text.split("\n")[0][:300]))
    finally:
        os.close(descriptor)
    return last, texts


def anonymous(text: str) -> str:
    """A text without hardware and network addresses, this machine's name, and who built its kernel."""
    text = re.sub(r"(?i)\b[0-9a-f]{2}(:[0-9a-f]{2}){5,}\b", "xx:xx:xx:xx:xx:xx", text)
    text = re.sub(r"\b\d{1,3}(\.\d{1,3}){3}\b", "x.x.x.x", text)
    group = r"[0-9a-f]{1,4}"
    for address in (r"(%s:){7}%s" % (group, group), r"(%s:)*%s::(%s:)*(%s)?" % (group, group, group, group)):
        text = re.sub(r"(?i)(?<![\w:])%s(?![\w:])" % address, "x::x", text)
    text = re.sub(r"\([^\s()]+@[^\s()]+\) ?", "", text)
    name = socket.gethostname()
    return re.sub(r"(?<![\w-])%s(?![\w-])" % re.escape(name), "<host>", text) if name else text


def temperatures() -> List[float]:
    found = []
    for path in sorted(glob.glob("/sys/class/thermal/thermal_zone*/temp")):
        text = read(path).strip()
        if text.lstrip("-").isdigit():
            found.append(int(text) / 1000.0)
    return found


def has_slaves(disk: str) -> bool:
    """Whether a block device lies on others (md, dm, bcache, multipath): what goes through it is counted there, too."""
    try:
        return bool(os.listdir(disk + "/slaves"))
    except OSError:
        return False


def diskstats(stats: str = "/proc/diskstats", block: str = "/sys/block") -> Dict[str, int]:
    """Bytes read and written by the bottom disks since boot: each byte is counted once."""
    totals = {"read_bytes": 0, "written_bytes": 0}
    for line in read(stats).splitlines():
        words = line.split()
        if (
            len(words) > 9
            and os.path.isdir(block + "/" + words[2])
            and not words[2].startswith(("loop", "ram", "zram"))
            and not has_slaves(block + "/" + words[2])
        ):
            totals["read_bytes"] += int(words[5]) * 512
            totals["written_bytes"] += int(words[9]) * 512
    return totals


class Surroundings(object):
    """What the machine was like around the trial."""

    def __init__(self) -> None:
        self.kmsg, _ = kernel_messages(-1)
        self.steal = steal_s()
        self.psi, self.no_psi = pressure()
        self.load = os.getloadavg()

    def describe(self) -> Document:
        _, messages = kernel_messages(self.kmsg)
        psi, _ = pressure()
        delta = None
        if psi and self.psi:
            delta = {k: (psi[k]["total_us"] - self.psi[k]["total_us"]) / 1e6 for k in psi if k in self.psi}
        now = steal_s()
        return {
            "load_before": list(self.load),
            "load_after": list(os.getloadavg()),
            "psi_some_s": delta,
            "psi_missing": self.no_psi,
            "steal_s": None if now is None or self.steal is None else now - self.steal,
            "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip(),
            "new_kernel_messages": messages,
            "temperature_c": temperatures(),
            "uptime_s": float(read("/proc/uptime").split()[0]),
        }


def processes() -> Dict[int, Process]:
    """pid -> (parent, comm, command line)."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        stat = read("/proc/%s/stat" % name)
        if not stat:
            continue
        comm = stat[stat.index("(") + 1 : stat.rindex(")")]
        parent = int(stat[stat.rindex(")") + 2 :].split()[1])
        found[int(name)] = Process(parent, comm, read("/proc/%s/cmdline" % name).replace("\0", " "))
    return found


def kernel_command_line(text: str) -> str:
    """What was asked of the kernel: not of init (after ``--``), and no words that name disks, hosts or addresses."""
    names = (
        r"(root|BOOT_IMAGE|resume|initrd|ip|nfsroot|netconsole|ds|hostname|.*[.-](hostname|uuid|ip|nameserver|url))="
    )
    words = (" " + text.strip() + " ").partition(" -- ")[0].split()
    return anonymous(" ".join(word for word in words if not re.match(names, word) and "UUID=" not in word))


def enter_network(path: str) -> None:
    """Enter a network namespace by its file: sockets made from now on are in there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns %s" % path)
    finally:
        os.close(descriptor)
