"""``rtlab pack``: a campaign as an archive fit to publish. The same campaign and options give the same bytes.

    <name>/
      bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt     BagIt 1.0 (RFC 8493)
      data/
        ro-crate-metadata.json  CITATION.cff  README.md
        redacted.json           what was replaced and left out, and which raw files differ from what was measured
        original-sha256.txt     SHA-256 of every raw file as it was measured
        <campaign>/             opens with `rtlab report` and `rtlab verify`

Raw files leave as they are unless something in them names a person, a host or a place; then the record's digest is the
changed file's, and the list of originals keeps the first one. Everything else is written anew from allow-lists.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import re
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import rtlab
from rtlab import atomic, ownership, report, scratch, store
from rtlab.errors import StoreError, UsageError
from rtlab.model import Json, Record
from rtlab.publish.redaction import ARM, TIME, VERSION, Redaction
from rtlab.state import testbed_to_json
from rtlab.store import RAW_FILES, Campaign

NAME = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]{1,60}")
LICENCE = re.compile(r"[A-Za-z0-9.+-]{1,60}")
CRATE = "https://w3id.org/ro/crate/1.1"
SUFFIX = ".rtlab-pack"
# Of any archive: what a killed pack left is removed by the next one that writes into the same folder.
LEFTOVER = scratch.shape("[^/]{1,255}", SUFFIX)
# ZIP knows no year before; a file's time says nothing here.
NO_TIME = (1980, 1, 1, 0, 0, 0)
# Facts whose values are names to look for in every text, though they never leave themselves.
NAMING = re.compile(r"(host_?name|fqdn|domain|user(name)?|login|owner|node_?name)", re.I)
# Names of withheld fields that may be told in the archive: any other name may itself be a secret.
TELLABLE = re.compile(
    r"(?:facts|testbed(?:\.machines|\.details)?|spec\.(?:images|parameters))(?:\.(?:\*|address|user|home|key_file|"
    r"known_hosts_file|netns|engine_socket|hostname|fqdn|machine_id|serial|network_interfaces|interfaces|mac|apt_sources|"
    r"proxy|environment|runtime_wiring|runtime_notes|unavailable_runtimes|reboots|scenario_name|scenario|kernel|reason|"
    r"kernel_command_line|words|distribution|cpu|model|microcode|docker|runtimes|images|path|version|arguments|components|"
    r"security|timeline|engine_id))*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What ``pack`` wrote.

    Attributes:
        sha256: Of the archive.
        files: Number of files in it.
        replaced: Kind of what was replaced in texts -> how often.
        withheld: Fields that were left out -> how often; for the owner's eyes, the archive tells only known names.
        changed: Raw files that differ from what was measured, as they are called in the archive.
    """

    file: Path
    sha256: str
    files: int
    replaced: Mapping[str, int]
    withheld: Mapping[str, int]
    changed: tuple[str, ...]


