"""Runs commands on a machine over SSH (paramiko): the remote twin of ``shell.LocalShell``.

Host keys come from the testbed's own known_hosts file and nowhere else: an unknown or changed key is an
error, never a question. No agent, no user configuration, no other keys than the testbed's.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import paramiko

from rtlab.connection.shell import OUTPUT_CAP_BYTES
from rtlab.errors import CommandFailed, MachineUnreachable, Unsafe
from rtlab.model import CommandResult, Machine
from rtlab.state import now

CONNECT_TIMEOUT_S = 20.0
KEEPALIVE_S = 15
# A machine whose kernel acknowledges nothing for this long has vanished or hangs. Left to itself TCP tries for a
# quarter of an hour; emulated machines on a busy host stand still for some seconds at most.
VANISHED_AFTER_S = 90
_PIECE = 32768

T = TypeVar("T")

# What paramiko logs (a machine that reboots refuses connections) comes as an exception too: not onto the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SSHShell:
    """A ``model.Shell`` over one SSH connection, opened at the first command and again after it was lost."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._client: paramiko.SSHClient | None = None

    # ------------------------------------------------------------- Shell

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        """Run ``argv`` there: the remote shell gets every word quoted, so none of them is interpreted.

        A time-out closes the channel; sshd then ends what it started only if that writes, so long work is the
        probe's, which has a deadline of its own.
        """
        prefix = ("sudo", "-n", "--") if root and self.machine.sudo else ()
        started_at, begin = now(), time.monotonic()
        deadline = begin + timeout_s
        command = shlex.join((*prefix, *argv))

        def execute(client: paramiko.SSHClient) -> CommandResult:
            transport = client.get_transport()
            assert transport is not None
            channel = transport.open_session(timeout=CONNECT_TIMEOUT_S)
            with contextlib.closing(channel):
                channel.exec_command(command)
                out, err, timed_out = _exchange(channel, stdin, deadline)
                status = None if timed_out else channel.recv_exit_status()
            if status == -1:
                raise MachineUnreachable(
                    f"The connection to {self.machine.name} was lost while `{_short(argv)}` ran.",
                    remedy="`rtlab status` shows whether the machine is up; `rtlab bench` goes on where it stopped.",
                    argv=argv,
                )
            return CommandResult(
                argv=tuple(argv),
                exit_status=status,
                stdout=out,
                stderr=err,
                started_at=started_at,
                elapsed_s=time.monotonic() - begin,
                timed_out=timed_out,
            )

        return self._with_client(execute)

    def put(self, content: bytes, path: str, mode: int) -> None:
        temporary = f"{path}.rtlab-new"
        for argv in (
            ("install", "-D", "-m", f"{mode:o}", "/dev/stdin", temporary),
            ("mv", "-f", "--", temporary, path),
        ):
            stdin = content if argv[0] == "install" else b""
            self._checked(argv, stdin, f"write {path}")

    def get(self, path: str) -> bytes:
        return self._checked(("cat", "--", path), b"", f"read {path}").stdout

    def close(self) -> None:
        """Close the connection; the next command opens a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # ------------------------------------------------------------- connection

    def _checked(self, argv: tuple[str, ...], stdin: bytes, doing: str) -> CommandResult:
        result = self.run(argv, timeout_s=300, stdin=stdin)
        if not result.ok:
            raise CommandFailed(
                f"Could not {doing} on {self.machine.name}: {result.tail(3) or 'timed out'}",
                remedy=f"`rtlab ssh {self.machine.name}` opens a shell there to look.",
                argv=argv,
                exit_status=result.exit_status,
            )
        return result

    def _with_client(self, execute: Callable[[paramiko.SSHClient], T]) -> T:
        if self._client is None:
            self._client = self._connect()
        try:
            return execute(self._client)
        except MachineUnreachable:
            self.close()
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.close()
            raise MachineUnreachable(
                f"The connection to {self.machine.name} ({self._where}) was lost: {_reason(error)}.",
                remedy="`rtlab status` shows whether the machine is up.",
            ) from error

    @property
    def _where(self) -> str:
        return f"{self.machine.user}@{self.machine.address}:{self.machine.port}"

    def _connect(self) -> paramiko.SSHClient:
        machine = self.machine
        client = paramiko.SSHClient()
        if machine.known_hosts_file is None or not Path(machine.known_hosts_file).is_file():
            raise Unsafe(
                f"No known_hosts file for {machine.name}: its host key cannot be checked.",
                remedy="Run `rtlab up` again; it writes the file.",
            )
        client.load_host_keys(machine.known_hosts_file)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(
                machine.address,
                port=machine.port,
                username=machine.user,
                key_filename=machine.key_file,
                timeout=CONNECT_TIMEOUT_S,
                banner_timeout=CONNECT_TIMEOUT_S,
                auth_timeout=CONNECT_TIMEOUT_S,
                allow_agent=False,
                look_for_keys=False,
            )
        except paramiko.BadHostKeyException as error:
            client.close()
            raise MachineUnreachable(
                f"The host key of {machine.name} ({self._where}) changed: got "
                f"{error.key.get_name()} {error.key.get_base64()[:24]}…, known is another one.",
                remedy="If you made the machine anew, run `rtlab up` again. Otherwise something else answers at "
                f"that address: do not go on before you know what. Known keys: {machine.known_hosts_file}",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            client.close()
            raise MachineUnreachable(
                f"Cannot reach {machine.name} ({self._where}): {_reason(error)}.",
                remedy="`rtlab status` shows whether the machine is up; `rtlab up` starts it.",
            ) from error
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(KEEPALIVE_S)
        assert isinstance(transport.sock, socket.socket)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_AFTER_S * 1000)
        return client


def _exchange(channel: paramiko.Channel, stdin: bytes, deadline: float) -> tuple[bytes, bytes, bool]:
    """Feed stdin and collect both outputs until the command ends or the deadline passes.

    Returns (stdout, stderr, timed out). Outputs are cut at OUTPUT_CAP_BYTES.
    """
    out, err = bytearray(), bytearray()
    pending = memoryview(stdin)
    open_for_input = True
    channel.setblocking(False)
    while True:
        busy = False
        if pending and channel.send_ready():
            with contextlib.suppress(socket.timeout):
                pending = pending[channel.send(bytes(pending[:_PIECE])) :]
                busy = True
        if not pending and open_for_input:
            channel.shutdown_write()
            open_for_input = False
        for ready, receive, collected in (
            (channel.recv_ready, channel.recv, out),
            (channel.recv_stderr_ready, channel.recv_stderr, err),
        ):
            while ready():
                piece = receive(_PIECE)
                busy = True
                if len(collected) < OUTPUT_CAP_BYTES:
                    collected += piece
        # The exit status can overtake the last output: only the end of the stream ends the command.
        drained = not channel.recv_ready() and not channel.recv_stderr_ready()
        if channel.exit_status_ready() and drained and (channel.eof_received or channel.closed):
            return bytes(out), bytes(err), False
        if channel.closed and not channel.exit_status_ready():
            return bytes(out), bytes(err), False
        if time.monotonic() > deadline:
            return bytes(out), bytes(err), True
        if not busy:
            # Waiting for output; the workload is timed on the machine, so this costs it nothing.
            time.sleep(0.01)


def _reason(error: BaseException) -> str:
    if isinstance(error, paramiko.AuthenticationException):
        return "it refuses the key"
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        return "its host key is not known"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _short(argv: tuple[str, ...]) -> str:
    text = shlex.join(argv)
    return text if len(text) <= 80 else text[:79] + "…"
