"""Which of a machine's apt sources are the distribution's, in every layout that third parties and clouds use.

The Release headers are those that the vendors publish (Origin, Label, Suite, Codename); the files' names are those that
``apt-get update --print-uris`` of apt 2.6 prints for these sources.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from rtlab.artifacts import apt_sources
from rtlab.artifacts.apt_sources import Source

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN = "deb http://mirror.example/debian bookworm main\n"
RELEASES = {
    "mirror.example_debian_dists_bookworm_InRelease": "Debian|Debian|oldstable|bookworm",
    "mirror.example_debian_dists_bookworm-updates_InRelease": "Debian|Debian|oldstable-updates|bookworm-updates",
    "mirror.example_debian_dists_bookworm-backports_InRelease": "Debian Backports|x|x|bookworm-backports",
    "mirror.example_debian_dists_stable_Release": "Debian|Debian|stable|trixie",
    "mirror.example_debian_dists_testing_InRelease": "Debian|Debian|testing|forky",
    "mirror.example_security_dists_bookworm-security_InRelease": "Debian|Debian-Security|x|bookworm-security",
    "download.docker.com_linux_debian_dists_bookworm_InRelease": "Docker|Docker CE|bookworm|bookworm",
    "apt.releases.hashicorp.com_dists_bookworm_InRelease": "Artifactory|Artifactory|bookworm|bookworm",
    "download.virtualbox.org_virtualbox_debian_dists_bookworm_InRelease": "Oracle Corporation|x|bookworm|bookworm",
    "ppa.launchpadcontent.net_deadsnakes_ppa_ubuntu_dists_noble_InRelease": "LP-PPA-deadsnakes|x|noble|noble",
    "archive.example_ubuntu_dists_noble_InRelease": "Ubuntu|Ubuntu|noble|noble",
    "archive.example_ubuntu_dists_noble-updates_InRelease": "Ubuntu|Ubuntu|noble-updates|noble",
    "h.example:8080_a%5fb_c%7ed_dists_bookworm_InRelease": "Debian|Debian|oldstable|bookworm",
    "_etc_apt_mirrors_debian.list_dists_bookworm_InRelease": "Debian|Debian|oldstable|bookworm",
    "_srv_x+y_dists_bookworm_InRelease": "Debian|Debian|oldstable|bookworm",
}
THIRD_PARTIES = {
    "docker-ce": "deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian "
    "bookworm stable",
    "docker-ce as main": "deb https://download.docker.com/linux/debian bookworm main",
    "HashiCorp": "deb [signed-by=/usr/share/keyrings/hashicorp-archive-keyring.gpg] "
    "https://apt.releases.hashicorp.com bookworm main",
    "VirtualBox": "deb [arch=amd64 signed-by=/usr/share/keyrings/oracle-virtualbox-2016.gpg] "
    "https://download.virtualbox.org/virtualbox/debian bookworm contrib",
    "PPA": "deb https://ppa.launchpadcontent.net/deadsnakes/ppa/ubuntu/ noble main",
    "PostgreSQL": "deb https://apt.postgresql.org/pub/repos/apt bookworm-pgdg main",
    "trusted": "deb [trusted=yes] http://127.0.0.1:8000 bookworm main",
    "flat": "deb http://nvidia.example/compute/cuda ./",
    "unknown mirror": "deb http://repo.jellyfin.example/debian bookworm main",
    "cdrom": "deb cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_ - Official amd64 DVD]/ bookworm main",
    "backports": "deb http://mirror.example/debian bookworm-backports main",
    "proposed": "deb http://mirror.example/debian bookworm-proposed-updates main",
    "sid": "deb http://deb.debian.org/debian sid main",
    "testing": "deb http://mirror.example/debian testing main",
    "other component": "deb http://mirror.example/debian bookworm contrib non-free",
    "source": "deb-src http://mirror.example/debian bookworm main",
}


def machine(root: Path, lines: str | bytes = "", *, lists: bool = True, **stanzas: str) -> Path:
    """A root with these sources, and with what apt fetched of them."""
    parts = root / "etc/apt/sources.list.d"
    parts.mkdir(parents=True)
    (root / "etc/apt/sources.list").write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    for name, text in stanzas.items():
        (parts / f"{name}.sources").write_text(text)
    (root / "var/lib/apt/lists").mkdir(parents=True)
    for name, fields in RELEASES.items() if lists else ():
        origin, label, suite, codename = fields.split("|")
        (root / "var/lib/apt/lists" / name).write_text(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
            f"Origin: {origin}\nLabel: {label}\nSuite: {suite}\nCodename: {codename}\nComponents: main\nSHA256:\n"
        )
    return root


def lines_of(root: Path, suite: str = "debian-12", *, elsewhere: bool = False) -> list[str]:
    return apt_sources.text(apt_sources.of_this_machine(suite, root, elsewhere=elsewhere)).splitlines()


@pytest.mark.parametrize("lists", [True, False], ids=["with lists", "fresh image"])
@pytest.mark.parametrize("line", THIRD_PARTIES.values(), ids=THIRD_PARTIES)
def test_a_third_partys_source_is_not_the_distributions(tmp_path: Path, line: str, lists: bool) -> None:
    ours = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main\n"
    root = machine(tmp_path, f"{line}\n{ours}", lists=lists)

    assert lines_of(root) == [ours.rstrip()]
    assert apt_sources.choose("debian-12", root).note == ""


@pytest.mark.parametrize("line", THIRD_PARTIES.values(), ids=THIRD_PARTIES)
def test_beside_nothing_else_the_public_servers_are_taken(tmp_path: Path, line: str) -> None:
    chosen = apt_sources.choose("debian-12", machine(tmp_path, line))

    assert chosen.public and chosen.sources == apt_sources.public("debian-12")
    assert chosen.sources[0].uri == "http://deb.debian.org/debian"
    assert "Debian's public servers" in chosen.note


def test_each_source_keeps_its_own_key_and_options(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "# a comment\n"
        "deb [ arch=amd64,arm64 signed-by=/k.gpg trusted=yes ] http://mirror.example/debian/ bookworm main x # y\n"
        "deb [check-valid-until=no] http://mirror.example/security bookworm-security main\n",
    )
    assert lines_of(root) == [
        "deb [signed-by=/k.gpg trusted=yes] http://mirror.example/debian bookworm main",
        "deb [check-valid-until=no] http://mirror.example/security bookworm-security main",
    ]


def test_stanzas_with_several_uris_suites_comments_and_a_key_in_them(tmp_path: Path) -> None:
    stanza = """\
Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian http://elsewhere.example/debian
Suites: bookworm
  bookworm-updates bookworm-backports
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
\x20
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm
Components:
"""
    text = apt_sources.text(apt_sources.of_this_machine("debian-13", machine(tmp_path, debian=stanza)))

    stanzas = text.strip().split("\n\n")
    assert [s.splitlines()[:4] for s in stanzas] == [
        ["Types: deb", "URIs: http://mirror.example/debian", f"Suites: trixie{pocket}", "Components: main"]
        for pocket in ("", "-updates")
    ]
    assert stanzas[0].splitlines()[4:] == [
        "Signed-By:",
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr",
        " -----END PGP PUBLIC KEY BLOCK-----",
    ]


def test_another_suite_comes_from_the_same_servers(tmp_path: Path) -> None:
    root = machine(tmp_path, DEBIAN + "deb http://mirror.example/security bookworm-security main\n")
    assert lines_of(root, "debian-13") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/security trixie-security main",
    ]


def test_a_suite_named_stable_is_what_its_release_says(tmp_path: Path) -> None:
    root = machine(tmp_path, "deb http://mirror.example/debian stable main\n")
    assert lines_of(root, "debian-13") == ["deb http://mirror.example/debian trixie main"]


def test_ubuntus_pockets_share_a_code_name(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "deb http://archive.example/ubuntu noble main restricted\n"
        "deb http://archive.example/ubuntu noble universe\n"
        "deb http://archive.example/ubuntu noble multiverse\n"
        "deb http://archive.example/ubuntu noble-updates main universe\n" + THIRD_PARTIES["PPA"],
    )
    assert lines_of(root, "ubuntu-24.04") == [
        "deb http://archive.example/ubuntu noble main",
        "deb http://archive.example/ubuntu noble universe",
        "deb http://archive.example/ubuntu noble-updates main universe",
    ]
    assert apt_sources.choose("debian-12", root).sources == apt_sources.public("debian-12")
    empty = apt_sources.choose("ubuntu-22.04", machine(tmp_path / "other"))
    assert empty.sources[0].uri == "http://archive.ubuntu.com/ubuntu"


def test_the_name_of_the_release_file_is_apts(tmp_path: Path) -> None:
    root = machine(tmp_path, "deb http://user:pa%40ss@h.example:8080/a_b/c~d bookworm main\n")
    assert lines_of(root) == ["deb http://user:pa%40ss@h.example:8080/a_b/c~d bookworm main"]


# --------------------------------------------------------------------------- fresh images, without apt's lists


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("deb http://deb.debian.org/debian bookworm main", True),
        ("deb http://ftp.ch.debian.org/debian/ stable main", True),
        ("deb http://security.debian.org/debian-security bookworm-security main", True),
        ("deb http://snapshot.debian.org/archive/debian/20250520T000000Z bookworm main", True),
        ("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.pgp] http://any.example/d bookworm main", True),
        ("deb [signed-by=/k.gpg] http://any.example/debian bookworm main", False),
        (
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg,/k.gpg] http://any.example bookworm main",
            False,
        ),
        ("deb http://deb.debian.org.example/debian bookworm main", False),
        ("deb http://example/deb.debian.org/debian bookworm main", False),
        ("deb http://deb.debian.org/debian-debug bookworm main", False),
    ],
)
def test_without_lists_only_what_is_surely_the_distributions_counts(tmp_path: Path, line: str, own: bool) -> None:
    base = "deb http://deb.debian.org/debian bookworm main\n" if "security" in line else ""
    found = apt_sources.choose("debian-12", machine(tmp_path, f"{base}{line}\n", lists=False))

    assert any(s.uri == line.split("] ")[-1].removeprefix("deb ").split()[0].rstrip("/") for s in found.sources) is own
    assert found.public is not own
    assert ("/etc/apt/sources.list is not known until apt-get update has run" in found.note) is not own


# --------------------------------------------------------------------------- what only apt on this machine reaches

CLOUD = """\
Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates
Components: main
"""


@pytest.mark.parametrize("lists", [True, False])
def test_a_list_of_mirrors_is_resolved(tmp_path: Path, lists: bool) -> None:
    """As Debian's cloud images have it."""
    root = machine(tmp_path, lists=lists, debian=CLOUD)
    (root / "etc/apt/mirrors").mkdir()
    (root / "etc/apt/mirrors/debian.list").write_text(
        "# comment\nfile:/srv/debian\nhttps://deb.debian.org/debian/\tpriority:1\nhttp://other.example/debian\n"
    )
    expected = [f"deb [signed-by={KEYRING}] https://deb.debian.org/debian bookworm{p} main" for p in ("", "-updates")]

    assert lines_of(root) == lines_of(root, elsewhere=True) == expected


