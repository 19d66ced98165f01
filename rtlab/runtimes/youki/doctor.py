"""What doctor says of youki."""

from __future__ import annotations

from rtlab.host.checks.contract import Check, Look
from rtlab.host.checks.runtimes import told

# Only rtlab's own build of it is taken.
PROGRAMS: tuple[str, ...] = ()


def check(look: Look) -> Check:
    lacks = look.facts.lacks_rust if look.modules else "only built from its crate, with the others"
    remedy = "Rust of rustup.rs; on Debian 12: " + look.install("rustc-web", "cargo-web")
    why = "a runtime under comparison"
    return told("youki", "warning" if lacks else "ok", lacks or "today's", remedy, why)
