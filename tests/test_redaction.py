"""What leaves in texts: what programs really print stays as it is, what names somebody goes, in linear time."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from rtlab.publish import credentials
from rtlab.publish.grammar import Grammar
from rtlab.publish.redaction import Redaction
from rtlab.publish.search import boot_ids_in

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


def of_real_programs(*names: str) -> list[Path]:
    return sorted(p for d in ("data", "golden") for p in (ROOT / d).rglob("*") if p.name in names)


def test_what_was_really_measured_leaves_unchanged() -> None:
    """Outputs of Bonnie++, curl, factor, sha256sum, on real and emulated machines; each by its experiment's grammar."""
    files = of_real_programs("stdout", "stderr")
    assert len(files) > 50
    changed = {}
    for file in files:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
        experiment = json.loads((file.parent / "record.json").read_text())["trial"]["experiment"]
        searched = Redaction([]).text(text)
        by_grammar = Grammar.of(experiment).stdout(text, Redaction([])) if file.name == "stdout" else text
        if (searched, by_grammar) != (text, text):
            changed[str(file.relative_to(ROOT))] = (searched, by_grammar)
    assert changed == {}


def test_what_the_probe_really_answered_leaves_unchanged() -> None:
    """Kernel messages, processes, digests, reasons: of all that, only the UUIDs of file systems are somebody's."""
    files = of_real_programs("probe.json")
    assert len(files) > 50
    filesystems = re.compile(r"filesystem [0-9a-f]{8}-[0-9a-f-]{27}")
    changed = {}
    for file in files:
        document = json.loads(filesystems.sub("filesystem", file.read_text()))
        search = Redaction([], boot_ids=boot_ids_in(document))
        if (clean := search.anything(Grammar.of(file.parent.parent.name).document(document, search))) != document:
            changed[str(file.relative_to(ROOT))] = clean
    assert changed == {}


# Lines of other programs, as they print them: what is a vendor's, a version, a file or a module stays.
PRINTED = [
    "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime "
    'create failed: runc create failed: unable to start container process: exec: "x": executable file not found in '
    "$PATH: unknown.",
    "failed to load configuration.toml: /opt/kata/share/kata-containers/vmlinux.container: no such file or directory",
    "time=12:00:01 level=error msg=failed error=io.containerd.runc.v2 shim=containerd-shim-runc-v2",
    "panic: runtime error: invalid memory address or nil pointer dereference",
    "goroutine 1 [running]: main.main() /usr/local/go/src/runtime/proc.go:250 +0x1d0",
    "github.com/containerd/containerd/v2/core/runtime.go:51",
    '  File "/opt/rtlab/probe.pyz/rtlab/probe/trial.py", line 44, in measure',
    "subprocess.CalledProcessError: Command died with exit status 137",
    "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "memory.events oom_kill 1, cgroup.procs, cpu.max 100000, io.containerd.grpc.v1",
    "/lib/x86_64-linux-gnu/libc.so.6: version GLIBC_2.38 not found",
    "systemd[1]: docker.service: Main process exited, code=killed, status=9/KILL",
    "Unable to find image httpd:2.4.41 locally; docker.io/library/httpd@sha256:" + "0a" * 32,
    "curl: (7) Failed to connect to 127.0.0.1 port 80 after 0 ms: Couldn't connect to server",
    "curl: (28) Operation timed out after 30001 milliseconds with 0 out of 0 bytes received",
    "qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:ECX.vmx [bit 5]",
    "virtiofsd 1.13.2, cloud-hypervisor v51.1.0, Linux 6.18.44-fc-v669 x86_64",
    "[    0.000000] Command line: console=ttyS0 reboot=k panic=1 pci=off",
    "br-1a2b3c: port 2(veth9f31c2e) entered disabled state",
    "OOM: Killed process 1234 (bonnie++) total-vm:2048kB, anon-rss:1024kB, oom_score_adj:0",
    "W1126 12:00:01.123456       1 util.go:64] FATAL ERROR: error creating container: cannot create sandbox",
    "READ: bw=1200MiB/s (1258MB/s), 1200MiB/s-1200MiB/s (1258MB/s-1258MB/s), io=2048MiB (2147MB), run=1706-1706msec",
    "events per second:  1234.56 / total time: 10.0007s / 95th percentile: 0.89",
]


@pytest.mark.parametrize("line", PRINTED)
def test_a_programs_line_without_a_name_stays(line: str) -> None:
    assert Redaction(["wolperdinger"]).text(line) == line


def test_of_a_known_grammar_nothing_else_leaves() -> None:
    search = Redaction([])
    bonnie = (ROOT / "golden" / "io" / "runc" / "stdout").read_text()
    named = bonnie.replace(",rtlab,", ",janes-laptop,")
    found = Grammar.of("io").stdout(f"welcome to wolperdinger\n{named}", search)
    assert found == f"[line left out]\n{bonnie}"
    assert search.replaced == {"line": 1, "name": 1}
    assert Grammar.of("network").stdout("200 67108864\n200 wolperdinger", search) == "200 67108864\n[line left out]"
    assert Grammar.of("no-such-experiment").prints is None


