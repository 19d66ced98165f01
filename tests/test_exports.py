"""Exports, each read by its real consumer where it is a package (pyperf, pyarrow, LaTeX), else held to its format.

Values are checked against the kept campaign's raw files, read here by hand.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import report, store
from rtlab.errors import UsageError
from rtlab.publish import exports
from rtlab.report import latex
from rtlab.report.model import Report

KEPT = Path(__file__).parent / "data" / "emulated-debian-12"


@pytest.fixture(scope="module")
def built() -> Report:
    return report.build(store.find(KEPT.parent, KEPT.name))


def starts(runtime: str) -> list[float]:
    """Warm starts in seconds, from probe.json: the first of a boot is cold."""
    found = []
    for folder in sorted(KEPT.glob(f"trials/*-boot-{runtime}-*"), key=lambda p: int(p.name.split(".")[0])):
        measured = json.loads((folder / "probe.json").read_text())["measured"]["socket"]
        found += [start["first_page_ns"] / 1e9 for start in measured[1:]]
    return found


def without(built: Report, experiment: str, runtime: str) -> Report:
    """The same campaign with every trial of that experiment and runtime failed."""
    attempts = tuple(
        replace(a, outcome="failed") if (a.trial.experiment, a.trial.runtime) == (experiment, runtime) else a
        for a in built.attempts
    )
    observations = tuple(
        o for o in built.observations if (o.trial.experiment, o.trial.runtime) != (experiment, runtime)
    )
    return replace(built, attempts=attempts, observations=observations)


def test_hyperfine_has_the_times_in_seconds_and_what_its_scripts_read(built: Report) -> None:
    results = json.loads(exports.export(built, "hyperfine"))["results"]
    assert [r["parameters"]["runtime"] for r in results] == ["runc", "gvisor"]
    for result, runtime in zip(results, ("runc", "gvisor"), strict=True):
        assert result["times"] == pytest.approx(starts(runtime))
        assert result["mean"] == pytest.approx(statistics.mean(starts(runtime)))
        assert result["stddev"] == pytest.approx(statistics.stdev(starts(runtime)))
        assert result["exit_codes"] == [0] * len(result["times"])
        # scripts/*.py of hyperfine, all of which but plot_parametrized.py were run on such a file (docs/exports.md).
        assert {"command", "mean", "stddev", "median", "min", "max", "times"} <= result.keys()
        assert "means nothing" in result["command"]


def test_values_of_a_block_that_was_repeated_are_not_exported() -> None:
    """Of that campaign's four blocks one was repeated: three values of runC, two of Kata, as its report says."""
    built = report.build(store.find(KEPT.parent, "emulated-kata-1.12.1"))
    results = json.loads(exports.export(built, "hyperfine"))["results"]
    assert {r["parameters"]["runtime"]: len(r["times"]) for r in results} == {"runc": 3, "kata": 2}
    for result in results:
        summary = built.analysis.summary("boot", "first_page_s", result["parameters"]["runtime"])
        assert summary is not None and summary.median is not None
        assert (summary.n, summary.median.point) == (len(result["times"]), pytest.approx(result["median"]))


def test_a_runtime_that_never_started_is_left_out_and_never_zero(built: Report) -> None:
    (result,) = json.loads(exports.export(without(built, "boot", "gvisor"), "hyperfine"))["results"]
    assert result["parameters"]["runtime"] == "runc"
    assert 0 not in result["times"]
    nothing = without(without(built, "boot", "gvisor"), "boot", "runc")
    with pytest.raises(UsageError, match="no start times"):
        exports.export(nothing, "hyperfine")


