"""A loop under a real Slurm of two hosts: sent by `loopwright launch`, taken away in the midst, queued again, and it comes out the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loopwright.workspace import Workspace
from tests.cluster.conftest import STEPS, Calm, OnServer
from tests.cluster.network import until
from tests.cluster.slurm import Slurm, installed
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


@pytest.fixture
def launched(on_a_server: OnServer, slurm: Slurm) -> tuple[Workspace, str]:
    """After c0000, and the job that is to turn c0001."""
    workspace, passwords = on_a_server.workspace, on_a_server.passwords
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
    launched: tuple[Workspace, str], slurm: Slurm, single: Calm
) -> None:
    workspace, job = launched
    assert ended(slurm, workspace, job) == "COMPLETED 0", said(workspace, job)
    assert outcome(workspace) == single.outcome


def test_taken_away_while_it_trains_it_is_queued_again_and_goes_on(
    launched: tuple[Workspace, str], slurm: Slurm, single: Calm
) -> None:
    """Slurm's warning, as before a time limit or for a job that matters more."""
    workspace, job = launched
    trains = re.compile(rf"c0001 train +\d+/{STEPS} steps")
    until(lambda: bool(trains.search(said(workspace, job))), lambda: said(workspace, job), PATIENCE)
    slurm.ask("scancel", "--signal=USR1", "--batch", job)
    assert ended(slurm, workspace, job) == "COMPLETED 1", said(workspace, job)
    assert "queued again" in said(workspace, job)
    assert outcome(workspace) == single.outcome
