"""``rtlab pack``: nothing leaves that is not on the allow-list, and the archive can be checked and opened."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab import atomic, report, store
from rtlab.errors import StoreError, UsageError
from rtlab.model import EngineAt, Outcome
from rtlab.publish import pack, payload
from rtlab.publish.redaction import Redaction
from rtlab.state import testbed_to_json as bed_to_json
from rtlab.store import Campaign

# What must never leave: each of another kind, planted wherever a campaign can hold it.
SECRETS = {
    "host": "wolperdinger",
    "fqdn": "wolperdinger.lab.mycompany.internal",
    "user": "jdoe1977",
    "mac": "52:54:00:ab:cd:ef",
    "ipv4": "10.11.12.13",
    "ipv6": "fe80::5054:ff:feab:cdef",
    "proxy": "http://jdoe1977:hunter2@proxy.mycompany.internal:3128",
    "apt": "deb http://mirror.mycompany.internal/debian bookworm main",
    "mail": "jdoe1977@mycompany.internal",
    "home": "/home/jdoe1977/bench",
    "token": "password=hunter2",
}
PIECES = ("wolperdinger", "jdoe1977", "52:54:00:ab", "10.11.12.13", "fe80::5054", "hunter2", "mycompany")


def rtlab(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtlab", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    assert rtlab("up", "--provider", "simulated", cwd=folder).returncode == 0
    assert rtlab("bench", "--runs", "4", "--seed", "3", cwd=folder).returncode == 0
    return next((folder / "campaigns").iterdir())


def copy(campaign: Path, to: Path) -> Path:
    target = to / campaign.name
    for file in campaign.rglob("*"):
        if file.is_file():
            (target / file.relative_to(campaign)).parent.mkdir(parents=True, exist_ok=True)
            (target / file.relative_to(campaign)).write_bytes(file.read_bytes())
    return target


def unpack(archive: Path, to: Path) -> Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(to)
    (bag,) = [p for p in to.iterdir() if p.is_dir()]
    return bag


def everything(archive: Path) -> bytes:
    """All names and contents of an archive, and its own frame."""
    with zipfile.ZipFile(archive) as content:
        return b"\0".join([n.encode() + b"\0" + content.read(n) for n in content.namelist()]) + content.comment


def leaks(archive: Path) -> list[str]:
    found = everything(archive).lower()
    return [piece for piece in PIECES if piece.encode() in found]


# --------------------------------------------------------------------------- what leaves


def plant(folder: Path) -> None:
    """Every secret in every place: facts under known, unknown and nested keys, as keys, in wrong types and shapes; in
    the testbed's fields and details, the spec, records' reasons, raw files, looks."""
    hostile: dict[str, Any] = {f"unknown_{k}": v for k, v in SECRETS.items()}
    hostile |= dict.fromkeys(SECRETS.values(), 1)
    hostile |= {"hostname": SECRETS["host"], "network_interfaces": {"eth0": {"mac": SECRETS["mac"]}}}
    hostile |= {"apt_sources": [SECRETS["apt"]], "nested": {"deep": [{"deeper": list(SECRETS.values())}]}}
    hostile |= {"memory_total_bytes": SECRETS["host"], "kernel": f"6.1.0-{SECRETS['host']}", "kvm": SECRETS["user"]}
    hostile |= {"distribution": f"Debian of {SECRETS['user']}", "load": [SECRETS["ipv4"], 0.5]}
    hostile |= {
        "kernel_command_line": f"quiet ip={SECRETS['ipv4']} hostname={SECRETS['host']}",
        "boot_id": SECRETS["host"],
    }
    hostile |= {"modules": [SECRETS["host"], {"x": SECRETS["user"]}], "cgroups": {"v2": SECRETS["mail"]}}
    hostile |= {"cpu": {"model": f"CPU {SECRETS['mac']}", SECRETS["user"]: 1, "mitigations": {SECRETS["host"]: "x"}}}
    hostile |= {"docker": {"version": SECRETS["proxy"], "http_proxy": SECRETS["proxy"], "components": SECRETS}}
    hostile |= {"runtimes": {"runc": {"path": SECRETS["home"], "arguments": [f"--root={SECRETS['home']}"]}}}
    hostile |= {
        "images": {f"{SECRETS['fqdn']}:5000/httpd:1": {"id": SECRETS["host"], "digests": list(SECRETS.values())}}
    }
    campaign = Campaign(folder)
    for file in folder.glob("facts/*/*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), **hostile}))
    bed = campaign.testbed
    machines = tuple(
        replace(
            m,
            address=SECRETS["ipv4"],
            user=SECRETS["user"],
            home=SECRETS["home"],
            key_file=SECRETS["home"],
            known_hosts_file=SECRETS["home"],
            python=SECRETS["home"],
            netns=SECRETS["host"],
            engine=EngineAt(name=m.engine.name, socket=SECRETS["home"], cli=SECRETS["home"]),
        )
        for m in bed.machines
    )
    details = {**bed.details, **SECRETS, "netns": SECRETS["host"], "runtime_notes": {"kata": SECRETS["home"]}}
    details |= {"box": {"name": SECRETS["fqdn"], "path": SECRETS["home"]}, "scenario_name": SECRETS["home"]}
    details |= {"images": {"httpd": f"{SECRETS['fqdn']}/httpd:1"}, "engine": {"docker": SECRETS["proxy"]}}
    hidden = bed_to_json(replace(bed, machines=machines, details=details))
    atomic.write_json(folder / "testbed.json", hidden)
    header = json.loads((folder / "campaign.json").read_text())
    header["spec"]["images"] = {"httpd": f"{SECRETS['fqdn']}:5000/httpd:1", SECRETS["mail"]: "x"}
    header["spec"]["parameters"]["network"]["url"] = SECRETS["proxy"]
    header["spec"]["parameters"]["io"]["folder"] = SECRETS["home"]
    header["rtlab"] = SECRETS["host"] + "@"
    header["planted"] = SECRETS
    atomic.write_json(folder / "campaign.json", header)
    for number, trial in enumerate(sorted(folder.glob("trials/*"))):
        record = json.loads((trial / "record.json").read_text())
        probe = json.loads((trial / "probe.json").read_text())
        if number % 2:
            probe["context"]["new_kernel_messages"] = [f"eth0: {v}" for v in SECRETS.values()]
            probe["context"][SECRETS["mac"]] = SECRETS["host"]
            (trial / "stderr").write_text("\n".join(SECRETS.values()))
            (trial / "probe.json").write_text(json.dumps(probe))
        if number == 4:
            record |= {"outcome": "failed", "reason": f"Cannot reach {SECRETS['fqdn']} ({SECRETS['ipv4']})"}
        record["files"] = {n: hashlib.sha256((trial / n).read_bytes()).hexdigest() for n in record["files"]}
        (trial / "record.json").write_text(json.dumps(record))
    (folder / "notes.txt").write_text(str(SECRETS))
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "index.html").write_text(str(SECRETS))


def test_nothing_outside_the_allow_list_leaves(measured: Path, tmp_path: Path) -> None:
    folder = copy(measured, tmp_path / "campaigns")
    plant(folder)

    packed = pack.pack(Campaign(folder), tmp_path / "out.zip")

    assert leaks(packed.file) == []
    assert sum(packed.withheld.values()) > 50
    bag = unpack(packed.file, tmp_path / "open")
    told = json.loads((bag / "data" / "redacted.json").read_text())
    assert told["withheld_fields"]["facts.hostname"] == 2
    assert told["withheld_fields"]["facts.network_interfaces"] == 2
    assert told["withheld_fields"]["testbed.machines.user"] == 2
    assert told["withheld_other_fields"] > 20
    assert report.build(Campaign(bag / "data" / folder.name)).observations


def test_what_is_allowed_arrives_unchanged(measured: Path, tmp_path: Path) -> None:
    packed = pack.pack(Campaign(measured), tmp_path / "out.zip")
    bag = unpack(packed.file, tmp_path / "open")
    here, there = Campaign(measured), Campaign(bag / "data" / measured.name)

    assert there.spec == here.spec and there.plan == here.plan and there.records() == here.records()
    assert there.facts() == here.facts()
    assert report.build(there).observations == report.build(here).observations
    assert report.build(there).analysis.comparisons == report.build(here).analysis.comparisons
    assert packed.changed == () and packed.replaced == {}


def test_raw_files_that_had_to_change_are_named_with_their_first_digests(measured: Path, tmp_path: Path) -> None:
    folder = copy(measured, tmp_path / "campaigns")
    plant(folder)
    packed = pack.pack(Campaign(folder), tmp_path / "out.zip")
    bag = unpack(packed.file, tmp_path / "open")

    lines = (bag / "data" / "original-sha256.txt").read_text().splitlines()
    originals = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    told = json.loads((bag / "data" / "redacted.json").read_text())
    assert set(told["raw_files_changed"]) == set(packed.changed) and packed.changed
    for path, digest in originals.items():
        measured_file = folder.parent / path
        assert hashlib.sha256(measured_file.read_bytes()).hexdigest() == digest
        same = (bag / "data" / path).read_bytes() == measured_file.read_bytes()
        assert same == (path not in packed.changed)
    assert Campaign(bag / "data" / folder.name).changed_files() == ()


def test_machines_that_the_user_named_get_pseudonyms(measured: Path, tmp_path: Path) -> None:
    """Provider static takes its names from the user's inventory: they are in plan, records, folders and facts."""
    folder = copy(measured, tmp_path / "campaigns")
    for file in (folder / "plan.jsonl", folder / "testbed.json", *folder.glob("trials/*/record.json")):
        file.write_text(file.read_text().replace('"node1"', '"wolperdinger"').replace('"node2"', '"jdoe1977"'))
    for old, new in (("node1", "wolperdinger"), ("node2", "jdoe1977")):
        (folder / "facts" / old).rename(folder / "facts" / new)
        for trial in list(folder.glob(f"trials/*-{old}")):
            trial.rename(trial.with_name(trial.name.replace(old, new)))

    packed = pack.pack(Campaign(folder), tmp_path / "out.zip")

    assert leaks(packed.file) == []
    bag = unpack(packed.file, tmp_path / "open")
    found = Campaign(bag / "data" / folder.name)
    assert {t.machine for t in found.plan} == {"machine1", "machine2"} == set(found.facts())
    before, after = report.build(Campaign(folder)), report.build(found)
    assert after.analysis.comparisons == before.analysis.comparisons


