"""A loop under a real Slurm of two hosts: sent by `loopwright launch`, taken away in the midst, queued again, and it comes out the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.workspace import Workspace
from tests.cluster.conftest import STEPS, Calm
from tests.cluster.network import until
from tests.cluster.slurm import Slurm, installed
from tests.ledger.cluster import Cluster, binaries, cluster
from tests.run.conftest import server
from tests.run.small import copy_of, make_small, small_recipe
from tests.run.test_resume import outcome

pytestmark = [pytest.mark.slow, pytest.mark.ray]

PATIENCE = 420.0
"""Seconds that a job gets."""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if not installed():
        pytest.skip("a Slurm of one's own needs slurmctld, slurmd, slurm-client and munge, and root")
    with Slurm(tmp_path_factory.mktemp("slurm"), "n1", "n2") as made:
        yield made


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    """Its socket is on the disk that all hosts see."""
    programs = binaries()
    if programs is None:
        pytest.skip("the record must be on a server: install postgresql")
    with cluster(programs) as made:
        yield made


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """One cycle after c0000, turned in one process."""
    made = make_small(tmp_path_factory.mktemp("calm") / "lab", **{"cycles": 1, "trainer.checkpoint_every": 30})
    small_recipe(made.root, STEPS)
    with server() as turn:
        assert turn(made.root, 0)["code"] == 0
        after = copy_of(made.root, made.root.with_name("after"))
        assert turn(after.root, 1)["code"] == 0
    return Calm(before=made.root, outcome=outcome(after))


@pytest.fixture
def launched(calm: Calm, slurm: Slurm, postgres: Cluster, tmp_path: Path) -> tuple[Workspace, str]:
    """After c0000, and the job that is to turn c0001."""
    workspace = copy_of(calm.before, tmp_path / "lab")
    profile = workspace.root / "cluster/ray.yaml"
    profile.write_text(profile.read_text().replace("train_workers: 4", "train_workers: 2"))
    plan = workspace.root / "loop.yaml"
    url = f"postgresql+pg8000://loop@:{postgres.port}/postgres?host={postgres.folder}&schema={tmp_path.name[:40]}"
    assert "profile: in-process" in plan.read_text()
    told = plan.read_text().replace("profile: in-process", "profile: cluster/ray.yaml")
    plan.write_text(f"{told}record: {{url: '{url}'}}\n")
    subprocess.run(["git", "commit", "-qam", "on Slurm"], cwd=workspace.root, check=True)
    passwords = tmp_path / "pgpass"
    passwords.write_text(postgres.password_line().replace("127.0.0.1", "localhost"))
    passwords.chmod(0o600)
    environment = {**os.environ, **slurm.environment, "PGPASSFILE": str(passwords), "LOOPWRIGHT_PYTHON": sys.executable}
    words = ["launch", "--on", "slurm", "--set", "nodes=2", "--set", "cpus=1", "--set", "time=1:00:00"]
    command = [sys.executable, "-m", "loopwright", *words]
    done = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace, done.stdout.split("Submitted batch job ")[1].split()[0]


def said(workspace: Workspace, job: str) -> str:
    log = workspace.root / f".loopwright/slurm-{job}.out"
    return log.read_text(errors="replace") if log.exists() else ""


def ended(slurm: Slurm, workspace: Workspace, job: str) -> str:
    until(lambda: slurm.state(job).split()[0] in {"COMPLETED", "FAILED", "TIMEOUT"}, lambda: said(workspace, job), PATIENCE)
    return slurm.state(job)


def test_a_launched_loop_runs_on_all_hosts_and_comes_out_the_same(
    launched: tuple[Workspace, str], slurm: Slurm, calm: Calm
) -> None:
    workspace, job = launched
    assert ended(slurm, workspace, job) == "COMPLETED 0", said(workspace, job)
    assert outcome(workspace) == calm.outcome


def test_taken_away_while_it_trains_it_is_queued_again_and_goes_on(
    launched: tuple[Workspace, str], slurm: Slurm, calm: Calm
) -> None:
    """Slurm's warning, as before a time limit or for a job that matters more."""
    workspace, job = launched
    trains = re.compile(rf"c0001 train +\d+/{STEPS} steps")
    until(lambda: bool(trains.search(said(workspace, job))), lambda: said(workspace, job), PATIENCE)
    slurm.ask("scancel", "--signal=USR1", "--batch", job)
    assert ended(slurm, workspace, job) == "COMPLETED 1", said(workspace, job)
    assert "queued again" in said(workspace, job)
    assert outcome(workspace) == calm.outcome
