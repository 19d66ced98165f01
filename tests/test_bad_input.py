"""Bad input to every command: one plain sentence and a documented status; no traceback, no hang, no endless memory.

Most cases run in this process, as the console script runs them; what concerns streams, rights and limits of memory
runs as a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rtlab import cli, config, plugins
from rtlab.cli import arguments
from rtlab.config import CampaignSettings, TestbedSettings, relevance, sections
from rtlab.errors import UsageError
from rtlab.state import StateFolder
from rtlab.text import clean
from tests.conftest import make_testbed

KEPT = Path(__file__).parent / "data" / "emulated-debian-12"
LONG = "x" * 300
SHA256, SHA512 = "0" * 63 + "1", "0" * 127 + "1"
NOBODY = 65534


def with_campaign(folder: Path) -> None:
    shutil.copytree(KEPT, folder / "campaigns" / KEPT.name)


def with_testbed(folder: Path) -> None:
    StateFolder(folder / ".rtlab").write_testbed(make_testbed())


def holding(name: str, content: str | bytes) -> Callable[[Path], None]:
    """A folder with one file in it."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def state_is_a_loop(folder: Path) -> None:
    (folder / ".rtlab").symlink_to(".rtlab")


def campaigns_is_a_loop(folder: Path) -> None:
    (folder / "campaigns").symlink_to("campaigns")


def config_is_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "rtlab.toml").symlink_to("pipe")


def testbed_is_a_pipe(folder: Path) -> None:
    (folder / ".rtlab").mkdir()
    os.mkfifo(folder / ".rtlab" / "testbed.json")


def hostile_testbed(**changes: Any) -> Callable[[Path], None]:
    """A testbed.json with other values than `up` writes."""

    def make(folder: Path) -> None:
        with_testbed(folder)
        file = folder / ".rtlab" / "testbed.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return make


@dataclass(frozen=True)
class Case:
    """One command line, where it is typed, and what must come of it."""

    words: tuple[str, ...]
    status: int
    said: str
    files: Callable[[Path], None] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def case(words: str | tuple[str, ...], status: int, said: str, files: Any = None, **environment: str) -> Case:
    return Case(tuple(words.split()) if isinstance(words, str) else words, status, said, files, environment)


