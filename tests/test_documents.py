"""``--json``: every document has the shape of its example in docs/json.md, and errors are documents, too."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtlab import cli
from rtlab.cli import documents

PAGE = (Path(__file__).parent.parent / "docs" / "json.md").read_text()
EXAMPLES: dict[str, Any] = {
    name: json.loads(text) for name, text in re.findall(r"^```json (\w+)\n(.*?)^```", PAGE, flags=re.M | re.S)
}
ANY = "…"


def printed(*words: str) -> tuple[int, Any]:
    """The exit status and the document of one command line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = cli.run(list(words))
    return status, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, Any]]]:
    """What every command prints in the course of two simulated campaigns."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("study"))
    try:
        bench = ("bench", "--experiments", "boot,memory", "--json")
        found = {"up": printed("up", "--provider", "simulated", "--json")}
        found["plan"] = printed("plan", "--runs", "1", "--experiments", "boot", "--json")
        found["bench"] = printed(*bench, "--runs", "4", "--seed", "7")
        first = Path(found["bench"][1]["campaign"]).name
        second = Path(printed(*bench, "--runs", "5", "--seed", "8", "--name", "b")[1]["campaign"]).name
        found["compare"] = printed("compare", first, second, "--json")
        found["campaigns"] = printed("campaigns", "--json")
        found["show"] = printed("show", "3", "--json")
        found["status"] = printed("status", "--json")
        found["report"] = printed("report", "--json")
        found["precision"] = printed("plan", "--target", "5%", "--json")
        found["verify"] = printed("verify", "--json")
        found["pack"] = printed("pack", "--json")
        found["formats"] = printed("export", "--json")
        found["export"] = printed("export", "hyperfine", "-o", "h.json", "--json")
        found["error"] = printed("show", "9999", "--json")
        found["doctor"] = printed("doctor", "--provider", "simulated", "--json")
        found["teardown"] = printed("teardown", "--json")
        yield found
    finally:
        os.chdir(before)


def differences(example: Any, real: Any, where: str = "") -> list[str]:
    """Where a document is not of its example's shape."""
    if example == ANY:
        return []
    if isinstance(example, dict):
        if not isinstance(real, dict):
            return [f"{where} is no object"]
        found = []
        if ANY not in example:
            found += [f"{where}.{key} is not in the example" for key in real.keys() - example.keys()]
        found += [f"{where}.{key} is not printed" for key in example.keys() - real.keys() - {ANY}]
        for key in example.keys() & real.keys():
            found += differences(example[key], real[key], f"{where}.{key}")
        return found
    if isinstance(example, list):
        if not isinstance(real, list):
            return [f"{where} is no list"]
        return [line for one in real if example for line in differences(example[0], one, f"{where}[]")]
    if example is None or real is None:
        return []
    numbers = isinstance(example, int | float) and isinstance(real, int | float)
    return [] if type(example) is type(real) or numbers else [f"{where} is {real!r}, not like {example!r}"]


def test_every_schema_has_an_example_of_its_version() -> None:
    assert EXAMPLES.keys() == documents.VERSIONS.keys()
    for name, example in EXAMPLES.items():
        assert example["schema"] == {"name": name, "version": documents.VERSIONS[name]}


@pytest.mark.parametrize("name", sorted(documents.VERSIONS.keys() - {"box"}))
def test_a_document_has_the_shape_of_its_example(name: str, said: dict[str, tuple[int, Any]]) -> None:
    _, document = said[name]
    assert document["schema"] == EXAMPLES[name]["schema"]
    assert not differences(EXAMPLES[name], document)


def test_a_box_has_the_shape_of_its_example() -> None:
    from rtlab.artifacts.box.catalogue import Box
    from rtlab.cli.box import _as_json

    box = Box(
        name="rtlab/debian-12",
        version="1",
        path=Path("/x"),
        sha256="0" * 64,
        metadata_path=Path("/y"),
        suite="debian-12",
        backend="libvirt",
        cached=True,
    )
    example = {key: value for key, value in EXAMPLES["box"].items() if key != "schema"}
    assert not differences(example, _as_json(box))


def test_the_comparison_of_shapes_finds_what_is_missing_added_and_of_another_kind() -> None:
    example = {"a": 1, "b": [{"c": "x"}], "d": {ANY: 3}}
    assert not differences(example, {"a": 2.5, "b": [], "d": {"z": 1}})
    assert differences(example, {"a": 1, "b": [{"c": 1}], "d": {}}) == [".b[].c is 1, not like 'x'"]
    assert differences(example, {"a": 1, "b": []}) == [".d is not printed"]
    assert differences(example, {"a": 1, "b": [], "d": {}, "e": 0}) == [".e is not in the example"]


def test_a_seed_that_is_given_is_the_seed_and_the_exit_status_stands_in_the_comparison(
    said: dict[str, tuple[int, Any]],
) -> None:
    status, compared = said["compare"]
    assert status == compared["status"] and status in (0, 10, 11)
    assert {c["exploratory"] for c in compared["changes"]} == {False}
    assert {c["exploratory"] for c in compared["exploratory"]} == {True}


def test_exploratory_verdicts_stand_apart_in_a_report(said: dict[str, tuple[int, Any]]) -> None:
    document = said["report"][1]
    assert {(c["experiment"], c["exploratory"]) for c in document["comparisons"]} == {
        ("boot", False),
        ("memory", False),
    }
    assert document["exploratory"] and all(c["exploratory"] for c in document["exploratory"])


@pytest.mark.parametrize(
    ("words", "kind", "status"),
    [
        (("bench", "--json"), "TestbedMissing", 1),
        (("bench", "--runs", "x", "--json"), "UsageError", 2),
        (("frobnicate", "--json"), "UsageError", 2),
        (("report", "--format", "json"), "StoreError", 1),
        (("up", "--provider", "simulated", "--runtimes", "kota", "--json"), "ConfigError", 2),
    ],
)
def test_an_error_is_a_document_with_the_exit_status_of_the_process(
    words: tuple[str, ...], kind: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    returned, document = printed(*words)

    assert returned == status
    assert document["error"]["kind"] == kind and document["error"]["exit_code"] == status
    assert document["error"]["message"]
    assert not differences(EXAMPLES["error"], document)


def test_only_an_own_option_asks_for_json() -> None:
    assert documents.asked(["report", "--json"])
    assert documents.asked(["report", "--format=json"])
    assert not documents.asked(["report", "--format", "markdown"])
    assert not documents.asked(["ssh", "node1", "--", "docker", "info", "--json"])
