"""Budgets are counted from the record, so a restart forgets nothing; what is used up halts the loop until persons sign."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright import supervisor
from loopwright.budgets import Used, budgets_digest, exhausted, lines, used_by
from loopwright.errors import HaltedError
from loopwright.ledger.statement import Statement
from loopwright.ledger.verify import verify
from loopwright.policy import Budgets
from loopwright.workspace import Workspace, set_plan
from tests.govern.record import executed
from tests.govern.test_halt import Trips, turn
from tests.run.small import make_small


def entry(kind: str, **said: Any) -> Statement:
    return Statement(index=0, keyid="k", kind=kind, subjects=(), predicate=said)


def phase(name: str, seconds: float = 1.0, environment: dict[str, Any] | None = None, **summary: Any) -> Statement:
    return entry("phase", phase=name, seconds=seconds, summary=summary, environment=environment or {})


def test_flop_seconds_and_energy_are_summed_by_phase() -> None:
    used = used_by(
        [
            phase("train", 10.0, tokens=100, parameters=1000),
            phase("generate", 5.0, {"energy_kwh": 2.0}, tokens=50),
            entry("failure", started_at="2026-01-01T00:00:00.000Z", failed_at="2026-01-01T00:00:03.500Z"),
            entry("close", cycle="c0000"),
            entry("close", cycle="c0001"),
        ]
    )
    assert used.flop == 6 * 1000 * 100 + 2 * 1000 * 50
    assert used.seconds == 18.5
    assert used.cycles == 1
    found = {line.name: line for line in lines(Budgets(watts=3600.0, money_per_hour=2.0), used)}
    assert found["energy_kwh"].used == pytest.approx(2.0 + 13.5 * 3600 / 3.6e6)
    assert found["energy_kwh"].method.startswith("estimated")
    assert found["money"].used == pytest.approx(18.5 / 3600 * 2)
    assert "energy_kwh" not in {line.name for line in lines(Budgets(), Used())}


@given(seconds=st.lists(st.floats(0, 1e6), max_size=8), limit=st.floats(0.001, 1e3))
def test_a_budget_is_used_up_from_its_limit_on_and_never_comes_back(seconds: list[float], limit: float) -> None:
    used, over = Used(), False
    for each in seconds:
        used = used.after(phase("verify", each))
        now = exhausted(Budgets(wall_hours=limit), used, between=True) is not None
        assert now == (used.seconds / 3600 >= limit)
        assert now or not over
        over = now


def raised(lab: Workspace, **budgets: float) -> str:
    """Write other budgets, as a person would, and commit them; their digest."""
    import subprocess

    set_plan(lab.root, {f"budgets.{name}": value for name, value in budgets.items()})
    subprocess.run(["git", "commit", "-qam", "budgets"], cwd=lab.root, check=True)
    return budgets_digest(lab.plan().budgets)


def test_a_budget_halts_the_loop_and_a_restart_does_not_help(lab: Workspace) -> None:
    raised(lab, cycles=1)
    turn(lab, 1)
    turn(lab, 1)  # what was asked for is done: nothing is exceeded
    for _ in range(2):  # refused after a restart, too
        with pytest.raises(HaltedError, match=r"budget cycles: 1 of 1 used") as caught:
            turn(lab, 2)
        assert "raise the budget" in caught.value.next_step
    [halted] = [statement for statement in lab.ledger().statements() if statement.kind == "halt"]
    assert (halted.predicate["by"], halted.predicate["budget"]) == ("budget", "cycles")
    wanted = raised(lab, cycles=2)
    with pytest.raises(HaltedError):  # raising it in the file is not enough
        turn(lab, 2)
    assert executed(lab, "resume").said["details"]["budgets"] == wanted
    turn(lab, 2)
    raised(lab, cycles=3)
    with pytest.raises(HaltedError, match="not those that persons signed"):
        turn(lab, 3)
    raised(lab, cycles=2)
    with pytest.raises(HaltedError, match=r"budget cycles: 2 of 2 used"):
        turn(lab, 3)
    assert lab.state().last == "c0002"
    assert verify(lab.root).findings == ()


def test_what_a_killed_attempt_used_counts_as_well(tmp_path: Any, victim: Any) -> None:
    workspace = make_small(tmp_path / "lab")
    assert victim(workspace.root, 0, ("c0000", "train", "middle"))["signal"]
    before = used_by(workspace.ledger().statements())
    assert victim(workspace.root, 0) == {"signal": None, "code": 0}
    entries = list(workspace.ledger().statements())
    [lost] = [one.predicate for one in entries if one.kind == "failure"]
    assert (lost["error"], lost["phase"], lost["attempt"]) == ("Killed", "train", 1)
    phases = sum(one.predicate["seconds"] for one in entries if one.kind == "phase")
    ran = datetime.fromisoformat(lost["failed_at"]) - datetime.fromisoformat(lost["started_at"])
    assert ran.total_seconds() >= 0
    assert used_by(entries).seconds == pytest.approx(phases + ran.total_seconds(), abs=0.01)
    assert used_by(entries).seconds > before.seconds
    assert [one.predicate["attempt"] for one in entries if one.kind == "phase" and one.predicate["phase"] == "train"] == [2]
    assert verify(workspace.root).findings == ()


def test_a_long_phase_is_ended_in_its_midst(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 60.0)
    workspace = make_small(tmp_path / "lab", **{"budgets.wall_hours": 4.0 / 3600})
    with pytest.raises(HaltedError, match="budget wall_hours"):
        turn(workspace, 0, Trips(workspace, "train", lambda *_: None))
    entries = list(workspace.ledger().statements())
    [halted] = [one for one in entries if one.kind == "halt"]
    assert halted.predicate["used"] >= halted.predicate["limit"]
    used = used_by(entries).seconds
    assert 4.0 <= used < 14.0
    with pytest.raises(HaltedError, match="budget wall_hours"):
        turn(workspace, 0)