def test_pyperf_opens_and_compares_the_files(built: Report, tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf")
    for runtime in ("runc", "gvisor"):
        (tmp_path / f"{runtime}.json").write_bytes(exports.export(built, "pyperf", runtime))
    suite = pyperf.BenchmarkSuite.load(str(tmp_path / "runc.json"))
    first = next(b for b in suite.get_benchmarks() if "first page, warm" in b.get_name())
    assert first.get_unit() == "second"
    assert sorted(first.get_values()) == pytest.approx(sorted(starts("runc")))
    done = subprocess.run(
        [sys.executable, "-m", "pyperf", "compare_to", "runc.json", "gvisor.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "slower" in done.stdout


@pytest.mark.parametrize(("name", "better"), [("smaller", "lower"), ("bigger", "higher")])
def test_github_entries_are_of_one_direction_and_hold_what_the_action_reads(
    built: Report, name: str, better: str
) -> None:
    entries = json.loads(exports.export(built, f"github-{name}-is-better"))
    wanted = {
        f"{built.titles[s.arm]}: {s.experiment}: {m.title} (emulated: means nothing)"
        for s in built.analysis.summaries
        for m in built.experiments[s.experiment].metrics
        if m.name == s.metric and m.better == better and s.median is not None
    }
    assert {e["name"] for e in entries} == wanted
    for entry in entries:
        # src/extract.ts of github-action-benchmark: name and unit are text, value a number, range and extra text.
        assert isinstance(entry["value"], int | float)
        assert all(isinstance(entry[key], str) for key in ("name", "unit", "extra"))
        assert set(entry) <= {"name", "unit", "value", "range", "extra"}


def test_bencher_metrics_have_a_value_and_bounds_or_none(built: Report) -> None:
    found: dict[str, Any] = json.loads(exports.export(built, "bencher"))
    assert "runC/boot (emulated: means nothing)" in found
    for measures in found.values():
        for slug, metric in measures.items():
            assert re.fullmatch(r"[a-z0-9-]{1,64}", slug)
            assert {"value"} <= set(metric) <= {"value", "lower_value", "upper_value"}
            assert ("lower_value" in metric) == ("upper_value" in metric)
    boot = found["runC/boot (emulated: means nothing)"]["first-page-s"]["value"]
    blocks = [statistics.median(starts("runc")[i : i + 1]) for i in range(2)]
    assert boot == pytest.approx(statistics.median(blocks))


def test_parquet_has_every_observation_with_types_and_nulls(built: Report) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(exports.export(built, "parquet")))
    assert table.num_rows == len(built.observations)
    missing = [o for o in built.observations if o.value is None]
    assert missing and table.column("value").null_count == len(missing)
    assert table.column("value").to_pylist() == [o.value for o in built.observations]
    assert table.schema.metadata[b"level"] == b"emulated"


def test_latex_holds_the_answer_and_five_tables_and_says_that_they_mean_nothing(built: Report, tmp_path: Path) -> None:
    source = exports.export(built, "latex").decode()
    assert source.count(r"\begin{table}") == source.count(r"\end{table}") == 6  # the answer, then I-V
    assert source.count("No figure of it means anything.") == 6
    for body in re.findall(r"\\begin{tabular}{(l+r+)}(.*?)\\end{tabular}", source, re.DOTALL):
        rows = [line for line in body[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(body[0])}
    program = shutil.which("pdflatex")
    if program is None:
        return
    (tmp_path / "tables.tex").write_text(source)
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\usepackage{booktabs}"
    (tmp_path / "paper.tex").write_text(head + r"\begin{document}\input{tables}\end{document}")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-1500:]


def test_hostile_names_are_text_in_latex() -> None:
    assert latex.text(r"\input{/etc/passwd} & 100% $x_1^2$ #~") == (
        r"\textbackslash{}input\{/etc/passwd\} \& 100\% \$x\_1\textasciicircum{}2\$ \#\textasciitilde{}"
    )
    assert "\x1b" not in latex.text("\x1b[31mred") and "\u202e" not in latex.text("\u202ered")


def test_every_format_is_a_module_and_unknown_ones_are_refused(built: Report) -> None:
    for name, form in exports.FORMATS.items():
        assert exports.export(built, name, "runc" if form.per_runtime else "")
    with pytest.raises(UsageError, match="no format"):
        exports.export(built, "xml")
    with pytest.raises(UsageError, match="no runtime"):
        exports.export(built, "pyperf", "kata")
    with pytest.raises(UsageError, match="all runtimes"):
        exports.export(built, "bencher", "runc")


def test_plots_as_pdf_are_the_same_bytes_each_time_and_embed_their_fonts(built: Report, tmp_path: Path) -> None:
    written = [p for p in report.write(built, tmp_path, pdf=True) if p.suffix == ".pdf"]
    assert {p.stem for p in written} == set(report.drawings(built))
    first = {p.name: p.read_bytes() for p in written}
    assert {p.name: p.read_bytes() for p in report.write(built, tmp_path, pdf=True) if p.suffix == ".pdf"} == first
    for content in first.values():
        assert content.startswith(b"%PDF-1.")
        assert b"/FontFile2" in content and b"/Type3" not in content
        assert b"CreationDate" not in content
