"""Installs a Debian from its packages into a disk image that boots by itself (BIOS, extlinux). Needs root."""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.artifacts import apt_sources
from rtlab.artifacts.box import inside, overlay
from rtlab.connection.shell import run, run_checked
from rtlab.errors import CommandFailed, HostUnfit, Unsafe
from rtlab.model import Event, Notify
from rtlab.units import GIB, MIB, format_bytes

# The partition begins at 1 MiB: room for the boot record, and aligned for every disk.
PARTITION_OFFSET = MIB
TOOLS = ("mmdebstrap", "sfdisk", "losetup", "mkfs.ext4", "extlinux", "qemu-img", "mount", "umount")
PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "iptables", "fdisk", "e2fsprogs", "lz4"),
    *("openssh-server", "sudo", "ca-certificates", "apparmor", "python3", "python3-apt"),
    *("initramfs-tools", "linux-image-amd64"),
)
MBR = ("/usr/lib/EXTLINUX/mbr.bin", "/usr/lib/syslinux/mbr/mbr.bin", "/usr/share/syslinux/mbr.bin")
NEEDS_FREE_BYTES = 5 * GIB
# What must not be in two machines: paths below the root, folders with all that they hold.
FORGOTTEN = (
    "var/lib/apt/lists/*Packages*",
    "var/lib/apt/lists/*Release*",
    "etc/ssh/ssh_host_*",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/rtlab/seeded",
    "var/lib/dbus/machine-id",
    "var/lib/dhcp/*",
    "etc/docker/key.json",
    "var/lib/docker/engine-id",
    "etc/sudoers.d/rtlab",
    "etc/apt/apt.conf.d/90rtlab-proxy",
    "usr/local/share/ca-certificates/rtlab.crt",
    "home/*/.ssh/authorized_keys",
    "root/.ssh/authorized_keys",
    "home/*/.bash_history",
    "root/.bash_history",
    "var/log/journal/*",
    "var/lib/cloud/*",
    "var/lib/systemd/network/*",
    "tmp/*",
    "var/tmp/*",
)
# How a disk is mounted that a guest has written to: nothing on it acts here, and no link on it leads anywhere.
GUEST_OPTIONS = "nosuid,nodev,noexec"
TIMEOUT_S = 3600.0
FOLLOW_S = 0.5
# What mmdebstrap says it does -> how far it then is, roughly.
_STAGES = {
    "running apt-get update": 0.05,
    "downloading packages with apt": 0.1,
    "extracting archives": 0.2,
    "installing essential packages": 0.3,
    "installing remaining packages": 0.45,
    "cleaning package lists": 0.9,
}


