"""Proof that gVisor ran a container, and its settings in force. Python 3.6 and the standard library."""

import glob
import os
import re
from typing import List, Optional

from rtlab.probe.base import Document, said_by
from rtlab.probe.programs import digest_of, which
from rtlab.probe.proof import same_kernel, shortened

# runsc calls its sandbox and gofer `exe`.
PROGRAMS = ("runsc", "gvisor", "exe")


def proof(seen: Document, installed: List[str]) -> List[str]:
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


def belonging(path: str, search: Optional[str]) -> Document:
    """For gVisor's shim the runsc that it calls, found as the shim finds it; and the programs beside runsc that belong
    to it: releases since 2026-07 boot the sandbox with ``gvisor-bin/gvisor_sentry``, if it is there, instead of runsc
    (runsc/gvisorbinaries of that release)."""
    found: Document = {}
    called = path
    if os.path.basename(path).startswith("containerd-shim-runsc"):
        called = which("runsc", search) or os.path.join(os.path.dirname(path), "runsc")
        found["runtime_sha256"] = digest_of(called)
    parts = glob.glob(os.path.join(os.path.dirname(os.path.realpath(called)), "gvisor-bin", "*"))
    found["parts"] = {os.path.basename(part): digest_of(part) for part in parts if os.path.isfile(part)}
    return found


def facts(path: str, entry: Document) -> Document:
    if "runsc" not in os.path.basename(path):
        return {}
    if os.path.basename(path).startswith("containerd-shim-runsc"):
        # The shim itself tells no version.
        called = os.path.join(os.path.dirname(path), "runsc")
        version = (said_by([called, "--version"]) or "").split("\n")[0].strip()[:200] or None
        return dict(gvisor_settings(called, []), version=version)
    return gvisor_settings(path, entry.get("runtimeArgs") or [])


def gvisor_settings(path: str, arguments: List[str]) -> Document:
    """On which platform and with whose network stack gVisor runs, where nobody said by its own defaults: they changed
    in mid-2023 (ptrace to systrap). None where it does not tell."""
    told = said_by([path, "flags"]) or ""

    def setting(name: str) -> Optional[str]:
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
