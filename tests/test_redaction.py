"""What leaves in texts: what programs really print stays as it is, what names somebody goes, in linear time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rtlab.publish.redaction import Redaction

ROOT = Path(__file__).parent

# First lines of `--version`, as the programs print them.
VERSIONS = {
    "kata 1": "kata-runtime  : 1.12.1",
    "kata go": 'Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2", version: 3.29.0, '
    "commit: 5c1ea3a5f3a0d2a2a3b7e8d7b2b1d4e5f6a7b8c9",
    "kata rs": "Kata Containers containerd shim (Rust): id: io.containerd.kata.v2, version: 3.29.0, "
    "commit: 5c1ea3a5f3a0d2a2a3b7e8d7b2b1d4e5f6a7b8c9",
    "runc": "runc version 1.1.5+ds1",
    "runc 1.5": "runc version 1.5.2",
    "crun": "crun version 1.14.1",
    "youki": "youki version 0.5.3",
    "runsc": "runsc version release-20260511.0",
    "runsc of Debian": "runsc version 0.0~20221219.0",
    "docker": "Docker version 20.10.24+dfsg1, build 297e128",
    "containerd": "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1",
    "containerd 2": "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376",
    "bonnie": "Version:  2.00a",
    "curl": "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.15 zlib/1.2.13 libssh2/1.10.0",
    "psutil": "5.9.4",
}


@pytest.mark.parametrize("line", VERSIONS.values(), ids=VERSIONS)
def test_every_programs_version_line_leaves_whole(line: str) -> None:
    redaction = Redaction(["wolperdinger"])
    facts = {"runtimes": {"kata": {"version": line}}}
    assert redaction.facts(facts) == facts
    assert redaction.text(line) == line


def test_what_was_really_measured_leaves_unchanged() -> None:
    """Outputs of Bonnie++, curl, the probe, on real and emulated machines."""
    files = sorted(p for d in ("data", "golden") for p in (ROOT / d).rglob("*") if p.name in ("stdout", "stderr"))
    assert len(files) > 50
    changed = {}
    for file in files:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
        if (clean := Redaction([]).text(text)) != text:
            changed[str(file.relative_to(ROOT))] = clean
    assert changed == {}


PLANTED = [
    ("lookup my-registry on 10.0.0.2:53: no such host", "my-registry"),
    ("curl: (6) Could not resolve host: my-registry", "my-registry"),
    ("connect to my-registry port 443 failed", "my-registry"),
    ("dial tcp my-registry:5000: refused", "my-registry"),
    ("pull my-registry:5000/httpd", "my-registry"),
    *((f"see harbor.secretfirm.{root}/x now", "secretfirm") for root in (
        "ch", "cn", "co.jp", "at", "it", "nl", "se", "ai", "cloud", "info", "intern.example.ch", "de", "com", "pl",
        "box", "xn--p1ai", "рф", "is", "rs")),
    ("secretfirm.ch", "secretfirm"),
    ("fritz.box", "fritz"),
    ("bücher-secretfirm.example.de", "secretfirm"),
    ("secretfirm.pl:8080/x", "secretfirm"),
    ("/mnt/c/Users/Jane Doe/x", "Doe"),
    ("/mnt/c/Users/Jane Doe", "Doe"),
    ("open /home/jane doe/x: denied", "doe"),
    (r"C:\Users\Jane Doe\x", "Doe"),
    (r"C:\\Users\\jdoe1\\x", "jdoe1"),
    ("5254.001a.bb03", "bb03"),
    ("enx5254001abb03: link up", "1abb03"),
    ("ether 5254001abb03", "1abb03"),
    ("jane%40secretfirm.ch", "jane"),
    ('"password": "hunter2"', "hunter2"),
    ("run --token hunter2 x", "hunter2"),
    ("MYSQL_PWD=hunter2", "hunter2"),
    ("PGPASSWORD=hunter2", "hunter2"),
    ("aws_secret_access_key = hunter2", "hunter2"),
    ("curl -u jane:hunter2 x", "hunter2"),
    ("Authorization: Bearer hunter2hunter2", "hunter2"),
    ("authorization: basic amFuZTpodW50ZXIy", "amFuZT"),
    ("Basic amFuZTpodW50ZXIy", "amFuZT"),
    ('{"auths": {"x": {"auth": "amFuZTpodW50ZXI="}}}', "amFuZT"),
    ("AKIA" + "Q" * 16, "QQQQ"),
    ("ghp_" + "a1" * 18, "a1a1"),
    ("github_pat_" + "a1" * 20, "a1a1"),
    ("glpat-" + "a1" * 10, "a1a1"),
    ("xoxb-123456789012-abcdef", "abcdef"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh", "abcdefgh"),
    ("AIza" + "a1" * 18, "a1a1"),
    ("AGE-SECRET-KEY-1" + "Q" * 58, "QQQQ"),
    ("dckr_pat_" + "a1" * 14, "a1a1"),
    ("machine-id: 0123456789abcdef0123456789abcdef", "0123456789"),
    ("root=UUID=01234567-89ab-cdef-0123-456789abcdef", "01234567"),
    ("Serial Number: VMware-56", "VMware-56"),
    ("i-0123456789abcdef0", "0123456789"),
    ("arn:aws:iam::123456789012:role/x", "123456789012"),
    ("wwn-0x5000c500a1b2c3d4", "a1b2c3d4"),
    ("SSID: Janes-WLAN", "Janes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "piece"), PLANTED)
@pytest.mark.parametrize("frame", ["{}", "x {} y", "[{}]", "a\n{}\nb"])
def test_what_names_somebody_goes(text: str, piece: str, frame: str) -> None:
    assert piece not in Redaction([]).text(frame.format(text))


def test_what_a_key_calls_a_secret_goes() -> None:
    planted = {"password": "hunter2", "deep": [{"api_key": "hunter2", "GITHUB_TOKEN": "hunter2"}], "count": "2"}
    found = Redaction([]).anything(planted)
    assert "hunter2" not in str(found) and found["count"] == "2"


@pytest.mark.parametrize(
    "piece",
    ["a", "a-", "a.", "a@", "1:", "/home/", "-----BEGIN ", "token", "password=", "eyJa.", "i-", "lookup ", "-u ", "%40",
     "www.", "a_", "0x5", "Basic ", "https://", "Users\\", "ab.cd:", "[[", "é"],
)  # fmt: skip
def test_a_long_line_takes_linear_time(piece: str) -> None:
    text = piece * (160_000 // len(piece))
    began = time.process_time()
    Redaction(["wolperdinger"]).text(text)
    assert time.process_time() - began < 2, "0.5 s each on an idle machine"
