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

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rtlab import atomic, ownership, report, scratch, store
from rtlab.errors import StoreError, UsageError
from rtlab.files import digest_of
from rtlab.publish import description, payload
from rtlab.publish.bag import make_bag, make_zip
from rtlab.publish.documents import as_json, write_text
from rtlab.publish.redaction import Redaction
from rtlab.store import Campaign

NAME = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]{1,60}")
LICENCE = re.compile(r"[A-Za-z0-9.+-]{1,60}")
SUFFIX = ".rtlab-pack"
# Of any archive: what a killed pack left is removed by the next one that writes into the same folder.
LEFTOVER = scratch.shape("[^/]{1,255}", SUFFIX)


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
    redaction = Redaction(
        payload.names(campaign), (m.name for m in campaign.testbed.machines), payload.boot_ids(campaign)
    )
    name = campaign.folder.name
    if not NAME.fullmatch(name) or redaction.text(name) != name:
        name = f"campaign-{campaign.digest[:8]}" if re.fullmatch("[0-9a-f]{64}", campaign.digest) else "campaign"
    file = output or Path(f"{name}.zip")
    store.require_target(file)
    if file.exists():
        raise UsageError(f"{file} exists already.", remedy="Remove it, or name another file: --output FILE")
    scratch.sweep(file.parent, LEFTOVER)
    try:
        # Beside the archive: a killed pack leaves one folder, in a place where the next one finds it.
        with scratch.folder(file.parent, file.name, SUFFIX, 0o700) as work:
            bag = work / name
            data = bag / "data"
            data.mkdir(parents=True)
            originals, different = payload.write(campaign, data / name, redaction)
            built = report.build(Campaign(data / name))
            _require_same_estimates(report.build(campaign), built, redaction)
            report.write(built, data / name)
            moment = description.moment_of(campaign)
            about = description.About(
                name=name, title=description.title_of(built), moment=moment, authors=tuple(authors), licence=licence
            )
            told = description.told(redaction, different)
            lines = (f"{digest}  {path}\n" for path, digest in sorted(originals.items()))
            write_text(data / "original-sha256.txt", "".join(lines))
            write_text(data / "redacted.json", as_json(told))
            write_text(data / "README.md", description.readme(about, told))
            write_text(data / "CITATION.cff", description.citation(about))
            write_text(data / "ro-crate-metadata.json", as_json(description.crate(about, data, built)))
            make_bag(bag, moment[:10])
            files = make_zip(bag, work / "archive")
            sha256 = digest_of(work / "archive")
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
