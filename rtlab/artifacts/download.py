"""Downloads, each verified against a pinned SHA-256 before anything opens it, and kept by that digest."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any, BinaryIO

from rtlab.artifacts import cache
from rtlab.errors import CommandFailed, ConfigError, StoreError, Unsafe
from rtlab.files import digest_of, digest_of_open
from rtlab.model import Event, Notify
from rtlab.units import format_bytes, format_duration

_CHUNK = 1 << 20
ATTEMPTS = 3
# Of silence; and of the whole, retries included: a server that sends a byte a minute does not hold rtlab for ever.
TIMEOUT_S = 60.0
TOTAL_S = 2 * 3600.0


def fetch(url: str, sha256: str, notify: Notify, *, stage: str = "download") -> Path:
    """The file at ``url`` (https://, file:// or a path), verified, in the cache.

    Raises:
        ConfigError: the pin is not a SHA-256, or the URL's scheme is none of these.
        Unsafe: the content is not what was pinned, or an https URL leads to another kind; nothing is kept.
        CommandFailed: the server cannot be reached, or needs longer than TOTAL_S.
    """
    pin = sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", pin):
        raise ConfigError(f"{sha256[:80]!r} is not a SHA-256 (64 hex digits).", remedy=f"Correct the pin for {url}.")
    kept = cache.folder("downloads") / pin
    if kept.exists() and digest_of(kept) == pin:
        return kept
    _sweep(kept)
    deadline = time.monotonic() + TOTAL_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            temporary, actual = _copy(url, kept, notify, stage, deadline)
            break
        except _TooSlow as error:
            raise CommandFailed(
                f"Fetching {url} was given up after {format_duration(TOTAL_S)}: {error}.",
                remedy="Fetch the file elsewhere and give its path instead of the URL.",
            ) from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                raise CommandFailed(
                    f"Cannot fetch {url}: {getattr(error, 'reason', error)}.",
                    remedy="Check the network, or fetch the file elsewhere and give its path instead of the URL.",
                ) from error
            time.sleep(2**attempt)
        except OSError as error:
            raise StoreError(
                f"Cannot copy {url}: {error.strerror or error}.", remedy="Check path and free space."
            ) from error
    if actual != pin:
        temporary.unlink()
        raise Unsafe(
            f"{url} is not the file that was pinned: its SHA-256 is {actual}, expected {pin}.",
            remedy="Do not use it. If the publisher replaced the file, verify the new one and change the pin.",
        )
    temporary.replace(kept)
    return kept


class _TooSlow(Exception):
    """TOTAL_S are over."""


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """What was asked for by https is not fetched by another way, wherever the server points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            raise Unsafe(
                f"{req.full_url} leads to {newurl[:200]}, which is not https.",
                remedy="Do not use it. Fetch the file elsewhere, and give its path instead of the URL.",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _sweep(kept: Path) -> None:
    """Remove what killed downloads of the same file left; a living one is younger than that."""
    for part in kept.parent.glob(f"{kept.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.lstat().st_mtime > 2 * TOTAL_S:
                part.unlink()


def _copy(url: str, kept: Path, notify: Notify, stage: str, deadline: float) -> tuple[Path, str]:
    """Fetch into a file of this call's own beside ``kept``: two rtlab that fetch the same never write into one file.

    Returns the file and the digest of its content as it lies there.
    """
    if url.startswith(("https://", "file://")):
        source: Any = urllib.request.build_opener(_OnlyHttps).open(url, timeout=TIMEOUT_S)
        length = int(source.headers.get("Content-Length") or 0)
    elif "://" in url:
        raise ConfigError(f"{url} is fetched neither by https nor from a file.", remedy="Use https, or a path.")
    else:
        source = Path(url).open("rb")  # noqa: SIM115 (closed below)
        length = Path(url).stat().st_size
    with source:
        descriptor, name = tempfile.mkstemp(prefix=f"{kept.name}.", suffix=".part", dir=kept.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as out:
                _receive(source, out, length, url, notify, stage, deadline)
                # Of the file, through the descriptor that wrote it: what is handed over, not what was thought written.
                out.seek(0)
                return temporary, digest_of_open(out)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _receive(source: Any, out: BinaryIO, length: int, url: str, notify: Notify, stage: str, deadline: float) -> None:
    done, told = 0, 0.0
    folder = cache.folder("downloads")
    free = shutil.disk_usage(folder).free
    if length > free:
        raise StoreError(
            f"{url} has {format_bytes(length)}, but only {format_bytes(free)} are free in {folder}.",
            remedy="Free some space, or set RTLAB_CACHE to a folder on a larger disk.",
        )
    # read1: what is there now. A server that sends a byte now and then would otherwise be waited for unseen.
    while chunk := source.read1(_CHUNK):
        out.write(chunk)
        done += len(chunk)
        at = time.monotonic()
        if at > deadline:
            raise _TooSlow(f"{format_bytes(done)} had come")
        if length and done > length:
            break
        if at - told > 1:
            told = at
            notify(
                Event(
                    stage=stage,
                    message=f"Fetching {url}: {format_bytes(done)}",
                    fraction=done / length if length else None,
                )
            )
    if length and done < length:
        raise ConnectionError(f"only {format_bytes(done)} of {format_bytes(length)} came")
    out.flush()
