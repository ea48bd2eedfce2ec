"""The overview as a pure function: time left, what waits, budgets, and how the record stands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.integrity import Standing
from app.views.money import THRESHOLDS, budget_table, threshold_table
from app.views.overview import Told, view_of
from app.views.stages import Running, Strip, strip_of
from app.words import Words
from loopwright.budgets import Used
from loopwright.cli.dashboard import serve
from loopwright.consent import Waiting
from loopwright.errors import UsageError
from loopwright.index import Index
from loopwright.ledger.acts import Acts, Request
from loopwright.ledger.quorum import Standing as Weighed
from loopwright.policy import Budgets, Card
from tests.app.serving import until_it_answers
from tests.ports import free_port

WORDS = Words("overview", "en")
NOW = "2026-11-22T12:00:00Z"


@pytest.fixture
def told(loops: Callable[[str], Path]) -> Told:
    """A loop whose fifth cycle runs its train phase since ten seconds; that phase took 20, 30 and 40 s before."""
    with Index.open(loops("running")) as index:
        usual = {
            "train": [20.0, 30.0, 40.0],
            "evaluate": [5.0, 5.0, 8.0],
            "examine": [1.0, 2.0, 3.0],
            "decide": [0.0, 0.0, 1.0],
        }
        return Told(
            loop=index.told, cycles=index.cycles(), rows=index.latest(50), champion=index.told_of(["c0002"])[0],
            running=Running(row=index.told_of(["c0004"])[0], since="2026-11-22T11:59:50Z", usual=usual), acts=Acts(), used=index.used, budgets=Budgets(), card=Card(),
            integrity=Standing(state="sound", size=40, covered=35, at=NOW), now=NOW,
        )  # fmt: skip


def test_what_is_left_of_the_running_cycle_is_told_with_its_range(told: Told) -> None:
    def strip(**more: Any) -> Strip:
        return strip_of(WORDS, replace(told.running, **more), NOW)

    assert [(stage.name, stage.state) for stage in strip().stages][2:5] == [
        ("Merge", "done"),
        ("Train", "now"),
        ("Evaluate", "todo"),
    ]
    assert "About 27\u00a0s left (16\u00a0s to 42\u00a0s; medians and range of the last 3" in strip().left, (
        "30 - 10 + 5 + 2 + 0"
    )
    late = strip(since="2026-11-22T11:59:25Z")
    assert "About 7.0\u00a0s left (6.0\u00a0s to 17\u00a0s;" in late.left, "35 s into a phase that takes 30 or 40"
    assert "Nothing new on the record for 1\u00a0h" in strip(since="2026-11-22T11:00:00Z").left
    assert "Too few cycles" in strip(usual={}).left


def test_what_waits_is_told_with_its_signatures_and_counted(told: Told) -> None:
    said = {
        "expires_at": "2026-11-23T00:00:00Z",
        "requested_at": "2026-11-22T00:00:00Z",
        "quorum": {"persons": 2},
        "details": {"cycle": "c0003"},
    }
    asked = Request(id="sha256:1", index=9, key="k", action="promote", subjects=(), said=said)
    found = Waiting(request=asked, standing=Weighed(status="open", reasons=()))
    view = view_of(WORDS, replace(told, waiting=(found,)))
    assert [(one["about"], one["answers"]) for one in view.waiting] == [("c0003", "0 of 2 signatures")]
    assert next(one for one in view.sheet.figures if one.label == WORDS("waits")).value == "1"


@pytest.mark.parametrize(
    ("standing", "value", "note"),
    [
        (Standing(state="sound", size=40, covered=35), "Verified", "checkpoint over 35 of 40 entries"),
        (Standing(state="broken", size=40, breaks=7), "Unverified", "breaks at entry 7"),
        (Standing(state="checking"), "Checking", "Checking"),
    ],
)
def test_nothing_is_called_verified_that_was_not(told: Told, standing: Standing, value: str, note: str) -> None:
    badge = next(one for one in view_of(WORDS, replace(told, integrity=standing)).sheet.figures if one.label == WORDS("record"))
    assert (badge.value, badge.note, badge.mark == "good") == (value, note, value == "Verified")


def test_budgets_are_forecast_and_thresholds_are_shares(told: Told) -> None:
    used = Used(cycles=4, seconds=7200.0, flop=2e21, parameters=10)
    table = budget_table(WORDS, Budgets(cycles=10, wall_hours=3.0, money_per_hour=5.0, money=12.0), used, told.rows)
    rows = {row["what"]: row for row in table.rows}
    assert rows["Cycles"]["left"] == 6
    assert rows["Time of phases"]["left"] == 2, "one hour left, half an hour a cycle"
    assert rows["Money"]["left"] == 0, "2 left, 2.50 a cycle"
    assert rows["Money"]["method"].startswith("estimated")
    assert "Energy" in table.note, "what is neither measured nor estimated is said"
    shares = [row["share"] for row in threshold_table(WORDS, used).rows]
    assert shares == [used.flop / limit * 100 for limit in THRESHOLDS.values()]


def test_the_command_serves_nobody_else_without_a_sign_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="serves this machine alone"):
        serve(tmp_path, 8501, "0.0.0.0")


def test_a_verification_beside_the_pages_ends_with_the_server_that_waits_for_it(
    loops: Callable[[str], Path], repository: Path
) -> None:
    def verified(*, waited_for: bool) -> subprocess.CompletedProcess[str]:
        theirs, ours = os.pipe()
        if not waited_for:
            os.close(ours)
        command = [sys.executable, "-m", "app.integrity", str(loops("rest"))]
        try:
            return subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, cwd=repository)
        finally:
            os.close(theirs)
            if waited_for:
                os.close(ours)

    told = verified(waited_for=True)
    assert (told.returncode, json.loads(told.stdout)["state"]) == (0, "sound"), told.stderr
    left = verified(waited_for=False)
    assert (left.returncode, left.stdout) == (1, "")


def test_whoever_ends_the_command_ends_the_server(loops: Callable[[str], Path], repository: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "loopwright", "app", "--port", str(port), "-w", str(loops("rest").parent)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=repository, text=True) as app:
        until_it_answers(port, app, lambda: "nothing listens")
        app.terminate()
        said = app.communicate(timeout=30)[1]
    assert app.returncode == 0, said
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
