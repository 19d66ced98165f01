"""SSH keys that rtlab makes: one client key per testbed, one host key per machine. Ed25519, 0600, never reused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rtlab import atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An SSH key pair in OpenSSH's formats.

    Attributes:
        private: PEM text, without passphrase.
        public: One line, ``ssh-ed25519 AAAA… comment``.
    """

    private: str
    public: str

    @property
    def type_and_blob(self) -> str:
        """``ssh-ed25519 AAAA…``: what known_hosts holds after the host's name."""
        return " ".join(self.public.split()[:2])


def generate(comment: str) -> KeyPair:
    """A new key pair."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private=private.decode(), public=f"{public.decode()} {comment}")


def ensure(file: Path, comment: str) -> KeyPair:
    """The pair stored in ``file`` and ``file.pub``; made if the private file is missing."""
    public_file = file.with_name(file.name + ".pub")
    if file.exists() and public_file.exists():
        return KeyPair(private=file.read_text(), public=public_file.read_text().strip())
    pair = generate(comment)
    # The public half first: whoever sees the private file also finds its partner.
    atomic.write_bytes(public_file, f"{pair.public}\n".encode(), 0o644)
    atomic.write_bytes(file, pair.private.encode(), 0o600)
    return pair


def write_known_hosts(file: Path, hosts: Iterable[tuple[str, int, KeyPair]]) -> None:
    """Write a known_hosts file with exactly these (address, port, key)."""
    lines = [
        f"{address if port == 22 else f'[{address}]:{port}'} {pair.type_and_blob}\n" for address, port, pair in hosts
    ]
    atomic.write_bytes(file, "".join(lines).encode(), 0o600)
