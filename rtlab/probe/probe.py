#!/usr/bin/env python3
"""rtlab's probe: the one file of rtlab that runs on a machine.

Reads one JSON request from stdin and prints one JSON document (the protocol stands in README.md beside it). Python 3.6
and the standard library, so that it runs on every machine; psutil only where the tables' counters are read.

Time is CLOCK_MONOTONIC of this machine. Inside a timed interval there is no output, no disk access and no garbage
collection of ours; what is between two marks is the engine's answer or the poll of the page.
"""

import ctypes
import errno
import gc
import glob
import hashlib
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import traceback
from shlex import quote
from typing import Any, Dict, List, Optional  # noqa: F401  (in type comments)

SCHEMA = 1
VERSION = "1"
POLL_S = 0.0005
CONNECT_S = 0.05
# Cleaning up has this long after the trial's own deadline; rtlab waits a minute more for the answer.
CLEANING_S = 40.0
PATIENCE_S = 3.0
OUTPUT_CAP = 32 * 1024 * 1024
PAGE_BYTES_MAX = 1 << 20
monotonic_ns = getattr(time, "monotonic_ns", lambda: int(time.monotonic() * 1e9))  # 3.6 has no monotonic_ns


class TrialFailed(Exception):
    """The trial cannot go on; the message is its reason."""


class TrialTimedOut(TrialFailed):
    """The trial's own deadline passed."""


class Invalid(TrialFailed):
    """A rule fixed beforehand is broken: the proof failed, or the tool's exit status."""


# --------------------------------------------------------------------------- the engine


class BoundedSocket(socket.socket):
    """Reads until one moment, not for so long each: an answer that drips would otherwise never end."""

    until = float("inf")

    def recv_into(self, *arguments):
        left = self.until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self.settimeout(left)
        return socket.socket.recv_into(self, *arguments)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        http.client.HTTPConnection.__init__(self, "localhost", timeout=timeout)
        self.path = path

    def connect(self):
        bounded = BoundedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        bounded.settimeout(self.timeout)
        bounded.until = time.monotonic() + (self.timeout or 0)
        self.sock = bounded
        self.sock.connect(self.path)


class Engine(object):
    """dockerd by its socket. Every call is bounded by the trial's deadline."""

    def __init__(self, path, deadline):
        self.path = path
        self.deadline = deadline
        self.api = ""

    def left(self, at_most=None):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TrialTimedOut("the trial's time limit passed")
        return left if at_most is None else min(left, at_most)

    def call(self, method, path, body=None, at_most=None, raw=False):
        """(status, decoded answer). Raises TrialTimedOut or TrialFailed when the engine does not answer."""
        connection = UnixConnection(self.path, self.left(at_most))
        headers = {"Host": "docker"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self.api + path, data, headers)
            answer = connection.getresponse()
            content = answer.read(OUTPUT_CAP)
            if answer.length and len(content) < OUTPUT_CAP:
                raise http.client.IncompleteRead(content, answer.length)
            status = answer.status
        except socket.timeout:
            raise TrialTimedOut("the engine did not answer %s %s in time" % (method, path.split("?")[0]))
        except (OSError, http.client.HTTPException) as error:
            raise TrialFailed("the engine does not answer at %s: %s" % (self.path, error))
        finally:
            connection.close()
        if raw:
            return status, content
        try:
            return status, json.loads(content.decode("utf-8", "replace")) if content else None
        except ValueError:
            return status, content.decode("utf-8", "replace")

    def must(self, method, path, body=None, at_most=None, ok=(200, 201, 204, 304)):
        status, answer = self.call(method, path, body, at_most)
        if status not in ok:
            said = answer.get("message") if isinstance(answer, dict) else answer
            raise TrialFailed("the engine refused %s %s: %s" % (method, path.split("?")[0], said))
        return answer

    def create(self, request, image, command=None, limits=None, network=None, extra=None):
        host = {"Runtime": request["runtime"]["docker_name"], "NetworkMode": network or "bridge"}
        host.update(limits or {})
        body = {"Image": image, "Labels": request.get("labels") or {}, "HostConfig": host}
        if command is not None:
            body["Cmd"] = command
        body.update(extra or {})
        return self.must("POST", "/containers/create", body)["Id"]

    def start(self, cid):
        self.must("POST", "/containers/%s/start" % cid)

    def inspect(self, cid):
        return self.must("GET", "/containers/%s/json" % cid)

    def stop(self, cid, grace_s=10):
        self.must("POST", "/containers/%s/stop?t=%d" % (cid, grace_s), at_most=grace_s + 60)

    def remove(self, cid):
        self.must("DELETE", "/containers/%s?force=1&v=1" % cid, at_most=120, ok=(204, 404, 409))

    def wait(self, cid):
        return self.must("POST", "/containers/%s/wait" % cid)["StatusCode"]

    def logs(self, cid):
        """(stdout, stderr) as text, undecodable bytes kept by surrogateescape."""
        status, content = self.call("GET", "/containers/%s/logs?stdout=1&stderr=1" % cid, raw=True)
        if status != 200:
            raise TrialFailed("the engine has no log of the container")
        streams = {1: bytearray(), 2: bytearray()}
        at = 0
        while at + 8 <= len(content):
            kind, size = content[at], struct.unpack(">I", content[at + 4 : at + 8])[0]
            streams.get(kind, streams[2]).extend(content[at + 8 : at + 8 + size])
            at += 8 + size
        return tuple(bytes(streams[k]).decode("utf-8", "surrogateescape") for k in (1, 2))


def follow_until(engine, cid, marker):
    """Read the container's output until a line that begins with ``marker``.

    Returns (stdout before that line, stderr so far, what follows the marker in its line: an exit status, or nothing).
    """
    connection = UnixConnection(engine.path, engine.left())
    texts = {1: bytearray(), 2: bytearray()}
    try:
        connection.request("GET", "/containers/%s/logs?stdout=1&stderr=1&follow=1" % cid, None, {"Host": "docker"})
        answer = connection.getresponse()
        while True:
            head = _exactly(answer, 8)
            if len(head) < 8:
                break
            size = struct.unpack(">I", head[4:])[0]
            texts.get(head[0], texts[2]).extend(_exactly(answer, size))
            text = "\n" + bytes(texts[1]).decode("utf-8", "surrogateescape")
            at = text.find("\n" + marker)
            end = text.find("\n", at + 1)
            if at >= 0 and end >= 0:
                rest = text[at + 1 + len(marker) : end].strip()
                return text[1 : at + 1], bytes(texts[2]).decode("utf-8", "surrogateescape"), rest
            if len(texts[1]) > OUTPUT_CAP:
                raise TrialFailed("the container prints without end")
    except socket.timeout:
        raise TrialTimedOut("the workload did not come to an end within the trial's time limit")
    except (OSError, http.client.HTTPException) as error:
        raise TrialFailed("the container's output was cut: %s" % error)
    finally:
        connection.close()
    state = engine.inspect(cid)["State"]
    said = bytes(texts[2]).decode("utf-8", "replace").strip()[-300:]
    raise TrialFailed("the container ended with status %s before %s: %s" % (state.get("ExitCode"), marker, said))


def _exactly(stream, size):
    content = bytearray()
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            break
        content.extend(piece)
    return bytes(content)


# --------------------------------------------------------------------------- reading /proc and /sys


def read(path, default=""):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except (OSError, UnicodeError):
        return default


def boot_id():
    return read("/proc/sys/kernel/random/boot_id").strip()


