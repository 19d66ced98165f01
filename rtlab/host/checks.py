"""What doctor checks, as data: each check says what was found, why it matters and the exact command that mends it.

Pure: ``examine`` judges recorded facts (``rtlab.host.facts.HostFacts``), so every failure can be tested with a fixture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rtlab.config import TestbedSettings
from rtlab.host import today
from rtlab.host.facts import HostFacts
from rtlab.units import GIB, MIB, format_bytes

Status = Literal["ok", "warning", "missing", "not needed"]
# Whom a check concerns: a kind of provider, everybody, or only the figures' quality.
Group = Literal["any", "local", "libvirt", "virtualbox", "static", "simulated", "figures"]

# Systems on which `doctor --fix` knows the packages.
FIXABLE = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")}

# As pyproject.toml's requires-python.
PYTHON_FROM, PYTHON_BELOW = (3, 10), (3, 14)

# VirtualBox series -> first Vagrant that knows it. Sources: Vagrant's changelog (2.3.2, 2.4.2, 2.4.9).
VAGRANT_FOR_VIRTUALBOX = (("7.0", "2.3.2"), ("7.1", "2.4.2"), ("7.2", "2.4.9"))
# Linux from 6.12 on switches the CPU's virtualization on when KVM is loaded (kvm.enable_virt_at_load). VirtualBox
# before 7.2.10 then finds it taken (its issues 141 and 188); from 7.2.10 on it goes through KVM and needs it so
# (711 and 713), except on 6.12 itself, where reports disagree (void-packages 61332).
KVM_TAKES_CPU_FROM = (6, 12)
VIRTUALBOX_THROUGH_KVM_FROM = (7, 2, 10)

# Room for boxes, images and one campaign, and for Docker's images of the local provider.
VAGRANT_DISK_BYTES = 12 * GIB
LOCAL_DISK_BYTES = 5 * GIB
CACHE_DISK_BYTES = 3 * GIB
# A host needs this much for itself beside its machines.
HOST_MEMORY_BYTES = 1 * GIB
# More steal than this since boot, and the host is shared with somebody busy.
STEAL_PERCENT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of doctor.

    Attributes:
        id: Stable, for ``--json`` and scripts.
        status: ``missing`` stops the providers of ``needed_for``; ``warning`` does not; ``not needed`` is missing but
            concerns another provider than the chosen one.
        found: What was seen.
        why: Why it matters.
        remedy: The exact command (or step) that mends it; empty when nothing is wrong.
        needed_for: Groups that it concerns, the first one is where it is listed.
    """

    id: str
    title: str
    status: Status
    found: str
    why: str
    remedy: str
    needed_for: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class _Need:
    """A program that a provider calls, and the package that has it."""

    program: str
    package: str
    groups: tuple[Group, ...]
    why: str


_MACHINES: tuple[Group, ...] = ("libvirt", "virtualbox")
_NEEDS = (
    _Need("containerd", "containerd", ("local",), "the private engine has a containerd of its own"),
    _Need("containerd-shim-runc-v2", "containerd", ("local",), "it keeps each container"),
    _Need("ip", "iproute2", ("local",), "the private engine lives in a network namespace"),
    _Need("nsenter", "util-linux", ("local",), "the private engine is started inside its namespaces"),
    _Need("iptables", "iptables", ("local",), "the engine publishes ports with it, inside its own namespace"),
    _Need("qemu-system-x86_64", "qemu-system-x86", ("libvirt",), "it runs the machines"),
    _Need("qemu-img", "qemu-utils", _MACHINES, "it makes the machines' disks"),
    _Need("libvirtd", "libvirt-daemon-system", ("libvirt",), "Vagrant reaches QEMU through it"),
    _Need("virsh", "libvirt-clients", ("libvirt",), "teardown checks with it that nothing is left"),
    _Need("dnsmasq", "dnsmasq-base", ("libvirt",), "it gives the machines their addresses"),
    _Need("mmdebstrap", "mmdebstrap", ("local", *_MACHINES), "boxes and images are made with it from packages"),
    _Need("extlinux", "extlinux", _MACHINES, "the boxes' boot loader"),
    _Need("sfdisk", "fdisk", _MACHINES, "it partitions the boxes' disks"),
    _Need("mkfs.ext4", "e2fsprogs", _MACHINES, "it makes the boxes' file system"),
    _Need("ssh", "openssh-client", ("static", *_MACHINES), "Ansible and `rtlab ssh` reach the machines with it"),
)


