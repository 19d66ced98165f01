"""Applies playbooks to a testbed: ansible-runner behind one typed function.

Everything that Ansible writes stays in the state folder (``.rtlab/ansible``, 0700); it gets an inventory made from the
testbed, an environment of known names only, and its own SSH settings: no user configuration of Ansible or SSH is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtlab import atomic, content, plugins
from rtlab.connection.shell import run
from rtlab.errors import CommandFailed, HostUnfit, MachineUnreachable, ProvisionFailed
from rtlab.model import Event, Level, Machine, Notify, Testbed
from rtlab.state import StateFolder

# ansible_runner is imported where it is used: it costs 40 ms, which `rtlab --help` need not pay.
if TYPE_CHECKING:
    from ansible_runner.config.runner import RunnerConfig

# Names that Ansible may inherit; everything else of the caller's environment stays outside.
ENVIRONMENT = ("HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "RTLAB_CACHE", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
KEPT_RUNS = 10
_MESSAGE_LINES = 12
# After the limit or Ctrl-C: how long the killed process may take until its pipes are drained.
_END_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookRun:
    """One playbook, applied.

    Attributes:
        changed: Machine to the number of tasks that changed something there.
        ok: Machine to the number of tasks that ran there.
        log: All output, with the whole result of each failed task.
    """

    changed: Mapping[str, int]
    ok: Mapping[str, int]
    elapsed_s: float
    log: Path


def apply(
    playbook: str,
    testbed: Testbed,
    *,
    state: StateFolder,
    extra_vars: Mapping[str, Any],
    notify: Notify,
    timeout_s: float,
    limit: Sequence[str] | None = None,
) -> PlaybookRun:
    """Apply a playbook of ``playbooks/`` to the testbed's machines and wait for it.

    Args:
        extra_vars: Win over everything, as with ``ansible-playbook -e``.
        limit: Names of machines; None means all.

    Raises:
        ProvisionFailed: a task failed; names host, task and what the module said. Or the time limit passed.
        MachineUnreachable: a machine does not answer, or its host key is not the known one.
        HostUnfit: rtlab's Python environment has no ansible-playbook.
    """
    from ansible_runner.config.runner import RunnerConfig

    begin = time.monotonic()
    folder = state.folder("ansible")
    root = content.root()
    log = state.folder("logs") / f"{time.strftime('%Y%m%dT%H%M%S')}-{Path(playbook).stem}.log"
    inventory = folder / "inventory.json"
    machines = [m for m in testbed.machines if limit is None or m.name in limit]
    atomic.write_json(inventory, inventory_of(testbed, machines), 0o600)
    # ansible-runner writes these two itself, but never again where they exist: old values would win.
    inputs = atomic.make_folder(folder / "env", 0o700)
    atomic.write_json(inputs / "extravars", dict(extra_vars), 0o600)
    atomic.write_json(inputs / "settings", {"pexpect_timeout": 1, "suppress_ansible_output": True}, 0o600)
    # Not below the state folder: a socket's path may have 108 characters at most.
    sockets = Path(tempfile.mkdtemp(prefix="rtlab-ssh-"))
    arguments = {
        "private_data_dir": str(folder),
        "project_dir": str(root),
        "playbook": str(root / "playbooks" / playbook),
        "inventory": str(inventory),
        "rotate_artifacts": KEPT_RUNS,
        "quiet": True,
    }
    configuration = RunnerConfig(**arguments)
    configuration.prepare()
    configuration.command[0] = str(_ansible_playbook())
    configuration.env = environment(configuration.env, root=root, folder=folder, sockets=sockets)
    progress = _Progress(notify=notify, log=log, expected=expected_tasks(root, playbook, machines))
    progress.note(f"--- {' '.join(configuration.command)}")
    try:
        status = _run(configuration, progress, timeout_s)
    finally:
        _close_connections(sockets)
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        progress.close()
    if status == "timeout":
        raise ProvisionFailed(
            f"Playbook {playbook} did not end within {timeout_s:.0f} s; it was at {progress.where()}. "
            f"All output: {log}.",
            remedy="Run the same command again: it goes on where it stopped. A machine that hangs shows in the log.",
            argv=configuration.command,
        )
    if status != "successful":
        raise progress.failure(playbook, configuration.command)
    return PlaybookRun(
        changed={m.name: progress.stats.get("changed", {}).get(m.name, 0) for m in machines},
        ok={m.name: progress.stats.get("ok", {}).get(m.name, 0) for m in machines},
        elapsed_s=time.monotonic() - begin,
        log=log,
    )


# --------------------------------------------------------------------------- what Ansible is given


def inventory_of(testbed: Testbed, machines: Sequence[Machine]) -> dict[str, Any]:
    """The inventory, in the form of Ansible's yaml plug-in. It serves by hand too: ``ansible-playbook -i``."""
    return {"all": {"hosts": {m.name: host_variables(testbed, m) for m in machines}}}


