"""The fields of facts, testbeds and specs that may leave, each with the shape that its value may have. Data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WITHHELD: Any = object()
NUMBER: Any = object()
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
ARM = re.compile(r"[a-z0-9][a-z0-9_.:#-]{0,39}")
# The longest that is known is that of Kata's shim, 132 characters with quotes in them.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,:;+~_()/\"'=-]{0,199}")
TEXT = re.compile(r"[\w .,:;()\[\]+/@#®™*=~%'-]{0,200}")
HEX = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
PROGRAM = re.compile(r"/(?:usr|opt|bin|sbin|lib)/[A-Za-z0-9._/+-]{1,100}")
ARGUMENT = re.compile(
    r"/etc/kata-containers/configuration[a-z0-9-]{0,30}\.toml|--?[a-z][a-z0-9-]{0,40}(?:=[A-Za-z0-9._-]{0,40})?"
)
# Of Kata's configuration.toml: hypervisor.qemu.default_memory, and a number, true, a text in quotes, a list of these.
SETTING = re.compile(r"[A-Za-z0-9_]{1,40}(?:\.[A-Za-z0-9_-]{1,60}){0,4}")
SETTING_VALUE = re.compile(r"[\w .,:;()\[\]+/@=~%'\"-]{0,300}")
IMAGE = re.compile(r"(?:[a-z0-9_-]+/)*[a-z0-9._-]+(?::[A-Za-z0-9._-]{1,60})?(?:@sha256:[0-9a-f]{64})?")
SCENARIO = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{0,100000}")
KERNEL_WORD = re.compile(
    r"quiet|ro|rw|splash|nosmt|nokaslr|nomodule|(?:console|mitigations|panic|psi|clocksource|tsc|idle|isolcpus|nohz|nohz_full|"
    r"rcu_nocbs|transparent_hugepage|hugepages|hugepagesz|default_hugepagesz|intel_iommu|amd_iommu|iommu|swiotlb|"
    r"intel_pstate|intel_idle\.max_cstate|processor\.max_cstate|cpufreq\.default_governor|cgroup_enable|cgroup_no_v1|"
    r"swapaccount|systemd\.unified_cgroup_hierarchy|net\.ifnames|maxcpus|nr_cpus|mem|kvm[\w.-]*)=[A-Za-z0-9,._-]{0,60}"
)
# A text whose words leave one by one.
KERNEL_LINE: Any = object()
# Numbers, texts and lists of them; every text is searched.
ANY: Any = object()

FACTS: Mapping[Any, Any] = {
    "schema": NUMBER,
    "outcome": WORD,
    "reason": re.compile(""),
    "probe": VERSION,
    "scenario": TEXT,
    "taken_at": TIME,
    "boot_id": UUID,
    "kernel": VERSION,
    "kernel_command_line": KERNEL_LINE,
    "distribution": TEXT,
    "architecture": WORD,
    "python": VERSION,
    "psutil": VERSION,
    "cpu": {
        "model": TEXT,
        "vendor": VERSION,
        "count": NUMBER,
        "virtualization": [WORD],
        "hypervisor_seen": NUMBER,
        "microcode": VERSION,
        "governor": WORD,
        "mitigations": {WORD: TEXT},
    },
    **{
        f"{kind}_bytes": NUMBER
        for kind in ("memory_total", "memory_available", "swap_total", "disk_free", "disk_total")
    },
    "ksm": VERSION,
    "transparent_hugepages": re.compile(r"[a-z \[\]]{0,60}"),
    "clocksource": WORD,
    "cgroups": WORD,
    "kvm": NUMBER,
    "modules": [WORD],
    "uptime_s": NUMBER,
    "load": [NUMBER],
    "docker": {
        "version": VERSION,
        "api": VERSION,
        "components": {VERSION: VERSION},
        "storage_driver": WORD,
        "cgroup_driver": WORD,
        "security": [re.compile(r"name=[a-z0-9-]{1,40}(?:,profile=(?:default|builtin|unconfined))?")],
    },
    "runtimes": {
        ARM: {
            "path": PROGRAM,
            "sha256": HEX,
            "version": VERSION,
            "arguments": [ARGUMENT],
            # By these the heading calls what was measured old or not as people run it.
            "platform": WORD,
            "network": WORD,
            "parts": [WORD],
            "configuration": {SETTING: SETTING_VALUE},
        }
    },
    "images": {IMAGE: {"id": HEX, "digests": [IMAGE], "size_bytes": NUMBER}},
}

DETAILS: Mapping[Any, Any] = {
    "scenario": SCENARIO,
    "scenario_name": WORD,
    "images": {WORD: IMAGE},
    "accel": WORD,
    "backend": WORD,
    "cpus": NUMBER,
    "memory_mb": NUMBER,
    "disk_gb": NUMBER,
    "disk_cache": WORD,
    "box": {
        "name": re.compile(r"(?:rtlab-[0-9a-f]{8}/)?[a-z0-9.-]{1,60}"),
        "version": VERSION,
        "sha256": HEX,
        "provisioned": NUMBER,
    },
    "libvirt_version": VERSION,
    "qemu_version": VERSION,
    "virtualbox_version": VERSION,
    "engine": {"docker": VERSION, "containerd": VERSION},
    "storage_driver": WORD,
    "cgroup_version": VERSION,
    "cgroup_driver": WORD,
    "iptables": NUMBER,
    "allow_reboot": NUMBER,
    "system_runtimes": [WORD],
    "next_best": {WORD: ANY},
    "kata": {WORD: {WORD: ANY}},
    "kata_version": VERSION,
    "kata_flavour": WORD,
}


def shaped(value: Any, shape: re.Pattern[str]) -> str:
    """A text that has the shape, or nothing."""
    return value if isinstance(value, str) and shape.fullmatch(value) else ""
