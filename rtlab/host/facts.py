"""What this machine is and has: read from /proc, /sys and the installed programs, judged elsewhere (doctor, choice).

Nothing is changed and nothing is started, except the tiny guest that proves hardware virtualization
(``rtlab.host.virtualization``) and an empty network namespace that ends with the process that made it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rtlab import plugins
from rtlab.connection import shell
from rtlab.errors import CommandFailed
from rtlab.host import today, virtualization

# Debian keeps these off an ordinary user's PATH.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# Every program that some provider may call.
PROGRAMS = (
    "VBoxManage",
    "apparmor_parser",
    "apt-get",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "dnsmasq",
    "docker",
    "dockerd",
    "extlinux",
    "ip",
    "iptables",
    "libvirtd",
    "mkfs.ext4",
    "mmdebstrap",
    "nsenter",
    "qemu-img",
    "qemu-system-x86_64",
    "sfdisk",
    "ssh",
    "sudo",
    "unshare",
    "vagrant",
    "virsh",
    "virtlogd",
)

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """One look at this machine. Empty text, None or 0 means: not there, or cannot be read.

    Attributes:
        os_id, os_version, os_name: From /etc/os-release: ``debian``, ``12``, ``Debian GNU/Linux 12 (bookworm)``.
        kernel: ``uname -r``.
        sudo: ``passwordless``, ``password`` (it would ask) or empty.
        systemd: Whether systemd runs this system.
        container: What container technology this process itself runs in, or empty.
        hypervisor: Whose guest this host is, or empty on bare metal.
        witnesses_disagree: How CPU, firmware and systemd contradict each other about that; mostly empty.
        dmi: Vendor and product as the firmware says.
        cpu_flag: ``vmx`` or ``svm`` where the CPU offers hardware virtualization.
        kvm_node, kvm_opens: /dev/kvm exists; this user may open it.
        kvm_boots: Whether a guest really booted with it; None when that was not tried.
        kvm_proof: What the proof saw, one sentence.
        nested: kvm_intel's or kvm_amd's parameter ``nested``.
        virt_at_load: KVM's parameter ``enable_virt_at_load`` (kernels from 6.12).
        kvm_guests: Running QEMU processes.
        virtualbox, vagrant, engine, libvirt: Versions, empty when not installed.
        vboxdrv: VirtualBox's kernel driver is loaded.
        vagrant_plugins: Name -> version.
        python_vagrant: Version of the Python library.
        libvirt_answers: virsh reaches qemu:///system; libvirt_error says why not.
        engine_package: ``docker.io``, ``docker-ce`` … that owns dockerd; empty for one put there by hand.
        engine_answers: A Docker daemon answers at the usual socket. It is not rtlab's and is never touched.
        sys_admin, net_admin, netns: What a private engine needs from the kernel for root here.
        cgroups: ``v2``, ``hybrid``, ``v1`` or empty.
        programs: Name -> path, of PROGRAMS and the runtimes'.
        runtimes: Versions of the builds that are here, by rtlab's names.
        modules: Today's engine and runC: ``released``, ``built``, ``reachable`` (they can be compiled), or empty;
            modules_refused says why not.
        lacks_compiler, lacks_rust: Why runC, or youki, cannot be compiled here; empty when it can.
        governor, turbo, ksm, clocksource, steal_percent, load: What disturbs measurements; None where unknown.
    """

    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    arch: str = ""
    kernel: str = ""
    python: str = ""
    root: bool = False
    sudo: str = ""
    systemd: bool = False
    container: str = ""
    hypervisor: str = ""
    witnesses_disagree: str = ""
    dmi: str = ""
    cpu_model: str = ""
    cpu_flag: str = ""
    cores: int = 0
    memory_bytes: int = 0
    memory_available_bytes: int = 0
    kvm_node: bool = False
    kvm_opens: bool = False
    kvm_boots: bool | None = None
    kvm_proof: str = ""
    nested: str = ""
    virt_at_load: str = ""
    kvm_guests: int = 0
    virtualbox: str = ""
    vboxdrv: bool = False
    vagrant: str = ""
    vagrant_plugins: Mapping[str, str] = field(default_factory=dict)
    python_vagrant: str = ""
    libvirt: str = ""
    libvirt_answers: bool = False
    libvirt_error: str = ""
    engine: str = ""
    engine_package: str = ""
    engine_answers: bool = False
    sys_admin: bool = False
    net_admin: bool = False
    netns: bool = False
    cgroups: str = ""
    overlay: bool = False
    apparmor: bool = False
    programs: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    modules: str = ""
    modules_refused: str = ""
    lacks_compiler: str = ""
    lacks_rust: str = "youki's build was not looked at"
    state_path: str = ""
    state_free_bytes: int = 0
    cache_path: str = ""
    cache_free_bytes: int = 0
    cache_refused: str = ""
    governor: str | None = None
    turbo: bool | None = None
    ksm: bool | None = None
    clocksource: str | None = None
    steal_percent: float | None = None
    load: float | None = None


def find(program: str) -> str:
    """The path of a program, on PATH or in the system's folders; empty when it is not installed."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    return shutil.which(program, path=path) or ""


