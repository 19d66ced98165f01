"""What data is made of is never taken for a name. The keys come from the kept campaigns and from the probe's source."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtlab import report
from rtlab.connection import archive
from rtlab.errors import StoreError
from rtlab.publish import pack, payload, vocabulary
from rtlab.publish.redaction import Redaction
from rtlab.publish.rule import GENERIC
from rtlab.publish.vocabulary import KEYS, WORDS
from rtlab.store import Campaign

ROOT = Path(__file__).parent
KEPT = sorted(p.parent for p in (ROOT / "data").glob("*/campaign.json"))
# The words that the issue names, which turned `first_page_ns` into something else, and more of their kind.
NAMED = "page ns total first stop engine used bytes start started returned elapsed value unit point timeline".split()  # noqa: SIM905


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def documents() -> list[Any]:
    return [json.loads(f.read_bytes()) for folder in KEPT for f in sorted(folder.glob("trials/*/probe.json"))]


def words() -> list[str]:
    """Every word of every key that occurs in a kept campaign: what an account might be called."""
    found = {w for document in documents() for key in keys(document) for w in re.findall(r"[A-Za-z]{2,}", key)}
    return sorted({w.lower() for w in found} | set(NAMED))


@pytest.mark.parametrize("folder", KEPT, ids=lambda p: p.name)
def test_no_word_of_a_key_is_searched_as_a_name(folder: Path) -> None:
    """All of them at once as names of accounts: not a key changes, in no document of the kept campaigns."""
    found = words()
    assert len(found) > 38
    redaction = Redaction(found)
    assert set(redaction.names).isdisjoint(NAMED)
    for file in sorted(folder.glob("trials/*/probe.json")):
        document = json.loads(file.read_bytes())
        assert list(keys(redaction.anything(document))) == list(keys(document)), file


def test_every_key_of_the_probe_is_known() -> None:
    sources = archive.modules().values()
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    literal = [k for node in nodes if isinstance(node, ast.Dict) for k in node.keys]
    said = {k.value for k in literal if isinstance(k, ast.Constant) and isinstance(k.value, str)}
    assert sorted(k for k in said if re.fullmatch("[a-z][a-z0-9_]+", k) and k not in KEYS and k not in GENERIC) == []


@pytest.mark.parametrize("folder", KEPT, ids=lambda p: p.name)
def test_every_key_that_rtlab_writes_is_known(folder: Path) -> None:
    """Campaign, testbed, plan, records, facts, estimates: what a new field, metric or setting adds comes by itself."""
    files = [folder / "campaign.json", folder / "testbed.json", *folder.glob("facts/*/*.json")]
    files += folder.glob("trials/*/record.json")
    written = [json.loads(f.read_bytes()) for f in files]
    written += [json.loads(line) for line in (folder / "plan.jsonl").read_text().splitlines()]
    written.append(report.estimates(report.build(Campaign(folder))))
    # Modules of a kernel, weaknesses of a processor and the like are data, not keys of rtlab's.
    facts = [json.loads(f.read_bytes()) for f in folder.glob("facts/*/*.json")]
    data = {word for one in facts for part in (one["cpu"].get("mitigations", {}), one["runtimes"]) for word in part}
    said = {key for document in written for key in keys(document) if re.fullmatch("[a-z][a-z0-9_]+", key)}
    assert sorted(said - KEYS - data - GENERIC) == []


def test_what_is_declared_is_not_written_down_again() -> None:
    by_hand = vocabulary._KERNEL | vocabulary._ENGINE | vocabulary._PSUTIL | vocabulary._PROBE
    assert len(vocabulary.DECLARED) > 250 and by_hand.isdisjoint(vocabulary.DECLARED)


def test_a_word_of_the_data_beside_a_real_name_does_not_save_the_name() -> None:
    redaction = Redaction(["page", "wolperdinger"])
    left = redaction.anything({"first_page_ns": 1, "wolperdinger_ns": 2, "note": "page of wolperdinger"})
    assert left == {"first_page_ns": 1, "[name]_ns": 2, "note": "page of [name]"}
    assert "wolperdinger" not in WORDS


@pytest.mark.parametrize("user", ["page", "ns", "bytes", "runc", "sleep"])
def test_the_archive_of_whoever_packs_has_the_campaign_s_figures(
    user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ROOT / "data" / "emulated-debian-12"
    monkeypatch.setattr(payload, "names", lambda _: {user})
    monkeypatch.setattr(report, "write", lambda *_: None)  # seconds of plots that say nothing here
    packed = pack.pack(Campaign(folder), tmp_path / "x.zip")
    assert packed.replaced.get("name", 0) == 0


def test_an_archive_with_other_figures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a name that is part of the data and in no list would do it: here the key is taken off the list."""
    folder = ROOT / "data" / "emulated-debian-12"
    monkeypatch.setattr(payload, "names", lambda _: {"page"})
    monkeypatch.setattr("rtlab.publish.search.WORDS", frozenset())
    monkeypatch.setattr("rtlab.publish.search.KEYS", frozenset())
    with pytest.raises(StoreError, match="figures would not be the campaign's") as caught:
        pack.pack(Campaign(folder), tmp_path / "x.zip")
    assert "first_page_s" in caught.value.message and caught.value.remedy
    assert list(tmp_path.iterdir()) == [], "neither the archive nor a part of it"


def test_the_bytes_do_not_depend_on_who_packs(tmp_path: Path) -> None:
    campaign = ROOT / "data" / "emulated-debian-12"
    digests = set()
    for number, (user, zone, mask, locale) in enumerate(
        [("page", "UTC", 0o022, "C.UTF-8"), ("bytes", "Asia/Kathmandu", 0o077, "C")]
    ):
        home = tmp_path / f"home-of-{user}"
        home.mkdir()
        # matplotlib reads these, from the working folder and from home.
        for place in (home, home / ".config" / "matplotlib"):
            place.mkdir(parents=True, exist_ok=True)
            (place / "matplotlibrc").write_text(f"lines.linewidth: {9 * number + 1}\nfont.size: {5 + 9 * number}\n")
        given = {"USER": user, "LOGNAME": user, "HOME": str(home), "HOSTNAME": f"host-{user}", "TZ": zone}
        given |= {"LC_ALL": locale, "PYTHONHASHSEED": str(number), "XDG_CONFIG_HOME": "", "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "rtlab", "pack", str(campaign), "--output", str(home / "out.zip"), "--json"],
            cwd=home,
            env={**os.environ, **given},
            umask=mask,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        digests.add(json.loads(done.stdout)["sha256"])
    assert len(digests) == 1
