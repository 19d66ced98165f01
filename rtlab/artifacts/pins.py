"""``rtlab.lock``: digests that no profile knows, given once by the user, kept beside ``rtlab.toml`` for later.

Written only after what they vouch for was checked against them. A digest there is never replaced silently.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from rtlab import atomic
from rtlab.artifacts.profile import MissingPin
from rtlab.errors import ConfigError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "rtlab.lock"
_HEADING = (
    "# Digests that were given once and found right; rtlab checks downloads against them. Written by `rtlab up`.\n"
)
# (setting, what it is the digest of) -> the digest
Pins = Mapping[tuple[str, str], str]


def read(folder: Path) -> Pins:
    """What the lock of a folder holds; empty without one.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    file = folder / FILE_NAME
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.", remedy="Mend or remove it.") from error
    entries = data.get("pin", [])
    found: dict[tuple[str, str], str] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        words = [entry.get(key) for key in ("setting", "of", "digest")] if isinstance(entry, dict) else []
        texts = [word for word in words if isinstance(word, str)]
        if len(texts) != 3 or not re.fullmatch("[0-9a-f]+", texts[2]):
            raise ConfigError(
                f"{file}: a pin needs setting, of and digest, not {str(entry)[:80]}.", remedy="Mend or remove it."
            )
        found[texts[0], texts[1]] = texts[2]
    return found


def recall(missing: Iterable[MissingPin], locked: Pins) -> dict[str, str]:
    """Setting -> digest, for those of the missing pins that the lock has."""
    return {pin.variable: locked[key] for pin in missing if (key := (pin.variable, name_of(pin))) in locked}


def refuse_changes(wanted: Iterable[MissingPin], given: Mapping[str, str], locked: Pins) -> None:
    """UsageError when a digest was given that is not the locked one for the same thing."""
    for pin in wanted:
        known = locked.get((pin.variable, name_of(pin)))
        if known and given.get(pin.variable, known) != known:
            raise UsageError(
                f"{pin.variable} for {name_of(pin)} is {given[pin.variable]}, and {FILE_NAME} has {known}, "
                "against which it was checked before.",
                remedy=f"If it really changed and you trust it, remove that entry from {FILE_NAME}.",
            )


def write(folder: Path, wanted: Iterable[MissingPin], given: Mapping[str, str], locked: Pins) -> None:
    """Add what was given and checked; nothing is written when the lock has it all."""
    pins = {**locked, **{(p.variable, name_of(p)): given[p.variable] for p in wanted if given.get(p.variable)}}
    if pins == dict(locked):
        return
    lines = [
        f"\n[[pin]]\nsetting = {json.dumps(setting)}\nof = {json.dumps(of)}\ndigest = {json.dumps(digest)}\n"
        for (setting, of), digest in sorted(pins.items())
    ]
    atomic.write_bytes(folder / FILE_NAME, (_HEADING + "".join(lines)).encode())


def name_of(pin: MissingPin) -> str:
    """A URL as it is; a file on this machine by its name, so that the lock can be given to others."""
    return pin.of if "://" in pin.of else Path(pin.of).name
