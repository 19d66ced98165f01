"""What every private engine on this machine has: a network namespace, processes, mounts, cgroups, all found by the id.

A private engine runs with its own configuration, data, runtime state and **network namespace**, beside whatever
engine there is and without touching it. What belongs to a testbed is found again by its id alone, whatever any state
folder says; several engines of one testbed share the namespace, the folder below /run and the cgroup:

    /run/rtlab-<id>/            sockets, pid files, configuration, state (0700)
    /run/netns/rtlab-<id>       the network namespace: bridges and NAT are in there
    <cgroup root>/rtlab-<id>/   the containers' cgroups, in each hierarchy
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlab import atomic
from rtlab.connection.shell import run_checked
from rtlab.errors import CommandFailed, Unsafe
from rtlab.model import Resource

RUN = Path("/run")
NETNS_FOLDER = Path("/run/netns")
NAME = re.compile(r"rtlab-([0-9a-f]{8})")
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# A dockerd that is not up by then will not come up; it takes 1 to 3 s.
START_S = 60.0
STOP_S = 15.0
# In the order in which they are to end: each serves the one before.
DAEMONS = ("dockerd", "containerd")
# Programs that may be told apart by naming one of our paths in their command line, and ended for it.
PROGRAMS = (
    "dockerd",
    "containerd",
    "containerd-shim",
    "docker-proxy",
    "runc",
    "crun",
    "youki",
    "runsc",
    "kata-",
    "qemu-system",
)
_MNT_DETACH = 2


def find(program: str, first: Sequence[str] = ()) -> str:
    """A program's path, also where a user's PATH lacks the sbin folders; empty when it is not installed."""
    path = os.pathsep.join((*first, os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    return shutil.which(program, path=path) or ""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process, told apart from a later one with the same number by when it started.

    Attributes:
        started: Clock ticks since boot (/proc/<pid>/stat, field 22).
    """

    pid: int
    started: int
    argv: tuple[str, ...]

    @property
    def program(self) -> str:
        return os.path.basename(self.argv[0]) if self.argv else ""


