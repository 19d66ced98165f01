"""``rtlab init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtlab.cli import console


def command(
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing rtlab.toml.")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of writing a file.")] = False,
) -> None:
    """Write rtlab.toml: every setting with its meaning, its allowed values and its default.

    \b
    rtlab init              write rtlab.toml here; an existing one is left alone
    rtlab init --stdout     only look

    The file is optional: without it, and for every key that it leaves out, the defaults hold.
    Options of a command go before the file.
    Exit status 0, 2 when there is a rtlab.toml already, 1 when it cannot be written.
    """
    from rtlab import atomic, config
    from rtlab.errors import UsageError

    text = config.template()
    if stdout:
        print(text, end="")
        return
    file = Path(config.FILE_NAME)
    if (file.exists() or file.is_symlink()) and not force:
        raise UsageError(
            f"There is a {file} here already; it is left as it is.",
            remedy="`rtlab init --force` overwrites it, `rtlab init --stdout` only prints the defaults.",
        )
    atomic.write_bytes(file, text.encode())
    console.say(f"Wrote {file}: every key is there, commented out, with its default. Next: rtlab doctor")
