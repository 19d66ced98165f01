"""From a host of an inventory and its variables to a machine, or a refusal that names the variable. Pure but for names
that are looked up."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import shlex
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rtlab.errors import ConfigError
from rtlab.model import EngineAt, Machine
from rtlab.providers.static.inventory import NAMES, unresolved

NAME_LIMIT = 63
USUAL_PYTHON = "/usr/bin/python3"

# How fast or how loud Ansible connects, not where to.
HARMLESS = re.compile(
    r"ansible_(?:ssh_(?:pipelining|retries|timeout|transfer_method|host_key_checking|use_tty)|"
    r"(?:scp|sftp)_\w+|control_path(?:_dir)?|ssh_control_path(?:_dir)?|become_ask_pass|sudo_exe|sudo_flags)"
)
# Of everything else that has to do with connecting, rtlab can do nothing.
CONNECTING = re.compile(
    r"ansible_(?:ssh|paramiko|winrm|psrp|docker|become|sudo|su)_\w+|ansible_(?:password|pkcs11_provider)"
)
PASSWORD = re.compile(r"ansible_(?:ssh_pass|(?:\w+_)?password|become_pass|sudo_pass|su_pass|sshpass_prompt)")
# Options of ssh that change nothing about which machine answers and as whom, or that rtlab is stricter about.
HARMLESS_OPTIONS = frozenset(
    """
    addkeystoagent batchmode checkhostip compression connectionattempts connecttimeout controlmaster controlpath
    controlpersist forwardagent forwardx11 gssapiauthentication globalknownhostsfile hashknownhosts identitiesonly ipqos
    kbdinteractiveauthentication loglevel numberofpasswordprompts passwordauthentication preferredauthentications
    pubkeyauthentication requesttty serveralivecountmax serveraliveinterval stricthostkeychecking tcpkeepalive
    updatehostkeys visualhostkey
    """.split()  # noqa: SIM905 (a list would be 30 lines)
)
HARMLESS_FLAGS = re.compile(r"-[46AaCknqTtvXxY]+")
INSTEAD = {
    "userknownhostsfile": "set rtlab_known_hosts",
    "identityfile": "set ansible_ssh_private_key_file",
    "port": "set ansible_port",
    "user": "set ansible_user",
    "hostname": "set ansible_host",
}


def machines_of(hosts: Mapping[str, Mapping[str, Any]], *, may_reboot: bool) -> tuple[Machine, ...]:
    """The machines of an inventory, each with a name of its own.

    Raises:
        ConfigError: a host that rtlab cannot reach in the way that is asked for; two hosts with one address and port.
    """
    shorts = short_names(hosts)
    found = tuple(machine_of(n, v, name=shorts[n], may_reboot=may_reboot) for n, v in hosts.items())
    at: dict[tuple[str, int], str] = {}
    for host, machine in zip(hosts, found, strict=True):
        for place in sorted((address, machine.port) for address in _addresses(machine)):
            if place in at:
                raise ConfigError(
                    f"{at[place]} and {host} are one machine: both are {place[0]} port {place[1]}.",
                    remedy="Name each machine once in the inventory.",
                )
        at |= {(address, machine.port): host for address in _addresses(machine)}
    return found


def _addresses(machine: Machine) -> set[str]:
    """Where a name leads; what cannot be looked up stands for itself, and connecting will say why."""
    try:
        told = socket.getaddrinfo(machine.address, machine.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return {machine.address.lower()}
    return {str(where[4][0]) for where in told}


def short_names(hosts: Iterable[str]) -> dict[str, str]:
    """Host of the inventory -> name of its machine: lower-case letters, digits and hyphens, no two alike.

    An address keeps all its parts (192-0-2-10), a full name its first label, or all of them where that is taken.

    Raises:
        ConfigError: a name has other characters, or two hosts cannot be told apart.
    """
    hosts = tuple(hosts)
    first = {host: _address_name(host) or host.split(".")[0].lower() for host in hosts}
    whole = {host: _address_name(host) or host.rstrip(".").replace(".", "-").lower() for host in hosts}
    taken = list(first.values())
    names = {host: first[host] if taken.count(first[host]) == 1 else whole[host] for host in hosts}
    owners: dict[str, str] = {}
    for host, name in names.items():
        if not re.fullmatch(rf"[a-z0-9][a-z0-9-]{{0,{NAME_LIMIT - 1}}}", name):
            raise ConfigError(
                f"{host[:80]!r} cannot be a machine's name.",
                remedy="Use letters, digits and hyphens: node1 ansible_host=192.0.2.10",
            )
        if name in owners:
            raise ConfigError(
                f"{owners[name]} and {host} would both be the machine {name}.",
                remedy="Name them in the inventory so that they differ in more than dots and capital letters.",
            )
        owners[name] = host
    return names


def _address_name(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return ""
    name = re.sub(r"[^0-9a-z]+", "-", str(address).lower()).strip("-")
    return (
        name if address.version == 4 else f"ip6-{address.compressed.replace('::', '--').replace(':', '-')}".strip("-")
    )


def machine_of(host: str, variables: Mapping[str, Any], *, name: str = "", may_reboot: bool) -> Machine:
    """A machine from a host of the inventory and its variables (``ansible_host``, ``ansible_port`` …).

    Args:
        name: The machine's; empty: from the host's.

    Raises:
        ConfigError: the host cannot be reached in the way that its variables ask for, or no known_hosts file exists.
    """
    name = name or short_names((host,))[host]
    address, port = _address(host, variables), _port(host, variables)
    user = _text(host, variables, "user") or os.environ.get("USER") or "root"
    _refuse_what_cannot_be_done(host, variables, user)
    key = _text(host, variables, "key")
    known_hosts = Path(str(variables.get("rtlab_known_hosts", "~/.ssh/known_hosts"))).expanduser()
    if not known_hosts.is_file():
        raise ConfigError(
            f"No known_hosts file for {host}: {known_hosts} does not exist.",
            remedy=f"Log in once with `ssh {address}` and check the key it shows, or set rtlab_known_hosts.",
        )
    return Machine(
        name=name,
        transport="ssh",
        address=address,
        port=port,
        user=user,
        key_file=str(Path(key).expanduser()) if key else None,
        known_hosts_file=str(known_hosts),
        python=_python(host, variables),
        sudo=user != "root",
        engine=EngineAt(
            socket=str(variables.get("rtlab_engine_socket", EngineAt().socket)),
            cli=str(variables.get("rtlab_docker_cli", EngineAt().cli)),
        ),
        home=str(variables.get("rtlab_home", "/opt/rtlab")),
        netns=variables.get("rtlab_netns"),
        may_reboot=may_reboot,
    )


def _text(host: str, variables: Mapping[str, Any], what: str) -> str:
    """A variable under any of its names; ConfigError where two of them say different things."""
    said = {name: str(variables[name]) for name in NAMES[what] if variables.get(name) not in (None, "")}
    if len(set(said.values())) > 1:
        both = " and ".join(f"{name}={value[:60]}" for name, value in said.items())
        raise ConfigError(f"{host} has two values for one thing: {both}.", remedy=f"Keep {NAMES[what][0]} only.")
    value = next(iter(said.values()), "")
    if re.search(r"[\x00-\x1f\x7f]", value) or unresolved(value):
        raise ConfigError(f"{next(iter(said))} of {host} cannot be used: {value[:80]!r}.")
    return value


def _address(host: str, variables: Mapping[str, Any]) -> str:
    address = _text(host, variables, "address") or host
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(bare)
        return bare
    name, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        raise ConfigError(
            f"ansible_host of {host} has a port in it: {address[:80]!r}.",
            remedy=f"Write ansible_host={name} ansible_port={port}.",
        )
    if not re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253})", address):
        raise ConfigError(
            f"ansible_host of {host} is no address: {address[:80]!r}.",
            remedy="Write a name or an address, and user and port in ansible_user and ansible_port.",
        )
    return address


def _port(host: str, variables: Mapping[str, Any]) -> int:
    text = _text(host, variables, "port") or "22"
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(
            f"ansible_port of {host} is no port: {text[:80]!r}.", remedy="Write a whole number from 1 to 65535."
        )
    return int(text)


def _python(host: str, variables: Mapping[str, Any]) -> str:
    python = _text(host, variables, "python") or USUAL_PYTHON
    if re.fullmatch(r"auto(_legacy)?(_silent)?", python):
        return USUAL_PYTHON  # Ansible looks for one; on every distribution with a profile it finds this
    if python.startswith("-") or re.search(r"\s", python):
        raise ConfigError(
            f"ansible_python_interpreter of {host} is no program: {python[:80]!r}.",
            remedy=f"Write one path, such as {USUAL_PYTHON}.",
        )
    return python


def _refuse_what_cannot_be_done(host: str, variables: Mapping[str, Any], user: str) -> None:
    """ConfigError that names the first variable which asks for what rtlab's own connection cannot do."""

    def refuse(key: str, why: str, remedy: str) -> ConfigError:
        return ConfigError(f"{key} of {host}: {why}.", remedy=remedy)

    plain = {key: value for key, value in variables.items() if value not in (None, "", False)}
    connection = str(plain.get("ansible_connection", "ssh"))
    if connection.removeprefix("ansible.builtin.").removeprefix("ansible.netcommon.") not in (
        *("ssh", "smart", "paramiko", "paramiko_ssh"),
    ):
        raise refuse(
            "ansible_connection",
            f"rtlab reaches machines by SSH only, not by {connection[:40]!r}",
            "For this machine itself use --provider local; otherwise let it run an SSH server.",
        )
    if str(plain.get("ansible_shell_type", "sh")) not in ("sh", "bash", "csh", "fish"):
        raise refuse("ansible_shell_type", "only a Unix shell will do", "Leave it out.")
    program = str(plain.get("ansible_ssh_executable", "ssh"))
    if program.rpartition("/")[2] != "ssh":
        raise refuse("ansible_ssh_executable", f"{program[:60]!r} is not run", "Leave it out.")
    known = {name for group in NAMES.values() for name in group}
    for key, value in plain.items():
        becoming = re.match(r"ansible_(become|sudo|su)_", key)
        if becoming and user == "root":
            continue  # nothing to become
        if PASSWORD.fullmatch(key):
            raise refuse(
                key,
                "rtlab gives no password" + (" to sudo" if becoming else ""),
                f"Let {user} use sudo there without a password, and leave it out."
                if becoming
                else "Log in with a key: ansible_ssh_private_key_file.",
            )
        if key in NAMES["become"]:
            _refuse_becoming(host, key, str(value))
        elif key in NAMES["arguments"]:
            _refuse_arguments(host, key, str(value), variables)
        elif CONNECTING.fullmatch(key) and key not in known and not HARMLESS.fullmatch(key):
            raise refuse(key, "rtlab's own connection cannot do this", "Leave it out, or reach the machine without it.")