def check_host() -> None:
    """HostUnfit unless this machine can build: root, a loop device, and the tools."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or _mbr() is None:
        what = ", ".join(missing) or "extlinux's mbr.bin"
        raise HostUnfit(
            f"A box cannot be built here: {what} is missing.",
            remedy="sudo apt-get install mmdebstrap extlinux syslinux-common fdisk e2fsprogs qemu-utils",
        )
    if os.geteuid() != 0:
        raise HostUnfit(
            "A Debian box is installed through a loop device, which only root may set up.",
            remedy="Run `sudo rtlab box build …`, or use a profile whose box is a cloud image.",
        )
    if not Path("/dev/loop-control").exists():
        raise HostUnfit(
            "This machine has no loop devices (/dev/loop-control is missing).",
            remedy="sudo modprobe loop; inside a container, run it on the host instead.",
        )


def build_disk(suite: str, settings: Mapping[str, Any], image: Path, notify: Notify, log: Path) -> None:
    """Write a raw, sparse disk image with ``suite`` installed.

    Args:
        settings: ``disk_gb`` (size of the disk), ``kernel_arguments``, ``packages`` (more of them).
        image: Must not exist.

    Raises:
        HostUnfit: tools, rights or disk space are missing.
        CommandFailed, Unsafe: a step failed; Unsafe when the packages' signatures do not hold.
    """
    check_host()
    free = shutil.disk_usage(image.parent).free
    if free < NEEDS_FREE_BYTES:
        raise HostUnfit(
            f"Only {format_bytes(free)} are free in {image.parent}; a box takes {format_bytes(NEEDS_FREE_BYTES)}.",
            remedy="Free some space, or set RTLAB_CACHE to a folder on a larger disk.",
        )
    identity = str(uuid.uuid4())
    size = int(settings.get("disk_gb", 10)) * GIB
    with image.open("xb") as file:
        file.truncate(size)
    run_checked(
        ("sfdisk", "--quiet", str(image)),
        stdin=f"label: dos\nstart={PARTITION_OFFSET // 512}, type=83, bootable\n".encode(),
        timeout_s=60,
        doing="partition the disk image",
        log=log,
    )
    with attached(image, log) as device:
        run_checked(
            ("mkfs.ext4", "-q", "-F", "-O", "^64bit", "-m", "1", "-U", identity, "-L", "rtlab", device),
            timeout_s=300,
            doing="make the file system",
            log=log,
        )
        with mounted(device, image.parent / "root", log) as root:
            _install(suite, settings, identity, root, image.parent, notify, log)
            notify(Event(stage="box", message="Installing the boot loader", fraction=0.92))
            run_checked(
                ("extlinux", "--install", str(root / "boot/extlinux")),
                timeout_s=120,
                doing="install the boot loader",
                log=log,
            )
            # Gives the blocks of deleted files back to the sparse image: half of the box's size.
            run(("fstrim", str(root)), timeout_s=120, log=log)
    mbr = _mbr()
    assert mbr is not None
    with image.open("r+b") as file:
        file.write(mbr.read_bytes()[:440])


def _install(
    suite: str, settings: Mapping[str, Any], identity: str, root: Path, work: Path, notify: Notify, log: Path
) -> None:
    extra = work / "overlay"
    for name, (content, mode) in overlay.files(identity, " ".join(settings.get("kernel_arguments", ()))).items():
        atomic.make_folder((extra / name).parent)
        atomic.write_bytes(extra / name, content.encode(), mode)
    # From this machine's mirror; the box itself then names the public servers only.
    chosen = apt_sources.choose(suite)
    if chosen.note:
        notify(Event(stage="box", message=chosen.note))
    # No suffix: by its content mmdebstrap knows lines from stanzas.
    sources = work / "sources"
    atomic.write_bytes(sources, apt_sources.text(chosen.sources).encode(), 0o600)
    packages = (*PACKAGES, *settings.get("packages", ()))
    chatter = work / "mmdebstrap.log"
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(packages)}",
        "--aptopt=APT::Install-Recommends false",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in overlay.LEFT_OUT),
        *(f"--dpkgopt=path-include={pattern}" for pattern in overlay.KEPT_ALL_THE_SAME),
        f"--essential-hook=sync-in {extra} /",
        f"--logfile={chatter}",
        apt_sources.CODENAMES[suite][1],
        str(root),
        str(sources),
    ]
    notify(Event(stage="box", message=f"Installing {suite} from its packages", fraction=0.02))
    with _following(chatter, notify):
        result = run(argv, timeout_s=TIMEOUT_S, log=log)
    text = chatter.read_text(errors="replace") if chatter.exists() else result.tail(40)
    if not result.ok:
        _explain(suite, chosen, result.exit_status, text, log)
    notify(Event(stage="box", message="Setting the system up", fraction=0.9))
    for unit_argv in (("enable", *overlay.ENABLED_UNITS), ("mask", *overlay.MASKED_UNITS)):
        run_checked(("chroot", str(root), "systemctl", *unit_argv), timeout_s=120, doing="choose the services", log=log)
    forget_identity(root, suite)


def forget_identity(root: Path, suite: str) -> None:
    """Remove from a mounted system what must not be in two machines, and what tells where it was made.

    The system may be a guest's: no link in it is followed (``inside``).

    Raises:
        Unsafe: something cannot be removed, or lies behind a link.
    """
    with inside.Disk(root) as disk:
        if apt_sources.public(suite):
            for pattern in ("*sources.list", "0000sources.sources"):
                disk.remove(f"etc/apt/sources.list.d/{pattern}")
            public = apt_sources.text(apt_sources.public(suite))
            disk.write("etc/apt/sources.list", public.encode())
        for pattern in FORGOTTEN:
            disk.remove(pattern)
        disk.empty_files("var/log")
        # Empty, not absent: systemd then makes a new one without treating the boot as a factory reset.
        disk.write("etc/machine-id", b"")


@contextmanager
def attached(image: Path, log: Path, offset: int = PARTITION_OFFSET) -> Iterator[str]:
    """The image's partition at ``offset`` as a loop device, released in the end whatever happens."""
    with ExitStack() as stack:
        result = run_checked(
            ("losetup", "--find", "--show", "--offset", str(offset), str(image)),
            timeout_s=60,
            doing="attach the disk image to a loop device",
            remedy="`losetup -a` shows which loop devices are in use.",
            log=log,
        )
        device = result.text().strip()
        stack.callback(_release, ("losetup", "--detach", device), log)
        yield device