EMPTY = [
    ("teardown", "--id"),
    ("bench", "--resume"),
    ("bench", "--like"),
    ("bench", "--until"),
    ("bench", "--set"),
    ("bench", "--config"),
    ("up", "--provider"),
    ("up", "--kata-archive"),
    ("up", "--like"),
    ("doctor", "--provider"),
    ("plan", "--target"),
    ("plan", "--campaign"),
    ("report", "--format"),
    ("pack", "--license"),
    ("pack", "--author"),
    ("export", "-o"),
    ("box", "build", "debian-12", "--profile"),
]
CASES = [
    # An empty option is not one that was left out.
    *(
        case((*words, ""), 2, f"{'--output' if words[-1] == '-o' else words[-1]} is given, but empty")
        for words in EMPTY
    ),
    *(case((name, ""), 2, "is given, but empty", with_campaign) for name in ("report", "verify", "pack", "export")),
    case(("compare", "", "x"), 2, "is given, but empty"),
    case(("report", "   "), 2, "is given, but empty"),
    # Names longer than a file's may be, and than anything may be.
    *(case((name, LONG), 1, "is no campaign", with_campaign) for name in ("report", "verify", "pack")),
    case(("export", "latex", LONG), 1, "is no campaign", with_campaign),
    case(("plan", "--target", "5%", "--campaign", LONG), 1, "is no campaign", with_campaign),
    case(("compare", LONG, LONG), 1, "is no campaign", with_campaign),
    case(("bench", "--resume", LONG), 1, "is no campaign", lambda f: (with_campaign(f), with_testbed(f))),
    case(("report", "x" * 5000), 2, "5000 characters"),
    case(("export", "latex", "-o", LONG), 2, "File name too long", with_campaign),
    case(("pack", "--output", LONG), 2, "File name too long", with_campaign),
    case(("up", "--config", LONG), 2, "There is no file"),
    case(("ssh", LONG), 2, "There is no machine", with_testbed),
    case(("report", "a\0b"), 2, "null character"),
    case(("report", "\udcff"), 1, "is no campaign", with_campaign),
    # Options that do nothing.
    case("up --provider simulated --kata-archive /nowhere", 2, "--kata-archive does nothing"),
    case("up --provider simulated --kata-version 9.9.9", 2, "--kata-version does nothing"),
    case("up --provider simulated --box x.box", 2, "--box does nothing"),
    case("up --provider simulated --inventory hosts", 2, "--inventory does nothing"),
    case("up --provider simulated --provision", 2, "--provision does nothing"),
    case("up --provider local --machines 3 --engine system", 2, "--machines does nothing with local"),
    case("up --provider libvirt --scenario x.toml", 2, "--scenario does nothing with libvirt"),
    case("up --provider libvirt --runtimes runc --kata-version 3.32.0", 2, "without the runtime kata"),
    case("up --provider virtualbox --accel kvm", 2, "--accel does nothing with virtualbox"),
    case("doctor --provider local --accel tcg", 2, "--accel does nothing with local"),
    case("doctor --provider simulated --engine system", 2, "--engine does nothing with simulated"),
    case("teardown --id deadbeef", 1, "There is no testbed deadbeef"),
    case("bench --resume last --runs 3", 2, "--runs does nothing beside --resume"),
    case("bench --like x --name y", 2, "--name does nothing beside --like"),
    case("bench --dry-run --accept-changes", 2, "--accept-changes does nothing beside --dry-run"),
    case("plan --campaign x", 2, "--campaign does nothing without --target"),
    case("bench --new --accept-changes", 2, "--new does nothing beside --accept-changes"),
    case("plan --target 5% --runs 3", 2, "--runs does nothing beside --target"),
    case("report --json --format csv", 2, "--format does nothing beside --json"),
    case("init --stdout --force", 2, "--force does nothing beside --stdout"),
    case("export -o x", 2, "--output does nothing without FORMAT"),
    # A state folder that is none.
    *(
        case(name, 1, ".rtlab", made)
        for name in ("status", "plan", "bench", "teardown", "ssh node1", "box keep node1", "up --provider simulated")
        for made in (holding(".rtlab", "a file"), state_is_a_loop)
    ),
    case("status", 1, "not a regular file", testbed_is_a_pipe),
    case("teardown", 1, "not a regular file", testbed_is_a_pipe),
    *(
        case("status", 1, "testbed.json", made)
        for made in (
            hostile_testbed(machines=[]),
            hostile_testbed(machines=5),
            hostile_testbed(machines=[{"name": 5}]),
            hostile_testbed(provider=["x"]),
            hostile_testbed(created_at=7),
            hostile_testbed(details="x"),
            hostile_testbed(unknown=1),
            holding(".rtlab/testbed.json", "[" * 100_000),
            holding(".rtlab/testbed.json", '{"id": NaN}'),
            holding(".rtlab/testbed.json", b"\xff\xfe"),
            holding(".rtlab/testbed.json", "[]"),
            holding(".rtlab/testbed.json", "9" * 5000),
        )
    ),
    case("status", 2, "no provider", hostile_testbed(provider="cloud")),
    case("teardown", 1, "damaged", holding(".rtlab/journal.jsonl", "[" * 100_000 + "\n{}\n{}\n")),
    # A configuration that is none.
    *(
        case("plan", 2, said, made)
        for made, said in (
            (holding("rtlab.toml", "x=" + "[" * 1000), "nested too deeply"),
            (holding("rtlab.toml", "x=" + "9" * 4400), "rtlab.toml is not valid TOML"),
            (holding("rtlab.toml", ".".join("a" * 100_000) + "=1"), "rtlab.toml is not valid TOML"),
            (holding("rtlab.toml", "\n".join(f"key{n} = 1" for n in range(4000))), "and 3980 more problems"),
            (holding("rtlab.toml", "".join(f"[experiments.e{n}]\nx = 1\n" for n in range(4000))), "3980 more problems"),
            (holding("rtlab.toml", "[testbed]\n" + "".join(f"k{n} = 1\n" for n in range(4000))), "3980 more problems"),
            (holding("rtlab.toml", f"[campaign]\n{'k' * 100_000} = 1"), "there is no key"),
            (holding("rtlab.toml", "#" * 2_000_000), "larger than"),
            (holding("rtlab.toml", b"\xff"), "not UTF-8"),
            (holding("rtlab.toml/x", ""), "not a regular file"),
            (config_is_a_pipe, "not a regular file"),
        )
        for made in [lambda f, made=made: (with_testbed(f), made(f))]
    ),
    case("plan --config /dev/zero", 2, "not a regular file", with_testbed),
    case("plan --config nowhere.toml", 2, "There is no file", with_testbed),
    case(("bench", "--set", "io.x=" + "[" * 4000), 2, "nested too deeply", with_testbed),
    case("bench --set boot.starts=NaN", 2, "starts", with_testbed),
    case("bench --set boot.starts=1e999", 2, "starts", with_testbed),
    case(("bench", "--set", "boot.starts=" + "9" * 4000), 2, "starts", with_testbed),
    case("bench --margin nan", 2, "--margin", with_testbed),
    case("bench --margin inf", 2, "--margin", with_testbed),
    case("bench --max-hours nan --until 5%", 2, "--max-hours", with_testbed),
    # Where campaigns are.
    case("report", 1, "campaigns", campaigns_is_a_loop),
    case("report", 1, "campaigns", holding("campaigns", "a file")),
    case("status", 0, "campaigns", lambda f: (with_testbed(f), campaigns_is_a_loop(f))),
    # A result is never written through something.
    *(
        case(("export", "latex", "-o", target), 2, said, with_campaign)
        for target, said in (
            ("/dev/null", "a device"),
            ("/dev/stdout", "a link"),
            ("campaigns", "a folder"),
            (f"campaigns/{KEPT.name}/plan.jsonl", "lies in the campaign"),
            (f"campaigns/{KEPT.name}/report/new.tex", "lies in the campaign"),
        )
    ),
    case("pack --output /dev/null", 2, "a device", with_campaign),
    case(("pack", "--output", f"campaigns/{KEPT.name}/new.zip"), 2, "lies in the campaign", with_campaign),
    case("export latex -o nowhere/x.tex", 2, "there is no folder nowhere", with_campaign),
    # Words that move a terminal.
    case(("\x1b[2Jfrob",), 2, "No such command"),
    case(("bench", "--\x1b]0;x\x07frob"), 2, "No such option"),
]


