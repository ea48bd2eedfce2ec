"""Guards of a promotion: each objects to what it is for, says it with numbers, and none can make a promotion."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from loopwright.gate import FRESH, History, decide_promotion
from loopwright.gate.guards import luck
from loopwright.sections import DecideSection

POLICY = DecideSection(headline=(4, 8))
FREE = DecideSection(headline=(4, 8), max_jump=1.0, max_slice_drop=1.0, max_drop=1.0, gate_uses=10**9)


def table(*groups: tuple[str, bool, bool, int]) -> pl.DataFrame:
    """Groups of (slice, challenger passed, champion passed, how many), all on level 5."""
    rows = [group[:3] for group in groups for _ in range(group[3])]
    return pl.DataFrame(
        {
            "task": [f"t{number}" for number in range(len(rows))],
            "level": pl.Series([5] * len(rows), dtype=pl.Int32),
            "slices": [json.dumps({"first": name}) for name, _, _ in rows],
            "passed": [passed for _, passed, _ in rows],
            "champion": [champion for _, _, champion in rows],
        }
    )


BETTER = (("add", True, False, 40), ("add", False, False, 200), ("rev", True, True, 60))


def test_a_slice_that_lost_blocks_a_gain() -> None:
    lost = (("rev", False, True, 9),)
    ruling = decide_promotion(POLICY, table(*BETTER, *lost), FRESH)
    assert ruling.action == "reject"
    assert any(reason.startswith("slice first=rev: -13.0 points on 69 paired tasks") for reason in ruling.reasons)
    assert decide_promotion(POLICY, table(*BETTER), FRESH).action == "promote"


def test_a_level_that_lost_blocks_a_gain_on_the_others() -> None:
    """Within the headline, where no retention of easy levels looks; and in a domain that names no slice at all."""
    gained = table(*BETTER)
    lost = table(("sq", False, True, 10), ("sq", True, True, 60)).with_columns(
        task=pl.Series([f"l{number}" for number in range(70)]), level=pl.lit(7, dtype=pl.Int32)
    )
    ruling = decide_promotion(POLICY, pl.concat([gained, lost]).drop("slices"), FRESH)
    assert ruling.action == "reject"
    assert any(reason.startswith("slice level=7: -14.3 points on 70 paired tasks") for reason in ruling.reasons)
    assert decide_promotion(POLICY, gained.drop("slices"), FRESH).action == "promote"


def test_a_small_slice_that_chance_explains_does_not() -> None:
    unlucky = (("sq", False, True, 2), ("sq", True, True, 8))  # -20 points, of which two errors are 28
    assert decide_promotion(POLICY, table(*BETTER, *unlucky), FRESH).action == "promote"


def test_below_the_best_so_far_is_no_promotion() -> None:
    """After a rollback: better than the champion, and still worse than what the loop once had."""
    frame = table(*BETTER)
    rate = frame["passed"].mean()
    assert isinstance(rate, float)
    ruling = decide_promotion(POLICY, frame, History(look=3, spent=0.01, peak=rate + 0.06))
    assert ruling.action == "reject"
    assert any("below the best so far, 39.3" in reason for reason in ruling.reasons)
    assert ruling.history.peak == rate + 0.06
    promoted = decide_promotion(POLICY, frame, History(look=0, spent=0.0, peak=rate - 0.06))
    assert (promoted.action, promoted.history.peak) == ("promote", rate)


def test_a_sudden_jump_is_held_for_a_person() -> None:
    ruling = decide_promotion(POLICY, table(("add", True, False, 90), ("add", False, False, 210)), FRESH)
    assert ruling.action == "hold"
    assert "a gain of 30.0 points in one cycle is above the 25.0" in ruling.reasons[-1]
    assert ruling.history.look == 1, "a hold has looked"
    assert ruling.history.peak == 0.0, "and nothing was promoted"


def test_a_jump_that_would_be_rejected_is_rejected() -> None:
    few = table(("add", True, False, 2), ("add", False, False, 1))
    assert decide_promotion(POLICY, few, FRESH).action == "reject"


def test_a_worn_suite_is_said_and_blocks_nothing() -> None:
    worn = History(look=50, spent=0.0)
    ruling = decide_promotion(POLICY, table(*BETTER), worn)
    assert ruling.action == "promote"
    assert "was used 51 times, 50 are planned" in ruling.reasons[-1]
    assert not any("planned" in reason for reason in decide_promotion(POLICY, table(*BETTER), FRESH).reasons)


rows = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.booleans(), st.integers(1, 12)), min_size=1, max_size=12
)


@given(rows, st.floats(0, 1), st.integers(0, 60))
def test_guards_only_ever_take_away(groups: list[tuple[str, bool, bool, int]], best: float, look: int) -> None:
    frame, history = table(*groups), History(look=look, spent=0.0, peak=best)
    guarded, free = decide_promotion(POLICY, frame, history), decide_promotion(FREE, frame, history)
    assert free.action in {guarded.action, "promote"}
    assert (guarded.p_value, guarded.alpha) == (free.p_value, free.alpha)


def test_a_gain_that_the_seed_alone_may_make_is_none() -> None:
    apart = {"model": [0.40, 0.41, 0.42], "champion": [0.30, 0.31, 0.29]}
    within = {"model": [0.36, 0.28, 0.33], "champion": [0.25, 0.35, 0.30]}
    assert luck(apart).passed
    said = luck(within)
    assert not said.passed
    assert "over 3 and 3 training seeds the gain is +2.3 points, within the" in said.sentence
    for nothing in (None, {}, {"model": [0.9], "champion": [0.1]}, {"model": [0.4, 0.4], "champion": None}):
        assert luck(nothing).passed, "nothing to estimate it from"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_same_seeds_on_both_sides_are_never_a_gain(rates: list[float]) -> None:
    assert not luck({"model": rates, "champion": rates}).passed
