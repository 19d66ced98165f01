"""A campaign on disk: what is written, in which order, and how it is read back.

    <UTC time>-<name>/
      testbed.json         the machines
      plan.jsonl           every trial, in order                       before the first trial; repeats are appended
      campaign.json        schema, versions, spec and its digest       written last, before the folder gets its name
      facts/<machine>/<time>.json                                      taken at the start and at each resume
      Vagrantfile  ansible/                                            what the machines were made from
      calibration/         runs before the first block that chose a parameter, stored as trials are
      given-up.jsonl       interrupted blocks that are not repeated, with the reason; absent when there is none
      looks.jsonl          adaptive campaigns: what each look saw, and whether the campaign went on
      finished.json        when nothing is left to do, repeats included; absent until then
      trials/<number>.<attempt>-<experiment>-<arm>-<machine>/
          record.json  stdout  stderr  probe.json                      never rewritten
      derived/  report/    may be deleted and rebuilt

A trial's folder is filled under a temporary name, synced, and renamed: it exists whole or not at all, and
its existence is the progress. Reading treats the folder as data from strangers: sizes are capped, links are
refused, and every raw file is compared with the digest in its record.

Schema history: 1 (rtlab 0.1) first.
"""

from rtlab.store.campaign import Campaign
from rtlab.store.finding import find, folders, known
from rtlab.store.layout import CALIBRATION, LEFTOVER, RAW_FILES, SCHEMA, folder_name
from rtlab.store.making import create, published, spec_digest
from rtlab.store.reading import (
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    MAX_PLAN_BYTES,
    MAX_RECORD_BYTES,
    read_file,
    read_json,
)
from rtlab.store.target import require_target

__all__ = [
    "CALIBRATION",
    "LEFTOVER",
    "MAX_FILE_BYTES",
    "MAX_JSON_BYTES",
    "MAX_PLAN_BYTES",
    "MAX_RECORD_BYTES",
    "RAW_FILES",
    "SCHEMA",
    "Campaign",
    "create",
    "find",
    "folder_name",
    "folders",
    "known",
    "published",
    "read_file",
    "read_json",
    "require_target",
    "spec_digest",
]
