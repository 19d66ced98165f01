"""A campaign folder: whole or not at all, and read as data from strangers."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rtlab import arrival, content, store
from rtlab.errors import Locked, StoreError, Unsafe
from rtlab.model import Outcome
from rtlab.store import reading
from tests.conftest import make_record, make_spec, make_testbed, make_trial

FILES = {"stdout": b"out\xff", "stderr": b"", "probe.json": b'{"measured": {"a": 1}}'}


def new_campaign(tmp_path: Path) -> store.Campaign:
    plan = [make_trial(1), make_trial(2, runtime="gvisor", arm="gvisor")]
    return store.create(tmp_path / "campaigns", make_spec(runs=1), make_testbed(), plan)


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    record = campaign.write_trial(make_record(), FILES)

    again = store.Campaign(campaign.folder)

    assert again.spec == make_spec(runs=1)
    assert again.plan == campaign.plan
    assert again.plan[1].runtime == "gvisor"
    assert again.records() == (record,)
    (raw,) = again.raw_outputs()
    assert raw.probe == {"measured": {"a": 1}}
    assert raw.stdout == "out\N{REPLACEMENT CHARACTER}"
    # sha256 of the empty string, from FIPS 180-4's test vectors
    assert record.files["stderr"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


# Numbers that JSON does not know or no float can hold, halves of characters; and ordinary texts that look like them.
@pytest.mark.parametrize(
    "text",
    [
        b"[NaN]",
        b"[-Infinity]",
        b"[1e999]",
        b"[-0.5E+1000 ]",
        b'{"a": 12e400}',
        b"[" + b"9" * 400 + b"]",
        b'["\\ud800"]',
        b'{"\\uDFFF": 1}',
        b"[" * 60 + b"]" * 60,
        b'["NaN", "Infinity", "1e999]"]',
        b'["\\u00e9", 1e30, 1.5E-300, 12345678901234567890]',
    ],
)
def test_the_quick_look_at_a_text_finds_what_the_look_at_each_value_does(text: bytes) -> None:
    def outcome(value: object) -> object:
        return json.dumps(value, ensure_ascii=False).encode()  # which half a character cannot be

    try:
        expected = outcome(arrival.writable(arrival.parse(text)))
    except arrival.Refused:
        with pytest.raises(arrival.Refused):
            reading.parsed(text)
    else:
        assert outcome(reading.parsed(text)) == expected


def test_the_published_testbed_names_no_keys_addresses_or_paths(tmp_path: Path) -> None:
    bed = make_testbed()
    machine = bed.machines[0]
    from dataclasses import replace

    bed = replace(bed, machines=(replace(machine, address="192.0.2.7", key_file="/home/alice/key", user="alice"),))
    campaign = store.create(tmp_path, make_spec(), bed, [])

    text = (campaign.folder / "testbed.json").read_text()

    assert "alice" not in text
    assert "192.0.2.7" not in text


def test_a_changed_raw_file_is_refused_and_listed(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    campaign.write_trial(make_record(), FILES)
    (folder,) = campaign.trial_folders()
    (folder / "stdout").write_bytes(b"better numbers")

    with pytest.raises(StoreError, match="SHA-256"):
        list(campaign.raw_outputs())
    assert campaign.changed_files() == (f"trials/{folder.name}/stdout: changed",)


def test_every_truncation_of_a_record_is_refused_never_misread(tmp_path: Path) -> None:
    """The power-loss model: the record cut at every byte."""
    campaign = new_campaign(tmp_path)
    record = campaign.write_trial(make_record(), FILES)
    (folder,) = campaign.trial_folders()
    whole = (folder / "record.json").read_bytes()

    for length in range(len(whole)):
        (folder / "record.json").write_bytes(whole[:length])
        try:
            (found,) = campaign.records()
        except StoreError as error:
            assert str(folder / "record.json") in error.message
        else:
            assert found == record  # only the final newline may be missing


def test_a_torn_last_line_of_the_plan_is_passed_over_but_not_one_in_the_middle(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    file = campaign.folder / "plan.jsonl"
    whole = file.read_text()
    file.write_text(whole + '{"number": 3, "blo')

    assert [t.number for t in campaign.plan] == [1, 2]
    lines = whole.splitlines()
    file.write_text(lines[0][:20] + "\n" + lines[1] + "\n")
    with pytest.raises(StoreError, match="line 1 is damaged"):
        _ = campaign.plan


def test_a_newer_schema_is_refused_with_both_numbers(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    header = json.loads((campaign.folder / "campaign.json").read_text())
    (campaign.folder / "campaign.json").write_text(json.dumps({**header, "schema": 99, "rtlab": "9.9"}))

    with pytest.raises(StoreError, match=r"schema 99 \(rtlab 9\.9\).*up to 1"):
        _ = store.Campaign(campaign.folder).spec


def test_a_link_in_place_of_a_raw_file_is_refused(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    campaign.write_trial(make_record(), FILES)
    (folder,) = campaign.trial_folders()
    (folder / "stdout").unlink()
    (folder / "stdout").symlink_to("/etc/passwd")

    with pytest.raises(StoreError, match="Cannot read"):
        list(campaign.raw_outputs())


@pytest.mark.parametrize("link", ["trials", "calibration", "facts", "facts/node1"])
def test_nothing_is_written_through_a_link_in_place_of_a_folder(tmp_path: Path, link: str) -> None:
    campaign = new_campaign(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    if (campaign.folder / link).is_dir():
        (campaign.folder / link).rmdir()
    (campaign.folder / link).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Unsafe, match="is a link"):
        if link.startswith("facts"):
            campaign.write_facts("node1", {})
        else:
            campaign.write_trial(make_record(), FILES, link)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_fifo_in_place_of_a_record_does_not_hang(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    campaign.write_trial(make_record(), FILES)
    (folder,) = campaign.trial_folders()
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")

    with pytest.raises(StoreError, match="not a regular file"):
        campaign.records()


def test_a_full_disk_keeps_what_was_stored_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = new_campaign(tmp_path)
    campaign.write_trial(make_record(), FILES)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        campaign.write_trial(make_record(make_trial(2)), FILES)
    monkeypatch.undo()

    assert "Free some space" in caught.value.remedy
    assert [r.trial.number for r in campaign.records()] == [1]
    assert [p.name for p in (campaign.folder / "trials").iterdir()] == ["0001.1-boot-runc-node1"]


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    code = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from rtlab.store import Campaign
        with Campaign(Path({str(campaign.folder)!r})).locked("rtlab bench"):
            print("held", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(Locked, match=f"`rtlab bench`, process {holder.pid}"), campaign.locked("x"):
            pass
        holder.kill()
        holder.wait()

    with campaign.locked("y"):
        pass


def test_leftovers_of_a_killed_write_are_swept_and_never_counted(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    torn = campaign.folder / "trials" / ".0001.1-boot-runc-node1.abcd.tmp"
    torn.mkdir()
    (torn / "stdout").write_bytes(b"half")

    assert campaign.records() == ()
    campaign.sweep()
    assert not torn.exists()


def test_the_digest_ignores_the_seed_but_not_the_testbed() -> None:
    spec = make_spec()

    assert store.spec_digest(spec, "a") == store.spec_digest(make_spec(seed=99), "a")
    assert store.spec_digest(spec, "a") != store.spec_digest(spec, "b")
    assert store.spec_digest(spec, "a") != store.spec_digest(make_spec(runs=3), "a")


def test_find_takes_a_beginning_and_names_the_rivals(tmp_path: Path) -> None:
    first = store.create(tmp_path, make_spec(name="one"), make_testbed(), [])
    second = store.create(tmp_path, make_spec(name="two"), make_testbed(), [])

    assert store.find(tmp_path).folder == second.folder
    assert store.find(tmp_path, "last").folder == second.folder
    assert store.find(tmp_path, first.folder.name).folder == first.folder
    assert store.find(tmp_path, str(first.folder)).folder == first.folder
    with pytest.raises(StoreError, match="fits several campaigns"):
        store.find(tmp_path, "2")
    with pytest.raises(StoreError, match="There is no campaign"):
        store.find(tmp_path / "none")


def test_a_campaign_on_machines_that_rtlab_made_keeps_what_they_were_made_from(tmp_path: Path) -> None:
    campaign = store.create(tmp_path, make_spec(), make_testbed(), [], made_with=content.root())
    for kept, of in (("Vagrantfile", "Vagrantfile"), ("ansible/playbooks/site.yml", "playbooks/site.yml")):
        assert (campaign.folder / kept).read_bytes() == (content.root() / of).read_bytes()
    roles = {p.name for p in (campaign.folder / "ansible/roles").iterdir()}
    assert {"common", "docker", "kata", "gvisor"} <= roles
    assert not list(campaign.folder.rglob("__pycache__"))
    assert store.find(tmp_path).spec == make_spec()
    without = store.create(tmp_path, make_spec(name="static"), make_testbed(), [])
    assert not (without.folder / "ansible").exists()


def test_failed_trials_are_stored_like_all_others(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path)
    campaign.write_trial(make_record(outcome=Outcome.TIMED_OUT, reason="hung", exit_status=None, boot_id=None), {})

    (raw,) = campaign.raw_outputs()

    assert raw.record.outcome is Outcome.TIMED_OUT
    assert raw.record.exit_status is None
    assert raw.probe == {}
