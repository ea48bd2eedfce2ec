"""The check for machines with GPUs: it says where there is none, and a failure is never a success."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert gpu_check.main() == 2
    assert "There is no GPU here" in capsys.readouterr().out


def test_one_failure_fails_it_and_what_is_not_possible_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def missing(site: gpu_check.Site) -> str:
        raise gpu_check.NotHere("one GPU; this needs two")

    def wrong(site: gpu_check.Site) -> str:
        return gpu_check.near([2.0, 1.0], [2.0, 1.1], gpu_check.CLOSE)

    monkeypatch.setattr(gpu_check, "tiny", lambda folder: tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--rehearse"])
    for checks, code in (((("a", missing),), 0), ((("a", missing), ("b", wrong), ("c", lambda site: "well")), 1), ((), 1)):
        monkeypatch.setattr(gpu_check, "CHECKS", checks)
        assert gpu_check.main() == code
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "losses differ by 9.1e-02, allowed 1e-04" in said
    assert "1 passed, 1 FAILED, 1 not possible here" in said


@pytest.mark.slow
@pytest.mark.ray
def test_the_steps_run_on_cpus() -> None:
    command = [sys.executable, "benchmarks/gpu_check.py", "--rehearse"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False, cwd=Path(__file__).parents[1])
    assert found.returncode == 0, found.stdout + found.stderr[-3000:]
    assert "11 passed, 0 FAILED, 2 not possible here" in found.stdout
