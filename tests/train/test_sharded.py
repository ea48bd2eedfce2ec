"""A model cut up over ranks learns what a whole one learns; killed and resumed on fewer or more ranks, it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from loopwright.errors import InfraError, IntegrityError, PhaseError, TrainingDiverged
from loopwright.plugins import load_family
from loopwright.train.checkpoints import read_checkpoint, write_checkpoint
from loopwright.train.fit import fit
from loopwright.train.loop import dealt
from loopwright.train.sharding import chosen
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
    """A job that is cut up."""

    def make(key: str, shards: int = 4, **settings: Any) -> dict[str, Any]:
        family = {"name": "causal-lm", "settings": {"path": base, "chat": True, "tuning": "full", **settings}}
        return {
            **job(lr=0.01, shards=shards, clip=0.5),
            "key": key,
            "family": family,
            "parallel": "fsdp2",
            "storage": str(tmp_path),
        }

    return make


def weights(result: dict[str, Any]) -> dict[str, torch.Tensor]:
    return load_file(next(Path(result["directory"]).glob("*model.safetensors")))


def far(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest difference of two models, relative to their largest weight."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() / left[name].abs().max().item() for name in left)


def test_two_ranks_make_the_bytes_of_one(made: Make, lone: Make, tmp_path: Path) -> None:
    alone = fit(made("alone", shards=2), lone("alone"))
    whole = train(made("whole", shards=2), 2)
    same = ("losses", "tokens", "read", "counted", "parameters", "parallel")
    assert {name: whole[name] for name in same} == {name: alone[name] for name in same}
    made_by = [{path.name: path.read_bytes() for path in (tmp_path / key / "model").iterdir()} for key in ("alone", "whole")]
    assert made_by[0] == made_by[1]
    files = {path.name: path.stat().st_size for path in (tmp_path / "whole" / "step_00000008").iterdir()}
    assert files.keys() == {"COMPLETE.json", "state-00000.safetensors", "state-00001.safetensors"}
    assert files["state-00000.safetensors"] < 1.5 * files["state-00001.safetensors"]


def test_two_ranks_then_one_then_three(made: Make, lone: Make, tmp_path: Path) -> None:
    alone = fit(made("alone"), lone("alone"))
    assert train(made("changing"), 2, dies_at=5) == {}
    assert train(made("changing") | {"checkpoint_every": 2}, 1, dies_at=7) == {}
    assert (tmp_path / "changing" / "step_00000006" / "COMPLETE.json").is_file()
    last = train(made("changing"), 3)
    assert last["steps"] == [7, 8, 9]
    assert last["tokens"] == alone["tokens"]
    assert last["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert 0 < far(last, alone) < CLOSE


def test_adapters_on_a_frozen_base_in_bfloat16(made: Make, lone: Make, tmp_path: Path) -> None:
    """Of rank one: half of each pair of matrices has a single row, and one of the two ranks no part of it."""
    settings = {"shards": 2, "tuning": "lora", "lora": {"r": 1}, "bf16": True, "gradient_checkpointing": True}
    alone = fit(made("alone", **settings), lone("alone"))
    assert train(made("pair", **settings), 2, dies_at=6) == {}
    pair = train(made("pair", **settings), 2)
    assert pair["steps"] == [5, 6, 7, 8, 9]
    assert pair["losses"] == alone["losses"]
    assert far(pair, alone) == 0.0
    for file in (tmp_path / "pair" / "step_00000008").glob("state-*"):
        with safe_open(file, framework="pt") as opened:
            assert all(".lora_" in name or name.startswith("history/") for name in opened.keys())  # noqa: SIM118


def test_whole_replicas_may_have_uneven_shares(made: Make, lone: Make) -> None:
    alone = fit(made("alone") | {"parallel": "ddp"}, lone("alone"))
    three = train(made("three") | {"parallel": "ddp"}, 3)
    assert three["tokens"] == alone["tokens"]
    assert three["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert far(three, alone) < CLOSE


def test_a_gradient_without_a_norm_ends_it_and_leaves_no_group(made: Make, lone: Make, tmp_path: Path) -> None:
    wild = made("wild")
    wild["recipe"] |= {"lr": 1e38, "warmup": 0, "clip": 1e38}
    with pytest.raises(TrainingDiverged):
        fit(wild, lone("wild"))
    assert not torch.distributed.is_initialized()
    assert not (tmp_path / "wild" / "model").exists()


def test_what_is_cut_up_hangs_on_plan_and_model_alone(job: Make, lone: Make, base: str) -> None:
    with pytest.raises(PhaseError, match="TinyTransformer cannot be cut up"):
        fit(job() | {"parallel": "fsdp2"}, lone())
    family = load_family("causal-lm", {"path": base})
    with torch.device("meta"):
        small = torch.nn.Sequential(torch.nn.ModuleList([torch.nn.Linear(1024, 1024)]))
        large = torch.nn.Sequential(torch.nn.ModuleList([torch.nn.Linear(32768, 32769)]))
    assert [chosen("auto", family, model) for model in (small, large)] == ["ddp", "fsdp2"]
    assert chosen("auto", family, large.requires_grad_(requires_grad=False)) == "ddp"
    assert chosen("ddp", family, large) == "ddp"


def test_every_shard_is_dealt_once() -> None:
    for shards in range(1, 9):
        for ranks in range(1, shards + 1):
            shares = [dealt(shards, rank, ranks) for rank in range(ranks)]
            assert [shard for share in shares for shard in share] == list(range(shards))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_checkpoint_that_cannot_be_written_is_a_failure_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "step_00000001").write_text("in the way")
    with pytest.raises(InfraError, match="a resume checkpoint cannot be written: .*step_00000001"):
        write_checkpoint(tmp_path, 1, {"model/weight": torch.zeros(3)}, rank=0, together=False)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 3, {"model/a": torch.ones(4, 2), "model/b": torch.tensor(2.0)}, rank=0, together=False)
    into = {"model/a": torch.zeros(4, 2), "model/b": torch.zeros(())}
    read_checkpoint(tmp_path / "step_00000003", into)
    assert into["model/a"].sum() == 8
    assert into["model/b"] == 2
    for wrong in ({"model/a": torch.zeros(4, 2)}, into | {"model/b": torch.zeros(2)}, into | {"model/c": torch.zeros(2)}):
        with pytest.raises(IntegrityError, match="another model's: model/[bc]"):
            read_checkpoint(tmp_path / "step_00000003", wrong)
