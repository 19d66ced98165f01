"""Whether a campaign is as it was stored: nothing changed, nothing missing, nothing that contradicts the plan."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rtlab.errors import StoreError
from rtlab.files import read
from rtlab.model import Record, Trial
from rtlab.store.layout import CALIBRATION, RAW_FILES
from rtlab.store.reading import MAX_FILE_BYTES, MAX_JSON_BYTES

if TYPE_CHECKING:
    from rtlab.store.campaign import Campaign

# Of a record whose trial is not the one of its number in the plan.
AGAINST_THE_PLAN = "its record contradicts the plan"
# So many missing trials are named; the rest is counted.
LISTED = 20


def problems(campaign: Campaign) -> Iterator[str]:
    """Everything that is not as it was stored, in plain words, each with its place in the campaign's folder."""
    unreadable = tuple(_unreadable(campaign))
    yield from unreadable
    if not unreadable:
        yield from _of_the_plan(campaign)
    seen: list[Record] = []
    try:
        folders = (*campaign.trial_folders(), *campaign.trial_folders(CALIBRATION))
    except StoreError as error:
        yield error.message
        return
    for folder in folders:
        name = f"{folder.parent.name}/{folder.name}"
        try:
            record = campaign.record(folder)
        except StoreError as error:
            yield f"{name}/record.json: {error.message}"
            continue
        yield from (f"{name}/{problem}" for problem in _of_the_files(folder, record))
        if folder.parent.name != CALIBRATION:
            seen.append(record)
    if not unreadable:
        yield from _against_the_plan(campaign, seen)


def _unreadable(campaign: Campaign) -> Iterator[str]:
    """Each part beside the trials that cannot be read."""
    for name in ("header", "spec", "testbed", "plan", "stopped"):
        try:
            getattr(campaign, name)
        except StoreError as error:
            yield error.message
            if name == "header":
                return
    try:
        campaign.facts()
    except StoreError as error:
        yield error.message


def _of_the_plan(campaign: Campaign) -> Iterator[str]:
    spec, trials = campaign.spec, campaign.plan
    first = [t for t in trials if t.kind == "ab" and t.repeats is None]
    if len(first) < (wanted := spec.runs * len(spec.runtimes) * len(spec.experiments)):
        yield f"plan.jsonl: it has {len(first)} trials, where campaign.json asks for {wanted} or more"
    if [t.number for t in trials] != list(range(1, len(trials) + 1)):
        yield "plan.jsonl: its trials are not numbered from 1 on, one after the other"
    machines = {m.name for m in campaign.testbed.machines}
    for trial in trials:
        if problem := _contradiction(trial, spec.experiments, spec.runtimes, machines):
            yield f"plan.jsonl: trial {trial.number} {problem}"


def _contradiction(trial: Trial, experiments: tuple[str, ...], runtimes: tuple[str, ...], machines: set[str]) -> str:
    """What of a planned trial cannot be true; empty when all of it can."""
    if trial.experiment not in experiments:
        return f"is of the experiment {trial.experiment[:60]!r}, which campaign.json does not name"
    if trial.runtime not in runtimes:
        return f"runs under {trial.runtime[:60]!r}, which campaign.json does not name"
    if trial.arm.partition("#")[0] != trial.runtime:
        return f"is of the arm {trial.arm[:60]!r}, but runs under {trial.runtime[:60]!r}"
    if trial.machine not in machines:
        return f"is on the machine {trial.machine[:60]!r}, which testbed.json does not name"
    return ""


def _of_the_files(folder: Path, record: Record) -> Iterator[str]:
    """The raw files of one attempt, each against its digest; nothing is opened that is no raw file's name."""
    for file, digest in sorted(record.files.items()):
        if file not in RAW_FILES:
            yield f"record.json: it names a file that no trial has: {file[:200]!r}"
            continue
        try:
            content = read(folder / file, MAX_JSON_BYTES if file == "probe.json" else MAX_FILE_BYTES)
        except StoreError as error:
            yield f"{file}: {error.message}"
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            yield f"{file}: changed"
    try:
        there = sorted(os.listdir(folder))
    except OSError as error:
        yield f"cannot be listed: {error.strerror}"
        return
    for name in there:
        if name != "record.json" and name not in record.files:
            yield f"{name[:200]}: there, but not in the record"


def _against_the_plan(campaign: Campaign, records: list[Record]) -> Iterator[str]:
    """Attempts that nobody planned, and planned trials of which none is there although they were run."""
    planned = {t.number: t for t in campaign.plan}
    attempts: dict[int, set[int]] = {}
    reached: dict[str, int] = {}
    for record in records:
        trial = record.trial
        if planned.get(trial.number) != trial:
            yield f"trials/{trial.number:04d}.{record.attempt}: {AGAINST_THE_PLAN}"
        attempts.setdefault(trial.number, set()).add(record.attempt)
        reached[trial.machine] = max(trial.number, reached.get(trial.machine, 0))
    for number, found in sorted(attempts.items()):
        if found != set(range(1, len(found) + 1)):
            listed = ", ".join(map(str, sorted(found)))
            yield f"trials/{number:04d}: of its attempts one is missing; there is {listed}"
    given_up = {t.repeats for t in campaign.plan if t.repeats is not None} | campaign.given_up().keys()
    missing = [
        t.number
        for t in campaign.plan
        if t.number not in attempts
        and t.block not in given_up
        # A machine runs its trials in the plan's order: what lies before one that is there was run.
        and (campaign.finished or t.number < reached.get(t.machine, 0))
    ]
    for number in missing[:LISTED]:
        yield f"trials/{planned[number].key}: missing, though it was run"
    if len(missing) > LISTED:
        yield f"trials: {len(missing) - LISTED} more are missing"
