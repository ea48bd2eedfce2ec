"""A halt ends training on Ray: on a private Ray every process, on a shared cluster the job and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from loopwright import supervisor
from loopwright.errors import HaltedError
from loopwright.runtime.profile import Profile
from loopwright.runtime.ray import RayExecutor
from tests.govern.test_halt import SECONDS, Trips, living, stopped, turn
from tests.run.small import make_small, small_recipe
from tests.runtime import work

pytestmark = [pytest.mark.slow, pytest.mark.ray]


class AtStep(Trips):
    """Has somebody halt the loop when training reports its first steps."""

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        if phase == "train" and not self.children:
            self.look()
            self.halted = time.monotonic()  # who halts may be interrupted before the next line
            self.act(self.workspace, "the loss looks wrong")


def gone(find, since: float) -> float:
    """Seconds after ``since`` at which ``find`` finds nothing any more; fails after those that were promised."""
    while find():
        assert time.monotonic() - since <= SECONDS
        time.sleep(0.05)
    return time.monotonic() - since


def test_on_a_private_ray_every_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 60.0)
    workspace = make_small(tmp_path / "lab", **{"runtime.profile": "cluster/local.yaml"})
    small_recipe(workspace.root, steps=20000)
    trips = AtStep(workspace, "train")
    with pytest.raises(HaltedError, match="the loss looks wrong"):
        turn(workspace, 0, trips)

    assert len(trips.children) > 5  # raylet, gcs, workers, zygotes
    seconds = gone(lambda: living(trips.children), trips.halted)
    assert stopped(workspace)["phase"] == "train"
    print(f"private ray: all gone {seconds:.1f} s after the halt was acknowledged")


def test_on_a_shared_cluster_the_job_ends_and_the_cluster_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 60.0)
    host = RayExecutor(Profile(num_cpus=4), tmp_path / "host")
    token = host.map(work.look, ["x"])[0]["token"]
    process = psutil.Process(json.loads((Path(token).parent / "host.json").read_text())["host"])
    commands = " ".join(word for child in process.children(recursive=True) for word in child.cmdline())
    address = re.search(r"--gcs-address=(\S+:\d+)", commands)[1]
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", token)
    workspace = make_small(tmp_path / "lab", **{"runtime.profile": "cluster/shared.yaml"})
    shared = f"executor: ray\naddress: {address}\nmap_workers: 1\n"
    (workspace.root / "cluster" / "shared.yaml").write_text(shared, encoding="utf-8")
    subprocess.run(["git", "add", "cluster/shared.yaml"], cwd=workspace.root, check=True)
    small_recipe(workspace.root, steps=20000)

    def trainers() -> list[psutil.Process]:
        return [one for one in process.children(recursive=True) if "RayTrainWorker" in " ".join(one.cmdline())]

    class Seen(AtStep):
        def look(self) -> None:
            self.children = trainers()

    trips = Seen(workspace, "train")
    try:
        with pytest.raises(HaltedError, match="the loss looks wrong"):
            turn(workspace, 0, trips)
        assert trips.children
        seconds = gone(lambda: living(trips.children), trips.halted)
        assert stopped(workspace)["phase"] == "train"
        assert host.map(work.draw, [1]) == [work.draw(1)]  # the cluster itself goes on
        print(f"shared cluster: the job's workers gone {seconds:.1f} s after the halt was acknowledged")
    finally:
        host.close()
