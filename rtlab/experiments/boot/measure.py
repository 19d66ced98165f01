"""Starts, to the first page. On the machine: Python 3.6 and the standard library."""

import gc
import re
from typing import Dict, List

from rtlab.probe.base import Document, TrialFailed, command, monotonic_ns
from rtlab.probe.page import QuickNeighbours, wait_for_page
from rtlab.probe.trial import Trial


def measure(trial: Trial) -> Document:
    """Starts: through the socket with every phase, through the command line, and a null driver without a container."""
    wanted = trial.parameters["page_sha256"]
    port = int(trial.parameters["page_port"])
    result: Dict[str, List[Dict[str, int]]] = {"socket": [], "cli": [], "null": []}
    interfaces = "*" if trial.request.get("netns") else trial.engine.interfaces
    with QuickNeighbours(interfaces):
        for number in range(int(trial.parameters["starts"])):
            result["socket"].append(_start_by_socket(trial, wanted, port, first=number == 0))
        # Where nobody starts a container by a command line there are none: their metrics stay without a value.
        for _ in range(int(trial.parameters["cli_starts"]) if trial.request["engine"]["cli"] else 0):
            result["cli"].append(_start_by_cli(trial, wanted, port))
    for _ in range(int(trial.parameters["null_starts"])):
        result["null"].append(_start_nothing(trial))
    return result


def _start_by_socket(trial: Trial, wanted: str, port: int, first: bool) -> Dict[str, int]:
    engine = trial.engine
    gc.disable()
    try:
        t_request = monotonic_ns()
        cid = trial.create("httpd")
        t_created = monotonic_ns()
        engine.start(cid)
        t_started = monotonic_ns()
        address, _ = engine.address(cid)
        t_inspected = monotonic_ns()
        wait_for_page(trial.engine, address, port, wanted)
        t_page = monotonic_ns()
    finally:
        gc.enable()
    if first:
        trial.prove(cid)
    gc.disable()
    try:
        t_stop = monotonic_ns()
        engine.stop(cid)
        t_stopped = monotonic_ns()
        trial.remove(cid)
        t_removed = monotonic_ns()
    finally:
        gc.enable()
    return {
        "created_ns": t_created - t_request,
        "started_ns": t_started - t_request,
        "inspect_ns": t_inspected - t_started,
        "first_page_ns": t_page - t_request,
        "stop_ns": t_stopped - t_stop,
        "remove_ns": t_removed - t_stopped,
    }


def _start_by_cli(trial: Trial, wanted: str, port: int) -> Dict[str, int]:
    program = trial.request["engine"]["cli"]
    argv = trial.engine.command_line(program, trial.runtime, trial.image("httpd"), trial.limits(), trial.labels)
    gc.disable()
    try:
        t_request = monotonic_ns()
        done = command(argv, trial.engine.left())
        t_returned = monotonic_ns()
        cid = done.stdout.strip()
        if done.exit_status != 0 or not re.match(r"^[0-9a-f]{64}$", cid):
            raise TrialFailed("docker run failed: %s" % (done.stderr.strip()[-300:] or done.stdout[-300:]))
        trial.containers.append(cid)
        address, _ = trial.engine.address(cid)
        wait_for_page(trial.engine, address, port, wanted)
        t_page = monotonic_ns()
    finally:
        gc.enable()
    if trial.proof is None:
        trial.prove(cid)
    trial.engine.stop(cid)
    trial.remove(cid)
    return {"returned_ns": t_returned - t_request, "first_page_ns": t_page - t_request}


def _start_nothing(trial: Trial) -> Dict[str, int]:
    """As many calls to the engine as a start takes, without a container: what the harness itself costs."""
    gc.disable()
    try:
        began = monotonic_ns()
        for _ in range(3):
            trial.engine.ping()
        return {"calls_ns": monotonic_ns() - began}
    finally:
        gc.enable()
