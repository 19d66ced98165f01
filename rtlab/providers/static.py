"""Machines that exist already, reached by SSH: bare metal, cloud, a fleet. Named in an Ansible inventory.

rtlab creates nothing there but ``/opt/rtlab`` and its containers, and reboots them only with ``allow_reboot``. Host
keys must be known: they come from a known_hosts file, either
the user's own or the one named by the host variable ``rtlab_known_hosts``.

Ansible itself reads the inventory: ranges, groups, vaults, old names and expressions. What it says that rtlab's own
connection cannot do (a proxy, a password, another way to become root) is refused by name: a machine reached in another
way than was asked for may be another machine.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import re
import shlex
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtlab.artifacts.profile import Profile, refuse_builds
from rtlab.config import TestbedSettings
from rtlab.connection import shell
from rtlab.connection.rebooting import BOOT_ID, reboot_over_ssh
from rtlab.connection.ssh import SSHShell, read_known_hosts
from rtlab.errors import ConfigError, MachineUnreachable, UsageError
from rtlab.host import virtualization
from rtlab.model import Event, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.state import StateFolder, now

NAME_LIMIT = 63
ANSWER_TIMEOUT_S = 30
# A dynamic inventory asks a cloud for its machines, and an expression may ask a vault.
INVENTORY_TIMEOUT_S = 120
USUAL_PYTHON = "/usr/bin/python3"

# What is read of a host, under every name that Ansible knows it by.
NAMES: Mapping[str, tuple[str, ...]] = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "key": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
    "python": ("ansible_python_interpreter",),
    "connection": ("ansible_connection",),
    "shell": ("ansible_shell_type",),
    "become": ("ansible_become_method", "ansible_become_user", "ansible_become_exe", "ansible_become_flags"),
    "arguments": ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"),
    "program": ("ansible_ssh_executable",),
    "rtlab": ("rtlab_known_hosts", "rtlab_engine_socket", "rtlab_docker_cli", "rtlab_home", "rtlab_netns"),
}
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
# Where Ansible writes an expression's value, between these.
_BEGIN, _END = "RTLAB<", ">RTLAB"


class StaticProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "static"
    summary = "Machines that exist already, by SSH, from an Ansible inventory."
    settings = frozenset({"inventory", "allow_reboot"})

    def check(self, settings: TestbedSettings) -> None:
        """An inventory is there, whose hosts rtlab can reach in the way it says, and nothing is to be installed."""
        refuse_builds(settings.profile, "machines of an inventory")
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines_of(hosts, may_reboot=settings.allow_reboot)

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Read the inventory and see that every machine answers; nothing is created."""
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines: list[Machine] = []
        boot_ids: dict[str, str] = {}
        found = machines_of(hosts, may_reboot=settings.allow_reboot)
        for file in sorted({m.known_hosts_file for m in found if m.known_hosts_file}):
            if skipped := read_known_hosts(Path(file)).warning():
                notify(Event(stage="machines", message=f"{file}: not used: {skipped}", level="warning"))
        for machine in found:
            name = machine.name
            notify(Event(stage="machines", message="connecting", machine=name))
            with contextlib.closing(SSHShell(machine)) as connection:
                sudo = connection.run(("id", "-u"), timeout_s=60)
                if sudo.text().strip() != "0":
                    raise MachineUnreachable(
                        f"{machine.user} is not root on {name} and `sudo -n` does not work: {sudo.tail(2)}",
                        remedy=f"Let {machine.user} use sudo there without a password, or log in as root.",
                    )
                booted = connection.run(("cat", BOOT_ID), timeout_s=ANSWER_TIMEOUT_S, root=False).text().strip()
                if booted and booted in boot_ids:
                    raise ConfigError(
                        f"{boot_ids[booted]} and {name} are one machine: both have the boot id {booted}.",
                        remedy="Name each machine once in the inventory; containers of one host share its kernel, too.",
                    )
                boot_ids[booted] = name
                identity = _identity(connection, machine.python)
            if identity.conflict:
                notify(Event(stage="machines", message=identity.conflict, machine=name))
            machines.append(replace(machine, level=identity.level))
        return Testbed(
            id=testbed_id,
            provider=self.name,
            profile=profile.name,
            design=settings.design,
            machines=tuple(machines),
            created_at=now(),
            details={"allow_reboot": settings.allow_reboot},
        )

    def status(self, testbed: Testbed, state: StateFolder) -> tuple[MachineStatus, ...]:
        found = []
        for machine in testbed.machines:
            try:
                with contextlib.closing(SSHShell(machine)) as connection:
                    connection.run(("true",), timeout_s=10, root=False)
                answer, note = "running", ""
            except MachineUnreachable as error:
                answer, note = "unreachable", error.message
            found.append(
                MachineStatus(name=machine.name, state=answer, address=f"{machine.address}:{machine.port}", note=note)
            )
        return tuple(found)

    def shell(self, machine: Machine) -> Shell:
        return SSHShell(machine)

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        """Reboot and wait for another boot id; refused unless the machine may be rebooted."""
        if not machine.may_reboot:
            raise UsageError(
                f"{machine.name} may not be rebooted.", remedy="Say --allow-reboot with `rtlab up`, or --reboot never."
            )
        reboot_over_ssh(machine, timeout_s)
        return machine

    def rest(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """Machines of the user's are not paused."""

    def wake(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """See ``rest``."""

    def leftovers(self, testbed_id: str, state: StateFolder) -> tuple[Resource, ...]:
        """Nothing was created, apart from the probe's folder, which stays for the next time."""
        return ()

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        return ()

    def candidates(self) -> tuple[str, ...]:
        return ()


def _identity(connection: SSHShell, python: str) -> virtualization.Identity:
    """What the machine says it is."""

    def said(*argv: str) -> str:
        return connection.run(argv, timeout_s=ANSWER_TIMEOUT_S, root=False).text()

    return virtualization.identify(
        said("cat", "/proc/cpuinfo"),
        said("systemd-detect-virt", "--vm").strip(),
        virtualization.signatures_in(said(python, "-c", virtualization.cpuid_program())),
        " ".join(said("cat", "/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name").split("\n")).strip(),
    )


def read_inventory(path: Path | None) -> dict[str, Mapping[str, Any]]:
    """Host name -> variables, as Ansible itself understands the inventory.

    Raises:
        ConfigError: no inventory, no such file, not an inventory, or one without hosts.
    """
    if path is None:
        raise ConfigError(
            "The static provider needs an inventory.",
            remedy="Say --inventory FILE (an Ansible inventory), or set [testbed] inventory in rtlab.toml.",
        )
    if not path.is_file():
        raise ConfigError(f"There is no inventory {path}.", remedy="Give the path of an Ansible inventory file.")
    listed = _listed(path)
    meta = listed.get("_meta")
    given = meta.get("hostvars", {}) if isinstance(meta, dict) else {}
    names = sorted({h for group in listed.values() if isinstance(group, dict) for h in group.get("hosts", ())})
    if not names:
        raise ConfigError(
            f"The inventory {path} has no hosts.",
            remedy="Name at least one host in it, for example: node1 ansible_host=192.0.2.10 ansible_user=admin",
        )
    read = {name for group in NAMES.values() for name in group}
    hosts = {name: dict(given.get(name) or {}) for name in names}
    expressions = [
        (host, key)
        for host, found in hosts.items()
        for key, value in found.items()
        if key in read and _unresolved(value)
    ]
    for (host, key), value in _resolved(path, expressions).items():
        hosts[host][key] = value
    return dict(hosts)


def _listed(path: Path) -> dict[str, Any]:
    """What ``ansible-inventory`` says of the file; ConfigError with its words when it says nothing."""
    program = Path(sys.executable).parent / "ansible-inventory"
    result = shell.run((str(program), "-i", str(path), "--list"), timeout_s=INVENTORY_TIMEOUT_S, env=_environment())
    said = result.stderr.decode("utf-8", "replace").strip()
    try:
        listed = json.loads(result.stdout) if result.ok else None
    except (ValueError, RecursionError):
        listed = None
    if isinstance(listed, dict):
        return listed
    why = f"it took more than {INVENTORY_TIMEOUT_S} s" if result.timed_out else _complaint(said) or said[-300:]
    raise ConfigError(
        f"The inventory {path} has no hosts: Ansible cannot read it" + (f": {why}" if why else "."),
        remedy=f"`ansible-inventory -i {path} --list` says the same; mend the file until it lists your machines.",
    )


def _complaint(said: str) -> str:
    """Why Ansible did not take an inventory: what it prints of errors and of parsing, not its other news."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n(?=\[|ERROR)|\n\s*\n", said))
    return " ".join(part for part in paragraphs if re.search(r"(?i)error|to parse|vault", part))[:600]


def _environment() -> dict[str, str]:
    """Ansible's settings for a run that nobody watches: no colours, no questions, its own words in the usual form."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_ASK_VAULT_PASS": "0",
        "ANSIBLE_ASK_PASS": "0",
        "ANSIBLE_BECOME_ASK_PASS": "0",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_DISPLAY_FAILED_STDERR": "0",
        "ANSIBLE_DISPLAY_OK_HOSTS": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
    }


def _unresolved(value: Any) -> bool:
    """Whether it is an expression, or a text that a vault keeps."""
    if isinstance(value, Mapping):
        return "__ansible_vault" in value
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _resolved(path: Path, expressions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """The values of variables that hold expressions, as Ansible works them out for their hosts.

    Raises:
        ConfigError: one has no value; it is named.
    """
    if not expressions:
        return {}
    value = "{'item': item, 'value': hostvars[item[0]][item[1]]} | to_json | b64encode"
    task = {
        "name": "value",
        "ansible.builtin.debug": {"msg": f"{_BEGIN}{{{{ {value} }}}}{_END}"},
        "loop": [list(pair) for pair in expressions],
    }
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "become": False, "tasks": [task]}
    with tempfile.TemporaryDirectory(prefix="rtlab-inventory-") as folder:
        file = Path(folder) / "values.yml"
        file.write_text(json.dumps([play]))
        result = shell.run(
            (str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(path.absolute()), str(file)),
            timeout_s=INVENTORY_TIMEOUT_S,
            env=_environment(),
        )
    said = result.text()
    found: dict[tuple[str, str], Any] = {}
    for text in re.findall(f"{_BEGIN}([A-Za-z0-9+/=]*){_END}", said):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            answer = json.loads(base64.b64decode(text))
            found[tuple(answer["item"])] = answer["value"]
    for host, key in expressions:
        if (host, key) not in found or _unresolved(found[host, key]):
            reason = re.search(r'"msg": "((?:[^"\\]|\\.)*)"', said if (host, key) not in found else "")
            shown = reason[1][:300] if reason else str(found.get((host, key), "no answer"))[:300]
            raise ConfigError(
                f"{key} of {host} has no value in the inventory {path}: {shown}",
                remedy="Define what its expression needs (a vault: ANSIBLE_VAULT_PASSWORD_FILE), or write the value.",
            )
    return found


# --------------------------------------------------------------------------- hosts and machines


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
        engine_socket=str(variables.get("rtlab_engine_socket", "/var/run/docker.sock")),
        docker_cli=str(variables.get("rtlab_docker_cli", "/usr/bin/docker")),
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
    if re.search(r"[\x00-\x1f\x7f]", value) or _unresolved(value):
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


PROVIDER = StaticProvider()
