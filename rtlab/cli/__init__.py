"""The commands. This package is the only place of rtlab that prints or exits."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit("not yet")
