"""The C compiler and the libraries that a build takes from this machine: there or not, and which ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rtlab.connection.shell import run
from rtlab.errors import HostUnfit
from rtlab.files import digest_of


def identity(purpose: str, libraries: Sequence[str], packages: Sequence[str]) -> dict[str, str]:
    """What of this machine's compiler decides a result: its version, and the libraries' digests.

    Raises:
        HostUnfit: names what is missing and the Debian packages that bring it.
    """
    # pkg-config tells cgo and crates where the C libraries are.
    missing = [program for program in ("gcc", "pkg-config") if not shutil.which(program)]
    found = {}
    if not missing:
        version = run(("gcc", "--version"), timeout_s=60, env={"LC_ALL": "C"}).stdout.decode("utf-8", "replace")
        found["gcc"] = version.partition("\n")[0].strip()
        for library in libraries:
            file = where(library)
            if file is None:
                missing.append(library)
            else:
                found[library] = digest_of(file)
    if missing:
        raise HostUnfit(
            f"Building {purpose} needs {', '.join(missing)}, which this machine does not have.",
            remedy=f"On Debian and Ubuntu: sudo apt-get install {' '.join(packages)}" if packages else "Install it.",
        )
    return found


def where(library: str) -> Path | None:
    """The file that gcc would link for a name such as ``libseccomp.a``."""
    answer = run(("gcc", f"-print-file-name={library}"), timeout_s=60, env={"LC_ALL": "C"}).stdout
    file = Path(answer.decode("utf-8", "replace").strip())
    # Without such a file gcc answers with the name alone.
    return file if file.is_absolute() and file.is_file() else None
