"""The state folder: private, journalled ahead, locked by the living only."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from rtlab import plugins
from rtlab.errors import StoreError, TestbedMissing, Unsafe
from rtlab.state import StateFolder, testbed_from_json, testbed_to_json
from tests.conftest import make_testbed


def test_a_testbed_survives_the_way_through_json(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    bed = make_testbed(2)

    state.write_testbed(bed)

    assert state.testbed() == bed
    assert (tmp_path / ".rtlab").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".rtlab" / "testbed.json").stat().st_mode & 0o777 == 0o600


def test_no_testbed_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(TestbedMissing) as caught:
        StateFolder(tmp_path / ".rtlab").testbed()
    assert "rtlab up" in caught.value.remedy


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a folder away")
    (tmp_path / ".rtlab").mkdir()
    os.chown(tmp_path / ".rtlab", 65534, 65534)
    with pytest.raises(Unsafe, match="belongs to another user"):
        StateFolder(tmp_path / ".rtlab").prepare()


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".rtlab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unsafe, match="symbolic link"):
        StateFolder(tmp_path / ".rtlab").prepare()


@pytest.mark.parametrize("link", ["vagrant", "vagrant/home"])
def test_a_link_in_place_of_a_folder_in_it_is_refused(tmp_path: Path, link: str) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    (tmp_path / "elsewhere").mkdir()
    (state.folder("x").parent / link).parent.mkdir(exist_ok=True)
    (tmp_path / ".rtlab" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unsafe, match="is a link"):
        state.folder("vagrant/home")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_outstanding_is_what_may_exist_newest_first(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    state.note("intend", "network", "n1", "t1")
    state.note("have", "network", "n1", "t1")
    state.note("intend", "domain", "d1", "t1", uuid="u")
    state.note("intend", "volume", "v1", "t1")
    state.note("gone", "volume", "v1", "t1")
    state.note("intend", "domain", "other", "t2")

    outstanding = state.outstanding("t1")

    assert [(e.kind, e.name, e.step) for e in outstanding] == [("domain", "d1", "intend"), ("network", "n1", "have")]
    assert outstanding[0].details == {"uuid": "u"}


def test_a_torn_last_line_of_the_journal_is_passed_over_a_damaged_one_is_named(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    state.note("intend", "network", "n1", "t1")
    file = tmp_path / ".rtlab" / "journal.jsonl"
    whole = file.read_text()
    file.write_text(whole + whole[: len(whole) // 2])

    assert [e.name for e in state.journal()] == ["n1"]
    file.write_text(whole[:10] + "\n" + whole)
    with pytest.raises(StoreError, match="line 1 is damaged"):
        state.journal()


def test_the_id_of_a_half_made_testbed_comes_from_the_journal(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    assert state.testbed_id() is None
    state.note("intend", "network", "n1", "0123abcd")
    assert state.testbed_id() == "0123abcd"


def test_clear_removes_keys_and_each_providers_folder_and_keeps_the_logs(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    state.write_testbed(make_testbed())
    (state.folder("keys") / "id").write_text("secret")
    (state.folder("logs") / "up.log").write_text("kept")
    state.folder("somebodys")
    for provider in plugins.names("providers"):
        (state.folder(provider) / "disk").write_text("its own")

    state.clear(plugins.names("providers"))

    assert state.testbed_id() is None
    assert {f.name for f in state.path.iterdir() if f.is_dir()} == {"logs", "somebodys"}
    assert (state.path / "logs" / "up.log").read_text() == "kept"


def test_a_testbed_of_another_version_is_refused() -> None:
    data = testbed_to_json(make_testbed())
    with pytest.raises(StoreError, match="not one of this version"):
        testbed_from_json({**data, "flavour": "new"})


def test_a_providers_folder_has_its_name() -> None:
    """``clear`` finds it by that; what lies in another one would stay for ever."""
    package = Path(plugins.__file__).parent / "providers"
    used = {
        (name, node.args[0].value.partition("/")[0])
        for name in plugins.names("providers")
        for file in (package / name).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "state.folder"
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }
    assert {("local", "local"), ("vagrant", "vagrant")} <= used
    assert not {(name, folder) for name, folder in used if folder not in (name, "keys", "ansible", "logs")}
