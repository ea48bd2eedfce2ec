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

__all__ = ["fit"]


def fit(job: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
    """Train by ``job`` and leave the model in ``worker.storage / "model"`` (written by rank 0).

    ``job``: family (plug-in name and settings), model (directory or None), alphabet, rows (directories), recipe, seed,
    threads, checkpoint_every. With 1 and 2 workers and two shards the weights are bit-identical on CPUs: gradients are
    sums over the same two shards. With more of either they differ in the order of float32 sums (relative 1e-6 a step).

    Raises:
        TrainingDiverged: a gradient is NaN or infinite; on every rank at the same step, and no model is written.
        PhaseError: the shards cannot be dealt to so many workers, or the archive does not fit the recipe.
    """
    recipe = job["recipe"]
    if recipe["shards"] % worker.world_size:
        raise PhaseError(
            f"{recipe['shards']} shards cannot be dealt to {worker.world_size} workers",
            "set the profile's workers to a divisor of the recipe's `shards`",
        )
    family = load_family(job["family"]["name"], job["family"]["settings"])
    model = _model(family, job)
    mixture = read_mixture(
        job["rows"], recipe["batch"], recipe["shards"], recipe["human_share"], seed_of(job["seed"], "mixture"), worker.storage
    )
    with threads(job["threads"]):
        from loopwright.train.counting import Clock, device_facts, trained
        from loopwright.train.loop import learn

        clock, device = Clock(), device_facts(worker.device, job["threads"])
        history = learn(family, model, mixture, job, worker)
    directory = worker.storage / "model"
    if worker.rank == 0:
        shutil.rmtree(directory, ignore_errors=True)  # its files may be linked to a model that is on record already
        family.save(model, directory)
    return {
        "directory": str(directory),
        "parameters": family.parameters(model),
        "trained": trained(model),
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