def test_a_list_of_mirrors_that_is_not_there_is_told(tmp_path: Path) -> None:
    chosen = apt_sources.choose("debian-12", machine(tmp_path, debian=CLOUD))

    assert chosen.public
    assert (
        "what /etc/apt/sources.list.d/debian.sources names can be reached from this machine's apt alone" in chosen.note
    )


@pytest.mark.parametrize(
    "line",
    [
        "deb file:///srv/x+y bookworm main",
        "deb mirror+http://mirror.example/list bookworm main",
        "deb tor+http://mirror.example/debian bookworm main",
        "deb copy:/srv/x bookworm main",
    ],
)
def test_other_ways_to_fetch_are_left_out(tmp_path: Path, line: str) -> None:
    assert lines_of(machine(tmp_path / "a", f"{line}\n{DEBIAN}")) == [DEBIAN.rstrip()]
    assert apt_sources.choose("debian-12", machine(tmp_path / "b", line)).public


def test_a_machine_elsewhere_gets_no_server_or_key_of_this_one(tmp_path: Path) -> None:
    local = (
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://localhost:3142/debian bookworm main\n"
    )
    own_key = "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main\n"

    assert lines_of(machine(tmp_path / "a", local)) == [local.rstrip()]
    assert apt_sources.choose("debian-12", tmp_path / "a", elsewhere=True).public
    assert lines_of(machine(tmp_path / "b", own_key)) == [own_key.rstrip()]
    assert apt_sources.choose("debian-12", tmp_path / "b", elsewhere=True).public
    # The distribution's keyring has one name on every Debian; the newer .pgp is not on 12.
    newer = DEBIAN.replace("deb ", "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.pgp] ")
    assert lines_of(machine(tmp_path / "c", newer), elsewhere=True) == [
        f"deb [signed-by={KEYRING}] http://mirror.example/debian bookworm main"
    ]


