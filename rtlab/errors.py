"""What can go wrong, as types.

    RtlabError                    exit 1    anything that rtlab says in one sentence instead of a traceback
    ├── UsageError                exit 2    a wrong argument, option or configuration key
    │   └── ConfigError           exit 2    a problem in rtlab.toml or a profile, named with its key
    ├── HostUnfit                 exit 3    this machine lacks something that the command needs
    ├── CommandFailed             exit 1    an external program (Vagrant, Ansible, Docker, ssh) failed or timed out
    │   ├── ProvisionFailed       exit 1    a task of a playbook failed on a host
    │   └── MachineUnreachable    exit 1    SSH to a machine is refused, lost, or its host key changed
    ├── TestbedMissing            exit 1    a command needs machines and there are none
    ├── Locked                    exit 6    another rtlab works on the same folder
    ├── ParseError                exit 1    a tool's output is not what its format says
    ├── StoreError                exit 1    a campaign folder is damaged, foreign or too new, or the disk is full
    ├── Unsafe                    exit 1    a download, archive, key or path that must not be used
    └── LeftOver                  exit 5    teardown could not remove something, which it names

``rtlab.cli`` is the only place that prints them and exits. A message says what happened and to what;
``remedy`` says what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class RtlabError(Exception):
    """Base of all errors that rtlab reports to its user.

    Attributes:
        message: What happened, and to what; one sentence or a few lines.
        remedy: What to do next, usually a command; empty when there is nothing to add.
        exit_code: The process's exit status when this error ends a command.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class UsageError(RtlabError):
    """A wrong argument or option."""

    exit_code = 2


class ConfigError(UsageError):
    """A problem in a configuration file; the message names file, key, value and what is allowed."""


class HostUnfit(RtlabError):
    """This machine lacks something that the command needs; the remedy is the command that mends it."""

    exit_code = 3


class CommandFailed(RtlabError):
    """An external program failed, timed out or could not be started.

    Attributes:
        argv: The program and its arguments.
        exit_status: None when it was killed after its time limit or never started.
        output_tail: The last lines it printed; where the whole output is kept stands in the message.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        argv: Sequence[str] = (),
        exit_status: int | None = None,
        output_tail: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.argv = tuple(argv)
        self.exit_status = exit_status
        self.output_tail = output_tail


class ProvisionFailed(CommandFailed):
    """A task of a playbook failed: the message names host, task and what the module said."""


class MachineUnreachable(CommandFailed):
    """SSH to a machine was refused or lost, or the machine's host key is not the known one."""


class TestbedMissing(RtlabError):
    """The command needs a testbed and this folder has none."""

    __test__ = False  # the name makes pytest think otherwise


class Locked(RtlabError):
    """Another rtlab holds the lock; the message names it."""

    exit_code = 6


class ParseError(RtlabError):
    """Text of a tool is not in the format it should be in.

    Attributes:
        line: The line at which parsing stopped, shortened; empty when the text was empty.
    """

    def __init__(self, message: str, *, line: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.line = line[:200]


class StoreError(RtlabError):
    """A campaign folder cannot be read or written; the message names the file."""


class Unsafe(RtlabError):
    """A download, archive, key or path that rtlab refuses to use."""


class LeftOver(RtlabError):
    """Teardown could not remove everything; the message lists what is left."""

    exit_code = 5
