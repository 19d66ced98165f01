"""Where the world meets the command line: streams that take nothing, an environment that says nonsense, and faults of
the operating system, each of which ends in one plain sentence."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

from rtlab import files, ownership
from rtlab.errors import RtlabError, StoreError, UsageError
from rtlab.text import LEGIBLE

# A terminal that says it is narrower or wider is none.
WIDTHS = range(20, 10_001)

STANDARD_OUTPUT = "<standard output>"
OUTPUT_LOST = "Cannot write the result to standard output"

_REMEDIES = {
    errno.ENOSPC: "Free some space and run the same command again: nothing that was stored is lost.",
    errno.EDQUOT: "Your disk quota is used up: free some space and run the same command again.",
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n).",
    errno.ENFILE: "Too many files are open on this machine.",
    errno.EIO: "The disk reports errors: check the kernel's log (dmesg).",
    errno.ENAMETOOLONG: "Use a shorter name.",
}


class Messages(io.TextIOWrapper):
    """A standard error that may be closed or full: what is said is lost then, the work goes on."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


class _Output(io.FileIO):
    """Standard output, which a fault that it has names: no other file has none."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise


def prepare() -> None:
    """Make standard streams and the terminal's width such that everything after can rely on them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened would get its number, and what is printed
            # Standard output is made one that cannot be written to, so that a result that goes nowhere is an error.
            null = os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    buffer = io.BufferedWriter(_Output(1, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(buffer, encoding=encoding, errors=LEGIBLE, line_buffering=buffer.isatty())
    encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
    raw = io.FileIO(2, "w", closefd=False)
    sys.stderr = Messages(raw, encoding=encoding, errors=LEGIBLE, write_through=True)
    if ownership.caller() is not None:
        _keep_out_of_home()
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if value and not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) in WIDTHS):
            del os.environ[name]


def _keep_out_of_home() -> None:
    """Under sudo, what matplotlib keeps goes to rtlab's own cache instead of root's files into the caller's home."""
    from rtlab.artifacts import cache

    with contextlib.suppress(RtlabError):
        os.environ.setdefault("MPLCONFIGDIR", str(cache.folder("matplotlib")))


def flushed(status: int) -> int:
    """The exit status once everything was written: a result that was lost is no success."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # ValueError: somebody closed it
        _forget_output()
        if not isinstance(error, BrokenPipeError):
            print(f"Error: {OUTPUT_LOST}: {files.reason(error)}.", file=sys.stderr)
        return status or 1
    return status


def _forget_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)


def sentence(error: Exception) -> RtlabError | None:
    """The error as one that is said in a sentence: a fault of the system or of an input. None: a mistake of rtlab's."""
    if isinstance(error, RtlabError):
        return error
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, UnicodeError):
        return UsageError(f"A text is not in the encoding that it should be in: {str(error)[:200]}.")
    if isinstance(error, RecursionError):
        return StoreError("Something that was read is nested too deeply.")
    if isinstance(error, MemoryError):
        return StoreError("There is not enough memory.", remedy="Close other programs, or use a larger machine.")
    if isinstance(error, ValueError) and "null byte" in str(error):
        return UsageError("A name has a null character in it.")
    return None


def _of_the_system(error: OSError) -> RtlabError:
    try:
        os.getcwd()
    except OSError:
        return StoreError(
            "The current folder does not exist any more, or may not be read.", remedy="Go to another one: cd ~"
        )
    remedy = _REMEDIES.get(error.errno or 0, "")
    if error.filename == STANDARD_OUTPUT:
        _forget_output()
        return StoreError(f"{OUTPUT_LOST}: {files.reason(error)}.")
    if error.filename is None:
        return StoreError(f"The system refused something: {files.reason(error)}.", remedy=remedy)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    shown = name if len(name) <= 200 else f"{name[:200]}…"
    return StoreError(f"Cannot use {shown}: {files.reason(error)}.", remedy=remedy or files.remedy(error, Path(name)))
