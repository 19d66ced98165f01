"""Settings and a testbed -> a campaign in which nothing is left to a default."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from rtlab import plugins
from rtlab.config.sections import Config
from rtlab.config.setting import listed
from rtlab.config.settings import CampaignSettings
from rtlab.errors import ConfigError, UsageError
from rtlab.model import FEWEST_BLOCKS, CampaignSpec, RebootPolicy, Testbed, Until


def campaign_spec(config: Config, testbed: Testbed, images: Mapping[str, str] | None = None) -> CampaignSpec:
    """Resolve everything that a campaign on this testbed needs; nothing is defaulted later.

    Args:
        images: Role of an image to its reference; None takes what the testbed's details record.

    Raises:
        UsageError, ConfigError: something is asked for that this testbed cannot do, with the way out.
    """
    campaign = config.campaign
    if testbed.design == "paper" and campaign.design == "default":
        raise UsageError(
            f"Testbed {testbed.id} has one runtime per machine, as in the paper, so the effect of a runtime cannot be "
            "told apart from the effect of its machine: the default design is refused on it.",
            remedy="Use `rtlab bench --design paper`, or make another testbed: "
            "`rtlab teardown`, then `rtlab up --design crossover`.",
        )
    experiments = _known("experiments", campaign.experiments) or tuple(
        name for name in plugins.names("experiments") if plugins.experiment(name).by_default
    )
    runtimes = _runtimes(config, testbed)
    parameters = {name: _parameters_of(name, config) for name in experiments}
    _refuse_what_no_engine_can(runtimes, parameters, {name: plugins.experiment(name).title for name in experiments})
    return CampaignSpec(
        name=campaign.name,
        design=campaign.design,
        runs=campaign.runs,
        experiments=experiments,
        runtimes=runtimes,
        baseline=campaign.baseline,
        reboot=_reboot(campaign, testbed),
        seed=campaign.seed if campaign.seed is not None else secrets.randbelow(2**32),
        aa=campaign.aa,
        margin=campaign.margin_percent / 100,
        parameters=parameters,
        images=dict(images if images is not None else testbed.details.get("images", {})),
        trial_timeout_s=campaign.trial_timeout_s,
        ready_timeout_s=campaign.ready_timeout_s,
        until=_until(campaign),
    )


def _until(campaign: CampaignSettings) -> Until | None:
    if campaign.until_percent is None:
        return None
    if campaign.design == "paper":
        raise UsageError(
            "The paper's design has no blocks, so it cannot stop by precision: --until is refused with it.",
            remedy="Leave out --until, or --design paper.",
        )
    if campaign.runs < FEWEST_BLOCKS:
        raise UsageError(
            f"An adaptive campaign looks first after {FEWEST_BLOCKS} blocks or more; --runs {campaign.runs} was "
            "asked for. Looking earlier would stop on luck.",
            remedy="Leave out --runs, or --until.",
        )
    if campaign.max_blocks < campaign.runs:
        raise UsageError(
            f"--max-blocks {campaign.max_blocks} is less than the {campaign.runs} blocks before the first look.",
            remedy=f"Say --max-blocks {campaign.runs} or more.",
        )
    return Until(
        target=campaign.until_percent / 100,
        min_blocks=campaign.runs,
        max_blocks=campaign.max_blocks,
        max_hours=campaign.max_hours,
    )


def _known(kind: plugins.Kind, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, each checked: UsageError with the nearest known one otherwise."""
    for name in names:
        (plugins.experiment if kind == "experiments" else plugins.runtime)(name)
    return names


def _runtimes(config: Config, testbed: Testbed) -> tuple[str, ...]:
    """The asked-for runtimes, or all of the testbed; the baseline first."""
    campaign = config.campaign
    # In the crossover every machine must have each runtime; the paper's testbed has each on one machine.
    in_order = dict.fromkeys(name for machine in testbed.machines for name in machine.runtimes)
    enough = any if testbed.design == "paper" else all
    there = tuple(name for name in in_order if enough(name in machine.runtimes for machine in testbed.machines))
    asked = _under(campaign.engines, _known("runtimes", campaign.runtimes) or there)
    # Which engines drive them is another option's.
    wanted = ",".join(dict.fromkeys(name.partition("@")[0] for name in (*there, *asked, campaign.baseline)))
    missing = [name for name in asked if name not in there]
    if missing:
        raise UsageError(
            f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not installed on testbed {testbed.id}, "
            f"which has {listed(there) or 'no runtime that was proved'}.",
            remedy=f"Run `rtlab up --runtimes {wanted}`, or leave {'it' if len(missing) == 1 else 'them'} out.",
        )
    if not asked:
        raise UsageError(
            f"Testbed {testbed.id} has no runtime that was proved.", remedy="Run `rtlab up` again; it says what failed."
        )
    if campaign.baseline not in asked:
        way_out = f"Add it: `--runtimes {','.join((campaign.baseline, *asked))}`"
        if campaign.baseline not in there:
            way_out = f"Install it: `rtlab up --runtimes {wanted}`"
        raise UsageError(
            f"The baseline {campaign.baseline!r} is not among the runtimes of this campaign ({listed(asked)}).",
            remedy=f"{way_out}, or compare with another one: `--baseline {asked[0]}`.",
        )
    return tuple(sorted(asked, key=lambda name: name != campaign.baseline))


def _under(engines: tuple[str, ...], runtimes: tuple[str, ...]) -> tuple[str, ...]:
    """The runtimes under these engines, in the order of the engines; as they are where no engine is named."""
    if not engines:
        return runtimes
    plain = tuple(dict.fromkeys(name.partition("@")[0] for name in runtimes))
    return plugins.arms(plain, [plugins.engine(name).name for name in engines])


def _refuse_what_no_engine_can(
    runtimes: tuple[str, ...], parameters: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> None:
    """UsageError for an experiment that an arm's engine cannot carry out, before anything runs."""
    for arm in runtimes:
        runtime = plugins.runtime(arm)
        engine = plugins.engine(runtime.engine or plugins.names("engines")[0])
        for experiment, of in parameters.items():
            if why := engine.refusal(runtime, of):
                raise UsageError(
                    f"{names[experiment]} cannot be measured in the arm {arm}: {why}.",
                    remedy=f"Leave {experiment} out of --experiments, or {engine.name} out of --engines.",
                )


def _reboot(campaign: CampaignSettings, testbed: Testbed) -> RebootPolicy:
    fixed = [machine.name for machine in testbed.machines if not machine.may_reboot]
    if campaign.reboot == "auto":
        if fixed:
            return "never"
        return "trial" if campaign.design == "paper" else "block"
    if campaign.reboot != "never" and fixed:
        remedy = "Use `--reboot never`"
        if plugins.provider(testbed.provider).reboots_if_allowed:
            remedy += ", or allow it: `rtlab up --allow-reboot`"
        raise UsageError(f"rtlab may not reboot {listed(fixed)}: --reboot {campaign.reboot}.", remedy=remedy + ".")
    return campaign.reboot


def _parameters_of(name: str, config: Config) -> dict[str, Any]:
    experiment = plugins.experiment(name)
    merged = {**experiment.defaults(config.campaign.design), **config.parameters.get(name, {})}
    problems = experiment.problems(merged)
    if problems:
        where = config.source or "the command line"
        raise ConfigError("\n".join(f"{where}: experiments.{name}: {problem}." for problem in problems))
    return merged
