"""Figures of the card: each moves the way that collapse, drift or a reward hack moves it, and has an interval that holds it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.evaluate import figures
from loopwright.evaluate.slices import amplification, association, by_column, slice_columns
from loopwright.types import Score

WORDS = [f"w{n}" for n in range(60)]


def texts(kinds: int, count: int = 64, seed: int = 0) -> list[str]:
    """``count`` texts, of which no more than ``kinds`` are different."""
    rng = random.Random(seed)
    stock = [" ".join(rng.choices(WORDS, k=8)) for _ in range(kinds)]
    return [stock[n % kinds] for n in range(count)]


def holds(score: Score) -> bool:
    return score.low <= score.value <= score.high


@given(st.lists(st.floats(0.1, 50), min_size=2, max_size=40), st.floats(0.5, 2))
def test_a_ratio_is_exact_where_every_row_changes_alike(first: list[float], factor: float) -> None:
    score = figures.paired_ratio([value * factor for value in first], first)
    assert score.value == pytest.approx(factor)
    assert (score.low, score.high) == (pytest.approx(factor), pytest.approx(factor))


def test_the_interval_of_a_ratio_covers() -> None:
    """95 % nominal; 90 % at least over 200 made-up data sets, whose true ratio is 1.1."""
    rng = np.random.default_rng(1)
    rounds, covered = 200, 0
    for _ in range(rounds):
        first = rng.gamma(4.0, 1.0, 200)
        score = figures.paired_ratio(list(first * 1.1 * rng.gamma(20.0, 1 / 20.0, 200)), list(first))
        covered += score.low <= 1.1 <= score.high
    assert covered / rounds > 0.9


def test_both_tails_fill_in_collapse_and_one_in_learning() -> None:
    rng = np.random.default_rng(2)
    low, high = np.quantile(rng.normal(size=10_000), (0.05, 0.95))
    assert figures.thinner_tail(list(rng.normal(size=500)), low, high).value < 0.08
    assert figures.thinner_tail(list(rng.normal(loc=3, size=500)), low, high).value < 0.01, "learning moves the whole"
    collapsed = figures.thinner_tail(list(rng.normal(scale=3, size=500)), low, high)
    assert collapsed.low > 0.2


def test_rare_types_are_lost_first() -> None:
    reference = ["a b c"] * 50 + [f"a {word} c" for word in WORDS]
    rare = figures.rare(reference, 3)
    assert ("a", "b", "c") not in rare
    whole, lost = (figures.recalled(rare, samples, 3) for samples in (reference, ["a b c"] * 100))
    assert whole is not None
    assert lost is not None
    assert (whole.value, lost.value) == (1.0, 0.0)
    assert lost.high < 0.1


def test_vendi_counts_what_is_different() -> None:
    assert figures.vendi(texts(1)) == pytest.approx(1.0)
    assert figures.vendi(texts(4)) < 4.01
    assert 1 < figures.vendi(texts(4)) < figures.vendi(texts(16)) < figures.vendi(texts(64)) <= 64.01


def test_n_gram_diversity_rises_while_a_model_collapses_into_noise() -> None:
    """Why it may clear nothing: noise has more different n-grams than sense has."""
    sense = texts(32)
    rng = random.Random(3)
    noise = [" ".join(rng.choices([f"n{n}" for n in range(5000)], k=8)) for _ in range(64)]
    assert figures.distinct_n(noise) > figures.distinct_n(sense)


@pytest.mark.parametrize("measure", [figures.vendi, figures.distinct, figures.distinct_n])
def test_quarters_give_a_mean_and_an_interval(measure) -> None:
    many, few = (figures.quartered(texts(kinds, 128), measure) for kinds in (128, 3))
    assert holds(many)
    assert holds(few)
    assert few.value < many.value


def test_a_verifier_with_a_hole_shows_as_a_gap() -> None:
    gold = {4: [True] * 10 + [False] * 40, 5: [False] * 50}
    honest = figures.gap({4: (300, 1200, 220), 5: (300, 1200, 15)}, gold)
    hacked = figures.gap({4: (300, 1200, 900), 5: (300, 1200, 800)}, gold)
    assert honest is not None
    assert hacked is not None
    assert honest.low < 0 < honest.high + 0.05
    assert hacked.low > 0.4
    assert figures.gap({4: (300, 1200, 900)}, {}) is None


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 30), st.integers(0, 30))
def test_a_gap_lies_in_its_interval(tasks: int, passed: int, size: int, solved: int) -> None:
    score = figures.gap({4: (tasks, tasks, min(passed, tasks))}, {4: [n < solved for n in range(size)]})
    assert score is not None
    assert holds(score)
    assert score.low < score.high


# ------------------------------------------------------------------------------------------------ slices


def test_an_association_is_none_by_chance_and_one_when_the_slice_decides() -> None:
    rng = random.Random(4)
    groups = [rng.choice("abcdefgh") for _ in range(400)]
    assert association(groups, [rng.random() < 0.3 for _ in groups]) < 0.15
    assert association(groups, [each in "abcd" for each in groups]) == pytest.approx(1.0, abs=0.02)
    assert association(groups, [True] * 400) == 0.0


def test_a_loop_that_learns_for_one_slice_alone_amplifies() -> None:
    rng = random.Random(5)
    columns = {"group": ["a" if n % 2 else "b" for n in range(400)]}
    first = [rng.random() < 0.2 for _ in range(400)]
    alike = [old or rng.random() < 0.3 for old in first]
    unlike = [old or (group == "a" and rng.random() < 0.7) for old, group in zip(first, columns["group"], strict=True)]
    same, more = (amplification(columns, passed, first) for passed in (alike, unlike))
    assert same is not None
    assert more is not None
    assert same.low < 0.1
    assert more.low > 0.2
    assert amplification({"one": ["x"] * 400}, first, first) is None


def test_slices_name_their_best_and_their_worst() -> None:
    columns = slice_columns(['{"op":"add"}', '{"op":"mul"}', '{"op":"add"}', ""])
    assert columns == {"op": ["add", "mul", "add", ""]}
    said = by_column(columns, [True, False, True, False])["op"]
    assert (said["best"], said["difference"]) == ({"value": "add", "rate": 1.0, "n": 2}, 1.0)
    assert by_column({"one": ["x"] * 4}, [True] * 4) == {}
