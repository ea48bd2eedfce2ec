"""The promise of the gate, measured: over 50 looks without a true gain, a wrong promotion in at most alpha of the loops."""

from __future__ import annotations

import functools

import numpy as np
import polars as pl

from loopwright.gate import FRESH, History, Paired, decide_promotion, p_value, spend
from loopwright.sections import DecideSection

POLICY = DecideSection(headline=(4, 8))
LEVELS = np.repeat(np.arange(2, 9), 58)
CHANCE = np.repeat([0.97, 0.94, 0.55, 0.35, 0.25, 0.15, 0.10], 58)
"""Pass rates by level, as a champion in the middle of the default loop has them."""


def challengers(random: np.random.Generator, champions: np.ndarray, gain: float) -> np.ndarray:
    """One challenger a champion (a row each): its rates plus a true gain on the headline levels, 60 % of its luck shared."""
    shift = np.where(LEVELS >= 4, gain * 7 / 5, 0.0)
    fresh = random.random(champions.shape) < CHANCE + shift
    lifted = champions | (random.random(champions.shape) < shift / (1 - CHANCE))
    return np.where(random.random(champions.shape) < 0.6, lifted, fresh)


@functools.cache
def chance_of(gained: int, lost: int) -> float:
    return p_value(Paired(n=LEVELS.size, gained=gained, lost=lost))


def wrong_promotions(loops: int, looks: int, *, budget: bool) -> float:
    """Share of loops with at least one promotion where no challenger is ever better; a promoted one is the next champion."""
    random = np.random.default_rng(20261122)
    champions, history, wrong = random.random((loops, LEVELS.size)) < CHANCE, FRESH, np.zeros(loops, dtype=bool)
    for _ in range(looks):
        level, history, _ = spend(POLICY.alpha, history)
        passed = challengers(random, champions, 0.0)
        counts = zip((passed & ~champions).sum(1).tolist(), (champions & ~passed).sum(1).tolist(), strict=True)
        promoted = np.array([chance_of(*pair) < (level if budget else POLICY.alpha) for pair in counts])
        champions = np.where(promoted[:, None], passed, champions)
        wrong |= promoted
    return float(wrong.mean())


def test_fifty_looks_without_a_gain() -> None:
    """True is at most 0.049, the sum of fifty levels; 1,500 loops tell it to within 0.006."""
    assert wrong_promotions(1500, 50, budget=True) <= POLICY.alpha


def test_without_the_budget_the_same_loops_go_wrong() -> None:
    assert wrong_promotions(100, 50, budget=False) > 0.5


def test_a_true_gain_of_seven_points_is_seen() -> None:
    """With the whole rule, at the first and at the fifth look."""
    random = np.random.default_rng(5)
    champions = random.random((150, LEVELS.size)) < CHANCE
    power = []
    for number in (0, 4):
        history, promoted = History(look=number, spent=POLICY.alpha * number / (number + 1)), 0
        for champion, passed in zip(champions, challengers(random, champions, 0.07), strict=True):
            frame = pl.DataFrame({"task": np.arange(LEVELS.size), "level": LEVELS, "passed": passed, "champion": champion})
            promoted += decide_promotion(POLICY, frame, history).action == "promote"
        power.append(promoted / len(champions))
    assert power[0] >= 0.8
    assert power[1] >= 0.5
