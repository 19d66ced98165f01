"""Hundreds of secrets in every place of a campaign, and the report of it: none is in what `rtlab pack` writes.

Thoroughly: RTLAB_FUZZ=20 pytest tests/test_planted_secrets.py (other names and numbers of every class, 20 times).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtlab import report
from rtlab.publish import pack
from rtlab.publish.redaction import Redaction
from rtlab.store import Campaign
from tests.planted import Planted, planted

THOROUGH = int(os.environ.get("RTLAB_FUZZ", "1"))
PLANTED = planted()
FRAMES = ("{}", "rtlab: {}", "at 12:00 {} now", "({})", '"{}"', "{}\nnext", "a={}", "{},", "\x1b[1m{}\x1b[0m", "{}\r")


def test_there_are_enough_of_every_class() -> None:
    assert len(PLANTED) >= 200 and len({p.kind for p in PLANTED}) >= 60
    assert all(piece.lower() in p.line.lower() or p.kind in ("basic", "docker auth", "Base64 of a text")
               for p in PLANTED for piece in p.pieces)  # fmt: skip


@pytest.mark.parametrize("seed", range(1, 3 * THOROUGH + 1))
def test_each_is_found_in_every_surrounding(seed: int) -> None:
    left = []
    for one in planted(seed):
        for frame in FRAMES:
            found = Redaction([]).text(frame.format(one.line)).lower()
            left += [(one.kind, frame, found) for piece in one.pieces if piece.lower() in found]
    assert left == []


# --------------------------------------------------------------------------- a whole campaign


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    for words in (("up", "--provider", "simulated"), ("bench", "--runs", "4", "--seed", "3")):
        done = subprocess.run(
            [sys.executable, "-m", "rtlab", *words], cwd=folder, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
    return next((folder / "campaigns").iterdir())


def rewrite(file: Path, change: Any) -> None:
    value = json.loads(file.read_text())
    file.write_text(json.dumps(change(value) or value))


def plant(folder: Path, secrets: list[Planted]) -> None:
    """Every secret in every place that a machine, a tool or a person writes to."""
    lines = [p.line for p in secrets]
    flat = [line.replace("\n", " ") for line in lines]
    trials = sorted(folder.glob("trials/*"))
    for number, trial in enumerate(trials):
        mine = [line for place, line in enumerate(lines) if place % len(trials) == number] or lines[:3]
        (trial / "stderr").write_text("\n".join(mine) + "\n")
        stdout = (trial / "stdout").read_text() if (trial / "stdout").exists() else ""
        (trial / "stdout").write_text(stdout + "\n".join(mine) + "\n")
        probe = json.loads((trial / "probe.json").read_text())
        probe["context"]["new_kernel_messages"] = mine
        probe["context"]["nested"] = {"text": json.dumps(mine), "deep": [{line[:60]: line} for line in mine]}
        probe["context"]["encoded"] = [urllib.parse.quote(line) for line in mine]
        probe["proof"]["evidence"]["command_line"] = mine
        probe["tool"] = {"argv": mine, "exit_status": 0, "stdout": stdout + "\n".join(mine), "stderr": mine[0]}
        (trial / "probe.json").write_text(json.dumps(probe))
        record = json.loads((trial / "record.json").read_text())
        if number % 9 == 8:
            record |= {"outcome": "failed", "reason": "; ".join(flat[number % 7 :: 7])[:3900]}
        record["files"] = {
            n: hashlib.sha256((trial / n).read_bytes()).hexdigest() for n in ("stdout", "stderr", "probe.json")
        }
        (trial / "record.json").write_text(json.dumps(record))
    for place, file in enumerate(sorted(folder.glob("facts/*/*.json"))):

        def facts(value: dict[str, Any], place: int = place) -> None:
            value |= {f"unknown{n}": line for n, line in enumerate(lines)} | dict.fromkeys(lines, 1)
            value["distribution"] = flat[place]
            value["kernel"] = flat[place + 2]
            value["runtimes"] = {
                arm: {"version": line, "path": line, "arguments": flat}
                for arm, line in zip(("runc", "kata", *flat), flat, strict=False)
            }
            value["docker"] = {"version": flat[place], "components": dict(zip(flat, flat, strict=True))}
            value["cpu"] = {"model": flat[-1], "mitigations": {line: line for line in flat}}
            value["modules"] = flat

        rewrite(file, facts)
    machines = {"node1": "rack7.geheim-firma.mylab", "node2": "janes-laptop"}

    def spec(value: dict[str, Any]) -> None:
        value["spec"]["parameters"]["io"]["calibrated"] = " | ".join(flat)
        value["spec"]["parameters"]["network"]["url"] = flat[0]
        value["spec"]["images"] |= {f"x{n}": line for n, line in enumerate(flat)}

    details = {"scenario_name": flat[0], "kata": {"a": {"b": flat}}, "engine": {"docker": flat[1]}, "other": flat}
    rewrite(folder / "campaign.json", spec)
    rewrite(folder / "testbed.json", lambda value: value["details"].update(details))
    (folder / "finished.json").write_text(
        json.dumps({"finished_at": "2026-11-26T10:00:00Z", "stopped": "; ".join(flat)})
    )
    for old, new in machines.items():
        for file in (folder / "plan.jsonl", folder / "testbed.json", *folder.glob("trials/*/record.json")):
            file.write_text(file.read_text().replace(f'"{old}"', f'"{new}"'))
        (folder / "facts" / old).rename(folder / "facts" / new)
        for trial in list(folder.glob(f"trials/*-{old}")):
            trial.rename(trial.with_name(trial.name.replace(old, new)))
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "index.html").write_text("\n".join(lines))


def contents(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Every member by name, with archives in it opened and compressed streams of PDF read."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in opened.namelist():
            content = opened.read(name)
            yield name, name.encode() + b"\n" + content
            if content.startswith(b"PK\x03\x04"):
                yield from ((f"{name}/{inner}", found) for inner, found in contents(content))
            for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.S):
                try:
                    yield f"{name}, a stream", zlib.decompress(stream)
                except zlib.error:
                    continue


def readings(content: bytes) -> str:
    """A content as it stands and as it may be read: escapes, percent signs, entities, Base64; in small letters."""
    text = content.decode("utf-8", "replace")
    escapes = re.sub(r"\\u00([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), text)
    forms = [text, urllib.parse.unquote(text), html.unescape(text), escapes, text.replace("\\", "")]
    for word in re.findall(r"[A-Za-z0-9+/_-]{12,}={0,2}", text):
        try:
            plain = word.rstrip("=").replace("-", "+").replace("_", "/")
            forms.append(base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8", "replace"))
        except (binascii.Error, ValueError):
            continue
    return "\n".join(forms).casefold()


@pytest.mark.parametrize("secrets", [PLANTED, *map(planted, range(1, THOROUGH))], ids=lambda _: "seed")
def test_none_of_them_is_in_the_archive(measured: Path, tmp_path: Path, secrets: list[Planted]) -> None:
    folder = tmp_path / "campaigns" / measured.name
    shutil.copytree(measured, folder)
    plant(folder, secrets)
    wanted = {piece.casefold(): p.kind for p in secrets for piece in p.pieces}
    wanted |= {"geheim-firma": "machine", "janes-laptop": "machine"}
    stored = "\n".join(readings(f.read_bytes()) for f in folder.rglob("*") if f.is_file())
    assert [kind for piece, kind in wanted.items() if piece not in stored] == [], "each of them was planted"

    packed = pack.pack(Campaign(folder), tmp_path / "out.zip")

    left = set()
    for name, content in contents(packed.file.read_bytes()):
        found = readings(content)
        left |= {(kind, piece, name) for piece, kind in wanted.items() if piece in found}
    assert sorted(left) == [], sorted(left)
    with zipfile.ZipFile(packed.file) as opened:
        opened.extractall(tmp_path / "open")
    again = report.build(Campaign(next((tmp_path / "open").glob("*/data/*/plan.jsonl")).parent))
    before = report.build(Campaign(folder))
    assert [(o.metric, o.value) for o in again.observations] == [(o.metric, o.value) for o in before.observations]
    assert again.analysis.comparisons and len(again.analysis.comparisons) == len(before.analysis.comparisons)
    for mine, theirs in zip(again.analysis.comparisons, before.analysis.comparisons, strict=True):
        assert (mine.ratio, mine.difference, mine.verdict) == (theirs.ratio, theirs.difference, theirs.verdict)
