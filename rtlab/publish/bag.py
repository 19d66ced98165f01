"""BagIt 1.0 (RFC 8493) around a campaign, the ZIP of it, and whether an unpacked one is as it was packed."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import rtlab
from rtlab import store
from rtlab.files import digest_of
from rtlab.publish.documents import write_text

# ZIP knows no year before; a file's time says nothing here.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def make_bag(bag: Path, date: str) -> None:
    """Manifests around `data/`; the bag is called as its folder."""
    payload = sorted(p for p in (bag / "data").rglob("*") if p.is_file())
    lines = [f"{digest_of(p)}  {p.relative_to(bag).as_posix()}\n" for p in payload]
    write_text(bag / "manifest-sha256.txt", "".join(lines))
    write_text(bag / "bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    size = sum(p.stat().st_size for p in payload)
    write_text(
        bag / "bag-info.txt",
        f"Bag-Software-Agent: rtlab {rtlab.__version__}\nBagging-Date: {date}\n"
        f"External-Identifier: {bag.name}\nPayload-Oxum: {size}.{len(payload)}\n",
    )
    tags = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")
    write_text(bag / "tagmanifest-sha256.txt", "".join(f"{digest_of(bag / t)}  {t}\n" for t in tags))


def make_zip(bag: Path, file: Path) -> int:
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
