"""A remote that cannot be reached fails no cycle: the record is whole, the error is one, and what waits is pushed later."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.cli.tables import _unpushed
from loopwright.store.project import CACHE
from loopwright.workspace import Workspace


def loopwright(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "loopwright", *words], cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_dead_remote_fails_no_cycle_and_push_goes_on(lab: Workspace, tmp_path: Path) -> None:
    config, plan, wall = lab.root / ".dvc" / "config", lab.root / "loop.yaml", tmp_path / "wall"
    wall.write_text("a file where the remote's folder should be")
    config.write_text(re.sub(r"url = .*", f"url = {wall}/remote", config.read_text()))
    plan.write_text(f"{plan.read_text()}\nversioning:\n  push: cycle\n")
    subprocess.run(["git", "commit", "-qam", "another remote"], cwd=lab.root, check=True)

    ran = loopwright(lab.root, "run", "--cycles", "1")
    assert ran.returncode == 1
    assert ran.stderr.count("error: ") == 1
    assert f"did not arrive at {wall}/remote" in ran.stderr
    assert "next: mend the remote, then `loopwright push` goes on with 2 cycles" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "c0001" in ran.stdout  # the table came first
    assert lab.state().cycles["c0001"].closed_at
    assert not subprocess.run(["git", "status", "--porcelain"], cwd=lab.root, capture_output=True, check=True).stdout
    told = json.loads(loopwright(lab.root, "status", "--json").stdout)["push"]
    assert told["waiting"] == ["c0000", "c0001"]
    assert (
        "not pushed yet: 2 cycles, c0000 to c0001 (`loopwright push`); the last try failed"
        in loopwright(lab.root, "status").stdout
    )

    assert loopwright(lab.root, "run", "--cycles", "1").returncode == 1  # the loop goes on all the same
    assert lab.state().cycles["c0002"].closed_at
    wall.unlink()
    pushed = loopwright(lab.root, "push", "--json")
    assert pushed.returncode == 0, pushed.stderr
    assert json.loads(pushed.stdout) == {
        "schema_version": 1,
        "pushed": ["c0000", "c0001", "c0002"],
        "absent": {},
        "remote": f"{wall}/remote",
        "waiting": [],
        "failure": None,
    }
    named = {"".join(file.parts[-2:]) for file in (lab.root / CACHE).glob("??/*")}
    assert {"".join(file.parts[-2:]) for file in (wall / "remote/files/md5").glob("??/*")} == named
    assert "nothing waited" in loopwright(lab.root, "push").stdout
    assert "not pushed yet" not in loopwright(lab.root, "status").stdout


def test_where_runs_push_nothing_status_says_so_and_lists_no_cycle() -> None:
    waiting = {"remote": None, "waiting": ["c0000", "c0001"], "failure": None}
    [said] = _unpushed(waiting, off=True)
    assert said == "runs push nothing (`versioning.push: never`); 2 cycles have no copy on the remote (`loopwright push`)"
    assert _unpushed(waiting, off=False) == ["not pushed yet: 2 cycles, c0000 to c0001 (`loopwright push`)"]
    assert _unpushed({**waiting, "waiting": []}, off=True) == _unpushed(None, off=True) == []
