"""Building a box for real: interrupted in the middle, it leaves no mount, no loop device and no work folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rtlab.artifacts.box import mmdebstrap

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is missing: rtlab doctor --fix"),
]
# SIGINT is reset: a test run in the background of a shell inherits it ignored.
BUILD = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from rtlab.artifacts import box
box.build("debian-12", "libvirt", disk_gb=4, notify=lambda event: print(event.message, flush=True))
"""


def test_ctrl_c_releases_everything(tmp_path: Path) -> None:
    mmdebstrap.check_host()
    with subprocess.Popen(
        [sys.executable, "-c", BUILD],
        env={**os.environ, "RTLAB_CACHE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "extracting archives" in line or "installing essential" in line:
                    break
            else:
                pytest.fail("mmdebstrap did not come that far; see the log in the cache")
            assert str(tmp_path) in Path("/proc/mounts").read_text()
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait(90)
            print(f"released after {time.monotonic() - began:.1f} s")
        finally:
            process.kill()
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert str(tmp_path) not in subprocess.check_output(["losetup", "--all"], text=True)
    assert [p.name for p in (tmp_path / "boxes").iterdir() if p.is_dir()] == []
