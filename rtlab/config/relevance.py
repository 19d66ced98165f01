"""Which settings matter to which machines, runtimes and campaigns. An option that would do nothing is refused.

The table of a testbed's is not written here: each provider says which settings it uses, and each runtime declares its
own (``settings`` of ``rtlab.providers.contract.Provider`` and of ``rtlab.model.Runtime``). What is typed is meant, so
it is refused; what stands in rtlab.toml may serve several machines, so it is said and the work goes on
(docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rtlab import plugins
from rtlab.config.reading import option
from rtlab.config.sections import Config, keys
from rtlab.config.setting import listed
from rtlab.config.settings import TestbedSettings
from rtlab.errors import UsageError
from rtlab.model import CampaignSpec

# What every testbed has.
COMMON = frozenset({"provider", "profile", "runtimes", "design"})


def providers_of(key: str) -> tuple[str, ...]:
    """The providers to which a setting matters."""
    names = plugins.names("providers")
    if key in COMMON:
        return names
    if runtimes_of(key):  # a release is installed on machines that rtlab makes
        return tuple(name for name in names if plugins.provider(name).makes_machines)
    return tuple(name for name in names if key in plugins.provider(name).settings)


def runtimes_of(key: str) -> tuple[str, ...]:
    """The runtimes whose release or configuration a setting decides; empty for any other setting."""
    return tuple(name for name in plugins.names("runtimes") if key in keys(name).values())


def refusal(key: str, settings: TestbedSettings) -> str:
    """Why a setting does nothing with these settings, whose provider is chosen; empty when it matters."""
    useful = providers_of(key)
    if settings.provider not in useful:
        return f"does nothing with {shown(settings.provider, settings)}; it is for {', '.join(map(shown, useful))}"
    if (key, settings.backend) == ("accel", "virtualbox"):
        return "does nothing with virtualbox, which knows hardware virtualization only; it is for libvirt"
    runtimes = runtimes_of(key)
    wanted = {name.partition(":")[0] for name in settings.runtimes}
    if runtimes and not wanted & set(runtimes):
        return f"does nothing without the runtime {' or '.join(runtimes)}; there are {', '.join(settings.runtimes)}"
    if key == "box_sha256" and settings.box:
        return "does nothing with --box, which is used as it is"
    return ""


def require_use(keys: Iterable[str], settings: TestbedSettings) -> None:
    """UsageError naming every option that would do nothing.

    Args:
        keys: The settings that were given on the command line.
    """
    problems = [f"{option(f'testbed.{key}')} {why}." for key in keys if (why := refusal(key, settings))]
    if problems:
        raise UsageError("\n".join(problems), remedy="Leave it out, or choose another --provider.")


def campaign_refusal(dotted: str, spec: CampaignSpec) -> str:
    """Why a setting of a campaign does nothing in this one; empty when it matters.

    Args:
        dotted: ``campaign.max_hours``, or ``experiments.io`` for all that an experiment's section says.
    """
    section, _, name = dotted.partition(".")
    if section == "experiments":
        return "" if name in spec.experiments else f"does nothing: the experiments are {listed(spec.experiments)}"
    if name in ("max_blocks", "max_hours") and spec.until is None:
        return "does nothing without --until, which is until_percent in rtlab.toml"
    if name == "aa" and spec.design == "paper":
        return "does nothing with design paper, which has no blocks"
    return ""


def require_campaign_use(dotted: Iterable[str], spec: CampaignSpec) -> None:
    """UsageError naming every option of the command line, as ``campaign_refusal`` takes it, that would do nothing."""
    problems = []
    for place in dotted:
        if why := campaign_refusal(place, spec):
            section, _, name = place.partition(".")
            problems.append(f"{f'--set {name}' if section == 'experiments' else option(place)} {why}.")
    if problems:
        raise UsageError("\n".join(problems), remedy="Leave it out.")


def idle(config: Config, section: str, refused: Callable[[str], str]) -> tuple[str, ...]:
    """What stands in rtlab.toml and does nothing this time, one sentence each.

    Args:
        section: ``testbed``, ``campaign`` or ``experiments``.
        refused: Dotted name of a setting -> why it does nothing; empty when it matters.
    """
    mine = {dotted: place for dotted, place in config.stated.items() if dotted.partition(".")[0] == section}
    return tuple(f"{place} {why}." for dotted, place in mine.items() if (why := refused(dotted)))


def shown(provider: str, settings: TestbedSettings | None = None) -> str:
    """A provider as it is called on the command line: by the other name that its settings stand for, if it has any."""
    others = plugins.provider(provider).also_called
    if not others:
        return provider
    meant = (
        [other for other, means in others.items() if all(getattr(settings, k) == v for k, v in means.items())]
        if settings is not None
        else []
    )
    return ", ".join(meant or others)
