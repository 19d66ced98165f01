"""Names in a campaign's folder."""

from __future__ import annotations

import re

from rtlab.model import Record

SCHEMA = 1
CALIBRATION = "calibration"
# Folders that a kill left in the making (of earlier versions, too, which put no random number into the name).
LEFTOVER = re.compile(r"\.\d{8}T\d{6}Z-[^/]{1,100}?(?:\.[0-9a-f]{8})?\.tmp")
RAW_FILES = ("stdout", "stderr", "probe.json")
# As ``rtlab.state.now`` writes a moment.
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def folder_name(record: Record) -> str:
    """The name of an attempt's folder below ``trials``."""
    number, rest = record.trial.key.split("-", 1)
    return f"{number}.{record.attempt}-{rest}"


def folder_order(name: str) -> tuple[int, int, str]:
    """By trial and attempt; what is named otherwise comes last."""
    found = re.match(r"(\d{1,9})\.(\d{1,6})-", name)
    return (int(found[1]), int(found[2]), name) if found else (10**9, 0, name)