def pack(campaign: Campaign, output: Path | None = None, *, authors: Sequence[str] = (), licence: str = "") -> Packed:
    """Write the archive.

    Args:
        output: A file that does not exist; None: the campaign's name with ``.zip`` in the current folder.
        authors: For the citation, ``Family, Given`` or a name as it stands.
        licence: SPDX identifier, such as ``CC-BY-4.0``; empty: none is granted, and the archive says so.

    Raises:
        UsageError: the output exists, or a licence is no SPDX identifier.
        StoreError: the campaign is damaged, a raw file is not what was stored, the figures would change by what is
            replaced, or the archive cannot be written.
    """
    if licence and not LICENCE.fullmatch(licence):
        raise UsageError(f"{licence[:60]!r} is no SPDX identifier.", remedy="For example: --license CC-BY-4.0")
    changed = campaign.changed_files()
    if changed:
        raise StoreError(
            f"{campaign.folder.name} is not as it was stored, so it is not packed:\n  " + "\n  ".join(changed[:20]),
            remedy="Get an unchanged copy of the campaign; `rtlab verify` lists every changed file.",
        )
    redaction = Redaction(names(campaign), (m.name for m in campaign.testbed.machines))
    name = campaign.folder.name
    if not NAME.fullmatch(name) or redaction.text(name) != name:
        name = f"campaign-{campaign.digest[:8]}" if re.fullmatch("[0-9a-f]{64}", campaign.digest) else "campaign"
    file = output or Path(f"{name}.zip")
    store.require_target(file)
    if file.exists():
        raise UsageError(f"{file} exists already.", remedy="Remove it, or name another file: --output FILE")
    atomic.make_folder(file.parent)
    scratch.sweep(file.parent, LEFTOVER)
    try:
        # Beside the archive: a killed pack leaves one folder, in a place where the next one finds it.
        with scratch.folder(file.parent, file.name, SUFFIX, 0o700) as work:
            bag = work / name
            data = bag / "data"
            data.mkdir(parents=True)
            originals, different = _copy(campaign, data / name, redaction)
            built = report.build(Campaign(data / name))
            _require_same_estimates(report.build(campaign), built, redaction)
            report.write(built, data / name)
            moment = _moment(campaign)
            about = _About(name=name, title=_title(built), moment=moment, authors=tuple(authors), licence=licence)
            told = _told(redaction, different)
            lines = (f"{digest}  {path}\n" for path, digest in sorted(originals.items()))
            _text(data / "original-sha256.txt", "".join(lines))
            _text(data / "redacted.json", _json(told))
            _text(data / "README.md", _readme(about, told))
            _text(data / "CITATION.cff", _citation(about))
            _text(data / "ro-crate-metadata.json", _json(_crate(about, data, built)))
            _bag(bag, about)
            files = _zip(bag, work / "archive")
            sha256 = _digest(work / "archive")
            _place(work / "archive", file)
    except OSError as error:
        raise atomic.cannot_write(file, error) from error
    return Packed(
        file=file,
        sha256=sha256,
        files=files,
        replaced=dict(sorted((k, n) for k, n in redaction.replaced.items() if n)),
        withheld=dict(sorted((k, n) for k, n in redaction.withheld.items() if n)),
        changed=tuple(sorted(different)),
    )


def _place(archive: Path, file: Path) -> None:
    """Give the archive its name; what got that name in the meantime is not replaced."""
    try:
        os.link(archive, file)
    except FileExistsError:
        raise UsageError(f"{file} exists already.", remedy="Remove it, or name another file: --output FILE") from None
    except OSError:  # a file system without hard links
        os.replace(archive, file)
    ownership.hand_over(file, file.parent)
    atomic.sync_folder(file.parent)


def _figures(built: report.Report, arm: Callable[[str], str]) -> dict[str, str]:
    """Every figure of a report by its place, as text, so that no value equals another one only nearly."""
    found = {}
    for number, seen in enumerate(built.observations):
        where = f"trial {seen.trial.number}, {seen.metric}, value {number}"
        found[where] = repr((seen.value, seen.unit, seen.index))
    for attempt in built.attempts:
        tried = attempt.record.attempt if attempt.record else 0
        found[f"trial {attempt.trial.number}.{tried}"] = repr(attempt.outcome)
    for summary in built.analysis.summaries:
        where = f"{summary.experiment}, {summary.metric} under {arm(summary.arm)}"
        found[where] = repr(replace(summary, arm=""))
    for one in built.analysis.comparisons:
        where = f"{one.experiment}, {one.metric}: {arm(one.arm)} against {arm(one.baseline)}"
        found[where] = repr(replace(one, arm="", baseline="", sentence="", limiting_arm=None))
    return found


def _require_same_estimates(measured: report.Report, leaving: report.Report, redaction: Redaction) -> None:
    """StoreError when what was replaced changes a figure: such an archive would say what was not measured."""
    before, after = _figures(measured, redaction.arm), _figures(leaving, lambda name: name)
    different = sorted(where for where in before.keys() | after.keys() if before.get(where) != after.get(where))
    if different:
        raise StoreError(
            "The archive's figures would not be the campaign's, so it is not written. They differ in:\n  "
            + "\n  ".join(different[:10]),
            remedy="Something that is replaced before publishing is part of the data: probably a name of an account or "
            "a host that is also a word of a tool's output. Please report it; the campaign itself is unharmed.",
        )


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


# --------------------------------------------------------------------------- the campaign


