"""Asks the probe on a machine: one JSON request, one JSON answer (the protocol stands in probe/README.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtlab import arrival, plugins
from rtlab.connection import archive
from rtlab.connection.shell import OUTPUT_CAP_BYTES
from rtlab.errors import CommandFailed, HostUnfit
from rtlab.model import CampaignSpec, CommandResult, Json, Machine, Outcome, Shell, Trial

SCHEMA = 1
# Facts have 30 kB; kept indented they may grow tenfold, and must stay below what a campaign's JSON may have.
MOST_FACTS_BYTES = 1024 * 1024
# Of an answer that is none: a short one is shown as it stands.
MAX_SHOWN = 1000
FACTS_TIMEOUT_S = 180.0
READY_TIMEOUT_S = 60.0
CLEAN_TIMEOUT_S = 180.0
PROVE_TIMEOUT_S = 300.0


def probe_path(machine: Machine) -> str:
    return f"{machine.home}/probe.pyz"


def install(shell: Shell, machine: Machine) -> bool:
    """Put the probe of this rtlab onto the machine unless it is there. Returns whether it was written."""
    source = archive.built()
    digest = hashlib.sha256(source).hexdigest()
    found = shell.run(("sha256sum", "--", probe_path(machine)), timeout_s=30)
    if found.ok and found.text().split()[:1] == [digest]:
        return False
    shell.put(source, probe_path(machine), 0o755)
    return True


def ask(shell: Shell, machine: Machine, request: Mapping[str, Json], timeout_s: float) -> CommandResult:
    """Send one request and wait for the answer, whatever it is."""
    stdin = json.dumps(request, sort_keys=True).encode()
    return shell.run((machine.python, probe_path(machine)), timeout_s=timeout_s, stdin=stdin)


def envelope(verb: str, machine: Machine, timeout_s: float, **more: Json) -> dict[str, Json]:
    """What every request carries: where the engine is and how long the probe may take."""
    return {
        "schema": SCHEMA,
        "verb": verb,
        "engine": engine_of(machine),
        "netns": machine.netns,
        "home": machine.home,
        "timeout_s": timeout_s,
        "runtimes": [_runtime(name, machine) for name in machine.runtimes],
        **more,
    }


def engine_of(machine: Machine) -> dict[str, Json]:
    """Which engine the probe is to use, and where it is."""
    engine = machine.engine
    return {**engine.settings, "name": engine.name, "socket": engine.socket, "cli": engine.cli}


def trial_request(trial: Trial, spec: CampaignSpec, machine: Machine, testbed_id: str) -> dict[str, Json]:
    """The whole request for one trial."""
    experiment = plugins.experiment(trial.experiment)
    runtime = plugins.runtime(trial.runtime)
    return envelope(
        "trial",
        machine.on(runtime.engine),
        spec.trial_timeout_s,
        experiment=trial.experiment,
        runtime=_runtime(trial.runtime, machine),
        images=dict(spec.images),
        labels={"rtlab.testbed": testbed_id, "rtlab.trial": trial.key},
        parameters=experiment.request(trial, spec, machine, runtime),
        seed=spec.seed,  # simulated machines draw their values from it; the probe has no use for it
    )


def _runtime(name: str, machine: Machine) -> dict[str, Json]:
    runtime = plugins.runtime(name)
    return {
        "name": name,
        "docker_name": runtime.docker_name,
        "proof": runtime.proof,
        "own_kernel": runtime.own_kernel,
        "sha256": machine.programs.get(name),
    }


def _answered(shell: Shell, machine: Machine, request: Mapping[str, Json], timeout_s: float) -> dict[str, Any]:
    """The answer of a verb that must succeed.

    Raises:
        CommandFailed: the probe itself failed or answered no JSON.
    """
    result = ask(shell, machine, request, timeout_s)
    answer = None
    if result.ok:
        try:
            answer = arrival.writable(arrival.parse(result.stdout, MOST_FACTS_BYTES))
        except arrival.Refused as error:
            if len(result.stdout) > MAX_SHOWN:
                raise CommandFailed(
                    f"The probe on {machine.name} answered `{request['verb']}` with what is not taken: {error}.",
                    remedy="Run `rtlab up` again: it installs the probe. If that does not help, distrust the machine.",
                    argv=result.argv,
                    exit_status=result.exit_status,
                ) from None
    if not isinstance(answer, dict):
        raise CommandFailed(
            f"The probe on {machine.name} did not answer `{request['verb']}`"
            + (" in time" if result.timed_out else f" (status {result.exit_status})")
            + f": {result.tail(5)}",
            remedy="Run `rtlab up` again: it installs the probe and what it needs.",
            argv=result.argv,
            exit_status=result.exit_status,
        )
    return answer


def facts(shell: Shell, machine: Machine) -> dict[str, Any]:
    """Hardware, kernel, packages, digests and configuration of the machine (verb ``facts``).

    What is another engine's own stands under ``engines`` and its name: its facts, and its entries for runtimes.
    """
    found = _answered(shell, machine, envelope("facts", machine, FACTS_TIMEOUT_S), FACTS_TIMEOUT_S + 30)
    for engine in machine.beside:
        request = envelope("facts", machine.on(engine.name), FACTS_TIMEOUT_S)
        told = _answered(shell, machine, request, FACTS_TIMEOUT_S + 30)
        own = {key: told[key] for key in (engine.name, "runtimes") if key in told}
        found.setdefault("engines", {})[engine.name] = own
    return found


def clean(shell: Shell, machine: Machine, testbed_id: str) -> dict[str, Any]:
    """Remove containers that an interrupted trial of this testbed left (verb ``clean``), in every engine."""
    found: dict[str, Any] = {}
    for engine in (machine.engine, *machine.beside):
        request = envelope("clean", machine.on(engine.name), CLEAN_TIMEOUT_S, labels={"rtlab.testbed": testbed_id})
        answer = _answered(shell, machine, request, CLEAN_TIMEOUT_S + 30)
        for key, value in answer.items():
            found[key] = found[key] + value if key in ("removed", "leaks") and key in found else value
    return found


def prove(shell: Shell, machine: Machine, runtime: str, images: Mapping[str, str], testbed_id: str) -> dict[str, Any]:
    """Start one short container under the runtime and prove which runtime ran it (verb ``prove``).

    Whatever an earlier ``up`` proved there is no measure: a newer build may have been installed on purpose since.

    Raises:
        HostUnfit: the proof failed; says what was found.
    """
    request = envelope(
        "prove",
        machine.on(plugins.runtime(runtime).engine),
        PROVE_TIMEOUT_S,
        runtime={**_runtime(runtime, machine), "sha256": None},
        images=dict(images),
        labels={"rtlab.testbed": testbed_id, "rtlab.trial": "prove"},
        parameters={},
    )
    answer = _answered(shell, machine, request, PROVE_TIMEOUT_S + 30)
    if answer.get("outcome") != Outcome.OK.value:
        raise HostUnfit(
            f"{runtime} does not run on {machine.name}: {str(answer.get('reason') or 'no reason given')[:MAX_SHOWN]}",
            remedy="Look at .rtlab/logs, mend it, and run `rtlab up` again.",
        )
    return answer


def proved_program(answer: Mapping[str, Any]) -> str | None:
    """SHA-256 of the build that a proof found installed; None when the answer does not tell."""
    found = ((answer.get("proof") or {}).get("evidence") or {}).get("installed_sha256")
    return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """One reading of the readiness gate.

    Attributes:
        missing: What is not yet as it should be; empty when the machine is ready.
        blocking: Whether something is missing without which no trial can run (engine, runtime), rather than quiet.
        build: What the running engine is; another text is another build. Empty: it was not told.
    """

    boot_id: str | None
    missing: tuple[str, ...]
    blocking: bool
    build: str = ""


def ready(shell: Shell, machine: Machine, runtime: str) -> Readiness:
    """Whether the machine is ready for a trial under ``runtime`` (verb ``ready``)."""
    using = machine.on(plugins.runtime(runtime).engine)
    request = envelope("ready", using, READY_TIMEOUT_S, runtime=_runtime(runtime, machine))
    answer = _answered(shell, machine, request, READY_TIMEOUT_S + 30)
    missing = answer.get("missing")
    return Readiness(
        boot_id=_boot_id(answer.get("boot_id")),
        missing=tuple(str(m)[:MAX_SHOWN] for m in missing[:100]) if isinstance(missing, list) else (),
        blocking=bool(answer.get("blocking", False)),
        build=str(answer.get("build") or "")[:MAX_SHOWN],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A trial's answer, split into what is stored.

    Attributes:
        files: ``stdout`` and ``stderr`` of the tool and ``probe.json``: the document without the tool's texts.
    """

    outcome: Outcome
    reason: str
    boot_id: str | None
    files: Mapping[str, bytes]