def _refuse_becoming(host: str, key: str, value: str) -> None:
    fits = {
        "ansible_become_method": value.removeprefix("ansible.builtin.") == "sudo",
        "ansible_become_user": value == "root",
        "ansible_become_exe": value.rpartition("/")[2] == "sudo",
        "ansible_become_flags": all(re.fullmatch("-[HSnEk]+", flag) for flag in value.split()),
    }
    if not fits[key]:
        raise ConfigError(
            f"{key} of {host}: rtlab becomes root by `sudo -n` only, not by {value[:60]!r}.",
            remedy="Allow sudo there without a password, or log in as root.",
        )


def _refuse_arguments(host: str, key: str, text: str, variables: Mapping[str, Any]) -> None:
    """ConfigError for an option of ssh that changes where it connects, by which way or as whom."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ConfigError(f"{key} of {host} has a quote without an end: {text[:80]!r}.") from None
    while words:
        word = words.pop(0)
        if HARMLESS_FLAGS.fullmatch(word):
            continue
        option = word[2:] or (words.pop(0) if words else "") if word.startswith("-o") else ""
        name, _, value = option.replace("=", " ", 1).strip().partition(" ")
        if name.lower() in HARMLESS_OPTIONS:
            continue
        if name.lower() == "userknownhostsfile" and (value.strip() == "/dev/null" or "rtlab_known_hosts" in variables):
            continue
        instead = INSTEAD.get(name.lower(), "reach the machine directly, or run rtlab where that is possible")
        raise ConfigError(
            f"{key} of {host}: rtlab's own connection cannot do {(name or word)[:40]}.",
            remedy=f"Leave it out and {instead}.",
        )
