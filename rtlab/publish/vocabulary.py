"""Words that data is made of: keys of the probe's documents, of rtlab's files, and of what kernel and psutil report.

They name nobody, though an account or a host may be called so: a user ``page`` must not turn ``first_page_ns`` into
something that no parser knows. ``tests/test_vocabulary.py`` says when a key of the probe is missing here.
"""

from __future__ import annotations

import re

KEYS = frozenset(
    """
    aa accel Active active Active(anon) Active(file) address after allow_reboot annotations AnonHugePages AnonPages
    api ApiVersion architecture arguments argv arm at_uptime_s AttachStderr AttachStdout attempt available
    available_fall_bytes avg10 backend Balloon baseline before begin beside better big_bytes binary binary_is_script
    binary_name binary_sha256 BinaryName block blocking blocks blocks_needed boot boot_id Bounce box buffers Buffers
    bytes bytes_recv bytes_sent cached Cached calls_ns campaign caveats cgroup_bytes cgroup_driver cgroup_parent
    cgroup_s cgroup_version CgroupDriver cgroups clean cli cli_first_page_s cli_returned_s cli_starts clocksource
    cmd Cmd cni cold_first_page_s command CommitLimit Committed_AS comparisons components Components confidence
    config ConfigPath configuration container_available_bytes container_cgroup_bytes container_id
    container_pss_bytes containerd containers context count cov cpu cpu_s cpu_times_s cpuacct cpus cpus_inside
    created_at created_ns created_s crun default density design Detach details digest digests DirectMap1G
    DirectMap2M DirectMap4k Dirty disk_cache disk_free_bytes disk_gb disk_total_bytes display_unit distribution
    docker docker_cli docker_name DockerRootDir Driver dropin dropout elapsed_ns elapsed_s end ended_at engine
    engine_cpu_s engine_socket entry errin errout estimand evidence exit_status ExitCode experiment experiments
    exploratory facts fetches FileHugePages FilePmdMapped files filter finished_at first_page_ns first_page_s
    fixed_pss_bytes folder fraction free full gaps_ns Gateway get_block_bytes_per_s get_block_cpu_percent governor
    guest guest_nice gvisor HardwareCorrupted high home Host HostConfig hostname HugePages_Free HugePages_Rsvd
    HugePages_Surp HugePages_Total Hugepagesize Hugetlb hypervisor_seen Id id idle Image image images Inactive
    inactive Inactive(anon) Inactive(file) index info inside_boot_id inside_cpu_limit inside_cpus
    inside_memory_bytes inside_memory_limit_bytes inside_version inspect_ns installed_sha256 int interfaces io
    iowait IPAddress iptables irq kata kata_flavour kata_version kernel kernel_command_line KernelStack key_file
    kind known_errors known_hosts_file KReclaimable ksm kvm kvm_held_by label label_selector labels Labels latency
    leaks level libvirt_version limit_cpus limit_memory_mb limiting_arm load load_after load_before log_directory
    log_path low machine machine_boot_id machine_effect machine_kernel machine_read_bytes machine_written_bytes
    machines Mapped margin max_blocks max_hours maximum may_reboot mean mean_ratio meaning measured median median_ns
    MemAvailable MemFree meminfo_bytes Memory memory memory_available_bytes memory_bytes memory_mb
    memory_total_bytes memory_used_by_the_paper_bytes MemTotal message metadata method metric microcode min_blocks
    minimum mirror missing mitigations Mlocked model modules n_censored n_failed name Name namespace
    namespace_options NanoCpus needs_kvm netns network NetworkMode Networks NetworkSettings never
    new_kernel_messages NFS_Unstable nice note null null_s null_starts number objections ok options outcome outside
    overhead_s own_kernel p_adjusted p_value packets_recv packets_sent page page_bytes page_port page_sha256
    PageTables paper parameters parts path percent Percpu Pid pid platform pod_sandbox_id point port positive
    primary probe processes profile proof prove provider provisioned psi_missing psi_some_s pss_bytes psutil
    put_block_bytes_per_s put_block_cpu_percent python qemu_version ram_mb ratio read_bytes ready ready_timeout_s
    reason reboot rebooted record remove_ns remove_s removed repeats RepoDigests RepoTags request_s requests
    resources returned_ns role root Root runc running runs Runtime runtime runtime_handler runtime_root
    runtime_sha256 runtimeArgs runtimes Runtimes runtimeType sandbox sandbox_config sandbox_sha256 SandboxKey
    scenario scenario_name schema sd seccomp SecPageTables security security_context SecurityOptions seed
    seeks_per_s sentence settings settle_s sha256 shared shim shim_sha256 Shmem ShmemHugePages ShmemPmdMapped
    simulated sin Size size_bytes size_mb skip_per_character Slab slab socket softirq sout spec SReclaimable stage
    started_at started_ns started_s starts startup_cpu_s State state_files state_is_runcs StatusCode stderr stdin
    stdout steal steal_s steps stop_ns stop_s storage_driver string sudo summaries summary SUnreclaim
    swap_total_bytes SwapCached SwapFree SwapTotal system tables taken_at target temperature_c timed_out timeline
    timeout timeout_s title tool total total_s total_us transfer transfer_bytes_per_s transparent_hugepages
    transport trial trial_timeout_s trials Tty uid Unevictable unit until uplinks uptime_s url used user value
    variants vendor verb verbose verdict version Version virtualbox_version virtualization VmallocChunk VmallocTotal
    VmallocUsed vmm_holds_kvm waited_s wanted_sha256 where window_s work work_cpu_s work_mb Writeback WritebackTmp
    written_bytes youki Zswap Zswapped
    """.split()  # noqa: SIM905 (a list would be 460 lines)
)
# What stands in values: kinds of a timeline's points, programs of a container.
VALUES = (
    *(
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
    ),
)
# The keys and the words in them, in lower case: never looked for as a name.
WORDS = frozenset(
    word.lower()
    for key in (*KEYS, *VALUES)
    for word in (key, *re.split(r"[_()]+", key), *re.findall(r"[A-Z]?[a-z]+", key))
    if word
)
