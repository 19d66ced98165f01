"""All observations as Parquet (pyarrow): the columns of derived/observations.csv, with types and real nulls."""

from __future__ import annotations

import io
import sys
from typing import Any

from rtlab.errors import HostUnfit
from rtlab.report.model import Report
from rtlab.text import clean


def export(report: Report, runtime: str) -> bytes:
    """Every observation, one row each; no value is null and its note says why.

    Raises:
        HostUnfit: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise HostUnfit(
            "Parquet needs pyarrow, which is not installed.", remedy=f"{sys.executable} -m pip install pyarrow"
        ) from error
    columns: dict[str, tuple[Any, list[Any]]] = {
        "level": (pyarrow.string(), [report.testbed.level.value for _ in report.observations]),
        "trial": (pyarrow.int64(), [o.trial.number for o in report.observations]),
        "block": (pyarrow.int64(), [o.trial.block for o in report.observations]),
        "kind": (pyarrow.string(), [o.trial.kind for o in report.observations]),
        "experiment": (pyarrow.string(), [clean(o.trial.experiment) for o in report.observations]),
        "arm": (pyarrow.string(), [clean(o.trial.arm) for o in report.observations]),
        "runtime": (pyarrow.string(), [clean(o.trial.runtime) for o in report.observations]),
        "machine": (pyarrow.string(), [clean(o.trial.machine) for o in report.observations]),
        "boot": (pyarrow.int64(), [o.trial.boot for o in report.observations]),
        "metric": (pyarrow.string(), [clean(o.metric) for o in report.observations]),
        "index": (pyarrow.int64(), [o.index for o in report.observations]),
        "value": (pyarrow.float64(), [o.value for o in report.observations]),
        "unit": (pyarrow.string(), [clean(o.unit) for o in report.observations]),
        "note": (pyarrow.string(), [clean(o.note) for o in report.observations]),
    }
    schema = pyarrow.schema(
        [(name, kind) for name, (kind, _) in columns.items()],
        metadata={"campaign": clean(report.name), "level": report.testbed.level.value, "meaning": report.meaning},
    )
    table = pyarrow.table({name: cells for name, (_, cells) in columns.items()}, schema=schema)
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()
