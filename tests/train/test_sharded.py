"""A model cut up over ranks learns what a whole one learns; killed and resumed on fewer or more ranks, it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from loopwright.train.fit import fit
from tests.models.llama import write_llama
from tests.train.gang import train

Make = Callable[..., Any]
CLOSE = 2e-5
"""Relative to the largest weight, after nine steps: sums of float32 in another order."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_llama(tmp_path_factory.mktemp("llama") / "tiny"))


@pytest.fixture
def made(job: Make, base: str, tmp_path: Path) -> Make:
    """A job of four shards that is cut up."""

    def make(key: str, tuning: str = "full", **settings: Any) -> dict[str, Any]:
        family = {"name": "causal-lm", "settings": {"path": base, "chat": True, "tuning": tuning, **settings}}
        return {**job(lr=0.01, shards=4, clip=0.5), "key": key, "family": family, "parallel": "fsdp2", "storage": str(tmp_path)}

    return make


def weights(result: dict[str, Any]) -> dict[str, torch.Tensor]:
    return load_file(next(Path(result["directory"]).glob("*model.safetensors")))


def far(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest difference of two models, relative to their largest weight."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() / left[name].abs().max().item() for name in left)


def test_two_ranks_then_one_then_three(made: Make, lone: Make, base: str, tmp_path: Path) -> None:
    alone = fit(made("alone"), lone("alone"))
    whole = train(made("whole"), 2)
    assert whole["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert far(whole, alone) < CLOSE
    assert whole["counted"]["flop"] == alone["counted"]["flop"]
    files = {path.name: path.stat().st_size for path in (tmp_path / "whole" / "step_00000008").iterdir()}
    assert files.keys() == {"COMPLETE.json", "state-00000.safetensors", "state-00001.safetensors"}
    assert files["state-00000.safetensors"] < 1.5 * files["state-00001.safetensors"]
    trained = [path.name for path in sorted((tmp_path / "alone" / "model").iterdir())]
    assert trained == [path.name for path in sorted((tmp_path / "whole" / "model").iterdir())]
    config = [(tmp_path / key / "model" / "config.json").read_bytes() for key in ("alone", "whole")]
    assert config[0] == config[1]

    assert train(made("changing"), 2, dies_at=5) == {}
    lonely = train(made("changing") | {"checkpoint_every": 2}, 1, dies_at=7)
    assert lonely == {}
    assert (tmp_path / "changing" / "step_00000006").is_dir()
    last = train(made("changing"), 3)
    assert last["steps"] == [7, 8, 9]
    assert last["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert far(last, alone) < CLOSE

    assert train(made("again"), 2, dies_at=6) == {}
    again = train(made("again"), 2)
    assert again["steps"] == [5, 6, 7, 8, 9]
    assert again["losses"] == whole["losses"]
    assert far(again, whole) == 0.0
