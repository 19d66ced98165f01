"""What an inventory says of its hosts, as Ansible itself understands it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtlab.connection import shell
from rtlab.errors import ConfigError

# A dynamic inventory asks a cloud for its machines, and an expression may ask a vault.
INVENTORY_TIMEOUT_S = 120

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
# Where Ansible writes an expression's value, between these.
_BEGIN, _END = "RTLAB<", ">RTLAB"


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
        if key in read and unresolved(value)
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


def unresolved(value: Any) -> bool:
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
        if (host, key) not in found or unresolved(found[host, key]):
            reason = re.search(r'"msg": "((?:[^"\\]|\\.)*)"', said if (host, key) not in found else "")
            shown = reason[1][:300] if reason else str(found.get((host, key), "no answer"))[:300]
            raise ConfigError(
                f"{key} of {host} has no value in the inventory {path}: {shown}",
                remedy="Define what its expression needs (a vault: ANSIBLE_VAULT_PASSWORD_FILE), or write the value.",
            )
    return found
