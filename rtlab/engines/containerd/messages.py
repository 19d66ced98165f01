"""The messages of CRI that rtlab sends and reads, and their form on the wire. Python 3.6 and the standard library.

CRI (``runtime.v1``, ``api.proto`` of k8s.io/cri-api) has 150 messages; these are the parts of 40 that are used here,
with the numbers that they have there. What is not declared is skipped when it is read, as Protocol Buffers want it.
"""

import struct
from typing import Any, Dict, List, Tuple

from rtlab.probe.base import Document, TrialFailed

# Message -> number of the field -> (name, kind). A kind is ``string``, ``bytes``, ``int`` (and everything that goes
# as one: bool, enum), ``map`` (text to text), or a message; ``*`` before it: any number of them.
MESSAGES: Dict[str, Dict[int, Tuple[str, str]]] = {
    "Empty": {},
    "VersionResponse": {2: ("runtime_name", "string"), 3: ("runtime_version", "string")},
    "StatusRequest": {1: ("verbose", "int")},
    "StatusResponse": {1: ("status", "RuntimeStatus"), 2: ("info", "map")},
    "RuntimeStatus": {1: ("conditions", "*RuntimeCondition")},
    "RuntimeCondition": {
        1: ("type", "string"),
        2: ("status", "int"),
        3: ("reason", "string"),
        4: ("message", "string"),
    },
    "RunPodSandboxRequest": {1: ("config", "PodSandboxConfig"), 2: ("runtime_handler", "string")},
    "PodSandboxId": {1: ("pod_sandbox_id", "string")},
    "PodSandboxConfig": {
        1: ("metadata", "PodSandboxMetadata"),
        2: ("hostname", "string"),
        3: ("log_directory", "string"),
        6: ("labels", "map"),
        7: ("annotations", "map"),
        8: ("linux", "LinuxPodSandboxConfig"),
    },
    "PodSandboxMetadata": {1: ("name", "string"), 2: ("uid", "string"), 3: ("namespace", "string")},
    "LinuxPodSandboxConfig": {
        1: ("cgroup_parent", "string"),
        2: ("security_context", "LinuxSandboxSecurityContext"),
        5: ("resources", "LinuxContainerResources"),
    },
    "LinuxSandboxSecurityContext": {1: ("namespace_options", "NamespaceOption"), 9: ("seccomp", "SecurityProfile")},
    "LinuxContainerSecurityContext": {3: ("namespace_options", "NamespaceOption"), 15: ("seccomp", "SecurityProfile")},
    "NamespaceOption": {1: ("network", "int"), 2: ("pid", "int"), 3: ("ipc", "int")},
    "SecurityProfile": {1: ("profile_type", "int")},
    "LinuxContainerResources": {
        1: ("cpu_period", "int"),
        2: ("cpu_quota", "int"),
        3: ("cpu_shares", "int"),
        4: ("memory_limit_in_bytes", "int"),
        10: ("memory_swap_limit_in_bytes", "int"),
    },
    "PodSandboxStatusRequest": {1: ("pod_sandbox_id", "string"), 2: ("verbose", "int")},
    "PodSandboxStatusResponse": {1: ("status", "PodSandboxStatus"), 2: ("info", "map")},
    "PodSandboxStatus": {1: ("id", "string"), 3: ("state", "int"), 5: ("network", "PodSandboxNetworkStatus")},
    "PodSandboxNetworkStatus": {1: ("ip", "string")},
    "ListPodSandboxRequest": {1: ("filter", "PodSandboxFilter")},
    "PodSandboxFilter": {1: ("id", "string"), 3: ("label_selector", "map")},
    "ListPodSandboxResponse": {1: ("items", "*PodSandbox")},
    "PodSandbox": {1: ("id", "string"), 3: ("state", "int"), 5: ("labels", "map")},
    "CreateContainerRequest": {
        1: ("pod_sandbox_id", "string"),
        2: ("config", "ContainerConfig"),
        3: ("sandbox_config", "PodSandboxConfig"),
    },
    "ContainerConfig": {
        1: ("metadata", "ContainerMetadata"),
        2: ("image", "ImageSpec"),
        3: ("command", "*string"),
        4: ("args", "*string"),
        9: ("labels", "map"),
        11: ("log_path", "string"),
        12: ("stdin", "int"),
        15: ("linux", "LinuxContainerConfig"),
    },
    "ContainerMetadata": {1: ("name", "string")},
    "ImageSpec": {1: ("image", "string")},
    "LinuxContainerConfig": {
        1: ("resources", "LinuxContainerResources"),
        2: ("security_context", "LinuxContainerSecurityContext"),
    },
    "ContainerId": {1: ("container_id", "string")},
    "StopContainerRequest": {1: ("container_id", "string"), 2: ("timeout", "int")},
    "ListContainersRequest": {1: ("filter", "ContainerFilter")},
    "ContainerFilter": {3: ("pod_sandbox_id", "string")},
    "ListContainersResponse": {1: ("containers", "*Container")},
    "Container": {1: ("id", "string"), 2: ("pod_sandbox_id", "string"), 6: ("state", "int")},
    "ContainerStatusRequest": {1: ("container_id", "string"), 2: ("verbose", "int")},
    "ContainerStatusResponse": {1: ("status", "ContainerStatus"), 2: ("info", "map")},
    "ContainerStatus": {
        1: ("id", "string"),
        3: ("state", "int"),
        7: ("exit_code", "int"),
        10: ("reason", "string"),
        11: ("message", "string"),
        15: ("log_path", "string"),
    },
    "ExecSyncRequest": {1: ("container_id", "string"), 2: ("cmd", "*string"), 3: ("timeout", "int")},
    "ExecSyncResponse": {1: ("stdout", "bytes"), 2: ("stderr", "bytes"), 3: ("exit_code", "int")},
    "AttachRequest": {1: ("container_id", "string"), 2: ("stdin", "int")},
    "AttachResponse": {1: ("url", "string")},
    "ListImagesResponse": {1: ("images", "*Image")},
    "Image": {
        1: ("id", "string"),
        2: ("repo_tags", "*string"),
        3: ("repo_digests", "*string"),
        4: ("size", "int"),
    },
}
# Method -> (what it is asked with, what it answers).
METHODS: Dict[str, Tuple[str, str]] = {
    "RuntimeService/Version": ("Empty", "VersionResponse"),
    "RuntimeService/Status": ("StatusRequest", "StatusResponse"),
    "RuntimeService/RunPodSandbox": ("RunPodSandboxRequest", "PodSandboxId"),
    "RuntimeService/StopPodSandbox": ("PodSandboxId", "Empty"),
    "RuntimeService/RemovePodSandbox": ("PodSandboxId", "Empty"),
    "RuntimeService/PodSandboxStatus": ("PodSandboxStatusRequest", "PodSandboxStatusResponse"),
    "RuntimeService/ListPodSandbox": ("ListPodSandboxRequest", "ListPodSandboxResponse"),
    "RuntimeService/CreateContainer": ("CreateContainerRequest", "ContainerId"),
    "RuntimeService/StartContainer": ("ContainerId", "Empty"),
    "RuntimeService/StopContainer": ("StopContainerRequest", "Empty"),
    "RuntimeService/ListContainers": ("ListContainersRequest", "ListContainersResponse"),
    "RuntimeService/ContainerStatus": ("ContainerStatusRequest", "ContainerStatusResponse"),
    "RuntimeService/ExecSync": ("ExecSyncRequest", "ExecSyncResponse"),
    "RuntimeService/Attach": ("AttachRequest", "AttachResponse"),
    "ImageService/ListImages": ("Empty", "ListImagesResponse"),
}
# How a value stands on the wire.
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5