class Private:
    """What belongs to one testbed on this machine. Creating the object touches nothing."""

    def __init__(self, testbed_id: str, run_root: Path = RUN) -> None:
        if not re.fullmatch("[0-9a-f]{8}", testbed_id):
            raise Unsafe(f"{testbed_id!r} is no id of a testbed: 8 hexadecimal digits are.")
        self.id = testbed_id
        self.name = f"rtlab-{testbed_id}"
        self.folder = run_root / self.name
        self.netns = NETNS_FOLDER / self.name

    def data(self) -> Path | None:
        """Folder of images and layers, when it is known, exists and carries this testbed's mark."""
        try:
            found = Path((self.folder / "data").read_text().strip())
        except (OSError, UnicodeError):
            return None
        return found if found.is_absolute() and is_data(found, self.id) else None

    def make_folder(self, data: Path) -> None:
        """Make the folder below /run, which says where the data lies."""
        atomic.make_folder(self.folder, 0o700)
        atomic.write_bytes(self.folder / "data", f"{data}\n".encode(), 0o600)

    def make_netns(self) -> None:
        """Make the network namespace, with its loopback up; nothing when it is there."""
        if not self.netns_works():
            with contextlib.suppress(OSError):
                self.remove_netns()
            atomic.make_folder(NETNS_FOLDER)
            atomic.write_bytes(self.netns, b"", 0o444)
            # Not `ip netns add`, which leaves a mount of /run/netns on itself behind.
            run_checked(
                (find("unshare"), f"--net={self.netns}", "true"), timeout_s=20, doing="make a network namespace"
            )
        run_checked(
            (*self.inside(), find("ip"), "link", "set", "lo", "up"), timeout_s=20, doing="bring up the loopback"
        )

    def netns_works(self) -> bool:
        """Whether the file stands for a namespace; after a reboot or a half-made one it is only a file."""
        return any(m == str(self.netns) for m in mounts_below(NETNS_FOLDER))

    def inside(self) -> tuple[str, ...]:
        """What to put before a command so that it runs in the namespace.

        Not ``ip netns exec``: that mounts a fresh /sys, and dockerd then misses its cgroups.
        """
        return (find("nsenter"), f"--net={self.netns}", "--")

    def daemon(self, argv: tuple[str, ...], log: Path, ready: Callable[[], bool], folders: Sequence[str]) -> None:
        """Start a daemon in a session of its own in the namespace: it outlives this process.

        Args:
            ready: Whether it answers.
            folders: Where it finds programs before the system's.

        Raises:
            CommandFailed: it did not come up; with the end of its log.
        """
        name = os.path.basename(argv[0])
        begin = log.stat().st_size if log.exists() else 0
        path = os.pathsep.join((*dict.fromkeys(folders), *SYSTEM_FOLDERS))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            # setsid --fork: nobody's child, so neither Ctrl-C nor the end of this process reaches it.
            started = subprocess.run(
                (find("setsid"), "--fork", *self.inside(), *argv),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                # Neither proxies nor anybody's DOCKER_* settings.
                env={"PATH": path, "LC_ALL": "C", "HOME": str(self.folder)},
                cwd="/",
                timeout=30,
                check=False,
            )
        finally:
            os.close(descriptor)
        deadline = time.monotonic() + START_S
        seen = False
        while started.returncode == 0 and time.monotonic() < deadline:
            if ready():
                return
            running = any(p.program == name for p in self.processes())
            if seen and not running:
                break
            seen = seen or running
            time.sleep(0.05)
        with log.open("rb") as file:
            file.seek(begin)
            tail = "\n".join(file.read().decode("utf-8", "replace").splitlines()[-12:])
        raise CommandFailed(
            f"{name} of the local provider did not come up. The end of {log}:\n{tail}",
            remedy="`rtlab doctor` says what this machine can do; "
            "`rtlab up --provider simulated` shows the tool without any machine.",
            argv=argv,
            output_tail=tail,
        )

    def processes(self) -> tuple[Process, ...]:
        """Everything that runs for this engine: daemons, shims, sandboxes, and what runs in its containers."""
        everything = all_processes()
        mark = f"{self.folder}/"
        inside = self._netns_inode()
        mine: set[int] = set()
        for pid, (process, _) in everything.items():
            if not process.program.startswith(PROGRAMS):
                continue
            ours = any(mark in argument for argument in process.argv)
            # docker-proxy names no path, but it runs in our namespace.
            if ours or (process.program == "docker-proxy" and inside is not None and _netns_of(pid) == inside):
                mine.add(pid)
        for folder in self.cgroups():
            with contextlib.suppress(OSError, ValueError):
                mine |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        # What a shim started (a VMM, say) need not name our paths; a shim's own parent is init.
        shims = {pid for pid in mine if pid in everything and everything[pid][0].program.startswith("containerd-shim")}
        grown = True
        while grown:
            children = {pid for pid, (_, parent) in everything.items() if parent in shims} - shims
            grown = bool(children)
            shims |= children
        return tuple(everything[pid][0] for pid in sorted(mine | shims) if pid in everything)

    def mounts(self) -> tuple[str, ...]:
        """Mount points below the engine's own folders, innermost first."""
        found: dict[str, None] = {}
        for folder in self.roots():
            found.update(dict.fromkeys(mounts_below(folder)))
        return tuple(reversed(found))

    def roots(self) -> tuple[Path, ...]:
        """The engine's own folders: below /run, and the one for data as its daemon.json says."""
        folders = [self.folder]
        data = self.data()
        if data is not None:
            folders.append(data)
        return tuple(folders)

    def cgroups(self) -> tuple[Path, ...]:
        """The engine's cgroups in every hierarchy, innermost first."""
        found: list[Path] = []
        for root in cgroup_roots():
            top = root / self.name
            if top.is_dir():
                found += [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
        return tuple(found)

    def _netns_inode(self) -> int | None:
        try:
            return self.netns.stat().st_ino if self.netns_works() else None
        except OSError:
            return None

    def resources(self) -> tuple[Resource, ...]:
        """Everything of this engine that exists now."""
        found = [
            Resource(kind="process", name=f"{p.program}[{p.pid}]", note=" ".join(p.argv)[:160])
            for p in self.processes()
        ]
        found += [Resource(kind="mount", name=mount) for mount in self.mounts()]
        # Those of the containers lie inside.
        found += [Resource(kind="cgroup", name=str(f)) for f in self.cgroups() if f.name == self.name]
        if self.netns.exists():
            found.append(Resource(kind="netns", name=str(self.netns)))
        found += [Resource(kind="folder", name=str(folder)) for folder in self.roots() if folder.exists()]
        return tuple(found)

    def end(self, processes: Iterable[Process], number: signal.Signals) -> None:
        waiting = [p for p in processes if end(p, number)]
        deadline = time.monotonic() + STOP_S
        while waiting and time.monotonic() < deadline:
            time.sleep(0.05)
            waiting = [p for p in waiting if alive(p)]

    def kill(self, processes: Sequence[Process]) -> None:
        """End processes at once, and remove the sockets that killed shims leave behind."""
        sockets = _shim_sockets(processes)
        self.end(processes, signal.SIGKILL)
        for path in sockets:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def stop(self) -> None:
        """End everything that runs for this testbed and undo its mounts; data stays. Nothing when nothing runs.

        Orderly first (the daemons), then by force whatever is left.
        """
        for program in DAEMONS:
            self.end([p for p in self.processes() if p.program == program], signal.SIGTERM)
        killed: set[Process] = set()
        # In rounds: containerd starts others to clean up. Whom SIGKILL did not end (state D), no second one ends.
        for _ in range(3):
            running = [p for p in self.processes() if p not in killed]
            if not running:
                break
            self.kill(running)
            killed.update(running)
        for mount in self.mounts():
            unmount(mount)
        for folder in self.cgroups():
            with contextlib.suppress(OSError):
                folder.rmdir()

    def remove_netns(self) -> None:
        """Remove the namespace's name; the namespace goes with the last process in it."""
        if self.netns.exists():
            unmount(str(self.netns))
            self.netns.unlink(missing_ok=True)

    def remove(self) -> tuple[Resource, ...]:
        """Stop and remove everything; returns what is left, with the reason."""
        data = self.data()
        self.stop()
        with contextlib.suppress(OSError):
            self.remove_netns()
        if data is not None:
            remove_data(data, self.id)
        if not mounts_below(self.folder) and not self.folder.is_symlink():
            shutil.rmtree(self.folder, ignore_errors=True)
        return tuple(
            Resource(kind=r.kind, name=r.name, note=r.note if r.kind == "process" else _why(r))
            for r in self.resources()
        )


def _why(resource: Resource) -> str:
    return {
        "mount": "still in use",
        "cgroup": "processes are still in it",
        "netns": "could not be unmounted",
        "folder": "could not be emptied",
    }.get(resource.kind, "")


def existing_ids(run_root: Path = RUN) -> tuple[str, ...]:
    """Ids of engines that left a trace on this machine: a folder, a namespace, a cgroup."""
    places = (run_root, NETNS_FOLDER, *cgroup_roots())
    found = set()
    for place in places:
        with contextlib.suppress(OSError):
            found |= {m[1] for entry in os.scandir(place) if (m := NAME.fullmatch(entry.name))}
    return tuple(sorted(found))


# --------------------------------------------------------------------------- data folder


def mark_data(folder: Path, testbed_id: str) -> None:
    """Make a folder the data folder of this testbed: only marked ones are ever removed."""
    atomic.make_folder(folder, 0o700)
    atomic.write_bytes(folder / "owner", f"rtlab-{testbed_id}\n".encode(), 0o600)


def is_data(folder: Path, testbed_id: str) -> bool:
    """Whether a folder carries this testbed's mark."""
    try:
        return not folder.is_symlink() and (folder / "owner").read_text() == f"rtlab-{testbed_id}\n"
    except OSError:
        return False


def remove_data(folder: Path, testbed_id: str) -> None:
    """Remove a marked data folder with everything mounted in it; nothing when it is not this testbed's."""
    if not is_data(folder, testbed_id):
        return
    for mount in reversed(mounts_below(folder)):
        unmount(mount)
    # Never descend into something still mounted: it could be anybody's.
    if not mounts_below(folder):
        shutil.rmtree(folder, ignore_errors=True)


# --------------------------------------------------------------------------- the kernel's view


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3.0)
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return True


