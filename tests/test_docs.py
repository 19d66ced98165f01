"""Commands in the documents exist, with their options; the simulated block is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rtlab.cli import COMMANDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks as (info string, content)."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        for info, content in blocks(document.read_text()):
            if info.split()[:1] in (["sh"], ["console"]):
                lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in content.splitlines()]
                found += [(document.name, line) for line in lines if line.startswith("rtlab ")]
    return found


@pytest.mark.parametrize(("document", "line"), commands())
def test_every_command_in_the_documents_exists_with_its_options(document: str, line: str) -> None:
    words = shlex.split(line)[1:]
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, f"{document}: {line}"
    nested = words[:2] if words[0] == "box" else words[:1]
    shown = subprocess.run(
        [sys.executable, "-m", "rtlab", *nested, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for option in (w.split("=")[0] for w in words if w.startswith("--") and w != "--"):
        assert option in shown, f"{document}: {line}: no option {option}"


def test_the_workflow_example_uses_commands_that_exist() -> None:
    text = (ROOT / "docs" / "examples" / "compare.yml").read_text()
    lines = [
        line[line.index("rtlab ") :] for line in text.splitlines() if re.search(r"(^|\$PATH\" | )rtlab [a-z]+ ", line)
    ]
    lines = [line for line in lines if not line.startswith("rtlab is")]
    assert {"doctor", "up", "bench", "compare"} <= {line.split()[1] for line in lines if line.split()[1] in COMMANDS}
    for line in lines:
        name, *words = re.split(r"[ >|]+", line)[1:]
        if name in COMMANDS:
            shown = subprocess.run(
                [sys.executable, "-m", "rtlab", name, "--help"], capture_output=True, text=True, check=True, timeout=60
            ).stdout
            for option in (word for word in words if word.startswith("--")):
                assert option in shown, line
    assert "compare" in text and "--markdown > comment.md" in text and "<!-- rtlab compare -->" in text


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith(("http:", "https:")):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_simulated_block_of_the_first_campaign_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "first-campaign.md").read_text()
    (script,) = [content for info, content in blocks(text) if info == "sh simulated"]

    for line in script.splitlines():
        words = shlex.split(line)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "rtlab", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{line}:\n{done.stderr}"
    assert list(tmp_path.glob("campaigns/*/report/index.html"))


def test_the_readme_has_exactly_two_commands_for_a_fresh_machine() -> None:
    readme = (ROOT / "README.md").read_text()
    first = next(text for language, text in blocks(readme) if language == "sh").split("\n")
    assert [line for line in first if line] == ["make bench", "make test"]


PROOFS = re.findall(r"^\| ([SF]\d+) \| (.+) \|$", (ROOT / "docs" / "proofs.md").read_text(), re.M)


@pytest.mark.parametrize(("document", "letter", "least"), [("security.md", "S", 30), ("faults.md", "F", 50)])
def test_every_row_of_a_table_of_promises_has_its_proof(document: str, letter: str, least: int) -> None:
    lines = [line for line in (ROOT / "docs" / document).read_text().splitlines() if line.startswith("| ")]
    rows = [cells for line in lines if len(cells := line.strip("| ").split(" | ")) == 3 and cells[-1] != "proof"]
    expected = [f"{letter}{number}" for number in range(1, len(rows) + 1)]
    assert len(rows) > least
    assert [row[-1] for row in rows] == expected == [row for row, _ in PROOFS if row[0] == letter]


def test_every_test_that_proves_a_row_exists() -> None:
    for row, tests in PROOFS:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", tests)
        assert named and len(named) == tests.count("`") / 2, row
        for file, name in named:
            source = (ROOT / file).read_text()
            assert f"\ndef {name}(" in source if name else "\ndef test_" in source, f"{row}: {file}::{name}"


def test_no_other_page_names_single_tests() -> None:
    """They stand in proofs.md: in prose they are in the reader's way."""
    for document in DOCUMENTS:
        if document.name != "proofs.md":
            assert not re.search(r"tests/[\w/]+\.py::", document.read_text()), document
