"""A training whose group may change its size, on nodes one of which dies: it goes on with those that are left."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from loopwright.runtime.profile import Profile
from loopwright.runtime.ray import RayExecutor
from loopwright.store.tables import ROWS, write_table
from loopwright.train.fit import fit
from tests.models.llama import write_llama
from tests.train.conftest import RECIPE, row, words

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_a_cut_up_training_goes_on_with_one_node_less(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")  # a namespace's host name leads nowhere
    nodes.restore("a", "b")
    for name, value in {**nodes.environment, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20"}.items():
        monkeypatch.setenv(name, value)
    for name, length, origin in (("one", 3, "human"), ("two", 4, "sha256:" + "0" * 64)):
        write_table(tmp_path / name / "rows.parquet", ROWS, [row(*pair, origin) for pair in words(length)])
    family = {"name": "causal-lm", "settings": {"path": str(write_llama(tmp_path / "tiny")), "tuning": "full"}}
    job = {
        "key": "train", "storage": str(tmp_path / "scratch" / "jobs"), "family": family, "model": None,
        "rows": [str(tmp_path / "one"), str(tmp_path / "two")], "alphabet": {"words": [], "lexemes": ["x"]},
        "recipe": RECIPE | {"steps": 600, "shards": 4}, "seed": 5, "threads": 1, "checkpoint_every": 50, "parallel": "fsdp2",
        "keep": 100,
    }  # fmt: skip
    killing = threading.Thread(target=nodes.kill, args=("b",))

    def tell(done: int, total: int, unit: str) -> None:
        if done >= 120 and not killing.ident:
            killing.start()

    profile = Profile(address=nodes.address, train_workers=(1, 2), map_workers=1, max_failures=4)
    executor = RayExecutor(profile, tmp_path / "scratch", ("torch",))
    try:
        result = executor.train(fit, job, tell)
    finally:
        executor.close()
        killing.join()
    assert result["workers"] == 1
    assert len(result["losses"]) == 600
    assert result["losses"][-1] < 0.5 * result["losses"][0]
    parts = [len(list(step.glob("state-*"))) for step in sorted((tmp_path / "scratch" / "jobs" / "train").glob("step_*"))]
    assert parts[0] == 2
    assert parts[-1] == 1
    assert len(parts) == 11
