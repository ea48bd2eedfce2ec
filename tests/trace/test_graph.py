"""Over random loops: every descendant is found and nothing else; and no recalled model is ever gone on from."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright import quarantine
from loopwright.errors import IntegrityError, RefusedError, UsageError
from loopwright.ledger.fold import CycleRecord
from loopwright.ledger.statement import Statement
from loopwright.ledger.taint import CARRIED, Taint, promoted, refuse, spread, taint
from loopwright.trace.graph import artifact_id, graph_of
from loopwright.trace.recall import least
from loopwright.types import Artifact
from tests.trace.told import Told

TURNS = st.lists(st.tuples(st.sampled_from(["promote", "reject"]), st.booleans(), st.booleans()), min_size=1, max_size=6)


def told(turns: list[tuple[str, bool, bool]]) -> Told:
    log = Told()
    log.seed()
    for action, empty, same in turns:
        log.turn(action, empty=empty, same=same)
    return log


def closure(statements: list[Statement], start: set[str], *, accounts: bool) -> set[str]:
    """The same by brute force: pass over all statements until nothing is added any more."""
    found, grew = set(start), True
    while grew:
        grew = False
        for one in statements:
            if one.kind != "phase":
                continue
            used = {
                f"{item['path']}@{item['digest']}"
                for item in one.predicate["inputs"]
                if accounts or (one.predicate["phase"], item["name"]) not in CARRIED
            }
            made = {f"{item.path}@{item.digest}" for item in one.subjects}
            held = {f"{item.path}@{item.digest}" for item in one.subjects if item.kind == "archive"}
            shards = {f"{item.path}@{item.digest}" for item in one.subjects if item.kind == "accepted"}
            new = made if used & found else held if shards & found else set()
            if not new <= found:
                found, grew = found | new, True
    return found


def outputs(log: Told) -> list[Artifact]:
    return [item for one in log.statements if one.kind == "phase" for item in one.subjects]


@given(turns=TURNS, pick=st.integers(min_value=0), accounts=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_descendant_and_nothing_else(turns: list[tuple[str, bool, bool]], pick: int, accounts: bool) -> None:
    log = told(turns)
    made = outputs(log)
    chosen = made[pick % len(made)]
    start = artifact_id(chosen.path, chosen.digest)
    graph = graph_of(log.statements)
    reached = graph.reach([start], carried=accounts)
    assert {name for name in reached if graph.nodes[name].entity} == closure(log.statements, {start}, accounts=accounts)
    for name in reached:
        way = graph.way(reached, name)
        assert (way[0], way[-1]) == (start, name)
        assert all(after in {there for there, _ in graph.forward[before]} for before, after in itertools.pairwise(way))
        assert start in graph.reach([name], down=False, carried=accounts)


@given(turns=TURNS, picks=st.lists(st.integers(min_value=0), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_recall_names_no_place_that_another_leads_to(turns: list[tuple[str, bool, bool]], picks: list[int]) -> None:
    log = told(turns)
    graph, made = graph_of(log.statements), outputs(log)
    chosen = [made[pick % len(made)] for pick in picks]
    start = tuple({artifact_id(one.path, one.digest) for one in chosen})
    roots = least(graph, start)
    assert graph.reach(roots, carried=False).keys() == graph.reach(start, carried=False).keys()
    for one in roots:
        assert not any(one in graph.reach([other], carried=False) for other in start if other != one)


@given(turns=TURNS, pick=st.integers(min_value=0))
@settings(max_examples=60, deadline=None)
def test_the_fold_taints_what_the_graph_reaches(turns: list[tuple[str, bool, bool]], pick: int) -> None:
    log = told(turns)
    made = outputs(log)
    digest = made[pick % len(made)].digest
    start = {artifact_id(item.path, item.digest) for item in made if item.digest == digest}  # equal bytes are bad bytes
    known = spread(log.state, {digest})
    assert {f"{path}@{one}" for path, one in known.reached} == closure(log.statements, start, accounts=False)
    graph = graph_of(log.statements)
    assert {f"{path}@{one}" for path, one in known.reached} == {
        name for name in graph.reach(sorted(start), carried=False) if graph.nodes[name].entity
    }


@given(steps=st.lists(st.one_of(TURNS.map(lambda turns: turns[0]), st.integers(min_value=0)), min_size=2, max_size=9))
@settings(max_examples=60, deadline=None)
def test_a_recalled_model_is_never_champion(steps: list[tuple[str, bool, bool] | int]) -> None:
    log = Told()
    log.seed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quarantine, "check", lambda *_args, **_more: None)  # nothing of a told loop is on a disk
        for step in steps:
            if isinstance(step, int):
                made = outputs(log)
                log.recall(made[step % len(made)])
                quarantine.fall_back(Path(), log, log.state)
            else:
                state = log.state
                try:
                    refuse(state, state.champion, state.last, "the next cycle")
                except RefusedError:
                    continue
                action, empty, same = step
                log.turn(action, empty=empty, same=same)
            state = log.state
            known = taint(state)
            clean = [name for name in promoted(state) if not promoted_on(state.cycles[name], known)]
            champion = state.cycles[str(state.champion)].artifact("model")
            assert not known.holds(champion) or not clean
            if known.holds(champion):
                with pytest.raises(RefusedError, match="recalled"):
                    refuse(state, state.champion, state.last, "the next cycle")


def promoted_on(record: CycleRecord, known: Taint) -> list[str]:
    """What of a promotion is tainted."""
    return [kind for kind in ("model", "evaluation", "card", "decision") if known.holds(record.artifact(kind))]


def test_a_key_code_and_a_digest_have_descendants() -> None:
    log = told([("promote", False, False), ("reject", False, False)])
    graph = graph_of(log.statements)
    model = log.made("c0001", "model")
    assert [node.label for node in graph.one("c0001/model")] == ["c0001/model"]
    assert graph.one(model.digest) == graph.one(model.digest[:19]) == graph.one("cycles/c0001/model")
    assert graph.one("c0001/train")[0].facts["entry"] == log.statements[graph.state.cycles["c0001"].phases["train"].index].index
    judge = next(node for node in graph.nodes.values() if node.id.startswith("judge@"))
    assert {graph.nodes[name].kind for name in graph.reach([judge.id])} >= {"phase", "accepted", "decision", "model"}
    for pin in [node for node in graph.nodes.values() if node.kind == "code"]:
        known = {f"{path}@{digest}" for path, digest in spread(log.state, {pin.digest}).reached}
        assert known == {name for name in graph.reach([pin.id], carried=False) if graph.nodes[name].entity}
    for wrong in ("c0009/model", "ffffffff", "zz"):
        with pytest.raises(UsageError, match="knows nothing"):
            graph.one(wrong)


def test_candidates_whose_bytes_are_damaged_are_passed_over_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    log = told([("promote", False, False), ("promote", False, False), ("promote", False, False)])

    def damaged(_root: Path, artifact: Artifact, **_more: object) -> None:
        if artifact.path == "cycles/c0002/model":
            raise IntegrityError("cycles/c0002/model/x differs from the record")

    monkeypatch.setattr(quarantine, "check", damaged)
    log.recall(log.made("c0003", "model"))
    assert quarantine.fall_back(Path(), log, log.state) == ("c0001", ["c0002: cycles/c0002/model/x differs from the record"])
    assert log.state.champion == "c0001"
    before = len(log.statements)
    assert quarantine.fall_back(Path(), log, log.state)[0] == "c0001"
    assert len(log.statements) == before  # nothing more to say


def test_what_only_counts_a_recalled_model_is_not_refused() -> None:
    """A rejected model's decision spent some of the error budget, which stays spent: the loop goes on with it."""
    log = told([("reject", False, False), ("reject", False, False)])
    log.recall(log.made("c0001", "model"))
    state = log.state
    known = taint(state)
    assert {item.path for item in known.within(state.cycles["c0001"])} == {
        f"cycles/c0001/{name}" for name in ("model", "evaluation", "card", "decision.json")
    }
    assert known.within(state.cycles["c0002"]) == ()
    refuse(state, state.champion, state.last, "the next cycle")
    graph = graph_of(log.statements)
    counted = graph.reach([graph.one("c0001/model")[0].id])
    assert any(name.startswith("cycles/c0002/decision.json@") for name in counted)