def host_variables(testbed: Testbed, machine: Machine) -> dict[str, Any]:
    """How Ansible reaches a machine, and what the roles must know about it."""
    variables: dict[str, Any] = {
        "rtlab_home": machine.home,
        "rtlab_python": machine.python,
        "rtlab_emulated": machine.level is Level.EMULATED,
        "rtlab_testbed": testbed.id,
        "rtlab_netns": machine.netns or "",
        "docker_cli": machine.engine.cli,
        "docker_host": f"unix://{machine.engine.socket}",
    }
    # The roles hand runtimes to the machine's first engine; whoever started another one has handed them to that.
    if mine := [name for name in machine.runtimes if not plugins.runtime(name).engine]:
        variables["runtimes"] = mine
    if machine.transport == "local":
        return variables | {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": os.geteuid() != 0,
        }
    return variables | {
        "ansible_host": machine.address,
        "ansible_port": machine.port,
        "ansible_user": machine.user,
        "ansible_python_interpreter": machine.python,
        "ansible_become": machine.sudo and machine.user != "root",
        "ansible_ssh_args": shlex.join(ssh_arguments(machine)),
        **({"ansible_ssh_private_key_file": machine.key_file} if machine.key_file else {}),
    }


def ssh_arguments(machine: Machine) -> tuple[str, ...]:
    """OpenSSH's arguments: only the given key, only the known host key, nobody's configuration."""
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "ControlMaster=auto",
        "ControlPersist=120",
        "ServerAliveInterval=20",
        "ServerAliveCountMax=6",
    ]
    if machine.known_hosts_file:
        options.append(f'UserKnownHostsFile="{machine.known_hosts_file}"')
    if machine.key_file:
        options.append("IdentitiesOnly=yes")
    return ("-F", "none", *(part for option in options for part in ("-o", option)))