def _copy(campaign: Campaign, to: Path, redaction: Redaction) -> tuple[dict[str, str], set[str]]:
    """Write the campaign as it may leave. Returns the raw files' original digests, and which raw files changed."""
    (to / "trials").mkdir(parents=True)
    header = campaign.header
    _text(
        to / "campaign.json",
        _json(
            {
                "schema": header["schema"],
                "rtlab": _shaped(header.get("rtlab"), VERSION),
                "created_at": _shaped(header.get("created_at"), TIME),
                "digest": _shaped(header.get("digest"), re.compile("[0-9a-f]{64}")),
                "spec": redaction.spec(campaign.spec),
            }
        ),
    )
    _text(to / "testbed.json", _json(testbed_to_json(redaction.testbed(campaign.testbed))))
    _text(to / "plan.jsonl", "".join(_line(asdict(redaction.trial(t))) for t in campaign.plan))
    for machine, taken in campaign.facts().items():
        folder = to / "facts" / redaction.machines.get(machine, "machine")
        folder.mkdir(parents=True)
        for number, reading in enumerate(taken, 1):
            _text(folder / f"{number:04d}.json", _json(redaction.facts(reading)))
    if given_up := campaign.given_up():
        lines = (_line({"block": b, "reason": redaction.text(r)}) for b, r in sorted(given_up.items()))
        _text(to / "given-up.jsonl", "".join(lines))
    if looks := campaign.looks():
        _text(to / "looks.jsonl", "".join(_line(_look(redaction, look)) for look in looks))
    if campaign.finished:
        end = store.read_json(campaign.folder / "finished.json")
        end = end if isinstance(end, dict) else {}
        kept = {"finished_at": _shaped(end.get("finished_at"), TIME)}
        if campaign.stopped:
            kept["stopped"] = redaction.text(campaign.stopped)
        _text(to / "finished.json", _json(kept))
    originals: dict[str, str] = {}
    different: set[str] = set()
    for folder, record in zip(campaign.trial_folders(), campaign.records(), strict=True):
        leaving: dict[str, bytes] = {}
        for file in RAW_FILES:
            if file in record.files:
                content = store.read_file(folder / file)
                leaving[file] = _raw(redaction, file, content)
        stored = redaction.record(record, {n: hashlib.sha256(c).hexdigest() for n, c in leaving.items()})
        target = to / "trials" / store.folder_name(stored)
        target.mkdir()
        for file, content in leaving.items():
            (target / file).write_bytes(content)
            path = f"{to.name}/trials/{target.name}/{file}"
            originals[path] = record.files[file]
            if stored.files[file] != record.files[file]:
                different.add(path)
        _text(target / "record.json", _json(_plain_record(stored)))
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
        "at": _shaped(look.get("at"), TIME),
        **numbers,
        "half_widths": kept,
        "stopped": redaction.text(stopped) if isinstance(stopped, str) else "",
    }


