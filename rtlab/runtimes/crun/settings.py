"""What can be set of crun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtlab.config.setting import HTTPS, SHA256, setting
from rtlab.model import RuntimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CrunSettings(RuntimeSettings):
    url: str = setting("", "URL of a static crun, where the profile's distribution has none.", form=HTTPS)
    sha256: str = setting("", "SHA-256 of what crun_url serves.", form=SHA256)

    def sources(self) -> Mapping[str, str]:
        return {"crun_url": self.url}
