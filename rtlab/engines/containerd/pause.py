"""The image of a sandbox's own process, which does nothing: made here byte by byte, so that no registry is needed.

The program is one system call in a loop. It ends by the SIGKILL that the engine sends a sandbox; nobody else's
processes are its children, because no container here shares its namespace of process ids.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import struct
import tarfile

from rtlab.errors import HostUnfit

REFERENCE = "rtlab/pause:1"
# Machine -> (its number in ELF, its name in images, the loop): pause() on x86_64, ppoll() for ever on aarch64.
_MACHINES = {
    "x86_64": (62, "amd64", bytes.fromhex("b822000000 0f05 ebf7")),
    "aarch64": (183, "arm64", b"".join(struct.pack("<I", word) for word in (
        *(0xD2800000 + register for register in range(5)), 0xD2800928, 0xD4000001, 0x17FFFFF9,
    ))),
}  # fmt: skip
_BASE = 0x400000
_HEADERS = 64 + 56
CREATED = "2020-01-01T00:00:00Z"


def program(machine: str) -> bytes:
    """An ELF file of one readable and executable segment, for a machine as ``uname -m`` calls it."""
    number, _, code = _known(machine)
    size = _HEADERS + len(code)
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return identity + header + segment + code


def archive(machine: str = "") -> bytes:
    """The image as ``ctr images import`` reads it (docker-archive); always the same bytes."""
    machine = machine or platform.machine()
    layer = _tar({"pause": (program(machine), 0o755)})
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": _known(machine)[1],
        "os": "linux",
        "created": CREATED,
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": CREATED, "created_by": "rtlab"}],
    }
    text = json.dumps(config, sort_keys=True).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [REFERENCE], "Layers": [f"{digest}/layer.tar"]}]
    files = {
        f"{digest}/layer.tar": (layer, 0o644),
        name: (text, 0o644),
        "manifest.json": (json.dumps(manifest).encode(), 0o644),
    }
    return _tar(files)


def _known(machine: str) -> tuple[int, str, bytes]:
    if machine not in _MACHINES:
        raise HostUnfit(
            f"rtlab has no pause program for {machine}.",
            remedy=f"containerd's pods can be measured on {' and '.join(_MACHINES)}; on others use the engine docker.",
        )
    return _MACHINES[machine]


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return whole.getvalue()