def _raw(redaction: Redaction, name: str, content: bytes) -> bytes:
    """A raw file as it may leave: the same bytes when there is nothing to replace."""
    text = content.decode("utf-8", "surrogateescape")
    if name.endswith(".json"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            clean = redaction.anything(value)
            return content if clean == value else (json.dumps(clean, indent=1, sort_keys=True) + "\n").encode()
    clean = redaction.text(text)
    return content if clean == text else clean.encode("utf-8", "surrogateescape")


def _shaped(value: Any, shape: re.Pattern[str]) -> str:
    return value if isinstance(value, str) and shape.fullmatch(value) else ""


# --------------------------------------------------------------------------- what stands beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    name: str
    title: str
    moment: str
    authors: tuple[str, ...]
    licence: str


def _moment(campaign: Campaign) -> str:
    """When the campaign began: the archive's own date, so that it does not depend on when it was packed."""
    return _shaped(campaign.header.get("created_at"), TIME) or "1970-01-01T00:00:00Z"


def _title(built: report.Report) -> str:
    runtimes = " and ".join(built.titles[r] for r in built.spec.runtimes)
    return f"{', '.join(built.spec.experiments)} of containers under {runtimes}, measured on {built.where}"


def _told(redaction: Redaction, different: set[str]) -> dict[str, Json]:
    """redacted.json: names of fields only where the name itself tells nothing."""
    fields: dict[str, int] = {}
    others = 0
    for path, number in redaction.withheld.items():
        if TELLABLE.fullmatch(path):
            fields[path] = fields.get(path, 0) + number
        else:
            others += number
    return {
        "how": "Facts, testbed and spec hold only what is on rtlab's allow-list. Raw files and messages were searched "
        "for names of accounts and hosts, addresses, URLs, domains, home folders and secrets. A raw file in which "
        "something was replaced has another SHA-256 than what was measured; original-sha256.txt lists the originals.",
        "replaced_in_texts": {k: n for k, n in sorted(redaction.replaced.items()) if n},
        "withheld_fields": {k: n for k, n in sorted(fields.items()) if n},
        "withheld_other_fields": others,
        "machines_with_pseudonyms": sum(1 for old, new in redaction.machines.items() if old != new),
        "raw_files_changed": sorted(different),
    }


def _readme(about: _About, told: Mapping[str, Any]) -> str:
    changed = len(told["raw_files_changed"])
    verbatim = "Every raw file is as it was measured." if not changed else f"{changed} raw files are not as measured."
    return f"""# {about.title}

Raw files, records and report of a campaign of rtlab {rtlab.__version__}, begun {about.moment}.

    rtlab report {about.name}
    rtlab verify {about.name}

`{about.name}/report/index.html` shows everything without rtlab. {verbatim}
`redacted.json` says what was replaced or left out before publishing, `original-sha256.txt` has the SHA-256 of each raw
file as it was measured. The folder above is a BagIt bag: `sha256sum -c manifest-sha256.txt` there checks every file.
"""


def _citation(about: _About) -> str:
    """CITATION.cff 1.2.0; JSON's texts are YAML's."""
    lines = [
        "cff-version: 1.2.0",
        "message: Please cite this data set as below.",
        "type: dataset",
        f"title: {json.dumps(about.title)}",
        f"date-released: {about.moment[:10]}",
        *([f"license: {about.licence}"] if about.licence else []),
        "authors:",
    ]
    for author in about.authors:
        family, comma, given = (part.strip() for part in author.partition(","))
        if comma and family and given:
            lines += [f"  - family-names: {json.dumps(family)}", f"    given-names: {json.dumps(given)}"]
        else:
            lines.append(f"  - name: {json.dumps(author)}")
    if not about.authors:
        lines.append('  - name: "The authors of this campaign"')
    return "\n".join(lines) + "\n"


TYPES = {".json": "application/json", ".csv": "text/csv", ".html": "text/html", ".md": "text/markdown"}
TYPES |= {".svg": "image/svg+xml", ".txt": "text/plain", ".cff": "application/yaml", ".jsonl": "application/jsonl"}
TYPES |= {".pdf": "application/pdf", ".tex": "application/x-tex", ".parquet": "application/vnd.apache.parquet"}


def _crate(about: _About, data: Path, built: report.Report) -> dict[str, Json]:
    """RO-Crate 1.1: the folder ``data`` is its root. Trials are described as a folder; the manifest lists each file."""
    parts: list[dict[str, Any]] = []
    for file in sorted(p for p in data.rglob("*") if p.is_file() and "trials" not in p.relative_to(data).parts):
        path = file.relative_to(data).as_posix()
        kind = TYPES.get(file.suffix, "application/octet-stream")
        parts.append(
            {
                "@id": path,
                "@type": "File",
                "name": file.name,
                "encodingFormat": kind,
                "contentSize": str(file.stat().st_size),
            }
        )
    parts.append(
        {
            "@id": f"{about.name}/trials/",
            "@type": "Dataset",
            "name": "trials",
            "description": "One folder per trial: its record, and stdout, stderr and probe.json as they were given.",
        }
    )
    people = [
        {"@id": f"#author-{n}", "@type": "Person", "name": author} for n, author in enumerate(about.authors, 1)
    ] or [{"@id": "#author-1", "@type": "Organization", "name": "The authors of this campaign"}]
    licence: dict[str, Any] = {
        "@id": f"https://spdx.org/licenses/{about.licence}" if about.licence else "#no-licence",
        "@type": "CreativeWork",
        "name": about.licence or "No licence is granted",
        "description": "" if about.licence else "Ask the authors before you use it further.",
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": about.title,
        "description": f"{built.meaning} {built.design()}",
        "datePublished": about.moment[:10],
        "license": {"@id": licence["@id"]},
        "author": [{"@id": p["@id"]} for p in people],
        "hasPart": [{"@id": p["@id"]} for p in parts],
        "mentions": {"@id": "#campaign"},
    }
    action = {
        "@id": "#campaign",
        "@type": "CreateAction",
        "name": "rtlab bench",
        "startTime": about.moment,
        "instrument": {"@id": "#rtlab"},
        "result": {"@id": "./"},
    }
    tool = {"@id": "#rtlab", "@type": "SoftwareApplication", "name": "rtlab", "version": rtlab.__version__}
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": CRATE},
        "about": {"@id": "./"},
    }
    return {"@context": f"{CRATE}/context", "@graph": [descriptor, root, *parts, *people, licence, action, tool]}


