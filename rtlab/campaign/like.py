"""``--like CAMPAIGN``: the testbed, spec and seed of a stored campaign again, and what cannot be the same. No I/O but
reading the campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import rtlab
from rtlab import plugins
from rtlab.campaign import plan
from rtlab.config import TestbedSettings, recalled
from rtlab.errors import UsageError
from rtlab.model import CampaignSpec, Json, Testbed
from rtlab.store import Campaign, facts
from rtlab.text import clean

# Details of a testbed that are settings of `up`, as they are called there.
HARDWARE = {"cpus": int, "memory_mb": int, "disk_gb": int, "disk_cache": str, "accel": str, "backend": str}


def testbed_options(campaign: Campaign) -> dict[str, Any]:
    """The settings of ``up`` that the campaign's testbed shows; ``scenario_text`` is a simulated one's scenario.

    Raises:
        StoreError: the campaign is damaged.
    """
    bed = campaign.testbed
    found: dict[str, Any] = {
        "provider": bed.provider,
        "profile": bed.profile,
        "design": bed.design,
        "runtimes": ",".join(dict.fromkeys(r for m in bed.machines for r in m.runtimes)),
    }
    if _is("makes_machines", bed.provider):
        found["machines"] = len(bed.machines)
        found |= {k: v for k, kind in HARDWARE.items() if type(v := bed.details.get(k)) is kind and v}
    found |= recalled(bed.details)
    own = bed.details.get("system_runtimes")
    if isinstance(own, list | tuple) and own:
        found["system_runtimes"] = ",".join(str(name) for name in own)
    if _is("is_simulated", bed.provider) and isinstance(text := bed.details.get("scenario"), str):
        found["scenario_text"] = text
    return found


def _is(quality: str, provider: str) -> bool:
    """Whether a provider says so of itself; a campaign may name one that this rtlab does not know."""
    return provider in plugins.names("providers") and bool(getattr(plugins.provider(provider), quality))


def testbed_differences(campaign: Campaign, settings: TestbedSettings) -> tuple[str, ...]:
    """What will not be as it was there, by name, one line each.

    Args:
        settings: Resolved, as ``up`` is about to use them.
    """
    wanted = testbed_options(campaign)
    lines = list(_version(campaign))
    makes_machines = _is("makes_machines", settings.provider)
    if not makes_machines and (made := {k: wanted[k] for k in HARDWARE if k in wanted}):
        # Only Vagrant's machines are made to measure: what the settings say of hardware is nobody's elsewhere.
        wanted = {k: v for k, v in wanted.items() if k not in (*HARDWARE, "machines")}
        there = ", ".join(f"{k} {clean(str(v))[:40]}" for k, v in made.items())
        lines.append(f"hardware: what {settings.provider} has here, {there} there")
    for key, there in wanted.items():
        if key == "scenario_text":
            continue
        here = getattr(settings, key)
        here = ",".join(here) if isinstance(here, tuple) else here
        if here != there:
            shown = here or "the profile's"
            lines.append(f"{key}: {shown} here, {clean(str(there))[:80]} there")
    same_provider = settings.provider == campaign.testbed.provider
    if same_provider and makes_machines:
        box = campaign.testbed.details.get("box")
        if isinstance(box, Mapping) and isinstance(box.get("sha256"), str) and not settings.box:
            lines.append(f"box: built again here; there its SHA-256 was {clean(box['sha256'])[:64]}")
    if same_provider and not (makes_machines or _is("is_simulated", settings.provider)):
        lines.append("hardware and versions: what these machines have; `rtlab bench --like` names what differs")
    return tuple(lines)


def spec(campaign: Campaign, testbed: Testbed) -> CampaignSpec:
    """The campaign's spec with its seed, for this testbed.

    Raises:
        UsageError: something of it cannot be done here; names everything.
    """
    wanted = campaign.spec
    problems = []
    enough = any if testbed.design == "paper" else all
    for runtime in wanted.runtimes:
        if not enough(runtime in m.runtimes for m in testbed.machines):
            problems.append(f"runtime {clean(runtime)[:40]} is not on testbed {testbed.id}")
    for name in wanted.experiments:
        if name not in plugins.names("experiments"):
            problems.append(f"experiment {clean(name)[:40]!r} is unknown to rtlab {rtlab.__version__}")
            continue
        experiment = plugins.experiment(name)
        given = wanted.parameters.get(name, {})
        defaults = experiment.defaults(wanted.design)
        unknown = sorted(given.keys() - defaults.keys())
        if unknown:
            listed = ", ".join(clean(k)[:40] for k in unknown)
            problems.append(f"experiment {name} of rtlab {rtlab.__version__} has no parameter {listed}")
        elif found := experiment.problems({**defaults, **given}):
            problems += [f"experiments.{name}: {clean(p)[:200]}" for p in found]
    fixed = [m.name for m in testbed.machines if not m.may_reboot]
    if wanted.reboot != "never" and fixed:
        problems.append(f"reboot {wanted.reboot}: rtlab may not reboot {', '.join(fixed)}")
    if testbed.design == "paper" and wanted.design == "default":
        problems.append("the default design: this testbed has one runtime per machine")
    if problems:
        raise UsageError(
            f"{campaign.folder.name} cannot be done again here:\n  " + "\n  ".join(problems),
            remedy=f"Make a testbed like its own: rtlab teardown, then rtlab up --like {campaign.folder.name}",
        )
    parameters = {
        name: {**plugins.experiment(name).defaults(wanted.design), **wanted.parameters.get(name, {})}
        for name in wanted.experiments
    }
    images = testbed.details.get("images")
    return replace(wanted, parameters=parameters, images=dict(images) if isinstance(images, Mapping) else wanted.images)


def spec_differences(campaign: Campaign, again: CampaignSpec, testbed: Testbed) -> tuple[str, ...]:
    """What will not be as it was there although the spec is the same, by name, one line each."""
    there = campaign.testbed
    lines = list(_version(campaign))
    for what, a, b in (
        ("provider", testbed.provider, there.provider),
        ("machines are", testbed.level.value, there.level.value),
        ("profile", testbed.profile, there.profile),
        ("testbed's design", testbed.design, there.design),
        ("number of machines", len(testbed.machines), len(there.machines)),
        *((f"image {role}", ref, campaign.spec.images.get(role)) for role, ref in again.images.items()),
        *((f"detail {k}", testbed.details.get(k), there.details.get(k)) for k in HARDWARE),
    ):
        if a != b:
            lines.append(f"{what}: {_shown(a)} here, {_shown(b)} there")
    for name in again.experiments:
        added = sorted(again.parameters[name].keys() - campaign.spec.parameters.get(name, {}).keys())
        lines += [f"{name}.{k}: {_shown(again.parameters[name][k])} here, not known there" for k in added]
    if planned(again, testbed) != tuple(t for t in campaign.plan if t.block <= last_block(campaign)):
        lines.append("plan: other machines, so the order or the places differ although the seed is the same")
    return tuple(lines)


def last_block(campaign: Campaign) -> int:
    """The last block that was planned before anything ran."""
    at_first = campaign.spec.runs + (plan.AA_BLOCKS if campaign.spec.aa and campaign.spec.design != "paper" else 0)
    return at_first


def planned(again: CampaignSpec, testbed: Testbed) -> tuple[Any, ...]:
    """The plan that ``bench`` will write."""
    names = tuple(m.name for m in testbed.machines)
    return plan.plan(again, names, again.seed, runtimes_on={m.name: m.runtimes for m in testbed.machines})


def facts_differences(campaign: Campaign, here: Sequence[Mapping[str, Json]]) -> tuple[str, ...]:
    """What the machines' facts differ in from the campaign's, machine by machine in order."""
    lines = []
    there = [taken[0] for taken in campaign.facts().values() if taken and isinstance(taken[0], Mapping)]
    for number, (old, new) in enumerate(zip(there, here, strict=False), 1):
        for line in facts.changes(old, new):
            lines.append(f"machine {number}: {clean(line)[:300]}")
    return tuple(lines)


def _version(campaign: Campaign) -> list[str]:
    made_by = campaign.header.get("rtlab")
    if made_by == rtlab.__version__:
        return []
    return [f"rtlab: {rtlab.__version__} here, {clean(str(made_by))[:40]} there"]


def _shown(value: Any) -> str:
    return "none" if value is None else clean(str(value))[:80]
