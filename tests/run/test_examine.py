"""The collapse card in a real loop: measured each cycle, compared with the first model; a stop halts, and a person lets it go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import HaltedError
from loopwright.evaluate.examine import FIGURES, examine
from loopwright.plugins import PhaseContext
from loopwright.replay import inputs_of
from loopwright.sections import resolve
from loopwright.session import open_run, open_tools
from loopwright.types import Verdict
from loopwright.workspace import Workspace, load_flow
from tests.run.small import make_small
from tests.run.test_bad_input import Silent

TAKEN = {"gate.card.behaviours": {"bad": "below", "warn": 1000.0, "stop": 999.0}, "gate.card.unsafe_only_say": False}
"""A rule that the second model breaks whatever it does; the first has nothing to be compared with."""


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory, victim: Callable[..., dict[str, Any]]) -> Workspace:
    """Two cycles after the first."""
    lab = make_small(tmp_path_factory.mktemp("turned") / "lab")
    assert victim(lab.root, 2)["code"] == 0
    return lab


def card(lab: Workspace, cycle: str) -> dict[str, Any]:
    return json.loads((lab.root / "cycles" / cycle / "card" / "card.json").read_bytes())


def test_every_cycle_has_a_card_and_what_it_says_is_on_the_record(turned: Workspace) -> None:
    state = turned.state()
    for cycle in ("c0000", "c0001", "c0002"):
        figures = card(turned, cycle)["figures"]
        assert list(figures) == sorted(FIGURES)
        assert state.cycles[cycle].phases["examine"].summary["figures"] == figures
        for figure in figures.values():
            assert figure is None or (
                figure["low"] <= figure["value"] <= figure["high"] and figure["n"] > 0 and figure["method"]
            )
    measured = {name for name, figure in card(turned, "c0002")["figures"].items() if figure}
    assert measured >= {"real_cross_entropy", "generated_tails", "behaviours", "vendi", "entropy", "sentinel", "amplification"}
    assert card(turned, "c0001")["first"] == card(turned, "c0000")["first"] == card(turned, "c0002")["first"]
    lights = state.cycles["c0002"].phases["decide"].summary["lights"]
    assert lights["sentinel"] == "fine"
    assert lights["self_preference"] == "not measured"


def test_frozen_rows_are_none_that_are_trained_on(turned: Workspace) -> None:
    import polars as pl

    suites = turned.root / "cycles/c0000/suites"
    frozen, trained = (
        pl.read_parquet(suites / "human.parquet"),
        pl.read_parquet(turned.root / "cycles/c0000/accepted/rows.parquet"),
    )
    assert frozen.height > 20
    assert not set(frozen["prompt"]) & set(trained["prompt"])
    assert pl.read_parquet(suites / "panel.parquet").height > 20


def again(lab: Workspace, cycle: str, place: Path, spoil: Callable[[Any], Any] = lambda domain: domain) -> dict[str, Any]:
    """The examine phase of a cycle once more, with a domain of our own."""
    plan = lab.plan()
    config = resolve(plan, cycle, "").examiner
    place.mkdir()
    with open_tools(plan, lab.root) as tools:
        context = PhaseContext(
            cycle=cycle, root=lab.root, seed=lab.state().cycles[cycle].seed, output=place, scratch=place,
            domain=spoil(tools.domain), family=tools.family, executor=tools.executor, sandbox=tools.sandbox,
            progress=lambda *_: None, refs=tools.refs,
        )  # fmt: skip
        return examine(config, inputs_of(lab.root, "examine", cycle), context)


def test_it_is_repeatable_to_the_byte(turned: Workspace, tmp_path: Path) -> None:
    again(turned, "c0002", tmp_path / "out")
    for name in ("card.json", "first.parquet"):
        made = (tmp_path / "out" / "card" / name).read_bytes()
        assert made == (turned.root / "cycles/c0002/card" / name).read_bytes()


class Lenient:
    """A domain whose judge has come to pass everything."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def judge(self, pairs: Any, purposes: Any, sandbox: Any, progress: Any = None) -> list[Verdict]:
        return [Verdict(status="PASS", level="SL3") for _ in pairs]


def test_a_changed_evaluator_is_seen_by_the_frozen_model(turned: Workspace, tmp_path: Path) -> None:
    figure = again(turned, "c0002", tmp_path / "out", Lenient)["figures"]["sentinel"]
    assert figure["low"] > 0.5


# ------------------------------------------------------------------------------------------------ the halt


def run(lab: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loopwright", *arguments]
    return subprocess.run(command, cwd=lab.root, capture_output=True, text=True, check=False, env=dict(os.environ))


def test_a_stop_halts_and_only_a_persons_signature_lets_it_go_on(tmp_path: Path, victim: Callable[..., dict[str, Any]]) -> None:
    lab = make_small(tmp_path / "lab", **TAKEN)
    assert victim(lab.root, 3)["code"] == 6
    state = lab.state()
    assert (state.cycles["c0001"].action, state.champion, list(state.cycles)) == ("halt", "c0000", ["c0000", "c0001"])
    assert state.open is None, "a halted cycle is closed and committed like any other"
    assert subprocess.run(["git", "status", "--porcelain"], cwd=lab.root, capture_output=True, check=True).stdout == b""
    refused = run(lab, "run", "--cycles", "1")
    assert refused.returncode == 6, "a halt is a halt, and waits for a person"
    assert "c0001 halted the loop: behaviours" in refused.stderr
    decision = state.cycles["c0001"].artifact("decision")
    assert decision
    [asked] = state.acts.requests.values()
    assert (asked.action, [one.digest for one in asked.subjects]) == ("resume", [decision.digest])
    assert f"loopwright approve {asked.id[7:19]}" in refused.stderr.replace("\n", " ")
    assert list(lab.state().cycles) == ["c0000", "c0001"], "nothing was opened"
    assert run(lab, "approve", decision.digest, "--as", "operator").returncode == 3, "who launched it approves nothing"
    assert run(lab, "approve", decision.digest, "--reason", "the rule was mine").returncode == 0
    with open_run(lab, Silent()) as going, pytest.raises(HaltedError, match="c0002"):
        load_flow(lab.root)(going, 2)
    assert list(lab.state().cycles) == ["c0000", "c0001", "c0002"], "it went on, into the next stop"
    assert run(lab, "verify").returncode == 0


def test_without_that_rule_the_same_loop_goes_on(turned: Workspace) -> None:
    assert {record.action for record in turned.state().cycles.values()} <= {"promote", "reject", "hold"}
