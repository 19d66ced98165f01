"""Words that data is made of: keys of the probe's documents, of rtlab's files, and of what kernel and psutil report.

They name nobody, though an account or a host may be called so: a user ``page`` must not turn ``first_page_ns`` into
something that no parser knows. What is declared elsewhere is taken from there: fields of dataclasses, metrics,
settings, the allow-lists. ``tests/test_vocabulary.py`` says when a key of the probe or of a report is missing here.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from rtlab import model, plugins, report
from rtlab.publish import allowlist

# /proc/meminfo and /proc/pressure
_KERNEL = frozenset(
    "Active Active(anon) Active(file) AnonHugePages AnonPages Balloon Bounce Buffers Cached CommitLimit "  # noqa: SIM905
    "Committed_AS DirectMap1G DirectMap2M DirectMap4k Dirty FileHugePages FilePmdMapped HardwareCorrupted "
    "HugePages_Free HugePages_Rsvd HugePages_Surp HugePages_Total Hugepagesize Hugetlb Inactive "
    "Inactive(anon) Inactive(file) KReclaimable KernelStack Mapped MemAvailable MemFree MemTotal Mlocked "
    "NFS_Unstable PageTables Percpu SReclaimable SUnreclaim SecPageTables Shmem ShmemHugePages ShmemPmdMapped "
    "Slab SwapCached SwapFree SwapTotal Unevictable VmallocChunk VmallocTotal VmallocUsed Writeback "
    "WritebackTmp Zswap Zswapped avg10".split()
)
# Docker's API
_ENGINE = frozenset(
    "ApiVersion AttachStderr AttachStdout BinaryName CgroupDriver Cmd Components ConfigPath Detach "  # noqa: SIM905
    "DockerRootDir Driver ExitCode Gateway Host HostConfig IPAddress Id Image Labels Memory Name NanoCpus "
    "NetworkMode NetworkSettings Networks Pid RepoDigests RepoTags Root Runtime Runtimes SandboxKey "
    "SecurityOptions Size State StatusCode Tty Version runtimeArgs runtimeType".split()
)
# psutil's named tuples
_PSUTIL = frozenset(
    "active available buffers cached dropin dropout errin errout free guest guest_nice idle inactive iowait "  # noqa: SIM905
    "irq nice percent shared sin slab softirq sout steal system total used".split()
)
# Roles of images; the probe's answers and the files of a report, where they are no dataclass.
_PROBE = frozenset(
    "after at_uptime_s available_fall_bytes before begin binary build binary_is_script binary_name "  # noqa: SIM905
    "binary_sha256 blocking bytes calls_ns campaign cgroup_bytes cgroup_parent cgroup_s clean cmd cni "
    "command comparisons config container_id context cpu_s cpu_times_s cpuacct cpus_inside created_ns "
    "default density digest docker_cli elapsed_ns end engine_socket evidence execs_ns fetches "
    "filter finished_at first_ns first_page_ns full gaps_ns hostname hosts httpd image info "
    "inside_boot_id inside_cpu_limit inside_cpus inside_memory_bytes inside_memory_limit_bytes "
    "inside_version inspect_ns installed_sha256 int interfaces kvm_held_by label_selector labels latency "
    "leaks load_after load_before log_directory log_path machine_boot_id machine_kernel "
    "machine_read_bytes machine_written_bytes meaning measured median_ns meminfo_bytes memory_bytes "
    "memory_used_by_the_paper_bytes metadata mirror missing namespace namespace_options never "
    "new_kernel_messages null null_ns objections ok options outside page pid "
    "pod_sandbox_id processes prove psi_missing psi_some_s pss_bytes read_bytes ready remove_ns removed "
    "resources returned_ns root running runtime_handler runtime_root runtime_sha256 sandbox "
    "sandbox_config sandbox_sha256 seccomp security_context shim_sha256 started_ns state_files "
    "state_is_runcs stdin steal_s steps stop_ns string summaries temperature_c timeline timeout timeout_s "
    "tool tools total_s total_us transfer uid uplinks verb verbose vmm_holds_kvm wanted_sha256 work "
    "written_bytes".split()
)


def _fields() -> Iterator[str]:
    for module in (model, report):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if dataclasses.is_dataclass(found):
                yield from (field.name for field in dataclasses.fields(found))


def _allowed(rule: Any) -> Iterator[str]:
    if isinstance(rule, dict):
        for key, inner in rule.items():
            if isinstance(key, str):
                yield key
            yield from _allowed(inner)
    elif isinstance(rule, list):
        yield from _allowed(rule[0])


def _plugins() -> Iterator[str]:
    for name in plugins.names("experiments"):
        experiment = plugins.experiment(name)
        yield name
        yield from (metric.name for metric in experiment.metrics)
        yield from experiment.defaults("default")
        yield from experiment.defaults("paper")
    yield from plugins.names("runtimes")
    yield from plugins.names("providers")


DECLARED = frozenset((*_fields(), *_allowed(allowlist.FACTS), *_allowed(allowlist.DETAILS), *_plugins()))
KEYS = DECLARED | _KERNEL | _ENGINE | _PSUTIL | _PROBE
# What stands in values: kinds of a timeline's points, programs of a container.
VALUES = (
    "begin",
    "start",
    "stop",
    "end",
    "curl",
    "exe",
    "sh",
    "sleep",
    "failed",
    "invalid",
    "created",
    "running",
    "exited",
)
# The keys and the words in them, in lower case: never looked for as a name.
WORDS = frozenset(
    word.lower()
    for key in (*KEYS, *VALUES)
    for word in (key, *re.split(r"[_()]+", key), *re.findall(r"[A-Z]?[a-z]+", key))
    if word
)
