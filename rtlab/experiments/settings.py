"""Settings that several experiments share. An experiment's own class of settings inherits what it needs."""

from __future__ import annotations

from dataclasses import dataclass

from rtlab.config.setting import setting

PAGE_SHA256 = "f2dcc96deec8bca2facba9ad0db55c89f3c4937cd6d2d28e5c4869216ffa81cf"


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page that the httpd image serves."""

    page_sha256: str = setting(
        PAGE_SHA256, "SHA-256 of the page that the httpd image serves: a start is ready when this page came whole"
    )
    page_port: int = setting(80, "the port of its server", low=1, high=65535)


@dataclass(frozen=True, kw_only=True)
class Window(Page):
    """Over what the machine's counters are read."""

    window_s: float = setting(
        30.0, "default design: counters are the change over this long from the container's start", low=1, high=3600
    )
    uptime_s: float = setting(
        0.0,
        "paper's design: counters since boot, read once at this uptime; 0 means a window",
        paper=380.0,
        low=0,
        high=86400,
    )


@dataclass(frozen=True, kw_only=True)
class Limited:
    """What each container of a trial may use, the same in every arm."""

    limit_cpus: float = setting(0.0, "CPUs of each container; 0: no limit", low=0, high=1024)
    limit_memory_mb: int = setting(0, "memory of each container, MiB; 0: no limit", low=0, high=1 << 20)
