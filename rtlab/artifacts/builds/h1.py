"""Go's hash of a module's files, ``h1:…`` (golang.org/x/mod/sumdb/dirhash): what the checksum database vouches for.

SHA-256 over a line ``<SHA-256 of the file>  <module>@<version>/<path>`` per file, sorted by path; in base64.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

_CHUNK = 1 << 20


def of_digests(digests: Mapping[str, str]) -> str:
    """From name (``module@version/path``) -> SHA-256 of the file, hex."""
    listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests, key=str.encode))
    return "h1:" + base64.b64encode(hashlib.sha256(listing.encode()).digest()).decode()


def of_zip(file: Path) -> str:
    """Of a module's zip, as a module proxy serves it. Raises zipfile.BadZipFile when it is none."""
    digests = {}
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                with archive.open(entry) as content:
                    digests[entry.filename] = sha256_of(content)
    return of_digests(digests)


def sha256_of(content: IO[bytes]) -> str:
    """SHA-256 of what is left to read, hex."""
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
