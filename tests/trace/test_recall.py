"""A poisoned source and single rows, recalled in a real loop, refused everywhere, and trained again without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from benchmarks.recall import told
from loopwright.cli import app
from loopwright.errors import RefusedError, UsageError
from loopwright.govern.steering import rollback
from loopwright.ledger.audit import audit
from loopwright.ledger.inspection import inspect
from loopwright.ledger.taint import taint
from loopwright.ledger.verify import verify
from loopwright.report.facts import cycle_facts
from loopwright.store.tables import content_id
from loopwright.trace import targets
from loopwright.trace.lineage import read_graph
from loopwright.trace.recall import affected, listed, recall
from loopwright.trace.retrain import read_plan, retrain
from loopwright.workspace import Workspace, fork
from tests.ledger.workshop import closing, opening
from tests.trace.conftest import POISON

Turn = Callable[[Workspace, int], None]


def rows(workspace: Workspace, cycle: str, table: str = "rows") -> pl.DataFrame:
    return pl.read_parquet(workspace.root / f"cycles/{cycle}/accepted/{table}.parquet")


def signed(workspace: Workspace, make: Callable[..., targets.Target], *given: object) -> dict[str, object]:
    graph = read_graph(workspace)
    return recall(workspace, affected(workspace.root, graph, make(workspace.root, graph, *given)), "it is bad")


def texts(workspace: Workspace) -> set[tuple[str, str]]:
    return set(rows(workspace, "c0000").select("prompt", "answer").iter_rows())


def test_a_source_is_recalled_and_the_loop_begins_again_without_it(lab: Workspace, tmp_path: Path, turner: Turn) -> None:
    assert {(prompt, answer) for prompt, answer, _ in POISON} <= texts(lab)
    answer = signed(lab, targets.source, lab.plan().sources, "bad")
    state = lab.state()
    assert answer["rows"] == {"recalled": 2, "tainted": sum(rows(lab, name).height for name in state.cycles)}
    assert answer["enters"] == ["c0000/accepted"]
    assert {item["label"] for item in answer["affected"]["model"]} == {"c0000/model", "c0001/model", "c0002/model"}
    assert answer["champion"] == {"was": "c0000", "now": None, "passed_over": []}
    known = taint(state)
    assert known.holds(state.cycles["c0002"].artifact("model"))
    assert not known.holds(state.cycles["c0000"].artifact("suites"))
    with pytest.raises(RefusedError, match="the next cycle would use what was recalled: cycles/c0000/model"):
        turner(lab, 3)
    with pytest.raises(RefusedError, match="a fork of c0001 would use"):
        fork(lab, "c0001", tmp_path / "fork", {"name": "fork"})
    assert verify(lab.root).findings == ()

    again, last = retrain(lab, lab.root / str(answer["plan"]), tmp_path / "again")
    assert last == 2
    assert not (again.root / "sources/bad.jsonl").exists()
    assert again.plan().sources == ()
    assert again.plan().exclude.recall == read_plan(lab.root / str(answer["plan"]))[1]
    turner(again, 0)
    assert texts(again) == texts(lab) - {(prompt, answer) for prompt, answer, _ in POISON}
    assert verify(again.root).findings == ()


def test_single_rows_are_left_out_of_a_fork_of_the_last_clean_cycle(lab: Workspace, tmp_path: Path, turner: Turn) -> None:
    before = rows(lab, "c0001")
    bad = before.head(2)
    answer = signed(lab, targets.rows, bad["id"].to_list())
    assert answer["rows"]["recalled"] == 2
    assert answer["enters"] == ["c0001/accepted"]
    assert answer["retrain"]["start"] == "c0000"
    assert answer["retrain"]["again"] == ["c0001", "c0002"]
    assert answer["champion"] == {"was": "c0000", "now": "c0000", "passed_over": []}
    with pytest.raises(RefusedError, match="cycles/c0002/archive"):
        turner(lab, 3)
    made, last = retrain(lab, lab.root / str(answer["plan"]), tmp_path / "again")
    assert last == 2
    turner(made, 1)
    after, refused = rows(made, "c0001"), rows(made, "c0001", "refused")
    assert set(after["id"]) == set(before["id"]) - set(bad["id"])
    assert set(refused.filter(pl.col("reason") == "recalled")["id"]) >= set(bad["id"])
    assert verify(made.root).findings == ()
    assert {item["reason"] for item in listed(lab)} == {"it is bad"}


def test_a_persons_rows_leave_the_sources_too(lab: Workspace, tmp_path: Path) -> None:
    salted = POISON[0][2]
    answer = signed(lab, targets.person, lab.plan().sources, salted)
    assert answer["rows"]["recalled"] == 1
    plan, _ = read_plan(lab.root / str(answer["plan"]))
    assert plan.leave_out.rows == (content_id(*POISON[0][:2]),)
    assert plan.leave_out.sources == ()
    made, _ = retrain(lab, lab.root / str(answer["plan"]), tmp_path / "again")
    kept = (made.root / "sources/bad.jsonl").read_text()
    assert salted not in kept
    assert POISON[1][2] in kept


def test_a_licence_and_what_nobody_learnt_from(lab: Workspace) -> None:
    graph = read_graph(lab)
    found = affected(lab.root, graph, targets.licence(lab.root, graph, "CC-BY-SA-4.0"))
    assert found.target.rows is not None
    assert found.target.rows.height == len(POISON)
    for make, given in (
        (targets.licence, ("GPL-9",)),
        (targets.person, (lab.plan().sources, "ff" * 32)),
        (targets.source, (lab.plan().sources, "good")),
        (targets.rows, (["0" * 16],)),
    ):
        with pytest.raises(UsageError):
            make(lab.root, graph, *given)


def test_done_twice_is_done_once_and_a_changed_plan_is_refused(lab: Workspace, tmp_path: Path) -> None:
    graph = read_graph(lab)
    found = affected(lab.root, graph, targets.artifact(graph, "c0002/proposals"))
    first = recall(lab, found, "it is bad")
    graph = read_graph(lab)
    second = recall(lab, affected(lab.root, graph, targets.artifact(graph, "c0002/proposals")), "it is bad")
    assert first["entries"] == second["entries"]
    assert first["plan"] == second["plan"]
    assert len(lab.state().acts.recalls) == 1
    plan = lab.root / str(first["plan"])
    plan.write_text(plan.read_text().replace("reason: it is bad", "reason: it is good"))
    with pytest.raises(UsageError, match="not as it was signed"):
        retrain(lab, plan, tmp_path / "again")
    with pytest.raises(UsageError, match="champion already"):
        rollback(lab, "c0000", "the recall does not touch it")


def begun_by_a_driver_that_does_not_look(workspace: Workspace, cycle: str, parent: str, prev: str, **how: bool) -> None:
    ledger = workspace.ledger()
    ledger.append("open", [], opening(cycle, parent=parent, prev=prev), role="controller", event=f"open:{cycle}")
    closed = closing(cycle, action="reject", champion="c0000") | ({"abandoned": "a person saw it"} if how else {})
    ledger.append("close", [], closed, role="controller", event=f"close:{cycle}")
    ledger.publish()
    ledger.close()


def recalled_used(workspace: Workspace) -> list[str]:
    return [found.message for found in inspect(workspace.root).findings if found.code == "recalled-used"]


def test_the_champion_falls_back_and_what_is_tainted_stays_out(tmp_path: Path) -> None:
    """On the benchmark's loop, which is told: c0000, c0003 and c0006 were promoted."""
    workspace = told(tmp_path / "long", 8, 160)
    graph = read_graph(workspace)
    assert workspace.state().champion == "c0006"
    answer = recall(workspace, affected(workspace.root, graph, targets.artifact(graph, "c0004/accepted")), "it is bad")
    state = workspace.state()
    assert answer["champion"] == {"was": "c0006", "now": "c0003", "passed_over": []}
    assert answer["rows"]["tainted"] == 4 * 20
    assert state.champion == "c0003"
    ledger = workspace.ledger()
    statements = list(ledger.statements())
    ledger.close()
    assert [one.kind for one in statements[-2:]] == ["recall", "rollback"]
    assert statements[-1].predicate["recall"] == statements[-2].index
    with pytest.raises(RefusedError, match="a rollback to c0006 would use"):
        rollback(workspace, "c0006", "it was better")
    assert rollback(workspace, "c0000", "older is fine") == "c0000"
    assert "cycles/c0006/model" in cycle_facts(statements, "c0006")["summary"]["values"]["recalled"]
    assert cycle_facts(statements, "c0003")["summary"]["values"]["recalled"] == []
    assert audit(workspace.root / "ledger").findings == ()
    assert recalled_used(workspace) == []
    for cycle, parent, prev in (("c0008", "c0006", "c0003"), ("c0009", "c0003", "c0003"), ("c0010", "c0003", "c0007")):
        begun_by_a_driver_that_does_not_look(workspace, cycle, parent, prev)
    assert recalled_used(workspace) == [  # which was the last thing before: the second began from what is clean
        "c0008 begins from what was recalled before it: cycles/c0006/model, cycles/c0006/evaluation",
        "c0010 begins from what was recalled before it: cycles/c0007/accepted, cycles/c0007/archive",
    ]
    begun_by_a_driver_that_does_not_look(workspace, "c0011", "c0006", "c0007", given_up=True)
    assert len(recalled_used(workspace)) == 2
    rows = affected(workspace.root, graph := read_graph(workspace), targets.artifact(graph, "c0002/model"))
    assert rows.roots == ("cycles/c0002/model@" + workspace.state().cycles["c0002"].artifact("model").digest,)


def test_the_verb(lab: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        app([*arguments, "--workspace", str(lab.root)], standalone_mode=False)
        return capsys.readouterr().out

    with pytest.raises(UsageError, match="needs a reason"):
        said("recall", "c0001/accepted")
    dry = json.loads(said("recall", "c0001/accepted", "--dry-run", "--json"))
    assert lab.state().acts.recalls == ()
    done = json.loads(said("recall", "c0001/accepted", "--why", "wrong labels", "--json"))
    assert done["affected"] == dry["affected"]
    first, second = (item["via"] for item in done["affected"]["accepted"])
    assert first is None
    assert second["phase"] == "c0002/verify"
    assert {item["label"]: item["via"] for item in done["affected"]["archive"]}["c0001/archive"] == {
        "phase": "c0001/merge", "from": "c0001/accepted", "as": "input accepted",
    }  # fmt: skip
    assert "wrong labels" in said("recall", "--list")
    assert [one["what"] for one in json.loads(said("recall", "--list", "--json"))["recalls"]] == ["c0001/accepted"]
