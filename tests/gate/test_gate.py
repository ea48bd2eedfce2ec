"""The gate: exact test, error budget, retention, reasons, and what it refuses to call a score."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from loopwright.errors import IntegrityError
from loopwright.gate import FRESH, History, Paired, decide, decide_promotion, gain_score, p_value, spend
from loopwright.sections import DecideSection
from loopwright.types import canonical, digest_bytes, digest_value

STEADY = settings(deadline=None, max_examples=50)  # a loaded machine is no defect

POLICY = DecideSection(headline=(4, 8), alpha=0.10, max_jump=1.0)
"""Round numbers; small tables make large gains."""


@dataclass(frozen=True)
class Context:
    cycle: str
    output: Path


def table(*groups: tuple[int, bool, bool, int]) -> pl.DataFrame:
    """Groups of (level, challenger passed, champion passed, how many)."""
    rows = [(level, passed, champion) for level, passed, champion, count in groups for _ in range(count)]
    return pl.DataFrame(
        {
            "task": [f"t{index}" for index in range(len(rows))],
            "level": pl.Series([row[0] for row in rows], dtype=pl.Int32),
            "passed": pl.Series([row[1] for row in rows], dtype=pl.Boolean),
            "champion": pl.Series([row[2] for row in rows], dtype=pl.Boolean),
        }
    )


def evaluation(folder: Path, frame: pl.DataFrame) -> Path:
    folder.mkdir()
    frame.write_parquet(folder / "gate.parquet")
    return folder


outcomes = st.lists(st.tuples(st.integers(2, 8), st.booleans(), st.booleans()), min_size=1, max_size=60)


def frame_of(rows: list[tuple[int, bool, bool]]) -> pl.DataFrame:
    return table(*((level, passed, champion, 1) for level, passed, champion in rows))


# --- the test and the interval ---------------------------------------------------------------------------------------


def test_exact_p_value_by_hand() -> None:
    assert p_value(Paired(n=10, gained=3, lost=0)) == pytest.approx(1 / 8)
    assert p_value(Paired(n=10, gained=2, lost=1)) == pytest.approx(4 / 8)
    assert p_value(Paired(n=10, gained=0, lost=0)) == 1.0


def test_interval_is_near_the_paired_t_interval_and_never_a_point() -> None:
    frame = table((4, True, False, 40), (4, False, True, 12), (4, True, True, 200), (4, False, False, 154))
    reference = ttest_rel(frame["passed"].cast(int), frame["champion"].cast(int)).confidence_interval(0.95)
    score = gain_score(Paired(n=406, gained=40, lost=12))
    assert score.low == pytest.approx(reference.low, abs=0.002)
    assert score.high == pytest.approx(reference.high, abs=0.002)
    same = gain_score(Paired(n=406, gained=0, lost=0))
    assert same.low < 0 < same.high


def test_interval_covers_the_truth() -> None:
    draws = np.random.default_rng(7).multinomial(100, [0.12, 0.05, 0.83], size=2000)
    scores = [gain_score(Paired(n=100, gained=int(up), lost=int(down))) for up, down, _ in draws]
    covered = np.mean([score.low <= 0.07 <= score.high for score in scores])
    assert 0.94 <= covered <= 0.98


@STEADY
@given(
    st.integers(1, 500).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n)).flatmap(
            lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), st.integers(0, pair[0] - pair[1]))
        )
    )
)
def test_the_value_lies_in_its_interval(counts: tuple[int, int, int]) -> None:
    n, gained, lost = counts
    score = gain_score(Paired(n=n, gained=gained, lost=lost))
    assert -1 <= score.low <= score.value <= score.high <= 1
    assert gain_score(Paired(n=n, gained=lost, lost=gained)).value == -score.value


# --- invariants of the decision --------------------------------------------------------------------------------------


@STEADY
@given(outcomes, st.randoms(use_true_random=False))
def test_the_order_of_tasks_does_not_matter(rows, random) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)
    assert decide_promotion(POLICY, frame_of(rows), FRESH) == decide_promotion(POLICY, frame_of(shuffled), FRESH)


@STEADY
@given(outcomes, st.booleans())
def test_a_task_on_which_both_agree_is_no_evidence(rows, both) -> None:
    before = decide_promotion(POLICY, frame_of(rows), FRESH)
    after = decide_promotion(POLICY, frame_of([*rows, (4, both, both)]), FRESH)
    assert before.p_value == after.p_value
    assert np.sign(before.gain.value) == np.sign(after.gain.value)
    assert before.action == after.action


@STEADY
@given(outcomes)
def test_what_is_promoted_gained_and_swapped_it_is_refused(rows) -> None:
    ruling = decide_promotion(POLICY, frame_of(rows), FRESH)
    swapped = decide_promotion(POLICY, frame_of([(level, champion, passed) for level, passed, champion in rows]), FRESH)
    assert ruling.gain.value == -swapped.gain.value
    if ruling.action == "promote":
        assert ruling.gain.value > 0
        assert ruling.p_value < ruling.alpha
        assert swapped.action == "reject"


@STEADY
@given(st.floats(0.001, 0.5), st.integers(1, 3000))
def test_all_looks_together_never_spend_more_than_alpha(alpha, looks) -> None:
    history, levels = FRESH, []
    for _ in range(min(looks, 200)):
        level, history, _ = spend(alpha, history)
        levels.append(level)
    assert sum(levels) < alpha
    assert history.spent < alpha
    assert all(level > 0 for level in levels)


@STEADY
@given(st.floats(0.001, 0.5), st.lists(st.booleans(), max_size=200))
def test_what_is_spent_and_passed_on_is_never_more_than_alpha(alpha, promotions) -> None:
    """Whatever the decisions are: what looks without a promotion used up, and what the last one passes on, stay within alpha."""
    history, alone = FRESH, FRESH
    for promoted in promotions:
        level, used, passed_on = spend(alpha, history)
        plain, alone, _ = spend(alpha, alone)
        assert level >= plain  # never below spending alone
        assert history.spent + level <= alpha * (1 + 1e-12)
        history = passed_on if promoted else used
    assert history.spent + history.carried <= alpha * (1 + 1e-12)
    assert bool(history.carried) == bool(promotions and promotions[-1])


def test_a_lowered_alpha_does_not_give_back_what_was_spent() -> None:
    history = FRESH
    for _ in range(5):
        _, history, _ = spend(0.10, history)
    level, after, _ = spend(0.05, history)
    assert level == 0.0
    assert after.spent == history.spent


# --- reasons, retention, refusals ------------------------------------------------------------------------------------


def test_a_promotion_says_so_in_numbers() -> None:
    frame = table((2, True, True, 116), (5, True, False, 40), (5, False, True, 11), (5, False, False, 239))
    ruling = decide_promotion(POLICY, frame, History(look=1, spent=0.05))
    assert ruling.action == "promote"
    assert ruling.reasons == (
        "+7.1 points on 406 paired tasks (95 % interval 3.7 to 10.5), p = 0.0000285 < 0.0167 allowed at look 2",
        "levels below 4: +0.0 points on 116 paired tasks (95 % interval -2.3 to 2.3), within the 5.0 points that may be lost there",
    )
    assert ruling.history.look == 2
    assert (ruling.history.spent, ruling.history.carried) == (0.05, pytest.approx(0.10 / 6))
    assert ruling.unpromoted.spent == pytest.approx(0.10 * 2 / 3)


def test_a_gain_that_luck_explains_is_rejected() -> None:
    ruling = decide_promotion(POLICY, table((5, True, False, 8), (5, False, True, 5), (5, False, False, 387)), FRESH)
    assert ruling.action == "reject"
    assert ruling.reasons[0].endswith("p = 0.2905 >= 0.0500 allowed at look 1")


def test_forgetting_the_easy_levels_is_rejected_whatever_the_gain() -> None:
    groups = (5, True, False, 60), (5, False, False, 230)
    kept = table((2, False, True, 5), (2, True, True, 95), *groups)
    lost = table((2, False, True, 6), (2, True, True, 94), *groups)
    assert decide_promotion(POLICY, kept, FRESH).action == "promote"
    ruling = decide_promotion(POLICY, lost, FRESH)
    assert ruling.action == "reject"
    assert ruling.reasons[1].startswith("levels below 4: -6.0 points on 100 paired tasks (95 % interval ")
    assert ruling.reasons[1].endswith("a larger drop than the 5.0 points that may be lost there")
    assert ruling.retention.value == -0.06
    headline = table((4, False, True, 9), (4, True, True, 91), (2, True, True, 100), *groups)
    assert decide_promotion(POLICY, headline, FRESH).action == "promote", "what is lost there is part of the gain's account"


def test_least_gain_of_the_plan() -> None:
    frame = table((5, True, False, 20), (5, False, False, 380))
    assert decide_promotion(DecideSection(headline=(4, 8), min_gain=0.05, max_jump=1.0), frame, FRESH).action == "promote"
    ruling = decide_promotion(DecideSection(headline=(4, 8), min_gain=0.06), frame, FRESH)
    assert ruling.action == "reject"
    assert "less than the 6.0 points that the plan asks for" in ruling.reasons[1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.with_columns(champion=pl.when(pl.col("task") == "t3").then(None).otherwise(pl.col("champion"))),
        lambda frame: frame.with_columns(passed=pl.when(pl.col("task") == "t3").then(None).otherwise(pl.col("passed"))),
        lambda frame: frame.with_columns(passed=pl.lit(float("nan"))),
        lambda frame: frame.with_columns(champion=pl.lit(None, dtype=pl.Boolean)),
        lambda frame: pl.concat([frame, frame.head(1)]),
        lambda frame: frame.clear(),
    ],
    ids=["champion missing", "result missing", "NaN", "no champion", "task twice", "no task"],
)
def test_what_was_not_measured_is_never_a_score(spoil) -> None:
    good = table((5, True, False, 30), (5, False, False, 30))
    assert decide_promotion(POLICY, good, FRESH).action == "promote"
    with pytest.raises(IntegrityError):
        decide_promotion(POLICY, spoil(good), FRESH)


# --- the phase -------------------------------------------------------------------------------------------------------


def test_three_cycles_through_files(tmp_path: Path) -> None:
    alone = table((2, True, False, 58), (5, False, False, 58)).with_columns(champion=pl.lit(None, dtype=pl.Boolean))
    better = table((2, True, True, 58), (5, True, False, 20), (5, False, False, 38))
    first, second, third = (Context(f"c000{number}", tmp_path / f"out{number}") for number in range(3))
    for context in (first, second, third):
        context.output.mkdir()
    summary = decide(POLICY, {"evaluation": evaluation(tmp_path / "e0", alone)}, first)
    assert summary == {
        "action": "promote",
        "reasons": ["first champion: there is none before it to compare with; it solves 58 of 116 gate tasks"],
        "gain": None, "p_value": None, "alpha": None, "look": 0, "spent": 0.0, "carried": 0.0, "peak": 0.5, "lights": {},
    }  # fmt: skip
    inputs = {"evaluation": evaluation(tmp_path / "e1", better), "decision": first.output / "decision.json"}
    summary = decide(POLICY, inputs, second)
    assert summary["action"] == "promote"
    assert (summary["look"], summary["alpha"], summary["spent"], summary["carried"]) == (1, 0.05, 0.0, 0.05)
    raw = (second.output / "decision.json").read_bytes()
    decision = json.loads(raw)
    assert raw == canonical(decision)
    assert decision["evidence"] == [digest_bytes((tmp_path / "e1" / "gate.parquet").read_bytes())]
    assert decision["policy"] == digest_value(POLICY.model_dump(mode="json", exclude={"envelope", "field"}))
    assert {key: decision[key] for key in summary} == json.loads(canonical(summary))
    summary = decide(POLICY, {"decision": second.output / "decision.json"}, third)
    assert summary["action"] == "reject"
    assert summary["reasons"] == ["zero accepted rows"]
    assert (summary["look"], summary["spent"], summary["carried"], summary["p_value"]) == (
        1,
        0.0,
        0.05,
        None,
    )  # no test, nothing spent


def test_a_later_cycle_without_its_champion_is_refused(tmp_path: Path) -> None:
    alone = table((5, True, True, 40)).with_columns(champion=pl.lit(None, dtype=pl.Boolean))
    before = tmp_path / "decision.json"
    before.write_text('{"look": 0, "spent": 0}')
    inputs = {"evaluation": evaluation(tmp_path / "e", alone), "decision": before}
    with pytest.raises(IntegrityError):
        decide(POLICY, inputs, Context("c0001", tmp_path))
    assert decide(POLICY, {"evaluation": inputs["evaluation"]}, Context("c0000", tmp_path))["action"] == "promote"


@pytest.mark.parametrize(
    "before", ['{"look": 1}', '{"look": true, "spent": 0}', '{"look": 1, "spent": -1}', '{"look": -1, "spent": 0}']
)
def test_a_decision_that_lost_its_budget_is_refused(tmp_path: Path, before: str) -> None:
    (tmp_path / "decision.json").write_text(before)
    inputs = {"evaluation": evaluation(tmp_path / "e", table((5, True, False, 40))), "decision": tmp_path / "decision.json"}
    with pytest.raises(IntegrityError):
        decide(POLICY, inputs, Context("c0001", tmp_path))


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(IntegrityError):
        decide(POLICY, {"evaluation": tmp_path}, Context("c0000", tmp_path))


def test_the_gate_imports_neither_runtime_nor_store_nor_anything_heavy() -> None:
    vendors = ("loopwright.", "scipy", "polars", "torch")
    code = f"import json, sys, loopwright.gate; print(json.dumps([name for name in sys.modules if name.startswith({vendors})]))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name for name in json.loads(seen) if not name.startswith("loopwright.gate")}
    assert loaded <= {"loopwright.types", "loopwright.errors", "loopwright.plan", "loopwright.intervals"}
