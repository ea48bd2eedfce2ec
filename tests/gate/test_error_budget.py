"""The promise of the gate, measured: over 50 looks without a true gain, a wrong promotion in at most alpha of the loops."""

from __future__ import annotations

import numpy as np
import polars as pl

from loopwright.gate import FRESH, History, decide_promotion
from loopwright.plan import DecideSection

POLICY = DecideSection(headline=(4, 8))
LEVELS = np.repeat(np.arange(2, 9), 58)
CHANCE = np.repeat([0.97, 0.94, 0.55, 0.35, 0.25, 0.15, 0.10], 58)
"""Pass rates by level, as a champion in the middle of the default loop has them."""


def look(random: np.random.Generator, champion: np.ndarray, gain: float, history: History):
    """A challenger with the champion's rates plus a true gain on the headline levels, which shares 60 % of its luck."""
    shift = np.where(LEVELS >= 4, gain * 7 / 5, 0.0)
    fresh = random.random(LEVELS.size) < CHANCE + shift
    repeat = random.random(LEVELS.size) < 0.6
    lifted = champion | (random.random(LEVELS.size) < shift / (1 - CHANCE))
    passed = np.where(repeat, lifted, fresh)
    tasks = np.arange(LEVELS.size)
    frame = pl.DataFrame({"task": tasks, "level": LEVELS, "passed": passed, "champion": champion})
    return decide_promotion(POLICY, frame, history), passed


def wrong_promotions(loops: int, looks: int, *, spend: bool) -> float:
    """Share of loops with at least one promotion where no challenger is ever better."""
    random = np.random.default_rng(20261122)
    wrong = 0
    for _ in range(loops):
        champion, history, any_wrong = random.random(LEVELS.size) < CHANCE, FRESH, False
        for _ in range(looks):
            ruling, passed = look(random, champion, 0.0, history)
            history = ruling.history
            promoted = ruling.action == "promote" if spend else ruling.p_value < POLICY.alpha
            any_wrong |= promoted
            champion = passed if promoted else champion
        wrong += any_wrong
    return wrong / loops


def test_fifty_looks_without_a_gain() -> None:
    assert wrong_promotions(80, 50, spend=True) <= POLICY.alpha


def test_without_the_budget_the_same_loops_go_wrong() -> None:
    assert wrong_promotions(20, 50, spend=False) > 0.5


def test_a_true_gain_of_seven_points_is_seen() -> None:
    random = np.random.default_rng(5)
    power = []
    for number in (0, 4):
        history = History(look=number, spent=0.10 * number / (number + 1))
        champions = (random.random(LEVELS.size) < CHANCE for _ in range(150))
        power.append(np.mean([look(random, champion, 0.07, history)[0].action == "promote" for champion in champions]))
    assert power[0] >= 0.8
    assert power[1] >= 0.5
