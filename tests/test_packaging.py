"""What is published: a wheel and an sdist that are whole, metadata that is true, remedies that work today."""

from __future__ import annotations

import ast
import email.parser
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import rtlab

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def metadata(built: Path) -> email.message.Message:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return email.parser.Parser().parsestr(archive.read(name).decode())


def test_the_sdist_is_a_whole_checkout(built: Path) -> None:
    """All that a checkout has under the folders that `make test` reads; programs stay programs."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = {m.name.partition("/")[2]: m for m in archive.getmembers() if m.isfile()}
    generated = ("__pycache__", ".pyc", "/.rtlab/", "/campaigns/")
    wanted = {
        str(p.relative_to(ROOT))
        for folder in (".ci", ".github", "benchmarks", "docs", "playbooks", "roles", "rtlab", "tests")
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and not any(part in str(p) for part in generated)
    }
    wanted |= {p.name for p in ROOT.iterdir() if p.is_file() and p.name != ".git"}
    assert not wanted - members.keys()
    for name in wanted:
        assert bool(members[name].mode & 0o100) == bool((ROOT / name).stat().st_mode & 0o100), name


def test_the_wheel_holds_the_package_and_what_ansible_and_vagrant_read(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for part in ("playbooks", "roles", "Vagrantfile", "ansible.cfg"):
        assert any(name.startswith(f"rtlab/_content/{part}") for name in names)
    assert "rtlab/py.typed" in names and any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


def test_the_metadata_says_what_it_is(metadata: email.message.Message) -> None:
    assert metadata["Version"] == rtlab.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert metadata["Author"] and metadata["Requires-Python"] == "<3.14,>=3.10"
    classifiers = metadata.get_all("Classifier") or []
    assert not [c for c in classifiers if c.startswith("License ::")], "PyPI refuses them beside an expression"
    assert {f"Programming Language :: Python :: 3.{n}" for n in range(10, 14)} <= set(classifiers)


def targets(markdown: str) -> list[str]:
    """Every address that a text links to or shows an image of, as another program reads it."""
    found = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(markdown):
        for child in token.children or ():
            found += [str(v) for k, v in child.attrs.items() if k in ("href", "src")]
    return found


def test_no_link_of_the_long_description_leads_nowhere(metadata: email.message.Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str) and "# rtlab" in text and metadata["Description-Content-Type"] == "text/markdown"
    assert not [t for t in targets(text) if not t.startswith(("https://", "#"))]


def test_links_become_absolute_once_there_is_a_repository() -> None:
    sys.path.insert(0, str(ROOT))
    try:
        from hatch_build import absolute
    finally:
        sys.path.remove(str(ROOT))
    text = "![A report](docs/a.png) and [method](docs/method.md#why), [Kata](https://kata.example/), [here](#words)"
    home = "https://forge.example/us/rtlab"
    assert targets(absolute(text, home, "v1")) == [
        f"{home}/raw/v1/docs/a.png",
        f"{home}/blob/v1/docs/method.md#why",
        "https://kata.example/",
        "#words",
    ]
    assert targets(absolute(text, "", "v1")) == ["https://kata.example/", "#words"]
    readme = (ROOT / "README.md").read_text()
    assert all(t.startswith(("https://", "#")) for t in targets(absolute(readme, home, "v1")))
    assert len(targets(absolute(readme, home, "v1"))) == len(targets(readme))


# The package by its name alone, with options before it or an extra after it.
BARE = re.compile(r"pip install\b(?: -\S+)* ['\"]?rtlab\b")


def test_no_remedy_installs_rtlab_from_where_it_is_not() -> None:
    """Until it is published there, `pip install rtlab` would bring somebody else's package."""
    wrong = []
    for file in (ROOT / "rtlab").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            said = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if BARE.search(said):
                wrong.append(f"{file}: {said}")
    for file in (ROOT / "docs").rglob("*.md"):
        wrong += [str(file) for line in file.read_text().splitlines() if BARE.search(line)]
    assert not wrong
    for line in ("pip install rtlab", "pip install --upgrade rtlab", "pip install 'rtlab[parquet]'"):
        assert BARE.search(line)
    assert not BARE.search("pip install dist/rtlab-1.whl")


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Package to its version and hashes in a lock file."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z0-9_.-]+)==([^ ;]+)(?: ; ([^-]*))?", line):
            key = f"{match[1]} {(match[3] or '').strip()}"
            found[key] = (match[2], frozenset(re.findall(r"--hash=(\S+)", line)))
    return found


def test_the_lock_of_the_image_is_part_of_the_whole_lock() -> None:
    small = {(k.split()[0], *v) for k, v in pins("requirements-run.lock").items()}
    whole = {(k.split()[0], *v) for k, v in pins("requirements.lock").items()}
    assert len(small) > 30 and small <= whole
    assert not re.search("https?://|index-url", (ROOT / "requirements-run.lock").read_text())


def test_the_containerfile_copies_what_there_is() -> None:
    text = (ROOT / "Containerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M) for word in line.split()[:-1]]
    assert copied and all((ROOT / word).exists() for word in copied)
    assert "ENTRYPOINT" in text and "requirements-run.lock" in text
