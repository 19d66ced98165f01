"""Inventories of the static provider: what Ansible understands by them is what rtlab connects to, or it refuses."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rtlab.errors import ConfigError
from rtlab.model import Machine
from rtlab.providers.static.hosts import machine_of, machines_of, short_names
from rtlab.providers.static.inventory import read_inventory


@pytest.fixture
def known(tmp_path: Path) -> str:
    file = tmp_path / "known_hosts"
    file.write_text("")
    return f"rtlab_known_hosts={file}"


def machines(folder: Path, text: str) -> dict[str, Machine]:
    file = folder / "hosts.ini"
    file.write_text(text)
    return {m.name: m for m in machines_of(read_inventory(file), may_reboot=False)}


def test_ansible_reads_ranges_groups_old_names_and_expressions(
    tmp_path: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTLAB_WHO", "carol")
    found = machines(
        tmp_path,
        f"""
192.0.2.[10:11]
n1 ansible_host=192.0.2.1 ansible_port="{{{{ p | default(22) }}}}" ansible_user="{{{{ lookup('env', 'RTLAB_WHO') }}}}"
n2 ansible_ssh_host=192.0.2.20 ansible_ssh_user=me ansible_ssh_port=2200 ansible_private_key_file=/keys/k
n3 ansible_host="{{{{ prefix }}}}.30" ansible_python_interpreter=auto_silent
192.0.2.40:2222
[lab]
n4 ansible_host=192.0.2.50 ansible_ssh_private_key_file=/keys/own
[lab:vars]
ansible_user=lab
ansible_ssh_common_args='-o StrictHostKeyChecking=no -o ControlMaster=auto -C'
[all:vars]
prefix=192.0.2
{known}
""",
    )
    assert {(m.name, m.address, m.port) for m in found.values()} == {
        ("192-0-2-10", "192.0.2.10", 22),
        ("192-0-2-11", "192.0.2.11", 22),
        ("192-0-2-40", "192.0.2.40", 2222),
        ("n1", "192.0.2.1", 22),
        ("n2", "192.0.2.20", 2200),
        ("n3", "192.0.2.30", 22),
        ("n4", "192.0.2.50", 22),
    }
    assert (found["n1"].user, found["n2"].user, found["n4"].user) == ("carol", "me", "lab")
    assert (found["n2"].key_file, found["n4"].key_file) == ("/keys/k", "/keys/own")
    assert {m.python for m in found.values()} == {"/usr/bin/python3"}


def test_a_vaults_value_is_read_with_its_key_and_named_without(
    tmp_path: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encrypted with ansible-vault, password `x`: the text `vaulted`."""
    (tmp_path / "password").write_text("x")
    program = Path(sys.executable).parent / "ansible-vault"
    done = subprocess.run(
        [program, "encrypt_string", "--vault-password-file", tmp_path / "password", "vaulted"],
        capture_output=True,
        check=True,
        text=True,
    )
    key, _, value = known.partition("=")
    indented = done.stdout.strip().replace("\n", "\n" + " " * 8)
    lines = ("all:", "  hosts:", "    n1:", f"      {key}: {value}", f"      ansible_user: {indented}", "")
    text = "\n".join(lines)
    file = tmp_path / "hosts.yml"
    file.write_text(text)

    with pytest.raises(ConfigError, match="ansible_user of n1 has no value"):
        read_inventory(file)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    assert machine_of("n1", read_inventory(file)["n1"], may_reboot=False).user == "vaulted"


