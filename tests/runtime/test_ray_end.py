"""Whatever ends a driver, no process and no file of its Ray stays behind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loopwright.errors import InfraError
from loopwright.runtime.ray import RayExecutor
from loopwright.runtime.ray_process import kill_all, lives
from tests.ports import free_port
from tests.runtime import work

pytestmark = pytest.mark.ray

DRIVER = """
import sys, time
from pathlib import Path
from loopwright.runtime.profile import Profile
from loopwright.runtime.ray import RayExecutor
from tests.runtime import work
executor = RayExecutor(Profile(num_cpus=2), Path(sys.argv[1]))
executor.warm()
executor.map(work.draw, [1, 2])
executor.train(work.whoami, {"key": "k", "storage": sys.argv[1] + "/jobs"})
print("running", flush=True)
executor.train(work.count, {"key": "k", "storage": sys.argv[1] + "/jobs", "seed": 1, "steps": 1000, "pause": 0.1})
"""


def gone(processes: list[psutil.Process], patience: float) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if not [process for process in processes if lives(process)]:
            return True
        time.sleep(0.1)
    return False


def test_a_killed_driver_leaves_nothing_running(repository, tmp_path):
    path = os.pathsep.join([str(repository), str(repository / "src")])
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "running\n"
        processes = psutil.Process(driver.pid).children(recursive=True)
        assert any("RayTrainWorker" in " ".join(process.cmdline()) for process in processes)
        record = json.loads(next(tmp_path.glob("ray-*/host.json")).read_text())
        driver.send_signal(signal.SIGKILL)
        assert gone(processes, patience=10)
    assert not Path(record["temporary"]).exists()


def test_close_leaves_nothing_running_also_while_ray_still_starts(profile, tmp_path):
    executor = RayExecutor(profile, tmp_path)
    executor.warm()
    host = psutil.Process(executor._process._process.pid)
    while not any("raylet" in child.name() for child in host.children(recursive=True)):
        time.sleep(0.1)
    processes, record = host.children(recursive=True), json.loads(next(tmp_path.glob("ray-*/host.json")).read_text())
    start = time.monotonic()
    executor.close()
    assert time.monotonic() - start < 30  # it waits for nobody who would take longer
    assert gone([host, *processes], patience=10)
    assert not Path(record["temporary"]).exists()
    assert not list(tmp_path.glob("ray-*"))
    executor.close()  # once more is nothing


def test_whoever_interrupts_a_request_drops_ray_and_the_next_request_starts_another(profile, tmp_path):
    def interrupt(done: int, total: int, unit: str) -> None:
        raise KeyboardInterrupt

    executor = RayExecutor(profile, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        executor.map(work.draw, [1, 2, 3], interrupt)
    assert not list(tmp_path.glob("ray-*"))
    assert executor.map(work.draw, [1]) == [work.draw(1)]
    psutil.Process(executor._process._process.pid).kill()
    with pytest.raises(InfraError, match="ended too early") as ended:
        executor.map(work.draw, [1])
    assert "in-process" in ended.value.next_step
    executor.close()
    assert not list(tmp_path.glob("ray-*"))


def test_a_head_that_does_not_answer_is_told_soon(profile, tmp_path):
    nowhere = RayExecutor(dataclasses.replace(profile, address="127.0.0.1:9"), tmp_path)
    begun = time.monotonic()
    with pytest.raises(InfraError, match="no Ray head answers at 127.0.0.1:9: Connection refused") as refused:
        nowhere.map(work.draw, [1])
    assert "address" in refused.value.next_step
    assert time.monotonic() - begun < 40  # Ray alone takes longer than that
    assert not list(tmp_path.glob("ray-*"))


def test_a_profile_that_asks_for_gpus_where_none_are_is_told_at_once(profile, tmp_path):
    executor = RayExecutor(dataclasses.replace(profile, use_gpu=True), tmp_path)
    with pytest.raises(InfraError, match="asks for GPUs, and Ray finds none"):
        executor.map(work.draw, [1])


def test_a_running_cluster_is_joined_and_left_as_it_was(executor, profile, monkeypatch, tmp_path):
    """And a group that is not kept warm is gone when its job has ended: so it would give back its GPUs."""
    token = executor.map(work.look, ["x"])[0]["token"]
    host = psutil.Process(json.loads((Path(token).parent / "host.json").read_text())["host"])
    commands = " ".join(word for process in host.children(recursive=True) for word in process.cmdline())
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)  # it is never asked without
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", token)
    address = re.search(r"--gcs-address=(\S+:\d+)", commands)[1]
    guest = RayExecutor(dataclasses.replace(profile, address=address, keep_warm=False), tmp_path)
    guest.warm()
    seen = guest.train(work.whoami, {"key": "k", "storage": str(tmp_path / "jobs")})
    assert gone([psutil.Process(seen["pid"])] if psutil.pid_exists(seen["pid"]) else [], patience=30)
    assert guest.map(work.draw, [1]) == [work.draw(1)]
    assert guest.describe()["cluster"] == "shared"
    guest.close()
    assert executor.map(work.draw, [2]) == [work.draw(2)]
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "guess"))
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "1")
    (tmp_path / "guess").write_text("0" * 64)
    with pytest.raises(InfraError, match="Failed to connect") as refused:
        RayExecutor(dataclasses.replace(profile, address=address), tmp_path).map(work.draw, [1])
    assert "RAY_AUTH_TOKEN_PATH" in refused.value.next_step


def test_a_cluster_that_is_open_to_everybody_is_refused(profile, monkeypatch, tmp_path):
    """It would work: who asks with a token is served there, too."""
    port, place = free_port(), Path(f"/tmp/lwopen{os.getpid()}")  # Ray's sockets need a short path
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--temp-dir={place}", "--disable-usage-stats"]
    with subprocess.Popen(
        command, env={**os.environ, "RAY_AUTH_MODE": "disabled"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as head:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            (tmp_path / "token").write_text("0" * 64)
            (tmp_path / "token").chmod(0o600)
            monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
            monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
            with pytest.raises(InfraError, match="answers callers without a token"):
                RayExecutor(dataclasses.replace(profile, address=f"127.0.0.1:{port}"), tmp_path).map(work.draw, [1])
        finally:
            family = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
            kill_all(lambda: family)
            shutil.rmtree(place, ignore_errors=True)


def test_remains_of_a_killed_host_are_cleared_at_the_next_start(profile, tmp_path):
    temporary = tmp_path / "lw-old"
    temporary.mkdir()
    (tmp_path / "ray-old").mkdir()
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    (tmp_path / "ray-old" / "host.json").write_text(json.dumps({"host": ended.pid, "temporary": str(temporary)}))
    executor = RayExecutor(profile, tmp_path)
    executor.warm()
    executor.close()
    assert list(tmp_path.iterdir()) == []
