"""The report is made from the raw files alone: everything counted, nothing invented, nothing executed."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import statistics
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markupsafe import escape

from rtlab import cli, report, store
from rtlab.campaign import plan
from rtlab.errors import StoreError, Unsafe
from rtlab.model import CampaignSpec, Level, Outcome, Record, Testbed, Trial
from rtlab.report import causes, figures
from rtlab.stats.describe import summarise
from rtlab.stats.series import Series, Value
from tests.conftest import make_record, make_spec, make_testbed, make_trial

SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = "<script>alert('x')</script>\x1b]8;;http://evil\x07\u202e$\\frac{1}$ |=cmd()"
IO_PARAMETERS = {"size_mb": 2048, "ram_mb": 1024, "skip_per_character": True, "folder": "/tmp"}
PARAMETERS = {"boot": {"starts": 3, "cli_starts": 0, "null_starts": 1}, "io": IO_PARAMETERS}


def boot_files(seconds: float) -> dict[str, bytes]:
    """What the probe stores for a boot trial whose warm starts take ``seconds``; the cold one takes twice that."""
    start = {f"{p}_ns": int(seconds * 1e9) for p in ("first_page", "created", "started", "stop", "remove", "returned")}
    cold = {**start, "first_page_ns": int(2 * seconds * 1e9)}
    measured = {"socket": [cold, start, start], "cli": [], "null": [{"calls_ns": 1000}]}
    return {"stdout": b"", "stderr": b"", "probe.json": json.dumps({"measured": measured}).encode()}


def io_files(kib_per_s: str) -> dict[str, bytes]:
    """Bonnie++'s own line (format 1.97, 48 fields, man bon_csv2html) with one rate of block output."""
    fields = ["1.97", "1.97", "rtlab", "1", "1", "2G", ""] + [""] * 41
    fields[9:11] = [kib_per_s, "89"]
    fields[15:17] = ["4512265", "99"]
    fields[17:19] = ["14779", "5"]
    return {"stdout": (",".join(fields) + "\n").encode(), "stderr": b"", "probe.json": b"{}"}


def a_plan(spec: CampaignSpec) -> list[Trial]:
    trials: list[Trial] = []
    for block in range(1, spec.runs + 1):
        for arm in spec.runtimes:
            for experiment in spec.experiments:
                number = len(trials) + 1
                trials.append(
                    Trial(
                        number=number,
                        block=block,
                        kind="ab",
                        arm=arm,
                        experiment=experiment,
                        runtime=arm,
                        machine="node1",
                        boot=1,
                    )
                )
    return trials


def make_campaign(folder: Path, bed: Testbed | None = None, **changes: Any) -> store.Campaign:
    spec = make_spec(**{"runs": 3, "experiments": ("boot", "io"), "parameters": PARAMETERS, **changes})
    return store.create(folder, spec, bed or make_testbed(), a_plan(spec), durable=False)


def fill(campaign: store.Campaign, bad: dict[tuple[str, str], Outcome] | None = None, io_rate: str = "1000") -> None:
    """Every planned trial: runC boots in 0.5 s, any other arm in 1 s, give or take 1 % per block."""
    for trial in campaign.plan:
        outcome = (bad or {}).get((trial.experiment, trial.arm), Outcome.OK)
        seconds = (0.5 if trial.arm == "runc" else 1.0) * (1 + 0.01 * trial.block)
        files = boot_files(seconds) if trial.experiment == "boot" else io_files(io_rate)
        reason = "" if outcome is Outcome.OK else "the container did not start"
        campaign.write_trial(make_record(trial, outcome=outcome, reason=reason), files)


def cells(built: report.Report, number: str, runtime: str) -> dict[str, tuple[Any, ...]]:
    table = next(t for t in built.tables if t.number == number)
    return dict(found for row in table.rows if row.runtime == runtime for found in row.statistics())


def test_table_i_shows_the_means_beside_the_papers(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)

    built = report.build(campaign)

    runc = cells(built, "I", "runC")
    # 0.505, 0.510, 0.515: mean 0.51, SD 0.005; the paper's Table I says 0.633 and 3.707.
    assert runc["mean"][0] == pytest.approx(0.51)
    assert runc["SD"][0] == pytest.approx(0.005)
    assert runc["n ok"] == ("3",)
    assert runc["the paper's"] == (0.633,)
    assert cells(built, "I", "Kata") == {"the paper's": (3.707,)}
    (comparison,) = [c for c in built.primaries() if c.experiment == "boot"]
    assert comparison.ratio is not None
    assert comparison.ratio.point == pytest.approx(2.0)
    assert comparison.blocks == (1, 2, 3)


