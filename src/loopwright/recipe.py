"""How a model is trained: ``recipe.yaml``, the one file that recipe proposals may change."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from loopwright.policy import Count, Positive, Section, Share, Whole

__all__ = ["Recipe", "Recipes"]


class Recipe(Section):
    """How one model is trained."""

    steps: Count
    batch: Count = 64
    """Rows a step, over all shards and workers."""
    shards: Count = 2
    """Parts that a step's batch is cut into, whatever the number of workers."""
    lr: Positive
    warmup: Whole = 20
    betas: tuple[Share, Share] = (0.9, 0.98)
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    clip: Positive = 1.0
    """Largest norm of the gradient."""
    floor: Share = 0.1
    """The learning rate falls linearly to this share of ``lr``."""
    human_share: Share = 0.5
    """Share of each batch that is human data."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.batch % self.shards:
            raise ValueError(f"batch {self.batch} must be a multiple of shards {self.shards}")
        if self.warmup >= self.steps:
            raise ValueError(f"warmup {self.warmup} must be below steps {self.steps}")
        return self


class Recipes(Section):
    """``recipe.yaml``: the file that recipe proposals may change, in its ``cycle`` part."""

    seed: Recipe
    """The first model."""
    cycle: Recipe
    """Every cycle's model, which continues from the champion."""
