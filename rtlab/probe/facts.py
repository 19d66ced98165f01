"""What the machine is."""

import glob
import os
import platform
import re
import shutil
import time
from typing import List, Optional

from rtlab.probe.base import Document, said_by
from rtlab.probe.kernel import boot_id, kernel_command_line, meminfo, read
from rtlab.probe.plugins import engine, every
from rtlab.probe.programs import digest_of


def facts(request: Document) -> Document:
    """Hardware, kernel, versions and digests: nothing that names a person, a host or a mirror."""
    using = engine(request, time.monotonic() + float(request["timeout_s"]))
    memory = meminfo()
    cpu = read("/proc/cpuinfo")

    def field(name: str) -> Optional[str]:
        match = re.search(r"^%s\s*:\s*(.*)$" % name, cpu, re.M)
        return match.group(1).strip() if match else None

    flags = set((field("flags") or "").split())
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', read("/etc/os-release"), re.M))
    runtimes = {}
    for name, entry in using.runtimes().items():
        path = using.program(name, entry) or entry.get("path") or entry.get("runtimeType") or name
        runtimes[name] = {
            "path": path,
            "sha256": digest_of(path) if os.path.isfile(path) else None,
            "arguments": entry.get("runtimeArgs") or [],
            "version": _first_line([path, "--version"]) if os.path.isfile(path) else None,
        }
        for runtime in every("runtimes", "proof").values():
            if hasattr(runtime, "facts"):
                runtimes[name].update(runtime.facts(path, entry))
    try:
        import psutil

        psutil_version: Optional[str] = psutil.__version__
    except ImportError:
        psutil_version = None
    root = using.storage()
    folder = root if os.path.isdir(root) else "/"
    found: Document = {
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
        "runtimes": runtimes,
    }
    found.update(using.facts())
    return found


def _first_line(argv: List[str]) -> Optional[str]:
    return (said_by(argv) or "").split("\n")[0].strip()[:200] or None