def test_a_source_of_another_architecture_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    root = machine(tmp_path, "deb [arch=arm64] http://mirror.example/debian bookworm main\n")
    assert apt_sources.choose("debian-12", root).public


# --------------------------------------------------------------------------- broken and strange files


@pytest.mark.parametrize("text", ["", "deb", "deb http://x", "deb [a b http://x y z", "nonsense\n\n::\n", " x\n:y"])
def test_broken_lines_are_passed_over(tmp_path: Path, text: str) -> None:
    root = machine(tmp_path, text, debian=text)
    assert apt_sources.of_this_machine("debian-12", root) == apt_sources.public("debian-12")


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    root = machine(tmp_path, b"\xef\xbb\xbf# M\xfcller\n" + DEBIAN.encode())
    assert lines_of(root) == [DEBIAN.rstrip()]


def test_files_that_apt_passes_over(tmp_path: Path) -> None:
    root = machine(tmp_path, DEBIAN)
    for name in ("x.list.save", "x.sources.dpkg-old", "x y.list", "x~.list"):
        (root / "etc/apt/sources.list.d" / name).write_text(DEBIAN.replace("bookworm", "bookworm-updates"))
    assert lines_of(root) == [DEBIAN.rstrip()]


def test_no_line_is_without_components() -> None:
    for suite in apt_sources.CODENAMES:
        assert all(s.components for s in apt_sources.choose(suite, Path("/nonexistent")).sources)


# --------------------------------------------------------------------------- what to do after a failure

MINE = apt_sources.Choice(
    sources=(Source(uri="http://m.example", suite="bookworm", components=("main",)),), public=False
)
PUBLIC = apt_sources.Choice(sources=apt_sources.public("debian-12"), public=True, note="no source of its own")


@pytest.mark.parametrize(
    ("chosen", "output", "said", "blames_apt"),
    [
        (MINE, "E: Failed to fetch http://m.example/x  404", "`sudo apt-get update` must work", True),
        (PUBLIC, "E: Failed to fetch http://m.example/x  404", "public servers must be reachable", False),
        (MINE, "E: Malformed entry 1 in list file (Component)", "read from /etc/apt", False),
        (MINE, "The following signatures couldn't be verified: NO_PUBKEY 0E98", "keyring", False),
        (MINE, "E: No space left on device", "lines above", False),
    ],
)
def test_the_remedy_blames_apt_get_update_only_where_it_is_at_fault(
    chosen: apt_sources.Choice, output: str, said: str, blames_apt: bool
) -> None:
    remedy = apt_sources.explain(chosen, output)
    assert said in remedy
    assert ("apt-get update" in remedy) is blames_apt
    assert (PUBLIC.note in remedy) is chosen.public
