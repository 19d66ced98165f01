"""Keys in the formats that OpenSSH reads: ssh-keygen is the judge."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import paramiko
import pytest

from rtlab.connection import keys


def test_a_pair_is_one_that_paramiko_reads(tmp_path: Path) -> None:
    pair = keys.ensure(tmp_path / "id", "rtlab 0123abcd")
    loaded = paramiko.Ed25519Key.from_private_key_file(str(tmp_path / "id"))
    assert f"ssh-ed25519 {loaded.get_base64()}" == pair.type_and_blob


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_ssh_keygen_derives_the_same_public_key(tmp_path: Path) -> None:
    pair = keys.ensure(tmp_path / "id", "c")
    derived = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "id"], capture_output=True, text=True, check=True)
    assert derived.stdout.split()[:2] == pair.public.split()[:2]


def test_a_stored_pair_is_kept_and_private(tmp_path: Path) -> None:
    first = keys.ensure(tmp_path / "id", "c")
    assert keys.ensure(tmp_path / "id", "c") == first
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o600


def test_two_pairs_differ() -> None:
    assert keys.generate("a").private != keys.generate("a").private


def test_known_hosts_names_the_port_only_where_it_is_not_22(tmp_path: Path) -> None:
    # sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: "[hostname]:port" for other ports.
    pair = keys.generate("n")
    keys.write_known_hosts(tmp_path / "known", [("192.168.124.11", 22, pair), ("127.0.0.1", 2201, pair)])
    hosts = paramiko.HostKeys(str(tmp_path / "known"))
    assert set(hosts.keys()) == {"192.168.124.11", "[127.0.0.1]:2201"}
