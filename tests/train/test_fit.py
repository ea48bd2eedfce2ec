"""Training: what a plain loop would do, bit for bit; undisturbed, resumed, or shared by two processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    TorchElasticEnvironment,
)
from safetensors.torch import load_file, save_file

from loopwright.errors import IntegrityError, PhaseError, TrainingDiverged
from loopwright.plugins import Alphabet, load_family
from loopwright.runtime.checkpoints import ask_to_leave, unask
from loopwright.train.checkpoints import step_of
from loopwright.train.fit import fit
from loopwright.train.mixing import read_mixture
from loopwright.types import seed_of
from tests.train.gang import train, train_all

Make = Callable[..., Any]


def weights(directory: str | Path) -> bytes:
    return (Path(directory) / "model.safetensors").read_bytes()


@pytest.fixture
def undisturbed(job: Make, lone: Make) -> dict[str, Any]:
    """The result of a run that nothing befell."""
    return fit(job(), lone("undisturbed"))


def test_it_does_what_a_plain_loop_does(job: Make, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    made = job()
    recipe, family = made["recipe"], load_family(made["family"]["name"], made["family"]["settings"])
    model = family.create(Alphabet(words=("a", "b", "c"), lexemes=("A", "B", "C")), seed_of(5, "model"))
    mixture = read_mixture(made["rows"], 8, 2, 0.5, seed_of(5, "mixture"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    rates = [0.0015, 0.003, *(0.003 * (1 - 0.9 * step / 7) for step in range(7))]
    losses = []
    for step in range(recipe["steps"]):
        shards = [family.collate(model, rows) for rows in mixture.at(step)]
        tokens = sum(int(shard["weight"].sum()) for shard in shards)
        optimizer.zero_grad()
        parts = [family.loss(model, shard) for shard in shards]
        for part in parts:
            (part / tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        losses.append(sum(part.item() for part in parts) / tokens)
    family.save(model, tmp_path / "plain")
    assert weights(undisturbed["directory"]) == weights(tmp_path / "plain")
    assert undisturbed["losses"] == losses
    assert losses[-1] < losses[0]


def test_it_says_what_it_did(undisturbed: dict[str, Any], shards: list[str]) -> None:
    mixture = read_mixture(shards, 8, 2, 0.5, seed_of(5, "mixture"))
    answers = [sum(len(answer) + 1 for shard in mixture.at(step) for _, answer in shard) for step in range(9)]
    assert undisturbed["tokens"] == answers
    assert undisturbed["human"] == 39
    assert undisturbed["synthetic"] == 81
    assert undisturbed["workers"] == 1
    assert undisturbed["parameters"] == sum(tensor.numel() for tensor in load_file(
        Path(undisturbed["directory"]) / "model.safetensors").values())  # fmt: skip
    json.dumps(undisturbed)


def test_it_reports_every_step_of_a_short_run_and_saves_every_fourth(job: Make, lone: Make) -> None:
    worker = lone()
    fit(job(), worker)
    assert [report["step"] for report in worker.reports] == list(range(1, 10))
    assert all(report["steps"] == 9 and report["loss"] > 0 for report in worker.reports)
    assert [directory.name for directory in worker.directories] == ["step_00000004", "step_00000008"]
    assert worker.directories[0].parent == worker.storage


def test_a_long_run_reports_some_fifty_times(job: Make, lone: Make) -> None:
    worker = lone()
    fit(job(steps=205, batch=2) | {"checkpoint_every": 1000}, worker)
    assert [report["step"] for report in worker.reports] == [*range(4, 205, 4), 205]


@pytest.mark.parametrize("dies_at", [2, 4, 6, 8])
def test_a_resumed_run_ends_in_the_same_bits(job: Make, lone: Make, undisturbed: dict[str, Any], dies_at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(job(), lone(dies_at=dies_at))
    worker = lone()
    resumed = fit(job(), worker)
    assert worker.reports[0]["step"] == dies_at // 4 * 4 + 1
    assert weights(resumed["directory"]) == weights(undisturbed["directory"])
    assert resumed["losses"] == undisturbed["losses"]
    assert resumed["tokens"] == undisturbed["tokens"]


def test_a_checkpoint_holds_no_pickle_and_a_damaged_one_is_found(job: Make, lone: Make) -> None:
    worker = lone()
    fit(job(), worker)
    directory = worker.directories[-1]
    assert {path.name for path in directory.iterdir()} == {"state-00000.safetensors", "written.json", "registered"}
    assert step_of(directory) == 8
    state = directory / "state-00000.safetensors"
    state.write_bytes(state.read_bytes()[:-5])
    with pytest.raises(IntegrityError, match="step_00000008") as found:
        fit(job(), worker)
    assert str(directory) in found.value.next_step


def test_two_processes_end_in_the_same_bits_fresh_or_resumed(job: Make, undisturbed: dict[str, Any]) -> None:
    assert train(job() | {"key": "resumed"}, 1, dies_at=6) == {}
    for name, steps in (("fresh", list(range(1, 10))), ("resumed", [5, 6, 7, 8, 9])):
        results = train_all(job() | {"key": name}, 2)
        assert weights(results[0]["directory"]) == weights(undisturbed["directory"])
        assert [result["steps"] for result in results] == [steps, steps]
        for result in results:
            assert result["losses"] == undisturbed["losses"]
            assert result["tokens"] == undisturbed["tokens"]
            assert result["workers"] == 2


def test_asked_to_leave_all_ranks_save_the_same_step_and_go_on_from_it(
    job: Make, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    ask_to_leave(tmp_path)
    told = [result["told"] for result in train_all(job() | {"key": "asked"}, 2)]
    assert told == ["told to end in the train phase; saved at step 1 of 9"] * 2
    unask(tmp_path)
    result = train(job() | {"key": "asked"}, 2)
    assert result["steps"] == list(range(2, 10))
    assert weights(result["directory"]) == weights(undisturbed["directory"])


def test_it_continues_from_a_model_with_a_fresh_optimiser(job: Make, lone: Make, undisturbed: dict[str, Any]) -> None:
    onward = job(steps=3, warmup=0) | {"model": undisturbed["directory"]}
    result = fit(onward, lone("onward"))
    assert result["losses"][0] < undisturbed["losses"][0]
    assert weights(result["directory"]) != weights(undisturbed["directory"])


def test_a_loss_that_is_not_a_number_ends_the_training_without_a_model(
    job: Make, lone: Make, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    poisoned = Path(undisturbed["directory"])
    tensors = load_file(poisoned / "model.safetensors")
    tensors["embedding.weight"][3, 0] = float("nan")
    save_file(tensors, poisoned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingDiverged, match="step 0 is nan") as diverged:
        fit(job() | {"model": str(poisoned)}, lone("poisoned"))
    assert "lr" in diverged.value.next_step
    assert not (tmp_path / "poisoned" / "model").exists()


def test_a_rate_that_is_too_high_is_caught_when_it_overflows(job: Make, lone: Make) -> None:
    with pytest.raises(TrainingDiverged):
        fit(job(lr=1e38, warmup=0, clip=1e38), lone())


def test_lightning_looks_for_no_cluster_of_its_own(job: Make, lone: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a scheduler started is the executor's business; asking MPI would end the process where it does not start."""
    for environment in (LSFEnvironment, MPIEnvironment, TorchElasticEnvironment):
        monkeypatch.setattr(environment, "detect", lambda: pytest.fail("Lightning looked for a cluster"))
    assert len(fit(job(), lone())["losses"]) == job()["recipe"]["steps"]


def test_more_workers_than_shards_are_refused(job: Make, lone: Make) -> None:
    worker = lone()
    worker.world_size = 3
    with pytest.raises(PhaseError, match="2 shards cannot be dealt to 3 workers"):
        fit(job(), worker)


def test_threads_are_left_as_they_were(job: Make, lone: Make) -> None:
    fit(job(steps=3) | {"threads": 2}, lone())
    assert torch.get_num_threads() == 1


def test_naming_the_function_loads_neither_torch_nor_lightning() -> None:
    code = "import loopwright.train, sys; print({'torch', 'pytorch_lightning', 'ray'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
