"""A real cycle run again in a clean clone: the same bytes; with one byte of a phase changed, different, and where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

import loopwright.verify.phase as verify_phase
from loopwright.cli import app
from loopwright.errors import InfraError, IntegrityError, UsageError
from loopwright.ledger.verify import verify
from loopwright.store.hashing import measure
from loopwright.trace.compare import Tolerance, compare
from loopwright.trace.diff import diff
from loopwright.trace.environment import recorded
from loopwright.trace.reproduce import reproduce
from loopwright.workspace import Workspace


def test_the_same_bytes(lab: Workspace) -> None:
    answer = reproduce(lab, "c0001")
    assert answer["verdict"] == "identical"
    assert [one["phase"] for one in answer["outcomes"]] == list(lab.state().cycles["c0001"].phases)
    assert all(one["recorded"] == one["made"] for one in answer["outcomes"])
    assert set(answer["environment"]["differs"]) <= {"executor"}
    assert verify(lab.root).findings == ()
    assert not list((lab.root / ".loopwright" / "reproduce").iterdir())


def test_one_byte_of_a_phase_is_seen_where_it_acts_and_nowhere_else(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_phase, "LICENCE", verify_phase.LICENCE.replace("model", "modem"))
    answer = reproduce(lab, "c0001", ["verify", "merge"])
    assert answer["verdict"] == "different"
    told = {one["phase"]: (one["verdict"], one["where"]) for one in answer["outcomes"]}
    assert told == {"verify": ("different", "rows.parquet, row 0, column licence"), "merge": ("identical", "")}
    with pytest.raises(IntegrityError, match="not reproduced: c0001 verify: cycles/c0001/accepted"):
        app(["reproduce", "c0001", "--phases", "verify", "--workspace", str(lab.root)], standalone_mode=False)


def test_a_phase_that_cannot_run_is_no_difference(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise InfraError("no sandbox today")

    monkeypatch.setattr(verify_phase, "decided", broken)
    answer = reproduce(lab, "c0001", ["verify"])
    assert (answer["verdict"], answer["outcomes"][0]["where"]) == ("failed", "no sandbox today")
    with pytest.raises(UsageError, match="has no phase"):
        reproduce(lab, "c0001", ["seed"])
    with pytest.raises(UsageError, match="no finished cycle"):
        reproduce(lab, "c0009")


def test_weights_are_within_a_stated_tolerance_or_not(turned: Path, tmp_path: Path) -> None:
    model = turned / "cycles/c0001/model"
    manifest = measure(model, "model").manifest
    for size, expected in ((0.0, "identical"), (1e-4, "within"), (1.0, "different")):
        made = tmp_path / f"{size}"
        made.mkdir()
        for file in model.iterdir():
            if file.suffix == ".safetensors" and size:
                weights = load_file(file)
                name = min(weights)
                weights[name] = weights[name] + np.float32(size)
                save_file(weights, made / file.name)
            elif file.is_file():
                (made / file.name).write_bytes(file.read_bytes())
        found = compare("train", "cycles/c0001/model", model, made, manifest, Tolerance())
        assert found.verdict == expected
        assert ("most in" in found.where) == bool(size)


def test_verdicts_agree_or_not(turned: Path, tmp_path: Path) -> None:
    evaluation = turned / "cycles/c0001/evaluation"
    manifest = measure(evaluation, "evaluation").manifest
    for file in evaluation.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = pl.read_parquet(evaluation / "gate.parquet")
    flipped = table.with_columns(passed=pl.col("passed") ^ (pl.int_range(pl.len()) == 0))
    flipped.write_parquet(tmp_path / "gate.parquet")
    found = compare("evaluate", "cycles/c0001/evaluation", evaluation, tmp_path, manifest, Tolerance())
    assert (found.verdict, found.where) == ("different", "gate.parquet, row 0, column passed")
    assert found.measured == {"agreement": 1 - 1 / table.height}
    loose = compare("evaluate", "cycles/c0001/evaluation", evaluation, tmp_path, manifest, Tolerance(agreement=0.9))
    assert loose.verdict == "within"


def test_what_a_phase_drew_is_no_environment(turned: Path) -> None:
    record = Workspace(root=turned).state().cycles["c0001"]
    drew = {name: replace(done, environment={**done.environment, "energy": {"kwh": 1}}) for name, done in record.phases.items()}
    assert recorded(replace(record, phases=drew)) == recorded(record)


def test_the_difference_of_two_cycles(turned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(root=turned)
    found = diff(workspace, "c0001", "c0002")
    heights = {
        name: pl.read_parquet(turned / f"cycles/{name}/accepted/rows.parquet").height for name in workspace.state().cycles
    }
    assert {name: found["data"][name] for name in ("in", "out", "changed", "same")} == {
        "in": heights["c0002"], "out": 0, "changed": 0, "same": heights["c0000"] + heights["c0001"],
    }  # fmt: skip
    assert sum(group["rows"] for group in found["data"]["by"]) == heights["c0002"]
    back = diff(workspace, "c0002", "c0001")
    assert (back["data"]["in"], back["data"]["out"]) == (0, heights["c0002"])
    assert (found["code"], found["environment"]) == ({}, {})
    assert found["configuration"] == {"evaluate.pass_at.cycles": {"c0001": [], "c0002": ["c0002"]}}
    assert found["scores"]["gate"]["gain"]["n"] == pl.read_parquet(turned / "cycles/c0001/evaluation/gate.parquet").height
    app(["diff", "c0000", "c0002", "--workspace", str(turned), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["cycles"] == ["c0000", "c0002"]
    app(["diff", "c0000", "c0002", "--workspace", str(turned)], standalone_mode=False)
    assert "configuration:" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no cycle c0007"):
        diff(workspace, "c0001", "c0007")
