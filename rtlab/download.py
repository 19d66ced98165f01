"""Downloads, each verified against a pinned SHA-256 before anything opens it, and kept by that digest."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from rtlab import cache
from rtlab.errors import CommandFailed, ConfigError, StoreError, Unsafe
from rtlab.model import Event, Notify
from rtlab.units import format_bytes

_CHUNK = 1 << 20
ATTEMPTS = 3
TIMEOUT_S = 60.0


def fetch(url: str, sha256: str, notify: Notify, *, stage: str = "download") -> Path:
    """The file at ``url`` (https://, file:// or a path), verified, in the cache.

    Raises:
        ConfigError: the pin is not a SHA-256, or the URL's scheme is none of these.
        Unsafe: the content is not what was pinned; nothing is kept.
        CommandFailed: the server cannot be reached.
    """
    pin = sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", pin):
        raise ConfigError(f"{sha256[:80]!r} is not a SHA-256 (64 hex digits).", remedy=f"Correct the pin for {url}.")
    kept = cache.folder("downloads") / pin
    if kept.exists() and digest_of(kept) == pin:
        return kept
    temporary = kept.with_suffix(".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            actual = _copy(url, temporary, notify, stage)
            break
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            temporary.unlink(missing_ok=True)
            if attempt == ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                raise CommandFailed(
                    f"Cannot fetch {url}: {getattr(error, 'reason', error)}.",
                    remedy="Check the network, or fetch the file elsewhere and give its path instead of the URL.",
                ) from error
            time.sleep(2**attempt)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(
                f"Cannot copy {url}: {error.strerror or error}.", remedy="Check path and free space."
            ) from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    if actual != pin:
        temporary.unlink()
        raise Unsafe(
            f"{url} is not the file that was pinned: its SHA-256 is {actual}, expected {pin}.",
            remedy="Do not use it. If the publisher replaced the file, verify the new one and change the pin.",
        )
    temporary.replace(kept)
    return kept


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _copy(url: str, target: Path, notify: Notify, stage: str) -> str:
    if url.startswith(("https://", "file://")):
        source: BinaryIO = urllib.request.urlopen(url, timeout=TIMEOUT_S)
        length = int(source.headers.get("Content-Length") or 0)  # type: ignore[attr-defined]
    elif "://" in url:
        raise ConfigError(f"{url} is fetched neither by https nor from a file.", remedy="Use https, or a path.")
    else:
        source = Path(url).open("rb")  # noqa: SIM115 (closed below)
        length = Path(url).stat().st_size
    digest, done, told = hashlib.sha256(), 0, 0.0
    with source, target.open("wb") as out:
        free = shutil.disk_usage(target.parent).free
        if length > free:
            raise StoreError(
                f"{url} has {format_bytes(length)}, but only {format_bytes(free)} are free in {target.parent}.",
                remedy="Free some space, or set RTLAB_CACHE to a folder on a larger disk.",
            )
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
            done += len(chunk)
            if time.monotonic() - told > 1:
                told = time.monotonic()
                fraction = done / length if length else None
                notify(Event(stage=stage, message=f"Fetching {url}: {format_bytes(done)}", fraction=fraction))
    return digest.hexdigest()
