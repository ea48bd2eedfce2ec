"""On a real Ray cluster: one kill -9 of the driver a phase, and the same artifacts as without Ray and without kills."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.run.small import make_small
from tests.run.test_resume import outcome

KILLS = [
    ("c0000", "seed", "started"),
    ("c0000", "train", "middle"),
    ("c0000", "evaluate", "middle"),
    ("c0000", "examine", "started"),
    ("c0001", "generate", "middle"),
    ("c0001", "verify", "started"),
    ("c0001", "merge", "started"),
    ("c0001", "train", "middle"),
    ("c0001", "evaluate", "middle"),
    ("c0001", "examine", "started"),
    ("c0001", "decide", "started"),
]


@pytest.mark.slow
@pytest.mark.ray
def test_one_kill_a_phase_on_ray_ends_like_an_undisturbed_run_in_process(
    tmp_path: Path, victim: Callable[..., dict[str, Any]]
) -> None:
    calm = make_small(tmp_path / "calm")
    assert victim(calm.root, 1)["code"] == 0
    workspace = make_small(tmp_path / "lab", **{"runtime.profile": "cluster/local.yaml"})
    for kill in KILLS:
        assert victim(workspace.root, 1, kill) == {"signal": signal.SIGKILL, "code": None}, kill
    assert victim(workspace.root, 1) == {"signal": None, "code": 0}
    assert outcome(workspace) == outcome(calm)
    executors = {done.environment["executor"] for one in workspace.state().cycles.values() for done in one.phases.values()}
    assert executors == {"ray"}


@pytest.mark.ray
def test_the_local_profile_turns_a_loop(tmp_path: Path, victim: Callable[..., dict[str, Any]]) -> None:
    workspace = make_small(tmp_path / "lab", **{"runtime.profile": "cluster/local.yaml"})
    assert victim(workspace.root, 1) == {"signal": None, "code": 0}
    assert workspace.state().cycles["c0001"].closed_at
    calm = make_small(tmp_path / "calm")
    assert victim(calm.root, 1)["code"] == 0
    assert outcome(workspace) == outcome(calm)
