"""``rtlab up``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtlab.cli import completion, console, documents, options, place
from rtlab.cli.options import Given

if TYPE_CHECKING:
    from rtlab.config import TestbedSettings
    from rtlab.testbed import Up


@options.settings("testbed")
def command(
    given: Given,
    like: Annotated[
        str,
        typer.Option(
            help="As the testbed of this stored campaign; other options still go first.",
            autocompletion=completion.campaigns,
        ),
    ] = "",
    provision: Annotated[bool, typer.Option("--provision", help="Apply the roles again in any case.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the testbed, and what changed, as JSON.")] = False,
) -> None:
    """Create the machines, install Docker with every runtime, and prove each runtime.

    \b
    rtlab up                                    two machines, or this very one: `auto` says which and why
    rtlab up --provider libvirt --accel tcg --profile debian-12
                                                emulated machines: everything works, no figure means anything
    rtlab up --provider local --runtimes runc,gvisor
                                                this machine, beside whatever Docker it has
    rtlab up --provider local --engine system   with the engine and runtimes that are installed here
    rtlab up --provider static --inventory hosts.ini
    rtlab up --like CAMPAIGN                    as a stored campaign's; says first what cannot be the same

    Digests that a profile does not know are given once, checked, and kept in rtlab.lock.

    A second `up` changes nothing. After a failure or Ctrl-C, `up` goes on; `rtlab teardown` removes what was made.
    Exit status 0 when every runtime is proved, 1 when something failed (it is named), 3 when this machine lacks
    something, 6 when another rtlab is at work here, 130 when it was interrupted.
    """
    with console.progress("Looking at this machine") as notify:
        from rtlab import plugins, testbed
        from rtlab.errors import UsageError

        wanted = _decided(given, **_stored(like, given)) if like else _decided(given)
        if provision and plugins.provider(wanted.provider).is_simulated:
            raise UsageError("--provision does nothing with simulated: no machine is there to apply the roles to.")
        if like:
            _say_differences(like, wanted)
        done = testbed.up(wanted, place.state_folder(), notify, provision=provision)
    _tell(done, as_json)


def _tell(done: Up, as_json: bool) -> None:
    for runtime, why in done.unavailable.items():
        console.say(f"{runtime} cannot run here: {why}")
    if as_json:
        from rtlab.state import testbed_to_json

        documents.show(
            "up",
            {
                "testbed": testbed_to_json(done.testbed),
                "provisioned": list(done.provisioned),
                "changed": dict(done.changed),
                "unavailable": dict(done.unavailable),
                "failed_proofs": list(done.failed_proofs),
            },
        )
        return
    rows = [(m.name, m.level.value, ", ".join(m.runtimes)) for m in done.testbed.machines]
    console.print_table(
        f"Testbed {done.testbed.id} ({done.testbed.provider}, profile {done.testbed.profile})",
        ("machine", "what it is", "proved runtimes"),
        rows,
    )
    changed = ", ".join(done.provisioned) or "nothing: everything was there already"
    console.say(f"Provisioned now: {changed}. Next: rtlab bench --runs 15")


def _decided(given: Given, **stored: Any) -> TestbedSettings:
    """The settings with provider, backend and profile decided; says on stderr what `auto` chose, and why.

    Raises:
        UsageError: an option would do nothing.
    """
    from rtlab.artifacts import profile
    from rtlab.config import idle, refusal, require_use
    from rtlab.host import choice

    config = given.config(**stored)
    wanted = config.testbed
    named = "runtimes" in given.values or "runtimes" in stored
    decided, reason = choice.resolve(wanted, runtimes_named=named, standing=place.state_folder().standing())
    if reason:
        console.say(reason)
    require_use(given.values, decided)
    pins = profile.load(decided.profile)
    profile.require_use(pins, given.values)

    def refused(dotted: str) -> str:
        key = dotted.partition(".")[2]
        return refusal(key, decided) or profile.refusal(pins, key)

    for line in idle(config, "testbed", refused):
        console.say(line)
    return decided


def _stored(name: str, given: Given) -> dict[str, Any]:
    """What a stored campaign's testbed had, without what the command line says otherwise."""
    from rtlab import atomic, store
    from rtlab.campaign import like

    stored = like.testbed_options(store.find(place.campaigns_folder(), name))
    for key in ("runtimes", "system_runtimes"):
        if key in stored:
            stored[key] = [runtime for runtime in stored[key].split(",") if runtime]
    scenario_text = stored.pop("scenario_text", None)
    if given.values.get("provider", stored["provider"]) not in (stored["provider"], stored.get("backend")):
        for key in ("accel", "backend", "machines"):  # they belong to the other provider
            stored.pop(key, None)
    elif scenario_text is not None and "scenario" not in given.values:
        file = place.state_folder().folder("like") / "scenario.toml"
        atomic.write_bytes(file, scenario_text.encode(), 0o600)
        stored["scenario"] = str(file)
    return {key: value for key, value in stored.items() if key not in given.values}


def _say_differences(name: str, wanted: TestbedSettings) -> None:
    from rtlab import store
    from rtlab.campaign import like

    campaign = store.find(place.campaigns_folder(), name)
    console.say_differences(campaign.folder.name, like.testbed_differences(campaign, wanted))
