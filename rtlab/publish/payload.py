"""The campaign as it may leave, written anew; and the names that must not be in it."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtlab import store
from rtlab.model import Json, Record
from rtlab.publish.allowlist import ARM, TIME, UUID, VERSION, shaped
from rtlab.publish.documents import as_json, as_line, write_text
from rtlab.publish.grammar import Grammar
from rtlab.publish.redaction import Redaction
from rtlab.publish.search import boot_ids_in
from rtlab.state import testbed_to_json
from rtlab.store import RAW_FILES, Campaign

# Facts whose values are names to look for in every text, though they never leave themselves.
NAMING = re.compile(r"(host_?name|fqdn|domain|user(name)?|login|owner|node_?name)", re.I)


def names(campaign: Campaign) -> set[str]:
    """Accounts and hosts to look for: this controller's, and those that the campaign's own facts and paths name."""
    found = {socket.gethostname(), socket.getfqdn(), Path.home().name}
    found |= {os.environ.get(key, "") for key in ("USER", "LOGNAME", "SUDO_USER", "HOSTNAME")}
    with contextlib.suppress(KeyError, OSError):
        found.add(getpass.getuser())

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                if NAMING.search(str(key)) and isinstance(item, str):
                    yield item
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    for taken in campaign.facts().values():
        for reading in taken:
            found.update(walk(reading))
    for machine in campaign.testbed.machines:
        found |= {machine.user, *re.findall(r"/(?:home|Users)/([^/]+)", machine.home)}
    return {n for n in found if n and len(n) <= 255 and not re.search(r"\s", n)}


def boot_ids(campaign: Campaign) -> set[str]:
    """Of machines and guests, from records, facts and answers: they stay, wherever they stand."""
    found = {record.boot_id for record in campaign.records() if record.boot_id and UUID.fullmatch(record.boot_id)}
    for taken in campaign.facts().values():
        for reading in taken:
            found.update(boot_ids_in(reading))
    for raw in campaign.raw_outputs():
        found.update(boot_ids_in(raw.probe))
    return found


def write(campaign: Campaign, to: Path, redaction: Redaction) -> tuple[dict[str, str], set[str]]:
    """Write the campaign as it may leave. Returns the raw files' original digests, and which raw files changed."""
    (to / "trials").mkdir(parents=True)
    header = campaign.header
    write_text(
        to / "campaign.json",
        as_json(
            {
                "schema": header["schema"],
                "rtlab": shaped(header.get("rtlab"), VERSION),
                "created_at": shaped(header.get("created_at"), TIME),
                "digest": shaped(header.get("digest"), re.compile("[0-9a-f]{64}")),
                "spec": redaction.spec(campaign.spec),
            }
        ),
    )
    write_text(to / "testbed.json", as_json(testbed_to_json(redaction.testbed(campaign.testbed))))
    write_text(to / "plan.jsonl", "".join(as_line(asdict(redaction.trial(t))) for t in campaign.plan))
    for machine, taken in campaign.facts().items():
        folder = to / "facts" / redaction.machines.get(machine, "machine")
        folder.mkdir(parents=True)
        for number, reading in enumerate(taken, 1):
            write_text(folder / f"{number:04d}.json", as_json(redaction.facts(reading)))
    if given_up := campaign.given_up():
        lines = (as_line({"block": b, "reason": redaction.text(r)}) for b, r in sorted(given_up.items()))
        write_text(to / "given-up.jsonl", "".join(lines))
    if looks := campaign.looks():
        write_text(to / "looks.jsonl", "".join(as_line(_look(redaction, look)) for look in looks))
    if campaign.finished:
        end = store.read_json(campaign.folder / "finished.json")
        end = end if isinstance(end, dict) else {}
        kept = {"finished_at": shaped(end.get("finished_at"), TIME)}
        if campaign.stopped:
            kept["stopped"] = redaction.text(campaign.stopped)
        write_text(to / "finished.json", as_json(kept))
    originals: dict[str, str] = {}
    different: set[str] = set()
    for folder, record in zip(campaign.trial_folders(), campaign.records(), strict=True):
        leaving: dict[str, bytes] = {}
        grammar = Grammar.of(record.trial.experiment)
        for file in RAW_FILES:
            if file in record.files:
                content = store.read_file(folder / file)
                leaving[file] = _raw(redaction, file, content, grammar)
        stored = redaction.record(record, {n: hashlib.sha256(c).hexdigest() for n, c in leaving.items()})
        target = to / "trials" / store.folder_name(stored)
        target.mkdir()
        for file, content in leaving.items():
            (target / file).write_bytes(content)
            path = f"{to.name}/trials/{target.name}/{file}"
            originals[path] = record.files[file]
            if stored.files[file] != record.files[file]:
                different.add(path)
        write_text(target / "record.json", as_json(_plain_record(stored)))
    return originals, different


def _plain_record(record: Record) -> Json:
    return {**asdict(record), "outcome": record.outcome.value}


def _look(redaction: Redaction, look: Mapping[str, Any]) -> dict[str, Any]:
    widths = look.get("half_widths")
    kept = {
        "/".join(redaction.text(part) for part in key.split("/") if ARM.fullmatch(part)): value
        for key, value in (widths.items() if isinstance(widths, dict) else ())
        if value is None or isinstance(value, int | float)
    }
    numbers = {k: look[k] for k in ("planned", "full", "hours") if isinstance(look.get(k), int | float)}
    stopped = look.get("stopped")
    return {
        "at": shaped(look.get("at"), TIME),
        **numbers,
        "half_widths": kept,
        "stopped": redaction.text(stopped) if isinstance(stopped, str) else "",
    }


def _raw(redaction: Redaction, name: str, content: bytes, grammar: Grammar) -> bytes:
    """A raw file as it may leave: the same bytes when there is nothing to replace."""
    text = content.decode("utf-8", "surrogateescape")
    if name.endswith(".json"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            clean = redaction.anything(grammar.document(value, redaction))
            return content if clean == value else (json.dumps(clean, indent=1, sort_keys=True) + "\n").encode()
    if name == "stdout":
        text_by_grammar = grammar.stdout(text, redaction)
        clean = text_by_grammar if grammar.prints else redaction.text(text_by_grammar)
    else:
        clean = redaction.text(text)
    return content if clean == text else clean.encode("utf-8", "surrogateescape")
