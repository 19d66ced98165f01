"""python-vagrant under a time limit. The only module that imports it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from vagrant import Vagrant

from rtlab.connection.shell import run
from rtlab.errors import CommandFailed
from rtlab.model import CommandResult

# Of one `vagrant up`: the box is unpacked and copied, then all machines boot.
UP_TIMEOUT_S = 2400.0


class WatchedVagrant(Vagrant):
    """python-vagrant whose every call runs in a process group of its own, under a time limit, with its output kept.

    Without this, an interrupted or hanging ``vagrant`` leaves its Ruby processes behind, and errors come without text.
    """

    def __init__(self, folder: Path, log: Path, home: Path, timeout_s: float = UP_TIMEOUT_S) -> None:
        environment = {
            "VAGRANT_HOME": str(home),
            "VAGRANT_CWD": str(folder),
            "VAGRANT_DOTFILE_PATH": str(folder / ".vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            # Growing a disk is behind this flag up to Vagrant 2.3; later ones ignore it.
            "VAGRANT_EXPERIMENTAL": "disks",
        }
        environment = {**os.environ, **environment}
        super().__init__(root=str(folder), env=environment)  # type: ignore[no-untyped-call]
        self.log = log
        self.timeout_s = timeout_s

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._watched(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        return self._watched(args).text()

    def _watched(self, args: Sequence[str | None]) -> CommandResult:
        command = cast(
            list[str],
            self._make_vagrant_command([a for a in args if a is not None]),  # type: ignore[no-untyped-call]
        )
        result = run(command, timeout_s=self.timeout_s, env=self.env, cwd=Path(self.root), log=self.log)
        if not result.ok:
            ended = f"after {self.timeout_s:.0f} s" if result.timed_out else f"with status {result.exit_status}"
            raise CommandFailed(
                f"`vagrant {' '.join(command[1:])}` failed {ended}:\n{result.tail(12)}",
                remedy=f"Its output: {self.log}. What was made stays; `rtlab up` goes on, `rtlab teardown` removes it.",
                argv=command,
                exit_status=result.exit_status,
                output_tail=result.tail(),
            )
        return result