def read_answer(result: CommandResult | None, lost: str = "") -> Answer:
    """Split what the probe printed. An answer that is no answer is a failed trial, kept verbatim.

    Args:
        result: None when the machine could not be reached; ``lost`` then says why.
    """
    if result is None:
        return Answer(outcome=Outcome.FAILED, reason=lost, boot_id=None, files={})
    try:
        document = dict(arrival.parse(result.stdout, OUTPUT_CAP_BYTES))
        outcome = Outcome(document["outcome"])
        tool = dict(document.pop("tool", None) or {})
        stdout, stderr = _bytes(tool.pop("stdout", "")), _bytes(tool.pop("stderr", ""))
        document["tool"] = tool or None
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
        if len(text) > arrival.MOST_BYTES:
            raise arrival.Refused(f"the answer has {len(text)} bytes, more than {arrival.MOST_BYTES}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = "timed out" if result.timed_out else f"ended with status {result.exit_status}"
        why = str(error) if isinstance(error, arrival.Refused) and len(result.stdout) > MAX_SHOWN else ""
        why = f"the probe {said} and gave no whole answer: {why or result.tail(3)[-500:]}"
        return Answer(
            outcome=Outcome.TIMED_OUT if result.timed_out else Outcome.FAILED,
            reason=why.encode("utf-8", "replace").decode(),
            boot_id=None,
            files={"stdout": result.stdout, "stderr": result.stderr},
        )
    return Answer(
        outcome=outcome,
        # Bytes that are no text would make the record unreadable.
        reason=str(document.get("reason") or "").encode("utf-8", "replace").decode(),
        boot_id=_boot_id(document.get("boot_id")),
        files={"stdout": stdout, "stderr": stderr + result.stderr, "probe.json": text.encode()},
    )


def _boot_id(value: Json) -> str | None:
    """A boot id as kernels give them (or a scenario's); anything longer is none."""
    return value if isinstance(value, str) and len(value) <= 64 and value.isprintable() else None


def _bytes(text: Json) -> bytes:
    """What a tool printed, as it printed it: the probe sends bytes that are no UTF-8 as lone surrogates."""
    try:
        return str(text or "").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return str(text).encode("utf-8", "surrogatepass")
