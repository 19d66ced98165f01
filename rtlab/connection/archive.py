"""What of rtlab runs on the machines, as one file: the probe and the machine's halves of all plug-ins.

A zip that Python runs. It is stored, without dates, in one order: the same source gives the same bytes, wherever and
whenever it is built, so that its digest tells whether a machine has it. The modules lie at their true paths, so that
tests import what the machines run; the packages around them are empty, because their own code is the controller's.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath

import rtlab

PROBE = "probe"
# The machine's half of what lies in these rooms.
HALVES = {"engines": ("client.py", "messages.py"), "experiments": ("measure.py",), "runtimes": ("proof.py",)}
START = "from rtlab.probe.__main__ import main\n\nmain()\n"


def modules(package: Path = Path(rtlab.__file__).parent) -> dict[str, bytes]:
    """What is shipped, by its path in the archive."""
    found = {f"rtlab/{PROBE}/{file.name}": file.read_bytes() for file in package.joinpath(PROBE).glob("*.py")}
    for room, half in ((room, half) for room, halves in HALVES.items() for half in halves):
        for file in package.joinpath(room).glob(f"*/{half}"):
            found[f"rtlab/{room}/{file.parent.name}/{half}"] = file.read_bytes()
    return found


def build(package: Path) -> bytes:
    """The archive of one installation of rtlab."""
    shipped = modules(package)
    folders = {str(parent) for path in shipped for parent in PurePosixPath(path).parents} - {"."}
    content = {
        **{f"{folder}/__init__.py": b"" for folder in folders},
        **shipped,
        "__main__.py": START.encode(),
    }
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(content):
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content[path])
    return whole.getvalue()


@cache
def built() -> bytes:
    """The archive of this installation, as it goes onto the machines."""
    return build(Path(rtlab.__file__).parent)
