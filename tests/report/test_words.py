"""Words of ours in the reader's language: every sentence that the gate can say, what the record's technical texts say, and how long it looks."""

from __future__ import annotations

import re
import time
from pathlib import Path

import polars as pl
import pytest

from loopwright.envelope import SignedEnvelope
from loopwright.gate import FRESH, History, decide_promotion
from loopwright.gate.envelope import judge, under_envelope
from loopwright.gate.guards import field, jump, luck, peak, wear
from loopwright.gate.lights import lamps
from loopwright.gate.paired import Paired
from loopwright.gate.rule import first_champion, nothing_accepted
from loopwright.policy import Card, Light
from loopwright.report.loading import load
from loopwright.report.vocabulary import Vocabulary
from loopwright.sections import DecideSection, FieldGap
from tests.gate.test_envelope import INSIDE, METRIC, WIDE, facts
from tests.gate.test_guards import BETTER, POLICY, table

ENGLISH = re.compile(
    r"\b(the|of|and|with|is|by|that|are|not|to|than|points?|below|above|within|used|instead|rows|measured|allowed)\b"
)


@pytest.fixture
def german(repository: Path) -> Vocabulary:
    return load(repository, "cycle").words("de")


def gate() -> list[str]:
    """What the gate itself says, from its own functions."""
    lost = table(*BETTER, ("rev", False, True, 30))
    easy = lost.with_columns(task=pl.col("task") + "e", level=pl.lit(3, dtype=pl.Int32))
    gap = FieldGap(model="sha256:" + "0" * 64, value=0.3, low=0.25, high=0.4, n=50, leaf=9)
    far = [DecideSection(headline=(4, 8), field=gap, field_gap=Light(bad="above", warn=0.1, stop=stop)) for stop in (0.2, None)]
    guards = (
        peak(POLICY, 0.5, 0.9), luck({"model": [0.5, 0.6], "champion": [0.5, 0.55]}), jump(POLICY, Paired(n=10, gained=9, lost=0)),
        wear(POLICY, 10**6), *map(field, far),
    )  # fmt: skip
    rulings = (
        first_champion(406, 137), nothing_accepted(History(look=0, spent=0.0)), decide_promotion(POLICY, lost, FRESH),
        decide_promotion(POLICY, pl.concat([lost, easy]), FRESH),
    )  # fmt: skip
    figures = {
        name: {"value": sign * 9.0, "low": sign * 9.0, "high": sign * 9.0, "n": 9}
        for name in Card.model_fields
        for sign in _bad(name)
    }
    said = [one for ruling in rulings for one in ruling.reasons] + [guard.sentence for guard in guards]
    return said + [lamp.sentence for lamp in lamps(Card(), figures) if lamp.sentence]


def _bad(name: str) -> tuple[int, ...]:
    rule = getattr(Card(), name)
    return () if not isinstance(rule, Light) else (1,) if rule.bad == "above" else (-1,)


def envelope() -> list[str]:
    """What is said where an envelope is left, kept, or stops."""
    left = facts(
        settings={"recipe.lr": 0.02, "recipe.steps": 21, "domain.name": "programs", "mix.human_floor": 0.5}, origins=("web",),
        synthetic_share=0.7, generation=4, metrics={"gate": {**METRIC, "low": 0.1}, "real_cross_entropy": {**METRIC, "low": 1.1, "high": 1.2}},
    )  # fmt: skip
    verdicts = (
        judge(WIDE, left),
        judge(WIDE, facts(synthetic_share=None, metrics={**INSIDE["metrics"], "false_accept": {**METRIC, "n": 9}})),
    )
    promoted = first_champion(10, 4)
    kept = [
        under_envelope(
            promoted, SignedEnvelope(digest="sha256:" + "0" * 64, envelope=WIDE, settings={}, generation=1, promote_inside=how), judge(WIDE, facts())
        ).reasons[-1]
        for how in ("automatic", "person")
    ]  # fmt: skip
    return [*(one for verdict in verdicts for one in (*verdict.left, *verdict.stops)), *kept]


def test_each_sentence_of_the_gate_is_german_to_a_german(german: Vocabulary) -> None:
    said = [*gate(), *envelope()]
    assert len(said) > 30
    told = {sentence: german.told("reason", sentence) for sentence in said}
    names = re.compile(r"may_change|must_stay|[\w.]+_[\w.]+")
    assert {one: german_one for one, german_one in told.items() if ENGLISH.search(names.sub("", german_one))} == {}
    first = next(one for one in said if "paired tasks" in one)
    numbers = [one.replace(".", ",") for one in re.findall(r"\d+\.\d+", first)]
    assert [one for one in numbers if one not in told[first]] == []


@pytest.mark.parametrize(
    ("path", "text", "german_text"),
    [
        (
            "run.objective",
            "next-token cross-entropy (tiny-transformer); rows: verified",
            "Kreuzentropie des nächsten Tokens (tiny-transformer); geprüfte Zeilen",
        ),
        ("compute.inference_benchmark", "170394 n; Intel(R) Xeon(R) Processor", "170.394 Tokens; Intel(R) Xeon(R) Processor"),
        ("system.name", "next-token cross-entropy (x); rows: verified", "next-token cross-entropy (x); rows: verified"),
    ],
)
def test_texts_of_ours_are_told_and_those_of_persons_stay(german: Vocabulary, path: str, text: str, german_text: str) -> None:
    assert german.recorded(path, text) == german_text


def test_how_energy_was_told_is_told_part_by_part(german: Vocabulary) -> None:
    from loopwright.energy import BOUNDARY

    parts = "cpu: codecarbon's model of the processor (cpu_load); ram: codecarbon's model of memory"
    told = german.recorded("energy.method", f"codecarbon 3.3.2; {parts}; {BOUNDARY}; n = 11/12")
    assert told.startswith(
        "codecarbon 3.3.2; Prozessor: Modell von codecarbon (cpu_load); Arbeitsspeicher: Modell von codecarbon; Proz"
    )
    assert told.endswith("n = 11 von 12 Phasen")


def test_evidence_is_named_by_labels(german: Vocabulary) -> None:
    assert german.entry("system.intended_purpose, loop") == "Zweckbestimmung, die Schleife"
    assert german.entry("phase seed c0000") == "erstes Modell c0000"
    assert german.told("method", "t over 4 quarters 95%").startswith("t über")


@pytest.mark.parametrize("text", [", (" * 300_000, "a, " * 300_000, "W" * 10**6, "9" * 10**6, "model " * 200_000])
def test_nothing_of_ours_is_looked_for_in_a_long_text(german: Vocabulary, text: str) -> None:
    began = time.process_time()
    assert german.told("reason", text) == german.recorded("run.objective", text) == text
    assert time.process_time() - began < 0.2
