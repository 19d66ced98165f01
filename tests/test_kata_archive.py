"""The module that unpacks a release of Kata, on small archives made here: each layout, and all that it refuses."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from rtlab import content


def _module() -> ModuleType:
    file = content.root() / "roles" / "kata" / "library" / "kata_archive.py"
    spec = importlib.util.spec_from_file_location("kata_archive", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kata_archive = _module()
LIMIT = 1 << 30
Entry = tuple[tarfile.TarInfo, bytes]


def elf(machine: int) -> bytes:
    """The first bytes of a 64-bit little-endian ELF program (System V ABI, ELF header)."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(44)


X86_64 = elf(62)


def file(name: str, data: bytes = b"", mode: int = 0o755) -> Entry:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uid, info.uname = len(data), mode, 1000, "builder"
    return info, data


def odd(name: str, kind: bytes, link: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o755
    return info, b""


def folder(name: str) -> Entry:
    return odd(name, tarfile.DIRTYPE)


TOP = [folder("./"), folder("./opt/"), folder("./opt/kata/"), folder("./opt/kata/bin/")]
SHARE = "./opt/kata/share/defaults/kata-containers"
# As the release scripts of each generation lay them out (stack-facts, sections 1 and 2).
RELEASES: dict[str, tuple[str, list[Entry], list[str]]] = {
    "1.12.1": (
        "kata-static-1.12.1-x86_64.tar.xz",
        [
            *TOP,
            file("./opt/kata/bin/kata-runtime", X86_64),
            file("./opt/kata/bin/containerd-shim-kata-v2", X86_64),
            file("./opt/kata/libexec/kata-containers/kata-proxy", X86_64),
            file("./opt/kata/bin/firecracker", X86_64, 0o744),
            file(f"{SHARE}/configuration-qemu.toml", b"[hypervisor.qemu]\n", 0o644),
            odd(f"{SHARE}/configuration.toml", tarfile.SYMTYPE, "configuration-qemu.toml"),
        ],
        ["path"],
    ),
    "3.20.0": (
        "kata-static-3.20.0-amd64.tar.xz",
        [
            *TOP,
            file("./opt/kata/bin/kata-runtime", X86_64),
            file("./opt/kata/bin/containerd-shim-kata-v2", X86_64),
            file("./opt/kata/runtime-rs/bin/containerd-shim-kata-v2", X86_64),
            odd("./opt/kata/share/kata-containers/vmlinux.container", tarfile.SYMTYPE, "vmlinux-6.12.36-157"),
            odd("./opt/kata/share/kata-containers/x", tarfile.SYMTYPE, "/opt/kata/share/kata-containers/y"),
        ],
        ["go", "rs"],
    ),
    "3.32.0": (
        "kata-static-3.32.0-amd64.tar.zst",
        [*TOP, file("./opt/kata/bin/kata-runtime", X86_64), file("./opt/kata/bin/containerd-shim-kata-v2", X86_64)],
        ["go"],
    ),
    "4.1.0": (
        "kata-static-4.1.0-amd64.tar.zst",
        [*TOP, file("./opt/kata/runtime-rs/bin/containerd-shim-kata-v2", X86_64)],
        ["rs"],
    ),
    "4.1.0 go": (
        "kata-go-static-4.1.0-amd64.tar.zst",
        [*TOP, file("./opt/kata/bin/containerd-shim-kata-v2", X86_64)],
        ["go"],
    ),
}
PLAIN = RELEASES["1.12.1"][1]


def archive(path: Path, entries: Sequence[Entry]) -> Path:
    with tarfile.open(path.with_suffix(""), "w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    if path.suffix == ".zst":
        subprocess.run(["zstd", "--rm", "-q", str(path.with_suffix(""))], check=True, timeout=60)
    else:
        path.write_bytes(lzma.compress(path.with_suffix("").read_bytes(), preset=1))
    return path


def examine(path: Path, limit: int = LIMIT) -> dict[str, object]:
    with kata_archive.opened(str(path)) as opened:
        found: dict[str, object] = kata_archive.examine(opened, limit, "x86_64")
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unpack(path: Path, root: Path, sha256: str = "", limit: int = LIMIT) -> str:
    sha256 = sha256 or digest(path)
    with kata_archive.opened(str(path)) as opened:
        kata_archive.unpack(opened, str(root), sha256, limit)
    return sha256


@pytest.fixture(params=list(RELEASES))
def release(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Entry], list[str]]:
    name, entries, layouts = RELEASES[request.param]
    if name.endswith(".zst") and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed (make test installs it)")
    return archive(tmp_path / name, entries), entries, layouts


def test_each_generation_is_known_and_unpacked(
    release: tuple[Path, list[Entry], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chown", lambda *_, **__: None)
    path, entries, layouts = release
    with kata_archive.opened(str(path)) as opened:
        kata_archive.require_digest(opened, digest(path))
    assert examine(path) == {
        "bytes": sum(len(data) for _, data in entries),
        "members": len(entries),
        "layouts": layouts,
    }

    root = tmp_path / "machine"
    unpack(path, root)

    for info, data in entries:
        made = root / info.name
        if info.issym():
            assert os.readlink(made) == info.linkname
        elif info.isfile():
            assert (made.read_bytes(), stat.S_IMODE(made.stat().st_mode)) == (data, info.mode)
    assert kata_archive.installed(str(root)) == digest(path)
    assert [p.name for p in (root / "opt").iterdir()] == ["kata"], "nothing lies beside it"


def test_a_new_release_replaces_the_old_one_entirely(tmp_path: Path) -> None:
    root = tmp_path / "machine"
    unpack(archive(tmp_path / "a.tar.xz", [*PLAIN, file("./opt/kata/bin/old")]), root)
    second = unpack(archive(tmp_path / "b.tar.xz", PLAIN), root)
    assert kata_archive.installed(str(root)) == second
    assert not (root / "opt/kata/bin/old").exists() and (root / "opt/kata/bin/kata-runtime").exists()


def test_a_release_that_cannot_be_unpacked_leaves_the_old_one(tmp_path: Path) -> None:
    root = tmp_path / "machine"
    first = unpack(archive(tmp_path / "a.tar.xz", PLAIN), root)
    # Read at the examination, gone bad since (a disk that fails).
    whole = archive(tmp_path / "b.tar.xz", [*PLAIN, file("./opt/kata/big", os.urandom(200_000))])
    whole.write_bytes(whole.read_bytes()[:-50_000])
    with pytest.raises(kata_archive.Refused):
        unpack(whole, root)
    assert kata_archive.installed(str(root)) == first
    assert [p.name for p in (root / "opt").iterdir()] == ["kata"]


REFUSED: dict[str, tuple[Entry | list[Entry], str]] = {
    "file elsewhere": (file("./etc/cron.d/x"), "./etc/cron.d/x is outside /opt/kata"),
    "sibling": (file("./opt/kata-evil/x"), "outside /opt/kata"),
    "absolute": (file("/opt/kata/x"), "reaches out of the archive"),
    "traversal": (file("./opt/kata/../../etc/passwd"), "reaches out of the archive"),
    "the tree is a link": (odd("./opt/kata", tarfile.SYMTYPE, "/etc"), "must be a folder"),
    "link out": (odd("./opt/kata/x", tarfile.SYMTYPE, "/etc/passwd"), "links out of it, to /etc/passwd"),
    "link to a sibling": (odd("./opt/kata/x", tarfile.SYMTYPE, "/opt/kata-evil"), "links out of it"),
    "relative link out": (odd("./opt/kata/x", tarfile.SYMTYPE, "../../etc/passwd"), "links out of it"),
    "deep link out": (odd("./opt/kata/a/b", tarfile.SYMTYPE, "../../../etc"), "links out of it"),
    "way back through a link": (odd("./opt/kata/x", tarfile.SYMTYPE, "bin/../../.."), "cannot be checked"),
    "through a link": (
        [odd("./opt/kata/a/b", tarfile.SYMTYPE, ".."), odd("./opt/kata/a/b/c", tarfile.SYMTYPE, "../..")],
        "reached through a symbolic link",
    ),
    "hard link out": (odd("./opt/kata/x", tarfile.LNKTYPE, "etc/shadow"), "hard link out of it"),
    "hard link up": (odd("./opt/kata/x", tarfile.LNKTYPE, "./opt/kata/../../etc/shadow"), "hard link out of it"),
    "setuid": (file("./opt/kata/bin/su", mode=0o4755), "set-user-id"),
    "setgid": (file("./opt/kata/bin/su", mode=0o2755), "set-group-id"),
    "block device": (odd("./opt/kata/sda", tarfile.BLKTYPE), "a device"),
    "character device": (odd("./opt/kata/kvm", tarfile.CHRTYPE), "a device"),
    "pipe": (odd("./opt/kata/fifo", tarfile.FIFOTYPE), "a pipe"),
    "another architecture": (file("./opt/kata/bin/containerd-shim-kata-v2", elf(183)), "it is for aarch64"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_reaches_out_is_refused(case: str, tmp_path: Path) -> None:
    extra, message = REFUSED[case]
    entries = [*TOP, *(extra if isinstance(extra, list) else [extra])]
    with pytest.raises(kata_archive.Refused, match=message.replace("(", r"\(")):
        examine(archive(tmp_path / "x.tar.xz", entries))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    # 64 MiB of zeros are 10 kB of xz; what counts is what the header announces, so that nothing is read in vain.
    path = archive(tmp_path / "x.tar.xz", [*PLAIN, file("./opt/kata/big", bytes(64 << 20))])
    assert path.stat().st_size < 20_000
    with pytest.raises(kata_archive.Refused, match="unpacks to more than 1048576 bytes"):
        examine(path, limit=1 << 20)


@pytest.mark.parametrize("suffix", ["xz", "zst"])
def test_a_truncated_archive_is_refused(suffix: str, tmp_path: Path) -> None:
    if suffix == "zst" and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed (make test installs it)")
    path = archive(tmp_path / f"x.tar.{suffix}", [*PLAIN, file("./opt/kata/big", os.urandom(300_000))])
    whole = path.read_bytes()
    for keep in (len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:keep])
        with pytest.raises(kata_archive.Refused, match="damaged"):
            examine(path)


def test_without_the_program_xz_python_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "x.tar.xz", [*PLAIN, file("./opt/kata/big", os.urandom(300_000))])
    monkeypatch.setattr(kata_archive.shutil, "which", lambda _program: None)
    assert examine(path)
    whole = path.read_bytes()
    for keep in (len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:keep])
        with pytest.raises(kata_archive.Refused, match="damaged"):
            examine(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.tar.xz").write_text("<html>404</html>")
    with pytest.raises(kata_archive.Refused, match=r"neither \.tar\.xz nor \.tar\.zst"):
        examine(tmp_path / "page.tar.xz")
    (tmp_path / "bad.tar.xz").write_bytes(b"\xfd7zXZ\x00" + bytes(100))
    with pytest.raises(kata_archive.Refused, match="damaged or no archive"):
        examine(tmp_path / "bad.tar.xz")
    with pytest.raises(kata_archive.Refused, match="none of Kata's programs"):
        examine(archive(tmp_path / "else.tar.xz", [*TOP, file("./opt/kata/bin/x")]))


def test_a_wrong_digest_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.tar.xz", PLAIN)
    with (
        kata_archive.opened(str(path)) as opened,
        pytest.raises(kata_archive.Refused, match=rf"{digest(path)}, not 0{{64}}: .* It was not opened"),
    ):
        kata_archive.require_digest(opened, "0" * 64)


EVIL = [*PLAIN, file("./opt/kata/../../PWNED", b"evil", 0o644)]


@pytest.mark.parametrize("way", ["rename over it", "write into it"])
def test_what_is_put_in_its_place_after_the_check_is_not_unpacked(way: str, tmp_path: Path) -> None:
    """Both ways of the attack: another file under the same name, and the same file through a descriptor that was open
    before. The code before opened the path anew and applied no rule while unpacking: PWNED was written."""
    path = archive(tmp_path / "x.tar.xz", PLAIN)
    evil = archive(tmp_path / "evil.tar.xz", EVIL)
    pin, root = digest(path), tmp_path / "a" / "machine"
    with path.open("r+b") as held, kata_archive.opened(str(path)) as opened:
        kata_archive.require_digest(opened, pin)
        kata_archive.examine(opened, LIMIT, "x86_64")
        if way == "rename over it":
            evil.rename(path)
            kata_archive.unpack(opened, str(root), pin, LIMIT)
            assert kata_archive.installed(str(root)) == pin
        else:
            held.write(evil.read_bytes())
            held.truncate()
            held.flush()
            with pytest.raises(kata_archive.Refused, match="reaches out of the archive"):
                kata_archive.unpack(opened, str(root), pin, LIMIT)
            assert list((root / "opt").iterdir()) == []
    assert [p for p in tmp_path.rglob("*") if p.name == "PWNED"] == []


def test_harmless_members_that_are_not_the_pinned_ones_are_not_installed_either(tmp_path: Path) -> None:
    """Every rule holds for them; only the digest of the bytes that were unpacked tells."""
    path = archive(tmp_path / "x.tar.xz", PLAIN)
    other = archive(tmp_path / "other.tar.xz", [*PLAIN, file("./opt/kata/bin/trojan", X86_64)])
    pin, root = digest(path), tmp_path / "machine"
    path.write_bytes(other.read_bytes())
    with pytest.raises(
        kata_archive.Refused, match=f"changed while it was unpacked: its SHA-256 is now {digest(other)}"
    ):
        unpack(path, root, pin)
    assert list((root / "opt").iterdir()) == []


def test_a_link_or_a_pipe_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(archive(tmp_path / "x.tar.xz", PLAIN))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(kata_archive.Refused, match="cannot be opened"):
        kata_archive.opened(str(tmp_path / "link"))
    with pytest.raises(kata_archive.Refused, match="no regular file"):
        kata_archive.opened(str(tmp_path / "pipe"))


def test_no_role_uses_a_name_in_a_shared_folder_that_can_be_known_before() -> None:
    """Of all roles and playbooks: below /tmp and /var/tmp lies only what `tempfile` named."""
    named = []
    for tasks in (p for part in ("roles", "playbooks") for p in (content.root() / part).rglob("*.yml")):
        lines = tasks.read_text().splitlines()
        for number, line in enumerate(lines):
            below = "tempfile:" in "".join(lines[max(0, number - 3) : number])
            if re.search(r"[\"' ](?:/var)?/tmp(?:/|\b)", line.partition("#")[0]) and not below:
                named.append(f"{tasks.name}:{number + 1}: {line.strip()}")
    assert named == []


def test_a_disk_that_is_too_small_is_said_before_it_is_full(tmp_path: Path) -> None:
    with pytest.raises(kata_archive.Refused, match="give the machine a larger disk"):
        kata_archive.require_space(str(tmp_path), 1 << 60, 1 << 30)
    kata_archive.require_space(str(tmp_path), 1, 1)
