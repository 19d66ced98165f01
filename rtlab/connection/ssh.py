"""Runs commands on a machine over SSH (paramiko): the remote twin of ``shell.LocalShell``.

Host keys come from the testbed's own known_hosts file and nowhere else: an unknown, changed or revoked key is an
error, never a question. No agent, no user configuration, no other keys than the testbed's.

An account's start-up files may print on both outputs before the command runs. So the remote command line first prints
a marker of this connection's own on both, and what came before it is dropped.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import secrets
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import paramiko

from rtlab.connection import known_hosts
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
# Signatures of one kind of host key; and all kinds that can be asked for.
_RSA = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
HOST_KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", *_RSA)
# In two halves, so that no trace of the command line (set -x) holds the marker itself.
_MARKED = 'printf %s%s {0} {1} && printf %s%s {0} {1} >&2 && exec "$@"'
# Of what was printed before the marker, for messages.
_NOISE_KEPT_BYTES = 4000

T = TypeVar("T")

# What paramiko logs (a machine that reboots refuses connections) comes as an exception too: not onto the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SSHShell:
    """A ``model.Shell`` over one SSH connection, opened at the first command and again after it was lost."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._client: paramiko.SSHClient | None = None
        self._marker = (secrets.token_hex(16), secrets.token_hex(16))

    # ------------------------------------------------------------- Shell

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        """Run ``argv`` there: the remote shell gets every word quoted, so none of them is interpreted.

        A time-out closes the channel; sshd then ends what it started only if that writes, so long work is the
        probe's, which has a deadline of its own.
        """
        prefix = ("sudo", "-n", "--") if root and self.machine.sudo else ()
        started_at, begin = now(), time.monotonic()
        deadline = begin + timeout_s
        # A shell of its own, for the account's may be one that is not of the Bourne family.
        command = "exec " + shlex.join(("/bin/sh", "-c", _MARKED.format(*self._marker), "sh", *prefix, *argv))

        def execute(client: paramiko.SSHClient) -> CommandResult:
            transport = client.get_transport()
            assert transport is not None
            channel = transport.open_session(timeout=CONNECT_TIMEOUT_S)
            with contextlib.closing(channel):
                channel.exec_command(command)
                out, err, timed_out = _exchange(channel, stdin, deadline, "".join(self._marker).encode())
                status = None if timed_out else channel.recv_exit_status()
            if status == -1:
                raise MachineUnreachable(
                    f"The connection to {self.machine.name} was lost while `{_short(argv)}` ran.",
                    remedy="`rtlab status` shows whether the machine is up; `rtlab bench` goes on where it stopped.",
                    argv=argv,
                )
            if not (timed_out or out.begun):
                said = (err.said() or out.said()).decode("utf-8", "replace").strip()[-300:]
                raise MachineUnreachable(
                    f"{self.machine.user}'s shell on {self.machine.name} ended with status {status} before it ran "
                    f"`{_short(argv)}`" + (f": {said}" if said else "."),
                    remedy="Look at that account's login shell, its start-up files (~/.bashrc) and ForceCommand there.",
                    argv=argv,
                )
            return CommandResult(
                argv=tuple(argv),
                exit_status=status,
                stdout=bytes(out.content),
                stderr=bytes(err.content),
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
        if machine.known_hosts_file is None or not Path(machine.known_hosts_file).is_file():
            raise Unsafe(
                f"No known_hosts file for {machine.name}: its host key cannot be checked.",
                remedy="Run `rtlab up` again; it writes the file.",
            )
        known = read_known_hosts(Path(machine.known_hosts_file))
        key = read_key(Path(machine.key_file)) if machine.key_file else None
        expected = known.keys(machine.address, machine.port)
        # One key of each kind is all that paramiko compares; a host may be known by more, so the one that it shows is
        # looked up here.
        by_kind = {k.get_name(): k for k in reversed(expected)}
        try:
            client = self._open(by_kind, key)
        except paramiko.BadHostKeyException as error:
            shown = error.key
            if shown not in expected:
                raise self._wrong_host_key(known, shown) from error
            client = self._open({shown.get_name(): shown}, key)
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(KEEPALIVE_S)
        assert isinstance(transport.sock, socket.socket)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_AFTER_S * 1000)
        return client

    def _open(self, keys: dict[str, paramiko.PKey], key: paramiko.PKey | None) -> paramiko.SSHClient:
        """Connect and log in; MachineUnreachable, or BadHostKeyException for a key that is not among these.

        Only keys of these kinds are asked for, if there are any: a host has several, and one of them is known.
        """
        machine = self.machine
        client = paramiko.SSHClient()
        name = machine.address if machine.port == 22 else f"[{machine.address}]:{machine.port}"
        for host_key in keys.values():
            client.get_host_keys().add(name, host_key.get_name(), host_key)
        client.set_missing_host_key_policy(_Refuse())
        wanted = {*keys, *(_RSA if "ssh-rsa" in keys else ())}
        others = [kind for kind in HOST_KEY_KINDS if kind not in wanted] if keys else []
        try:
            client.connect(
                machine.address,
                port=machine.port,
                username=machine.user,
                pkey=key,
                timeout=CONNECT_TIMEOUT_S,
                banner_timeout=CONNECT_TIMEOUT_S,
                auth_timeout=CONNECT_TIMEOUT_S,
                allow_agent=False,
                look_for_keys=False,
                disabled_algorithms={"keys": others},
            )
        except paramiko.BadHostKeyException:
            client.close()
            raise
        except paramiko.ssh_exception.IncompatiblePeer as error:
            client.close()
            if keys:  # it has no key of these kinds: see which one it shows
                return self._open({}, key)
            raise MachineUnreachable(
                f"Cannot reach {machine.name} ({self._where}): {_reason(error)}.",
                remedy="Its SSH server offers only old methods: update it.",
            ) from error
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:  # ValueError: a name that is none
            client.close()
            raise MachineUnreachable(
                f"Cannot reach {machine.name} ({self._where}): {_reason(error)}.",
                remedy="`rtlab status` shows whether the machine is up; `rtlab up` starts it.",
            ) from error
        return client

    def _wrong_host_key(self, known: known_hosts.KnownHosts, shown: paramiko.PKey) -> MachineUnreachable:
        machine = self.machine
        what = f"{shown.get_name()} {shown.get_base64()[:24]}…"
        if known.revoked(machine.address, machine.port, shown):
            return MachineUnreachable(
                f"The host key of {machine.name} ({self._where}) is revoked: {what}",
                remedy=f"Do not go on before you know why that machine still has it. See {machine.known_hosts_file}",
            )
        if known.keys(machine.address, machine.port):
            return MachineUnreachable(
                f"The host key of {machine.name} ({self._where}) changed: got {what}, known is another one.",
                remedy="If you made the machine anew, run `rtlab up` again. Otherwise something else answers at "
                f"that address: do not go on before you know what. Known keys: {machine.known_hosts_file}",
            )
        vouched = known.vouched(machine.address, machine.port)
        why = "; certificates of an authority (@cert-authority) are not supported" if vouched else ""
        return MachineUnreachable(
            f"Cannot reach {machine.name} ({self._where}): its host key is not known{why}.",
            remedy=f"Check the key it shows, {what}, and add it to {machine.known_hosts_file}",
        )


