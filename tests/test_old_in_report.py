"""A campaign of the golden cases' stack (tests/golden/NOTE.md) names it in the heading, wherever its wiring is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtlab import report
from tests.conftest import make_testbed
from tests.test_report import make_campaign

PTRACE = "gVisor ran on platform ptrace: deprecated since systrap (2023)."
NETWORK = "gVisor ran with --network=host: its own network stack, which is gVisor's default, was not measured."
WORDS = ["--platform=ptrace", "--network=host"]


@pytest.mark.parametrize(
    ("arguments", "details"),
    [
        (WORDS, {}),
        ([], {"runtime_wiring": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": WORDS}}}),
        ([], {"runtime_notes": {"gvisor": "platform ptrace, with --network=host: the kernel's network stack"}}),
    ],
    ids=["facts", "wiring", "note"],
)
def test_the_golden_stack_is_named_by_facts_wiring_or_note(
    tmp_path: Path, arguments: list[str], details: dict[str, Any]
) -> None:
    campaign = make_campaign(tmp_path, make_testbed(details=details))
    facts: dict[str, Any] = {
        "docker": {"version": "20.10.24+dfsg1", "components": {"containerd": "1.6.20~ds1"}},
        "runtimes": {
            "runc": {"version": "runc version 1.1.5+ds1", "arguments": []},
            "runsc": {"version": "runsc version 0.0~20221219.0", "arguments": arguments},
        },
    }
    campaign.write_facts("node1", facts)

    heading = report.build(campaign).heading

    named = [c.message.partition(" (")[0] for c in heading if c.kind == "old"]
    assert named == ["Docker of 2023-04", "containerd of 2023-03", "runC of 2023-03", "gVisor of 2022-12"]
    assert [c.message for c in heading if c.kind != "old"] == [PTRACE, NETWORK]


def test_facts_of_another_shape_name_nothing(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, make_testbed(details={"runtime_notes": ["x"], "runtime_wiring": 7}))
    campaign.write_facts("node1", {"docker": {"version": [1]}, "runtimes": {"runsc": {"version": 5, "arguments": "x"}}})

    built = report.build(campaign)

    assert built.heading == ()
    assert built.undated == ()
