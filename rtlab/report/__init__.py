"""``rtlab report``: from a campaign's raw files alone to its tables, estimates, plots and page.

Everything below ``derived/`` and ``report/`` may be deleted; building it again gives the same bytes. A campaign folder
is data from strangers: what cannot be read makes a trial unusable, and its reason is shown.
"""

from rtlab.report.build import build
from rtlab.report.files import as_csv, as_json, drawings, estimates, observations_csv, write
from rtlab.report.markdown_document import document as markdown
from rtlab.report.model import MEANING, Attempt, Report

__all__ = [
    "MEANING",
    "Attempt",
    "Report",
    "as_csv",
    "as_json",
    "build",
    "drawings",
    "estimates",
    "markdown",
    "observations_csv",
    "write",
]
