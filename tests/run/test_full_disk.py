"""A whole run on a disk that is really full: a clean stop that names it, and nothing lost once there is room again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SIZE = 160 * 2**20
"""Bytes of the disk, a tmpfs that ends with the test."""

SCRIPT = """
import json, os, subprocess, sys
from pathlib import Path
from tests.run.small import make_small

disk = Path(sys.argv[1])
lab = make_small(disk / "lab").root

def loopwright(*words):
    return subprocess.run([sys.executable, "-m", "loopwright", *words], cwd=lab, capture_output=True, text=True)

assert loopwright("run", "--cycles", "1").returncode == 0
room = os.statvfs(disk)
with (disk / "filler").open("wb") as filler:
    filler.write(bytes(room.f_bavail * room.f_frsize - int(sys.argv[2])))
full = loopwright("run", "--cycles", "1")
told = loopwright("verify")
(disk / "filler").unlink()
after = loopwright("run", "--cycles", "1")
whole = loopwright("verify")
print(json.dumps({
    "full": [full.returncode, full.stderr], "told": [told.returncode, told.stderr],
    "after": [after.returncode, after.stderr], "whole": [whole.returncode, whole.stderr],
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 300_000, 900_000], ids=["nothing", "a little", "some"])
def test_a_full_disk_stops_the_run_and_loses_nothing(
    left: int, repository: Path, tmp_path: Path, require: Callable[..., None]
) -> None:
    """``left`` bytes remain when the run begins, so that it meets the end of the disk at different boundaries."""
    require("bwrap")
    disk = tmp_path / "disk"
    disk.mkdir()
    jail = ["bwrap", "--dev-bind", "/", "/", "--size", str(SIZE), "--tmpfs", str(disk), "--chdir", str(repository)]
    found = subprocess.run(
        [*jail, sys.executable, "-c", SCRIPT, str(disk), str(left)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{repository}/src:{repository}"},
    )
    assert found.returncode == 0, found.stderr[-2000:]
    seen = json.loads(found.stdout.splitlines()[-1])
    assert seen["full"][0] == 1, seen["full"]
    assert "disk" in seen["full"][1]
    assert "Traceback" not in seen["full"][1], seen["full"][1]
    assert seen["after"][0] == 0, seen["after"]
    assert seen["whole"][0] == 0, seen["whole"]
