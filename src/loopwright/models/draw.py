"""Randomness that belongs to a row: one number per (row seed, step), whatever else is in the batch.

A stateful generator would tie a row's draws to its neighbours. Here each row has its own Philox 4x64 stream (Salmon et
al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"), keyed by the row's seed and counted by the step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["uniforms"]


def uniforms(seeds: Sequence[int], steps: int) -> np.ndarray:
    """Doubles in [0, 1) with 53 random bits: one line a step, one column a seed."""
    words = np.stack([np.random.Philox(key=seed).random_raw(steps) for seed in seeds], axis=1)
    return (words >> np.uint64(11)) * 2.0**-53
