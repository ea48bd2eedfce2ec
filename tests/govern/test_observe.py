"""Field results: signed, of a model that the record knows, and held against what the laboratory said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import PlanError, UsageError
from loopwright.govern.observe import observe
from loopwright.govern.requests import Desk
from loopwright.govern.status import status_of
from loopwright.ledger.field import gap
from loopwright.ledger.verify import verify
from loopwright.signed import field_gap
from loopwright.workspace import Workspace
from tests.govern.record import nobody

SEEN: dict[str, Any] = {
    "model": "c0000",
    "metric": "tasks solved",
    "value": 0.4,
    "low": 0.3,
    "high": 0.5,
    "n": 80,
    "period": ["2026-01-01T00:00:00Z", "2026-02-01T01:00:00+01:00"],
    "source": "support desk, all tickets",
    "laboratory": "headline",
}


def told(lab: Workspace, file: Path) -> int:
    with Desk(lab, nobody) as desk:
        return observe(desk, file)


def put(folder: Path, **changed: Any) -> Path:
    file = folder / "seen.json"
    file.write_text(json.dumps({**SEEN, **changed}))
    return file


def test_a_field_result_is_on_the_record_and_in_the_status(lab: Workspace, tmp_path: Path) -> None:
    model = lab.state().cycles["c0000"].artifact("model")
    index = told(lab, put(tmp_path))
    assert told(lab, put(tmp_path)) == index  # the same file is one result
    assert told(lab, put(tmp_path, model=model.digest, laboratory=None, metric="complaints")) == index + 1
    seen = status_of(lab)
    first, second = seen["field"]
    assert first["period"] == ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert (first["cycle"], first["model"]) == ("c0000", model.digest)
    sealed = seen["cycles"][0]["sealed"]
    assert first["gap"]["value"] == pytest.approx(sealed["value"] - 0.4)
    assert first["gap"]["low"] < first["gap"]["value"] < first["gap"]["high"]
    assert second["gap"] is None  # another metric: no difference means anything
    field = field_gap(lab.state(), "c0001")
    gate = seen["cycles"][0]["gate"]
    assert field.value == pytest.approx(gate["value"] - 0.4)  # the sealed suite steers nothing
    assert field.leaf == index
    assert verify(lab.root).findings == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"value": 0.6},
        {"n": 0},
        {"period": SEEN["period"][::-1]},
        {"period": ["2026-01-01", "2026-02-01"]},
        {"source": ""},
        {"x": 1},
    ],
)
def test_what_it_may_not_say_is_refused_with_its_place(lab: Workspace, tmp_path: Path, changed: dict[str, Any]) -> None:
    leaves = lab.state().leaves
    with pytest.raises(PlanError, match=r"seen.json:1"):
        told(lab, put(tmp_path, **changed))
    assert lab.state().leaves == leaves


def test_of_a_model_that_nobody_knows_nothing_is_recorded(lab: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model"):
        told(lab, put(tmp_path, model="sha256:" + "0" * 64))
    with pytest.raises(UsageError, match="cannot be read"):
        told(lab, tmp_path / "none.json")


shares = st.tuples(*[st.floats(0, 1)] * 3).map(sorted).map(lambda x: {"low": x[0], "value": x[1], "high": x[2], "n": 9})


@given(one=shares, other=shares)
def test_the_gap_of_two_intervals_covers_its_value_and_turns_its_sign(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = gap(one, other), gap(other, one)
    assert there["low"] <= there["value"] <= there["high"]
    assert (there["low"], there["high"]) == (pytest.approx(-back["high"]), pytest.approx(-back["low"]))