def one_case(tried: Case) -> str:
    return re.sub(r"[^\w. /=-]", "?", " ".join(tried.words))[:60] + f" {tried.said[:20]}"


def assert_said(said: str) -> None:
    """Plain words: no traceback, nothing that a terminal obeys, no flood."""
    assert "Traceback" not in said
    assert clean(said, keep_lines=True) == said
    assert len(said) < 8000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("tried", CASES, ids=one_case)
def test_bad_input_gets_one_sentence_and_its_status(
    tried: Case, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if tried.files:
        tried.files(here)
    for key, value in tried.environment.items():
        monkeypatch.setenv(key, value)
    before = contents(here)

    status = cli.run(list(tried.words))

    said = capsys.readouterr().err
    assert tried.said in said.replace("\n", " ")
    assert status == tried.status, said
    assert_said(said)
    changed = {n: c for n, c in contents(here).items() if before.get(n) != c and not n.endswith("lock")}
    assert not changed, "something was made although it was refused"


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder; None for what is none."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() and not p.is_symlink() else None
        for p in folder.rglob("*")
        if not p.is_dir() or p.is_symlink()
    }


def test_no_folder_is_made_for_a_result(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_campaign(here)
    for words in (["export", "latex", "-o", "new/x"], ["pack", "--output", "new/x"]):
        assert cli.run(words) == 2
        assert "there is no folder new" in capsys.readouterr().err
    assert not (here / "new").exists()


def test_a_link_in_place_of_a_result_is_not_replaced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_campaign(here)
    (here / "kept").write_text("kept")
    (here / "x.tex").symlink_to("kept")
    assert cli.run(["export", "latex", "-o", "x.tex"]) == 2
    assert (here / "x.tex").is_symlink() and (here / "kept").read_text() == "kept"


def test_a_device_in_place_of_a_result_stays_one(here: Path) -> None:
    with_campaign(here)
    if os.geteuid() != 0:
        pytest.skip("needs root: a device is made")
    os.mknod(here / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for words in (["export", "latex", "-o", "null"], ["pack", "--output", "null"]):
        assert cli.run(words) == 2
    assert stat.S_ISCHR((here / "null").lstat().st_mode)


def test_more_machines_are_simulated_when_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["up", "--provider", "simulated", "--machines", "3", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["testbed"]
    assert [m["name"] for m in made["machines"]] == ["node1", "node2", "node3"]


# --------------------------------------------------------------------------- each option with each provider

# A value of each option of `up` that is not its default.
VALUES: dict[str, Any] = {
    "profile": "debian-13",
    "accel": "tcg",
    "machines": 3,
    "cpus": 3,
    "memory_mb": 3000,
    "disk_gb": 30,
    "disk_cache": "writeback",
    "engine": "system",
    "engines": ["containerd"],
    "system_runtimes": ["gvisor"],
    "runtimes": ["runc", "gvisor"],
    "design": "paper",
    "inventory": "hosts.ini",
    "allow_reboot": True,
    "kata_version": "3.31.0",
    "kata_flavour": "rs",
    "kata_archive": "kata.tar",
    "kata_sha256": SHA256,
    "box_sha256": SHA256,
    "gvisor_sha512": SHA512,
    "crun_url": "https://example.org/crun",
    "crun_sha256": SHA256,
    "box": "x.box",
    "scenario": "x.toml",
}
# What runs the machines that rtlab makes.
MADE = ("libvirt", "virtualbox")
ALL_RUNTIMES = ["runc", "kata", "gvisor", "crun", "youki"]
# Where the code of a provider reads a setting, said by hand: an independent list, against which the table is held.
READ_BY = {
    "libvirt": {"accel", "machines", "cpus", "memory_mb", "disk_gb", "disk_cache", "box", "box_sha256"},
    "virtualbox": {"machines", "cpus", "memory_mb", "disk_gb", "disk_cache", "box", "box_sha256"},
    "local": {"engine", "engines", "system_runtimes"},
    "static": {"inventory", "allow_reboot", "engine", "system_runtimes"},
    "simulated": {"machines", "scenario"},
}
OF_RELEASES = {
    "kata_version",
    "kata_flavour",
    "kata_archive",
    "kata_sha256",
    "gvisor_sha512",
    "crun_url",
    "crun_sha256",
}


def options_of_up() -> set[str]:
    """The options of `rtlab up` that are settings."""
    command = get_command(cli.app).get_command(None, "up")  # type: ignore[attr-defined]
    return {p.name for p in command.params} & {f.name for f in fields(config.section("testbed"))}


def settings_with(provider: str, key: str) -> TestbedSettings:
    given = {"provider": provider, "runtimes": ALL_RUNTIMES, key: VALUES[key]}
    if provider == "static":
        given.setdefault("inventory", "hosts.ini")
    return config.load(None, {"testbed": given}).testbed


def test_there_is_a_value_to_try_for_every_option() -> None:
    assert set(VALUES) == options_of_up() - {"provider"}
    assert set(READ_BY) == {*MADE, *plugins.names("providers")} - {"vagrant"}


@pytest.mark.parametrize(("key", "provider"), list(itertools.product(VALUES, READ_BY)))
def test_each_option_with_each_provider_changes_the_settings_or_is_refused(key: str, provider: str, here: Path) -> None:
    wanted = settings_with(provider, key)
    matters = key in {"profile", "runtimes", "design"} | READ_BY[provider]
    if key in OF_RELEASES:
        matters = provider in MADE
    if matters:
        relevance.require_use([key], wanted)
        without = config.load(
            None, {"testbed": {"provider": provider, **({"inventory": "other"} if provider == "static" else {})}}
        ).testbed
        assert getattr(wanted, key) != getattr(without, key)
    else:
        with pytest.raises(UsageError, match=f"--{key.replace('_', '-')} does nothing"):
            relevance.require_use([key], wanted)


@pytest.mark.parametrize(("key", "runtime"), [(key, key.split("_")[0]) for key in sorted(OF_RELEASES)])
def test_what_decides_a_release_needs_its_runtime(key: str, runtime: str) -> None:
    others = [name for name in ALL_RUNTIMES if name != runtime]
    given = {"provider": "libvirt", "runtimes": others, key: VALUES[key]}
    with pytest.raises(UsageError, match=f"without the runtime {runtime}"):
        relevance.require_use([key], config.load(None, {"testbed": given}).testbed)


def test_what_a_resumed_campaign_keeps_is_every_setting_of_a_campaign() -> None:
    assert set(arguments.SPEC) - {"assignments"} == {f.name for f in fields(CampaignSettings)} - {"strict"}


def test_every_setting_is_somebody_s() -> None:
    for item in fields(config.section("testbed")):
        assert relevance.providers_of(item.name), f"no provider uses {item.name}"


def test_what_providers_and_runtimes_say_they_use_are_settings() -> None:
    known = {f.name for f in fields(config.section("testbed"))}
    for name in plugins.names("providers"):
        assert plugins.provider(name).settings <= known
    for name in plugins.names("runtimes"):
        assert set(sections.keys(name).values()) <= known


# --------------------------------------------------------------------------- processes of their own


# Another user may not be able to read this interpreter (pyenv's lie in root's home): everything is loaded before.
AS_USER = """
import importlib, os, pkgutil, sys
import rtlab, encodings.idna, encodings.utf_8_sig, encodings.ascii, encodings.latin_1
for found in pkgutil.walk_packages(rtlab.__path__, "rtlab."):
    if not found.name.endswith(("__main__", "measure", "proof", "client", "cpuid")):
        importlib.import_module(found.name)
user = int(sys.argv.pop(1))
os.setgroups([]); os.setgid(user); os.setuid(user)
rtlab.cli.main()
"""


def process(
    *words: str, cwd: Path, user: int | None = None, redirect: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run rtlab as its users do, with little memory and a limit of time."""
    program = ["-m", "rtlab"] if user is None else ["-c", AS_USER, str(user)]
    shell = ["/bin/sh", "-c", f'exec "$@" {redirect}', "rtlab", sys.executable, *program, *words]
    source = str(Path(cli.__file__).parents[2])
    known = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        shell,
        cwd=cwd,
        env={**known, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
    )


@pytest.mark.parametrize(
    ("redirect", "words", "status"),
    [
        ("</dev/null >&-", "report", 1),
        (">/dev/full", "report", 1),
        (">/dev/full", "report --json", 1),
        (">/dev/full", "export latex", 1),
        (">/dev/full", "init --stdout", 1),
        (">/dev/full", "--help", 1),
        (">/dev/full", "--version", 1),
        ("2>/dev/full", "report", 0),
        ("2>&-", "report", 0),
        (">&- 2>&-", "report", 1),
        ("<&-", "report", 0),
        ("<&- >&- 2>&-", "verify", 0),
        ("2>/dev/full", "verify nothing", 1),
    ],
)
def test_streams_that_take_nothing(redirect: str, words: str, status: int, tmp_path: Path) -> None:
    with_campaign(tmp_path)
    done = process(*words.split(), cwd=tmp_path, redirect=redirect)
    assert done.returncode == status, done.stderr
    assert_said(done.stderr)
    if status and "2>" not in redirect:
        assert "Cannot write the result to standard output" in done.stderr


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}])
@pytest.mark.parametrize("words", ["report", "report --json", "report --format markdown", "compare . ."])
def test_streams_that_know_ascii_only(environment: dict[str, str], words: str, tmp_path: Path) -> None:
    with_campaign(tmp_path)
    folder = tmp_path / "campaigns" / KEPT.name
    done = process(*words.split(), cwd=folder if words.startswith("compare") else tmp_path, **environment)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 11, 12), done.stderr
    if "--json" in words:
        assert json.loads(done.stdout)["campaign"] == KEPT.name


@pytest.mark.parametrize("columns", ["0", "-1", "1", "x", "99999999999999999999", "5000"])
def test_widths_that_are_none(columns: str, tmp_path: Path) -> None:
    with_campaign(tmp_path)
    folder = tmp_path / "campaigns" / KEPT.name
    for words in (["compare", str(folder), str(folder), "--anyway"], ["compare", "--help"]):
        done = process(*words, cwd=tmp_path, COLUMNS=columns, LINES=columns)
        assert done.returncode in (0, 11), done.stderr
        assert_said(done.stderr)


def test_a_working_folder_that_was_removed(tmp_path: Path) -> None:
    code = (
        f"import os; os.chdir({str(tmp_path)!r}); os.rmdir({str(tmp_path)!r}); from rtlab.__main__ import main; main()"
    )
    for words in (
        ["status"],
        ["report"],
        ["plan"],
        ["bench"],
        ["teardown"],
        ["pack"],
        ["up", "--provider", "simulated"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 1, done.stderr
        assert "does not exist any more" in done.stderr
        assert_said(done.stderr)
        tmp_path.mkdir()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("status", 1, "root"),
        ("plan", 1, "root"),
        ("bench", 1, "root"),
        ("teardown", 1, "root"),
        ("report", 1, "sudo chown"),
        ("verify", 1, "sudo chown"),
    ],
)
def test_a_folder_that_root_has_used_says_what_to_do(words: str, status: int, said: str, theirs: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    folder = theirs
    with_testbed(folder)
    with_campaign(folder)
    (folder / "campaigns" / KEPT.name).chmod(0o700)
    done = process(*words.split(), cwd=folder, user=NOBODY)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert_said(done.stderr)


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder of the user nobody. Not below pytest's own, which each session closes to others again."""
    with tempfile.TemporaryDirectory(prefix="rtlab-test-") as place:
        folder = Path(place) / "theirs"
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
        Path(place).chmod(0o755)
        yield folder


def test_what_sudo_makes_belongs_to_who_called_it(theirs: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = theirs
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "HOME": str(folder)}
    for words in ("up --provider simulated", "bench --runs 1 --experiments boot", "report", "pack"):
        done = process(*words.split(), cwd=folder, **sudo)
        assert done.returncode == 0, done.stderr
    others = [p for p in folder.rglob("*") if p.lstat().st_uid != NOBODY]
    # What matplotlib writes by itself is a file or two in a folder of the user's, who can remove them.
    assert not [str(p) for p in others if p.parent.name != "matplotlib"]
    assert process("status", cwd=folder, user=NOBODY).returncode == 0
    assert process("bench", "--runs", "1", "--experiments", "boot", cwd=folder, user=NOBODY).returncode == 0
    subprocess.run(["cp", "-r", folder / "campaigns", folder / "copy"], user=NOBODY, check=True)


def test_sudo_gives_nothing_away_that_was_there_or_lies_elsewhere(theirs: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = theirs
    (folder / "campaigns").mkdir()
    (folder / "campaigns" / "roots").write_text("mine")
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o755)
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    for where in (folder, roots):
        assert process("up", "--provider", "simulated", cwd=where, **sudo).returncode == 0
    assert (folder / "campaigns" / "roots").stat().st_uid == 0
    assert {p.stat().st_uid for p in roots.rglob("*")} == {0}


def test_root_does_not_follow_a_link_to_campaigns_that_somebody_made(theirs: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = theirs
    (tmp_path / "elsewhere").mkdir()
    (folder / "campaigns").symlink_to(tmp_path / "elsewhere")
    os.chown(folder / "campaigns", NOBODY, NOBODY, follow_symlinks=False)
    assert process("up", "--provider", "simulated", cwd=folder).returncode == 0
    done = process("bench", "--runs", "1", cwd=folder)
    assert done.returncode == 1 and "a link that somebody else made" in done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/proc/nowhere"},
        {"HOME": "/dev/null"},
        {"HOME": ""},
        {"XDG_CACHE_HOME": "/proc/nowhere"},
        {"RTLAB_CACHE": "/dev/null/x"},
        {"RTLAB_CACHE": "/proc/nowhere", "TMPDIR": "/proc/nowhere"},
        {"PATH": ""},
        {"LANG": "xx_YY", "TERM": "nonsense"},
    ],
    ids=str,
)
def test_doctor_answers_where_everything_else_is_broken(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".rtlab").write_text("a file")
    (tmp_path / "campaigns").symlink_to("campaigns")
    words = ["doctor", "--json", "--provider", "simulated"]
    done = process(*words, cwd=tmp_path, **environment)
    assert_said(done.stderr)
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["checks"]


def test_doctor_answers_a_user_who_may_write_nowhere(theirs: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    done = process("doctor", "--provider", "simulated", cwd=theirs.parent, user=NOBODY)
    assert done.returncode in (0, 3), done.stderr
    assert_said(done.stderr)
