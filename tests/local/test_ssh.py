"""SSHShell and the static provider against a real sshd on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rtlab.artifacts.profile import load as load_profile
from rtlab.config import TestbedSettings
from rtlab.connection import ssh
from rtlab.connection.rebooting import boot_id
from rtlab.connection.ssh import SSHShell
from rtlab.errors import ConfigError, MachineUnreachable, Unsafe, UsageError
from rtlab.model import Event, Machine, ignore_events
from rtlab.providers.static.inventory import read_inventory
from rtlab.providers.static.provider import PROVIDER
from rtlab.state import StateFolder

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="openssh-server is missing"),
]


class Sshd:
    """A real sshd in the foreground on a free port, with keys of its own; in a network namespace if one is named."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", netns: str = "") -> None:
        self.folder = folder
        self.options: dict[str, object] = {}
        self.address = address
        self.within = ("ip", "netns", "exec", netns) if netns else ()
        os.makedirs("/run/sshd", exist_ok=True)  # its privilege separation folder; made by the init script elsewhere
        for name in ("host", "client", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        shutil.copy(folder / "client.pub", folder / "authorized_keys")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.known_hosts = folder / "known_hosts"
        self.remember("host")
        self.start()

    def remember(self, key: str) -> None:
        public = (self.folder / f"{key}.pub").read_text()
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {public}")

    def sessions(self) -> list[int]:
        """The processes that serve connections: from OpenSSH 9.8 on two for each, of which either holds it open."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        found = [process.pid for process in below if process.name().startswith("sshd")]
        assert found
        return found

    def start(self) -> None:
        options = {
            "Port": self.port,
            "ListenAddress": self.address,
            "HostKey": self.folder / "host",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "prohibit-password",
            **self.options,
        }
        pairs = [(k, v) for k, given in options.items() for v in (given if isinstance(given, tuple) else (given,))]
        words = [part for key, value in pairs for part in ("-o", f"{key}={value}")]
        self.process = subprocess.Popen(
            [*self.within, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *words], stderr=subprocess.DEVNULL
        )
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex((self.address, self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def machine(self) -> Machine:
        return Machine(
            name="node1",
            address=self.address,
            port=self.port,
            user="root",
            key_file=str(self.folder / "client"),
            known_hosts_file=str(self.known_hosts),
            sudo=False,
            may_reboot=False,
        )


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def shell(sshd: Sshd) -> Iterator[SSHShell]:
    connection = SSHShell(sshd.machine())
    yield connection
    connection.close()


def test_words_bytes_and_status_cross_unchanged(shell: SSHShell) -> None:
    content = os.urandom(1_000_000)

    result = shell.run(
        ("sh", "-c", "cat; printf '%s' \"$1\" >&2; exit 7", "x", "a b; $(id)"), timeout_s=30, stdin=content
    )

    assert result.exit_status == 7
    assert result.stdout == content
    assert result.stderr == b"a b; $(id)"


def test_ten_megabytes_on_one_line_arrive_whole(shell: SSHShell) -> None:
    result = shell.run(("head", "-c", "10000000", "/dev/zero"), timeout_s=60)
    assert len(result.stdout) == 10_000_000


# What accounts' start-up files were seen to do: greet, trace, write bytes, read, leave a process that prints later.
NOISE = {
    "greeting": "echo Welcome to $(hostname); echo warning >&2",
    "trace": "set -x; echo traced",
    "binary": r"printf '\000\377\r\n'; printf '\033[1m' >&2",
    "own command line": 'echo "$BASH_EXECUTION_STRING"; echo "$BASH_EXECUTION_STRING" >&2',
    "much": "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2",
    "slow": "printf a; sleep 0.3; printf b",
    "trap": "trap 'echo bye' EXIT",
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_what_start_up_files_print_is_no_answer(sshd: Sshd, tmp_path: Path, noise: str) -> None:
    """ansible#2268: bash reads ~/.bashrc for every command that sshd runs."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text(noise + "\n")
    sshd.stop()
    sshd.options = {"SetEnv": f"HOME={home}"}
    sshd.start()
    content = b"\n\x00\xff" + os.urandom(300_000)
    words = (
        f"ssh -F none -i {sshd.folder}/client -p {sshd.port} -o UserKnownHostsFile={sshd.known_hosts} root@127.0.0.1"
    )
    for _ in range(20):  # on a busy machine the new sshd may turn the first connections away
        plain = subprocess.run([*words.split(), "id -u"], capture_output=True, check=False, timeout=60)
        if plain.returncode == 0:
            break
        time.sleep(0.2)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout + plain.stderr != b"0\n"  # the account does print

    with contextlib.closing(SSHShell(sshd.machine())) as shell:
        assert shell.run(("id", "-u"), timeout_s=20).stdout == b"0\n"
        result = shell.run(
            ("sh", "-c", "cat; printf '%s' \"$1\" >&2; exit 7", "x", "a 'b"), timeout_s=20, stdin=content
        )
        assert (result.exit_status, result.stdout, result.stderr) == (7, content, b"a 'b")
        shell.put(content, str(tmp_path / "put"), 0o600)
        assert shell.get(str(tmp_path / "put")) == content
        assert shell.run(("nothing-of-that-name",), timeout_s=20).exit_status == 127


def test_a_start_up_file_that_ends_or_hangs_is_no_answer_either(sshd: Sshd, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    sshd.stop()
    sshd.options = {"SetEnv": f"HOME={home}"}
    sshd.start()
    with contextlib.closing(SSHShell(sshd.machine())) as shell:
        (home / ".bashrc").write_text("echo This account is closed.; exit 0\n")
        with pytest.raises(MachineUnreachable, match=r"status 0 before it ran `id -u`: This account is closed\."):
            shell.run(("id", "-u"), timeout_s=20)
        (home / ".bashrc").write_text("echo 0; sleep 20\n")
        result = shell.run(("id", "-u"), timeout_s=1)
        assert result.timed_out and result.stdout == b""


def test_any_of_a_hosts_known_keys_will_do_and_a_revoked_one_will_not(sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", sshd.folder / "rsa"], check=True)
    sshd.stop()
    sshd.options = {"HostKey": sshd.folder / "rsa"}
    sshd.start()
    name = f"[127.0.0.1]:{sshd.port}"
    rsa, ours, other = ((sshd.folder / f"{key}.pub").read_text() for key in ("rsa", "host", "other"))

    def answers(text: str) -> bool:
        sshd.known_hosts.write_bytes(text.encode("latin-1"))
        with contextlib.closing(SSHShell(sshd.machine())) as shell:
            return shell.run(("true",), timeout_s=20).ok

    assert answers(f"{name} {rsa}")
    assert answers(f"@cert-authority * {other}{name} 1024 35 17\n# J\xfcrgen\n[127.0.0.*]:{sshd.port} {rsa}")
    second = sshd.folder / "second"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", second], check=True)
    assert answers(f"{name} {second.with_suffix('.pub').read_text()}{name} {rsa}")  # a key was added, not replaced
    with pytest.raises(MachineUnreachable, match="changed"):
        answers(f"{name} {ours}")
    with pytest.raises(MachineUnreachable, match="is revoked"):
        answers(f"{name} {rsa}@revoked {name} {rsa}")
    with pytest.raises(MachineUnreachable, match=r"not known; certificates of an authority \(@cert-authority\)"):
        answers(f"@cert-authority * {other}")


def test_of_several_kinds_of_host_keys_the_known_one_is_asked_for(sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", sshd.folder / "rsa"], check=True)
    sshd.stop()
    sshd.options = {"HostKey": (sshd.folder / "host", sshd.folder / "rsa")}
    sshd.start()
    sshd.remember("rsa")
    with contextlib.closing(SSHShell(sshd.machine())) as shell:
        assert shell.run(("true",), timeout_s=20).ok


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("ssh-keygen -q -t ed25519 -N secret -f {}", "has a passphrase"),
        ("ssh-keygen -q -t rsa -m PEM -N secret -f {}", "has a passphrase"),
        ("ssh-keygen -q -t rsa -m PKCS8 -N secret -f {}", "has a passphrase"),
        ("openssl genpkey -algorithm ed25519 -out {} -aes256 -pass pass:secret", "has a passphrase"),
        ("openssl genpkey -algorithm x25519 -out {}", "of a kind that is not supported"),
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=x -out {}", "is no private key"),
        ("head -c 2000 /dev/urandom > {}", "is no private key"),
        (": > {}", "is no private key"),
        ("mkdir {}", "Is a directory"),
        ("true", "No such file"),
        ("ssh-keygen -q -t ed25519 -N '' -f {0} && mv {0}.pub {0}", "is a public key"),
        ("ssh-keygen -q -t ed25519 -N '' -f {0} && head -c 200 {0} > {0}.x && mv {0}.x {0}", "kind that is not supp"),
        ("ssh-keygen -q -t ed25519 -N '' -f {0} && echo x > {0}-cert.pub", "Cannot read the certificate"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, make: str, said: str) -> None:
    file = tmp_path / "key"
    subprocess.run(["sh", "-c", make.format(file)], check=True, capture_output=True)
    with pytest.raises(MachineUnreachable, match=said) as caught:
        ssh.read_key(file)
    assert str(file) in caught.value.message and caught.value.remedy


@pytest.mark.parametrize("kind", ["-t ed25519", "-t rsa", "-t rsa -m PEM", "-t ecdsa", "-t ecdsa -b 521 -m PEM"])
def test_keys_in_every_usual_format_are_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *kind.split(), "-N", "", "-f", file], check=True)
    assert ssh.read_key(file).get_base64() == file.with_suffix(".pub").read_text().split()[1]


def test_put_and_get_keep_bytes_and_mode(shell: SSHShell, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    shell.put(b"\x00\xffcontent", str(path), 0o640)

    assert shell.get(str(path)) == b"\x00\xffcontent"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_command_without_end_times_out_as_a_result(shell: SSHShell) -> None:
    began = time.monotonic()
    result = shell.run(("sh", "-c", "echo begun; sleep 30"), timeout_s=1)

    assert result.timed_out
    assert result.stdout == b"begun\n"
    assert time.monotonic() - began < 5
    assert shell.run(("true",), timeout_s=10).ok


def test_a_changed_host_key_is_refused(sshd: Sshd) -> None:
    sshd.remember("other")
    with pytest.raises(MachineUnreachable, match=r"host key of node1 .* changed") as caught:
        SSHShell(sshd.machine()).run(("true",), timeout_s=10)
    assert "do not go on" in caught.value.remedy


def test_an_unknown_host_key_is_refused(sshd: Sshd) -> None:
    sshd.known_hosts.write_text("")
    with pytest.raises(MachineUnreachable, match="host key is not known"):
        SSHShell(sshd.machine()).run(("true",), timeout_s=10)


def test_no_known_hosts_file_is_unsafe(sshd: Sshd) -> None:
    machine = replace(sshd.machine(), known_hosts_file=str(sshd.folder / "nowhere"))
    with pytest.raises(Unsafe):
        SSHShell(machine).run(("true",), timeout_s=10)


def test_a_refused_key_says_so(sshd: Sshd) -> None:
    machine = replace(sshd.machine(), key_file=str(sshd.folder / "other"))
    with pytest.raises(MachineUnreachable, match="refuses the key"):
        SSHShell(machine).run(("true",), timeout_s=10)


def test_a_connection_cut_in_a_command_is_reported_and_the_next_one_connects_anew(sshd: Sshd, shell: SSHShell) -> None:
    assert shell.run(("true",), timeout_s=10).ok
    sessions = sshd.sessions()

    cutter = threading.Timer(0.5, lambda: cut(sessions))
    cutter.start()
    with pytest.raises(MachineUnreachable, match="lost"):
        shell.run(("sleep", "20"), timeout_s=30)

    assert shell.run(("echo", "again"), timeout_s=10).stdout == b"again\n"


def test_a_machine_that_vanishes_is_noticed_though_tcp_would_go_on_trying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with a guest that hung: no answer, no refusal, and the kernel's own limit is a quarter of an hour."""
    monkeypatch.setattr(ssh, "KEEPALIVE_S", 1)
    monkeypatch.setattr(ssh, "VANISHED_AFTER_S", 3)
    name = f"rtlab-t{os.getpid()}"
    steps = (
        f"netns add {name}",
        f"link add {name[-13:]} type veth peer name eth0 netns {name}",
        f"addr add 10.231.77.1/30 dev {name[-13:]}",
        f"link set {name[-13:]} up",
        f"-n {name} addr add 10.231.77.2/30 dev eth0",
        f"-n {name} link set eth0 up",
    )
    try:
        for step in steps:
            subprocess.run(["ip", *step.split()], check=True)
        server = Sshd(tmp_path, "10.231.77.2", name)
        with contextlib.closing(SSHShell(server.machine())) as connection:
            assert connection.run(("true",), timeout_s=10).ok
            threading.Timer(0.5, subprocess.run, ([*["ip", "-n"], name, *["link", "set", "eth0", "down"]],)).start()
            began = time.monotonic()
            with pytest.raises(MachineUnreachable, match="lost"):
                connection.run(("sleep", "60"), timeout_s=60)
            assert time.monotonic() - began < 20
        cut(server.sessions())  # they hear of nothing either
        server.stop()
    finally:
        subprocess.run(["ip", "link", "delete", name[-13:]], check=False)
        subprocess.run(["ip", "netns", "delete", name], check=False)


def cut(sessions: list[int]) -> None:
    for pid in sessions:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_nobody_listening_is_unreachable(sshd: Sshd) -> None:
    sshd.stop()
    with pytest.raises(MachineUnreachable, match="Cannot reach node1"):
        SSHShell(sshd.machine()).run(("true",), timeout_s=10)


def inventory(sshd: Sshd, text: str = "") -> Path:
    file = sshd.folder / "hosts.ini"
    file.write_text(
        text
        or f"node1 ansible_host=127.0.0.1 ansible_port={sshd.port} ansible_user=root "
        f"ansible_ssh_private_key_file={sshd.folder}/client rtlab_known_hosts={sshd.known_hosts}\n"
    )
    return file


def test_the_static_provider_finds_the_machines_of_an_inventory(sshd: Sshd, tmp_path: Path) -> None:
    settings = TestbedSettings(provider="static", inventory=str(inventory(sshd)))
    state = StateFolder(tmp_path / ".rtlab")

    testbed = PROVIDER.up(settings, load_profile("debian-12"), "0123abcd", state, ignore_events)

    (machine,) = testbed.machines
    assert (machine.name, machine.port, machine.may_reboot) == ("node1", sshd.port, False)
    assert [m.state for m in PROVIDER.status(testbed, state)] == ["running"]
    assert boot_id(machine) == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with pytest.raises(UsageError, match="may not be rebooted"):
        PROVIDER.reboot(testbed, machine, state, 5)
    sshd.stop()
    assert [m.state for m in PROVIDER.status(testbed, state)] == ["unreachable"]


@pytest.mark.parametrize("text", ["# nothing\n", "[group]\n", "[]\n"])
def test_an_inventory_without_hosts_is_refused(sshd: Sshd, text: str) -> None:
    with pytest.raises(ConfigError, match="has no hosts"):
        read_inventory(inventory(sshd, text))


def test_a_missing_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no inventory"):
        read_inventory(tmp_path / "hosts.ini")
    with pytest.raises(ConfigError, match="needs an inventory"):
        read_inventory(None)


def test_two_names_of_one_machine_are_refused(sshd: Sshd, tmp_path: Path) -> None:
    """By address at once; by boot id where another way leads to the same machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        second = free.getsockname()[1]
    sshd.stop()
    sshd.options = {"Port": (sshd.port, second)}
    sshd.start()
    public = (sshd.folder / "host.pub").read_text()
    blob = public.split()[1]
    sshd.known_hosts.write_text(f"[127.0.0.1]:* {public}@cert-authority * ssh-ed25519 {blob}\nold 1024 35 17\n")
    line = inventory(sshd).read_text()
    text = line + line.replace("node1", "node2").replace(f"ansible_port={sshd.port}", f"ansible_port={second}")
    settings = TestbedSettings(provider="static", inventory=str(inventory(sshd, text)))
    events: list[Event] = []

    PROVIDER.check(settings)
    with pytest.raises(ConfigError, match="node1 and node2 are one machine: both have the boot id"):
        PROVIDER.up(settings, load_profile("debian-12"), "0123abcd", StateFolder(tmp_path / "s"), events.append)
    (warning,) = [e.message for e in events if e.level == "warning"]
    assert warning == (
        f"{sshd.known_hosts}: not used: line 2 (@cert-authority is not supported), "
        "line 3 (a key of SSH's first version)"
    )
