"""The long description of the package: README.md with links that work where no file stands beside it (PyPI).

A relative link becomes one into the repository at the version's tag; pyproject.toml names the repository. While it is
empty there, because the project has no public home yet, the link's text stays and the link goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!https?:|mailto:|#)(?P<target>[^)\s]+)\)")


class LongDescription(MetadataHookInterface):
    """hatchling calls ``update`` when it builds."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        repository = str(self.config.get("repository", "")).rstrip("/")
        version = re.findall(r'__version__ = "([^"]+)"', (root / "rtlab" / "__init__.py").read_text())[0]
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, repository, f"v{version}")}
        if repository:
            metadata["urls"] = {
                "Source": repository,
                "Documentation": f"{repository}/tree/v{version}/docs",
                "Issues": f"{repository}/issues",
            }


def absolute(text: str, repository: str, tag: str) -> str:
    """Markdown without a relative link."""
    return RELATIVE.sub(_link(repository, tag), text)


def _link(repository: str, tag: str) -> Callable[[re.Match[str]], str]:
    def replaced(found: re.Match[str]) -> str:
        image, text, target = found["image"], found["text"], found["target"]
        if not repository:
            return "" if image else text
        return f"{image}[{text}]({repository}/{'raw' if image else 'blob'}/{tag}/{target})"

    return replaced
