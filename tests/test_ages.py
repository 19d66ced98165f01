"""What is old is called old, by release dates; nothing is that cannot be known."""

from __future__ import annotations

from datetime import date

import pytest

from rtlab import plugins
from rtlab.report import ages
from rtlab.report.ages import Part

NOW = "2026-11-25T19:00:00Z"


# The dates: the projects' own tags and release notes (docker.com's for 29.0.0, 2025-11-10; runC's CHANGELOG).
@pytest.mark.parametrize(
    ("product", "words", "released"),
    [
        ("docker", "20.10.24+dfsg1", "2023-04-04"),
        ("docker", "29.0.0", "2025-11-10"),
        ("docker", "19.03.15", "2021-02-01"),
        ("containerd", "1.6.20~ds1", "2023-03-30"),
        ("containerd", "v1.7.24", "2024-11-21"),
        ("runc", "runc version 1.1.5+ds1", "2023-03-29"),
        ("runc", "runc version 1.3.3", "2025-11-05"),
        ("runc", "runc version 1.0.0-rc10", "2020-01-23"),
        ("crun", "crun version 1.8.1", "2023-02-27"),
        ("kata", "kata-runtime  : 1.12.1", "2021-01-13"),
        ("kata", 'Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2", version: 4.0.0', "2026-07-20"),
        ("gvisor", "runsc version 0.0~20221219.0", "2022-12-19"),
        ("gvisor", "runsc version release-20260511.0", "2026-05-11"),
        ("gvisor", "runsc version v0.0.0-20260905035102-160fafc42237", "2026-09-05"),
    ],
)
def test_a_release_has_its_day_whatever_words_stand_around_it(product: str, words: str, released: str) -> None:
    known = ages.age(product, words, NOW)

    assert known.exact
    assert known.latest == date.fromisoformat(released)
    assert known.old == (released < "2025-11-25")


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("runc version 1.5.2", "1.5.2"),
        ("runc version 1.1.5+ds1", "1.1.5+ds1"),
        ("kata-runtime  : 1.12.1", "1.12.1"),
        ('Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2", version: 4.0.0', "4.0.0"),
        ("runsc version release-20260905.0", "20260905.0"),
        ("v2.4.2", "2.4.2"),
        ("2.0.0-beta.24", "2.0.0-beta.24"),
        ("not known", "not known"),
        ("9." * 200, ("9." * 20)),
    ],
)
def test_the_number_of_a_version_in_few_words(words: str, number: str) -> None:
    assert ages.number(words) == number


@pytest.mark.parametrize(("started", "old"), [("2024-03-29T23:59:59Z", False), ("2024-03-30T00:00:00Z", True)])
def test_old_is_more_than_a_year_before_the_campaign_to_the_day(started: str, old: bool) -> None:
    assert ages.age("runc", "1.1.5", started).old is old  # 2023-03-29


def test_a_release_of_29_february_is_a_year_old_at_the_end_of_the_next() -> None:
    assert ages.age("crun", "1.14.4", "2025-02-28").old is False  # 2024-02-29
    assert ages.age("crun", "1.14.4", "2025-03-01").old is True


@pytest.mark.parametrize(
    ("product", "version", "old"),
    [
        # Beyond a branch's last one, anything may come.
        ("docker", "20.10.28", None),
        ("docker", "29.9.9", None),
        # crun 1.9.5 lies between 1.9.2 (2023-09-27) and 1.10 (2023-10-19).
        ("crun", "1.9.5", True),
        # crun 1.26.1: after 1.26 of 2025-12-22, so within the year.
        ("crun", "1.26.1", False),
        ("containerd", "2.4.2", None),
        ("containerd", "nonsense", None),
        ("gvisor", "runsc version 99999999", None),
        ("gvisor", "release-20261399.0", None),
        ("unheard-of", "1.0.0", None),
        # moby's own module numbers: 2.0.0-beta.24 comes after beta.21 (2026-07-31), not before Docker 17.
        ("docker", "2.0.0-beta.21", False),
        ("docker", "2.0.0-beta.24", False),
    ],
)
def test_an_unlisted_version_is_old_only_when_its_neighbours_say_so(
    product: str, version: str, old: bool | None
) -> None:
    assert ages.age(product, version, NOW).old is old


def test_a_time_that_is_none_gives_no_age() -> None:
    assert ages.age("runc", "1.1.5", "None").old is None


def test_every_listed_date_is_a_day_before_the_file_was_made_and_every_version_can_be_read() -> None:
    assert len(ages.products()) >= 7
    listed = [(p, v, day) for p in ages.products() for first in (None, 2) for v, day in ages.releases(p, first).items()]
    assert len(dict.fromkeys(listed)) > 600
    for product, version, day in listed:
        assert date(2015, 1, 1) < day < date(2026, 11, 25), (product, version)
        assert ages.age(product, version, NOW).latest == day, (product, version)


def test_whatever_is_said_of_releases_is_read() -> None:
    """A key that nobody reads, or a caveat that always holds, is a slip of whoever wrote the file."""
    documents = plugins.documents("engines", "releases.json") | plugins.documents("runtimes", "releases.json")
    for name, document in documents.items():
        assert set(document) <= {"about", "title", "versions", "branches", "renumbered", "caveats", "releases"}, name
        for rule in document.get("caveats", ()):
            assert rule["kind"] in ages.KINDS and rule["message"].endswith(".")
            assert (conditions := rule.keys() - {"kind", "message", "short", "default_before"}), name
            assert conditions <= ages._CONDITIONS.keys(), name