def test_the_controllers_own_names_are_looked_for(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "wolperdinger")
    monkeypatch.setenv("USER", "jdoe1977")
    assert {"wolperdinger", "jdoe1977"} <= payload.names(Campaign(measured))


# --------------------------------------------------------------------------- texts


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("frame", ["{}", "x {} y", "[{}]", '"{}"', "a={};b", "({}),", "\n{}\n"])
def test_each_kind_of_secret_is_found_in_each_surrounding(secret: str, frame: str) -> None:
    found = Redaction(["wolperdinger", "jdoe1977"]).text(frame.format(secret)).lower()
    assert [piece for piece in PIECES if piece in found] == []


@pytest.mark.parametrize(
    "text",
    [
        "runc version 1.1.5+ds1, spec: 1.0.2-dev, go: go1.19.8, libseccomp: 2.5.4",
        "Docker 20.10.24+dfsg1, kernel 6.1.0-18-amd64, 4.15.0-213-generic",
        "2026-11-23T12:44:09Z 12:44:09 127.0.0.1:80 ::1 0.0.0.0",
        "rtlab,2,1700000000,2G,,,,98304,5,12345.6,++++,0000:00:1f.2",
        "httpd@sha256:" + "ab" * 32,
        "1.98,1.98,rtlab,1,1700000000,2G,,8192,5,,,98304,5,77824,4",
        "https://github.com/containerd/containerd v1.6.20",
        "io.containerd.runc.v2 /usr/bin/containerd-shim-runc-v2 docker.io/library/httpd:2.4",
        "the kata runtime on node1, root user, simulated",
    ],
)
def test_what_names_nobody_stays(text: str) -> None:
    assert Redaction(["root", "localhost", "kata", "wolperdinger"], ["node1", "local"]).text(text) == text