def encode(message: str, document: Document) -> bytes:
    """A message as it goes over the wire; KeyError for a name that it has no field of."""
    fields = {name: (number, kind) for number, (name, kind) in MESSAGES[message].items()}
    pieces: List[bytes] = []
    for name, value in document.items():
        number, kind = fields[name]
        if kind == "map":
            # A map is a list of messages with the fields key and value.
            entries = (_field(1, "string", key) + _field(2, "string", value[key]) for key in sorted(value))
            pieces += [_field(number, "bytes", entry) for entry in entries]
        elif kind.startswith("*"):
            pieces += [_field(number, kind[1:], one) for one in value]
        else:
            pieces.append(_field(number, kind, value))
    return b"".join(pieces)


def _field(number: int, kind: str, value: Any) -> bytes:
    if kind == "int":
        return _varint(number << 3 | _VARINT) + _varint(int(value) & (1 << 64) - 1)
    content: bytes = value
    if kind == "string":
        content = value.encode("utf-8")
    elif kind != "bytes":
        content = encode(kind, value)
    return _varint(number << 3 | _COUNTED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def decode(message: str, content: bytes) -> Document:
    """A message that came over the wire; what is absent has its default. TrialFailed for what is none."""
    fields = MESSAGES[message]
    found = {name: _absent(kind) for name, kind in fields.values()}
    at = 0
    while at < len(content):
        key, at = _read_varint(content, at)
        number, how = key >> 3, key & 7
        value, at = _read_value(content, at, how)
        if number not in fields:
            continue
        name, kind = fields[number]
        if (kind == "int") != (how == _VARINT):
            raise TrialFailed("containerd's answer is no %s: field %d" % (message, number))
        if kind == "map":
            entry = decode("_Entry", value)
            found[name][entry["key"]] = entry["value"]
        elif kind.startswith("*"):
            found[name].append(_value(kind[1:], value))
        else:
            found[name] = _value(kind, value)
    return found


MESSAGES["_Entry"] = {1: ("key", "string"), 2: ("value", "string")}


def _absent(kind: str) -> Any:
    if kind == "map":
        return {}
    if kind.startswith("*"):
        return []
    return {"int": 0, "string": "", "bytes": b""}.get(kind) if kind in ("int", "string", "bytes") else {}


def _value(kind: str, value: Any) -> Any:
    if kind == "int":
        return value - (1 << 64) if value >> 63 else value
    if kind == "string":
        return value.decode("utf-8", "replace")
    return value if kind == "bytes" else decode(kind, value)


def _read_value(content: bytes, at: int, how: int) -> Tuple[Any, int]:
    if how == _VARINT:
        return _read_varint(content, at)
    if how == _COUNTED:
        size, at = _read_varint(content, at)
    elif how in (_EIGHT_BYTES, _FOUR_BYTES):
        size = struct.calcsize("<q" if how == _EIGHT_BYTES else "<i")
    else:
        raise TrialFailed("containerd's answer has a value of kind %d, which no message has" % how)
    if at + size > len(content):
        raise TrialFailed("containerd's answer ends in the middle")
    return content[at : at + size], at + size


def _read_varint(content: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
    raise TrialFailed("containerd's answer ends in the middle")
