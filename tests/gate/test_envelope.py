"""The envelope: what it does not name is outside, chance brings nothing inside, and it can only make a promotion rarer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.envelope import Allowed, Bound, Envelope, SignedEnvelope, flat
from loopwright.errors import PlanError
from loopwright.gate import FRESH, Ruling, decide
from loopwright.gate.envelope import Facts, judge, under_envelope
from loopwright.planfile import parse_envelope
from loopwright.policy import Light
from loopwright.sections import DecideSection, FieldGap
from tests.gate.test_gate import Context, table

STEADY = settings(deadline=None, max_examples=60)

WIDE = Envelope(
    may_change={"recipe.lr": Allowed(low=0.001, high=0.01), "generator.temperature": Allowed(values=(0.8, 1))},
    must_stay={"recipe.steps": 20, "domain.name": "programs"},
    synthetic_share=0.6,
    generation_depth=3,
    performance={"gate": Bound(low=0.2), "slice:level=5": Bound(low=0.1)},
    tests={"false_accept": 100},
    stop={"real_cross_entropy": Bound(high=1.05)},
)
METRIC = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 120}
INSIDE: dict[str, Any] = {
    "settings": {"recipe.lr": 0.005, "generator.temperature": 1.0, "recipe.steps": 20.0, "domain.name": "programs"},
    "origins": ("human", "model"),
    "synthetic_share": 0.6,
    "generation": 3,
    "metrics": {
        "gate": METRIC,
        "slice:level=5": METRIC,
        "false_accept": {**METRIC, "n": 100},
        "real_cross_entropy": {"value": 1.04, "low": 1.0, "high": 1.08, "n": 9},
    },
}


def facts(**changed: Any) -> Facts:
    return Facts(**{**INSIDE, **changed})


def test_inside_keeps_every_rule() -> None:
    verdict = judge(WIDE, facts())
    assert (verdict.left, verdict.stops) == ((), ())


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"settings": {**INSIDE["settings"], "recipe.lr": 0.02}}, "may_change recipe.lr: 0.02"),
        ({"settings": {**INSIDE["settings"], "recipe.lr": True}}, "may_change recipe.lr"),
        ({"settings": {**INSIDE["settings"], "generator.temperature": 0.9}}, "may_change generator.temperature"),
        ({"settings": {**INSIDE["settings"], "recipe.steps": 21}}, "must_stay recipe.steps"),
        ({"settings": {**INSIDE["settings"], "mix.human_floor": 0.5}}, "mix.human_floor is 0.5, and the envelope does not"),
        (
            {"settings": {"recipe.lr": 0.005, "recipe.steps": 20, "domain.name": "programs"}},
            "generator.temperature is foreseen",
        ),
        ({"origins": ("human", "web")}, "origins: rows of origin 'web'"),
        ({"synthetic_share": 0.61}, "synthetic_share 0.6100"),
        ({"synthetic_share": None}, "synthetic_share was not measured"),
        ({"generation": 4}, "generation_depth 4"),
        ({"metrics": {**INSIDE["metrics"], "gate": {**METRIC, "low": 0.19}}}, "performance gate"),
        ({"metrics": {**INSIDE["metrics"], "slice:level=5": None}}, "performance slice:level=5 was not measured"),
        ({"metrics": {**INSIDE["metrics"], "false_accept": {**METRIC, "n": 99}}}, "tests false_accept: n = 99"),
        ({"metrics": {**INSIDE["metrics"], "false_accept": None}}, "tests false_accept: not run"),
    ],
)
def test_each_rule_that_is_left_is_named(changed: dict[str, Any], rule: str) -> None:
    [left] = judge(WIDE, facts(**changed)).left
    assert rule in left


def test_a_stop_rule_needs_the_whole_interval() -> None:
    worse = {**INSIDE["metrics"], "real_cross_entropy": {"value": 1.09, "low": 1.06, "high": 1.1, "n": 9}}
    assert judge(WIDE, facts()).stops == ()
    [stop] = judge(WIDE, facts(metrics=worse)).stops
    assert "real_cross_entropy" in stop


numbers = st.floats(-10, 10, allow_nan=False)
metrics = st.tuples(numbers, numbers, numbers).map(sorted).map(lambda x: {"low": x[0], "value": x[1], "high": x[2], "n": 50})
bounds = st.tuples(numbers, numbers).map(sorted).map(lambda x: Bound(low=x[0], high=x[1]))


@STEADY
@given(
    metric=metrics,
    bound=bounds,
    share=st.floats(0, 1),
    most=st.floats(0, 1),
    depth=st.integers(1, 9),
    deepest=st.integers(1, 9),
)
def test_inside_is_exactly_what_the_numbers_say(metric, bound, share, most, depth, deepest) -> None:
    limits = Envelope(synthetic_share=most, generation_depth=deepest, performance={"m": bound}, stop={"m": bound})
    verdict = judge(limits, facts(settings={}, synthetic_share=share, generation=depth, metrics={"m": metric}))
    inside = share <= most and depth <= deepest and bound.low <= metric["low"] and metric["high"] <= bound.high
    assert (not verdict.left) == inside
    assert bool(verdict.stops) == (metric["high"] < bound.low or metric["low"] > bound.high)


@STEADY
@given(
    envelope_keys=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)),
    seen=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)),
)
def test_an_envelope_that_lets_nothing_change_is_kept_by_nothing_but_itself(envelope_keys, seen) -> None:
    verdict = judge(Envelope(must_stay=envelope_keys), facts(settings=seen, metrics={}))
    assert (not verdict.left) == (envelope_keys == seen)


@STEADY
@given(
    action=st.sampled_from(["promote", "hold", "reject", "halt"]),
    left=st.booleans(),
    stops=st.booleans(),
    inside=st.sampled_from(["automatic", "person"]),
)
def test_it_never_makes_a_promotion_of_anything_else(action, left, stops, inside) -> None:
    force = SignedEnvelope(digest="sha256:" + "0" * 64, envelope=WIDE, settings={}, generation=1, promote_inside=inside)
    changed: dict[str, Any] = {}
    if left:
        changed["generation"] = 9
    if stops:
        changed["metrics"] = {**INSIDE["metrics"], "real_cross_entropy": {"value": 9, "low": 8, "high": 10, "n": 9}}
    ruling = Ruling(action=action, reasons=("because",), history=FRESH)
    after = under_envelope(ruling, force, judge(WIDE, facts(**changed)))
    if stops:
        assert after.action == "halt"
    elif action == "promote":
        assert after.action == ("promote" if not left and inside == "automatic" else "hold")
    else:
        assert after == ruling
    assert "because" in after.reasons


def card(folder: Path, **changed: Any) -> Path:
    folder.mkdir()
    figures = {"synthetic_share": {"value": 0.4, "low": 0.4, "high": 0.4, "n": 100}}
    told = {"figures": figures, "data": {"origins": ["human", "model"]}, "recipe": {"lr": 0.003}}
    (folder / "card.json").write_text(json.dumps({**told, **changed}))
    return folder


def decided(tmp_path: Path, name: str, card_at: Path | None, **section: Any) -> dict[str, Any]:
    place = tmp_path / name
    (place / "evaluation").mkdir(parents=True)
    table((2, True, True, 40), (5, True, False, 60)).write_parquet(place / "evaluation" / "gate.parquet")
    (place / "before.json").write_text('{"look": 0, "spent": 0}')
    inputs = {"evaluation": place / "evaluation", "decision": place / "before.json"}
    inputs |= {"card": card_at} if card_at else {}
    (place / "out").mkdir()
    policy = DecideSection(headline=(4, 8), alpha=0.10, max_jump=1.0, **section)
    summary = decide(policy, inputs, Context("c0001", place / "out"))
    assert json.loads((place / "out" / "decision.json").read_bytes())["action"] == summary["action"]
    return summary


def test_the_decision_says_which_rule_was_left(tmp_path: Path) -> None:
    tight = Envelope(must_stay={"recipe.lr": 0.003}, performance={"slice:level=5": Bound(low=0.9)})
    force = SignedEnvelope(digest="sha256:" + "0" * 64, envelope=tight, settings={}, generation=1, promote_inside="automatic")
    fine = decided(tmp_path, "fine", card(tmp_path / "c1"), envelope=force)
    assert (fine["action"], fine["envelope"]["inside"]) == ("promote", True)
    assert "inside the envelope that persons signed" in fine["reasons"][-1]
    other = decided(tmp_path, "other", card(tmp_path / "c2", recipe={"lr": 0.004}), envelope=force)
    assert (other["action"], other["envelope"]["inside"]) == ("hold", False)
    assert other["envelope"]["left"] == ["envelope: must_stay recipe.lr: 0.004 instead of 0.003"]
    assert other["reasons"][-1] == other["envelope"]["left"][0]
    assert other["peak"] == 0.0  # what is not promoted does not raise the best so far
    blind = decided(tmp_path, "blind", None, envelope=force)
    assert blind["action"] == "hold"  # what no card tells is nowhere inside
    assert any("'unknown'" in left for left in blind["envelope"]["left"])
    plain = decided(tmp_path, "plain", card(tmp_path / "c3"))
    assert plain["action"] == "promote"
    assert "envelope" not in plain


@pytest.mark.parametrize(
    ("low", "action", "said"), [(0.25, "hold", "has to look"), (0.15, "promote", "warned of"), (None, "promote", "")]
)
def test_a_gap_to_the_field_warns_or_holds(tmp_path: Path, low: float | None, action: str, said: str) -> None:
    gap = FieldGap(model="sha256:" + "0" * 64, value=0.3, low=low, high=0.4, n=50, leaf=9) if low else None
    summary = decided(tmp_path, "one", card(tmp_path / "c"), field=gap, field_gap=Light(bad="above", warn=0.1, stop=0.2))
    assert summary["action"] == action
    assert any(said in reason for reason in summary["reasons"])


def test_the_file_is_strict_and_says_where(tmp_path: Path) -> None:
    assert parse_envelope("envelope: none\n") is None
    read = parse_envelope(
        "envelope:\n  may_change:\n    recipe.lr: {low: 0.1, high: 1}\n  must_stay: {recipe.betas: [0.9, 0.98]}\n"
    )
    assert read is not None
    assert read.may_change["recipe.lr"].high == 1.0
    for wrong in ("envelope: {may: {}}\n", "", "envelope: {performance: {gate: {low: 2, high: 1}}}\n"):
        with pytest.raises(PlanError, match=r"envelope.yaml:1"):
            parse_envelope(wrong)
    with pytest.raises(PlanError, match="may_change"):
        parse_envelope("envelope: {may_change: {a: {low: 1, values: [1]}}}\n")


def test_settings_are_flattened_by_dots() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}