class _Refuse(paramiko.MissingHostKeyPolicy):
    """No key of that host is known: told in the way of a wrong one."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise paramiko.BadHostKeyException(hostname, key, key)


def read_known_hosts(file: Path) -> known_hosts.KnownHosts:
    """The file's lines that can be used.

    Raises:
        Unsafe: it cannot be read.
    """
    try:
        return known_hosts.parse(file.read_bytes())
    except OSError as error:
        raise Unsafe(
            f"Cannot read the known_hosts file {file}: {error.strerror}.",
            remedy="Make it readable, or name another file: rtlab_known_hosts in the inventory.",
        ) from error


def read_key(file: Path) -> paramiko.PKey:
    """A private key, with its certificate where one lies beside it.

    Raises:
        MachineUnreachable: it cannot be read, has a passphrase, or is no private key of OpenSSH's or PEM's.
    """
    certificate = Path(f"{file}-cert.pub")
    try:
        content = file.read_bytes()
        key = _key_of(content)
        if key is not None and certificate.is_file():
            key.load_certificate(certificate.read_text("utf-8", "replace"))
    except paramiko.PasswordRequiredException:
        raise MachineUnreachable(
            f"The key {file} has a passphrase, and nobody can be asked for it.",
            remedy="Name a key without one in ansible_ssh_private_key_file; `ssh-keygen -p -f COPY` makes one.",
        ) from None
    except OSError as error:
        raise MachineUnreachable(
            f"Cannot read the key {file}: {error.strerror}.", remedy="Name another in ansible_ssh_private_key_file."
        ) from error
    except Exception as error:  # of a certificate: paramiko raises what its parser meets
        raise MachineUnreachable(
            f"Cannot read the certificate {certificate}: {str(error)[:200] or type(error).__name__}.",
            remedy="Move it away, or make it anew with `ssh-keygen -s`.",
        ) from error
    if key is None:
        kind = b"PRIVATE KEY" in content
        public = content.startswith((b"ssh-", b"ecdsa-", b"sk-")) or b"PUBLIC KEY" in content
        why = "a public key" if public and not kind else "of a kind that is not supported" if kind else "no private key"
        raise MachineUnreachable(
            f"The key {file} is {why}.",
            remedy="Name an Ed25519, ECDSA or RSA key (`ssh-keygen -t ed25519`) in ansible_ssh_private_key_file.",
        )
    return key


def _key_of(content: bytes) -> paramiko.PKey | None:
    """The key in a file's content, None where there is none; PasswordRequiredException for one with a passphrase."""
    text = content.decode("utf-8", "replace")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException:
            raise
        except Exception:  # paramiko and cryptography raise what their parsers meet, of many families
            continue
    if re.search(r"ENCRYPTED PRIVATE KEY", text):  # PKCS#8, which says so in its first line
        raise paramiko.PasswordRequiredException("encrypted")
    return None