def test_every_pattern_of_gitleaks_compiles_and_is_in_use() -> None:
    patterns = {p for found in credentials.shapes().values() for p in found}
    assert len(patterns) > 200 and len(credentials.shaped_rules(" ".join(credentials.shapes()))) == len(patterns)
    # Examples of gitleaks' own tests' shapes, from three corners of the list.
    for text in ("pscale_tkn_" + "a1B" * 14, "lin_api_" + "a1B2" * 10, "dt0c01." + "A1" * 12 + "." + "A1" * 32):
        assert "1" not in Redaction([]).text(f"x {text} y")


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
    ("node acmebox is NotReady", "acmebox"),
    ("acmebox login: ", "acmebox"),
    ("Nov 26 12:00:00 acmebox kernel: x", "acmebox"),
    ("Linux acmebox 6.1.0-18-amd64 #1 SMP x86_64 GNU/Linux", "acmebox"),
    ("Connected to acmebox (10.0.0.1) port 80", "acmebox"),
    ("Trying acmebox...", "acmebox"),
    ("* Host acmebox:443 was resolved.", "acmebox"),
    ("Could not connect to server acmebox", "acmebox"),
    ("no route to host acmebox", "acmebox"),
    ("wget: unable to resolve host address 'acmebox'", "acmebox"),
    ("rsync: acmebox: connection refused", "acmebox"),
    ("registry acmebox:5000: denied", "acmebox"),
    (r"\\wsl$\Debian\home\janedoe", "janedoe"),
    ("/srv/homes/janedoe/x", "janedoe"),
    ("su - janedoe", "janedoe"),
    ("chown janedoe:janedoe x", "janedoe"),
    ("-rw-r--r-- 1 janedoe staff 12 Nov 26 x", "janedoe"),
    ("Password for janedoe: hunter2", "hunter2"),
    ("Serial Number: VMware-56 4d 2f 11 22", "4d 2f"),
    ("ID_SERIAL_SHORT=S4EVNX0M123456", "S4EVNX"),
    ("account 123456789012", "123456789012"),
    ('"Jane Doe" <jane@acme.com>', "Doe"),
    ("hooks.slack.com/services/T000/B000/XXXX", "T000"),
    ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "bPxRfi"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "piece"), PLANTED)
@pytest.mark.parametrize("frame", ["{}", "x {} y", "[{}]", "a\n{}\nb"])
def test_what_names_somebody_goes(text: str, piece: str, frame: str) -> None:
    assert piece not in Redaction([]).text(frame.format(text))


def test_what_a_key_calls_a_secret_goes() -> None:
    planted = {"password": "hunter2", "deep": [{"api_key": "hunter2", "GITHUB_TOKEN": "hunter2"}], "count": "2"}
    found = Redaction([]).anything(planted)
    assert "hunter2" not in str(found) and found["count"] == "2"


def test_the_same_identity_has_the_same_pseudonym_and_boot_ids_stay() -> None:
    first, second = "0a1b2c3d-0000-4000-8000-0123456789ab", "0a1b2c3d-0000-4000-8000-0123456789ac"
    boot = "7d926996-e028-4b0c-8b7b-292bc3208fc3"
    search = Redaction([], boot_ids=[boot])
    left = search.text(f"mounted {first}, then {second}, {first.upper()} again, boot {boot}")
    assert left == f"mounted [id 1], then [id 2], [id 1] again, boot {boot}"
    assert search.anything({"boot_id": first, "uuid": second}) == {"boot_id": first, "uuid": "[id 2]"}


def test_two_keys_that_become_the_same_are_both_kept() -> None:
    found = Redaction([]).anything({"a@firm.example": 1, "b@firm.example": 2})
    assert found == {"[account]": 1, "[account] 2": 2}


PIECES = ["a", "a-", "a.", "a@", "1:", "/home/", "-----BEGIN ", "token", "password=", "eyJa.", "i-", "lookup ", "-u ",
          "%40", "www.", "0x5", "Basic ", "https://", "Users\\", "ab.cd:", "[[", "é", "Aa1", "\\", '\\"', "a\\/",
          "\x1b[1m", "ssid ", "A b ", "a:b@", '"', "mysql -p", "user=", "00:", "cookie: ", " ", "\n",
          "aGVsbG8"]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_line_takes_linear_time(piece: str) -> None:
    """Four times the text takes about four times as long; what is quadratic takes sixteen times."""
    redaction = Redaction(["wolperdinger"])

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        times = []
        for _ in range(2):
            began = time.process_time()
            redaction.text(text)
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(40_000) < max(9 * seconds(10_000), 0.02)


def test_what_the_heading_says_of_a_runtime_is_said_of_the_packed_campaign_too() -> None:
    entry = {
        "version": "runsc version release-20260905.0",
        "platform": "systrap",
        "network": "host",
        "parts": ["gvisor_sentry"],
    }
    facts = Redaction(["wolperdinger"]).facts({"runtimes": {"runsc": entry, "runc": {"parts": []}}})
    assert facts["runtimes"]["runsc"] == entry
    assert facts["runtimes"]["runc"] == {"parts": []}
