"""What every rank of a training group runs: plain JSON in, plain JSON out, the model in the job's storage.

Importing this module loads neither torch nor Lightning, so that a driver can name `fit` without paying for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.errors import PhaseError
from loopwright.models.threads import threads
from loopwright.plugins import Alphabet, ModelFamily, load_family
from loopwright.runtime import Worker
from loopwright.train.mixing import read_mixture
from loopwright.types import seed_of
from loopwright.written import noting, to_json

__all__ = ["fit"]


def fit(job: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
    """Train by ``job`` and leave the model in ``worker.storage / "model"`` (written by rank 0).

    ``job``: family (plug-in name and settings), model (directory or None), alphabet, rows (directories), recipe, seed,
    threads, checkpoint_every, parallel. With 1 and 2 workers and two shards the weights are bit-identical on CPUs: gradients are
    sums over the same two shards. With more of either they differ in the order of float32 sums (relative 1e-6 a step). So a
    training may go on with another number of workers than it began with: the recipe's shards fix what a step learns from.

    ``written`` is what the files of the model are known by (`loopwright.written`): they were hashed on the way out.

    Raises:
        TrainingDiverged: a gradient is NaN or infinite; on every rank at the same step, and no model is written.
        PhaseError: the shards cannot be dealt to so many workers, or the archive does not fit the recipe.
    """
    recipe = job["recipe"]
    if recipe["shards"] < worker.world_size:
        raise PhaseError(
            f"{recipe['shards']} shards cannot be dealt to {worker.world_size} workers",
            "lower the profile's train_workers, or raise the recipe's `shards` (`loopwright propose`)",
        )
    family = load_family(job["family"]["name"], job["family"]["settings"])
    model = _model(family, job)
    mixture = read_mixture(
        job["rows"], recipe["batch"], recipe["shards"], recipe["human_share"], seed_of(job["seed"], "mixture"), worker.storage
    )
    with threads(job["threads"]):
        from loopwright.train.counting import Clock, device_facts, trained
        from loopwright.train.loop import learn
        from loopwright.train.sharding import chosen

        parallel = chosen(job["parallel"], family, model)
        sizes = {"parameters": family.parameters(model), "trained": trained(model)}
        clock, device = Clock(), device_facts(worker.device, job["threads"])
        history = learn(family, model, mixture, {**job, "parallel": parallel}, worker)
    directory = worker.storage / "model"
    with noting() as notes:
        if worker.rank == 0:
            shutil.rmtree(directory, ignore_errors=True)  # its files may be linked to a model that is on record already
            family.save(model, directory)
    return {
        "directory": str(directory),
        "written": to_json(notes),
        "parallel": parallel,
        **sizes,
        "device": {**device, "count": worker.world_size, **clock.read(device)},
        "human": len(mixture.human),
        "synthetic": len(mixture.synthetic),
        "workers": worker.world_size,
        **history,
    }


def _model(family: ModelFamily, job: Mapping[str, Any]) -> Any:
    """The champion, to continue from, or a fresh model."""
    if job["model"] is not None:
        return family.load(Path(job["model"]))
    alphabet = Alphabet(words=tuple(job["alphabet"]["words"]), lexemes=tuple(job["alphabet"]["lexemes"]))
    return family.create(alphabet, seed_of(job["seed"], "model"))
