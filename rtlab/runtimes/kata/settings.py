"""What can be set of Kata: its release, its flavour, and variants of it as arms of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from rtlab.config.setting import SHA256, Form, setting
from rtlab.config.settings import VARIANT
from rtlab.errors import ConfigError
from rtlab.model import Refusal, RuntimeSettings, Unknown
from rtlab.runtimes.kata import hypervisors

RELEASE = Form(pattern=r"\d+\.\d+\.\d+[A-Za-z0-9.-]{0,20}", words="a release, such as 3.32.0")
# The key of a variant that is no setting of Kata's own configuration.toml.
HYPERVISOR = "hypervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class KataSettings(RuntimeSettings):
    version: str = setting("", "Another release of Kata than the profile's, such as 3.32.0.", form=RELEASE)
    flavour: Literal["", "go", "rs"] = setting("", "Kata's Go runtime, or runtime-rs; empty: the profile's.")
    archive: str = setting("", "Path or URL of a Kata release archive; empty: the profile's.")
    sha256: str = setting("", "SHA-256 of kata_archive, checked before it is opened.", form=SHA256)
    variants: Mapping[str, Mapping[str, bool | int | float | str]] = setting(
        {},
        "Variants of Kata as arms of their own: a section [testbed.kata.small] makes the runtime kata:small. Keys: "
        "hypervisor (qemu, clh …), and settings of Kata's own configuration.toml (default_memory, shared_fs …).",
        example="{ default_memory = 512 }",
    )

    kept: ClassVar[tuple[str, ...]] = ("variants", "version", "flavour")

    def refusals(self, runtimes: Sequence[str]) -> Iterator[Refusal | Unknown]:
        """Each kata:NAME among the runtimes is a section or a hypervisor, and each section is well formed. What the
        profile says, which may not be chosen yet, is asked by ``pinned``."""
        for name, keys in self.variants.items():
            place = f"kata.{name}"
            if not re.fullmatch(VARIANT, name):
                why = "must be 1 to 20 lower-case letters, digits and dashes"
                yield Refusal(key=place, value=name, why=why)
            for key, value in keys.items():
                if why := self._refusal(key, value):
                    yield Refusal(key=f"{place}.{key}", value=value, why=why)
        known = tuple(dict.fromkeys((*self.variants, *hypervisors.hypervisors(self.version, self.flavour))))
        for runtime in runtimes:
            name, colon, variant = runtime.partition(":")
            if name != "kata" or not colon or not re.fullmatch(VARIANT, variant) or variant in known:
                continue
            if variant in hypervisors.hypervisors():
                why = hypervisors.refusal(variant, self.version, self.flavour)
                yield Refusal(key="runtimes", value=runtime, why=why)
            else:
                yield Unknown(key="runtimes", name=variant, kind="variant of kata called", known=known)

    def _refusal(self, key: str, value: object) -> str:
        """Why a variant cannot have this key or value; empty when it can."""
        if not re.fullmatch("[a-z0-9_]+", key) or (key == HYPERVISOR and not isinstance(value, str)):
            return "is no setting of Kata's configuration.toml"
        # One's own build may have other hypervisors: its role looks into it.
        asked = key == HYPERVISOR and value and not self.archive
        return hypervisors.refusal(str(value), self.version, self.flavour) if asked else ""

    def pinned(self, pins: Any, runtimes: Sequence[str]) -> Any:
        from rtlab.runtimes.kata import release  # only `up` pays for loading it

        chosen = release.chosen(pins, self.version, self.flavour)
        version, flavour = release.of(chosen)
        for runtime, hypervisor in self._wanted(runtimes).items():
            # One's own archive may be a build with others: then only arms without a section are asked about.
            if self.archive and runtime.partition(":")[2] in self.variants:
                continue
            if why := hypervisors.refusal(hypervisor, version, flavour):
                raise ConfigError(
                    f"{runtime}: {why}.",
                    remedy="Name another one in --runtimes or [testbed.kata], or choose another --kata-version or "
                    "--kata-flavour.",
                )
        return chosen

    def _wanted(self, runtimes: Sequence[str]) -> dict[str, str]:
        """Arm of Kata -> hypervisor that it names: by its section, or by its own name where it has none."""
        found = {}
        for runtime in runtimes:
            name, _, variant = runtime.partition(":")
            section = self.variants.get(variant, {HYPERVISOR: variant})
            if name == "kata" and variant and section.get(HYPERVISOR):
                found[runtime] = str(section[HYPERVISOR])
        return found

    def sources(self) -> Mapping[str, str]:
        if not self.archive or self.archive.startswith("https://"):
            return {"kata_url": self.archive}
        return {"kata_archive": str(Path(self.archive).expanduser().resolve())}

    def variables(self) -> Mapping[str, Any]:
        return {"kata_variants": {name: dict(keys) for name, keys in self.variants.items()}}
