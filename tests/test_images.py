"""Images: what is taken over from packages, and that the same input gives the same bytes. No package is fetched."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from rtlab.artifacts import images
from rtlab.errors import StoreError, UsageError
from rtlab.model import Notify

VERSIONS = {"apache2-bin": "2.4.62-1~deb12u2", "zlib1g": "1:1.2.13.dfsg-1"}


def make_root(path: Path, names: list[str], mtime: int) -> Path:
    """A small stand-in for what mmdebstrap extracts: not merged under /usr, with apt's lists and documentation."""
    with tarfile.open(path, "w") as tar:
        for folder in ("./", "./lib", "./usr"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, mtime
            tar.addfile(info)
        for name in names:
            info = tarfile.TarInfo(name)
            info.mtime, info.uname, info.mode = mtime, "someone", 0o755
            if name.endswith("hard-link"):
                info.type, info.linkname = tarfile.LNKTYPE, "./usr/bin/zzz"
                tar.addfile(info)
                continue
            content = name.encode()
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        device = tarfile.TarInfo("./dev/null")
        device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
        tar.addfile(device)
    return path


NAMES = [
    *("./bin/cat", "./lib/x86_64-linux-gnu/libc.so.6", "./usr/bin/zzz", "./usr/bin/a-hard-link", "./usr/sbin/apache2"),
    *("./etc/apt/sources.list", "./var/lib/apt/lists/mirror_Packages", "./usr/share/doc/x/copyright"),
    *("./usr/lib/apache2/modules/mod_dir.so", "./usr/lib/apache2/modules/mod_proxy.so", "./usr/bin/perl"),
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = make_root(tmp_path / "root.tar", NAMES, mtime=1)
    path, _ = images.write_archive(
        tmp_path / "image.tar", root, images.RECIPES["httpd"], "rtlab/httpd:debian-12", VERSIONS, "debian-12"
    )
    return path


def layer(archive: Path) -> tarfile.TarFile:
    with tarfile.open(archive) as outer:
        (entry,) = json.load(outer.extractfile("manifest.json"))  # type: ignore[arg-type]
        content = outer.extractfile(entry["Layers"][0])
        assert content is not None
        return tarfile.open(fileobj=io.BytesIO(content.read()))


def test_the_archive_is_what_docker_load_reads(archive: Path) -> None:
    # The format: https://github.com/moby/docker-image-spec (v1.2, "Combined Image JSON + Filesystem Changeset Format").
    with tarfile.open(archive) as outer:
        (entry,) = json.load(outer.extractfile("manifest.json"))  # type: ignore[arg-type]
        config_bytes = outer.extractfile(entry["Config"]).read()  # type: ignore[union-attr]
        layer_bytes = outer.extractfile(entry["Layers"][0]).read()  # type: ignore[union-attr]
    config = json.loads(config_bytes)
    assert entry["RepoTags"] == ["rtlab/httpd:debian-12"]
    assert entry["Config"] == hashlib.sha256(config_bytes).hexdigest() + ".json"
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer_bytes).hexdigest()]
    assert config["config"]["Labels"]["rtlab.source"] == "debian-packages"
    assert "zlib1g=1:1.2.13.dfsg-1" in config["config"]["Labels"]["rtlab.packages"]
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}


def test_what_names_the_mirror_or_serves_nothing_is_left_out(archive: Path) -> None:
    names = layer(archive).getnames()
    assert {"usr/bin/cat", "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/apache2/modules/mod_dir.so"} <= set(names)
    left_out = {"etc/apt/sources.list", "var/lib/apt/lists/mirror_Packages", "usr/share/doc/x/copyright"}
    assert not (left_out | {"usr/lib/apache2/modules/mod_proxy.so", "usr/bin/perl", "dev/null"}) & set(names)


def test_usr_is_merged_and_a_hard_link_follows_its_file(archive: Path) -> None:
    tar = layer(archive)
    assert {n: tar.getmember(n).linkname for n in ("bin", "sbin", "lib")} == {
        "bin": "usr/bin",
        "sbin": "usr/sbin",
        "lib": "usr/lib",
    }
    names = tar.getnames()
    assert tar.getmember("usr/bin/a-hard-link").linkname == "usr/bin/zzz"
    assert names.index("usr/bin/a-hard-link") > names.index("usr/bin/zzz")


def test_the_page_is_served_from_the_image(archive: Path) -> None:
    page = layer(archive).extractfile("var/www/html/index.html")
    assert page is not None
    content = page.read()
    # The official image's page is 45 bytes: the well-known entity tag "2d-432a5e4a73a80" begins with its size in hex.
    assert len(content) == 0x2D
    assert hashlib.sha256(content).hexdigest() == images.PAGE_SHA256


def test_the_same_packages_give_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number, names in enumerate((NAMES, [*reversed(NAMES)])):
        ordered = [n for n in names if not n.endswith("hard-link")] + ["./usr/bin/a-hard-link"]
        root = make_root(tmp_path / f"root{number}.tar", ordered, mtime=1000 + number)
        path, _ = images.write_archive(
            tmp_path / f"image{number}.tar", root, images.RECIPES["tools"], "r:1", VERSIONS, "debian-12"
        )
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_path_that_leaves_the_root_is_refused() -> None:
    with pytest.raises(StoreError, match="leaves its root"):
        images.merged("./usr/../../etc/passwd")


def test_versions_are_read_from_the_names_of_the_packages_files() -> None:
    # Names as apt writes them into /var/cache/apt/archives: an epoch's colon is escaped.
    names = ["zlib1g_1%3a1.2.13.dfsg-1_amd64.deb", "libssl3_3.0.15-1~deb12u1_amd64.deb"]
    assert images.package_versions(names) == {"libssl3": "3.0.15-1~deb12u1", "zlib1g": "1:1.2.13.dfsg-1"}


@pytest.mark.parametrize(
    ("text", "suite"),
    [
        ('ID=debian\nVERSION_ID="13"\n', "debian-13"),
        ('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n', "ubuntu-24.04"),
        ("ID=fedora\nVERSION_ID=41\n", "debian-12"),
        ("", "debian-12"),
    ],
)
def test_the_suite_is_the_machines_own(tmp_path: Path, text: str, suite: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert images.host_suite(tmp_path / "os-release") == suite


def test_the_key_tells_roles_and_suites_apart() -> None:
    keys = {images.recipe_key(role, suite) for role in images.ROLES for suite in ("debian-12", "debian-13")}
    assert len(keys) == 4


def test_an_image_from_the_cache_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path))
    made = []

    def extract(recipe: images.Recipe, suite: str, work: Path, notify: Notify) -> tuple[Path, dict[str, str]]:
        made.append(suite)
        return make_root(work / "root.tar", NAMES, mtime=5), dict(VERSIONS)

    monkeypatch.setattr(images, "_extract", extract)
    first = images.build("tools", suite="debian-12")
    assert images.build("tools", suite="debian-12") == first
    assert made == ["debian-12"]
    first.path.write_bytes(first.path.read_bytes()[:-512])
    again = images.build("tools", suite="debian-12")
    assert (made, again.sha256) == (["debian-12", "debian-12"], first.sha256)


@pytest.mark.parametrize(("role", "suite"), [("nginx", ""), ("httpd", "slackware-15")])
def test_what_is_unknown_is_named(role: str, suite: str) -> None:
    with pytest.raises(UsageError, match=role if role == "nginx" else suite):
        images.build(role, suite=suite)
