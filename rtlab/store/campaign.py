"""One campaign's folder: its plan, facts, trials and end, written and read back (see ``rtlab.store``)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

import rtlab
from rtlab import arrival, atomic, ownership, scratch
from rtlab.errors import StoreError
from rtlab.files import read
from rtlab.model import CampaignSpec, Json, Outcome, RawOutput, Record, Testbed, Trial
from rtlab.state import hold_lock, is_held, now, testbed_from_json
from rtlab.store import checking
from rtlab.store.layout import CALIBRATION, LEFTOVER, MOMENT, RAW_FILES, SCHEMA, folder_name, folder_order
from rtlab.store.reading import (
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    MAX_PLAN_BYTES,
    MAX_RECORD_BYTES,
    first_problem,
    json_lines,
    load_json,
    parsed,
    validated,
)

# Facts are read again at each resume: so many readings of one machine, the newest, are looked at.
MAX_READINGS = 20

_EMPTY = hashlib.sha256().hexdigest()
_SPEC = TypeAdapter(CampaignSpec)
_TRIAL = TypeAdapter(Trial)
_RECORD = TypeAdapter(Record)


class Campaign:
    """One campaign folder. Opening reads nothing but campaign.json; the rest is read when asked for."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self._plan: tuple[tuple[int, int, int], tuple[Trial, ...]] | None = None

    # ------------------------------------------------------------- what was planned

    @cached_property
    def header(self) -> Mapping[str, Json]:
        """campaign.json.

        Raises:
            StoreError: not a campaign, damaged, or written by a newer rtlab.
        """
        header = load_json(self.folder / "campaign.json")
        schema = header.get("schema") if isinstance(header, dict) else None
        if not isinstance(schema, int):
            raise StoreError(f"{self.folder} is not a campaign of rtlab: campaign.json has no schema number.")
        if schema > SCHEMA:
            raise StoreError(
                f"{self.folder} has schema {schema} (rtlab {header.get('rtlab')}); this rtlab "
                f"{rtlab.__version__} knows schemas up to {SCHEMA}.",
                remedy="Use the rtlab that made it, or a newer one: in a checkout, `git pull && .ci/setup`.",
            )
        return header  # type: ignore[no-any-return]

    @cached_property
    def spec(self) -> CampaignSpec:
        return validated(_SPEC, self.header.get("spec"), self.folder / "campaign.json")

    @property
    def digest(self) -> str:
        return str(self.header.get("digest"))

    @cached_property
    def testbed(self) -> Testbed:
        return testbed_from_json(load_json(self.folder / "testbed.json"))

    @property
    def plan(self) -> tuple[Trial, ...]:
        """Every planned trial in order, repeats included. Read again only when the file is another one."""
        file = self.folder / "plan.jsonl"
        try:
            found = file.stat()
        except OSError:
            return self._read_plan(file)  # which says what is wrong
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._plan is None or self._plan[0] != state:
            self._plan = (state, self._read_plan(file))
        return self._plan[1]

    def _read_plan(self, file: Path) -> tuple[Trial, ...]:
        trials = []
        lines = read(file, MAX_PLAN_BYTES).splitlines()
        for number, line in enumerate(lines, 1):
            try:
                trials.append(_TRIAL.validate_json(line))
            except ValidationError as error:
                if number == len(lines):  # torn by a power loss while repeats were appended
                    break
                raise StoreError(f"{file} line {number} is damaged: {first_problem(error)}.") from error
        return tuple(trials)

    def append_to_plan(self, trials: Iterable[Trial]) -> None:
        """Add repeats at the end of the plan, durably, before they run: all of them or none."""
        added = list(trials)
        if added:
            # Written anew rather than appended to: a kill must not leave half a block's repeats.
            whole = [json.dumps(asdict(trial), sort_keys=True) + "\n" for trial in (*self.plan, *added)]
            atomic.write_bytes(self.folder / "plan.jsonl", "".join(whole).encode())

    def give_up(self, block: int, reason: str) -> None:
        """Note, durably, that an interrupted block is neither carried on nor repeated, and why."""
        line = json.dumps({"at": now(), "block": block, "reason": reason}, sort_keys=True)
        atomic.append_line(self.folder / "given-up.jsonl", line, 0o644)

    def given_up(self) -> dict[int, str]:
        """Blocks that were interrupted and are not repeated -> the reason. Their trials are in no pair."""
        found = {}
        for line in json_lines(self.folder / "given-up.jsonl"):
            block, reason = line.get("block"), line.get("reason")
            if isinstance(block, int) and isinstance(reason, str):
                found[block] = reason
        return found

    @property
    def finished(self) -> bool:
        """Whether ``bench`` came to its end here, repeats included."""
        return (self.folder / "finished.json").exists()

    def finish(self, stopped: str = "") -> None:
        """Note, durably, that nothing is left to do, and why an adaptive campaign stopped."""
        atomic.write_json(
            self.folder / "finished.json", {"finished_at": now(), **({"stopped": stopped} if stopped else {})}
        )

    @property
    def stopped(self) -> str:
        """Why an adaptive campaign stopped; empty for others, and before the end."""
        if self.spec.until is None or not self.finished:
            return ""
        end = load_json(self.folder / "finished.json")
        reason = end.get("stopped") if isinstance(end, dict) else None
        return reason if isinstance(reason, str) else ""

    def write_look(self, look: Mapping[str, Json]) -> None:
        """Keep what a look at an adaptive campaign saw; the same number of blocks is looked at once."""
        earlier = self.looks()
        if not earlier or earlier[-1].get("planned") != look["planned"]:
            atomic.append_line(self.folder / "looks.jsonl", json.dumps(look, sort_keys=True, allow_nan=False), 0o644)

    def looks(self) -> tuple[Mapping[str, Json], ...]:
        """Every look at an adaptive campaign, in order."""
        return json_lines(self.folder / "looks.jsonl")

    # ------------------------------------------------------------- facts

    def write_facts(self, machine: str, facts: Mapping[str, Json]) -> None:
        """Keep what is known of a machine now; earlier facts stay."""
        folder = atomic.make_folder_inside(self.folder, f"facts/{machine}")
        name = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        while (folder / f"{name}.json").exists():
            name += "x"
        atomic.write_json(folder / f"{name}.json", facts)

    def facts(self) -> dict[str, tuple[Mapping[str, Json], ...]]:
        """Per machine, the facts that were taken (the newest MAX_READINGS), oldest first."""
        found: dict[str, tuple[Mapping[str, Json], ...]] = {}
        for folder in sorted(p for p in (self.folder / "facts").glob("*") if p.is_dir() and not p.is_symlink()):
            found[folder.name] = tuple(load_json(f) for f in sorted(folder.glob("*.json"))[-MAX_READINGS:])
        return found

    # ------------------------------------------------------------- trials

    def calibrated(self, experiment: str, parameters: Mapping[str, Json]) -> None:
        """Put parameters that were chosen before the first block into the spec, durably. The digest stays that of what
        was asked for, by which `bench` finds the campaign again."""
        spec = replace(self.spec, parameters={**self.spec.parameters, experiment: dict(parameters)})
        atomic.write_json(self.folder / "campaign.json", {**self.header, "spec": asdict(spec)})
        for name in ("header", "spec"):
            self.__dict__.pop(name, None)

    def write_trial(self, record: Record, files: Mapping[str, bytes], place: str = "trials") -> Record:
        """Store one attempt: raw files and record, whole or not at all. Returns the record with digests.

        What would be too large to be read again is cut, and the attempt stored as failed with the reason.

        Args:
            place: "trials", or CALIBRATION for a run before the first block.

        Raises:
            StoreError: the disk is full or read-only; nothing half-written stays.
            Unsafe: a link stands in the place of the folder.
        """
        record, files = _readable(record, files)
        record = replace(record, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
        parent = self.folder / place
        if place != "trials":
            atomic.make_folder_inside(self.folder, place)
        atomic.refuse_link(parent)
        final = parent / folder_name(record)
        temporary = parent / f".{final.name}.{secrets.token_hex(4)}.tmp"
        try:
            temporary.mkdir()
            ownership.hand_over(temporary, parent)
            for name, content in files.items():
                self._write(temporary / name, content)
            text = json.dumps(asdict(record), indent=2, sort_keys=True, allow_nan=False) + "\n"
            self._write(temporary / "record.json", text.encode())
            if self.durable:
                atomic.sync_folder(temporary)
            os.rename(temporary, final)
            if self.durable:
                atomic.sync_folder(parent)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise atomic.cannot_write(final, error) from error
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return record

    def _write(self, path: Path, content: bytes) -> None:
        with open(path, "xb") as file:
            ownership.hand_over(file.fileno(), path.parent)
            file.write(content)
            if self.durable:
                file.flush()
                os.fsync(file.fileno())

    def trial_folders(self, place: str = "trials") -> tuple[Path, ...]:
        """Folders of all stored attempts, by trial and attempt."""
        try:
            entries = [e.name for e in os.scandir(self.folder / place) if not e.name.startswith(".")]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"Cannot read {self.folder / place}: {error.strerror}.") from error
        return tuple(self.folder / place / name for name in sorted(entries, key=folder_order))

    def calibration(self) -> tuple[RawOutput, ...]:
        """The runs before the first block, with their verbatim output."""
        folders = self.trial_folders(CALIBRATION)
        return tuple(self.raw_output(self.record(folder), CALIBRATION) for folder in folders)

    def records(self, most: int | None = None) -> tuple[Record, ...]:
        """The records of all attempts (or the first ``most`` of them), by trial and attempt.

        Raises:
            StoreError: a record is damaged; the message names it.
        """
        return tuple(self.record(folder) for folder in self.trial_folders()[:most])

    def record(self, folder: Path) -> Record:
        """The record in an attempt's folder; StoreError when it is damaged or another trial's."""
        file = f"{folder}/record.json"  # joining paths as text: a report reads hundreds of thousands
        record = validated(_RECORD, read(file, MAX_RECORD_BYTES), file)
        if folder.name != folder_name(record):
            raise StoreError(f"{file} belongs to another trial: its folder should be called {folder_name(record)}.")
        for moment in (record.started_at, record.ended_at):
            if not _is_moment(moment):
                raise StoreError(f"{file} is damaged: {moment[:60]!r} is no moment.")
        return record

    def raw_outputs(self) -> Iterator[RawOutput]:
        """Every attempt with its verbatim output.

        Raises:
            StoreError: a raw file is missing or is not what was stored (SHA-256).
        """
        for folder in self.trial_folders():
            yield self.raw_output(self.record(folder))

    def raw_output(self, record: Record, place: str = "trials") -> RawOutput:
        """The verbatim files of one attempt (see ``raw_outputs``)."""
        folder = f"{self.folder}/{place}/{folder_name(record)}"
        content: dict[str, bytes] = {}
        for name, digest in record.files.items():
            if name not in RAW_FILES:
                continue
            file = f"{folder}/{name}"
            content[name] = read(file, MAX_JSON_BYTES if name == "probe.json" else MAX_FILE_BYTES)
            if digest == _EMPTY and not content[name]:
                continue  # most tools print nothing to stderr
            if hashlib.sha256(content[name]).hexdigest() != digest:
                raise StoreError(
                    f"{file} is not what was stored: its SHA-256 differs from the record's.",
                    remedy="Get an unchanged copy of the campaign; `rtlab verify` lists every changed file.",
                )
        try:
            probe = parsed(content.get("probe.json") or b"{}")
        except ValueError:
            probe = {}
        return RawOutput(
            record=record,
            stdout=content.get("stdout", b"").decode("utf-8", "replace"),
            stderr=content.get("stderr", b"").decode("utf-8", "replace"),
            probe=probe if isinstance(probe, dict) else {},
        )

    def changed_files(self) -> tuple[str, ...]:
        """What is not as it was stored: changed, damaged, missing, or against the plan; places with reasons."""
        return tuple(checking.problems(self))

    def sweep(self) -> None:
        """Remove temporary files and folders that a kill left behind; they never held an acknowledged trial."""
        scratch.sweep(self.folder.parent, LEFTOVER)
        for leftover in (*self.folder.glob("trials/.*.tmp"), *self.folder.glob(f"{CALIBRATION}/.*.tmp")):
            shutil.rmtree(leftover, ignore_errors=True)
        for file in (*self.folder.glob(".*.tmp"), *self.folder.glob("facts/*/.*.tmp")):
            with contextlib.suppress(OSError):
                file.unlink()

    def locked(self, purpose: str) -> AbstractContextManager[None]:
        """Hold the campaign's lock (raises Locked)."""
        return hold_lock(self.folder / ".lock", purpose)

    @property
    def worked_on(self) -> bool:
        """Whether a process holds the campaign's lock at the moment."""
        return is_held(self.folder / ".lock")


