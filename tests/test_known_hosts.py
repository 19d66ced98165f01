"""known_hosts as OpenSSH reads it: the reference is ``ssh-keygen -F``, which looks a host up in a file."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.connection.known_hosts import KnownHosts, parse

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"  # github.com's
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMj"
    "NuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
)


def kinds(known: KnownHosts, address: str, port: int = 22) -> list[str]:
    return [key.get_name() for key in known.keys(address, port)]


def test_lines_that_cannot_be_used_are_skipped_and_named() -> None:
    """paramiko#771, #1156: each of these, alone, ended `rtlab up` in a traceback or hid every other line."""
    blob = ED25519.split()[1]
    lines = [
        b"# a comment, \xfcbrig",
        f"@cert-authority *.example.org {ED25519}".encode(),
        b"old.example.org 1024 35 1420967295",
        f"cut.example.org ssh-ed25519 {blob[:40]}".encode(),
        f"cut2.example.org ssh-ed25519 {blob[:41]}".encode(),
        b"short.example.org ssh-ed25519",
        f"dss.example.org ssh-dss {base64.b64encode(b'%c%c%c%cssh-dss' % (0, 0, 0, 7)).decode()}".encode(),
        f"b\xfccher.example.org {ED25519}".encode("latin-1"),
        f"@trusted a.example.org {ED25519}".encode(),
        f"other.example.org ssh-rsa {blob}".encode(),
        f"good.example.org {ED25519} J\xfcrgen's".encode("latin-1"),
        f"\t windows.example.org  {ED25519}\r".encode(),
    ]
    known = parse(b"\n".join(lines))

    assert known.skipped == {
        2: "@cert-authority is not supported",
        3: "a key of SSH's first version",
        4: "its key is cut, or has more than a key",
        5: "its key is no base64",
        6: "it is cut",
        7: "keys of the kind 'ssh-dss' are not supported",
        8: "its host's name has bytes that no name has",
        9: "its marker is unknown",
        10: "its key is cut, or of another kind than it says",
    }
    assert kinds(known, "good.example.org") == kinds(known, "windows.example.org") == ["ssh-ed25519"]
    assert known.vouched("n1.example.org", 22) and not known.vouched("n1.example.com", 22)
    assert (
        known.warning().startswith("line 2 (@cert-authority is not supported), line 3") and "4 more" in known.warning()
    )


def test_a_revoked_key_is_refused_wherever_its_line_stands() -> None:
    for order in (0, 1):
        lines = [f"n1,n2 {ED25519}", f"@revoked n1 {ED25519}"][:: -1 if order else 1]
        known = parse("\n".join([*lines, f"n1 {ECDSA}"]).encode())
        assert kinds(known, "n1") == ["ecdsa-sha2-nistp256"] and kinds(known, "n2") == ["ssh-ed25519"]
        (key,) = known.keys("n2", 22)
        assert known.revoked("n1", 22, key) and not known.revoked("n2", 22, key)


@pytest.mark.parametrize(
    ("hosts", "address", "port"),
    [
        ("n1.example.org", "n1.example.org", 22),
        ("N1.Example.org", "n1.example.org", 22),
        ("n1", "N1", 22),
        ("n1", "n1", 2222),
        ("[n1]:2222", "n1", 2222),
        ("[n1]:2222", "n1", 22),
        ("*.example.org", "n1.example.org", 22),
        ("*.example.org", "example.org", 22),
        ("*.example.org,!n1.example.org", "n1.example.org", 22),
        ("!n1.example.org,*.example.org", "n2.example.org", 22),
        ("192.0.2.1?", "192.0.2.10", 22),
        ("192.0.2.1?", "192.0.2.1", 22),
        ("[192.0.2.*]:2222", "192.0.2.10", 2222),
        ("2001:db8::1", "2001:db8::1", 22),
        ("n1,n2", "n2", 22),
    ],
)
@pytest.mark.parametrize("hashed", [False, True])
def test_hosts_match_as_in_openssh(tmp_path: Path, hosts: str, address: str, port: int, hashed: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{hosts} {ED25519}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-H", "-f", file], check=True, capture_output=True)
    name = (address if port == 22 else f"[{address}]:{port}").lower()
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", file], capture_output=True, check=False).returncode == 0

    assert bool(kinds(parse(file.read_bytes()), address, port)) == found


def test_all_keys_of_a_host_are_known() -> None:
    second = ED25519.replace("IOMqqnkVzrm0", "IOMqqnkVzrm1")
    assert len(parse(f"n1 {ED25519}\nn1 {second}\n".encode()).keys("n1", 22)) == 2


LINE = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [b"@revoked", b"@cert-authority", b"n1", b"|1|AAAA|", b"|1|\xff|x", b"[", b"!", b"1024", b"ssh-rsa"]
        ),
        st.sampled_from(
            [ED25519.split()[1].encode(), ECDSA.split()[1].encode(), b"ssh-ed25519", b"ecdsa-sha2-nistp256"]
        ),
        st.tuples(st.sampled_from([b"ssh-rsa", b"ssh-ed25519", b"ecdsa-sha2-nistp256"]), st.binary(max_size=60)).map(
            lambda p: base64.b64encode(len(p[0]).to_bytes(4, "big") + p[0] + p[1])
        ),
    ),
    max_size=6,
).map(b" ".join)


@given(st.lists(LINE, max_size=6).map(b"\n".join) | st.binary(max_size=300))
def test_whatever_bytes_a_file_holds_it_is_read(content: bytes) -> None:
    known = parse(content)
    for address, port in (("n1", 22), ("n1", 2222), ("[", 22)):
        assert isinstance(known.keys(address, port), tuple)
        assert isinstance(known.vouched(address, port), bool)
    assert set(known.skipped) <= set(range(1, content.count(b"\n") + 2))