def environment(prepared: Mapping[str, str], *, root: Path, folder: Path, sockets: Path) -> dict[str, str]:
    """The environment of ansible-playbook: known names, ansible-runner's own, and ours."""
    inherited = {name: os.environ[name] for name in (*ENVIRONMENT, *PROXIES) if name in os.environ}
    # ansible-runner copies the caller's whole environment and adds to it: only what it added or changed is wanted.
    added = {name: value for name, value in prepared.items() if os.environ.get(name) != value}
    return {
        **inherited,
        **added,
        # Ansible starts ssh, and forks of itself: rtlab's own environment goes first.
        "PATH": os.pathsep.join((str(_bin()), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_ROLES_PATH": str(root / "roles"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        # ansible-runner switches this off unless told.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_NOCOLOR": "1",
    }


def _bin() -> Path:
    return Path(sys.executable).parent


def _ansible_playbook() -> Path:
    program = _bin() / "ansible-playbook"
    if not program.is_file():
        raise HostUnfit(
            f"There is no ansible-playbook beside {sys.executable}.",
            remedy="In a checkout of rtlab, `.ci/setup` makes .venv with all of it; then run .venv/bin/rtlab.",
        )
    return program


def expected_tasks(root: Path, playbook: str, machines: Sequence[Machine]) -> int:
    """About how many tasks a run has, for the progress bar.

    Roles are included at run time, so Ansible cannot tell beforehand: the files are followed here.
    """
    runtimes = sorted({runtime.split(":", 1)[0] for machine in machines for runtime in machine.runtimes})

    def follow(file: Path) -> int:
        if not file.is_file():
            return 0
        text = file.read_text(encoding="utf-8")
        count = text.count("- name: ")
        for name in re.findall(r"include_tasks: ([\w.]+)$", text, re.MULTILINE):
            count += follow(file.with_name(name))
        for role, tasks_from in re.findall(r"include_role:\s+name: (.+)(?:\s+tasks_from: (\w+))?", text):
            for name in runtimes if "runtime" in role else (role,):
                # One more: Ansible checks the role's arguments in a task of its own.
                count += 1 + follow(root / "roles" / name / "tasks" / f"{tasks_from or 'main'}.yml")
        return count

    # Every branch was counted; of a first run of site.yml about a fifth was not taken.
    return round(follow(root / "playbooks" / playbook) * 0.8)


# --------------------------------------------------------------------------- running it


def _run(configuration: RunnerConfig, progress: _Progress, timeout_s: float) -> str:
    """Run ansible-playbook in a thread and follow its events here; returns ansible-runner's status.

    The thread lets Ctrl-C in the main thread end the process group, and keeps ``notify`` on the caller's thread.
    """
    from ansible_runner import Runner

    events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled, finished = threading.Event(), threading.Event()
    crash: list[BaseException] = []

    def handle(event: dict[str, Any]) -> bool:
        events.put(event)
        return False  # no event file per event: the log has them

    runner = Runner(configuration, event_handler=handle, cancel_callback=cancelled.is_set)

    def work() -> None:
        try:
            runner.run()
        except BaseException as error:  # handed to the caller's thread
            crash.append(error)
        finally:
            finished.set()

    worker = threading.Thread(target=work, name="ansible", daemon=True)
    deadline = time.monotonic() + timeout_s
    timed_out = False
    worker.start()
    try:
        while not (finished.is_set() and events.empty()):
            try:
                progress.take(events.get(timeout=0.2))
            except queue.Empty:
                if time.monotonic() > deadline and not timed_out:
                    timed_out = True
                    cancelled.set()
                if timed_out and time.monotonic() > deadline + _END_S:
                    break
    finally:
        if not finished.is_set():
            cancelled.set()  # ansible-runner then kills the whole process group
            try:
                worker.join(_END_S)
            except KeyboardInterrupt:  # another Ctrl-C
                worker.join(_END_S)
                raise
    if timed_out:
        return "timeout"
    if crash:
        raise CommandFailed(f"ansible-runner failed: {crash[0]}", argv=configuration.command) from crash[0]
    return str(runner.status)


def _close_connections(sockets: Path) -> None:
    """End the SSH connections that Ansible keeps open between tasks, and remove their sockets."""
    for socket in sockets.iterdir():
        with contextlib.suppress(CommandFailed):
            run(("ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "rtlab"), timeout_s=10)
    shutil.rmtree(sockets, ignore_errors=True)


# --------------------------------------------------------------------------- what it says


@dataclass(kw_only=True)
class _Progress:
    """Follows the events of one run: progress for people, everything for the log, failures for the error."""

    notify: Notify
    log: Path
    expected: int
    done: int = 0
    task: str = ""
    failures: list[_Failure] = field(default_factory=list)
    stats: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    last_lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def note(self, text: str) -> None:
        self._file.write(text + "\n")

    def close(self) -> None:
        self._file.close()

    def where(self) -> str:
        return f"task {self.task!r}" if self.task else "its start"

    def take(self, event: Mapping[str, Any]) -> None:
        """One event of ansible-runner."""
        kind, data = event.get("event", ""), event.get("event_data", {})
        if text := event.get("stdout", ""):
            self._file.write(text.replace("\r\n", "\n") + "\n")
            self._file.flush()
            self.last_lines = (self.last_lines + text.splitlines())[-30:]
        if kind == "playbook_on_task_start":
            self.done += 1
            self.task = _without_repetition(str(data.get("name", "")))
            fraction = min(self.done / self.expected, 0.99) if self.expected else None
            self.notify(Event(stage="provision", message=self.task, fraction=fraction))
        elif kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            failure = _Failure.of(data, unreachable=kind == "runner_on_unreachable")
            self.failures.append(failure)
            self.note(json.dumps(data.get("res", {}), indent=2, default=str))
        elif kind == "runner_retry":
            self.notify(
                Event(
                    stage="provision", message=f"{self.task} (tried again)", machine=str(data.get("host", "")) or None
                )
            )
        elif kind == "playbook_on_stats":
            self.stats = {name: data.get(name) or {} for name in ("ok", "changed", "failures", "dark", "rescued")}

    def failure(self, playbook: str, argv: Sequence[str]) -> CommandFailed:
        """The error for a run that failed. The last failure of each host counts: earlier ones were rescued."""
        last = {failure.host: failure for failure in self.failures}
        failed = set(self.stats.get("failures", {})) | set(self.stats.get("dark", {})) or set(last)
        counted = [failure for host, failure in last.items() if host in failed]
        unreachable = [failure for failure in counted if failure.unreachable]
        if unreachable:
            return MachineUnreachable(
                "\n".join(f"{f.host} cannot be reached (task {f.task!r}): {f.message}" for f in unreachable),
                remedy=_unreachable_remedy(unreachable[0].message) + f" All output: {self.log}.",
                argv=argv,
            )
        if not counted:
            tail = "\n".join(line for line in self.last_lines if line.strip())
            return ProvisionFailed(
                f"Ansible could not run {playbook}:\n{_first_lines(tail)}", remedy=f"All output: {self.log}.", argv=argv
            )
        return ProvisionFailed(
            "\n".join(f"{f.host}: task {f.task!r} failed: {f.message}" for f in counted),
            remedy=f"All output: {self.log}. When it is mended, run the same command again: it goes on from there.",
            argv=argv,
            output_tail=counted[0].message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    host: str
    task: str
    message: str
    unreachable: bool

    @classmethod
    def of(cls, data: Mapping[str, Any], *, unreachable: bool) -> _Failure:
        role = data.get("role")
        task = f"{role}: {data.get('task', '')}" if role else str(data.get("task", ""))
        return cls(
            host=str(data.get("host", "?")),
            task=task,
            message=message_of(data.get("res") or {}),
            unreachable=unreachable,
        )


def _without_repetition(name: str) -> str:
    """A task's name for people: "docker : Load it" -> "docker: Load it"; the checks of arguments say little."""
    role, separator, task = name.partition(" : ")
    if not separator:
        return name
    return f"{role}: {'checking its variables' if task.startswith('Validating arguments') else task}"


def message_of(result: Mapping[str, Any]) -> str:
    """What a module said about its failure, shortened: its message, and what the program printed."""
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
            return message_of(item)
    parts = [str(result[key]).strip() for key in ("msg", "stderr", "module_stderr", "exception") if result.get(key)]
    if not result.get("stderr") and result.get("rc"):
        parts.append(str(result.get("stdout", "")).strip())
    unique = [part for number, part in enumerate(parts) if part and part not in "\n".join(parts[:number])]
    return _first_lines("\n".join(unique)) or "no message"


def _first_lines(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join(line[:400] for line in lines[:_MESSAGE_LINES]) + ("\n…" if len(lines) > _MESSAGE_LINES else "")


def _unreachable_remedy(message: str) -> str:
    if "IDENTIFICATION HAS CHANGED" in message or "Host key verification failed" in message:
        return (
            "The machine's host key is not the known one: another machine answers at that address, or it was installed "
            "anew. If that is intended, run `rtlab teardown` and `rtlab up` again, or mend known_hosts."
        )
    return "`rtlab status` says what the machine is doing; `rtlab up` starts it again."
