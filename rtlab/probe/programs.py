"""The files that processes run: found as the machine finds them, known by their digests."""

import glob
import hashlib
import os
import shutil
from typing import Any, Dict, Optional

from rtlab.probe.kernel import read

_digests: Dict[Any, Optional[str]] = {}


def is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def which(name: str, path: Optional[str]) -> Optional[str]:
    """The program of that name in ``path`` (a PATH; None: the usual folders)."""
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return shutil.which(name, path=path or usual)


def environment_of(pid: int) -> Dict[str, str]:
    """A process's environment at its start; empty where it cannot be read."""
    pairs = (pair.partition("=") for pair in read("/proc/%d/environ" % pid).split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def holds_kvm(pid: int) -> bool:
    """Whether a process has a virtual machine open. Dragonball and OpenVMM live in the shim itself: ask every one."""
    for link in glob.glob("/proc/%d/fd/*" % pid):
        try:
            if os.readlink(link) in ("/dev/kvm", "anon_inode:kvm-vm", "anon_inode:[kvm-vm]"):
                return True
        except OSError:
            continue
    return False


def digest_of(path: str) -> Optional[str]:
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


def digest_of_process(pid: int) -> Optional[str]:
    """SHA-256 of the program that a process really runs, also when its file was replaced or removed meanwhile."""
    return digest_of("/proc/%d/exe" % pid)