def told(*parts: Part) -> list[tuple[str, str]]:
    return [(c.kind, c.message) for c in ages.caveats(parts, NOW)]


def gvisor(version: str, words: str) -> Part:
    return Part(product="gvisor", title="gVisor", version=version, words=words)


def test_debians_gvisor_on_ptrace_with_the_hosts_network_is_named_three_times() -> None:
    part = gvisor("runsc version 0.0~20221219.0", "--platform=ptrace --network=host")

    assert told(part, part) == [
        (
            "old",
            "gVisor of 2022-12 (0.0~20221219.0, Debian's or Ubuntu's package): released more than a year before this "
            "campaign.",
        ),
        ("deprecated", "gVisor ran on platform ptrace: deprecated since systrap (2023)."),
        (
            "not representative",
            "gVisor ran with --network=host: its own network stack, which is gVisor's default, was not measured.",
        ),
    ]


def test_todays_gvisor_on_its_defaults_is_not_named() -> None:
    assert told(gvisor("runsc version release-20260905.0", "--platform=systrap")) == []
    assert told(gvisor("runsc version release-20260905.0", "")) == []
    assert told(gvisor("runsc version release-20260905.0", "--network=sandbox --debug-log=/x--network=host")) == []


def test_a_gvisor_from_before_systrap_ran_on_ptrace_unless_told_otherwise() -> None:
    assert "deprecated" in dict(told(gvisor("release-20221219.0", "")))
    assert "deprecated" not in dict(told(gvisor("release-20221219.0", "--platform kvm")))


@pytest.mark.parametrize(
    ("version", "path", "named"),
    [
        ("Kata Containers containerd shim (Golang): id: x, version: 4.0.0, commit: 1", "/opt/kata/bin/s", True),
        ("Kata Containers containerd shim (Golang): id: x, version: 4.1.0, commit: 1", "/opt/kata/bin/s", True),
        ("Kata Containers containerd shim (Rust): id: x, version: 4.0.0, commit: 1", "/opt/kata/bin/s", False),
        ("version 4.1.0", "/opt/kata/runtime-rs/bin/containerd-shim-kata-v2", False),
        ("Kata Containers containerd shim (Golang): id: x, version: 3.32.0, commit: 1", "/opt/kata/bin/s", False),
    ],
)
def test_katas_go_runtime_is_deprecated_from_4_on(version: str, path: str, named: bool) -> None:
    kinds = [kind for kind, _ in told(Part(product="kata", title="Kata", version=version, path=path))]
    assert kinds == ["deprecated"] * named


def test_what_has_no_age_is_told_for_the_provenance_only() -> None:
    part = Part(product="docker", title="Docker", version="29.9.9")
    assert told(part) == []
    assert ages.unknown([part], NOW) == ("Docker 29.9.9: release date unknown",)
    assert ages.unknown([Part(product="runc", title="runC", version="1.1.5")], NOW) == ()


@pytest.mark.parametrize(
    ("version", "beside", "named"),
    [
        # As its Go module builds: runsc alone.
        ("runsc version release-20260905.0", 0, True),
        ("runsc version release-20260905.0", 3, False),
        ("runsc version release-20260905.0", None, False),
        # A release that is a single file.
        ("runsc version release-20260511.0", 0, False),
    ],
)
def test_a_gvisor_without_its_releases_programs_is_named(version: str, beside: int | None, named: bool) -> None:
    found = told(Part(product="gvisor", title="gVisor", version=version, beside=beside))
    assert [kind for kind, _ in found] == ["not representative"] * named


def test_a_fallback_and_a_switched_off_feature_stand_in_the_heading() -> None:
    told = ages.taken({"fallback": "no Go module proxy answers", "engine_features": {"time-namespaces": False}})
    assert [c.kind in ages.KINDS for c in told] == [True, True]
    assert "because today's could not be had: no Go module proxy answers." in told[0].message
    assert "time namespaces" in told[1].message
    assert ages.taken({"fallback": "", "engine_features": {}}) == ages.taken({}) == []


def test_a_build_that_is_not_the_profiles_first_stands_in_the_heading() -> None:
    (told,) = ages.taken({"next_best": {"gvisor": "storage.googleapis.com cannot be reached."}})
    assert told.kind in ages.KINDS and told.short == "the next best build of gvisor"
    assert told.message == "The next best build of gvisor was taken: storage.googleapis.com cannot be reached."
    assert ages.taken({"next_best": {}}) == ages.taken({"next_best": "gvisor"}) == []


def test_a_runtime_of_the_machines_own_under_todays_engine_stands_in_the_heading() -> None:
    (told,) = ages.taken({"fallback": "", "system_runtimes": ["gvisor"]})
    assert told.kind in ages.KINDS and told.short == "the machine's own gvisor"
    assert told.message == "Build of gvisor: the machine's own, because that was asked for; the engine is rtlab's."
    assert ages.taken({"system_runtimes": []}) == ages.taken({"system_runtimes": "gvisor"}) == []
