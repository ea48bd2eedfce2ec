"""Training a language model by adapters: as a plain loop would, small checkpoints, and a resume that ends in the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from loopwright.plugins import Alphabet, load_family
from loopwright.train.fit import fit
from loopwright.train.mixing import read_mixture
from loopwright.types import seed_of
from loopwright.written import FileStat, from_json
from tests.models.llama import write_llama
from tests.train.gang import train

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"path": str(write_llama(tmp_path_factory.mktemp("llama") / "tiny")), "chat": True}


def made(job: Make, settings: dict[str, Any]) -> dict[str, Any]:
    return {**job(lr=0.02), "family": {"name": "causal-lm", "settings": settings}}


def adapter(result: dict[str, Any]) -> bytes:
    return (Path(result["directory"]) / "adapter_model.safetensors").read_bytes()


def test_it_does_what_a_plain_loop_does(job: Make, lone: Make, settings: dict[str, Any], tmp_path: Path) -> None:
    work = made(job, settings)
    result = fit(work, lone("one"))
    family = load_family("causal-lm", settings)
    model = family.create(Alphabet(words=(), lexemes=("x",)), seed_of(5, "model"))
    mixture = read_mixture(work["rows"], 8, 2, 0.5, seed_of(5, "mixture"))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1.0, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    rates = [0.01, 0.02, *(0.02 * (1 - 0.9 * step / 7) for step in range(7))]
    losses = []
    for step in range(9):
        shards = [family.collate(model, rows) for rows in mixture.at(step)]
        tokens = sum(int(shard["weight"].sum()) for shard in shards)
        optimizer.zero_grad()
        parts = [family.loss(model, shard) for shard in shards]
        for part in parts:
            (part / tokens).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        losses.append(sum(part.item() for part in parts) / tokens)
    family.save(model, tmp_path / "plain")
    assert adapter(result) == (tmp_path / "plain" / "adapter_model.safetensors").read_bytes()
    assert result["losses"] == losses
    assert losses[-1] < losses[0]


def test_a_resumed_training_ends_in_the_same_bytes_and_its_checkpoint_holds_adapters_alone(
    job: Make, lone: Make, settings: dict[str, Any]
) -> None:
    work = made(job, settings)
    undisturbed = fit(work, lone("whole"))
    worker = lone("killed", dies_at=6)
    with pytest.raises(KeyboardInterrupt):
        fit(work, worker)
    with safe_open(worker.directories[0] / "state-00000.safetensors", framework="pt") as file:
        names = set(file.keys())
    weights = {name for name in names if name.startswith("model/")}
    assert weights
    assert all(".lora_" in name for name in weights)
    assert len([name for name in names if name.endswith("/exp_avg")]) == len(weights)
    resumed = fit(work, lone("killed"))
    assert adapter(resumed) == adapter(undisturbed)
    assert resumed["losses"] == undisturbed["losses"]


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_two_processes_end_in_the_same_bits(job: Make, lone: Make, settings: dict[str, Any], tuning: str) -> None:
    work = made(job, {**settings, "tuning": tuning})
    alone = fit(work, lone("alone"))
    both = train({**work, "key": "both"}, 2)
    name = "adapter_model.safetensors" if tuning == "lora" else "model.safetensors"
    assert (Path(both["directory"]) / name).read_bytes() == (Path(alone["directory"]) / name).read_bytes()


def test_a_whole_model_trains_and_goes_on_from_its_own_folder(job: Make, lone: Make, settings: dict[str, Any]) -> None:
    work = made(job, {**settings, "tuning": "full"})
    first = fit(work, lone("first"))
    then = fit({**work, "model": first["directory"]}, lone("then"))
    assert then["losses"][-1] < first["losses"][0]
    assert (Path(then["directory"]) / "tokenizer.json").is_file()
    weights = Path(then["directory"]) / "model.safetensors"
    known = from_json(then["written"])[FileStat.of(weights.lstat())]
    assert known.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
