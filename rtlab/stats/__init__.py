"""From observations to summaries, comparisons and verdicts, exactly as docs/method.md says. Pure: no I/O.

``analyse`` is the entry for a report; the modules beside it hold one method each and can be used alone.
"""

from rtlab.model import Until
from rtlab.stats.adaptive import blocks_for, half_width, stop_reason
from rtlab.stats.analysis import Analysis, analyse
from rtlab.stats.change import Change, compare_campaigns
from rtlab.stats.describe import Outlier
from rtlab.stats.drift import Drift
from rtlab.stats.hosts import Host, Hosts
from rtlab.stats.noise import Noise

__all__ = [
    "Analysis",
    "Change",
    "Drift",
    "Host",
    "Hosts",
    "Noise",
    "Outlier",
    "Until",
    "analyse",
    "blocks_for",
    "compare_campaigns",
    "half_width",
    "stop_reason",
]