def all_processes() -> dict[int, tuple[Process, int]]:
    """Pid -> the process and its parent's pid; kernel threads and zombies left out."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            read = _read_process(int(entry.name))
            if read is not None:
                found[int(entry.name)] = read
    return found


def _read_process(pid: int) -> tuple[Process, int] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # The name is in parentheses and may hold anything: the fields begin after the last one.
    fields = stat.rpartition(")")[2].split()
    if not argv or fields[0] in ("Z", "X"):
        return None
    words = tuple(word.decode("utf-8", "replace") for word in argv.rstrip(b"\0").split(b"\0"))
    return Process(pid, int(fields[19]), words), int(fields[1])


def alive(process: Process) -> bool:
    """Whether this very process still runs (not another one with its number)."""
    read = _read_process(process.pid)
    return read is not None and read[0].started == process.started


def end(process: Process, number: signal.Signals) -> bool:
    """Send a signal to this very process; False when it is gone. A reused pid is never hit."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The descriptor pins the pid: checked after opening, it cannot become another process.
        if not alive(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _netns_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def mounts_below(folder: Path, table: str = "/proc/self/mountinfo") -> tuple[str, ...]:
    """Mount points at or below a folder, in the order in which they were mounted."""
    top = str(folder)
    found = []
    for line in Path(table).read_text(errors="replace").splitlines():
        # Blanks and backslashes in a path are written in octal.
        point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4])
        if point == top or point.startswith(top.rstrip("/") + "/"):
            found.append(point)
    return tuple(found)


def unmount(point: str) -> None:
    """Detach a mount: gone from the tree at once, freed with its last user. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(point), _MNT_DETACH) != 0:
        code = ctypes.get_errno()
        if code not in (2, 22):  # no such file, not a mount point: gone already
            raise OSError(code, os.strerror(code), point)


def cgroup_roots(table: str = "/proc/self/mounts") -> tuple[Path, ...]:
    """Where the cgroup hierarchies are mounted."""
    lines = Path(table).read_text(errors="replace").splitlines()
    return tuple(Path(words[1]) for words in map(str.split, lines) if words[2] in ("cgroup", "cgroup2"))


def _shim_sockets(processes: Iterable[Process]) -> tuple[str, ...]:
    """Sockets of shims in /run/containerd/s, a folder that all containerds share: left behind by a killed shim."""
    inodes = set()
    for process in processes:
        if not process.program.startswith("containerd-shim"):
            continue
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{process.pid}/fd"):
                with contextlib.suppress(OSError):
                    match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry.path))
                    if match:
                        inodes.add(match[1])
    found = []
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/net/unix").read_text().splitlines():
                words = line.split()
                if len(words) > 7 and words[6] in inodes and words[7].startswith("/run/containerd/s/"):
                    found.append(words[7])
    return tuple(dict.fromkeys(found))
