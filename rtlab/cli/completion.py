"""What the shell offers for an option's or argument's value: names of what is here and of what rtlab knows.

Nothing is loaded before the shell asks, and a broken folder completes to nothing instead of to an error. So does a name
that a shell could take for more than a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

# Words that no shell does anything with. Shells evaluate what they are offered, and a folder or a machine may be named
# by a stranger: `$(…)` in a name would run.
PLAIN = re.compile("[A-Za-z0-9_@%+=:,./][A-Za-z0-9_@%+=:,./#-]*")

Names = Callable[[], Iterable[str]]
Completion = Callable[[str], list[str]]


def campaigns(incomplete: str) -> list[str]:
    """The campaigns of this folder, the newest first."""
    found = sorted((p.parent.name for p in Path.cwd().glob("campaigns/*/campaign.json")), reverse=True)
    return _fitting([name for name in found if not name.startswith(".")], incomplete)


def trials(incomplete: str) -> list[str]:
    """The stored trials of the newest campaign."""
    newest = sorted(Path.cwd().glob("campaigns/*/campaign.json"))[-1:]
    return _fitting(sorted(p.name for f in newest for p in f.parent.glob("trials/[!.]*")), incomplete)


def machines(incomplete: str) -> list[str]:
    """The machines of this folder's testbed."""
    from rtlab.errors import RtlabError
    from rtlab.state import StateFolder

    try:
        return _fitting([m.name for m in StateFolder(Path.cwd() / ".rtlab").testbed().machines], incomplete)
    except RtlabError:
        return []


def providers(incomplete: str) -> list[str]:
    """``auto``, every provider, and Vagrant's two kinds of machine by their own names."""
    return _fitting(_providers(), incomplete)


def backends(incomplete: str) -> list[str]:
    """Vagrant's two kinds of machine."""
    return _fitting(_other_names(), incomplete)


def profiles(incomplete: str) -> list[str]:
    """Every profile."""
    return _fitting(_profiles(), incomplete)


def runtimes(incomplete: str) -> list[str]:
    """One runtime."""
    return _fitting(_plugins("runtimes"), incomplete)


def report_formats(incomplete: str) -> list[str]:
    """What `rtlab report --format` takes."""
    from rtlab.cli.report import FORMATS

    return _fitting(FORMATS, incomplete)


def export_formats(incomplete: str) -> list[str]:
    """What `rtlab export` takes."""
    from rtlab.publish import exports

    return _fitting(exports.FORMATS, incomplete)


def suites(incomplete: str) -> list[str]:
    """What `rtlab box build` takes."""
    from rtlab.artifacts import box

    return _fitting(box.suites(), incomplete)


def parameters(incomplete: str) -> list[str]:
    """``io.size_mb=``: every setting of every experiment."""
    from rtlab import plugins

    named = {name: plugins.experiment(name).defaults("default") for name in plugins.names("experiments")}
    return _fitting([f"{name}.{key}=" for name, keys in named.items() for key in keys], incomplete)


def of_setting(section: str, key: str, choices: tuple[str, ...]) -> Completion | None:
    """The completion of a setting's option; None where a value can be anything."""
    if choices:
        return lambda incomplete: _fitting(choices, incomplete)
    names, several = _SETTINGS.get(key, (None, False))
    if names is None:
        return None
    found = names
    if several:
        return lambda incomplete: _last_of_several(found(), incomplete)
    return lambda incomplete: _fitting(found(), incomplete)


def _providers() -> tuple[str, ...]:
    return tuple(dict.fromkeys(("auto", *_plugins("providers"), *_other_names())))


def _other_names() -> tuple[str, ...]:
    """By which a setting asks for a provider, too: ``libvirt`` …"""
    from rtlab import plugins

    return tuple(other for name in plugins.names("providers") for other in plugins.provider(name).also_called)


def _profiles() -> tuple[str, ...]:
    from rtlab.artifacts import profile

    return ("auto", *profile.names())


def _plugins(kind: str) -> tuple[str, ...]:
    from rtlab import plugins

    return plugins.names(kind)  # type: ignore[arg-type]


# Setting -> its names, and whether it takes several, with commas between them.
_SETTINGS: dict[str, tuple[Names, bool]] = {
    "provider": (_providers, False),
    "profile": (_profiles, False),
    "baseline": (lambda: _plugins("runtimes"), False),
    "runtimes": (lambda: _plugins("runtimes"), True),
    "system_runtimes": (lambda: _plugins("runtimes"), True),
    "experiments": (lambda: _plugins("experiments"), True),
}


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and PLAIN.fullmatch(name)]


def _last_of_several(names: Iterable[str], incomplete: str) -> list[str]:
    """Complete what stands after the last comma, with what is not named before it."""
    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    return _fitting([f"{before}{comma}{name}" for name in names if name not in named], f"{before}{comma}{last}")