def _is_moment(text: str) -> bool:
    try:
        return bool(MOMENT.fullmatch(text) and datetime.fromisoformat(text[:-1]))
    except ValueError:
        return False


def _readable(record: Record, files: Mapping[str, bytes]) -> tuple[Record, Mapping[str, bytes]]:
    """The attempt within the limits of reading: what is stored must not make the whole campaign unreadable."""
    fitting: dict[str, bytes] = {}
    problems = []
    for name, content in files.items():
        cap = MAX_JSON_BYTES if name == "probe.json" else MAX_FILE_BYTES
        if len(content) > cap:
            problems.append(f"{name} has {len(content)} bytes, of which {cap} are kept")
        fitting[name] = content[:cap]
    reason = arrival.short(record.reason)
    if len(record.reason) > arrival.MOST_REASON:
        problems.append(f"its reason has {len(record.reason)} characters")
    boot_id = record.boot_id
    if boot_id is not None and len(boot_id) > 200:
        boot_id = None
        problems.append("its boot id is none")
    if problems:
        outcome = Outcome.FAILED if record.outcome is Outcome.OK else record.outcome
        reason = f"more came than is kept: {'; '.join(problems)}. {reason}".rstrip()
        record = replace(record, outcome=outcome)
    return replace(record, reason=reason, boot_id=boot_id), fitting
