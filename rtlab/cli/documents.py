"""What commands print with ``--json``: one document on stdout, of a named and numbered schema (docs/json.md).

A command that fails prints a document as well, of the schema ``error``, unless its own document was printed before; the
sentence for people goes to stderr, and the exit status says the same as without ``--json``.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rtlab.text import json_line

# The schemas, each with its version. A key that is added keeps the version; one that goes, or means another thing,
# raises it. docs/json.md shows an example of each, and a test compares them with what the commands print.
VERSIONS = {
    "bench": 1,
    "box": 1,
    "campaigns": 1,
    "compare": 1,
    "doctor": 2,  # 1 had only a number for its schema
    "error": 1,
    "export": 1,
    "formats": 1,
    "pack": 1,
    "plan": 2,  # 1 named no campaign that would go on, and the trials of a new plan only
    "precision": 1,
    "report": 2,  # 1 had primary and exploratory comparisons in one list
    "show": 1,
    "status": 2,  # 1 knew of the newest campaign only how many trials are pending
    "teardown": 1,
    "up": 1,
    "verify": 1,
}

_printed: list[str] = []


def show(schema: str, content: Mapping[str, Any]) -> None:
    """Print one document, which says what it is."""
    document = {**content, "schema": {"name": schema, "version": VERSIONS[schema]}}
    # Where standard output takes no UTF-8, other characters are escaped: the document stays one.
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=not is_utf8)
    sys.stdout.write(json_line(text) + "\n")
    sys.stdout.flush()
    _printed.append(schema)


def show_error(kind: str, message: str, remedy: str, exit_code: int) -> None:
    """Print what went wrong as the document of a command that has printed none."""
    if not _printed:
        show("error", {"error": {"kind": kind, "message": message, "remedy": remedy, "exit_code": exit_code}})


def begin() -> None:
    """Forget what an earlier command of this process printed."""
    _printed.clear()


def asked(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON; what stands after ``--`` belongs to another program."""
    own = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    formats = [b for a, b in itertools.pairwise(own) if a == "--format"]
    return "--json" in own or "--format=json" in own or formats[-1:] == ["json"]
