"""On a cluster that runs already the driver is one job; a second launch finds the first, and a wrong token is refused."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loopwright.runtime.ray_process import kill_all
from tests.ports import free_port
from tests.run.small import make_small

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_a_loop_is_launched_onto_a_running_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    port, board, agent = free_port(), free_port(), free_port()
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = ["start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", f"--dashboard-port={board}"]
    start += [
        "--dashboard-host=127.0.0.1",
        "--num-cpus=2",
        "--block",
        f"--dashboard-agent-listen-port={agent}",
        f"--temp-dir=/tmp/r{port}",
    ]
    workspace = make_small(tmp_path / "lab", **{"runtime.profile": "cluster/shared.yaml", "cycles": 1})
    (workspace.root / "cluster" / "shared.yaml").write_text(f"executor: ray\naddress: 127.0.0.1:{port}\nmap_workers: 1\n")
    subprocess.run(["git", "add", "cluster/shared.yaml"], cwd=workspace.root, check=True)
    subprocess.run(["git", "commit", "-qm", "a shared cluster"], cwd=workspace.root, check=True)

    def launch(**more: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "loopwright",
            "launch",
            "--on",
            "ray",
            "--address",
            f"http://127.0.0.1:{board}",
            "--json",
        ]
        return subprocess.run(
            command, cwd=workspace.root, env={**os.environ, **more}, capture_output=True, text=True, timeout=120, check=False
        )

    with (tmp_path / "ray.log").open("wb") as log:
        cluster = subprocess.Popen([*ray, *start], stdout=log, stderr=log)
    try:
        _answers(board)
        wrong = tmp_path / "wrong"
        wrong.write_text(secrets.token_hex(32))
        wrong.chmod(0o600)
        refused = launch(RAY_AUTH_TOKEN_PATH=str(wrong))
        assert refused.returncode == 1, refused.stderr
        assert "token" in refused.stderr

        said = launch()
        assert said.returncode == 0, said.stdout + said.stderr
        first = json.loads(said.stdout)
        assert (first["sent"], first["attached"], first["job"]) == (True, False, "small-c0000-1")
        second = json.loads(launch().stdout)
        assert (second["attached"], second["job"]) == (True, "small-c0000-1")
        assert token.read_text() not in str(first)

        end = time.monotonic() + 300
        while _status(board, "small-c0000-1") in {"PENDING", "RUNNING"} and time.monotonic() < end:
            time.sleep(1)
        assert _status(board, "small-c0000-1") == "SUCCEEDED", _logs(board, "small-c0000-1")
        assert list(workspace.state().cycles) == ["c0000", "c0001"]
        again = json.loads(launch().stdout)
        assert (again["attached"], again["job"]) == (False, "small-c0002-1")  # a new job: it finds nothing to do
    finally:
        _end(cluster)


def _end(cluster: subprocess.Popen[bytes]) -> None:
    """This cluster's processes and no other's (`ray stop` would end every Ray of this account)."""
    kill_all(psutil.Process(cluster.pid).children(recursive=True).copy)
    cluster.kill()
    cluster.wait(30)


def _client(board: int):
    from ray.job_submission import JobSubmissionClient

    return JobSubmissionClient(f"http://127.0.0.1:{board}")


def _answers(board: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            _client(board).list_jobs()
        except (ConnectionError, RuntimeError):
            assert time.monotonic() < end, "the dashboard does not answer"
            time.sleep(1)
        else:
            return


def _status(board: int, job: str) -> str:
    return _client(board).get_job_status(job).value


def _logs(board: int, job: str) -> str:
    return _client(board).get_job_logs(job)[-2000:]
