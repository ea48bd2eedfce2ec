"""Collecting garbage takes what nobody needs and nothing else; a freeze stops it and everything else that alters."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from loopwright.clock import now
from loopwright.errors import HaltedError
from loopwright.govern.gc import gc
from loopwright.govern.requests import Desk
from loopwright.govern.steering import abandon, rollback
from loopwright.ledger.verify import verify
from loopwright.store import cycles
from loopwright.store.collect import cached
from loopwright.store.dvc import DvcStore
from loopwright.workspace import Workspace, set_plan
from tests.govern.record import asked, executed, freeze, nobody
from tests.govern.test_halt import turn
from tests.run.small import make_small


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """c0000 to c0002, of which only the last cycle, the champion and the rows of the others are in dvc.lock."""
    patch = pytest.MonkeyPatch()
    patch.setattr(cycles, "KEPT", 1)
    workspace = make_small(tmp_path_factory.mktemp("grown") / "lab")
    turn(workspace, 2)
    patch.undo()
    return workspace.root


@pytest.fixture
def old(grown: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(grown, tmp_path / "lab", symlinks=True)
    return Workspace(root=tmp_path / "lab")


def paths(items) -> set[str]:
    return {item.path for item in items}


def test_it_takes_what_no_later_cycle_needs_and_says_why_it_keeps_the_rest(old: Workspace) -> None:
    planned = gc(old, dry_run=True)
    before = cached(old.root)
    assert {"cycles/c0001/model", "cycles/c0001/proposals"} <= paths(planned.removed)
    assert all(item.why for item in planned.kept)
    assert {
        "cycles/c0000/model",
        "cycles/c0002/model",
        "cycles/c0001/card",
        "cycles/c0001/accepted",
        "cycles/c0001/archive",
    } <= paths(planned.kept)
    assert old.state().leaves == len(list(old.ledger().statements()))
    done = gc(old)
    assert paths(done.removed) == paths(planned.removed)
    [said] = [one for one in old.ledger().statements() if one.kind == "gc"]
    assert said.index in done.leaves
    assert {one["path"] for one in said.predicate["removed"]} == paths(done.removed)
    assert all(one["digest"].startswith("sha256:") for one in said.predicate["removed"])
    gone = set(before) - set(cached(old.root))
    assert gone == {name for item in done.removed for name in item.objects} - {n for item in done.kept for n in item.objects}
    assert not (old.root / "cycles/c0001/model").exists()
    assert verify(old.root).findings == ()
    store = DvcStore(old.root)
    assert store.status() == {}
    store.close()
    assert gc(old).removed == ()  # once is enough
    turn(old, 3)  # and the loop goes on
    assert verify(old.root).findings == ()


def test_retention_keeps_a_placed_model_and_all_before_it_for_ten_years(old: Workspace) -> None:
    set_plan(old.root, {"retention": [{"cycle": "c0000", "placed_on_market": "2026-02-28"}]})
    assert "cycles/c0001/model" in paths(gc(old, dry_run=True, today=date(2027, 1, 1)).removed)  # it came after
    set_plan(old.root, {"retention": [{"cycle": "c0001", "placed_on_market": "2026-02-28"}]})
    kept = gc(old, dry_run=True, today=date(2036, 2, 28))
    assert "cycles/c0001/model" in paths(kept.kept)
    assert {item.why for item in kept.kept if item.path == "cycles/c0001/model"} == {
        "retention until 2036-02-28: c0001 was placed on the market on 2026-02-28 (EU AI Act, Article 18)"
    }
    assert "cycles/c0001/model" in paths(gc(old, dry_run=True, today=date(2036, 2, 29)).removed)
    gc(old, today=date(2027, 1, 1))
    set_plan(old.root, {"retention": []})  # a duty that was honoured once is not lifted by an edit
    assert "cycles/c0001/model" in paths(gc(old, dry_run=True, today=date(2030, 1, 1)).kept)


def test_a_recall_and_an_open_request_keep_what_they_name(old: Workspace) -> None:
    state = old.state()
    model, evaluation = state.cycles["c0001"].artifact("model"), state.cycles["c0001"].artifact("evaluation")
    said = {"artifact": model.digest, "reason": "licence", "tainted": [], "recalled_at": now()}
    with Desk(old, nobody) as desk:
        desk.say("recall", [model], said, None)
    assert {item.why for item in gc(old, dry_run=True).kept if item.path == model.path} == {
        f"named by the recall in entry {state.leaves}"
    }
    assert evaluation.path in paths(gc(old, dry_run=True).removed)
    request = asked(old, "promote", {"cycle": "c0001"})
    assert evaluation.digest in request.said["evidence"]
    assert evaluation.path in paths(gc(old, dry_run=True).kept)


def test_a_freeze_stops_whatever_alters(old: Workspace) -> None:
    freeze(old, "an incident")
    before = cached(old.root)
    for act in (
        lambda: gc(old),
        lambda: gc(old, dry_run=True),
        lambda: rollback(old, "c0000", "x"),
        lambda: abandon(old, "x"),
        lambda: turn(old, 3),
    ):
        with pytest.raises(HaltedError, match="frozen since"):
            act()
    assert cached(old.root) == before
    assert verify(old.root).findings == ()  # reading goes on
    executed(old, "unfreeze")
    assert gc(old).removed
