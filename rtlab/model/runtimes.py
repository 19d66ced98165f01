"""A container runtime: what rtlab knows of it, and what can be set of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rtlab.model.wiring import Surroundings, Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A value that cannot be had.

    Attributes:
        key: Where it stands below ``[testbed]``: ``runtimes``, ``kata.small``.
        why: A clause: "must be …".
    """

    key: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A name that is none of the known ones, of which the nearest is offered.

    Attributes:
        key: Where it stands below ``[testbed]``.
        kind: What it should name: "variant of kata called".
    """

    key: str
    name: str
    kind: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """What can be set of one runtime, and what follows from it. A runtime's own is a frozen dataclass of settings
    (``rtlab.config.setting``) in its folder: the section ``[runtimes.NAME]``, and in ``[testbed]`` and on the command
    line each key with the runtime's name before it. ``variants`` is the section ``[testbed.NAME]`` itself.

    Attributes:
        kept: Keys that are kept with a testbed and its campaigns, where they are set.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def refusals(self, runtimes: Sequence[str]) -> Iterator[Refusal | Unknown]:
        """What is wrong beyond types and limits, when these runtimes are asked for; told with the configuration's
        other problems."""
        yield from ()

    def pinned(self, pins: Any, runtimes: Sequence[str]) -> Any:
        """The profile with the release that is asked for; ConfigError when it cannot run one of these runtimes."""
        return pins

    def sources(self) -> Mapping[str, str]:
        """Where the user takes it from instead of where the profile does, as its role's variables; empty values are
        none."""
        return {}

    def variables(self) -> Mapping[str, Any]:
        """Its role's further variables, whatever the profile says."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A container runtime that rtlab can install, hand to Docker and prove. Data only.

    Attributes:
        name: ``runc``, ``kata`` …; engines know it by ``docker_name``.
        title: For tables: ``runC``, ``Kata``.
        docker_name: The key in daemon.json's ``runtimes`` (``runc`` is built in), and containerd's handler.
        role: The Ansible role that installs it.
        proof: Which check of the probe proves it: ``runc``, ``crun``, ``youki``, ``gvisor``, ``kata``.
        own_kernel: Whether a container under it has a kernel of its own.
        needs_kvm: Whether the machine must have a working /dev/kvm.
        unpacked: Whether `up` brings it to any machine as a release's archive, so that it need not be installed.
        variants: Whether it can be had several times, with other settings each: ``kata:qemu``, ``kata:small``.
        known_errors: What it says when it cannot run -> what that means and what to do.
        summary: One sentence for ``--help`` and docs.
        shim: Type of its own shim, as containerd calls it; empty: it is driven by runC's.
        engine: Which engine drives it, for an arm that says so (``runc@containerd``); empty: the machine's first.
        settings: What can be set of it: which release is installed, and how.
        programs: What it is started by, names or paths: another file there is another runtime.
        ways: How it is handed to a Docker of rtlab's own, from what is found around it.
        features: Switches of the engine's without which it is known not to start. Where an engine is installed by roles
            they are set at once; on this very machine it is tried without them first.
        check: (profile) -> a warning, or an empty text; HostUnfit when the runtime cannot work on the machines that
            are made from it. Asked before anything is made.
    """

    name: str
    title: str
    docker_name: str
    role: str
    proof: str
    own_kernel: bool
    needs_kvm: bool = False
    unpacked: bool = False
    variants: bool = False
    known_errors: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    shim: str = ""
    engine: str = ""
    settings: type[RuntimeSettings] = RuntimeSettings
    check: Callable[[Any], str] = field(default=lambda pins: "", compare=False)
    programs: tuple[str, ...] = ()
    features: Mapping[str, bool] = field(default_factory=dict)
    ways: Callable[[Surroundings], Ways] = field(default=lambda around: "it has no wiring", compare=False)

    def meaning_of(self, message: str) -> str:
        """What a message of the engine or of this runtime means, in a sentence; empty when it is not known."""
        return next((meaning for words, meaning in self.known_errors.items() if words in message), "")
