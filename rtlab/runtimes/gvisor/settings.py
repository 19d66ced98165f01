"""What can be set of gVisor."""

from __future__ import annotations

from dataclasses import dataclass

from rtlab.config.setting import SHA512, setting
from rtlab.model import RuntimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GvisorSettings(RuntimeSettings):
    sha512: str = setting("", "SHA-512 of the profile's gVisor release, where the profile pins none.", form=SHA512)