# --------------------------------------------------------------------------- bag and archive


def _bag(bag: Path, about: _About) -> None:
    payload = sorted(p for p in (bag / "data").rglob("*") if p.is_file())
    lines = [f"{_digest(p)}  {p.relative_to(bag).as_posix()}\n" for p in payload]
    _text(bag / "manifest-sha256.txt", "".join(lines))
    _text(bag / "bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    size = sum(p.stat().st_size for p in payload)
    _text(
        bag / "bag-info.txt",
        f"Bag-Software-Agent: rtlab {rtlab.__version__}\nBagging-Date: {about.moment[:10]}\n"
        f"External-Identifier: {about.name}\nPayload-Oxum: {size}.{len(payload)}\n",
    )
    tags = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")
    _text(bag / "tagmanifest-sha256.txt", "".join(f"{_digest(bag / t)}  {t}\n" for t in tags))


def _zip(bag: Path, file: Path) -> int:
    """Files in order, without times, owners and modes of this machine. Returns their number."""
    files = sorted(p for p in bag.rglob("*") if p.is_file())
    with open(file, "xb") as out:
        with zipfile.ZipFile(out, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in files:
                entry = zipfile.ZipInfo(path.relative_to(bag.parent).as_posix(), NO_TIME)
                entry.create_system = 3
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.file_size = path.stat().st_size
                with path.open("rb") as content, archive.open(entry, "w") as inside:
                    shutil.copyfileobj(content, inside, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
    return len(files)


def changed_in_bag(folder: Path) -> tuple[str, ...]:
    """What is not as it was packed, when a campaign's folder lies in a bag: files changed, missing or added."""
    bag = bag_of(folder)
    if bag is None:
        return ()
    listed: dict[str, str] = {}
    for line in store.read_file(bag / "manifest-sha256.txt").decode("utf-8", "replace").splitlines():
        digest, _, path = line.partition("  ")
        listed[path] = digest
    problems = []
    # `rtlab report` writes these again, perhaps by another version.
    derived = tuple(f"data/{folder.name}/{part}/" for part in ("derived", "report"))
    there = {p.relative_to(bag).as_posix() for p in (bag / "data").rglob("*") if p.is_file() or p.is_symlink()}
    for path, digest in sorted(listed.items()):
        if path.startswith(derived):
            continue
        if path not in there:
            problems.append(f"{path}: missing from the bag")
        elif hashlib.sha256(store.read_file(bag / path)).hexdigest() != digest:
            problems.append(f"{path}: not as it was packed")
    problems += [f"{p}: not in the bag's manifest" for p in sorted(there - listed.keys()) if not p.startswith(derived)]
    return tuple(problems)


def bag_of(folder: Path) -> Path | None:
    """The bag in which a campaign's folder lies, or None."""
    bag = folder.absolute().parent.parent
    inside = folder.absolute().parent.name == "data"
    return bag if inside and (bag / "bagit.txt").is_file() and (bag / "manifest-sha256.txt").is_file() else None


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _text(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise atomic.cannot_write(file, error) from error


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False) + "\n"