def test_of_a_kernels_command_line_only_known_words_leave() -> None:
    redaction = Redaction([])
    line = "mitigations=auto,nosmt quiet root=/dev/vda1 secret-flag=1 console=ttyS0 ip=1.2.3.4 jdoe=x"
    left = redaction.facts({"kernel_command_line": line})
    assert left == {"kernel_command_line": "mitigations=auto,nosmt quiet console=ttyS0"}
    assert redaction.withheld["facts.kernel_command_line.words"] == 4
    assert redaction.facts({"kernel_command_line": 7}) == {}


def test_a_name_is_replaced_as_a_word_only_and_whatever_its_case() -> None:
    redaction = Redaction(["ann"])
    assert redaction.text("Ann annotates /ann/ planned") == "[name] annotates /[name]/ planned"


FIELDS = ("cpu", "docker", "runtimes", "images", "load", "kernel", "model", "version", "modules")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(list(SECRETS.values())),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=10) | st.sampled_from([*SECRETS.values(), *FIELDS]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_facts_of_any_shape_leave_without_a_secret(value: Any) -> None:
    redaction = Redaction(["wolperdinger", "jdoe1977"])
    left = json.dumps(redaction.facts(value if isinstance(value, dict) else {"cpu": value, "docker": value})).lower()
    assert [piece for piece in PIECES if piece in left] == []


# --------------------------------------------------------------------------- the archive


def test_the_same_campaign_gives_the_same_bytes(measured: Path, tmp_path: Path) -> None:
    again = copy(measured, tmp_path / "elsewhere")
    for file in again.rglob("*"):
        if file.is_file():
            file.chmod(0o600)
    first = pack.pack(Campaign(measured), tmp_path / "a.zip", authors=["Doe, Jane"], licence="CC-BY-4.0")
    second = pack.pack(Campaign(again), tmp_path / "b.zip", authors=["Doe, Jane"], licence="CC-BY-4.0")
    assert first.sha256 == second.sha256 == hashlib.sha256((tmp_path / "b.zip").read_bytes()).hexdigest()


def test_it_opens_with_report_and_verify_after_unpacking(measured: Path, tmp_path: Path) -> None:
    done = rtlab("pack", str(measured), "--output", "out.zip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    bag = unpack(tmp_path / "out.zip", tmp_path / "open")
    page = (bag / "data" / measured.name / "report" / "index.html").read_bytes()

    verified = rtlab("verify", f"./{bag.name}", cwd=tmp_path / "open")
    assert verified.returncode == 0 and "The bag's manifest agrees" in verified.stderr
    shown = rtlab("report", f"./{bag.name}", cwd=tmp_path / "open")
    assert shown.returncode == 0 and "Kata against runC" in shown.stdout
    assert (bag / "data" / measured.name / "report" / "index.html").read_bytes() == page
    assert rtlab("verify", f"./{bag.name}", cwd=tmp_path / "open").returncode == 0


@pytest.mark.parametrize("damage", ["raw", "facts", "added", "missing"])
def test_verify_finds_what_was_changed_in_a_bag(measured: Path, tmp_path: Path, damage: str) -> None:
    bag = unpack(pack.pack(Campaign(measured), tmp_path / "out.zip").file, tmp_path / "open")
    inside = bag / "data" / measured.name
    files = {"raw": next(inside.glob("trials/*/probe.json")), "facts": next(inside.glob("facts/*/*.json"))}
    if damage == "added":
        (inside / "new").write_text("x")
    elif damage == "missing":
        (bag / "data" / "CITATION.cff").unlink()
    else:
        files[damage].write_bytes(files[damage].read_bytes() + b" ")
    assert rtlab("verify", f"./{bag.name}", cwd=tmp_path / "open").returncode == 1


def test_the_bag_is_one_by_sha256sum(measured: Path, tmp_path: Path) -> None:
    """RFC 8493: coreutils reads the manifests; each payload file is in one, and Payload-Oxum counts them."""
    bag = unpack(pack.pack(Campaign(measured), tmp_path / "out.zip").file, tmp_path / "open")
    for manifest in ("tagmanifest-sha256.txt", "manifest-sha256.txt"):
        done = subprocess.run(["sha256sum", "--strict", "-c", manifest], cwd=bag, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    payload = [p for p in (bag / "data").rglob("*") if p.is_file()]
    assert len((bag / "manifest-sha256.txt").read_text().splitlines()) == len(payload)
    oxum = f"Payload-Oxum: {sum(p.stat().st_size for p in payload)}.{len(payload)}"
    assert oxum in (bag / "bag-info.txt").read_text().splitlines()


def test_the_crate_describes_what_is_there(measured: Path, tmp_path: Path) -> None:
    """RO-Crate 1.1: a descriptor, a root with its mandatory properties, and every part an entity that exists."""
    packed = pack.pack(Campaign(measured), tmp_path / "out.zip", authors=["Doe, Jane"], licence="CC-BY-4.0")
    data = unpack(packed.file, tmp_path / "open") / "data"
    crate = json.loads((data / "ro-crate-metadata.json").read_text())
    entities = {e["@id"]: e for e in crate["@graph"]}

    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    assert len(entities) == len(crate["@graph"])
    descriptor = entities["ro-crate-metadata.json"]
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    root = entities["./"]
    assert {"name", "description", "datePublished", "license"} <= root.keys()
    assert entities[root["license"]["@id"]]["name"] == "CC-BY-4.0"
    for part in root["hasPart"]:
        assert part["@id"] in entities and (data / part["@id"]).exists()
    assert "no figure from it means anything" in root["description"]


def test_the_citation_has_what_the_format_demands(measured: Path, tmp_path: Path) -> None:
    """CFF 1.2.0: cff-version, message, title and authors."""
    import yaml

    packed = pack.pack(
        Campaign(measured), tmp_path / "out.zip", authors=["Doe, Jane", 'The "Lab"'], licence="CC-BY-4.0"
    )
    text = (unpack(packed.file, tmp_path / "open") / "data" / "CITATION.cff").read_text()
    found = yaml.safe_load(text)
    assert found["cff-version"] == "1.2.0" and found["message"] and found["title"] and found["type"] == "dataset"
    assert found["authors"] == [{"family-names": "Doe", "given-names": "Jane"}, {"name": 'The "Lab"'}]
    assert found["license"] == "CC-BY-4.0"


def test_a_changed_campaign_is_not_packed(measured: Path, tmp_path: Path) -> None:
    folder = copy(measured, tmp_path / "campaigns")
    next(folder.glob("trials/*/probe.json")).write_text("{}")
    with pytest.raises(StoreError, match="not packed"):
        pack.pack(Campaign(folder), tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_what_exists_is_not_overwritten_and_licences_are_spdx(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        pack.pack(Campaign(measured), tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_text() == "mine"
    with pytest.raises(UsageError, match="SPDX"):
        pack.pack(Campaign(measured), tmp_path / "other.zip", licence="all mine!")


def test_failed_trials_are_packed_as_failed(measured: Path, tmp_path: Path) -> None:
    folder = copy(measured, tmp_path / "campaigns")
    plant(folder)
    bag = unpack(pack.pack(Campaign(folder), tmp_path / "out.zip").file, tmp_path / "open")
    (failed,) = [r for r in Campaign(bag / "data" / folder.name).records() if r.outcome is Outcome.FAILED]
    assert failed.reason == "Cannot reach [host] ([address])"
    assert asdict(failed)["trial"]["number"] == 5
    assert store.find(tmp_path, str(bag)).folder.name == folder.name