def meminfo():
    """Bytes by field name."""
    found = {}
    for line in read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words:
            found[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return found


def pressure():
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


def ticks():
    return os.sysconf("SC_CLK_TCK")


def steal_s():
    words = read("/proc/stat").split("\n")[0].split()
    return int(words[8]) / ticks() if len(words) > 8 else None


def kernel_messages(after):
    """(sequence number of the last message, texts of messages after ``after``), at most 50."""
    last = after
    texts = []  # type: List[str]
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


def anonymous(text):
    """A text without hardware and network addresses, this machine's name, and who built its kernel."""
    text = re.sub(r"(?i)\b[0-9a-f]{2}(:[0-9a-f]{2}){5,}\b", "xx:xx:xx:xx:xx:xx", text)
    text = re.sub(r"\b\d{1,3}(\.\d{1,3}){3}\b", "x.x.x.x", text)
    group = r"[0-9a-f]{1,4}"
    for address in (r"(%s:){7}%s" % (group, group), r"(%s:)*%s::(%s:)*(%s)?" % (group, group, group, group)):
        text = re.sub(r"(?i)(?<![\w:])%s(?![\w:])" % address, "x::x", text)
    text = re.sub(r"\([^\s()]+@[^\s()]+\) ?", "", text)
    name = socket.gethostname()
    return re.sub(r"(?<![\w-])%s(?![\w-])" % re.escape(name), "<host>", text) if name else text


def temperatures():
    found = []
    for path in sorted(glob.glob("/sys/class/thermal/thermal_zone*/temp")):
        text = read(path).strip()
        if text.lstrip("-").isdigit():
            found.append(int(text) / 1000.0)
    return found


def has_slaves(disk):
    """Whether a block device lies on others (md, dm, bcache, multipath): what goes through it is counted there, too."""
    try:
        return bool(os.listdir(disk + "/slaves"))
    except OSError:
        return False


def diskstats(stats="/proc/diskstats", block="/sys/block"):
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

    def __init__(self):
        self.kmsg, _ = kernel_messages(-1)
        self.steal = steal_s()
        self.psi, self.no_psi = pressure()
        self.load = os.getloadavg()

    def describe(self):
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


# --------------------------------------------------------------------------- the processes that a container needs


def processes():
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
        found[int(name)] = (parent, comm, read("/proc/%s/cmdline" % name).replace("\0", " "))
    return found


def cgroups_of(pid):
    """Paths of the cgroups of a process that matter here: {'cpuacct': path, 'memory': path} or {'': path} (v2)."""
    found = {}
    for line in read("/proc/%s/cgroup" % pid).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


# Programs that may live outside of the container's cgroup and name it in their command line: shim, sandbox and gofer
# (runsc calls them `exe`), VMM, proxy, virtiofsd. Names as the kernel cuts them, 15 characters. A program that merely
# mentions the id (a docker command, a grep, an editor) is none of them.
PARTS = (
    "containerd-shim",
    "runc",
    "crun",
    "youki",
    "runsc",
    "gvisor",
    "exe",
    "kata",
    "virtiofsd",
    "qemu",
    "cloud-hyper",
    "firecracker",
    "dragonball",
)


def needed_by(cid):
    """Pids of everything that the container needs, by one rule for every runtime.

    A process counts when its cgroup names the container; when it is one of PARTS and its command line names the
    container; when it descends from one that counts; and vhost kernel threads of a VMM that counts. Engine daemons and
    the probe never do.
    """
    table = processes()
    me = os.getpid()
    counted = set()
    for pid, (_, comm, line) in table.items():
        if pid != me and ((comm.startswith(PARTS) and cid in line) or cid in read("/proc/%s/cgroup" % pid)):
            counted.add(pid)
    grown = True
    while grown:
        grown = False
        for pid, (parent, _, _) in table.items():
            if pid not in counted and parent in counted and pid != me:
                counted.add(pid)
                grown = True
    for pid, (_, comm, _) in table.items():
        if comm.startswith("vhost-") and comm[6:].isdigit() and int(comm[6:]) in counted:
            counted.add(pid)
    return {pid: table[pid] for pid in counted}


def cpu_of_process(pid):
    """CPU-seconds of a process with its threads, dead ones and waited-for children included."""
    stat = read("/proc/%s/stat" % pid)
    if not stat:
        return 0.0
    words = stat[stat.rindex(")") + 2 :].split()
    return sum(int(w) for w in words[11:15]) / ticks()


def cgroup_cpu_s(pid, cid):
    """(path, CPU-seconds) of the outermost cgroup above ``pid`` that names the container, or (None, None).

    The outermost one, because a nested cgroup's usage is part of its parent's, which may have no process itself (v2).
    """
    groups = cgroups_of(pid)
    if "cpuacct" in groups:
        path = outermost(groups["cpuacct"], cid)
        for root in ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"):
            text = read(root + path + "/cpuacct.usage").strip() if path else ""
            if text:
                return path, int(text) / 1e9
    if "" in groups:
        path = outermost(groups[""], cid)
        for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            match = re.search(r"^usage_usec (\d+)", read(root + path + "/cpu.stat"), re.M) if path else None
            if match:
                return path, int(match.group(1)) / 1e6
    return None, None


def outermost(path, cid):
    """The path down to the first folder that names the container; empty when none does."""
    if cid not in path:
        return ""
    end = path.index(cid) + len(cid)
    return path[:end] + path[end:].split("/")[0]


def cgroup_memory_bytes(pid):
    groups = cgroups_of(pid)
    if "memory" in groups:
        text = read("/sys/fs/cgroup/memory" + groups["memory"] + "/memory.usage_in_bytes").strip()
    else:
        text = read("/sys/fs/cgroup" + groups.get("", "/-") + "/memory.current").strip()
    return int(text) if text else None


def cpu_seconds(cid):
    """CPU-seconds used so far by everything that the container needs: by cgroup where the container has one of its own,
    by process for what lives outside of it. One definition for every runtime."""
    counted = needed_by(cid)
    groups, outside = {}, {}
    for pid, (_, comm, _) in counted.items():
        path, used = cgroup_cpu_s(pid, cid)
        if path is not None:
            groups[path] = used
        else:
            outside[pid] = (comm, cpu_of_process(pid))
    return {
        "total_s": sum(groups.values()) + sum(s for _, s in outside.values()),
        "cgroup_s": sum(groups.values()),
        "outside": sorted([comm, round(s, 3)] for comm, s in outside.values()),
    }


def engine_cpu_seconds():
    """CPU-seconds so far of dockerd and containerd: a line of its own, never part of the container's."""
    return sum(cpu_of_process(pid) for pid, (_, comm, _) in processes().items() if comm in ("dockerd", "containerd"))


def pss_bytes(cid):
    """Proportional set size of everything that the container needs, in bytes; None where the kernel does not tell."""
    total, known = 0, False
    for pid in needed_by(cid):
        text = read("/proc/%s/smaps_rollup" % pid) or read("/proc/%s/smaps" % pid)
        for match in re.finditer(r"^Pss:\s+(\d+) kB", text, re.M):
            total += int(match.group(1)) * 1024
            known = True
    return total if known else None


# --------------------------------------------------------------------------- proof and leaks

# Only cat and what a shell has itself: it runs in every image. cgroup v2 and v1 print quota and period alike.
INSIDE = (
    "cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo none; cat /proc/version; echo cpus $(nproc 2>/dev/null); "
    'while read -r key value unit; do if [ "$key" = MemTotal: ]; then echo memory_kib $value; fi; done </proc/meminfo; '
    "(cd /sys/fs/cgroup 2>/dev/null; "
    "echo cpu_limit $(cat cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null); "
    "echo memory_limit $(cat memory.max memory/memory.limit_in_bytes 2>/dev/null)); "
    "echo rtlab-inside-end"
)
INSIDE_END = "rtlab-inside-end"
# cgroup v1 prints a huge number where there is no limit.
NO_LIMIT = 1 << 60


def split_inside(text):
    """What INSIDE printed, and the rest of the output of the workload that began with it.

    ``inside_boot_id``, ``inside_version``; ``inside_cpus``, ``inside_memory_bytes``: what the kernel inside shows;
    ``inside_cpu_limit`` (CPUs), ``inside_memory_limit_bytes``: of its cgroup. None where it does not tell.
    """
    head, marker, rest = text.partition(INSIDE_END + "\n")
    found = dict.fromkeys(
        (
            "inside_boot_id",
            "inside_version",
            "inside_cpus",
            "inside_memory_bytes",
            "inside_cpu_limit",
            "inside_memory_limit_bytes",
        )
    )  # type: Dict[str, Any]
    if not marker:
        return found, text
    lines = head.split("\n")
    found["inside_boot_id"] = lines[0].strip()
    found["inside_version"] = anonymous(lines[1].strip()) if len(lines) > 1 and lines[1] else None
    told = {words[0]: words[1:] for words in (line.split() for line in lines[2:]) if words}

    def number(key, at=0):
        words = told.get(key) or []
        return int(words[at]) if len(words) > at and re.match(r"\d{1,20}$", words[at]) else None

    found["inside_cpus"] = number("cpus")
    kib = number("memory_kib")
    found["inside_memory_bytes"] = None if kib is None else kib * 1024
    quota, period = number("cpu_limit"), number("cpu_limit", 1)
    found["inside_cpu_limit"] = quota / float(period) if quota and period else None
    limit = number("memory_limit")
    found["inside_memory_limit_bytes"] = limit if limit is not None and limit < NO_LIMIT else None
    return found, rest


def evidence(cid, inside, entry, wrappers):
    """What can be seen of the container's runtime from outside, with what was read inside.

    ``entry`` and ``wrappers`` are what the engine's own entry for the runtime comes to (``entry_of``). Names and comms
    are told for people; what decides are digests of the files that run, boot ids, state files, and who holds KVM.
    """
    table = needed_by(cid)
    found = {
        "machine_boot_id": boot_id(),
        "machine_kernel": platform.release(),
        "processes": sorted({comm for _, comm, _ in table.values()}),
        "entry": entry,
        "shim": None,
        "shim_sha256": None,
        "binary": None,
        "binary_sha256": None,
        "binary_is_script": False,
        "running": [],
        "kvm_held_by": [],
        "runtime_root": None,
        "state_files": [],
    }
    found.update(inside)
    running = set()
    for number, (_, comm, _) in table.items():
        digest = digest_of_process(number)
        if comm.startswith("containerd-shim"):
            found.update(seen_of_shim(number, cid, wrappers), shim_sha256=digest)
        elif digest:
            running.add((comm, digest))
        if holds_kvm(number):
            found["kvm_held_by"].append([comm, digest])
    # More than enough to find a runtime's own processes; a workload may have thousands.
    found["running"] = [list(pair) for pair in sorted(running)[:64]]
    found["kvm_held_by"].sort(key=str)
    return found


def seen_of_shim(pid, cid, wrappers):
    """What the shim's bundle says: the program that it was told to run, and that program's files for the container."""
    found = {"shim": os.path.basename(os.path.realpath("/proc/%d/exe" % pid))}  # type: Dict[str, Any]
    bundle = os.path.realpath("/proc/%d/cwd" % pid)
    try:
        options = json.loads(read(os.path.join(bundle, "options.json")) or "{}")
    except ValueError:
        options = {}
    named = options.get("binary_name") or options.get("BinaryName") or ""
    root = options.get("root") or options.get("Root") or ""
    path = which(named, environment_of(pid).get("PATH")) if named else None
    if path:
        path = wrapped_by_engine(path, wrappers)
        found.update(binary=path, binary_sha256=digest_of(path), binary_is_script=is_script(path))
    found["runtime_root"] = root or None
    for folder in (os.path.join(root, "moby", cid), os.path.join(root, cid)):
        if root and os.path.isdir(folder):
            found["state_files"] = sorted(os.listdir(folder))
            found["state_is_runcs"] = '"init_process_pid"' in read(os.path.join(folder, "state.json"))
    return found


def wrapped_by_engine(path, folder):
    """The program behind dockerd's own wrapper for a runtime with arguments, else the path itself.

    dockerd writes ``#!/bin/sh`` and ``PROGRAM ARGUMENTS $@`` into ``<data-root>/runtimes``, under the runtime's name
    before Docker 23 and ``NAME.<HASH>`` since (moby, daemon/runtime_unix.go). Only there is a script followed: what
    any other one would run is not known.
    """
    if not folder or not os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep):
        return path
    lines = read(path).split("\n")
    words = lines[1].split() if len(lines) == 3 and lines[0] == "#!/bin/sh" and not lines[2] else []
    if len(words) < 2 or words[-1] not in ("$@", '"$@"'):
        return path
    return words[0] if os.path.isabs(words[0]) else which(words[0], None) or path


