"""What CI's stages leave out they leave out by a marker: a skip is for what a machine lacks, and .ci/fresh, where
everything can be installed, counts each as a failure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SKIPS = {"skip", "skipif", "importorskip"}


def skips(source: str) -> Iterator[ast.Call]:
    """Calls that skip a test, as a mark or as a statement."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SKIPS:
            yield node


def by_a_variable(source: str) -> list[str]:
    """The skips that depend on the environment, directly or through a name of the module, or whose reason says so."""
    tree = ast.parse(source)
    asked = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and re.search(r"\b(environ|getenv)\b", ast.unparse(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        text
        for call in skips(source)
        if re.search(r"\b(environ|getenv)\b|RTLAB_[A-Z_]+", text := ast.unparse(call))
        or asked & {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
    ]


@pytest.mark.parametrize("file", sorted(TESTS.rglob("test_*.py")), ids=lambda f: f.name)
def test_no_skip_depends_on_a_variable(file: Path) -> None:
    assert by_a_variable(file.read_text()) == [] or file == Path(__file__)


@pytest.mark.parametrize(
    "source",
    [
        'pytestmark = [pytest.mark.skipif("RTLAB_TEST_FAULTS" not in os.environ, reason="slow")]',
        'BUILDS = bool(os.environ.get("BUILDS"))\n@pytest.mark.skipif(not BUILDS, reason="ten minutes")\ndef t(): ...',
        'def test():\n    pytest.skip("RTLAB_TEST_FAULTS=1 runs it")',
    ],
)
def test_such_a_skip_is_seen(source: str) -> None:
    assert len(by_a_variable(source)) == 1


def test_what_is_slow_is_in_no_stage() -> None:
    for script in (".ci/test", ".ci/vm", "Makefile"):
        chosen = re.findall(r'pytest -m (".*?"|\S+)', (ROOT / script).read_text())
        assert chosen and all("not slow" in words for words in chosen), script
