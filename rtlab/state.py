"""The state folder ``.rtlab/``: what this working folder's testbed is and what was created for it.

.rtlab/
  testbed.json     the testbed, as ``up`` left it
  journal.jsonl    write-ahead: ``intend`` before something is created, ``have`` after, ``gone`` after removal
  lock             flock; its content only informs
  keys/            SSH keys and known_hosts, 0600
  ansible/         each edge's own folder, 0700; a provider's has its name
  logs/            output of every external call
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rtlab import arrival, atomic, files, ownership
from rtlab.errors import Locked, StoreError, TestbedMissing, Unsafe
from rtlab.model import EngineAt, Level, Machine, Testbed

# A testbed of some hundred machines, and years of `up` and `teardown`.
MAX_TESTBED_BYTES = 16 * 1024 * 1024
MAX_JOURNAL_BYTES = 64 * 1024 * 1024


def now() -> str:
    """This moment, ISO 8601 in UTC with seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal.

    Attributes:
        step: ``intend`` (about to create), ``have`` (created) or ``gone`` (removed and verified).
        kind, name: What (see ``providers.Resource``).
        details: Anything that helps to find it again.
    """

    step: str
    kind: str
    name: str
    testbed: str
    at: str
    details: Mapping[str, Any]


class StateFolder:
    """One ``.rtlab`` folder. Creating the object touches nothing; ``prepare`` makes the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the folder, 0700; refuse one that is a link or belongs to somebody else."""
        self._require_ours()
        atomic.make_folder(self.path, 0o700)
        self._require_ours()

    def _require_ours(self) -> None:
        """Nothing there, or a folder of this user's: what is in it names keys, sockets and machines to log in to."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"Cannot read {self.path}: {files.reason(error)}.") from error
        if stat.S_ISLNK(found.st_mode):
            raise Unsafe(f"{self.path} is a symbolic link.", remedy="Remove it: rtlab keeps keys in there.")
        if not stat.S_ISDIR(found.st_mode):
            raise StoreError(
                f"{self.path} is not a folder.", remedy="Remove it, or work in another folder: rtlab keeps state there."
            )
        if found.st_uid == 0 and os.getuid() != 0:
            raise Unsafe(
                f"{self.path} is root's: rtlab ran here as root.",
                remedy=f"Go on as root (sudo rtlab …), or take it over: sudo chown -R {os.getuid()} '{self.path}'",
            )
        if found.st_uid not in ownership.ours():
            raise Unsafe(
                f"{self.path} belongs to another user.",
                remedy="Run rtlab as that user, or in a folder of your own: keys are kept in there.",
            )

    def folder(self, name: str) -> Path:
        """A private sub-folder (0700), made if missing; Unsafe where a link stands in its place."""
        self.prepare()
        return atomic.make_folder_inside(self.path, name, 0o700)

    # ------------------------------------------------------------- testbed

    def testbed(self) -> Testbed:
        """The testbed that ``up`` wrote.

        Raises:
            TestbedMissing: there is none.
            StoreError: the file is damaged.
        """
        file = self.path / "testbed.json"
        self._require_ours()
        if not os.path.lexists(file):
            raise TestbedMissing(f"There is no testbed in {self.path.parent}.", remedy="Run `rtlab up` there first.")
        try:
            data = arrival.parse(files.read(file, MAX_TESTBED_BYTES))
        except (ValueError, RecursionError) as error:
            raise StoreError(
                f"{file} is damaged: {str(error)[:200]}.", remedy="Run `rtlab teardown` and then `rtlab up`."
            ) from error
        return testbed_from_json(data)

    def standing(self) -> Testbed | None:
        """The testbed that ``up`` wrote; None where there is none. Raises StoreError as ``testbed`` does."""
        try:
            return self.testbed()
        except TestbedMissing:
            return None

    def write_testbed(self, testbed: Testbed) -> None:
        self.prepare()
        atomic.write_json(self.path / "testbed.json", testbed_to_json(testbed), 0o600)

    def forget_testbed(self) -> None:
        (self.path / "testbed.json").unlink(missing_ok=True)

    def clear(self, providers: Iterable[str]) -> None:
        """Forget a testbed that is gone: its description, journal, keys and each edge's folder; logs stay.

        Args:
            providers: Whose folders are theirs: each provider's has its name.
        """
        for name in ("testbed.json", "journal.jsonl", "probe.pyz"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("keys", "ansible", *providers):
            folder = self.path / name
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)

    def testbed_id(self) -> str | None:
        """The id of the testbed here, also of one that ``up`` only half made; None if there is none."""
        self._require_ours()
        if os.path.lexists(self.path / "testbed.json"):
            return self.testbed().id
        entries = self.journal()
        return entries[-1].testbed if entries else None

    @staticmethod
    def new_testbed_id() -> str:
        return secrets.token_hex(4)

    # ------------------------------------------------------------- journal

    def note(self, step: str, kind: str, name: str, testbed: str, **details: Any) -> None:
        """Append to the journal, durably, before (``intend``) or after the thing it names is done."""
        self.prepare()
        entry = JournalEntry(step, kind, name, testbed, now(), details)
        atomic.append_line(self.path / "journal.jsonl", json.dumps(asdict(entry), sort_keys=True))

    def journal(self) -> tuple[JournalEntry, ...]:
        """All entries, in order; a torn last line (power loss) is passed over."""
        file = self.path / "journal.jsonl"
        if not os.path.lexists(file):
            return ()
        entries = []
        lines = files.read(file, MAX_JOURNAL_BYTES).decode(errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                entries.append(JournalEntry(**json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                if number == len(lines):
                    break
                raise StoreError(
                    f"{file} line {number} is damaged: {str(error)[:200]}.",
                    remedy="Remove that line by hand; `rtlab teardown` finds what exists by its names as well.",
                ) from error
        return tuple(entries)

    def outstanding(self, testbed: str) -> tuple[JournalEntry, ...]:
        """What may exist: each (kind, name) whose last entry is not ``gone``, newest first."""
        last: dict[tuple[str, str], JournalEntry] = {}
        for entry in self.journal():
            if entry.testbed == testbed:
                last.pop((entry.kind, entry.name), None)
                last[entry.kind, entry.name] = entry
        return tuple(e for e in reversed(last.values()) if e.step != "gone")

    # ------------------------------------------------------------- lock

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold this folder's lock; a dead holder's lock frees itself.

        Raises:
            Locked: somebody else holds it; the message says who, since when and for what.
        """
        self.prepare()
        with hold_lock(self.path / "lock", purpose):
            yield


@contextmanager
def hold_lock(file: Path, purpose: str) -> Iterator[None]:
    """An flock on ``file`` for the duration; its content names the holder but decides nothing."""
    try:
        new = not os.path.lexists(file)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise atomic.cannot_write(file, error) from error
    try:
        if new:
            ownership.hand_over(descriptor, file.parent)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 300, 0).decode("utf-8", "replace").strip() or "another rtlab"
            raise Locked(
                f"{file.parent} is in use by {holder}.",
                remedy="Wait for it to end, or stop it (Ctrl-C in its terminal). The lock frees itself when it does.",
            ) from None
        holder = f"`{purpose}`, process {os.getpid()}, since {time.strftime('%H:%M:%S')}"
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
        yield
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def is_held(file: Path) -> bool:
    """Whether somebody holds the lock ``file`` at the moment; makes no file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def wait_for_lock(
    file: Path, purpose: str, *, timeout_s: float, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Like ``hold_lock``, but wait for another holder to end, at most ``timeout_s``; then Locked.

    Args:
        on_wait: Called once when there is something to wait for.
    """
    deadline, waited = time.monotonic() + timeout_s, False
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(hold_lock(file, purpose))
            except Locked:
                if time.monotonic() > deadline:
                    raise
                if not waited:
                    waited = True
                    on_wait()
                time.sleep(0.2)
                continue
            yield
            return


def testbed_to_json(testbed: Testbed) -> dict[str, Any]:
    """A testbed as JSON values; ``testbed_from_json`` reads it back."""
    return asdict(testbed)


def _machine_now(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A machine of a testbed.json with its engines. Before there were several, two fields of its own told where Docker
    was."""
    fields = dict(stored)
    if "engine" in fields:
        fields["engine"] = EngineAt(**fields["engine"])
    else:
        fields["engine"] = EngineAt(socket=fields.pop("engine_socket"), cli=fields.pop("docker_cli"))
    fields["beside"] = tuple(EngineAt(**engine) for engine in fields.get("beside", ()))
    return fields


def testbed_from_json(data: Any) -> Testbed:
    """The testbed of a testbed.json; StoreError when fields are missing, unknown, or of another kind."""
    from pydantic import TypeAdapter  # only who reads a testbed pays for loading it

    try:
        machines = tuple(
            Machine(**{**_machine_now(m), "runtimes": tuple(m["runtimes"]), "level": Level(m["level"])})
            for m in data["machines"]
        )
        if not machines:
            raise ValueError("it has no machines")
        made = Testbed(**{**data, "machines": machines})
        # The classes themselves take anything: a number for a name would be found out far from here.
        return TypeAdapter(Testbed).validate_python(asdict(made))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"testbed.json is not one of this version of rtlab: {_told(error)}.",
            remedy="Run `rtlab teardown` with the version that made it, or read its campaign's own copy.",
        ) from error


def _told(error: Exception) -> str:
    """The first of pydantic's problems, or what any other error says."""
    if problems := getattr(error, "errors", None):
        first = problems(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(p) for p in first['loc'])[:120]}: {first['msg']}"
    return str(error)[:200]