def is_script(path):
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def which(name, path):
    """The program of that name in ``path`` (a PATH; None: the usual folders)."""
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return shutil.which(name, path=path or usual)


def environment_of(pid):
    """A process's environment at its start; empty where it cannot be read."""
    pairs = (pair.partition("=") for pair in read("/proc/%d/environ" % pid).split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def holds_kvm(pid):
    """Whether a process has a virtual machine open. Dragonball and OpenVMM live in the shim itself: ask every one."""
    for link in glob.glob("/proc/%d/fd/*" % pid):
        try:
            if os.readlink(link) in ("/dev/kvm", "anon_inode:kvm-vm", "anon_inode:[kvm-vm]"):
                return True
        except OSError:
            continue
    return False


def entry_of(engine, docker_name):
    """What the engine's entry of that name comes to on this machine, and the folder of the engine's own scripts.

    ``path``: the program; for a shim v2 runtime the shim. ``sha256``: its digest. ``runtime_sha256``: for a shim that
    calls a program of its own (gVisor's calls runsc, found as the shim finds it), that program's. ``parts``: digests
    of the programs beside it that belong to it: gVisor's releases since 2026-07 boot the sandbox with
    ``gvisor-bin/gvisor_sentry``, if it is there, instead of
    runsc (runsc/gvisorbinaries of that release).
    """
    info = engine.must("GET", "/info")
    daemon = daemon_of(engine.path)
    registered = daemon_settings(daemon).get("runtimes") or {}
    told = {key: value for key, value in ((info.get("Runtimes") or {}).get(docker_name) or {}).items() if value}
    entry = dict(registered.get(docker_name) or {}, **told)
    path = program_of(entry, docker_name, daemon)
    root = info.get("DockerRootDir") or ""
    found = {
        "path": path,
        "sha256": digest_of(path) if path else None,
        "arguments": entry.get("runtimeArgs") or [],
        "parts": {},
    }  # type: Dict[str, Any]
    called = path
    if path and os.path.basename(path).startswith("containerd-shim-runsc"):
        beside = os.path.join(os.path.dirname(path), "runsc")
        called = which("runsc", environment_of(daemon).get("PATH") if daemon else None) or beside
        found["runtime_sha256"] = digest_of(called)
    if called:
        parts = glob.glob(os.path.join(os.path.dirname(os.path.realpath(called)), "gvisor-bin", "*"))
        found["parts"] = {os.path.basename(part): digest_of(part) for part in parts if os.path.isfile(part)}
    return found, os.path.join(root, "runtimes") if root else ""


def program_of(entry, name, daemon):
    """Path of the program that an engine's entry names, found as the daemon finds it; None when there is none."""
    wanted = entry.get("path") or shim_of(entry.get("runtimeType") or "") or name
    if wanted.startswith("/"):
        return wanted if os.path.isfile(wanted) else None
    return which(wanted, environment_of(daemon).get("PATH") if daemon else None)


_digests = {}  # type: Dict[Any, Optional[str]]


def digest_of(path):
    """SHA-256 of a file, None when it cannot be read; each file is read once."""
    try:
        known = os.stat(path)
        key = (known.st_dev, known.st_ino, known.st_size, known.st_mtime)
        if key not in _digests:
            sha = hashlib.sha256()
            with open(path, "rb") as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    sha.update(piece)
            _digests[key] = sha.hexdigest()
        return _digests[key]
    except OSError:
        return None


def digest_of_process(pid):
    """SHA-256 of the program that a process really runs, also when its file was replaced or removed meanwhile."""
    return digest_of("/proc/%d/exe" % pid)


def installed_programs(entry):
    """Digests of the program that an engine's entry comes to and of its parts; empty when there is none."""
    program = entry.get("runtime_sha256") or entry.get("sha256")
    parts = [digest for _, digest in sorted((entry.get("parts") or {}).items()) if digest]
    return [program] + parts if program else []


def identity_of(entry):
    """One digest for a runtime's build: the program's own, or one over all of its programs; None when there is none."""
    programs = installed_programs(entry)
    if len(programs) < 2:
        return programs[0] if programs else None
    return hashlib.sha256("\n".join(programs).encode()).hexdigest()


def objections(proof, seen):
    """Why this evidence does not prove the runtime; empty when it does. Pure, so that tests can deceive it.

    ``seen["wanted_sha256"]``: identity of the build that `rtlab up` proved on this machine; None the first time.
    """
    if proof not in PROOFS:
        return ["there is no proof called %r" % proof]
    problems = []
    if not seen.get("inside_version"):
        problems.append("the container did not tell its kernel")
    entry = seen.get("entry") or {}
    installed = installed_programs(entry)
    if not installed:
        problems.append("the engine's entry names no program that is there: %s" % (entry.get("path") or "none"))
    wanted, there = seen.get("wanted_sha256"), identity_of(entry)
    if wanted and there and there != wanted:
        problems.append("another build was put in place since `rtlab up`: %s, not %s" % (there[:12], wanted[:12]))
    return problems + PROOFS[proof](seen, installed)


def same_kernel(seen):
    """The boot id read inside is the machine's. Two unknowns are not the same kernel."""
    return bool(seen.get("machine_boot_id")) and seen.get("inside_boot_id") == seen.get("machine_boot_id")


def ran_by_binary(seen, installed):
    """Objections unless the shim's bundle names the installed program: for runtimes that end before their container."""
    ran = seen.get("binary_sha256")
    if seen.get("binary_is_script"):
        return ["the shim's bundle names a script (%s): what that runs is not known" % seen.get("binary")]
    if ran is None or ran not in installed:
        return [
            "the shim's bundle names another program than the installed one: %s (%s), not %s"
            % (seen.get("binary") or "none", (ran or "no digest")[:12], shortened(installed))
        ]
    return []


def shortened(digests):
    return ", ".join(digest[:12] for digest in digests) or "unknown"


def proof_of_native(state):
    """Proof of a runtime that leaves nothing running and uses the machine's kernel; ``state(seen)`` tells by the files
    that only this runtime writes for a container: an objection, or nothing."""

    def judge(seen, installed):
        problems = []
        if not same_kernel(seen):
            problems.append("the boot id inside is not the machine's: another kernel runs in it")
        if seen.get("kvm_held_by"):
            problems.append("a process of this container holds a virtual machine")
        if any(digest in installed for _, digest in seen.get("running") or []):
            problems.append("the installed program still runs: it is none that ends before its container")
        said = state(seen.get("state_files") or [], seen)
        return problems + ran_by_binary(seen, installed) + ([said] if said else [])

    return judge


def runcs_state(files, seen):
    return (
        ""
        if seen.get("state_is_runcs") and "status" not in files
        else "runc's state file for this container is missing"
    )


def cruns_state(files, seen):
    return "" if "status" in files else "crun's status file for this container is missing"


def youkis_state(files, seen):
    return "" if "youki_config.json" in files else "youki's own file for this container is missing"


def proof_of_gvisor(seen, installed):
    """The sandbox is a process of the installed runsc, whatever the engine calls it and its kernel calls itself: both
    changed with releases (Docker 23 names ``runsc.<HASH>``, gVisor's kernel is 4.19 since release-20260427.0)."""
    problems = []
    if same_kernel(seen):
        problems.append("the boot id inside is the machine's: no kernel of gVisor's runs in it")
    ran = sorted({digest for _, digest in seen.get("running") or [] if digest})
    if not any(digest in installed for digest in ran):
        problems.append(
            "no process of this container runs the installed runsc (%s): they run %s"
            % (shortened(installed), shortened(ran) if ran else "nothing that could be read")
        )
    if any(digest not in installed for _, digest in seen.get("kvm_held_by") or []):
        problems.append("a virtual machine of another program belongs to this container")
    return problems


def proof_of_kata(seen, installed):
    """A kernel with a boot id of its own, in a virtual machine of this container's, started by the installed program:
    the shim itself, or (1.x) what the shim's bundle names."""
    problems = []
    if seen.get("inside_boot_id") in (None, "", "none") or same_kernel(seen):
        problems.append("the container has no kernel of its own: its boot id is the machine's")
    if not seen.get("kvm_held_by"):
        problems.append("no process of this container holds /dev/kvm")
    if any(digest in installed for _, digest in seen.get("running") or []):
        problems.append("the installed program is the sandbox itself: that is no Kata")
    if seen.get("shim_sha256") not in installed:
        problems += ran_by_binary(seen, installed)
    return problems


PROOFS = {
    "runc": proof_of_native(runcs_state),
    "crun": proof_of_native(cruns_state),
    "youki": proof_of_native(youkis_state),
    "gvisor": proof_of_gvisor,
    "kata": proof_of_kata,
}


def other_limits(limits, seen):
    """Limits of the container's cgroup that are visible inside and are not the wanted ones. Pure."""
    problems = []
    cpus, memory = seen.get("inside_cpu_limit"), seen.get("inside_memory_limit_bytes")
    if "NanoCpus" in limits and cpus is not None and abs(cpus - limits["NanoCpus"] / 1e9) > 0.01:
        problems.append("inside, the container is limited to %g CPUs, not %g" % (cpus, limits["NanoCpus"] / 1e9))
    if "Memory" in limits and memory is not None and memory != limits["Memory"]:
        problems.append("inside, the container is limited to %d bytes, not %d" % (memory, limits["Memory"]))
    return problems


def look_inside(engine, cid):
    """What INSIDE tells of a running container, by exec."""
    made = engine.must(
        "POST",
        "/containers/%s/exec" % cid,
        {"AttachStdout": True, "AttachStderr": True, "Cmd": ["sh", "-c", INSIDE]},
    )
    status, content = engine.call("POST", "/exec/%s/start" % made["Id"], {"Detach": False, "Tty": False}, raw=True)
    if status != 200:
        raise TrialFailed("exec in the container failed: %s" % content[:200].decode("utf-8", "replace"))
    text, at = bytearray(), 0
    while at + 8 <= len(content):
        size = struct.unpack(">I", content[at + 4 : at + 8])[0]
        if content[at] == 1:
            text.extend(content[at + 8 : at + 8 + size])
        at += 8 + size
    return split_inside(bytes(text).decode("utf-8", "replace"))[0]


def leaks_of(cid, patience_s=PATIENCE_S, network=""):
    """What is left of a removed container: processes and mounts that name it, and its network namespace
    (the file ``network``), after a short patience.

    Mounts as this process and the engine's daemons see them, which may have a mount namespace of their own.
    """
    deadline = time.monotonic() + patience_s
    while True:
        left = ["process %s" % comm for _, (_, comm, _) in sorted(needed_by(cid).items())]
        viewers = ["self"] + [str(p) for p, (_, comm, _) in processes().items() if comm in ("dockerd", "containerd")]
        mounts = {
            line.split()[4] for v in viewers for line in read("/proc/%s/mountinfo" % v).splitlines() if cid in line
        }
        left += ["mount %s" % path.replace(cid, "<id>") for path in sorted(mounts)]
        if network and any(os.path.ismount("/proc/%s/root%s" % (v, network)) for v in viewers):
            left.append("network namespace")
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


# --------------------------------------------------------------------------- the trial's containers


class Trial(object):
    """One request being carried out: remembers its containers, and removes them whatever happens."""

    def __init__(self, request):
        self.request = request
        self.parameters = request.get("parameters") or {}
        self.engine = Engine(request["engine_socket"], time.monotonic() + float(request["timeout_s"]))
        self.containers = []
        self.removed = []
        self.networks = {}  # container -> file of its network namespace, of those that were looked at
        self.proof = None
        self.tool = None
        self.timeline = []

    def mark(self, name):
        self.timeline.append([name, monotonic_ns()])

    def image(self, role):
        try:
            return self.request["images"][role]
        except KeyError:
            raise TrialFailed("no image is known for %r" % role)

    def create(self, role, command=None, **more):
        cid = self.engine.create(self.request, self.image(role), command, self.limits(), **more)
        self.containers.append(cid)
        return cid

    def limits(self):
        """The same limits for every arm."""
        found = {}
        if self.parameters.get("limit_cpus"):
            found["NanoCpus"] = int(float(self.parameters["limit_cpus"]) * 1e9)
        if self.parameters.get("limit_memory_mb"):
            found["Memory"] = int(self.parameters["limit_memory_mb"]) * 1024 * 1024
        return found

    def started(self, role, command=None):
        cid = self.create(role, command)
        self.engine.start(cid)
        return cid

    def prove(self, cid, inside=None):
        """Prove the runtime by this container; Invalid when the proof fails."""
        if inside is None:
            inside = look_inside(self.engine, cid)
        known = self.engine.inspect(cid)
        self.networks[cid] = (known.get("NetworkSettings") or {}).get("SandboxKey") or ""
        runtime = self.request["runtime"]
        seen = evidence(cid, inside, *entry_of(self.engine, runtime["docker_name"]))
        seen["wanted_sha256"] = runtime.get("sha256")
        seen["installed_sha256"] = identity_of(seen["entry"])
        problems = objections(runtime["proof"], seen) + other_limits(self.limits(), seen)
        self.proof = {"ok": not problems, "objections": problems, "evidence": seen}
        if problems:
            raise Invalid("the proof failed: " + "; ".join(self.proof["objections"]))

    def remove(self, cid):
        self.engine.remove(cid)
        self.containers.remove(cid)
        self.removed.append(cid)

    def find_unnamed(self):
        """A create that was cut off never told its id: find such containers by this trial's labels."""
        labels = self.request.get("labels") or {}
        if "rtlab.testbed" not in labels or "rtlab.trial" not in labels:
            return
        wanted = {name: labels[name] for name in ("rtlab.testbed", "rtlab.trial")}
        self.containers += [cid for cid in labelled(self.engine, wanted) if cid not in self.containers]

    def finish(self, patient=False):
        """Remove what is still there, by force if need be; returns what could not be removed or is left over.

        ``patient``: a call may still be under way in the engine and make its container after we have looked.
        """
        problems = []
        # Cleaning up has time of its own: the trial's may be used up.
        self.engine.deadline = time.monotonic() + CLEANING_S
        until = None
        while True:
            try:
                self.find_unnamed()
            except TrialFailed as error:
                problems.append("containers of this trial: %s" % error)
                break
            finally:
                problems += self.remove_all()
            if until is None:
                until = time.monotonic() + PATIENCE_S
            if not patient or time.monotonic() > until:
                break
            time.sleep(0.5)
        # One patience for all of them: twenty containers that leak must not outlast rtlab's wait for the answer.
        until = time.monotonic() + PATIENCE_S
        for cid in self.removed:
            problems += leaks_of(cid, until - time.monotonic(), self.networks.get(cid, ""))
        return problems

    def remove_all(self):
        """Remove every container that is known; returns what failed."""
        problems = []
        for cid in list(self.containers):
            try:
                self.remove(cid)
            except TrialFailed as error:
                problems.append("container: %s" % error)
                self.containers.remove(cid)
                self.removed.append(cid)
                kill_all_of(cid)
        return problems


def labelled(engine, labels):
    """Ids of all containers, running or not, with these labels."""
    filters = json.dumps({"label": ["%s=%s" % item for item in sorted(labels.items())]})
    return [found["Id"] for found in engine.must("GET", "/containers/json?all=1&filters=" + _quoted(filters))]


def kill_all_of(cid):
    for pid in needed_by(cid):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def address_of(engine, cid):
    """(container's IP, the bridge's gateway address)."""
    settings = engine.inspect(cid)["NetworkSettings"]
    networks = list((settings.get("Networks") or {}).values()) or [settings]
    address, gateway = networks[0].get("IPAddress"), networks[0].get("Gateway")
    if not address:
        raise TrialFailed("the container has no address")
    return address, gateway


def page_is_there(address, port, wanted_sha256, timeout):
    """One attempt at GET /, of at most ``timeout`` seconds: True only for status 200 with the right body."""
    until = time.monotonic() + timeout
    try:
        sock = socket.create_connection((address, port), timeout=CONNECT_S)
    except (OSError, socket.timeout):
        return False
    try:
        sock.sendall(b"GET / HTTP/1.0\r\nHost: rtlab\r\n\r\n")
        content = bytearray()
        while len(content) < PAGE_BYTES_MAX:
            sock.settimeout(max(0.001, until - time.monotonic()))
            piece = sock.recv(65536)
            if time.monotonic() > until:
                return False
            if not piece:
                break
            content.extend(piece)
    except (OSError, socket.timeout):
        return False
    finally:
        sock.close()
    head, _, body = bytes(content).partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split()
    return len(words) > 1 and words[1] == b"200" and hashlib.sha256(body).hexdigest() == wanted_sha256


def wait_for_page(trial, address, port, wanted):
    """Poll until the page is served; raises TrialTimedOut."""
    while not page_is_there(address, port, wanted, trial.engine.left(5.0)):
        time.sleep(POLL_S)


class QuickNeighbours(object):
    """The kernel asks for an unknown neighbour once a second, which would round start times up to whole seconds for a
    runtime whose interface appears late. For the trial it asks every 10 ms; afterwards as before."""

    def __init__(self, interfaces):
        self.interfaces = interfaces

    def __enter__(self):
        self.before = {}
        for path in glob.glob("/proc/sys/net/ipv4/neigh/%s/retrans_time_ms" % self.interfaces):
            value = read(path).strip()
            try:
                with open(path, "w") as file:
                    file.write("10")
                self.before[path] = value
            except OSError:
                continue
        return self

    @staticmethod
    def mend():
        """After a probe that was killed in between: the kernel's usual second where our 10 ms still stand."""
        for path in glob.glob("/proc/sys/net/ipv4/neigh/*/retrans_time_ms"):
            if read(path).strip() == "10":
                try:
                    with open(path, "w") as file:
                        file.write("1000")
                except OSError:
                    continue

    def __exit__(self, *_):
        for path, value in self.before.items():
            try:
                with open(path, "w") as file:
                    file.write(value)
            except OSError:
                continue


# --------------------------------------------------------------------------- experiments


def run_boot(trial):
    """Starts: through the socket with every phase, through the command line, and a null driver without a container."""
    wanted = trial.parameters["page_sha256"]
    port = int(trial.parameters["page_port"])
    result = {"socket": [], "cli": [], "null": []}  # type: Dict[str, List[Dict[str, int]]]
    interfaces = "*" if trial.request.get("netns") else "docker0"
    with QuickNeighbours(interfaces):
        for number in range(int(trial.parameters["starts"])):
            result["socket"].append(_start_by_socket(trial, wanted, port, first=number == 0))
        for _ in range(int(trial.parameters["cli_starts"])):
            result["cli"].append(_start_by_cli(trial, wanted, port))
    for _ in range(int(trial.parameters["null_starts"])):
        result["null"].append(_start_nothing(trial))
    return result


def _start_by_socket(trial, wanted, port, first):
    engine = trial.engine
    gc.disable()
    try:
        t_request = monotonic_ns()
        cid = trial.create("httpd")
        t_created = monotonic_ns()
        engine.start(cid)
        t_started = monotonic_ns()
        address, _ = address_of(engine, cid)
        t_inspected = monotonic_ns()
        wait_for_page(trial, address, port, wanted)
        t_page = monotonic_ns()
    finally:
        gc.enable()
    if first:
        trial.prove(cid)
    gc.disable()
    try:
        t_stop = monotonic_ns()
        engine.stop(cid)
        t_stopped = monotonic_ns()
        trial.remove(cid)
        t_removed = monotonic_ns()
    finally:
        gc.enable()
    return {
        "created_ns": t_created - t_request,
        "started_ns": t_started - t_request,
        "inspect_ns": t_inspected - t_started,
        "first_page_ns": t_page - t_request,
        "stop_ns": t_stopped - t_stop,
        "remove_ns": t_removed - t_stopped,
    }


def _start_by_cli(trial, wanted, port):
    request = trial.request
    labels = [w for k, v in sorted((request.get("labels") or {}).items()) for w in ("--label", "%s=%s" % (k, v))]
    argv = [request["docker_cli"], "--host", "unix://" + request["engine_socket"], "run", "--detach"]
    limits = trial.limits()
    if "NanoCpus" in limits:
        argv += ["--cpus", str(limits["NanoCpus"] / 1e9)]
    if "Memory" in limits:
        argv += ["--memory", str(limits["Memory"])]
    argv += ["--runtime", request["runtime"]["docker_name"]] + labels + [trial.image("httpd")]
    gc.disable()
    try:
        t_request = monotonic_ns()
        done = _command(argv, trial.engine.left())
        t_returned = monotonic_ns()
        cid = done["stdout"].strip()
        if done["exit_status"] != 0 or not re.match(r"^[0-9a-f]{64}$", cid):
            raise TrialFailed("docker run failed: %s" % (done["stderr"].strip()[-300:] or done["stdout"][-300:]))
        trial.containers.append(cid)
        address, _ = address_of(trial.engine, cid)
        wait_for_page(trial, address, port, wanted)
        t_page = monotonic_ns()
    finally:
        gc.enable()
    if trial.proof is None:
        trial.prove(cid)
    trial.engine.stop(cid)
    trial.remove(cid)
    return {"returned_ns": t_returned - t_request, "first_page_ns": t_page - t_request}


def _start_nothing(trial):
    """As many calls to the engine as a start takes, without a container: what the harness itself costs."""
    gc.disable()
    try:
        began = monotonic_ns()
        for _ in range(3):
            trial.engine.call("GET", "/_ping", raw=True)
        return {"calls_ns": monotonic_ns() - began}
    finally:
        gc.enable()


def _command(argv, timeout):
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise TrialTimedOut("%s did not end in time" % os.path.basename(argv[0]))
    except BaseException:
        # Told to stop: a command left running would create its container after the clean-up.
        process.kill()
        process.communicate()
        raise
    return {
        "exit_status": process.returncode,
        "stdout": out.decode("utf-8", "surrogateescape"),
        "stderr": err.decode("utf-8", "surrogateescape"),
    }


def run_io(trial):
    """Bonnie++ in the container on its root file system; its own output is the result."""
    command = list(trial.parameters["command"])
    before = diskstats()
    cid = trial.create("tools", ["sh", "-c", INSIDE + '; "$@"; echo "rtlab-done $?"; exec sleep 86400', "sh"] + command)
    trial.engine.start(cid)
    began = monotonic_ns()
    stdout, stderr, status = follow_until(trial.engine, cid, "rtlab-done")
    elapsed = monotonic_ns() - began
    after = diskstats()
    inside, stdout = split_inside(stdout)
    status = int(status)
    trial.tool = {"argv": command, "exit_status": status, "stdout": stdout, "stderr": stderr}
    trial.prove(cid, inside)
    trial.remove(cid)
    if status != 0:
        raise Invalid("%s ended with status %s: %s" % (command[0], status, stderr.strip()[-300:]))
    return {
        "elapsed_ns": elapsed,
        "machine_read_bytes": after["read_bytes"] - before["read_bytes"],
        "machine_written_bytes": after["written_bytes"] - before["written_bytes"],
        "memory_total_bytes": meminfo().get("MemTotal"),
    }


def counters():
    """The counters of tables III to V, now. psutil gives them; /proc/meminfo stands beside because psutil's `used`
    changed its meaning in 7.1."""
    try:
        import psutil
    except ImportError as error:
        raise TrialFailed("psutil is missing for %s: %s" % (sys.executable, error))
    memory = psutil.virtual_memory()
    raw = meminfo()
    total = psutil.net_io_counters(nowrap=False)
    per_nic = psutil.net_io_counters(pernic=True, nowrap=False)
    fields = ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv", "errin", "errout", "dropin", "dropout")

    def network(one):
        return {name: getattr(one, name) for name in fields} if one is not None else None

    uplinks = {line.split()[0] for line in read("/proc/net/route").splitlines()[1:] if line.split()[1] == "00000000"}
    return {
        "at_uptime_s": float(read("/proc/uptime").split()[0]),
        "psutil": psutil.__version__,
        "cpu_times_s": dict(psutil.cpu_times()._asdict()),
        "memory_bytes": dict(memory._asdict()),
        # What psutil < 7.1 called used, to the byte, from the same fields (cached there includes SReclaimable).
        "memory_used_by_the_paper_bytes": raw["MemTotal"]
        - raw["MemFree"]
        - raw.get("Buffers", 0)
        - raw.get("Cached", 0)
        - raw.get("SReclaimable", 0),
        "meminfo_bytes": raw,
        "network": network(total),
        "uplinks": {name: network(per_nic[name]) for name in sorted(uplinks) if name in per_nic},
        "interfaces": len(per_nic),
    }


def observe(trial, action=None):
    """Start the httpd container and read the counters: over a window from its start, or once at a fixed uptime.

    ``action(gateway)`` runs inside the window (the network experiment's page).
    """
    counters()  # once unread: imports psutil, so that the first real reading does not pay for it
    before = counters()
    began = time.monotonic()
    cid = trial.started("httpd")
    address, gateway = address_of(trial.engine, cid)
    wait_for_page(trial, address, int(trial.parameters["page_port"]), trial.parameters["page_sha256"])
    acted = action(gateway) if action else None
    uptime = trial.parameters.get("uptime_s")
    if uptime:
        wait_s = max(0.0, float(uptime) - float(read("/proc/uptime").split()[0]))
    else:
        wait_s = max(0.0, float(trial.parameters["window_s"]) - (time.monotonic() - began))
    if wait_s > trial.engine.left():
        raise TrialTimedOut("the window of %.0f s does not fit into the trial's time limit" % wait_s)
    time.sleep(wait_s)
    after = counters()
    measured = {"before": before, "after": after, "window_s": time.monotonic() - began}
    trial.prove(cid)
    return cid, measured, acted


def run_cpu(trial):
    """Counters over the window, then CPU-seconds of each unit of work, counted over everything that it needs."""
    cid, measured, _ = observe(trial)
    trial.engine.stop(cid)
    trial.remove(cid)
    units = [(name, list(trial.parameters.get(name) or [])) for name in ("compute", "work")]
    units = [(name, command) for name, command in units if command]
    if units:
        measured.update(_units_of_work(trial, units))
    return measured


def _units_of_work(trial, units):
    """Each command in turn, in one container, which waits for a line on its stdin before each: so that the counters are
    read first, and nothing waits by the clock."""
    script = "; ".join(
        ["echo rtlab-begin"]
        + ['read -r go; %s; echo "rtlab-%s $?"' % (" ".join(map(quote, command)), name) for name, command in units]
        + ["exec sleep 86400"]
    )
    cid = trial.create("tools", ["sh", "-c", script], extra={"OpenStdin": True})
    stdin = attach_stdin(trial.engine, cid)
    found = {}
    said = "rtlab-begin\n"
    try:
        trial.engine.start(cid)
        follow_until(trial.engine, cid, "rtlab-begin")
        for name, command in units:
            begin, engine_begin, at_begin = cpu_seconds(cid), engine_cpu_seconds(), monotonic_ns()
            stdin.sendall(b"go\n")
            stdout, stderr, status = follow_until(trial.engine, cid, "rtlab-" + name)
            end, engine_end, at_end = cpu_seconds(cid), engine_cpu_seconds(), monotonic_ns()
            mine = stdout[len(said) :]
            said = stdout + "rtlab-%s %s\n" % (name, status)
            trial.tool = {"argv": command, "exit_status": int(status), "stdout": said, "stderr": stderr}
            if int(status) != 0:
                raise Invalid("the unit of work ended with status %s: %s" % (status, stderr.strip()[-300:]))
            found[name] = {
                "command": command,
                "stdout": mine[-4000:],
                "begin": begin,
                "end": end,
                "cpu_s": end["total_s"] - begin["total_s"],
                "startup_cpu_s": begin["total_s"],
                "engine_cpu_s": engine_end - engine_begin,
                "elapsed_ns": at_end - at_begin,
            }
        found[units[0][0]]["cpus_inside"] = _cpus_inside(trial, cid)
    except OSError as error:
        raise TrialFailed("the container's stdin was cut: %s" % error)
    finally:
        stdin.close()
    trial.remove(cid)
    return found


def attach_stdin(engine, cid):
    """A socket whose bytes are the container's stdin (the engine's hijacked connection)."""
    connection = BoundedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(engine.left(60))
        connection.connect(engine.path)
        connection.sendall(
            b"POST /containers/%s/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
            b"Upgrade: tcp\r\nContent-Length: 0\r\n\r\n" % cid.encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                break
            head += piece
        words = head.split(b"\r\n")[0].split()
        if len(words) < 2 or words[1] not in (b"101", b"200"):
            raise TrialFailed("the engine did not attach the container's stdin: %r" % head[:200])
    except socket.timeout:
        connection.close()
        raise TrialTimedOut("the engine did not attach the container's stdin in time")
    except (OSError, TrialFailed) as error:
        connection.close()
        raise TrialFailed("the engine did not attach the container's stdin: %s" % error)
    return connection


def _cpus_inside(trial, cid):
    made = trial.engine.must("POST", "/containers/%s/exec" % cid, {"AttachStdout": True, "Cmd": ["nproc"]})
    status, content = trial.engine.call("POST", "/exec/%s/start" % made["Id"], {"Detach": False}, raw=True)
    text = content[8:].decode("utf-8", "replace").strip() if status == 200 else ""
    return int(text) if text.isdigit() else None


def run_memory(trial):
    """Counters over the window, then N idle containers by three meters."""
    cid, measured, _ = observe(trial)
    trial.engine.stop(cid)
    trial.remove(cid)
    steps = sorted(int(n) for n in trial.parameters["containers"])
    measured["density"] = {"ksm": read("/sys/kernel/mm/ksm/run").strip(), "steps": []}
    if not steps:
        return measured
    settle = float(trial.parameters["settle_s"])
    time.sleep(settle)
    idle = meminfo()["MemAvailable"]
    running = []  # type: List[str]
    for target in steps:
        while len(running) < target:
            cid = trial.started("httpd")
            address, _ = address_of(trial.engine, cid)
            wait_for_page(trial, address, int(trial.parameters["page_port"]), trial.parameters["page_sha256"])
            running.append(cid)
        time.sleep(settle)
        available = meminfo()["MemAvailable"]
        pss = [pss_bytes(c) for c in running]
        groups = [cgroup_memory_bytes(trial.engine.inspect(c)["State"]["Pid"]) for c in running]
        measured["density"]["steps"].append(
            {
                "containers": target,
                "pss_bytes": None if None in pss else sum(pss),
                "cgroup_bytes": None if None in groups else sum(groups),
                "available_fall_bytes": idle - available,
            }
        )
    for cid in running:
        trial.remove(cid)
    return measured


class Mirror(threading.Thread):
    """The native peer: an HTTP server on the bridge's gateway address, so that no load leaves the machine.

    /page answers with the page of the paper's size, /small with one line, /big with ``big_bytes``; keep-alive. It notes
    on the machine's clock when each request for /small came in, and how long /big took from its first byte to the
    client's next move.
    """

    def __init__(self, address, page_bytes, big_bytes):
        threading.Thread.__init__(self)
        self.daemon = True
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.bodies = {b"/page": b"x" * page_bytes, b"/small": b"ok\n", b"/big": b"x" * big_bytes}
        self.small_ns = []
        self.big = None
        self.served = 0

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.serve(connection)
            except OSError:
                pass
            finally:
                connection.close()

    def serve(self, connection):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                piece = connection.recv(65536)
                if not piece:
                    return
                pending += piece
            head, _, pending = pending.partition(b"\r\n\r\n")
            now = monotonic_ns()
            path = head.split()[1]
            body = self.bodies.get(path)
            if body is None:
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            if path == b"/small":
                self.small_ns.append(now)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + (b"" if len(body) > 65536 else body)
            )
            if len(body) > 65536:
                connection.sendall(body)
            self.served += 1
            if path == b"/big":
                # The client's next move (end of the connection) tells that it has read everything.
                rest = connection.recv(65536)
                self.big = {"bytes": len(body), "elapsed_ns": monotonic_ns() - now}
                if not rest:
                    return
                pending += rest

    def close(self):
        self.listener.close()


def run_network(trial):
    """The page once, by curl from a container of the arm's runtime, in the window; then latency and transfer."""
    parameters = trial.parameters
    state = {}

    def fetch(gateway):
        mirror = state["mirror"] = Mirror(gateway, int(parameters["page_bytes"]), int(parameters["big_bytes"]))
        mirror.start()
        url = parameters["url"] or "http://%s:%d/page" % (gateway, mirror.port)
        return _curl(trial, [url], int(parameters["page_bytes"]) if not parameters["url"] else None)

    try:
        cid, measured, page = observe(trial, fetch)
        trial.engine.stop(cid)
        trial.remove(cid)
        measured["page"] = page
        mirror = state["mirror"]
        base = "http://%s:%d" % mirror.listener.getsockname()
        requests = int(parameters["requests"])
        if requests:
            _curl(trial, [base + "/small"] * requests, 3 * requests)
            times = mirror.small_ns
            if len(times) != requests:
                raise TrialFailed("the native peer saw %d of %d requests" % (len(times), requests))
            gaps = [b - a for a, b in zip(times, times[1:])]
            measured["latency"] = {"requests": requests, "gaps_ns": gaps, "median_ns": statistics.median(gaps)}
        if int(parameters["big_bytes"]):
            _curl(trial, [base + "/big"], int(parameters["big_bytes"]))
            if mirror.big is None:
                raise TrialFailed("the native peer did not see the end of the transfer")
            measured["transfer"] = mirror.big
    finally:
        if "mirror" in state:
            state["mirror"].close()
    return measured


def _curl(trial, urls, expected_bytes):
    """curl in a container of the arm's runtime; Invalid when it fails or brought another number of bytes."""
    form = "%{http_code} %{size_download}\\n"
    argv = ["curl", "--silent", "--show-error", "--max-time", "%d" % max(1, int(trial.engine.left(600)))]
    config = "".join('url = "%s"\noutput = "/dev/null"\n' % url for url in urls)
    # The URLs go in by a file: hundreds of them, and the same command line for every runtime.
    script = 'printf %s "$1" > /tmp/urls; shift; "$@" --config /tmp/urls; echo "rtlab-done $?"; exec sleep 86400'
    cid = trial.create("tools", ["sh", "-c", script, "sh", config] + argv + ["--write-out", form])
    trial.engine.start(cid)
    stdout, stderr, status = follow_until(trial.engine, cid, "rtlab-done")
    trial.remove(cid)
    status = int(status)
    trial.tool = {"argv": argv, "exit_status": status, "stdout": stdout[-4000:], "stderr": stderr}
    if status != 0:
        raise Invalid("curl ended with status %s: %s" % (status, stderr.strip()[-300:]))
    lines = [line.split() for line in stdout.split("\n") if line.strip()]
    brought = sum(int(words[1]) for words in lines if len(words) == 2)
    if any(words[0] != "200" for words in lines) or (expected_bytes is not None and brought != expected_bytes):
        raise Invalid("curl brought %d bytes instead of %s, or not status 200" % (brought, expected_bytes))
    return {"bytes": brought, "fetches": len(lines)}


def run_prove(trial):
    """One short container of the tools image, looked at from outside and inside."""
    cid = trial.create("tools", ["sh", "-c", INSIDE + "; echo rtlab-done; exec sleep 86400"])
    trial.engine.start(cid)
    stdout, _, _ = follow_until(trial.engine, cid, "rtlab-done")
    trial.prove(cid, split_inside(stdout)[0])
    trial.remove(cid)
    return {}


EXPERIMENTS = {
    "boot": run_boot,
    "io": run_io,
    "cpu": run_cpu,
    "memory": run_memory,
    "network": run_network,
    "prove": run_prove,
}


def run_trial(request, name=None):
    """Carry out one experiment and describe it, whatever happens."""
    surroundings = Surroundings()
    trial = Trial(request)
    outcome, reason, measured = "ok", "", {}
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        run = EXPERIMENTS.get(name or request.get("experiment"))
        if run is None:
            raise TrialFailed("the probe knows no experiment %r" % request.get("experiment"))
        trial.mark("begin")
        measured = run(trial)
        trial.mark("end")
    except Invalid as error:
        outcome, reason = "invalid", str(error)
    except TrialTimedOut as error:
        outcome, reason = "timed out", str(error)
    except TrialFailed as error:
        outcome, reason = "failed", str(error)
    except Exception as error:  # a defect of ours must not leave containers behind, nor lose its own reason
        outcome, reason = "failed", "the probe failed: %s: %s" % (type(error).__name__, error)
        traceback.print_exc()
    # A second request to stop must not end the clean-up, which has its own time limit.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leaks = trial.finish(patient=outcome in ("failed", "timed out"))
    if outcome == "ok" and (trial.proof is None or not trial.proof["ok"]):
        outcome, reason = "invalid", "the runtime was not proved in this trial"
    return {
        "outcome": outcome,
        "reason": reason,
        "boot_id": boot_id(),
        "measured": measured,
        "tool": trial.tool,
        "proof": trial.proof,
        "context": surroundings.describe(),
        "leaks": leaks,
        "timeline": trial.timeline,
    }


def _interrupted(*_):
    raise TrialFailed("the probe was told to stop")


# --------------------------------------------------------------------------- other verbs


def facts(request):
    """Hardware, kernel, versions and digests: nothing that names a person, a host or a mirror."""
    engine = Engine(request["engine_socket"], time.monotonic() + float(request["timeout_s"]))
    memory = meminfo()
    cpu = read("/proc/cpuinfo")

    def field(name):
        match = re.search(r"^%s\s*:\s*(.*)$" % name, cpu, re.M)
        return match.group(1).strip() if match else None

    version = engine.must("GET", "/version")
    info = engine.must("GET", "/info")
    flags = set((field("flags") or "").split())
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', read("/etc/os-release"), re.M))
    runtimes = {}
    daemon = daemon_of(request["engine_socket"])
    registered = daemon_settings(daemon).get("runtimes") or {}
    for name, entry in sorted((info.get("Runtimes") or {}).items()):
        if name.startswith("io.containerd."):
            continue  # the engine's own second names of runc: there after a start, gone after a reload (Docker 20.10)
        entry = dict(registered.get(name) or {}, **{key: value for key, value in entry.items() if value})
        path = program_of(entry, name, daemon) or entry.get("path") or entry.get("runtimeType") or name
        runtimes[name] = {
            "path": path,
            "sha256": digest_of(path) if os.path.isfile(path) else None,
            "arguments": entry.get("runtimeArgs") or [],
            "version": _first_line([path, "--version"]) if os.path.isfile(path) else None,
        }
        if "kata" in path:
            runtimes[name]["configuration"] = kata_configuration(entry, path)
        if "runsc" in os.path.basename(path):
            runtimes[name].update(gvisor_settings(path, entry.get("runtimeArgs") or []))
    images = {}
    for image in engine.must("GET", "/images/json"):
        for tag in image.get("RepoTags") or []:
            images[without_registry(tag)] = {
                "id": image["Id"],
                "digests": [without_registry(digest) for digest in image.get("RepoDigests") or []],
                "size_bytes": image["Size"],
            }
    try:
        import psutil

        psutil_version = psutil.__version__
    except ImportError:
        psutil_version = None
    root = info.get("DockerRootDir") or "/"
    folder = root if os.path.isdir(root) else "/"
    return {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "boot_id": boot_id(),
        "kernel": platform.release(),
        "kernel_command_line": kernel_command_line(read("/proc/cmdline")),
        "distribution": release.get("PRETTY_NAME"),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "psutil": psutil_version,
        "cpu": {
            "model": field("model name"),
            "vendor": field("vendor_id"),
            "count": os.cpu_count(),
            "virtualization": sorted(flags & {"vmx", "svm"}),
            "hypervisor_seen": "hypervisor" in flags,
            "microcode": field("microcode"),
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
            "mitigations": {
                os.path.basename(p): read(p).strip()
                for p in sorted(glob.glob("/sys/devices/system/cpu/vulnerabilities/*"))
            },
        },
        "memory_total_bytes": memory.get("MemTotal"),
        "swap_total_bytes": memory.get("SwapTotal"),
        "memory_available_bytes": memory.get("MemAvailable"),
        "ksm": read("/sys/kernel/mm/ksm/run").strip() or None,
        "transparent_hugepages": read("/sys/kernel/mm/transparent_hugepage/enabled").strip() or None,
        "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip(),
        "cgroups": "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1",
        "kvm": os.path.exists("/dev/kvm"),
        "modules": sorted(
            name
            for name in ("kvm_amd", "kvm_intel", "vhost_net", "vhost_vsock", "overlay")
            if os.path.isdir("/sys/module/" + name)
        ),
        "uptime_s": float(read("/proc/uptime").split()[0]),
        "load": list(os.getloadavg()),
        "disk_free_bytes": shutil.disk_usage(folder).free,
        "disk_total_bytes": shutil.disk_usage(folder).total,
        "docker": {
            "version": version.get("Version"),
            "api": version.get("ApiVersion"),
            "components": {c["Name"]: c["Version"] for c in version.get("Components") or []},
            "storage_driver": info.get("Driver"),
            "cgroup_driver": info.get("CgroupDriver"),
            "security": sorted(info.get("SecurityOptions") or []),
        },
        "runtimes": runtimes,
        "images": images,
    }


def daemon_of(socket_path):
    """Pid of the dockerd that listens there; None where that cannot be told (systemd holds the socket: pid 1)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(socket_path)
            pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    except OSError:
        return None
    if pid > 1:
        return pid
    daemons = [number for number, (_, comm, _) in processes().items() if comm == "dockerd"]
    return daemons[0] if len(daemons) == 1 else None


def daemon_settings(pid):
    """daemon.json of that dockerd, empty where it cannot be read. From Docker 26 on ``/info`` says nothing of what a
    shim v2 runtime is."""
    words = re.sub("(^|\0)(--config-file)=", "\\1\\2\0", read("/proc/%s/cmdline" % pid)).split("\0")
    named = [after for word, after in zip(words, words[1:]) if word == "--config-file"]
    try:
        found = json.loads(read(named[0] if named else "/etc/docker/daemon.json").lstrip("\ufeff"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def shim_of(runtime_type):
    """The program of a shim v2 runtime, named by its path or as containerd does it: ``io.containerd.kata.v2``."""
    if runtime_type.startswith("io.containerd."):
        return "containerd-shim-" + "-".join(runtime_type.split(".")[2:])
    return runtime_type


def kata_configuration(entry, path):
    """The settings in force for a runtime of Kata's, as ``section.key`` to the text of the value; None without a file.

    The file that Docker's entry names, else the first of Kata's own places; then the files of ``config.d`` beside it in
    the order of their names, of which the later one counts (Kata's src/runtime/README.md).
    """
    arguments = entry.get("runtimeArgs") or []
    options = entry.get("options") or {}
    named = [after for word, after in zip(arguments, arguments[1:]) if word in ("--kata-config", "--config")]
    release = path[: path.index("/bin/")] if "/bin/" in path else "/opt/kata"
    flavour = ""
    if os.path.basename(release) == "runtime-rs":
        release, flavour = os.path.dirname(release), "runtime-rs/"
    places = named + [options.get("ConfigPath") or ""]
    folders = ("/etc/kata-containers/", release + "/share/defaults/kata-containers/")
    places += [folder + flavour + "configuration.toml" for folder in folders]
    main = next((place for place in places if place and os.path.isfile(place)), None)
    if main is None:
        return None
    found = settings_of(read(main))
    folder = os.path.join(os.path.dirname(os.path.realpath(main)), "config.d")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        more = settings_of(read(os.path.join(folder, name)))
        lists = {re.match(r"(.*)\.0\.", key).group(1) for key in more if re.search(r"\.0\.", key)}
        # A list of tables is one value: the later file's replaces it whole.
        kept = {k: v for k, v in found.items() if not any(re.match(re.escape(x) + r"\.\d+\.", k) for x in lists)}
        found = dict(kept, **more)
    return found


def gvisor_settings(path, arguments):
    """On which platform and with whose network stack gVisor runs, where nobody said by its own defaults: they changed
    in mid-2023 (ptrace to systrap). None where it does not tell."""
    try:
        done = subprocess.run(
            [path, "flags"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20
        )
        told = done.stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        told = ""

    def setting(name):
        said = [word.partition("=")[2] for word in arguments if re.match(r"--?%s=" % name, word)]
        about = re.search(r"^  -%s \w+\n(.*)" % name, told, re.M)
        default = re.search(r"\(default \"?(\w+)\"?\)|(\w+) \(default\)", about.group(1)) if about else None
        return said[-1] if said else (default.group(1) or default.group(2)) if default else None

    parts = glob.glob(os.path.join(os.path.dirname(os.path.realpath(path)), "gvisor-bin", "*"))
    return {
        "platform": setting("platform"),
        "network": setting("network"),
        "parts": sorted(os.path.basename(part) for part in parts),
    }


TOML_KEY = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
TOML_KEYS = TOML_KEY + r"(?:[ \t]*\.[ \t]*" + TOML_KEY + ")*"
TOML_LINE = re.compile(r"[ \t]*(?:(\[\[?)[ \t]*(" + TOML_KEYS + r")[ \t]*\]|(" + TOML_KEYS + r")[ \t]*=[ \t]*)")


def settings_of(text):
    """TOML as ``section.key`` to the text of its value, on one line and without comments; a list of tables as
    ``section.0.key``. No more than what Kata ships or a person writes there; a line that is no TOML is passed over."""
    section, found, tables = "", {}, {}
    text = text.replace("\r\n", "\n").lstrip("\ufeff")
    at = 0
    while at < len(text):
        line = TOML_LINE.match(text, at)
        if line and line.group(1):
            section = toml_name(line.group(2)) + "."
            if line.group(1) == "[[":
                number = tables[section] = tables.get(section, -1) + 1
                section += "%d." % number
        elif line:
            value, at = toml_value(text, line.end())
            found[section + toml_name(line.group(3))] = value[:300]
        end = text.find("\n", at)
        at = len(text) if end < 0 else end + 1
    return found


def toml_name(text):
    return ".".join(part.strip("\"'") for part in re.findall(TOML_KEY, text))


TOML_PART = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|'
    r"'''.*?'''|'[^'\n]*'|"
    r"#[^\n]*|[^\S\n]+|\n|[^\s#\"'\[\]{}]+|.",
    re.S,
)


def toml_value(text, at):
    """The value that begins there, and where it ends."""
    parts, depth, lines = [], 0, 1
    while at < len(text):
        part = TOML_PART.match(text, at).group(0)
        if part == "\n" and depth <= 0:
            break
        at += len(part)
        if part.isspace():
            lines += part == "\n"
            part = " "
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        if part.startswith("#") or (part == " " and lines > 1 and parts and parts[-1] in (" ", "[")):
            continue
        if part == "]" and lines > 1 and parts[-1:] == [" "]:
            parts.pop()
        parts.append(part)
    return "".join(parts).strip(), at


def kernel_command_line(text):
    """What was asked of the kernel: not of init (after ``--``), and no words that name disks, hosts or addresses."""
    names = (
        r"(root|BOOT_IMAGE|resume|initrd|ip|nfsroot|netconsole|ds|hostname|.*[.-](hostname|uuid|ip|nameserver|url))="
    )
    words = (" " + text.strip() + " ").partition(" -- ")[0].split()
    return anonymous(" ".join(word for word in words if not re.match(names, word) and "UUID=" not in word))


def without_registry(reference):
    """An image's reference without the registry's host, which may be somebody's mirror."""
    first, slash, rest = reference.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else reference


def _first_line(argv):
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").split("\n")[0].strip()[:200] or None


BUSY = ("apt", "apt-get", "dpkg", "unattended-upgr", "snapd", "cloud-init", "fstrim", "updatedb", "mandb")
QUIET_PRESSURE = 20.0
QUIET_PROCESSES = 3


def ready(request):
    """One reading of the gate: what is missing, and whether a trial cannot run without it."""
    missing, blocking = [], False
    wanted = (request.get("runtime") or {}).get("docker_name")
    try:
        engine = Engine(request["engine_socket"], time.monotonic() + 20)
        runtimes = engine.must("GET", "/info").get("Runtimes") or {}
        if wanted and wanted not in runtimes:
            missing.append("the engine does not know the runtime %s" % wanted)
            blocking = True
    except TrialFailed as error:
        missing.append(str(error))
        blocking = True
    # The engine's own network namespace or another's: programs that disturb are looked for on the whole machine.
    busy = sorted({comm for _, comm, _ in processes().values() if comm in BUSY})
    if busy and not request.get("netns"):
        missing.append("%s is running" % ", ".join(busy))
    psi, _ = pressure()
    if psi is not None:
        high = [k for k, v in psi.items() if v["avg10"] > QUIET_PRESSURE]
        if high:
            missing.append("pressure on %s" % ", ".join(high))
    else:
        match = re.search(r"^procs_running (\d+)", read("/proc/stat"), re.M)
        running = int(match.group(1)) if match else 0
        if running > QUIET_PROCESSES + (os.cpu_count() or 1):
            missing.append("%d processes want a CPU" % running)
    return {"outcome": "ok", "boot_id": boot_id(), "missing": missing, "blocking": blocking}


def clean(request):
    """Remove containers that carry this testbed's label, and what still belongs to them."""
    engine = Engine(request["engine_socket"], time.monotonic() + float(request["timeout_s"]))
    listed = labelled(engine, {"rtlab.testbed": request["labels"]["rtlab.testbed"]})
    left = []
    for cid in listed:
        try:
            try:
                engine.remove(cid)
            except TrialFailed:
                kill_all_of(cid)
                engine.remove(cid)
        except TrialFailed as error:
            left.append("container: %s" % error)
        left += leaks_of(cid)
    QuickNeighbours.mend()
    return {"outcome": "ok", "removed": len(listed), "leaks": left}


def _quoted(text):
    return "".join(c if c.isalnum() else "%%%02X" % ord(c) for c in text)


VERBS = {
    "trial": run_trial,
    "prove": lambda request: run_trial(request, "prove"),
    "facts": lambda request: dict(facts(request), outcome="ok"),
    "ready": ready,
    "clean": clean,
}


def enter_network(path):
    """Enter a network namespace by its file: sockets made from now on are in there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns %s" % path)
    finally:
        os.close(descriptor)


def main():
    request = json.load(sys.stdin)
    if request.get("schema") != SCHEMA:
        raise SystemExit("the probe speaks schema %d, not %r" % (SCHEMA, request.get("schema")))
    if request.get("netns"):
        enter_network(request["netns"])
    verb = VERBS.get(request.get("verb"))
    if verb is None:
        raise SystemExit("the probe knows no verb %r" % request.get("verb"))
    try:
        answer = verb(request)
    except TrialFailed as error:
        answer = {"outcome": "failed", "reason": str(error)}
    answer["schema"] = SCHEMA
    answer["probe"] = VERSION
    json.dump(answer, sys.stdout, sort_keys=True, allow_nan=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
