"""A loop that has nothing to learn from refuses to promote, and says why: through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.negative_control import told, turned, wrongs

REFUSED = {"cycle": "c0001", "decision": "reject", "reasons": ["zero accepted rows"]}
FIRST = {"cycle": "c0000", "decision": "promote", "reasons": ["first champion"]}


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([FIRST, REFUSED], []),
        ([FIRST, {**REFUSED, "decision": "hold"}], []),
        ([FIRST, {**REFUSED, "decision": "promote"}], ["c0001 was promoted"]),
        ([FIRST, {**REFUSED, "reasons": []}], ["c0001 does not say why"]),
        ([FIRST, {**REFUSED, "reasons": [""]}], ["c0001 does not say why"]),
        ([FIRST], ["0 of 1 cycles were turned"]),
        ([FIRST, {**REFUSED, "decision": "halt"}], []),
    ],
)
def test_what_counts_as_wrong(rows: list[dict[str, object]], wrong: list[str]) -> None:
    assert wrongs(rows, 1) == wrong


@pytest.mark.parametrize(("last", "wrong"), [("halt", []), ("reject", ["2 of 3 cycles were turned"])])
def test_a_loop_that_ended_early_must_have_halted(last: str, wrong: list[str]) -> None:
    assert wrongs([FIRST, REFUSED, {**REFUSED, "cycle": "c0002", "decision": last}], 3) == wrong


@pytest.mark.slow
def test_a_model_of_the_two_easiest_levels_gets_nobody_promoted(tmp_path: Path) -> None:
    rows = told(turned(tmp_path / "control", 2, 0, "in-process"))
    print(*(f"{row['cycle']} {row['decision']}: {row['reasons']}" for row in rows), sep="\n")
    first, *later = rows
    assert first["decision"] == "promote"
    assert first["levels"]["2"] > 0.4, "it did learn what it was taught"
    assert first["gate"]["value"] < 0.05, "and nothing of what is asked"
    assert wrongs(rows, 2) == []
    assert all(row["refused"] > 10 * row["accepted"] for row in later)
