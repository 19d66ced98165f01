"""``rtlab up``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtlab.cli import console, settings

if TYPE_CHECKING:
    from rtlab.config import TestbedSettings


def command(
    provider: Annotated[
        str, typer.Option(help="auto, vagrant, libvirt, virtualbox, local, static or simulated.", show_default="auto")
    ] = "",
    profile: Annotated[str, typer.Option(help="Pins of versions: paper-2020, current, modules, debian-12.")] = "",
    accel: Annotated[str, typer.Option(help="kvm, tcg (emulated: every figure is meaningless) or auto.")] = "",
    machines: Annotated[int | None, typer.Option(help="How many machines.")] = None,
    cpus: Annotated[int | None, typer.Option(help="Virtual CPUs per machine.")] = None,
    memory_mb: Annotated[int | None, typer.Option(help="Memory per machine, MB.")] = None,
    disk_gb: Annotated[int | None, typer.Option(help="Disk per machine, GB.")] = None,
    engine: Annotated[
        str, typer.Option(help="local: modules (today's, compiled here) or system (this machine's own).")
    ] = "",
    runtimes: Annotated[str, typer.Option(help="Comma-separated: runc,kata,gvisor,crun,youki.")] = "",
    design: Annotated[str, typer.Option(help="crossover (every runtime everywhere) or paper (one per machine).")] = "",
    inventory: Annotated[str, typer.Option(help="Ansible inventory of machines that exist (provider static).")] = "",
    allow_reboot: Annotated[
        bool | None, typer.Option("--allow-reboot/--no-reboot", help="Static machines may be rebooted.")
    ] = None,
    kata_version: Annotated[str, typer.Option(help="Another release of Kata than the profile's.")] = "",
    kata_flavour: Annotated[str, typer.Option(help="go or rs (runtime-rs), where Kata has both.")] = "",
    kata_archive: Annotated[str, typer.Option(help="A Kata release archive on this machine.")] = "",
    kata_sha256: Annotated[str, typer.Option(help="Its SHA-256, where the profile pins none.")] = "",
    box_sha256: Annotated[str, typer.Option(help="SHA-256 of the profile's cloud image, where none is pinned.")] = "",
    gvisor_sha512: Annotated[
        str, typer.Option(help="SHA-512 of the profile's gVisor release, where none is pinned.")
    ] = "",
    crun_url: Annotated[str, typer.Option(help="A static crun, where the distribution has none.")] = "",
    crun_sha256: Annotated[str, typer.Option(help="Its SHA-256.")] = "",
    box: Annotated[str, typer.Option(help="Use this box file instead of building one.")] = "",
    scenario: Annotated[str, typer.Option(help="Scenario of the simulated provider.")] = "",
    like: Annotated[
        str, typer.Option(help="As the testbed of this stored campaign; other options still go first.")
    ] = "",
    provision: Annotated[bool, typer.Option("--provision", help="Apply the roles again in any case.")] = False,
    config: Annotated[Path | None, typer.Option(help="Configuration file.", show_default="rtlab.toml")] = None,
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
    """
    from rtlab import plugins, testbed
    from rtlab.errors import UsageError

    options: dict[str, Any] = {
        "provider": provider,
        "profile": profile,
        "accel": accel,
        "machines": machines,
        "cpus": cpus,
        "memory_mb": memory_mb,
        "disk_gb": disk_gb,
        "engine": engine,
        "runtimes": runtimes,
        "design": design,
        "inventory": inventory,
        "allow_reboot": allow_reboot,
        "kata_version": kata_version,
        "kata_flavour": kata_flavour,
        "kata_archive": kata_archive,
        "kata_sha256": kata_sha256,
        "box_sha256": box_sha256,
        "gvisor_sha512": gvisor_sha512,
        "crun_url": crun_url,
        "crun_sha256": crun_sha256,
        "box": box,
        "scenario": scenario,
    }
    state = settings.state_folder()
    wanted = _like(like, config, options) if like else settings.testbed(config, **options)
    if provision and plugins.provider(wanted.provider).is_simulated:
        raise UsageError("--provision does nothing with simulated: there is no machine to which roles are applied.")
    with console.progress() as notify:
        done = testbed.up(wanted, state, notify, provision=provision)
    for runtime, why in done.unavailable.items():
        console.say(f"{runtime} cannot run here: {why}")
    if as_json:
        from rtlab.state import testbed_to_json

        console.print_json(
            {
                "testbed": testbed_to_json(done.testbed),
                "provisioned": list(done.provisioned),
                "changed": dict(done.changed),
                "unavailable": dict(done.unavailable),
                "failed_proofs": list(done.failed_proofs),
            }
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


def _like(name: str, config: Path | None, options: dict[str, Any]) -> TestbedSettings:
    """Settings as a stored campaign's testbed had them, options over them; says what cannot be the same."""
    from rtlab import atomic, store
    from rtlab.campaign import like

    campaign = store.find(settings.campaigns_folder(), name)
    stored = like.testbed_options(campaign)
    scenario_text = stored.pop("scenario_text", None)
    given = {k: v for k, v in options.items() if v not in (None, "")}
    typed = tuple(given)
    if given.get("provider", stored["provider"]) not in (stored["provider"], stored.get("backend")):
        for key in ("accel", "backend", "machines"):  # they belong to the other provider
            stored.pop(key, None)
    elif scenario_text is not None and "scenario" not in given:
        file = settings.state_folder().folder("like") / "scenario.toml"
        atomic.write_bytes(file, scenario_text.encode(), 0o600)
        given["scenario"] = str(file)
    wanted = settings.testbed(config, typed, **{**stored, **given})
    console.say_differences(campaign.folder.name, like.testbed_differences(campaign, wanted))
    return wanted
