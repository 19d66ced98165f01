"""Proof that Kata ran a container, and its settings in force. Python 3.6 and the standard library."""

import os
import re
from typing import Dict, List, Optional, Tuple

from rtlab.probe.base import Document
from rtlab.probe.kernel import read
from rtlab.probe.proof import ran_by_binary, same_kernel

# Its shims and proxy, and the VMMs; Dragonball and OpenVMM live in the shim.
PROGRAMS = ("kata", "virtiofsd", "qemu", "cloud-hyper", "firecracker", "dragonball")


def proof(seen: Document, installed: List[str]) -> List[str]:
    """A kernel with a boot id of its own, in a virtual machine of this container's, started by the installed program:
    the shim itself, or (1.x) what the shim's bundle names."""
    problems = []
    if seen.get("inside_boot_id") in (None, "", "none") or same_kernel(seen):
        problems.append("the container has no kernel of its own: its boot id is the machine's")
    if not seen.get("kvm_held_by"):
        problems.append("no process of this container holds /dev/kvm")
    if any(digest in installed for _, digest in seen.get("running") or []):
        problems.append("the installed program is the sandbox itself: that is no Kata")
    if seen.get("shim_sha256") not in installed:
        problems += ran_by_binary(seen, installed)
    return problems


def facts(path: str, entry: Document) -> Document:
    return {"configuration": kata_configuration(entry, path)} if "kata" in path else {}


def kata_configuration(entry: Document, path: str) -> Optional[Dict[str, str]]:
    """The settings in force for a runtime of Kata's, as ``section.key`` to the text of the value; None without a file.

    The file that Docker's entry names, else the first of Kata's own places; then the files of ``config.d`` beside it in
    the order of their names, of which the later one counts (Kata's src/runtime/README.md).
    """
    arguments = entry.get("runtimeArgs") or []
    options = entry.get("options") or {}
    named = [after for word, after in zip(arguments, arguments[1:]) if word in ("--kata-config", "--config")]
    release = path[: path.index("/bin/")] if "/bin/" in path else "/opt/kata"
    flavour = ""
    if os.path.basename(release) == "runtime-rs":
        release, flavour = os.path.dirname(release), "runtime-rs/"
    places = named + [options.get("ConfigPath") or ""]
    folders = ("/etc/kata-containers/", release + "/share/defaults/kata-containers/")
    places += [folder + flavour + "configuration.toml" for folder in folders]
    main = next((place for place in places if place and os.path.isfile(place)), None)
    if main is None:
        return None
    found = settings_of(read(main))
    folder = os.path.join(os.path.dirname(os.path.realpath(main)), "config.d")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        more = settings_of(read(os.path.join(folder, name)))
        lists = {key[: key.rindex(".0.")] for key in more if ".0." in key}
        # A list of tables is one value: the later file's replaces it whole.
        kept = {k: v for k, v in found.items() if not any(re.match(re.escape(x) + r"\.\d+\.", k) for x in lists)}
        found = dict(kept, **more)
    return found


TOML_KEY = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
TOML_KEYS = TOML_KEY + r"(?:[ \t]*\.[ \t]*" + TOML_KEY + ")*"
TOML_LINE = re.compile(r"[ \t]*(?:(\[\[?)[ \t]*(" + TOML_KEYS + r")[ \t]*\]|(" + TOML_KEYS + r")[ \t]*=[ \t]*)")


def settings_of(text: str) -> Dict[str, str]:
    """TOML as ``section.key`` to the text of its value, on one line and without comments; a list of tables as
    ``section.0.key``. No more than what Kata ships or a person writes there; a line that is no TOML is passed over."""
    section = ""
    found: Dict[str, str] = {}
    tables: Dict[str, int] = {}
    text = text.replace("\r\n", "\n").lstrip("\ufeff")
    at = 0
    while at < len(text):
        line = TOML_LINE.match(text, at)
        if line and line.group(1):
            section = toml_name(line.group(2)) + "."
            if line.group(1) == "[[":
                number = tables[section] = tables.get(section, -1) + 1
                section += "%d." % number
        elif line:
            value, at = toml_value(text, line.end())
            found[section + toml_name(line.group(3))] = value[:300]
        end = text.find("\n", at)
        at = len(text) if end < 0 else end + 1
    return found


def toml_name(text: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(TOML_KEY, text))


TOML_PART = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|'
    r"'''.*?'''|'[^'\n]*'|"
    r"#[^\n]*|[^\S\n]+|\n|[^\s#\"'\[\]{}]+|.",
    re.S,
)


def toml_value(text: str, at: int) -> Tuple[str, int]:
    """The value that begins there, and where it ends."""
    parts: List[str] = []
    depth, lines = 0, 1
    while at < len(text):
        part = TOML_PART.match(text, at).group(0)  # type: ignore[union-attr]  # "." matches whatever it is
        if part == "\n" and depth <= 0:
            break
        at += len(part)
        if part.isspace():
            lines += part == "\n"
            part = " "
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        if part.startswith("#") or (part == " " and lines > 1 and parts and parts[-1] in (" ", "[")):
            continue
        if part == "]" and lines > 1 and parts[-1:] == [" "]:
            parts.pop()
        parts.append(part)
    return "".join(parts).strip(), at
