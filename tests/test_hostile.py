"""A campaign's folder from a stranger, and command lines that nobody would type: no traceback, no hang, no hit.

Thoroughly: RTLAB_FUZZ=20 pytest tests/test_hostile.py (twenty times as many examples: 1,000 inputs, 500 of each
kind of folder).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from rtlab import cli
from rtlab.cli.report import FORMATS
from rtlab.publish import exports
from rtlab.store import Campaign
from rtlab.text import clean
from tests.hostile import PAYLOADS, SECRET, VALUES, deep, hits, leaves, planted, produced

THOROUGH = int(os.environ.get("RTLAB_FUZZ", "1"))
FUZZ = settings(
    max_examples=50 * THOROUGH,
    deadline=None,
    derandomize=THOROUGH == 1,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
FOLDERS = settings(FUZZ, max_examples=25 * THOROUGH)
# Statuses that docs/faults.md lists.
STATUSES = {0, 1, 2, 3, 4, 5, 6, 10, 11, 12}
# Of CPU time, one command on one small campaign. By the clock a busy machine may take any time; what waits for ever
# runs into the test's own limit.
MOST_SECONDS = 30.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with simulated machines and a small campaign of three experiments."""
    folder = tmp_path_factory.mktemp("made")
    with contextlib.chdir(folder) if hasattr(contextlib, "chdir") else inside(folder):
        assert run("up", "--provider", "simulated")[0] == 0
        words = ("--runs", "2", "--experiments", "boot,io,network", "--name", "small")
        assert run("bench", *words)[0] == 0
    return folder


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(*words: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command line, in this process."""
    raw = io.BytesIO()
    out, err = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogatepass"), io.StringIO()
    begun = spent()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.run(list(words))
    out.flush()
    assert spent() - begun < MOST_SECONDS, words
    return status, raw.getvalue().decode("utf-8", "surrogateescape"), err.getvalue()


def spent() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(os.times()[:4])


@pytest.fixture
def work(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the working folder, and beside it a file that nobody may read or write."""
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))
    again(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def again(made: Path, work: Path) -> Path:
    """The working folder as it was made, and the file beside it; the one campaign's folder."""
    shutil.rmtree(work, ignore_errors=True)
    (work.parent / "outside").write_text(SECRET)
    shutil.rmtree(work.parent / "elsewhere", ignore_errors=True)  # one example's hit is not the next one's
    (work.parent / "elsewhere").mkdir()
    shutil.copytree(made, work)
    (folder,) = (work / "campaigns").iterdir()
    return folder


def assert_harmless(status: int, out: str, err: str) -> None:
    assert status in STATUSES
    assert "Traceback" not in err
    assert clean(err, keep_lines=True) == err
    assert len(err) < 20_000
    assert not hits("terminal.txt", out.encode("utf-8", "surrogateescape"))
    assert SECRET not in err


# --------------------------------------------------------------------------- command lines

TEXTS = st.one_of(
    st.sampled_from([p for p in PAYLOADS if "\0" not in p]),
    st.text(max_size=40),
    st.sampled_from(["", " ", ".", "..", "/", "-", "--", "0", "-1", "nan", "1e999", "9" * 5000, "x" * 300, "\udcff"]),
    st.sampled_from(["/dev/zero", "/dev/full", "/proc/self/environ", "/etc/passwd", "campaigns", ".rtlab", "last"]),
    st.sampled_from(["2", "5%", "runc", "boot", "io.size_mb=1", "simulated", "json", "csv", "latex", "deadbeef"]),
    st.sampled_from([*exports.FORMATS, *FORMATS, "node1", "debian-12", "rtlab.toml", "../elsewhere", "x.zip"]),
)
# What a command line must not do here: make machines, install, build, or measure for long.
COMMANDS = [*(name for name in cli.COMMANDS if name != "box"), "box keep"]
ALWAYS = {"up": ("--provider", "simulated"), "bench": ("--dry-run",), "doctor": ("--provider", "simulated")}
# `--watch` waits for the end of a campaign that nobody runs.
NEVER = {"fix", "yes", "provider", "help", "watch"}


def command_of(name: str) -> Any:
    found = get_command(cli.app)
    for word in name.split():
        found = found.get_command(None, word)  # type: ignore[attr-defined]
        assert found is not None
    return found


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with options that it has, and values that it has not."""
    name = draw(st.sampled_from(COMMANDS))
    words = [*name.split(), *ALWAYS.get(name, ())]
    parameters = [p for p in command_of(name).params if p.name not in NEVER]
    for parameter in draw(st.lists(st.sampled_from(parameters), max_size=4)) if parameters else []:
        option = draw(st.sampled_from(parameter.opts))
        if not option.startswith("-"):
            words.append(draw(TEXTS))
        elif getattr(parameter, "is_flag", False):
            words.append(option)
        else:
            words += [option, draw(TEXTS)]
    return words


def emptied(path: Path) -> Path:
    """Nothing is there any more, whatever was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    return path


# What may stand in the place of any part of a working folder.
ODD: dict[str, Callable[[Path], object]] = {
    "absent": lambda path: None,
    "a file": lambda path: path.write_bytes(b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\0"),
    "nested": lambda path: path.write_bytes(b"x = " * (path.suffix == ".toml") + deep(100_000)),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("9" * 5000),
    "not a number": lambda path: path.write_text('{"id": NaN, "machines": [NaN]}'),
    "settings that do nothing": lambda path: path.write_text(
        '[testbed]\nbox = "x"\n[experiments.memory]\nsize_mb = 1\n'
    ),
    "wrong settings": lambda path: path.write_text('[campaign]\nruns = 0\nx = 1\n["\\u001b"]\n'),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a loop": lambda path: path.symlink_to(path.name),
    "a link to a file": lambda path: path.symlink_to(Path.cwd().parent / "outside"),
    "a link to a folder": lambda path: path.symlink_to(Path.cwd().parent / "elsewhere"),
    "a link to nothing": lambda path: path.symlink_to("/nowhere/x"),
}
PARTS = (
    *(".rtlab", ".rtlab/testbed.json", ".rtlab/journal.jsonl", ".rtlab/lock", ".rtlab/simulated", ".rtlab/id"),
    *("campaigns", "campaigns/x", "campaigns/\x1b[31m", "rtlab.toml", "rtlab.lock", "x.zip"),
    *("{}/campaign.json", "{}/plan.jsonl", "{}/testbed.json", "{}/trials", "{}/.lock", "{}/report", "{}/derived"),
)


@pytest.mark.timeout(300 * THOROUGH)
@FUZZ
@given(words=command_lines())
def test_no_command_line_ends_in_a_traceback(words: list[str], made: Path, work: Path) -> None:
    before = stored(made)
    again(made, work)
    os.chdir(work)

    status, out, err = run(*words)

    assert_harmless(status, out, err)
    assert_untouched(work)
    if words[0] != "teardown":
        assert stored(work) == before, "a stored file was changed"


@pytest.mark.timeout(300 * THOROUGH)
@FOLDERS
@given(words=command_lines(), part=st.sampled_from(PARTS), odd=st.sampled_from(list(ODD)))
def test_no_state_of_the_working_folder_ends_in_a_traceback(
    words: list[str], part: str, odd: str, made: Path, work: Path
) -> None:
    folder = again(made, work)
    os.chdir(work)
    before = stored(work)
    place = Path(part.format(folder.relative_to(work)))
    ODD[odd](emptied(place))

    status, out, err = run(*words)

    assert_harmless(status, out, err)
    assert_untouched(work)
    if words[0] != "teardown" and "campaigns" not in place.parts:
        assert stored(work) == before, "a stored file was changed"


def assert_untouched(work: Path) -> None:
    """Nothing beside the working folder, to which links lead, was read into it, written or added to."""
    assert (work.parent / "outside").read_text() == SECRET
    assert not list((work.parent / "elsewhere").iterdir())


def test_nothing_is_written_through_a_link_in_place_of_any_folder(made: Path, work: Path) -> None:
    """Of those that there are after `up` and `bench`, but the trials' own: a stranger's campaign, resumed as root."""
    folders = [p.relative_to(made) for p in made.rglob("*") if p.is_dir() and p.parent.name != "trials"]
    assert {".rtlab", "simulated", "node1", "trials", "facts"} <= {p.name for p in folders} and len(folders) >= 9
    elsewhere, refused = work.parent / "elsewhere", set()
    for place in (p for p in folders if str(p) != "campaigns"):  # there a link of one's own is followed
        campaign = again(made, work)
        os.chdir(work)
        (campaign / "finished.json").unlink(missing_ok=True)
        shutil.rmtree(max((campaign / "trials").iterdir()))
        emptied(place).symlink_to(elsewhere)
        said = [run("up", "--provider", "simulated"), run("bench", "--resume", campaign.name)]
        assert not list(elsewhere.iterdir()), place
        refused |= {place.name for _, _, err in said if "is a link: nothing was written" in err}
        for one in said:
            assert_harmless(*one)
    assert {"simulated", "node1", "trials"} <= refused


def stored(work: Path) -> dict[str, str]:
    """The digest of every file that a campaign keeps."""
    return {
        str(p.relative_to(work)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in (work / "campaigns").rglob("*")
        if p.is_file() and not {"report", "derived"} & set(p.relative_to(work).parts) and p.name != ".lock"
    }


# --------------------------------------------------------------------------- folders


def documents(folder: Path) -> list[str]:
    """The JSON files of a campaign, and the files of JSON lines."""
    names = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.suffix in (".json", ".jsonl")]
    return [n for n in names if not n.startswith(("report", "derived"))]


def written(file: Path, value: Any, digest: bool = True) -> None:
    """A document written anew, as a stranger would: its record says that it is right."""
    lines = file.suffix == ".jsonl"
    text = json.dumps(value) if not lines else "".join(json.dumps(line) + "\n" for line in value)
    emptied(file).write_text(text)
    if digest and file.name == "probe.json":
        agree(file)


def agree(file: Path) -> None:
    """Let the record of a raw file name its digest."""
    record = json.loads((file.parent / "record.json").read_text())
    record["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    emptied(file.parent / "record.json").write_text(json.dumps(record))


def read(file: Path) -> Any:
    text = file.read_text()
    return [json.loads(line) for line in text.splitlines()] if file.suffix == ".jsonl" else json.loads(text)


def to_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(Path.cwd().parent / "outside")


def to_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def to_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def to_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


RAW: tuple[bytes, ...] = (b"", b"\0" * 100, b"\xff\xfe", deep(100_000), deep(600), b"9" * 5000, b"{" * 50, b"null")
BECOMES: tuple[Callable[[Path], None], ...] = (Path.unlink, to_link, to_pipe, to_folder, to_loop)


@st.composite
def damages(draw: st.DrawFn) -> Callable[[Path], str]:
    """One thing that a stranger does to a campaign's folder; it says what it did."""
    kind = draw(st.sampled_from(["value", "value", "value", "value", "bytes", "kind", "part", "output", "name"]))
    number, place = draw(st.integers(0, 10_000)), draw(st.integers(0, 10_000))
    value, raw = draw(st.sampled_from(VALUES)), draw(st.sampled_from(RAW) | st.binary(max_size=60))
    become = draw(st.sampled_from(BECOMES))

    def damage(folder: Path) -> str:
        names = documents(folder)
        # Half of them are trials' records and probes: the others come more often than they are many.
        tops = [n for n in names if "/" not in n or n.startswith("facts")]
        name = tops[number % len(tops)] if number % 2 else names[number % len(names)]
        file = folder / name
        if kind == "value":
            document = read(file)
            places = list(leaves(document))
            at = places[place % len(places)]
            if at or not name.endswith(".jsonl"):
                written(file, planted(document, at, value))
            return f"{name}: {at} is {str(value)[:60]!r}"
        if kind == "bytes":
            emptied(file).write_bytes(raw)
            if file.name == "probe.json":
                agree(file)
            return f"{name} is {raw[:40]!r}"
        if kind == "kind":
            become(file)
            return f"{name} {become.__name__}"
        if kind == "part":
            part = folder / ("trials", "facts", "report", "derived", "calibration", "looks.jsonl")[number % 6]
            emptied(part).write_bytes(b"")
            become(part)
            return f"{part.name} {become.__name__}"
        if kind == "output":
            file = sorted(folder.glob("trials/*/std*"))[number % 10]
            emptied(file).write_bytes(str(value).encode("utf-8", "replace") + raw)
            agree(file)
            return f"{file.name} is {str(value)[:60]!r}"
        name = str(value).replace("/", "_").replace("\0", "")[:200].encode("utf-8", "replace").decode() or "x"
        target = sorted(folder.glob("trials/*"))[number % 10] if place % 2 else folder
        target.rename(target.with_name(name.lstrip(".") or "x"))
        return f"{target.name} is called {name!r}"

    return damage


# These draw plots, which takes longer than everything else: a few of the examples do it.
DRAWING = (
    ("report", "{}"),
    ("report", "{}", "--json"),
    ("report", "{}", "--format", "markdown"),
    ("report", "{}", "--format", "csv"),
    ("pack", "{}"),
)
READERS = (
    ("verify", "{}"),
    ("compare", "{}", "{}", "--anyway"),
    ("plan", "--target", "5%", "--campaign", "{}"),
    ("export", "hyperfine", "{}"),
    ("export", "latex", "{}"),
    ("export", "bencher", "{}"),
    ("export", "parquet", "{}"),
    ("status",),
    ("campaigns",),
    ("show", "2", "--campaign", "{}"),
    ("plan",),
    ("bench", "--dry-run"),
    ("bench", "--like", "{}", "--dry-run"),
    ("bench", "--resume", "{}"),
)
# What stdout of a reader is, by which marks in it are hits.
SHOWS = {"markdown": "stdout.md", "csv": "stdout.csv", "latex": "stdout.tex"}


@pytest.mark.timeout(300 * THOROUGH)
@FOLDERS
@given(
    first=damages(),
    second=st.none() | damages(),
    readers=st.lists(st.sampled_from(READERS), min_size=3, max_size=3, unique=True),
    drawing=st.integers(0, 8 * len(DRAWING) - 1),
)
def test_no_hostile_folder_comes_through(
    first: Callable[[Path], str],
    second: Callable[[Path], str] | None,
    readers: list[tuple[str, ...]],
    drawing: int,
    made: Path,
    work: Path,
) -> None:
    folder = again(made, work)
    os.chdir(work)
    did = first(folder)
    if second is not None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, IndexError, RecursionError, StopIteration):
            did += " and " + second(next((work / "campaigns").iterdir()))
    folder = next((work / "campaigns").iterdir())
    for words in (*readers, *DRAWING[drawing : drawing + 1]):
        status, out, err = run(*(w.format(folder.name) if w != "{}" else folder.name for w in words))
        assert status in STATUSES, (did, words)
        assert "Traceback" not in err and clean(err, keep_lines=True) == err, (did, words)
        name = next((SHOWS[w] for w in words if w in SHOWS), "stdout.json" if "--json" in words else "terminal.txt")
        if "parquet" not in words:
            assert not hits(name, out.encode("utf-8", "surrogateescape")), (did, words)
        assert SECRET not in err
    for name, content in produced(folder).items():
        assert not hits(name, content), did
    assert (work.parent / "outside").read_text() == SECRET
    for file in work.glob("*.zip"):
        assert SECRET.encode() not in file.read_bytes()


# --------------------------------------------------------------------------- each text in each format


def texts(document: Any) -> list[tuple[Any, ...]]:
    found = []
    for place in leaves(document):
        value = document
        for key in place:
            value = value[key]
        if isinstance(value, str):
            found.append(place)
    return found


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda p: ascii(p)[:40])
def test_a_hostile_text_in_every_free_field_at_once_is_text_in_every_format(payload: str, work: Path) -> None:
    (folder,) = (work / "campaigns").iterdir()
    planted_in = 0
    for name in documents(folder):
        document = read(folder / name)
        for place in texts(document):
            if name.startswith("facts") or (name == "testbed.json" and "details" in place):
                document = planted(document, place, payload)
                planted_in += 1
            elif name.endswith("record.json") and place == ("reason",):
                document = planted(document, place, payload)
        if name.endswith("probe.json") and isinstance(document, dict):
            document = {**document, "notes": [payload], "reason": payload}
        written(folder / name, document)
    assert planted_in > 5
    shown = [
        (run("report", *words)[1], name)
        for words, name in (
            ((), "terminal.txt"),
            (("--format", "markdown"), "stdout.md"),
            (("--format", "csv"), "x.csv"),
        )
    ]
    assert [hit for out, name in shown for hit in hits(name, out.encode("utf-8", "surrogateescape"))] == []
    files = produced(folder)
    assert {Path(n).suffix for n in files} >= {".html", ".md", ".csv", ".tex", ".svg", ".json"}
    assert [hit for name, content in files.items() for hit in hits(name, content)] == []
    assert run("export", "latex", "-o", "x.tex")[0] == 0
    assert not hits("x.tex", Path("x.tex").read_bytes())


# What a file system can hold as a name.
NAMES = [p for p in PAYLOADS if not {"/", "\0", "\ud800"} & set(p) and len(p) < 60]


@pytest.mark.parametrize("payload", NAMES, ids=ascii)
def test_a_machine_with_a_hostile_name_is_text_in_every_format(payload: str, work: Path) -> None:
    """The name in plan, records, testbed, facts and folders alike: a whole campaign of such a machine."""
    (folder,) = (work / "campaigns").iterdir()
    for file in [p for p in folder.rglob("*") if p.suffix in (".json", ".jsonl") and p.name != "campaign.json"]:
        file.write_text(file.read_text().replace('"node1"', json.dumps(payload)))
    for path in [*folder.glob("trials/*node1"), *folder.glob("facts/node1")]:
        path.rename(path.with_name(path.name.replace("node1", payload)))

    status, out, err = run("report")

    assert status == 0, err
    assert not hits("terminal.txt", out.encode())
    assert [hit for name, content in produced(folder).items() for hit in hits(name, content)] == []


# --------------------------------------------------------------------------- what verify notices


def without_trials(folder: Path) -> None:
    shutil.rmtree(folder / "trials")
    (folder / "trials").mkdir()


def without_the_folder(folder: Path) -> None:
    shutil.rmtree(folder / "trials")


def without_a_trial(folder: Path) -> None:
    shutil.rmtree(sorted(folder.glob("trials/*"))[2])


def without_the_last_trial(folder: Path) -> None:
    shutil.rmtree(sorted(folder.glob("trials/*"))[-1])


def without_a_plan(folder: Path) -> None:
    (folder / "plan.jsonl").write_bytes(b"")


def without_a_block_of_the_plan(folder: Path) -> None:
    lines = (folder / "plan.jsonl").read_text().splitlines(keepends=True)
    (folder / "plan.jsonl").write_text("".join(lines[: len(lines) // 2]))


def of_another_schema(folder: Path) -> None:
    edit(folder / "campaign.json", lambda d: {**d, "schema": 99})


def edit(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def first_record(folder: Path) -> Path:
    return sorted(folder.glob("trials/*"))[0] / "record.json"


def of_another_arm(folder: Path) -> None:
    edit(first_record(folder), lambda d: {**d, "trial": {**d["trial"], "runtime": "gvisor"}})


def of_another_block(folder: Path) -> None:
    edit(first_record(folder), lambda d: {**d, "trial": {**d["trial"], "block": 2}})


def with_a_file_elsewhere(folder: Path) -> None:
    edit(first_record(folder), lambda d: {**d, "files": {**d["files"], "/etc/passwd": "0" * 64}})


def with_a_file_more(folder: Path) -> None:
    (first_record(folder).parent / "more").write_text("x")


def begun_yesterday(folder: Path) -> None:
    edit(first_record(folder), lambda d: {**d, "started_at": "yesterday"})


def with_null_in_a_name(folder: Path) -> None:
    edit(first_record(folder), lambda d: {**d, "files": {"a\0b": "0" * 64}})


def with_a_surrogate_in_facts(folder: Path) -> None:
    file = next(folder.glob("facts/*/*.json"))
    file.write_bytes(b'{"kernel": "' + b"\\ud800" * 5 + b'", "more": ' + deep(100) + b"}")


def with_nan_in_parameters(folder: Path) -> None:
    file = folder / "campaign.json"
    document = json.loads(file.read_text())
    document["spec"]["parameters"]["boot"]["starts"] = float("nan")
    file.write_text(json.dumps(document))


def trials_as_a_file(folder: Path) -> None:
    shutil.rmtree(folder / "trials")
    (folder / "trials").write_bytes(b"")


CHANGES = (
    without_trials,
    without_the_folder,
    without_a_trial,
    without_the_last_trial,
    without_a_plan,
    without_a_block_of_the_plan,
    of_another_schema,
    of_another_arm,
    of_another_block,
    with_a_file_elsewhere,
    with_a_file_more,
    begun_yesterday,
    with_null_in_a_name,
    with_a_surrogate_in_facts,
    with_nan_in_parameters,
    trials_as_a_file,
)


def test_verify_finds_nothing_in_a_campaign_as_it_was_stored(work: Path) -> None:
    assert run("verify")[0] == 0


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_verify_notices_what_is_missing_and_pack_refuses_it(change: Callable[[Path], None], work: Path) -> None:
    (folder,) = (work / "campaigns").iterdir()
    change(folder)

    for words in (("verify",), ("pack",)):
        status, out, err = run(*words)
        assert status == 1, (words, out, err)
        assert_harmless(status, out, err)
        assert "as it was measured" not in err and "unchanged." not in err
    assert not list(work.glob("*.zip"))


@pytest.mark.parametrize("change", [of_another_arm, of_another_block])
def test_report_takes_no_value_from_a_record_that_contradicts_the_plan(
    change: Callable[[Path], None], work: Path
) -> None:
    (folder,) = (work / "campaigns").iterdir()
    before = json.loads(run("report", "--json")[1])
    change(folder)

    status, out, err = run("report")
    after = json.loads(run("report", "--json")[1])

    assert status == 0, err
    assert f"trials/{first_record(folder).parent.name} says of its trial is not what was planned" in " ".join(
        out.split()
    )
    assert after["trials"] == {"ok": before["trials"]["ok"] - 1, "invalid": 1}


def test_verify_opens_no_file_that_a_record_names_elsewhere(work: Path) -> None:
    (folder,) = (work / "campaigns").iterdir()
    outside = work.parent / "outside"
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    edit(first_record(folder), lambda d: {**d, "files": {**d["files"], str(outside): digest}})
    found = Campaign(folder).changed_files()
    assert len(found) == 1 and "names a file that no trial has" in found[0]


def test_a_probe_nested_without_end_with_the_right_digest_is_an_error_in_words(work: Path) -> None:
    (folder,) = (work / "campaigns").iterdir()
    for levels in (600, 100_000):
        file = sorted(folder.glob("trials/*/probe.json"))[0]
        file.write_bytes(deep(levels))
        agree(file)
        assert_harmless(*run("report"))


@pytest.mark.parametrize("name", ["\x1b[31mred", "\u202eback", "\x9b31m"])
def test_a_folder_s_name_moves_no_terminal(name: str, work: Path) -> None:
    (folder,) = (work / "campaigns").iterdir()
    folder.rename(folder.with_name(f"{folder.name}{name}"))
    for words in (("status",), ("plan",), ("report",), ("verify",), ("status", "--json"), ("report", "--json")):
        status, out, err = run(*words)
        assert status == 0, err
        assert_harmless(status, out, err)