def test_every_file_is_rebuilt_byte_for_byte_without_the_derived_folders(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)
    first = {p: p.read_bytes() for p in report.write(report.build(campaign), campaign.folder)}
    for path in first:
        path.unlink()

    again = report.write(report.build(store.Campaign(campaign.folder)), campaign.folder)

    names = {str(p.relative_to(campaign.folder)) for p in first}
    assert {p: p.read_bytes() for p in again} == first
    assert {"report/index.html", "report/tables.md", "derived/observations.csv", "report/plots/ratios.svg"} <= names


def test_an_arm_that_failed_entirely_is_counted_and_not_zero(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign, {("boot", "gvisor"): Outcome.FAILED})

    built = report.build(campaign)

    gvisor = cells(built, "I", "gVisor")
    assert gvisor["mean"] == ("failed",)
    assert (gvisor["median"], gvisor["n ok"], gvisor["n failed"]) == ((None,), ("0",), ("3",))
    page = "".join(p.read_text() for p in report.write(built, campaign.folder) if p.name == "index.html")
    assert page.count("the container did not start") == 3


def test_a_trial_whose_output_is_torn_is_unusable_with_its_reason(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    for trial in campaign.plan:
        files = boot_files(0.5) if trial.experiment == "boot" else io_files("1000")
        if trial.number == 1:
            files["probe.json"] = files["probe.json"][:40]
        campaign.write_trial(make_record(trial), files)

    built = report.build(campaign)

    assert (built.attempts[0].outcome, built.attempts[1].outcome) == ("invalid", "ok")
    assert "not readable" in built.attempts[0].reason
    assert cells(built, "I", "runC")["n failed"] == ("1",)
    assert cells(built, "I", "runC")["n ok"] == ("2",)


def test_too_fast_to_tell_is_shown_as_that_and_never_as_zero(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign, io_rate="+++++")

    built = report.build(campaign)

    runc = cells(built, "II", "runC")
    assert runc["mean"][0] == "too fast to tell"
    assert runc["n too fast to tell"][0] == "3"
    lines = list(csv.DictReader(io.StringIO(report.observations_csv(built))))
    censored = [line for line in lines if line["note"] == "too fast to tell"]
    assert censored and all(line["value"] == "" for line in censored)


def test_what_was_not_measured_is_not_taken_and_never_zero(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, experiments=("boot",))
    fill(campaign)

    built = report.build(campaign)

    assert cells(built, "III", "runC") == {}
    assert next(t for t in built.tables if t.number == "III").notes == (
        "This experiment was not part of the campaign.",
    )


def test_one_block_and_no_block_give_a_report_without_intervals(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, runs=1)
    nothing = report.build(campaign)
    assert {a.outcome for a in nothing.attempts} == {"not run"}
    assert any(c.kind == "unfinished" for c in nothing.caveats)
    report.write(nothing, campaign.folder)

    fill(campaign)
    built = report.build(campaign)

    assert cells(built, "I", "runC")["SD"] == (None,)
    assert "no verdict" in next(c.sentence for c in built.primaries() if c.experiment == "boot")
    report.write(built, campaign.folder)


@pytest.mark.parametrize("level", list(Level))
def test_where_it_ran_stands_first_in_every_format(tmp_path: Path, level: Level) -> None:
    bed = make_testbed()
    bed = replace(bed, machines=(replace(bed.machines[0], level=level),))
    campaign = make_campaign(tmp_path, bed, runs=1)
    fill(campaign)

    built = report.build(campaign)
    files = {p.name: p.read_text() for p in report.write(built, campaign.folder)}

    head = files["index.html"]
    assert str(escape(built.meaning)) in head
    assert (
        head.index(built.where)
        < head.index('class="answer')
        < head.index("What weakens the answer")
        < head.index("Table I")
    )
    first = files["tables.md"].partition("## ")[0]
    assert f"measured on {built.where}" in first
    assert json.loads(files["tables.json"])["level"] == level.value
    meaningless = level in (Level.EMULATED, Level.SIMULATED)
    for shown in (first, files["index.html"].split("</header>")[0], files["tables.tex"]):
        assert ("no figure means anything" in shown) == meaningless
    assert json.loads(files["tables.json"])["answer"]["meaningless"] == meaningless
    assert {line["measured_on"] for line in csv.DictReader(io.StringIO(files["tables.csv"]))} == {level.value}
    assert {line["level"] for line in csv.DictReader(io.StringIO(files["observations.csv"]))} == {level.value}
    estimates = json.loads(files["estimates.json"])
    assert (estimates["level"], estimates["meaning"]) == (level.value, built.meaning)
    assert ("no figure from it means anything" in estimates["meaning"]) == meaningless
    plots = {name: text for name, text in files.items() if name.endswith(".svg")}
    assert {"ratios.svg", "boot-ecdf.svg", "boot-first_page_s.svg"} <= set(plots)
    for name, text in plots.items():
        drawn = " ".join(e.text or "" for e in ElementTree.fromstring(text).iter(f"{SVG}text"))
        assert f"Measured on {built.where}" in drawn, name
        assert ("no figure from it means anything" in drawn) == meaningless, name


def test_the_page_has_landmarks_headings_in_order_and_a_table_after_every_plot(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)

    built = report.build(campaign)
    page = next(p for p in report.write(built, campaign.folder) if p.name == "index.html").read_text()

    seen = Tags()
    seen.feed(page)
    assert '<html lang="en">' in page
    assert [seen.tags.count(tag) for tag in ("header", "main", "footer", "nav", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert "prefers-color-scheme: dark" in page
    parts = re.split("<figure", page)[1:]
    assert len(parts) == len(report.drawings(built)) == 4  # ratios, start times, boot and io by order
    for part in parts:
        svg, rest = part.split("</figure>")
        assert 'role="img"' in svg and "<title" in svg and "<desc" in svg
        assert "<table" in rest.split("<h3")[0]
    named = re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page)
    assert named and all(f'id="{name}"' in page for name in named)


def test_the_page_lists_what_others_published_with_its_source_and_method(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)

    page = next(p for p in report.write(report.build(campaign), campaign.folder) if p.name == "index.html").read_text()

    text = re.sub(r"\s*<[^>]+>\s*", "|", page).replace("\u00a0", " ")
    # field.md §5: idlab's means of 100 starts, gVisor systrap 571.7 ms, runc 195.7 ms.
    what = "boot: start by containerd, with CNI, until the container calls back"
    assert f"|{what}||gVisor||systrap||0.5717 s||0.1957 s||2.92||100||2024||idlab-discover" in text
    assert text.index("|Published elsewhere, other measures (") < text.index(f"|{what}|")
    assert "100 starts one after the other" in text
    assert "Kata" not in text.split("|Published values|")[-1].split("|All metrics")[0]  # no Kata in this campaign


def test_start_times_are_all_in_the_distribution_cold_ones_apart(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)

    figure = next(f for f in figures.figures(report.build(campaign)) if f.name == "boot-ecdf")

    # Three blocks of three starts: two warm ones of 0.505, 0.51, 0.515 s, a cold one of twice that.
    assert figure.rows[0] == ("runC", "later ones", "6", "0.5050", "0.5063", "0.5100", "0.5137", "0.5150")
    assert [row[:3] for row in figure.rows[1:]] == [
        ("runC", "first of its trial", "3"),
        ("gVisor", "later ones", "6"),
        ("gVisor", "first of its trial", "3"),
    ]


@pytest.mark.parametrize("reboot", ["never", "block", "trial"])
def test_a_first_start_is_called_the_first_of_its_trial_however_the_campaign_rebooted(
    tmp_path: Path, reboot: str
) -> None:
    campaign = make_campaign(tmp_path, reboot=reboot)
    fill(campaign)

    built = report.build(campaign)
    files = {p.name: p.read_text() for p in report.write(built, campaign.folder)}

    figure = next(f for f in figures.figures(built) if f.name == "boot-ecdf")
    assert {row[1] for row in figure.rows} == {"later ones", "first of its trial"}
    drawn = {e.text for e in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")}
    assert "dashed: first of its trial" in drawn
    assert not [name for name, text in files.items() if "after a boot" in text]


def test_a_long_list_of_trials_is_a_sample_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = make_campaign(tmp_path)
    fill(campaign)
    built = report.build(campaign)
    marks = report.drawings(built)["boot-first_page_s"].count("<use ")
    monkeypatch.setattr("rtlab.report.page.MOST_TRIALS", 5)
    monkeypatch.setattr(figures, "MOST_DOTS", 4)

    files = {p.name: p.read_text() for p in report.write(built, campaign.folder)}

    assert files["index.html"].count('/record.json">') == 5
    assert "5 of 12 attempts, evenly by order: a sample" in files["index.html"]
    assert "4 of 12 are drawn" in files["index.html"]
    assert files["boot-first_page_s.svg"].count("<use ") == marks - 8
    assert len(files["observations.csv"].splitlines()) == 1 + len(built.observations)  # all of them


def test_no_text_of_a_stranger_swells_the_page(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, runs=1, images={"x" * 100_000: "y" * 100_000})
    for trial in campaign.plan:
        campaign.write_trial(make_record(trial, outcome=Outcome.FAILED, reason="z" * 900_000), {})
    campaign.write_facts("node1", {"note" * 100_000: "w" * 1_000_000})
    campaign.write_facts("node2", {"other": ["v" * 1_000_000, list(range(300_000))]})

    built = report.build(campaign)
    files = {p.name: p.stat().st_size for p in report.write(built, campaign.folder)}

    assert files["index.html"] < 400_000
    assert sum(files.values()) < 1_000_000
    assert sum(len(a.reason) + len(a.record.reason) for a in built.attempts if a.record) < 10_000


class Tags(HTMLParser):
    """The elements, ids and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_text_of_a_stranger_stays_text_in_every_format(tmp_path: Path) -> None:
    bed = make_testbed()
    bed = replace(bed, profile=HOSTILE, machines=(replace(bed.machines[0], name="node1"),), details={"x": HOSTILE})
    campaign = make_campaign(tmp_path, bed, runtimes=("runc", HOSTILE), runs=2, images={HOSTILE: HOSTILE})
    for trial in campaign.plan:
        if trial.arm == "runc":
            failed = make_record(trial, outcome=Outcome.FAILED, reason=HOSTILE)
            campaign.write_trial(failed if trial.block == 1 else make_record(trial), boot_files(0.5))
    campaign.write_facts("node1", {"kernel": HOSTILE, "cpu": HOSTILE, "runtimes": {"runc": {"version": HOSTILE}}})

    built = report.build(campaign)
    files = {p.name: p.read_text() for p in report.write(built, campaign.folder)}

    seen = Tags()
    seen.feed(files["index.html"])
    assert not {"script", "iframe", "object", "img", "base", "form"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "default-src 'none'" in files["index.html"]
    assert "alert(&#39;x&#39;)" in files["index.html"]
    for name, text in files.items():
        assert "\x1b" not in text and "\u202e" not in text, name
    assert "<script" not in files["tables.md"]
    for file in ("tables.csv", "observations.csv"):
        assert not re.search(r"(^|,)[=+@-][A-Za-z]", files[file])


def test_links_to_raw_files_lead_to_them(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, runs=1)
    fill(campaign)

    files = report.write(report.build(campaign), campaign.folder)

    page = next(p for p in files if p.name == "index.html")
    seen = Tags()
    seen.feed(page.read_text())
    links = [value for name, value in seen.attributes if name == "href" and value and value.startswith("..")]
    assert len([link for link in links if link.startswith("../trials/")]) == 4  # one per trial: its record
    assert all((page.parent / link).is_file() for link in links)


def test_an_unknown_experiment_is_listed_and_not_analysed(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, experiments=("boot", "teleport"), runs=1)
    fill(campaign)

    built = report.build(campaign)

    assert [c.kind for c in built.caveats][:1] == ["unknown experiment"]
    assert {a.outcome for a in built.attempts if a.trial.experiment == "teleport"} == {"invalid"}
    report.write(built, campaign.folder)


def test_the_command_prints_every_format_and_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = make_campaign(tmp_path / "campaigns")
    fill(campaign)
    monkeypatch.chdir(tmp_path)
    shown = {}

    for form in ("terminal", "markdown", "csv", "json"):
        assert cli.run(["report", "--format", form]) == 0
        shown[form] = capsys.readouterr().out

    assert (campaign.folder / "report" / "index.html").is_file()
    assert shown["markdown"] == (campaign.folder / "report" / "tables.md").read_text()
    assert shown["csv"] == (campaign.folder / "report" / "tables.csv").read_text()
    assert json.loads(shown["json"])["tables"][0]["number"] == "I"
    assert json.loads(shown["json"])["schema"] == {"name": "report", "version": 2}
    lines = shown["terminal"].splitlines()
    assert lines[:2] == ["gVisor against runC", "! Simulated values: no figure means anything."]
    assert len(lines) < 40
    assert all(len(line) <= 80 for line in shown["terminal"].partition("What weakens the answer")[0].splitlines())
    assert cli.run(["report", "--brief"]) == 0
    brief = capsys.readouterr()
    assert shown["terminal"].startswith(brief.out.rstrip())
    assert brief.err == "" and "What weakens the answer" not in brief.out


def test_the_command_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.run(["report"]) == 1
    assert "rtlab bench" in capsys.readouterr().err
    assert cli.run(["report", "--format", "word"]) == 2
    assert "markdown" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["derived", "report"])
def test_a_link_in_a_strangers_folder_leads_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    campaign = make_campaign(tmp_path / "c", runs=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (campaign.folder / name).symlink_to(elsewhere)

    with pytest.raises(Unsafe, match="is a link"):
        report.write(report.build(campaign), campaign.folder)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"runtimes": ()}, "no runtime"), ({"baseline": "kata"}, "baseline"), ({"margin": -1.0}, "margin")],
)
def test_a_spec_that_bench_never_writes_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    campaign = make_campaign(tmp_path, **changes)

    with pytest.raises(StoreError, match=problem):
        report.build(campaign)


def test_a_header_without_its_usual_keys_and_deep_facts_still_give_a_page(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, runs=1)
    header = json.loads((campaign.folder / "campaign.json").read_text())
    for key in ("created_at", "rtlab", "digest"):
        del header[key]
    (campaign.folder / "campaign.json").write_text(json.dumps(header))
    (campaign.folder / "facts" / "node1").mkdir()
    (campaign.folder / "facts" / "node1" / "1.json").write_text("[" * 30 + "]" * 30)

    files = report.write(report.build(store.Campaign(campaign.folder)), campaign.folder)

    assert any(p.name == "index.html" for p in files)


def test_what_an_interrupted_block_lacked_is_not_missing_once_its_repeat_ran(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, experiments=("boot",), runs=2)
    first = campaign.plan
    for trial in first[1:]:
        campaign.write_trial(make_record(trial), boot_files(0.5))
    assert [c.kind for c in report.build(campaign).caveats][:1] == ["unfinished"]

    again = plan.repeat_block(first, 1)
    campaign.append_to_plan(again)
    for trial in again:
        campaign.write_trial(make_record(trial), boot_files(0.5))

    built = report.build(campaign)
    assert "unfinished" not in {c.kind for c in built.caveats}
    assert "repeated" in {c.kind for c in built.caveats}
    assert [a.trial.number for a in built.attempts if a.outcome == "not run"] == [1]
    assert built.primaries()[0].blocks == (2, 3)


@pytest.mark.parametrize(
    "odd",
    [10**70, -(10**70), 1e308, True, None, [], [1], {"a": 1}, "", "\x1b[2J", "9" * 4000],
    ids=lambda odd: str(type(odd).__name__),
)
def test_facts_of_any_shape_are_not_known_and_never_a_crash(tmp_path: Path, odd: Any) -> None:
    campaign = make_campaign(tmp_path, runs=1)
    fill(campaign)
    for number, facts in enumerate(
        (
            {"memory_total_bytes": odd, "kernel": odd, "docker": odd, "cpu": odd, "runtimes": odd, "x": odd},
            {"docker": {"version": odd}, "cpu": {"count": odd, "model": odd}, "runtimes": {"runc": odd}},
            {"runtimes": {"runc": {"version": odd, "arguments": odd}, "runsc": {"arguments": [odd, [odd]]}}},
        )
    ):
        folder = campaign.folder / "facts" / "node1"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.json").write_text(json.dumps(facts))

        built = report.build(store.Campaign(campaign.folder))

        shown = {what: version for _, what, version in built.versions}
        assert shown["hardware"].endswith("memory not known")
        assert all(len(version) < 3000 for version in shown.values())
        report.write(built, campaign.folder)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ("[" * 600 + "]" * 600, "nested more than"),
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"memory_total_bytes": ' + "9" * 4000 + "}", "beyond all bounds"),
        ('{"memory_total_bytes": NaN}', ""),
    ],
    ids=["600 levels", "100000 levels", "4000 digits", "NaN"],
)
def test_facts_that_no_machine_can_have_given_are_refused_in_words(tmp_path: Path, facts: str, problem: str) -> None:
    campaign = make_campaign(tmp_path, runs=1)
    (campaign.folder / "facts" / "node1").mkdir()
    (campaign.folder / "facts" / "node1" / "0.json").write_text(facts)

    with pytest.raises(StoreError, match=rf"0\.json is damaged: .*{problem}"):
        report.build(store.Campaign(campaign.folder))


@pytest.mark.parametrize(
    "name", ["trials/0001.1-boot-runc-node1/stdout", "trials/0001.1-boot-runc-node1/probe.json", "plan.jsonl"]
)
def test_a_file_of_hostile_size_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    campaign = make_campaign(tmp_path, runs=1)
    fill(campaign)
    with open(campaign.folder / name, "r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no disk

    tracemalloc.start()
    try:
        with pytest.raises(StoreError, match="is larger than"):
            report.build(store.Campaign(campaign.folder))
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_the_sd_is_pythons_own_and_none_where_it_overflows() -> None:
    def described(values: list[float]) -> float | None:
        series = Series(experiment="e", metric="m", arm="a", unit="s")
        for n, value in enumerate(values, 1):
            series.values[n] = Value(block=n, machine="node1", order=n, value=value)
        return summarise(series).sd

    values = [1e9 + x for x in (4.0, 7.0, 13.0, 16.0)]  # a mean far from 0, where naive sums lose digits
    assert described(values) == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert described([1e200, -1e200]) is None


def test_sentences_name_runtimes_by_their_titles(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, runs=8)
    fill(campaign, {("io", "gvisor"): Outcome.FAILED})

    built = report.build(campaign)

    said = [c.sentence for c in built.analysis.comparisons] + [c.message for c in built.caveats]
    assert any(s.startswith("Start to web page: gVisor 1.04 s, runC 0.52 s: takes 2.00 times as long") for s in said)
    assert any("all 8 trials of gVisor failed" in s for s in said)
    assert any("gVisor moved during the campaign" in s for s in said)
    assert not [s for s in said if re.search(r"\b(runc|gvisor)\b", s)]


def test_what_is_left_out_of_a_ratio_is_said_with_its_reason(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, experiments=("boot",), runs=4)
    bad = {(2, "gvisor"): Outcome.TIMED_OUT, (3, "runc"): Outcome.FAILED}
    again = plan.repeat_block(campaign.plan, 3)
    campaign.append_to_plan(again)
    for trial in campaign.plan:
        outcome = bad.get((trial.block, trial.arm), Outcome.OK)
        campaign.write_trial(make_record(trial, outcome=outcome), boot_files(0.5 + trial.number / 100))

    caveats = {c.kind: c.message for c in report.build(campaign).caveats}

    assert caveats["left out"] == (
        "3 of 5 blocks are in the ratio of gVisor to runC. Left out: block 2 (gVisor timed out); block 3 (interrupted "
        "or without a usable value, and repeated whole)."
    )
    assert "block 3. The repeats are block 5;" in caveats["repeated"]


def test_how_verdicts_are_decided_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = make_campaign(tmp_path / "campaigns")
    fill(campaign)
    monkeypatch.chdir(tmp_path)

    assert cli.run(["report", "--format", "markdown"]) == 0
    assert "(Holm)" in capsys.readouterr().out
    assert (campaign.folder / "report" / "index.html").read_text().count("(Holm)") == 1


MEMORY = {"containers": [1, 3], "window_s": 10, "uptime_s": 0}
CPU = {"work_mb": 512, "window_s": 10, "uptime_s": 0}


def memory_files(pss_mib: float, cgroup_mib: float, fall_mib: float) -> dict[str, bytes]:
    """Density readings on three exact lines."""
    read = {"memory_bytes": dict.fromkeys(("total", "free", "active", "buffers", "cached"), 1 << 30)}
    after = {**read, "memory_used_by_the_paper_bytes": 1 << 20}
    slopes = {"pss_bytes": pss_mib, "cgroup_bytes": cgroup_mib, "available_fall_bytes": fall_mib}
    steps = [{"containers": n} | {k: round(n * v * (1 << 20)) for k, v in slopes.items()} for n in (1, 3)]
    measured = {"before": read, "after": after, "window_s": 10.0, "density": {"steps": steps}}
    return {"probe.json": json.dumps({"measured": measured}).encode()}


def cpu_files(cpu_s: float, cgroup_s: float | None) -> dict[str, bytes]:
    times = {"cpu_times_s": dict.fromkeys(("user", "nice", "system", "idle", "iowait"), 1.0)}
    work: dict[str, Any] = {"cpu_s": cpu_s, "startup_cpu_s": 0.1, "engine_cpu_s": 0.1}
    if cgroup_s is not None:
        work |= {"begin": {"cgroup_s": 1.0}, "end": {"cgroup_s": 1.0 + cgroup_s}}
    return {
        "probe.json": json.dumps({"measured": {"before": times, "after": times, "window_s": 10, "work": work}}).encode()
    }


def test_meters_that_disagree_are_named_with_their_values_and_agreement_is_noted(tmp_path: Path) -> None:
    parameters = {"memory": MEMORY, "cpu": CPU}
    campaign = make_campaign(tmp_path, experiments=("memory", "cpu"), parameters=parameters)
    for trial in campaign.plan:
        off = trial.arm == "gvisor"
        memory = memory_files(20.0, 20.5, 25.0 if off else 21.0)
        campaign.write_trial(make_record(trial), memory if trial.experiment == "memory" else cpu_files(2.0, 1.95))

    built = report.build(campaign)

    (caveat,) = [c for c in built.caveats if c.kind == "meters"]
    assert (
        "under gVisor: 20.0 MiB by PSS, 20.5 MiB by its cgroup, 25.0 MiB by the fall of MemAvailable" in caveat.message
    )
    assert "The fall of MemAvailable is 25 % above PSS, where 10 % are allowed" in caveat.message
    notes = {t.number: t.notes[-1] for t in built.tables}
    assert notes["IV"].endswith("disagree under gVisor: see the notes beside the verdicts.")
    assert "agree within 10 %: runC 2.00 s by everything that the container needs, 1.95 s by its cgroup" in notes["III"]


def test_a_second_meter_that_was_not_recorded_is_said_to_be_missing(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, experiments=("cpu",), parameters={"cpu": CPU})
    for trial in campaign.plan:
        campaign.write_trial(make_record(trial), cpu_files(2.0, None))

    notes = {t.number: t.notes[-1] for t in report.build(campaign).tables}

    assert notes["III"].startswith("No second meter of CPU time")
    assert "meter" not in notes["IV"]


def test_an_unusual_value_stands_with_what_the_records_say_about_its_trial(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, experiments=("boot",), runs=8)
    for trial in campaign.plan:
        files = boot_files(0.5 + trial.number / 1000)
        record = make_record(trial, started_at=f"2026-11-23T10:{trial.number:02d}:00Z")
        record = replace(record, ended_at=f"2026-11-23T10:{trial.number:02d}:30Z")
        if (trial.block, trial.arm) == (4, "gvisor"):
            files = boot_files(5.0)
            messages = [
                "veth1: entered promiscuous mode",
                "CPU0: Core temperature above threshold, cpu clock throttled",
            ]
            document = json.loads(files["probe.json"])
            document["context"] = {"steal_s": 4.5, "new_kernel_messages": [*messages, 7, None]}
            files["probe.json"] = json.dumps(document).encode()
            record = replace(record, waited_s=61.0)
        campaign.write_trial(record, files)

    built = report.build(campaign)

    (outlier,) = [o for o in built.analysis.outliers if o.metric == "first_page_s"]
    assert outlier.cause == (
        "the machine took 61 s to get ready; 4.5 s of processor time stolen; "
        "kernel: “CPU0: Core temperature above threshold, cpu clock throttled”"
    )
    assert any(outlier.cause in c.message for c in built.caveats if c.kind == "outliers")


def test_resets_lost_machines_and_standstills_are_seen_from_the_trials_around() -> None:
    def at(number: int, hour: int, **changes: Any) -> Record:
        stamps = {"started_at": f"2026-11-23T{hour:02d}:00:00Z", "ended_at": f"2026-11-23T{hour:02d}:10:00Z"}
        return make_record(make_trial(number, boot=1), **{**stamps, **changes})

    quiet = [at(1, 10, rebooted=True), at(2, 10)]
    assert causes.between(quiet, "block") == {}
    lost = at(2, 10, outcome=Outcome.FAILED)
    told = causes.between([quiet[0], lost, at(3, 10, rebooted=True), at(4, 13, boot_id="x")], "block")
    assert set(told) == {3, 4}
    assert told[3] == ["the machine was reset before it, out of turn", "trial 2 before it on the same boot failed"]
    assert told[4] == ["the machine had rebooted by itself", "the campaign had stood still for 2.8 h"]


@pytest.mark.parametrize(
    ("ended", "stolen", "said"),
    [
        ("10:01:40", 1.9, False),  # 100 s: less than 2 %
        ("10:01:40", 2.1, True),
        ("10:00:04", 0.09, False),  # more than 2 % of 4 s, and less than anything that counts
        ("10:00:04", 0.11, True),
        ("10:00:00", 5.0, False),  # of no time nothing is a share
    ],
)
def test_stolen_time_is_named_from_a_fiftieth_of_the_trial_on(ended: str, stolen: float, said: bool) -> None:
    record = replace(make_record(), started_at="2026-11-23T10:00:00Z", ended_at=f"2026-11-23T{ended}Z", waited_s=0.0)
    found = causes.during(record, {"context": {"steal_s": stolen}})
    assert found == ([f"{stolen:.1f} s of processor time stolen"] if said else [])


@pytest.mark.parametrize("odd", [None, [], "x", 10**3999, {"steal_s": "x", "new_kernel_messages": {"a": 1}}, [[]]])
def test_a_context_of_any_shape_gives_no_cause_and_no_crash(odd: Any) -> None:
    record = make_record(started_at="yesterday", waited_s=None)

    assert causes.during(record, {"context": odd}) == []
    assert causes.during(record, {"context": {"steal_s": odd, "new_kernel_messages": odd}}) == []
    assert causes.between([record, record], "never") == {}


def test_the_table_of_ratios_has_the_floor_the_papers_value_and_the_metrics_own_words(tmp_path: Path) -> None:
    bed = make_testbed()
    bed = replace(bed, machines=(replace(bed.machines[0], runtimes=("runc", "kata")),))
    campaign = make_campaign(tmp_path, bed, runtimes=("runc", "kata"))
    fill(campaign)
    extra: list[tuple[Trial, float]] = []
    for block, arm, seconds in ((4, "runc#1", 0.5), (4, "runc#2", 0.55), (5, "runc#1", 0.55), (5, "runc#2", 0.52)):
        number = len(campaign.plan) + len(extra) + 1
        extra.append((make_trial(number, block=block, kind="aa", arm=arm), seconds))
    campaign.append_to_plan([trial for trial, _ in extra])
    for trial, seconds in extra:
        campaign.write_trial(make_record(trial), boot_files(seconds))

    figure = figures.figures(report.build(campaign))[0]
    assert figure.narrow is not None

    rows = {row[0]: dict(zip(figure.heads, row, strict=True)) for row in figure.rows}
    # A/A: 0.55/0.50 and 0.52/0.55. With two blocks (one degree of freedom, t = 12.7) their interval holds 1 by far, and
    # a single value of chance is no floor (measurement.md §4.12). The paper's Table I: 3.707/0.633 = 5.856.
    assert rows["boot: Kata"]["noise floor"] == "± 0 %"
    assert rows["boot: Kata"]["the paper's"] == "5.86"
    assert rows["boot: Kata"]["others'"] == "–"  # nobody published this very measure
    assert rows["boot: Kata"]["ratio"] == "2.00"
    assert rows["io: Kata"]["noise floor"] == "not measured"
    assert rows["boot: Kata"]["verdict"] == "✗ worse"
    drawn = {e.text for e in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")}
    assert {"noise floor (A/A)", "the paper's"} <= drawn
    assert "published by others" not in drawn
