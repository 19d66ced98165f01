"""rtlab's probe: what of rtlab runs on a machine, shipped as one archive (rtlab/connection/archive.py).

Reads one JSON request from stdin and prints one JSON document (the protocol stands in README.md beside it). Python 3.6
and the standard library, so that it runs on every machine; psutil only where the tables' counters are read.

Time is CLOCK_MONOTONIC of this machine. Inside a timed interval there is no output, no disk access and no garbage
collection of ours; what is between two marks is the engine's answer or the poll of the page.
"""

import json
import sys
import time
from typing import Callable, Dict, List

from rtlab.probe.base import SCHEMA, VERSION, Document, TrialFailed
from rtlab.probe.facts import facts
from rtlab.probe.gate import ready
from rtlab.probe.kernel import enter_network
from rtlab.probe.leaks import kill_all_of, leaks_of
from rtlab.probe.page import QuickNeighbours
from rtlab.probe.plugins import engine
from rtlab.probe.trial import carry_out, look


def clean(request: Document) -> Document:
    """Remove containers that carry this testbed's label, and what still belongs to them."""
    until = time.monotonic() + float(request["timeout_s"])
    using = engine(request, until)
    listed = using.labelled({"rtlab.testbed": request["labels"]["rtlab.testbed"]})
    left: List[str] = []
    for cid in listed:
        try:
            try:
                using.remove(cid)
            except TrialFailed:
                kill_all_of(cid)
                using.remove(cid)
        except TrialFailed as error:
            left.append("container: %s" % error)
        left += leaks_of(cid)
    QuickNeighbours.mend()
    return {"outcome": "ok", "removed": len(listed), "leaks": left}


VERBS: Dict[object, Callable[[Document], Document]] = {
    "trial": carry_out,
    "prove": lambda request: carry_out(request, look),
    "facts": lambda request: dict(facts(request), outcome="ok"),
    "ready": ready,
    "clean": clean,
}


def main() -> None:
    request = json.load(sys.stdin)
    if request.get("schema") != SCHEMA:
        raise SystemExit("the probe speaks schema %d, not %r" % (SCHEMA, request.get("schema")))
    if request.get("netns"):
        enter_network(request["netns"])
    verb = VERBS.get(request.get("verb"))
    if verb is None:
        raise SystemExit("the probe knows no verb %r" % request.get("verb"))
    try:
        answer = verb(request)
    except TrialFailed as error:
        answer = {"outcome": "failed", "reason": str(error)}
    answer["schema"] = SCHEMA
    answer["probe"] = VERSION
    json.dump(answer, sys.stdout, sort_keys=True, allow_nan=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