@dataclass(slots=True)
class _Output:
    """One of a command's outputs: noise up to the marker, then the answer, cut at OUTPUT_CAP_BYTES."""

    marker: bytes
    begun: bool = False
    noise: bytes = b""
    content: bytearray = field(default_factory=bytearray)
    _unread: bytes = b""

    def feed(self, piece: bytes) -> None:
        if not self.begun:
            before, marker, piece = (self._unread + piece).partition(self.marker)
            self.begun = bool(marker)
            # The marker may come in two pieces.
            keep = 0 if self.begun else len(self.marker) - 1
            self._unread = before[len(before) - keep :] if keep < len(before) else before if keep else b""
            self.noise = (self.noise + before[: len(before) - len(self._unread)])[-_NOISE_KEPT_BYTES:]
        if self.begun and len(self.content) < OUTPUT_CAP_BYTES:
            self.content += piece

    def said(self) -> bytes:
        """The last of what came before the marker."""
        return self.noise + self._unread


def _exchange(channel: paramiko.Channel, stdin: bytes, deadline: float, marker: bytes) -> tuple[_Output, _Output, bool]:
    """Feed stdin and collect both outputs until the command ends or the deadline passes.

    Returns (stdout, stderr, timed out). Input goes out when the command has begun: a start-up file must not eat it.
    """
    out, err = _Output(marker), _Output(marker)
    pending = memoryview(stdin)
    open_for_input = True
    channel.setblocking(False)
    while True:
        busy = False
        if pending and out.begun and channel.send_ready():
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
                collected.feed(receive(_PIECE))
                busy = True
        # The exit status can overtake the last output: only the end of the stream ends the command.
        drained = not channel.recv_ready() and not channel.recv_stderr_ready()
        if channel.exit_status_ready() and drained and (channel.eof_received or channel.closed):
            return out, err, False
        if channel.closed and not channel.exit_status_ready():
            return out, err, False
        if time.monotonic() > deadline:
            return out, err, True
        if not busy:
            # Waiting for output; the workload is timed on the machine, so this costs it nothing.
            time.sleep(0.01)


def _reason(error: BaseException) -> str:
    if isinstance(error, paramiko.AuthenticationException):
        return "it refuses the key"
    if isinstance(error, paramiko.SSHException) and "No authentication methods" in str(error):
        return "no key is named for it (ansible_ssh_private_key_file)"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _short(argv: tuple[str, ...]) -> str:
    text = shlex.join(argv)
    return text if len(text) <= 80 else text[:79] + "…"
