"""Lamps: a warning goes by the value, a stop by the whole interval; what has no rule clears nothing; a halt promotes nobody."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loopwright.gate import decide
from loopwright.gate.lights import lamps
from loopwright.policy import Card, Light
from loopwright.sections import DecideSection

FINE = {
    "real_cross_entropy": 1.0, "generated_tails": 0.05, "rare_recall": 1.0, "behaviours": 1.0, "vendi": 1.0, "entropy": 1.0,
    "human_share": 0.5, "proxy_gold_gap": 0.0, "label_precision": 1.0, "gate_precision": 1.0, "false_accept": 0.0, "sentinel": 0.0,
    "amplification": 0.0, "self_preference": 0.0,
}  # fmt: skip


def figure(value: float, half: float = 0.0) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 100, "method": "test"}


def card(**values: float) -> dict[str, Any]:
    return {name: figure(value) for name, value in {**FINE, **values}.items()}


def states(figures: dict[str, Any]) -> dict[str, str]:
    return {lamp.name: lamp.state for lamp in lamps(Card(), figures)}


def test_every_rule_has_a_lamp_and_all_are_fine_for_the_first_models_own_figures() -> None:
    assert states(card()) == dict.fromkeys(FINE, "fine")


@pytest.mark.parametrize("name", sorted(FINE))
def test_each_lamp_goes_on_alone(name: str) -> None:
    rule: Light = getattr(Card(), name)
    far = 9.0 if rule.bad == "above" else -9.0
    seen = states(card(**{name: far}))
    assert seen.pop(name) == ("warn" if rule.stop is None else "stop")
    assert set(seen.values()) == {"fine"}


@given(st.sampled_from(sorted(FINE)), st.floats(-3, 3), st.floats(0, 2))
def test_a_stop_is_sure_and_a_wider_interval_never_turns_a_lamp_on(name: str, value: float, half: float) -> None:
    order = ["fine", "warn", "stop"]
    sure, unsure = (lamps(Card(), {name: figure(value, width)}) for width in (0.0, half))
    by_name = [{lamp.name: lamp.state for lamp in found}[name] for found in (unsure, sure)]
    assert order.index(by_name[0]) <= order.index(by_name[1])
    rule: Light = getattr(Card(), name)
    if by_name[0] == "stop":
        mildest = value - half if rule.bad == "above" else value + half
        assert rule.stop is not None
        assert (mildest > rule.stop) == (rule.bad == "above")


@given(st.floats(0, 100), st.sampled_from(sorted(FINE)))
def test_diversity_by_n_grams_can_clear_nothing(diversity: float, name: str) -> None:
    """It rises while a model collapses, so no value of it may turn a lamp off, nor stand for a figure that is missing."""
    alarming = card(**{name: 9.0 if getattr(Card(), name).bad == "above" else -9.0})
    assert states({**alarming, "distinct_n": figure(diversity)}) == states(alarming)
    assert states({"distinct_n": figure(diversity)}) == dict.fromkeys(FINE, "not measured")
    with pytest.raises(ValidationError):
        Card.model_validate({"distinct_n": {"bad": "below", "warn": 0.1}})


def test_a_stop_on_the_wrong_side_of_the_warning_is_refused() -> None:
    with pytest.raises(ValidationError, match="must lie beyond warn"):
        Light(bad="above", warn=0.2, stop=0.1)
    with pytest.raises(ValidationError, match="must lie beyond warn"):
        Light(bad="below", warn=0.1, stop=0.2)


# ------------------------------------------------------------------------------------------------ with the gate


def ruled(tmp_path: Path, figures: dict[str, Any] | None, gained: int = 40, **policy: Any) -> dict[str, Any]:
    """The decision on 100 tasks of which ``gained`` are new."""
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    pl.DataFrame(
        {
            "task": [str(n) for n in range(100)],
            "level": pl.Series([4] * 100, dtype=pl.Int32),
            "passed": [n < gained for n in range(100)],
            "champion": [False] * 100,
        }
    ).write_parquet(evaluation / "gate.parquet")
    before = {"look": 1, "spent": 0.025, "peak": 0.1}
    (tmp_path / "before.json").write_text(json.dumps(before))
    inputs = {"evaluation": evaluation, "decision": tmp_path / "before.json"}
    if figures is not None:
        (tmp_path / "card").mkdir()
        (tmp_path / "card" / "card.json").write_text(json.dumps({"figures": figures}))
        inputs["card"] = tmp_path / "card"
    config = DecideSection(headline=(4, 8), max_jump=1.0, **policy)
    return decide(config, inputs, SimpleNamespace(cycle="c0002", output=tmp_path))


def test_a_fine_card_leaves_the_decision_as_it_is(tmp_path: Path) -> None:
    decision = ruled(tmp_path, card())
    assert (decision["action"], decision["peak"]) == ("promote", 0.4)
    assert decision["lights"] == dict.fromkeys(FINE, "fine")


def test_a_stop_halts_what_would_have_been_promoted_and_says_why_first(tmp_path: Path) -> None:
    decision = ruled(tmp_path, card(label_precision=0.8))
    assert decision["action"] == "halt"
    assert decision["reasons"][0].startswith("label precision 0.800 (0.800 to 0.800, n = 100); below 0.95 stops the loop")
    assert (decision["look"], decision["peak"]) == (2, 0.1), "the look is spent, the peak is not raised"


def test_a_stop_halts_a_rejected_cycle_as_well(tmp_path: Path) -> None:
    assert ruled(tmp_path, card(sentinel=0.3), gained=0)["action"] == "halt"


def test_a_warning_is_a_reason_more(tmp_path: Path) -> None:
    decision = ruled(tmp_path, card(vendi=0.6))
    assert decision["action"] == "promote"
    assert "vendi 0.600 (0.600 to 0.600, n = 100); below 0.7 is warned of" in decision["reasons"]


def test_a_control_arm_may_be_told_to_go_on(tmp_path: Path) -> None:
    decision = ruled(tmp_path, card(label_precision=0.1), card=Card(unsafe_only_say=True))
    assert decision["action"] == "promote"
    assert decision["lights"]["label_precision"] == "stop"
    assert any("stops the loop" in reason for reason in decision["reasons"])
