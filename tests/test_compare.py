"""``rtlab compare``: the answer first, by statuses that CI can trust, and a comment that is only text to GitHub."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from rtlab import report, store
from rtlab.model import Estimate, Metric, Verdict
from rtlab.report.compare import ComparedCampaigns, _chosen_alike, _rank, code, markdown
from rtlab.stats import Change

DATA = Path(__file__).parent / "data"


def estimate(point: float, low: float | None, high: float | None) -> Estimate:
    return Estimate(point=point, low=low, high=high, confidence=0.95, method="", estimand="")


def change(experiment: str, verdict: Verdict, arm: str = "gvisor", ratio: float = 1.2) -> Change:
    return Change(
        experiment=experiment,
        metric="m",
        arm=arm,
        baseline="runc",
        first=estimate(1.8, 1.7, 1.9),
        second=estimate(2.16, 2.0, 2.3),
        change=estimate(ratio, 1.1, 1.3),
        absolute=None,
        verdict=verdict,
        p_value=None,
        p_adjusted=None,
        blocks_needed=None,
        exploratory=False,
        sentence="",
    )


def compared(*changes: Change, baseline: str = "runc", **more: object) -> ComparedCampaigns:
    found = ComparedCampaigns(
        first="before",
        second="after",
        baseline=baseline,
        margin=0.05,
        where="Measured on bare metal.",
        meaningless=False,
        differences=(),
        further=(),
        changes=changes,
        exploratory=(),
        metrics={
            ("boot", "m"): Metric(name="m", title="t", unit="s", better="lower"),
            ("memory", "m"): Metric(name="m", title="t", unit="B", better="lower"),
            ("io", "m"): Metric(name="m", title="t", unit="B/s", better="higher"),
        },
    )
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "status", "result"),
    [
        (
            (Verdict.SLOWER, Verdict.NO_DIFFERENCE, Verdict.INCONCLUSIVE),
            10,
            "Worse: 1 of 3 ratios to runc, beyond the margin of −4.8/+5 %: boot (gvisor). Undecided: io (gvisor).",
        ),
        (
            (Verdict.NO_DIFFERENCE, Verdict.FASTER, Verdict.NO_DIFFERENCE),
            0,
            "Not worse: none of 3 ratios to runc became worse beyond the margin of −4.8/+5 %. Better: memory (gvisor).",
        ),
        (
            (Verdict.NO_DIFFERENCE, Verdict.WITHHELD, Verdict.NO_DIFFERENCE),
            11,
            "Unclear: 1 of 3 ratios to runc cannot be decided at a margin of −4.8/+5 %: memory (gvisor). "
            "No other is known to be worse.",
        ),
        (
            (Verdict.INCONCLUSIVE,) * 3,
            11,
            "Unclear: 3 ratios to runc, and none can be decided at a margin of −4.8/+5 %.",
        ),
    ],
)
def test_the_result_is_one_line_and_agrees_with_the_status(
    verdicts: tuple[Verdict, ...], status: int, result: str
) -> None:
    found = compared(*(change(e, v) for e, v in zip(("boot", "memory", "io"), verdicts, strict=True)))
    assert found.status == status
    assert found.result == result


def test_a_single_ratio_is_no_ratios() -> None:
    assert compared(change("boot", Verdict.SLOWER)).result.startswith("Worse: 1 of 1 ratio to runc,")


def test_each_metric_has_its_own_word() -> None:
    found = compared(
        change("boot", Verdict.SLOWER), change("memory", Verdict.SLOWER), change("io", Verdict.FASTER, ratio=1.2)
    )
    assert [line.verdict for line in found.lines()] == ["slower", "higher", "higher in throughput"]
    assert found.lines()[0].before == "1.80 (1.70 to 1.90)" and found.lines()[0].change == "× 1.20 (1.10 to 1.30)"


HOSTILE = [
    "@octocat",
    "https://evil.example/x",
    "www.evil.example",
    "[text](https://evil.example)",
    "![](https://evil.example/p.png)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<!-- hidden",
    "</details>",
    "`code` @octocat",
    "``two`` `",
    "`",
    "a|b",
    "a\\|b @octocat",
    "\\",
    "owner/repo#12",
    "#12",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    ":smile:",
    "**bold** ~~gone~~ $x$",
    "```sh\nrm -rf /\n```",
    "\n\n    indented",
    "\n# heading",
    "a\n| b | c |",
    "\u202ereversed",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_a_campaign_is_a_code_span_and_nothing_else(text: str) -> None:
    """By another implementation of GitHub's Markdown; in a code span GitHub makes no link, mention or emoji."""
    found = compared(
        change("boot", Verdict.SLOWER, arm=text),
        change("io", Verdict.WITHHELD, arm=text),
        baseline=text,
        first=text,
        second=text,
        differences=(text,),
    )
    told = markdown(found)
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(told)

    inline = [child for token in tokens for child in token.children or ()]
    assert {t.type for t in tokens} <= {
        "paragraph_open", "paragraph_close", "inline", "html_block", "table_open", "table_close", "thead_open",
        "thead_close", "tbody_open", "tbody_close", "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
        "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
    }  # fmt: skip
    assert {t.type for t in inline} <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
    html = [t.content for t in tokens if t.type == "html_block"]
    assert "".join(html).split("\n")[0].startswith("<!-- rtlab compare -->")
    assert set(re.findall("<[^>]*>", "".join(html))) <= {
        "<!-- rtlab compare -->",
        "<details>",
        "<summary>",
        "</summary>",
        "</details>",
    }
    cells = [t for t in tokens if t.type == "td_open"]
    assert len(cells) == 2 * 6
    own = " ".join(t.content for t in inline if t.type == "text")
    for sign in ("@", "://", "www.", "#", "deadbeef", ":smile:", "alert", "$x$"):
        assert sign not in own


