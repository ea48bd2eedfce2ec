"""The train phase on the driver: which recipe, which rows, then one fit on the executor's training group."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, PhaseError
from loopwright.planfile import parse_recipes
from loopwright.plugins import Inherits, PhaseContext, offered
from loopwright.sections import TrainSection
from loopwright.store.archive import shards
from loopwright.train.fit import fit
from loopwright.types import canonical, digest_value, seed_of
from loopwright.written import from_json, leave

__all__ = ["train"]

_WINDOW = 10
"""Steps over which the first and the last loss are averaged."""
_POINTS = 100
"""Points of the loss curve that are kept."""


def train(config: TrainSection, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write ``model/``: the weights, the recipe they were trained by, and how the training went.

    The model continues from ``inputs["model"]`` by the recipe's ``cycle`` part, or is created by its ``seed`` part.

    Raises:
        TrainingDiverged: the loss or a gradient is not finite.
        PhaseError: there is no recipe, or the archive does not fit it.
    """
    text = _recipe_text(config, inputs)
    section = "cycle" if "model" in inputs else "seed"
    recipe = getattr(parse_recipes(text), section).model_dump(mode="json")
    recipe["human_share"] = max(recipe["human_share"], config.human_floor)
    target = context.output / "model"
    result = context.executor.train(fit, _job(config, inputs, context, recipe, context.seed), context.progress)
    _place(result, target, context)
    twins = [
        _twin(number, _job(config, inputs, context, recipe, seed), target, context) for number, seed in _seeds(config, context)
    ]
    (target / "recipe.yaml").write_text(text, encoding="utf-8")
    (target / "training.json").write_bytes(canonical(_training(section, recipe, result)) + b"\n")
    return {
        "steps": recipe["steps"],
        "tokens": sum(result["tokens"]) + sum(sum(twin["tokens"]) for twin in twins),
        "seeds": config.seeds,
        "loss_first": _mean(result["losses"][:_WINDOW]),
        "loss_last": _mean(result["losses"][-_WINDOW:]),
        "parameters": result["parameters"],
        "workers": result["workers"],
        "parallel": result["parallel"],
        "compute": {
            "base": _base(context) if "model" not in inputs else None,
            "updates": [_update(one) for one in (result, *twins)],
        },
    }


def _update(result: Mapping[str, Any]) -> dict[str, Any]:
    """What one training cost to compute; the first of a phase made the model, the others its twins."""
    same = ("parameters", "trained", "counted", "device")
    return {"tokens": sum(result["read"]), **{name: result[name] for name in same}}


def _base(context: PhaseContext) -> dict[str, Any] | None:
    """Weights of someone else that a fresh model of this family starts from; None where it starts from chance."""
    family = offered(context.family, Inherits)
    return dict(family.base()) if family else None


def _recipe_text(config: TrainSection, inputs: Mapping[str, Path]) -> str:
    """The archive's, where this cycle accepted one; else the champion's; else the plan's, for the first model."""
    archive = inputs["archive"]
    if json.loads((archive / "archive.json").read_bytes())["recipe"] == "accepted":
        return _text(archive / "recipe.yaml")
    if "model" in inputs:
        return _text(inputs["model"] / "recipe.yaml")
    if config.recipe is None:
        raise PhaseError("there is neither a model to continue from nor a recipe", "put a recipe.yaml into the workspace")
    return config.recipe


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise IntegrityError(f"{path.name} is missing from {path.parent}", "`loopwright verify` says what changed") from error


def _seeds(config: TrainSection, context: PhaseContext) -> list[tuple[int, int]]:
    return [(number, seed_of(context.seed, "twin", number)) for number in range(1, config.seeds)]


def _twin(number: int, job: Mapping[str, Any], target: Path, context: PhaseContext) -> Mapping[str, Any]:
    """The same training with another seed, kept beside the model."""
    result = context.executor.train(fit, job, context.progress)
    _place(result, target / "seeds" / str(number), context)
    return result


def _job(
    config: TrainSection, inputs: Mapping[str, Path], context: PhaseContext, recipe: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Plain JSON; its key hangs on all that the weights hang on, so that a rerun resumes and nothing else does."""
    alphabet = context.domain.alphabet()
    chain = shards(context.root, inputs["archive"].relative_to(context.root).as_posix())
    job = {
        "family": dict(context.refs["model"]),
        "model": str(inputs["model"].resolve()) if "model" in inputs else None,
        "alphabet": {"words": list(alphabet.words), "lexemes": list(alphabet.lexemes)},
        "rows": [str(context.root.resolve() / shard.path) for shard in chain],
        "recipe": dict(recipe),
        "seed": seed,
        "threads": config.threads,
        "checkpoint_every": config.checkpoint_every,
        "parallel": config.parallel,
    }
    key = f"{context.cycle}-train-{digest_value(job)[7:23]}"
    return {**job, "key": key, "storage": str(context.scratch.resolve()), "keep": config.keep_checkpoints}


def _training(section: str, recipe: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """How the training went, without anything that hangs on where it ran."""
    losses = result["losses"]
    every = max(1, len(losses) // _POINTS)
    curve = [[step + 1, round(losses[step], 6)] for step in range(len(losses)) if step % every == 0 or step == len(losses) - 1]
    return {
        "schema": 1,
        "section": section,
        "recipe": dict(recipe),
        "rows": {"human": result["human"], "synthetic": result["synthetic"]},
        "parameters": result["parameters"],
        "tokens": sum(result["tokens"]),
        "losses": curve,
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 6)


def _place(result: Mapping[str, Any], target: Path, context: PhaseContext) -> None:
    """The model's files without a second copy of their bytes, where the file system allows it, and the digests that are known."""
    source = Path(result["directory"])
    leave(context.scratch, from_json(result["written"]))
    try:
        shutil.copytree(source, target, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
