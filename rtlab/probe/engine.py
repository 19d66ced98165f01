"""The machine's half of an engine: what an experiment, the proof and the other verbs may ask of it.

One folder of ``rtlab/engines/`` holds one in its ``client.py``: a class ``Client`` made of (socket, deadline, what the
request says of the engine), and ``PROGRAMS`` and ``DAEMONS``, the names by which the kernel knows what lives beside a
container (shims) and what serves all of them. The controller's half stands in ``rtlab/engines/contract.py``.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from rtlab.probe.base import Document, TrialTimedOut

STDOUT, STDERR = "stdout", "stderr"


def ending(marker: str) -> str:
    """Words of a shell script after a command whose end is looked for: its status on stdout, which ends what is timed;
    then the marker on stderr, so that the command's last words there are known to be complete."""
    return 'echo "%s $?"; echo %s >&2' % (marker, marker)


def early_end(status: Any, for_memory: bool, marker: str, said: str) -> str:
    """Why a trial failed whose container ended before its marker; ``for_memory``: so the engine knows of its control
    group."""
    why = " (the kernel killed it for want of memory)" if for_memory else ""
    return "the container ended with status %s%s before %s: %s" % (status, why, marker, said)


class Limits(NamedTuple):
    """What a container may use; None: as much as there is."""

    cpus: Optional[float] = None
    memory_bytes: Optional[int] = None


class Executed(NamedTuple):
    """A command that ran in a container."""

    stdout: str
    stderr: str
    # Asks the engine, outside of what is timed.
    exit_status: Callable[[], Optional[int]]


class Engine(object):
    """Every call is bounded by the trial's deadline: TrialTimedOut; what the engine refuses is TrialFailed."""

    # Interfaces (a glob) that its containers' packets pass where the engine has no network namespace of its own.
    interfaces = "*"

    def __init__(self, path: str, deadline: float, settings: Optional[Document] = None) -> None:
        self.path = path
        self.deadline = deadline
        self.settings = settings or {}

    def left(self, at_most: Optional[float] = None) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TrialTimedOut("the trial's time limit passed")
        return left if at_most is None else min(left, at_most)

    # ----------------------------------------------------------------- containers

    def create(
        self,
        runtime: str,
        image: str,
        command: Optional[Sequence[str]] = None,
        limits: Limits = Limits(),  # noqa: B008 (a tuple)
        labels: Optional[Dict[str, str]] = None,
        stdin: bool = False,
    ) -> str:
        """The id of a new container under the runtime that the engine calls so; its stdin stays open if wanted."""
        raise NotImplementedError

    def start(self, cid: str) -> None:
        raise NotImplementedError

    def stop(self, cid: str, grace_s: int = 10) -> None:
        """Ask the container to end, by force after the grace."""
        raise NotImplementedError

    def remove(self, cid: str) -> None:
        """Remove a container, running or not; one that is not there is no error."""
        raise NotImplementedError

    def follow(self, cid: str, marker: str, stream: str = STDOUT) -> Tuple[str, str]:
        """Read one stream of the container's output until ``marker`` and the end of its line.

        Returns (what stands before it, what follows it in its line: an exit status, or nothing). A workload need not
        end its last line. Engines carry the two streams apart, so the end of one says nothing of the other: each is
        followed to its own marker.
        """
        raise NotImplementedError

    def stdin(self, cid: str) -> Any:
        """A socket whose bytes are the container's stdin."""
        raise NotImplementedError

    def exec(self, cid: str, command: Sequence[str]) -> Executed:
        """Run a command in a running container, until the end of its output."""
        raise NotImplementedError

    def address(self, cid: str) -> Tuple[str, str]:
        """(the container's address, its gateway's on the machine)."""
        raise NotImplementedError

    def pid(self, cid: str) -> int:
        """The container's first process as the machine sees it."""
        raise NotImplementedError

    def namespace(self, cid: str) -> str:
        """File of the container's network namespace; empty when there is none."""
        raise NotImplementedError

    def state_folders(self, cid: str) -> List[str]:
        """Where a runtime keeps its files of the container, below its own root."""
        raise NotImplementedError

    def labelled(self, labels: Dict[str, str]) -> List[str]:
        """Ids of all containers, running or not, with these labels."""
        raise NotImplementedError

    # ----------------------------------------------------------------- the engine itself

    def ping(self) -> None:
        """The smallest question that it answers: what a call costs."""
        raise NotImplementedError

    def runtimes(self) -> Dict[str, Document]:
        """Its entries for runtimes by name, with what its configuration file adds."""
        raise NotImplementedError

    def build(self) -> str:
        """What the running engine and the daemons behind it are: another text is another build. Empty: not told."""
        return ""

    def program(self, name: str, entry: Document) -> Optional[str]:
        """Path of the program that an entry names, found as the daemon finds it; None when there is none."""
        raise NotImplementedError

    def search_path(self) -> Optional[str]:
        """PATH of the daemon, with which its shims find programs."""
        raise NotImplementedError

    def wrapped(self, path: str) -> str:
        """The program behind a script of the engine's own making, else the path itself."""
        raise NotImplementedError

    def facts(self) -> Document:
        """Keys of the machine's facts: the engine's own, under its name, and ``images``."""
        raise NotImplementedError

    def storage(self) -> str:
        """The folder where images and containers lie."""
        raise NotImplementedError

    def command_line(self, program: str, runtime: str, image: str, limits: Limits, labels: Dict[str, str]) -> List[str]:
        """The command with which a person starts such a container in the background; it prints the id."""
        raise NotImplementedError


def shim_of(runtime_type: str) -> str:
    """The program of a shim v2 runtime, named by its path or as containerd does it: ``io.containerd.kata.v2``."""
    if runtime_type.startswith("io.containerd."):
        return "containerd-shim-" + "-".join(runtime_type.split(".")[2:])
    return runtime_type


def without_registry(reference: str) -> str:
    """An image's reference without the registry's host, which may be somebody's mirror."""
    first, slash, rest = reference.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else reference