def test_a_code_span_shows_the_text() -> None:
    (paragraph,) = [t for t in MarkdownIt("commonmark").parse(code("a `b` ``c`` d")) if t.type == "inline"]
    assert [child.content for child in paragraph.children or ()] == ["a `b` ``c`` d"]


def test_what_decides_figures_is_told_first() -> None:
    lines = ["python: was 1, is now 2", "kernel: was 1, is now 2", "runtimes.kata.version: was 1, is now 2"]
    assert sorted(lines, key=_rank) == lines[::-1]
    assert _rank("images.x.size_bytes: was 1, is now 2") == _rank("psutil: was 1, is now 2") > _rank(lines[1])


def test_sizes_that_calibration_chose_are_the_same_workload_when_they_are_close() -> None:
    a = {"calibrated": "6272 MiB …", "size_mb": 6272, "seek_count": 1, "folder": "/"}
    assert _chosen_alike(a, {**a, "calibrated": "other", "size_mb": 6656, "seek_count": 2})
    assert not _chosen_alike(a, {**a, "size_mb": 100})
    assert not _chosen_alike(a, {**a, "calibrated": "", "size_mb": 6656})
    assert not _chosen_alike(a, {**a, "folder": "/tmp"})


def rtlab(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtlab", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_campaign_compared_with_itself_says_the_answer_before_anything_else(tmp_path: Path) -> None:
    kept = str(DATA / "emulated-kata-1.12.1")
    done = rtlab("compare", kept, kept, cwd=tmp_path)
    built = report.build(store.Campaign(DATA / "emulated-kata-1.12.1"))

    lines = done.stdout.splitlines()
    assert re.match("(Not worse|Unclear): ", lines[0]) and "emulated" in lines[1]
    assert "same runtimes, engine, kernel and processor" in done.stdout
    for comparison in built.primaries():
        assert comparison.ratio and f"{comparison.ratio.point:.2f}" in done.stdout
    document = json.loads(rtlab("compare", kept, kept, "--json", cwd=tmp_path).stdout)
    assert document["result"] == lines[0] and document["status"] == done.returncode
    assert [c["change"]["point"] for c in document["changes"]] == [1.0] * len(document["changes"])
    comment = rtlab("compare", kept, kept, "--markdown", cwd=tmp_path)
    assert comment.returncode == done.returncode and comment.stdout.startswith("<!-- rtlab compare -->\n**")
    assert rtlab("compare", kept, kept, "--markdown", "--json", cwd=tmp_path).returncode == 2


def test_campaigns_that_do_not_match_are_refused_with_status_12(tmp_path: Path) -> None:
    done = rtlab(
        "compare", str(DATA / "emulated-kata-1.12.1"), str(DATA / "emulated-debian-12"), "--markdown", cwd=tmp_path
    )
    assert done.returncode == 12 and "do not match" in done.stderr
    assert done.stdout == ""
