"""What waits for the remote is known, a push that fails or is killed loses nothing, and the next one goes on with the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.errors import InfraError
from loopwright.store.dvc import DvcStore
from loopwright.store.project import CACHE, objects
from loopwright.store.pushing import note, push, read_notes, standing
from tests.store import fake

KILLED = """
import os, signal, sys
from pathlib import Path
from loopwright.store.dvc import DvcStore
from loopwright.store.pushing import push
root = Path(sys.argv[1])
push(root, DvcStore(root), lambda cycle, done, total: os.kill(os.getpid(), signal.SIGKILL) if done else None)
"""


def files(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.glob("??/*")}


def quiet(cycle: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture
def two(lab: tuple[Path, DvcStore]) -> tuple[Path, DvcStore, Path]:
    """Two cycles that are recorded and noted; the workspace, its DVC project, and where its remote keeps objects."""
    root, store = lab
    fake.turn(store, root, "c0000")
    note(root, "c0000")
    fake.turn(store, root, "c0001", parent="c0000", prev="c0000")
    note(root, "c0001")
    note(root, "c0001")  # a run that was killed before it closed the cycle comes by here again
    return root, store, root.with_name("lab-remote") / "files" / "md5"


def test_a_push_that_fails_in_the_middle_says_why_and_the_next_goes_on(two: tuple[Path, DvcStore, Path]) -> None:
    root, store, remote = two
    assert standing(root) == {"remote": None, "waiting": ["c0000", "c0001"], "failure": None}
    assert len((root / ".loopwright/push.jsonl").read_text().splitlines()) == 3
    waiting = read_notes(root).waiting
    earlier = {name.parts[0] for md5 in waiting["c0000"].values() for name in objects(root, md5)}
    own = [name for md5 in waiting["c0001"].values() for name in objects(root, md5) if not name.name.endswith(".dir")]
    in_the_way = remote / next(name.parts[0] for name in own if name.parts[0] not in earlier)
    in_the_way.parent.mkdir(parents=True)
    in_the_way.symlink_to("nowhere")  # what is below it does not exist, and cannot be made

    with pytest.raises(
        InfraError, match="c0001 did not arrive at .*lab-remote: .* of .* files did not arrive: .*(File exists|No such file)"
    ) as failed:
        push(root, store, quiet)
    assert failed.value.exit_code == 1
    assert "`loopwright push` goes on with 1 cycle" in failed.value.next_step
    told = standing(root)
    assert told is not None
    assert told["waiting"] == ["c0001"]
    assert "did not arrive" in told["failure"]["error"]
    arrived = files(remote)

    in_the_way.unlink()
    assert push(root, store, quiet) == {"c0001": 0}
    assert standing(root) == {"remote": store.remote, "waiting": [], "failure": None}
    assert {name: seen for name, seen in files(remote).items() if name in arrived} == arrived  # nothing was sent twice
    assert set(files(remote)) == set(files(root / CACHE))
    assert push(root, store, quiet) == {}


def test_a_killed_push_goes_on_and_a_new_remote_gets_everything(two: tuple[Path, DvcStore, Path]) -> None:
    root, store, remote = two
    died = subprocess.run([sys.executable, "-c", KILLED, str(root)], check=False, env=os.environ)
    assert died.returncode == -signal.SIGKILL
    assert list(read_notes(root).waiting) == ["c0001"]
    assert push(root, store, quiet) == {"c0001": 0}
    store.close()

    config = root / ".dvc" / "config"
    config.write_text(config.read_text().replace("lab-remote", "elsewhere"))
    moved = DvcStore(root)
    assert push(root, moved, quiet) == {"c0000": 0, "c0001": 0}
    assert set(files(root.with_name("elsewhere") / "files/md5")) == set(files(remote)) == set(files(root / CACHE))
    moved.close()


def test_notes_that_are_lost_or_damaged_mean_that_everything_is_offered_again(two: tuple[Path, DvcStore, Path]) -> None:
    root, store, _ = two
    everything = read_notes(root).waiting
    push(root, store, quiet)
    notes = root / ".loopwright" / "push.jsonl"
    with notes.open("ab") as file:
        file.write(json.dumps({"waiting": "c0002"}).encode()[:9])  # the machine was lost in the midst of a line
    assert read_notes(root).waiting == everything
    assert push(root, store, quiet) == {"c0000": 0, "c0001": 0}
    notes.unlink()
    assert standing(root) is None
    weights = next(name for name in objects(root, everything["c0001"]["cycles/c0001/model"]) if not name.name.endswith(".dir"))
    kept = (root / CACHE / weights).rename(root / "kept")  # as a collection leaves it
    assert push(root, store, quiet) == {"c0000": 0, "c0001": 1}
    kept.rename(root / CACHE / weights)
    notes.unlink()
    assert push(root, store, quiet) == {"c0000": 0, "c0001": 0}
