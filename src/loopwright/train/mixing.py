"""Which rows a training step sees: a function of (seed, step) alone.

So a resumed run, a run on two workers and an undisturbed run on one see the same rows in the same order, and nobody has to
save a sampler: a position in the data is a step's number. Human and self-made rows are two pools; each is gone through in a fresh random order, again and again.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loopwright.errors import PhaseError
from loopwright.train.pool import read_pools
from loopwright.types import seed_of

__all__ = ["Mixture", "read_mixture"]

_HUMAN = "human"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Rows by origin, and how a batch is made of them."""

    human: Sequence[tuple[str, str]]
    """(prompt, answer) written by people."""
    synthetic: Sequence[tuple[str, str]]
    """(prompt, answer) sampled from models."""
    batch: int
    shards: int
    human_share: float
    seed: int

    @property
    def human_rows(self) -> int:
        """Human rows in every batch: the recipe's share, or all of it where there is nothing else."""
        if not self.synthetic:
            return self.batch
        return round(self.batch * self.human_share)

    def at(self, step: int) -> list[list[tuple[str, str]]]:
        """The shards of a step's batch, human rows first: with two shards at one half, one is human and one is not."""
        rows = [
            *self._draw(_HUMAN, self.human, step, self.human_rows),
            *self._draw("synthetic", self.synthetic, step, self.batch - self.human_rows),
        ]
        size = self.batch // self.shards
        return [rows[start : start + size] for start in range(0, self.batch, size)]

    def _draw(self, name: str, pool: Sequence[tuple[str, str]], step: int, count: int) -> list[tuple[str, str]]:
        places = (divmod(place, len(pool)) for place in range(step * count, (step + 1) * count))
        return [pool[_order(self.seed, name, turn, len(pool))[place]] for turn, place in places]


def read_mixture(
    paths: Sequence[str], batch: int, shards: int, human_share: float, seed: int, scratch: Path | None = None
) -> Mixture:
    """The accepted rows below these directories, oldest first; what is too much for memory is laid out in ``scratch``.

    Raises:
        PhaseError: there is nothing to train on, or no human row although the recipe wants some.
        IntegrityError: a table cannot be read.
        InfraError: there is no room in ``scratch``.
    """
    human, synthetic = read_pools(paths, scratch)
    if not (human or synthetic) or (human_share > 0 and not human):
        raise PhaseError(
            f"the archive holds {len(human)} human and {len(synthetic)} model-made rows, and the recipe wants a human share of "
            f"{human_share:g}",
            "add human data by `sources:` in loop.yaml, or use a domain that brings some",
        )
    return Mixture(human=human, synthetic=synthetic, batch=batch, shards=shards, human_share=human_share, seed=seed)


@functools.lru_cache(maxsize=4)
def _order(seed: int, name: str, turn: int, size: int) -> np.ndarray:
    """The order in which a pool is gone through the ``turn``-th time."""
    key = seed_of(seed, "order", name, turn)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(size)
    return order.astype(np.uint32) if size < 2**32 else order