def collect(folder: Path, cache: Path, *, prove: bool = True) -> HostFacts:
    """Look at this machine; a few seconds, most of it for the guest that proves KVM.

    Args:
        folder: The working folder, whose disk the state and the campaigns go to.
        cache: rtlab's cache folder.
        prove: Whether to boot a guest where /dev/kvm is there.
    """
    programs = {name: path for name in programs_of_all() if (path := find(name))}
    release = os_release(_text("/etc/os-release"))
    memory = _memory(_text("/proc/meminfo"))
    found = HostFacts(
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_name=release.get("PRETTY_NAME", ""),
        arch=platform.machine(),
        kernel=platform.release(),
        python=platform.python_version(),
        root=os.geteuid() == 0,
        sudo=_sudo(programs),
        systemd=Path("/run/systemd/system").is_dir(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=memory.get("MemTotal", 0),
        memory_available_bytes=memory.get("MemAvailable", 0),
        programs=programs,
        state_path=str(folder),
        state_free_bytes=_free(folder),
        cache_path=str(cache),
        cache_free_bytes=_free(cache),
    )
    return _with_disturbances(_with_machines(_with_private_engine(_with_virtualization(found, prove=prove))))


def _with_virtualization(found: HostFacts, *, prove: bool) -> HostFacts:
    """Whose guest this is, and whether it can have guests of its own."""
    cpu = _text("/proc/cpuinfo")
    identity = virtualization.this_machine((_run(("systemd-detect-virt", "--vm"), 10) or "").strip())
    opens = os.access("/dev/kvm", os.R_OK | os.W_OK) and _opens("/dev/kvm")
    boots, proof = _kvm_proof(found.programs) if prove and opens else (None, "")
    return replace(
        found,
        container=_container(),
        hypervisor=identity.hypervisor,
        witnesses_disagree=identity.conflict,
        dmi=virtualization.dmi_of_this_machine(),
        cpu_model=_first(r"^model name\s*:\s*(.+)$", cpu),
        cpu_flag=virtualization.cpu_flag(cpu),
        kvm_node=Path("/dev/kvm").exists(),
        kvm_opens=opens,
        kvm_boots=boots,
        kvm_proof=proof,
        nested=(
            _text("/sys/module/kvm_intel/parameters/nested") or _text("/sys/module/kvm_amd/parameters/nested")
        ).strip(),
        virt_at_load=_text("/sys/module/kvm/parameters/enable_virt_at_load").strip(),
        kvm_guests=_qemu_processes(),
    )


def _with_private_engine(found: HostFacts) -> HostFacts:
    """What an engine of rtlab's own on this machine needs, and which runtimes it could be handed."""
    programs = found.programs
    # The bounding set: what root can have here, whoever asks.
    possible = int(_status_field("CapBnd") or "0", 16)
    modules, refused = today.found()
    return replace(
        found,
        engine=_version((programs["dockerd"], "--version")) if "dockerd" in programs else "",
        engine_package=_owner(programs.get("dockerd", "")),
        engine_answers=_socket_answers("/var/run/docker.sock"),
        sys_admin=bool(possible >> _CAP_SYS_ADMIN & 1),
        net_admin=bool(possible >> _CAP_NET_ADMIN & 1),
        netns=_netns(programs),
        cgroups=cgroup_layout(_text("/proc/mounts")),
        overlay=bool(re.search(r"\boverlay$", _text("/proc/filesystems"), re.M)) or _module_there("overlay"),
        apparmor=_text("/sys/module/apparmor/parameters/enabled").strip() == "Y",
        runtimes=_runtimes(programs),
        modules=modules,
        modules_refused=refused,
        lacks_compiler=today.lacks_compiler(),
        lacks_rust=today.lacks_rust(),
    )


def _with_machines(found: HostFacts) -> HostFacts:
    """What makes virtual machines here."""
    programs = found.programs
    answers, libvirt_error = _libvirt_answers(programs)
    return replace(
        found,
        virtualbox=_version((programs["VBoxManage"], "--version")) if "VBoxManage" in programs else "",
        vboxdrv=Path("/dev/vboxdrv").exists(),
        vagrant=_version((programs["vagrant"], "--version"), 60) if "vagrant" in programs else "",
        vagrant_plugins=_vagrant_plugins(programs),
        python_vagrant=_library("python-vagrant"),
        libvirt=_version((programs["libvirtd"], "--version")) if "libvirtd" in programs else "",
        libvirt_answers=answers,
        libvirt_error=libvirt_error,
    )


def _with_disturbances(found: HostFacts) -> HostFacts:
    """What makes figures noisier, or hides what they mean."""
    return replace(
        found,
        governor=_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        turbo=_turbo(),
        ksm={"0": False, "1": True}.get(_text("/sys/kernel/mm/ksm/run").strip()),
        clocksource=_text("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip() or None,
        steal_percent=steal_percent(_text("/proc/stat")),
        load=os.getloadavg()[0],
    )


# --------------------------------------------------------------------------- pure readings


def os_release(text: str) -> dict[str, str]:
    """The fields of an os-release file."""
    return {m[1]: m[2].strip("\"'") for m in re.finditer(r"^([A-Z_]+)=(.*)$", text, re.M)}


def cgroup_layout(mounts: str) -> str:
    """``v2``, ``hybrid`` (v1 controllers with v2 beside them), ``v1`` or empty, from /proc/mounts."""
    kinds = {line.split()[2] for line in mounts.splitlines() if len(line.split()) > 2}
    if "cgroup" in kinds:
        return "hybrid" if "cgroup2" in kinds else "v1"
    return "v2" if "cgroup2" in kinds else ""


def steal_percent(stat: str) -> float | None:
    """Share of CPU time since boot that the hypervisor gave to others, from /proc/stat; None without the field."""
    fields = [int(number) for number in _first(r"^cpu\s+(.+)$", stat).split()]
    if len(fields) < 8 or not sum(fields[:8]):
        return None
    return 100 * fields[7] / sum(fields[:8])


def version_in(text: str) -> str:
    """The first version number in what a program printed: ``7.2.10r170000`` gives ``7.2.10``."""
    return _first(r"(\d+\.\d+(?:\.\d+)*)", text)


# --------------------------------------------------------------------------- readings of this machine


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.M)
    return match[1].strip() if match else ""


def _memory(meminfo: str) -> dict[str, int]:
    return {m[1]: int(m[2]) * 1024 for m in re.finditer(r"^(\w+):\s+(\d+) kB$", meminfo, re.M)}


def _status_field(name: str) -> str:
    return _first(rf"^{name}:\s*(\S+)", _text("/proc/self/status"))


def _run(argv: tuple[str, ...], timeout_s: float = 20) -> str | None:
    """stdout and stderr of a program that ended well, else None."""
    try:
        result = shell.run(argv, timeout_s=timeout_s)
    except CommandFailed:
        return None
    return (result.stdout + result.stderr).decode("utf-8", "replace") if result.ok else None


def _version(argv: tuple[str, ...], timeout_s: float = 20) -> str:
    return version_in(_run(argv, timeout_s) or "")


def _library(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _opens(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _kvm_proof(programs: Mapping[str, str]) -> tuple[bool, str]:
    proof = virtualization.prove(programs.get("qemu-system-x86_64", ""))
    return proof.usable, proof.reason


def _sudo(programs: Mapping[str, str]) -> str:
    if "sudo" not in programs:
        return ""
    return "passwordless" if _run((programs["sudo"], "-n", "true")) is not None else "password"


def _container() -> str:
    """The container technology around this process; a privileged one may still be able to do everything."""
    found = _run(("systemd-detect-virt", "--container"), 10)
    if found:
        return found.strip()
    marks = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
    return next((name for path, name in marks.items() if Path(path).exists()), "")


def _qemu_processes() -> int:
    return sum(_text(str(file)).startswith("qemu-system") for file in Path("/proc").glob("[0-9]*/comm"))


def _vagrant_plugins(programs: Mapping[str, str]) -> dict[str, str]:
    if "vagrant" not in programs:
        return {}
    text = _run((programs["vagrant"], "plugin", "list"), 60) or ""
    return {m[1]: m[2] for m in re.finditer(r"^(\S+) \((\d[^,)]*)", text, re.M)}


def _libvirt_answers(programs: Mapping[str, str]) -> tuple[bool, str]:
    """Whether a running libvirt daemon answers; asking must not start one (``?no_autostart`` is not known to all)."""
    if "virsh" not in programs:
        return False, "virsh is not installed"
    try:
        result = shell.run((programs["virsh"], "-q", "-c", "qemu:///system", "version"), timeout_s=20)
    except CommandFailed as error:
        return False, error.message
    return result.ok, "" if result.ok else result.tail(1)


def _owner(path: str) -> str:
    """The Debian package that a file belongs to, or empty."""
    if not path:
        return ""
    for candidate in (path, os.path.realpath(path), "/usr" + path):
        owner = _run(("dpkg-query", "-S", candidate))
        if owner:
            return owner.split(":", 1)[0]
    return ""


def _socket_answers(path: str) -> bool:
    """Whether somebody listens on a unix socket; nothing is asked of him."""
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3)
        try:
            connection.connect(path)
        except OSError:
            return False
    return True


def _netns(programs: Mapping[str, str]) -> bool:
    """Whether a network namespace and a mount namespace can be made (they end with ``true``)."""
    if "unshare" not in programs:
        return False
    sudo = ("sudo", "-n", "--") if os.geteuid() != 0 and "sudo" in programs else ()
    return _run((*sudo, programs["unshare"], "--net", "--mount", "--propagation", "unchanged", "true")) is not None


def _module_there(name: str) -> bool:
    folder = Path("/lib/modules") / platform.release()
    return bool(re.search(rf"/{name}\.ko", _text(str(folder / "modules.dep"))))


def programs_of_all() -> tuple[str, ...]:
    """PROGRAMS, and what runtimes are started by as far as it has no place of its own."""
    named = (name for names in _of_runtimes().values() for name in names if not name.startswith("/"))
    return (*PROGRAMS, *named)


def _of_runtimes() -> dict[str, tuple[str, ...]]:
    """Runtime -> what its builds on a machine are started by."""
    return {name: part.PROGRAMS for name, part in plugins.doctors("runtimes").items()}


def _runtimes(programs: Mapping[str, str]) -> dict[str, str]:
    """Runtime -> the version of the build that is here."""
    found = {}
    for name, named in _of_runtimes().items():
        paths = (path if path.startswith("/") else programs.get(path, "") for path in named)
        path = next((path for path in paths if os.access(path, os.X_OK)), "")
        if path:
            told = _run((path, "--version")) or ""
            found[name] = _first(r"version\s+(?:release-)?(\S+)", told) or version_in(told) or "?"
    return found


def _free(folder: Path) -> int:
    """Free bytes for this user where a folder is, or will be made."""
    for existing in (folder, *folder.parents):
        try:
            return shutil.disk_usage(existing).free
        except OSError:
            continue
    return 0


def _turbo() -> bool | None:
    intel = _text("/sys/devices/system/cpu/intel_pstate/no_turbo").strip()
    if intel:
        return intel == "0"
    boost = _text("/sys/devices/system/cpu/cpufreq/boost").strip()
    return boost == "1" if boost else None
