"""A campaign on disk: what is written, in which order, and how it is read back.

    <UTC time>-<name>/
      testbed.json         the machines
      plan.jsonl           every trial, in order                       before the first trial; repeats are appended
      campaign.json        schema, versions, spec and its digest       written last, before the folder gets its name
      facts/<machine>/<time>.json                                      taken at the start and at each resume
      Vagrantfile  ansible/                                            what the machines were made from
      calibration/         runs before the first block that chose a parameter, stored as trials are
      given-up.jsonl       interrupted blocks that are not repeated, with the reason; absent when there is none
      looks.jsonl          adaptive campaigns: what each look saw, and whether the campaign went on
      finished.json        when nothing is left to do, repeats included; absent until then
      trials/<number>.<attempt>-<experiment>-<arm>-<machine>/
          record.json  stdout  stderr  probe.json                      never rewritten
      derived/  report/    may be deleted and rebuilt

A trial's folder is filled under a temporary name, synced, and renamed: it exists whole or not at all, and
its existence is the progress. Reading treats the folder as data from strangers: sizes are capped, links are
refused, and every raw file is compared with the digest in its record.

Schema history: 1 (rtlab 0.1) first.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

import rtlab
from rtlab import arrival, atomic, scratch
from rtlab.errors import StoreError
from rtlab.model import CampaignSpec, Json, Outcome, RawOutput, Record, Testbed, Trial
from rtlab.state import hold_lock, now, testbed_from_json, testbed_to_json

SCHEMA = 1
# As much of an output as rtlab keeps (shell.OUTPUT_CAP_BYTES).
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_RECORD_BYTES = 1024 * 1024
# What is parsed as JSON takes up to thirty times its size in memory. The probe's longest document, of 100 000 requests,
# has 2 MB.
MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_PLAN_BYTES = 64 * 1024 * 1024
# Facts are read again at each resume: so many readings of one machine, the newest, are looked at.
MAX_READINGS = 20
CALIBRATION = "calibration"
# Folders that a kill left in the making (of earlier versions, too, which put no random number into the name).
LEFTOVER = re.compile(r"\.\d{8}T\d{6}Z-[^/]{1,100}?(?:\.[0-9a-f]{8})?\.tmp")
RAW_FILES = ("stdout", "stderr", "probe.json")

_EMPTY = hashlib.sha256().hexdigest()
T = TypeVar("T")
_SPEC = TypeAdapter(CampaignSpec)
_TRIAL = TypeAdapter(Trial)
_RECORD = TypeAdapter(Record)


def spec_digest(spec: CampaignSpec, testbed_id: str) -> str:
    """SHA-256 (hex) of what a campaign is to do, where; the seed does not count, because it is drawn anew."""
    content = {**asdict(spec), "seed": None, "testbed": testbed_id}
    if spec.until is None:  # as before there were adaptive campaigns
        del content["until"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def create(
    parent: Path,
    spec: CampaignSpec,
    testbed: Testbed,
    plan: Sequence[Trial],
    *,
    made_with: Path | None = None,
    durable: bool = True,
) -> Campaign:
    """Make a new campaign folder with spec, testbed and the whole plan, before anything runs.

    Args:
        parent: Usually ``campaigns``; made if missing.
        made_with: The folder of the Vagrantfile, playbooks and roles that made the machines, copied into the campaign
            (a profile's pins stand in the facts, as what they came to); None where rtlab made none.
        durable: False skips fsync per trial (simulated campaigns only); the protocol stays the same.

    Raises:
        StoreError: the folder cannot be written.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    atomic.make_folder(parent)
    scratch.sweep(parent, LEFTOVER)
    folder = parent / f"{stamp}-{spec.name}"
    try:
        with scratch.folder(parent, folder.name, ".tmp") as temporary:
            (temporary / "trials").mkdir()
            (temporary / "facts").mkdir()
            atomic.write_json(temporary / "testbed.json", testbed_to_json(published(testbed)))
            lines = "".join(json.dumps(asdict(trial), sort_keys=True) + "\n" for trial in plan)
            atomic.write_bytes(temporary / "plan.jsonl", lines.encode())
            if made_with is not None:
                _keep_provisioning(made_with, temporary)
            header = {
                "schema": SCHEMA,
                "rtlab": rtlab.__version__,
                "created_at": now(),
                "spec": asdict(spec),
                "digest": spec_digest(spec, testbed.id),
            }
            # Last: what has it is whole, even where something else takes a folder for a campaign by it.
            atomic.write_json(temporary / "campaign.json", header)
            while folder.exists() or not _renamed(temporary, folder):
                folder = parent / f"{stamp}-{spec.name}-{secrets.token_hex(2)}"
        atomic.sync_folder(parent)
    except OSError as error:
        raise atomic.cannot_write(folder, error) from error
    return Campaign(folder, durable=durable)


def _renamed(temporary: Path, folder: Path) -> bool:
    """False when another rtlab made a campaign of that name in this moment."""
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _keep_provisioning(made_with: Path, folder: Path) -> None:
    """For whoever asks later how the machines were made; the report does not read it, and `pack` leaves it out."""
    shutil.copyfile(made_with / "Vagrantfile", folder / "Vagrantfile")
    for name in ("playbooks", "roles"):
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(made_with / name, folder / "ansible" / name, ignore=ignored, copy_function=shutil.copyfile)


def published(testbed: Testbed) -> Testbed:
    """The testbed without what only this controller needs: key files, addresses and the user's paths."""
    machines = tuple(
        replace(
            m,
            address="",
            port=0,
            user="",
            key_file=None,
            known_hosts_file=None,
            python="",
            netns=None,
            engine_socket="",
        )
        for m in testbed.machines
    )
    return replace(testbed, machines=machines)


def find(parent: Path, name: str | None = None) -> Campaign:
    """The campaign called ``name`` (a folder, its name, or a unique beginning of it); None or "last": the newest one.

    Raises:
        StoreError: there is none, or the name fits several.
    """
    if name and LEFTOVER.fullmatch(Path(name).name):
        raise StoreError(
            f"{name[:120]!r} is no campaign, but what a kill left of one before its first trial.",
            remedy="The next `rtlab bench` removes it and begins anew.",
        )
    if name and (Path(name) / "campaign.json").is_file():
        return Campaign(Path(name))
    if name and (Path(name) / "bagit.txt").is_file():  # what `rtlab pack` made, unpacked
        inside = sorted((Path(name) / "data").glob("*/campaign.json"))
        if len(inside) == 1:
            return Campaign(inside[0].parent)
    known = _visible(parent)
    if not known:
        raise StoreError(f"There is no campaign in {parent}.", remedy="Run `rtlab bench` first, or name a folder.")
    if name is None or name == "last":
        return Campaign(known[-1])
    fitting = [p for p in known if p.name == name] or [p for p in known if p.name.startswith(name)]
    if len(fitting) == 1:
        return Campaign(fitting[0])
    problem = "fits several campaigns" if fitting else "is no campaign"
    listed = "\n".join(f"  {p.name}" for p in (fitting or known)[-10:])
    raise StoreError(f"{name[:80]!r} {problem} in {parent}:\n{listed}", remedy="Give the whole name of one of them.")


def known(parent: Path) -> tuple[Campaign, ...]:
    """All campaigns in a folder that this rtlab can read, oldest first."""
    found = []
    for folder in _visible(parent):
        campaign = Campaign(folder)
        try:
            _ = campaign.spec
        except StoreError:
            continue  # foreign or newer: `report` says so when it is asked for it
        found.append(campaign)
    return tuple(found)


def _visible(parent: Path) -> list[Path]:
    """Folders with a campaign.json, by name. Hidden ones are in the making, or left from it: never a campaign."""
    return sorted(p.parent for p in parent.glob("*/campaign.json") if not p.parent.name.startswith("."))


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
        header = _load_json(self.folder / "campaign.json")
        schema = header.get("schema") if isinstance(header, dict) else None
        if not isinstance(schema, int):
            raise StoreError(f"{self.folder} is not a campaign of rtlab: campaign.json has no schema number.")
        if schema > SCHEMA:
            raise StoreError(
                f"{self.folder} has schema {schema} (rtlab {header.get('rtlab')}); this rtlab "
                f"{rtlab.__version__} knows schemas up to {SCHEMA}.",
                remedy="Use a newer rtlab: pip install --upgrade rtlab.",
            )
        return header  # type: ignore[no-any-return]

    @cached_property
    def spec(self) -> CampaignSpec:
        return _validated(_SPEC, self.header.get("spec"), self.folder / "campaign.json")

    @property
    def digest(self) -> str:
        return str(self.header.get("digest"))

    @cached_property
    def testbed(self) -> Testbed:
        return testbed_from_json(_load_json(self.folder / "testbed.json"))

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
        lines = _read(file, MAX_PLAN_BYTES).splitlines()
        for number, line in enumerate(lines, 1):
            try:
                trials.append(_TRIAL.validate_json(line))
            except ValidationError as error:
                if number == len(lines):  # torn by a power loss while repeats were appended
                    break
                raise StoreError(f"{file} line {number} is damaged: {_first(error)}.") from error
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
        for line in _json_lines(self.folder / "given-up.jsonl"):
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
        end = _load_json(self.folder / "finished.json")
        reason = end.get("stopped") if isinstance(end, dict) else None
        return reason if isinstance(reason, str) else ""

    def write_look(self, look: Mapping[str, Json]) -> None:
        """Keep what a look at an adaptive campaign saw; the same number of blocks is looked at once."""
        earlier = self.looks()
        if not earlier or earlier[-1].get("planned") != look["planned"]:
            atomic.append_line(self.folder / "looks.jsonl", json.dumps(look, sort_keys=True, allow_nan=False), 0o644)

    def looks(self) -> tuple[Mapping[str, Json], ...]:
        """Every look at an adaptive campaign, in order."""
        return _json_lines(self.folder / "looks.jsonl")

    # ------------------------------------------------------------- facts

    def write_facts(self, machine: str, facts: Mapping[str, Json]) -> None:
        """Keep what is known of a machine now; earlier facts stay."""
        folder = atomic.make_folder(self.folder / "facts" / machine)
        name = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        while (folder / f"{name}.json").exists():
            name += "x"
        atomic.write_json(folder / f"{name}.json", facts)

    def facts(self) -> dict[str, tuple[Mapping[str, Json], ...]]:
        """Per machine, the facts that were taken (the newest MAX_READINGS), oldest first."""
        found: dict[str, tuple[Mapping[str, Json], ...]] = {}
        for folder in sorted(p for p in (self.folder / "facts").glob("*") if p.is_dir() and not p.is_symlink()):
            found[folder.name] = tuple(_load_json(f) for f in sorted(folder.glob("*.json"))[-MAX_READINGS:])
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
        """
        record, files = _readable(record, files)
        record = replace(record, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
        parent = self.folder / place
        if place != "trials":
            atomic.make_folder(parent)
        final = parent / folder_name(record)
        temporary = parent / f".{final.name}.{secrets.token_hex(4)}.tmp"
        try:
            temporary.mkdir()
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
        return tuple(self.folder / place / name for name in sorted(entries, key=_folder_order))

    def calibration(self) -> tuple[RawOutput, ...]:
        """The runs before the first block, with their verbatim output."""
        folders = self.trial_folders(CALIBRATION)
        return tuple(self.raw_output(self._record(folder), CALIBRATION) for folder in folders)

    def records(self, most: int | None = None) -> tuple[Record, ...]:
        """The records of all attempts (or the first ``most`` of them), by trial and attempt.

        Raises:
            StoreError: a record is damaged; the message names it.
        """
        return tuple(self._record(folder) for folder in self.trial_folders()[:most])

    def _record(self, folder: Path) -> Record:
        file = f"{folder}/record.json"  # joining paths as text: a report reads hundreds of thousands
        record = _validated(_RECORD, _read(file, MAX_RECORD_BYTES), file)
        if folder.name != folder_name(record):
            raise StoreError(f"{file} belongs to another trial: its folder should be called {folder_name(record)}.")
        return record

    def raw_outputs(self) -> Iterator[RawOutput]:
        """Every attempt with its verbatim output.

        Raises:
            StoreError: a raw file is missing or is not what was stored (SHA-256).
        """
        for folder in self.trial_folders():
            yield self.raw_output(self._record(folder))

    def raw_output(self, record: Record, place: str = "trials") -> RawOutput:
        """The verbatim files of one attempt (see ``raw_outputs``)."""
        folder = f"{self.folder}/{place}/{folder_name(record)}"
        content: dict[str, bytes] = {}
        for name, digest in record.files.items():
            if name not in RAW_FILES:
                continue
            file = f"{folder}/{name}"
            content[name] = _read(file, MAX_JSON_BYTES if name == "probe.json" else MAX_FILE_BYTES)
            if digest == _EMPTY and not content[name]:
                continue  # most tools print nothing to stderr
            if hashlib.sha256(content[name]).hexdigest() != digest:
                raise StoreError(
                    f"{file} is not what was stored: its SHA-256 differs from the record's.",
                    remedy="Get an unchanged copy of the campaign; `rtlab verify` lists every changed file.",
                )
        try:
            probe = json.loads(content.get("probe.json") or b"{}")
        except ValueError:
            probe = {}
        return RawOutput(
            record=record,
            stdout=content.get("stdout", b"").decode("utf-8", "replace"),
            stderr=content.get("stderr", b"").decode("utf-8", "replace"),
            probe=probe if isinstance(probe, dict) else {},
        )

    def changed_files(self) -> tuple[str, ...]:
        """What is not as it was stored: raw files missing or changed, records damaged; relative paths with reasons."""
        problems = []
        for folder in (*self.trial_folders(), *self.trial_folders(CALIBRATION)):
            name = str(folder.relative_to(self.folder))
            try:
                record = self._record(folder)
            except StoreError as error:
                problems.append(f"{name}/record.json: {error.message}")
                continue
            for file, digest in sorted(record.files.items()):
                try:
                    content = _read(folder / file, MAX_FILE_BYTES)
                except StoreError as error:
                    problems.append(f"{name}/{file}: {error.message}")
                    continue
                if hashlib.sha256(content).hexdigest() != digest:
                    problems.append(f"{name}/{file}: changed")
        return tuple(problems)

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


def folder_name(record: Record) -> str:
    """The name of an attempt's folder below ``trials``."""
    number, rest = record.trial.key.split("-", 1)
    return f"{number}.{record.attempt}-{rest}"


def _folder_order(name: str) -> tuple[int, int, str]:
    found = re.match(r"(\d{1,9})\.(\d{1,6})-", name)
    return (int(found[1]), int(found[2]), name) if found else (10**9, 0, name)


def _read(path: Path | str, cap: int) -> bytes:
    """A regular file's content; links, other kinds and files above the cap are refused, the last before reading."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing.") from None
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is not a regular file.")
        content = _all(descriptor, status.st_size) if 0 < status.st_size <= cap else b""
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    if max(status.st_size, len(content)) > cap:
        raise StoreError(f"{path} is larger than {cap} bytes.")
    return content


def _all(descriptor: int, size: int) -> bytes:
    """An open file of ``size`` bytes; one byte more where it has grown."""
    content = os.read(descriptor, size + 1)
    while len(content) < size and (part := os.read(descriptor, size + 1 - len(content))):
        content += part
    return content


def read_file(path: Path) -> bytes:
    """A regular file's content, as everything of a campaign is read: no links, no other kinds, no endless sizes."""
    return _read(path, MAX_FILE_BYTES)


def read_json(path: Path) -> Any:
    """The same, parsed (StoreError when it is no JSON)."""
    return _load_json(path)


def _json_lines(path: Path) -> tuple[Mapping[str, Json], ...]:
    """The objects of a file of JSON lines, in order; lines that are none (power loss) are passed over. A file that is
    not there has none."""
    if not path.exists():
        return ()
    found = []
    for line in _read(path, MAX_RECORD_BYTES).splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def _load_json(path: Path) -> Any:
    try:
        return json.loads(_read(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}.") from error


def _validated(adapter: TypeAdapter[T], value: Any, path: Path | str) -> T:
    try:
        return adapter.validate_json(value) if isinstance(value, bytes) else adapter.validate_python(value)
    except ValidationError as error:
        raise StoreError(f"{path} is damaged: {_first(error)}.") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(p) for p in problem["loc"]) or "content"
    return f"{place}: {problem['msg']}"