@contextmanager
def mounted(device: str, at: Path, log: Path, *, guest: bool = False) -> Iterator[Path]:
    """The device mounted at a folder made for it; unmounted in the end whatever happens.

    Args:
        guest: The disk was a guest's: GUEST_OPTIONS, and nosymfollow where kernel and mount know it (Linux 5.10).
    """
    atomic.make_folder(at, 0o700 if guest else 0o755)
    done = guest and run(_mount(device, at, f"{GUEST_OPTIONS},nosymfollow"), timeout_s=60, log=log).ok
    if not done:
        argv = _mount(device, at, GUEST_OPTIONS if guest else "defaults")
        run_checked(argv, timeout_s=60, doing="mount the disk image", log=log)
    try:
        yield at
    finally:
        # --recursive: an interrupted mmdebstrap may leave /proc and /sys of the chroot mounted.
        _release(("umount", "--recursive", str(at)), log)
        at.rmdir()


def _mount(device: str, at: Path, options: str) -> tuple[str, ...]:
    return ("mount", "-t", "ext4", "-o", options, device, str(at))


def _release(argv: tuple[str, ...], log: Path) -> None:
    """Run until it works: for a moment after a kill, something may still hold the mount."""
    for attempt in range(10):
        result = run(argv, timeout_s=120, log=log)
        if result.ok:
            return
        time.sleep(0.2 * (attempt + 1))
    raise CommandFailed(
        f"Could not release {argv[-1]}: {result.tail(2)}",
        remedy=f"Find what uses it (`fuser -vm {argv[-1]}`), then: {' '.join(argv)}",
        argv=argv,
        exit_status=result.exit_status,
    )


def _mbr() -> Path | None:
    return next((Path(p) for p in MBR if Path(p).is_file()), None)


def _explain(suite: str, chosen: apt_sources.Choice, exit_status: int | None, text: str, log: Path) -> None:
    tail = "\n".join(text.rstrip().splitlines()[-8:])
    if any(mark in text for mark in ("NO_PUBKEY", "BADSIG", "EXPKEYSIG", "is not signed", "couldn't be verified")):
        raise Unsafe(
            f"The package lists for {suite} are not signed by a key that this machine trusts.\n{tail}",
            remedy=apt_sources.explain(chosen, text) + " See that the mirror is intact.",
        )
    if "No space left on device" in text:
        raise HostUnfit(f"The disk became full while {suite} was installed.", remedy="Free some space and try again.")
    if "Unable to fetch" in text or "Failed to fetch" in text or "Could not resolve" in text:
        raise CommandFailed(
            f"The packages of {suite} cannot be fetched.\n{tail}",
            remedy=apt_sources.explain(chosen, text),
            argv=("mmdebstrap",),
            exit_status=exit_status,
            output_tail=tail,
        )
    raise CommandFailed(
        f"mmdebstrap could not install {suite}.\n{tail}",
        remedy=f"Its whole output: {log}",
        argv=("mmdebstrap",),
        exit_status=exit_status,
        output_tail=tail,
    )


@contextmanager
def _following(chatter: Path, notify: Notify) -> Iterator[None]:
    """Turn the growing log of mmdebstrap into events."""
    stop = threading.Event()

    def follow() -> None:
        seen: set[str] = set()
        while not stop.wait(FOLLOW_S):
            text = chatter.read_text(errors="replace") if chatter.exists() else ""
            for mark, fraction in _STAGES.items():
                if mark in text and mark not in seen:
                    seen.add(mark)
                    notify(Event(stage="box", message=f"mmdebstrap: {mark}", fraction=fraction))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