def examine(facts: HostFacts, settings: TestbedSettings | None = None) -> tuple[Check, ...]:
    """Every check of this host, before it is known which provider is chosen (nothing is ``not needed`` yet).

    Args:
        settings: Sizes of the machines that are to be made; None takes the defaults.
    """
    return tuple(_Examiner(facts, settings or TestbedSettings()).all())


def blocking(checks: tuple[Check, ...], group: str, *, emulated: bool = False) -> tuple[Check, ...]:
    """The checks that keep a kind of provider from working; emulated machines need no hardware virtualization."""
    concerned = {"any", group}
    spared = {"cpu-flag", "kvm"} if emulated else set()
    return tuple(
        c
        for c in checks
        if c.status in ("missing", "not needed") and concerned & set(c.needed_for) and c.id not in spared
    )


def version(text: str) -> tuple[int, ...]:
    """The leading version as numbers to compare: ``7.2.10r170000`` is (7, 2, 10); empty without one."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def proven(facts: HostFacts) -> bool:
    """Hardware virtualization really works: the CPU's flag, and a guest that booted."""
    return bool(facts.cpu_flag) and facts.kvm_boots is True


def takes_modules(facts: HostFacts, settings: TestbedSettings) -> bool:
    """Whether the local provider takes today's engine, released or compiled, or would if a compiler were installed."""
    if settings.engine == "system" or not facts.modules:
        return False
    can = facts.modules in (today.RELEASED, today.BUILT) or not facts.lacks_compiler
    return can or settings.engine == "modules" or not facts.engine