@pytest.mark.parametrize("value", ["{{ nowhere }}", "{{ lookup('file', '/nowhere') }}", "x{{ 1 +"])
def test_an_expression_without_a_value_is_named(tmp_path: Path, known: str, value: str) -> None:
    with pytest.raises(ConfigError, match="ansible_host of n3 has no value"):
        machines(tmp_path, f'n1 ansible_host=192.0.2.1 {known}\nn3 ansible_host="{value}" {known}\n')


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("ansible_connection=winrm", "ansible_connection of n1: .* not by 'winrm'"),
        ("ansible_connection=local", "ansible_connection of n1"),
        ("ansible_connection=community.docker.docker", "ansible_connection of n1"),
        ("ansible_shell_type=powershell", "ansible_shell_type of n1"),
        ("ansible_host=192.0.2.1:2222", "has a port in it"),
        ("ansible_host=n1.example.org:2222", "has a port in it"),
        ("ansible_host=me@192.0.2.1", "is no address"),
        ("ansible_host=ssh://192.0.2.1", "is no address"),
        ("ansible_host=-oProxyCommand=x", "is no address"),
        ("ansible_port=ssh", "is no port"),
        ("ansible_port=0", "is no port"),
        ("ansible_port=70000", "is no port"),
        ("ansible_port=22.5", "is no port"),
        ("ansible_host=192.0.2.1 ansible_ssh_host=192.0.2.2", "two values"),
        ("ansible_user=a ansible_ssh_user=b", "two values"),
        ("ansible_ssh_common_args='-J jump.example.org'", "cannot do -J"),
        ("ansible_ssh_common_args='-o ProxyJump=jump'", "ansible_ssh_common_args of n1: .* cannot do ProxyJump"),
        ("ansible_ssh_extra_args='-oProxyCommand=\"ssh -W %h:%p j\"'", "ansible_ssh_extra_args of n1: .* ProxyCommand"),
        ("ansible_ssh_args='-C -F /my/config'", "cannot do -F"),
        ("ansible_ssh_args='-o \"HostName 192.0.2.9\"'", "cannot do HostName"),
        ("ansible_ssh_args='-p 2222'", "cannot do -p"),
        ("ansible_ssh_args='-o UserKnownHostsFile=/x'", None),
        ("ansible_ssh_args='-o ConnectTimeout=5 -oBatchMode=yes -4'", None),
        ("ansible_paramiko_proxy_command='ssh -W x y'", "ansible_paramiko_proxy_command of n1"),
        ("ansible_ssh_pkcs11_provider=/x.so", "ansible_ssh_pkcs11_provider of n1"),
        ("ansible_ssh_executable=/usr/bin/dbclient", "ansible_ssh_executable of n1"),
        ("ansible_password=hunter2", "ansible_password of n1: rtlab gives no password"),
        ("ansible_ssh_pass=hunter2", "ansible_ssh_pass of n1"),
        ("ansible_become_password=hunter2", "ansible_become_password of n1: .* to sudo"),
        ("ansible_sudo_pass=hunter2", "ansible_sudo_pass of n1"),
        ("ansible_become_method=su", "ansible_become_method of n1: .* not by 'su'"),
        ("ansible_become_method=community.general.doas", "ansible_become_method of n1"),
        ("ansible_become_user=admin", "ansible_become_user of n1"),
        ("ansible_become_flags='-u admin'", "ansible_become_flags of n1"),
        ("ansible_become_method=sudo ansible_become=true ansible_become_flags='-H -S'", None),
        ("ansible_user=root ansible_become_method=su", None),
        ("ansible_python_interpreter='/usr/bin/env python3'", "ansible_python_interpreter of n1 is no program"),
        ("ansible_ssh_pipelining=true ansible_ssh_timeout=9 ansible_distribution=x some_variable=y", None),
    ],
)
def test_what_the_connection_cannot_do_is_refused_by_name(
    tmp_path: Path, known: str, variables: str, said: str | None
) -> None:
    user = "" if "user=root" in variables or "ssh_user" in variables else "ansible_user=me"
    line = f"n1 {user} {variables} {known}\n"
    if said is None:
        assert set(machines(tmp_path, line)) == {"n1"}
        return
    with pytest.raises(ConfigError, match=said) as caught:
        machines(tmp_path, line)
    assert "hunter2" not in str(caught.value)


def test_two_hosts_never_become_one_machine(tmp_path: Path, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible#23512: of two machines one was provisioned and the other measured."""
    assert short_names(["web.east.example.org", "web.west.example.org", "db.east.example.org"]) == {
        "web.east.example.org": "web-east-example-org",
        "web.west.example.org": "web-west-example-org",
        "db.east.example.org": "db",
    }
    assert short_names(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "10"]) == {
        "10.0.0.1": "10-0-0-1",
        "10.0.0.2": "10-0-0-2",
        "2001:db8::1": "ip6-2001-db8--1",
        "2001:db8::2": "ip6-2001-db8--2",
        "10": "10",
    }
    for pair in (("n1", "N1"), ("a.b.c", "a-b.c"), ("192.0.2.1", "192-0-2-1"), ("a.b", "a-b", "a.c")):
        try:
            names = short_names(pair)
        except ConfigError as error:
            assert "would both be" in error.message or "cannot be" in error.message
        else:
            assert len(set(names.values())) == len(pair)
            assert all(re.fullmatch("[a-z0-9-]+", name) for name in names.values())
    with pytest.raises(ConfigError, match="n1 would both be"):
        short_names(["N1", "n1"])
    for name in ("web_1", "über", "-x", "x" * 64, "a b"):
        with pytest.raises(ConfigError, match="cannot be a machine's name"):
            short_names([name])
    with pytest.raises(ConfigError, match=r"a and b are one machine: both are 192\.0\.2\.1 port 22"):
        machines(tmp_path, f"a ansible_host=192.0.2.1 {known}\nb ansible_host=192.0.2.1 {known}\n")
    # By what the names lead to, whatever this machine's resolver knows.
    real = socket.getaddrinfo
    known_names = {"alias.test": "192.0.2.7"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: real(known_names.get(host, host), *a, **k))
    with pytest.raises(ConfigError, match="are one machine"):
        machines(tmp_path, f"a ansible_host=alias.test {known}\nb ansible_host=192.0.2.7 {known}\n")
    both = f"a ansible_host=192.0.2.1 {known}\nb ansible_host=192.0.2.1 ansible_port=2222 {known}\n"
    assert set(machines(tmp_path, both)) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts.ini", "n1 a b=\n"),
        ("hosts.ini", "n1 ansible_user='x\n"),
        ("hosts.ini", "n\xfc1\n"),
        ("hosts.ini", "\x00\x01\xff"),
        ("hosts.yml", "all: {hosts: {n1: \n"),
        ("hosts.yml", "all: {hosts: [n1]}\n"),
        ("hosts.yml", "&a [*a]\n"),
        ("hosts.json", "{" * 2000),
    ],
)
def test_a_damaged_inventory_is_an_error_in_words(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"The inventory .* has no hosts|cannot be a machine's name"):
        machines_of(read_inventory(tmp_path / name), may_reboot=False)