class _Examiner:
    def __init__(self, facts: HostFacts, settings: TestbedSettings) -> None:
        self.facts = facts
        self.settings = settings
        self.modules = takes_modules(facts, settings)
        # With passwordless sudo everything that root can do can be done.
        self.admin = facts.root or facts.sudo == "passwordless"

    def all(self) -> Iterator[Check]:
        yield from self._system()
        yield from self._virtualization()
        yield from self._local()
        yield from self._programs()
        yield from self._libvirt()
        yield from self._vagrant()
        yield from self._virtualbox()
        yield from self._room()
        yield from self._figures()

    # ------------------------------------------------------------- wording

    def _sudo(self, command: str) -> str:
        return command if self.facts.root else f"sudo {command}"

    def _install(self, *packages: str) -> str:
        if "apt-get" in self.facts.programs:
            return self._sudo(f"apt-get install --no-install-recommends {' '.join(packages)}")
        return f"Install {', '.join(packages)} (Debian's name) with this system's package manager."

    @staticmethod
    def _check(id: str, title: str, status: Status, found: str, why: str, remedy: str, *needed_for: Group) -> Check:
        if status == "ok":
            remedy = ""
        return Check(
            id=id, title=title, status=status, found=found, why=why, remedy=remedy, needed_for=needed_for or ("any",)
        )

    # ------------------------------------------------------------- everybody

    def _system(self) -> Iterator[Check]:
        facts = self.facts
        fixable = facts.os_version in FIXABLE.get(facts.os_id, ())
        yield self._check(
            "os",
            "operating system",
            "ok" if fixable else "warning",
            f"{facts.os_name or 'unknown'}, kernel {facts.kernel}",
            "`doctor --fix` knows the packages of Debian 12 and 13, Ubuntu 22.04 and 24.04",
            "Install what is missing by hand: the packages' names below are Debian's.",
        )
        yield self._check(
            "arch",
            "architecture",
            "ok" if facts.arch == "x86_64" else "missing",
            facts.arch,
            "boxes, Kata's archives and the probe's proofs are for x86_64",
            "Use an x86_64 machine; `rtlab report` and the simulated provider run anywhere.",
            "local",
            "libvirt",
            "virtualbox",
        )
        old, new = version(facts.python) < PYTHON_FROM, version(facts.python) >= PYTHON_BELOW
        yield self._check(
            "python",
            "Python",
            "missing" if old else "warning" if new else "ok",
            facts.python,
            "rtlab's pinned libraries, ansible-core 2.16 among them, are tested with Python 3.10 to 3.13",
            "In the repository's clone, with one of these: python3.13 -m venv --clear .venv && .venv/bin/pip install "
            "--require-hashes -r requirements.lock && .venv/bin/pip install --no-deps --no-build-isolation -e .",
        )
        found = (
            "root"
            if facts.root
            else {"passwordless": "sudo without password", "password": "sudo asks"}.get(
                facts.sudo, "neither root nor sudo"
            )
        )
        yield self._check(
            "root",
            "root or sudo",
            "ok" if self.admin else "missing",
            found,
            "network namespaces, a private engine and loop devices for boxes need root",
            "Run rtlab as root" + (", or run `sudo -v` first" if facts.sudo else ": su -c 'rtlab up'"),
            "local",
        )
        yield self._check(
            "root-machines",
            "root for boxes and libvirt",
            "ok" if self.admin else "warning",
            found,
            "building a box needs a loop device; libvirt's system connection needs root or the group libvirt",
            self._sudo("usermod -aG libvirt,kvm $USER") + ", log in again, and use a ready box",
            *_MACHINES,
        )

    def _virtualization(self) -> Iterator[Check]:
        facts = self.facts
        guest = facts.hypervisor
        yield self._check(
            "host-kind",
            "this host",
            "warning" if facts.witnesses_disagree else "ok",
            (f"a guest of {guest}" if guest else "bare metal as far as can be seen")
            + (f", inside a {facts.container} container" if facts.container else "")
            + (f" ({facts.dmi})" if facts.dmi else "")
            + (f"; {facts.witnesses_disagree}" if facts.witnesses_disagree else ""),
            "on a guest, a Vagrant machine would make Kata a third level: containers run directly on it instead",
            "Ask who runs this machine whether its CPU is emulated (TCG); figures from an emulated one mean nothing.",
        )
        why = "machines at usable speed, and Kata, need the CPU's virtualization"
        yield self._check(
            "cpu-flag",
            "CPU virtualization",
            "ok" if facts.cpu_flag else "missing",
            f"{facts.cpu_flag or 'neither vmx nor svm'} ({facts.cpu_model or 'unknown CPU'})",
            why,
            "On the host of this guest switch on nested virtualization (libvirt: <cpu mode='host-passthrough'/>; "
            "VirtualBox: VBoxManage modifyvm NAME --nested-hw-virt on), or use emulated machines: --accel tcg."
            if guest
            else "Switch on VT-x or AMD-V (SVM) in the firmware, or use emulated machines: --accel tcg.",
            "libvirt",
            "virtualbox",
        )
        yield self._kvm(why)
        wants_nested = bool(facts.cpu_flag and facts.kvm_node)
        nested = facts.nested in ("Y", "1")
        module = "kvm_amd" if facts.cpu_flag == "svm" else "kvm_intel"
        yield self._check(
            "nested",
            "nested virtualization",
            "ok" if nested else "warning",
            f"{module}.nested = {facts.nested or 'unknown'}" if wants_nested else "no KVM of the CPU's own",
            "Kata inside the machines starts guests of its own",
            f"echo 'options {module} nested=1' | {self._sudo('tee')} /etc/modprobe.d/{module}-nested.conf; "
            f"{self._sudo(f'modprobe -r {module}')}; {self._sudo(f'modprobe {module}')}"
            if wants_nested
            else "See: CPU virtualization.",
            "libvirt",
        )

    def _kvm(self, why: str) -> Check:
        """A /dev/kvm node proves nothing: some hosts carry one that boots no ordinary guest."""
        facts = self.facts
        status: Status = "missing"
        if not facts.kvm_node:
            found = "there is no /dev/kvm"
            module = "kvm_amd" if facts.cpu_flag == "svm" else "kvm_intel"
            remedy = self._sudo(f"modprobe {module}") if facts.cpu_flag else "See: CPU virtualization."
        elif not facts.kvm_opens:
            found = "/dev/kvm is there, but this user may not open it"
            remedy = self._sudo("usermod -aG kvm $USER") + ", then log in again"
        elif not facts.cpu_flag:
            found, remedy = (
                "/dev/kvm opens, but without vmx or svm it boots no ordinary guest",
                "See: CPU virtualization.",
            )
        elif facts.kvm_boots is None:
            status, found = (
                "warning",
                f"/dev/kvm opens; whether it boots a guest was not tried. {facts.kvm_proof}".strip(),
            )
            remedy = "rtlab doctor"
        elif not facts.kvm_boots:
            found = f"/dev/kvm opens, but boots no guest: {facts.kvm_proof}"
            remedy = "Use --provider local, or emulated machines: rtlab up --provider libvirt --accel tcg"
        elif not facts.cpu_flag:
            found, remedy = (
                "/dev/kvm booted a guest, but the CPU has neither vmx nor svm",
                "See: CPU virtualization.",
            )
        else:
            status, found, remedy = "ok", facts.kvm_proof or "a guest booted", ""
        return self._check("kvm", "KVM boots a guest", status, found, why, remedy, "libvirt")

    # ------------------------------------------------------------- local

    def _builds(self) -> Iterator[Check]:
        """Today's engine and runtimes, and what compiling them needs."""
        facts = self.facts
        compiled = facts.modules == today.REACHABLE
        why = "what people run today is measured: engine and runtimes of rtlab's own, below /opt/rtlab"
        told = {
            today.RELEASED: "as their vendors release them",
            today.BUILT: "in the cache",
            today.REACHABLE: "not built yet: about 8 minutes on two cores, once",
        }
        found = told[facts.modules] if facts.modules else facts.modules_refused or "cannot be built here"
        yield self._check(
            "modules",
            "today's engine and runtimes",
            "ok" if facts.modules else "warning",
            found,
            why,
            "Set GOPROXY to a module proxy that this machine can reach; else this machine's own are taken.",
            "local",
        )
        if compiled and facts.lacks_compiler:
            yield self._check(
                "compiler",
                "compiler and libraries for runC",
                "missing" if self.modules else "warning",
                facts.lacks_compiler,
                why,
                self._install("gcc", "libc6-dev", "libseccomp-dev", "pkg-config"),
                "local",
            )

    def _local(self) -> Iterator[Check]:
        facts = self.facts
        yield from self._builds()
        yield self._check(
            "engine",
            "Docker's daemon",
            "ok" if facts.engine or self.modules else "missing",
            (f"{facts.engine} ({facts.engine_package or 'not from a package'})" if facts.engine else "not installed")
            + (", another daemon is running: it stays untouched" if facts.engine_answers else ""),
            "rtlab starts a private one with its own data, sockets and network; it never uses yours",
            self._install("docker.io"),
            "local",
        )
        possible = facts.sys_admin and facts.net_admin and facts.netns
        lacking = [
            name
            for name, there in (("CAP_SYS_ADMIN", facts.sys_admin), ("CAP_NET_ADMIN", facts.net_admin))
            if not there
        ]
        reason = f"this process may never have {' and '.join(lacking)}" if lacking else "unshare --net --mount fails"
        where = f"inside a {facts.container} container " if facts.container else ""
        unprivileged = (
            f"Start the {facts.container} container privileged (docker run --privileged …), or run rtlab on its host. "
            "To see the tool without any of this: rtlab up --provider simulated"
            if facts.container
            else "Run rtlab as root on a machine or VM of your own. To see the tool: rtlab up --provider simulated"
        )
        yield self._check(
            "namespaces",
            "private engine possible",
            "ok" if possible else "missing",
            "capabilities, network and mount namespaces are there" if possible else f"{where}{reason}",
            "a second engine in the host's network namespace would empty the first one's firewall chains",
            unprivileged if lacking or facts.container or self.admin else "Run rtlab as root.",
            "local",
        )
        yield self._check(
            "cgroups",
            "control groups",
            "ok" if facts.cgroups else "missing",
            {"v2": "v2", "hybrid": "v1 with v2 beside it", "v1": "v1"}.get(facts.cgroups, "none mounted"),
            "every container is put into one, and its CPU and memory are read there",
            unprivileged,
            "local",
        )
        yield self._check(
            "overlay",
            "overlay file system",
            "ok" if facts.overlay else "warning",
            "there" if facts.overlay else "not known to this kernel",
            "without it Docker copies whole images (vfs), and disk figures are another experiment's",
            self._sudo("modprobe overlay"),
            "local",
        )
        if facts.apparmor:
            there = "apparmor_parser" in facts.programs
            yield self._check(
                "apparmor",
                "AppArmor",
                "ok" if there else "missing",
                "on" if there else "on in the kernel, but apparmor_parser is not installed",
                "Docker loads its profile with it; without it every container start fails",
                self._install("apparmor"),
                "local",
            )
        for name, package in (("runc", "runc"), ("crun", "crun"), ("gvisor", "runsc"), ("kata", "")):
            if self.modules and name in ("runc", "gvisor"):
                yield self._check(f"runtime-{name}", f"runtime {name}", "ok", "today's", "it is compared", "", "local")
            else:
                yield self._runtime(name, package)
        can = self.modules and not facts.lacks_rust
        yield self._check(
            "runtime-youki",
            "runtime youki",
            "ok" if can else "warning",
            "today's" if can else (facts.lacks_rust if self.modules else "only built from its crate, with the others"),
            "a runtime under comparison",
            "Rust of rustup.rs; on Debian 12: " + self._install("rustc-web", "cargo-web"),
            "local",
        )

    def _runtime(self, name: str, package: str) -> Check:
        facts = self.facts
        there = facts.runtimes.get(name, "")
        status: Status = "ok" if there else ("missing" if name == "runc" else "warning")
        found = there or "not installed"
        remedy = (
            self._install(package)
            if package
            else (
                "Give a release archive: rtlab up --kata-archive FILE --kata-sha256 SUM "
                "(github.com/kata-containers/kata-containers/releases)"
            )
        )
        why = "the runtime under comparison" if name != "runc" else "the baseline, and the engine's default"
        if name == "crun" and there and version(there) < (1, 9) and facts.cgroups == "hybrid":
            status, found = "warning", f"{there} refuses containers where cgroups are hybrid, as here"
            remedy = "Boot with systemd.unified_cgroup_hierarchy=1, or leave crun out."
        if name == "gvisor" and not there and facts.os_id == "ubuntu":
            remedy = (
                "Ubuntu has no package: see https://gvisor.dev/docs/user_guide/install/ (doctor --fix leaves it out)."
            )
        if name == "kata" and not proven(facts):
            status, found = "warning", f"{there or 'not installed'}; KVM boots no guest here, so it could not start"
            remedy = "See: KVM boots a guest."
        return self._check(f"runtime-{name}", f"runtime {name}", status, found, why, remedy, "local")

    # ------------------------------------------------------------- programs

    def _programs(self) -> Iterator[Check]:
        docker = self.facts.programs.get("docker", "")
        # Debian 13 has the command in a package of its own.
        split = self.facts.os_id == "debian" and version(self.facts.os_version) >= (13,)
        yield self._check(
            "program-docker",
            "docker",
            "ok" if docker or self.modules else "missing",
            docker or "not installed",
            "starts are timed through Docker's command line too",
            self._install("docker-cli" if split else "docker.io"),
            "local",
        )
        for need in _NEEDS:
            path = self.facts.programs.get(need.program, "")
            if self.modules and need.package == "containerd":
                continue
            yield self._check(
                f"program-{need.program}",
                need.program,
                "ok" if path else "missing",
                path or "not installed",
                need.why,
                self._install(need.package),
                *need.groups,
            )

    def _libvirt(self) -> Iterator[Check]:
        facts = self.facts
        why = "Vagrant's libvirt machines are libvirt's"
        start = (
            self._sudo("systemctl enable --now libvirtd")
            if facts.systemd
            else f"{self._sudo('virtlogd -d')} && {self._sudo('libvirtd -d')}"
        )
        if facts.libvirt_answers:
            yield self._check("libvirt", "libvirt answers", "ok", facts.libvirt or "yes", why, "", "libvirt")
        elif "libvirtd" not in facts.programs:
            yield self._check(
                "libvirt",
                "libvirt answers",
                "missing",
                "not installed",
                why,
                self._install("libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-clients"),
                "libvirt",
            )
        else:
            yield self._check(
                "libvirt",
                "libvirt answers",
                # Without systemd `rtlab up` starts it as root, and teardown ends it; with systemd that is systemd's.
                "warning" if facts.root and not facts.systemd else "missing",
                f"{facts.libvirt} is installed, its daemon does not answer",
                why,
                start,
                "libvirt",
            )

    def _vagrant(self) -> Iterator[Check]:
        facts = self.facts
        yield self._check(
            "vagrant",
            "Vagrant",
            "ok" if facts.vagrant else "missing",
            facts.vagrant or "not installed",
            "it makes the machines",
            self._install("vagrant"),
            *_MACHINES,
        )
        plugin = facts.vagrant_plugins.get("vagrant-libvirt", "")
        yield self._check(
            "vagrant-libvirt",
            "plug-in vagrant-libvirt",
            "ok" if plugin else "missing",
            plugin or "not installed",
            "Vagrant reaches libvirt through it",
            self._install("vagrant-libvirt"),
            "libvirt",
        )
        yield self._check(
            "python-vagrant",
            "python-vagrant",
            "ok" if facts.python_vagrant else "missing",
            facts.python_vagrant or "not installed",
            "every call of Vagrant goes through it",
            "python3 -m pip install 'python-vagrant>=1.0,<2'",
            *_MACHINES,
        )

    # ------------------------------------------------------------- VirtualBox

    def _virtualbox(self) -> Iterator[Check]:
        facts = self.facts
        why = "the paper's machines are VirtualBox's"
        if not facts.virtualbox:
            yield self._check(
                "virtualbox",
                "VirtualBox",
                "missing",
                "not installed",
                why,
                "Install it from https://www.virtualbox.org/wiki/Linux_Downloads; libvirt machines do the same work.",
                "virtualbox",
            )
            return
        yield self._check("virtualbox", "VirtualBox", "ok", facts.virtualbox, why, "", "virtualbox")
        yield self._check(
            "vboxdrv",
            "VirtualBox's kernel driver",
            "ok" if facts.vboxdrv else "missing",
            "/dev/vboxdrv is there" if facts.vboxdrv else "vboxdrv is not loaded",
            "no machine starts without it",
            self._sudo("/sbin/vboxconfig"),
            "virtualbox",
        )
        yield self._vagrant_knows_virtualbox()
        yield self._kernel_and_virtualbox()
        yield self._check(
            "kvm-guests",
            "KVM guests beside VirtualBox",
            "missing" if facts.kvm_guests else "ok",
            f"{facts.kvm_guests} QEMU process(es) run" if facts.kvm_guests else "none",
            "VirtualBox and KVM at the same time are unsafe on one CPU",
            "Stop the other guests first: virsh -c qemu:///system list",
            "virtualbox",
        )

    def _vagrant_knows_virtualbox(self) -> Check:
        facts = self.facts
        box, vagrant = version(facts.virtualbox), version(facts.vagrant)
        needed = next((v for series, v in VAGRANT_FOR_VIRTUALBOX if box[:2] == version(series)), "")
        newest = VAGRANT_FOR_VIRTUALBOX[-1]
        status: Status
        if not needed and box[:2] > version(newest[0]):
            status, needed = "warning", f"newer than {newest[1]}"
        elif not needed:
            status, needed = "warning", VAGRANT_FOR_VIRTUALBOX[0][1]
        else:
            status = "ok" if vagrant >= version(needed) else "missing"
        return self._check(
            "vagrant-virtualbox",
            "Vagrant knows this VirtualBox",
            status,
            f"VirtualBox {facts.virtualbox} with Vagrant {facts.vagrant or 'none'}; it needs Vagrant {needed}",
            "Vagrant refuses versions of VirtualBox that it does not know",
            f"Install Vagrant {needed} or later from https://developer.hashicorp.com/vagrant/install",
            "virtualbox",
        )

    def _kernel_and_virtualbox(self) -> Check:
        facts = self.facts
        kernel, box = version(facts.kernel), version(facts.virtualbox)
        at_load = facts.virt_at_load in ("Y", "1")
        loaded = bool(facts.virt_at_load)
        status: Status = "ok"
        remedy = ""
        found = f"kernel {facts.kernel}, enable_virt_at_load = {facts.virt_at_load or 'not there'}"
        setting = self._sudo("tee /etc/modprobe.d/rtlab-kvm.conf")
        if kernel[:2] >= KVM_TAKES_CPU_FROM:
            through_kvm = box >= VIRTUALBOX_THROUGH_KVM_FROM
            if not through_kvm and at_load:
                status = "missing"
                remedy = (
                    f"echo 'options kvm enable_virt_at_load=0' | {setting}, then reboot; or VirtualBox 7.2.10 or later"
                )
            elif through_kvm and loaded and not at_load:
                status = "warning" if kernel[:2] == KVM_TAKES_CPU_FROM else "missing"
                remedy = f"echo 'options kvm enable_virt_at_load=1' | {setting}, then reboot"
        return self._check(
            "virtualbox-kernel",
            "VirtualBox and this kernel",
            status,
            found,
            "from Linux 6.12 on KVM holds the CPU: VirtualBox before 7.2.10 needs it freed, later ones go through KVM",
            remedy,
            "virtualbox",
        )

    # ------------------------------------------------------------- room

    def _room(self) -> Iterator[Check]:
        facts, settings = self.facts, self.settings
        for group, needed in (("local", LOCAL_DISK_BYTES), ("libvirt", VAGRANT_DISK_BYTES)):
            groups: tuple[Group, ...] = ("local",) if group == "local" else _MACHINES
            yield self._check(
                f"disk-{group}",
                "disk here" if group == "local" else "disk for machines",
                "ok" if facts.state_free_bytes >= needed else "missing",
                f"{format_bytes(facts.state_free_bytes)} free, {format_bytes(needed)} needed ({facts.state_path})",
                "images, the engine's data or the machines' disks, and raw outputs go there; Bonnie++ writes 2 GB",
                "Free some space, or work in a folder on another disk.",
                *groups,
            )
        yield self._check(
            "disk-cache",
            "disk for the cache",
            "ok" if facts.cache_free_bytes >= CACHE_DISK_BYTES and not facts.cache_refused else "missing",
            facts.cache_refused.rstrip(".")
            or f"{format_bytes(facts.cache_free_bytes)} free of {format_bytes(CACHE_DISK_BYTES)} ({facts.cache_path})",
            "boxes and images are kept there",
            "Set RTLAB_CACHE to a folder that you may write to."
            if facts.cache_refused
            else "Free some space, or set RTLAB_CACHE to a folder on another disk.",
            "local",
            *_MACHINES,
        )
        memory = settings.nodes * settings.memory_mb * MIB + HOST_MEMORY_BYTES
        fits = facts.memory_available_bytes >= memory
        yield self._check(
            "memory",
            "memory for the machines",
            "ok" if fits else "missing",
            f"{format_bytes(facts.memory_available_bytes)} available of {format_bytes(facts.memory_bytes)}; "
            f"{settings.nodes} x {settings.memory_mb} MiB and 1 GiB for the host are wanted",
            "a host that swaps measures its disk",
            f"rtlab up --memory-mb {max(512, self._fitting_memory())}  (the paper's machines have 8192)",
            *_MACHINES,
        )
        yield self._check(
            "cores",
            "CPUs for the machines",
            "ok" if facts.cores >= settings.cpus else "warning",
            f"{facts.cores} here, {settings.cpus} per machine are wanted",
            "more virtual CPUs than real ones make the machine wait for itself; only one machine works at a time",
            f"rtlab up --cpus {max(1, facts.cores)}",
            *_MACHINES,
        )

    def _fitting_memory(self) -> int:
        """MiB per machine that fit beside the host, rounded down to 256."""
        free = self.facts.memory_available_bytes - HOST_MEMORY_BYTES
        return free // self.settings.nodes // MIB // 256 * 256

    # ------------------------------------------------------------- figures

    def _figures(self) -> Iterator[Check]:
        """Nothing here stops a run; each makes figures noisier or hides what they mean."""
        facts = self.facts
        if facts.governor is not None:
            yield self._figure(
                "governor",
                "CPU governor",
                facts.governor == "performance",
                facts.governor,
                "a CPU that changes its clock while measured adds noise",
                "echo performance | " + self._sudo("tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"),
            )
        if facts.turbo is not None:
            intel = "/sys/devices/system/cpu/intel_pstate/no_turbo"
            switch = (
                f"echo 1 | {self._sudo(f'tee {intel}')}"
                if facts.cpu_flag == "vmx"
                else (f"echo 0 | {self._sudo('tee /sys/devices/system/cpu/cpufreq/boost')}")
            )
            yield self._figure(
                "turbo",
                "turbo clock",
                not facts.turbo,
                "on" if facts.turbo else "off",
                "its clock depends on temperature and on what else runs",
                switch,
            )
        if facts.ksm is not None:
            yield self._figure(
                "ksm",
                "memory merging (KSM)",
                not facts.ksm,
                "on" if facts.ksm else "off",
                "it merges equal pages of guests, so memory per container depends on what else runs",
                "echo 2 | " + self._sudo("tee /sys/kernel/mm/ksm/run"),
            )
        if facts.clocksource is not None:
            yield self._figure(
                "clocksource",
                "clock source",
                facts.clocksource in ("tsc", "kvm-clock", "arch_sys_counter"),
                facts.clocksource,
                "a slow clock source adds its own cost to every time stamp",
                "echo tsc | " + self._sudo("tee /sys/devices/system/clocksource/clocksource0/current_clocksource"),
            )
        if facts.steal_percent is not None:
            yield self._figure(
                "steal",
                "CPU time given to others",
                facts.steal_percent < STEAL_PERCENT,
                f"{facts.steal_percent:.2f} % since boot",
                "the host beneath is shared; its other guests are in the figures",
                "Use a dedicated host or another instance type; --aa measures the noise floor.",
            )
        if facts.load is not None:
            yield self._figure(
                "load",
                "load now",
                facts.load < max(1.0, facts.cores / 2),
                f"{facts.load:.1f} on {facts.cores} CPUs",
                "whatever else runs now is in the figures",
                "Stop it, or wait: `bench` holds each trial until the machine is quiet.",
            )

    def _figure(self, id: str, title: str, good: bool, found: str, why: str, remedy: str) -> Check:
        return self._check(id, title, "ok" if good else "warning", found, why, remedy, "figures")
