"""The merge phase: a link more, nothing copied, totals that add up, and rows that the next cycle knows."""

from __future__ import annotations

import json

import pytest

from loopwright.errors import PhaseError
from loopwright.plan import Mix
from loopwright.store.archive import shards
from loopwright.types import canonical
from loopwright.verify import merge, verify


def turn(workspace, recorded, cycle: str, previous: str, rows) -> dict[str, int]:
    """Verify and merge one cycle as the driver does; returns merge's summary."""
    workspace.cycle = cycle
    here = workspace.root / "cycles" / cycle
    here.mkdir()
    workspace.propose(rows)
    inputs = {**workspace.inputs, "archive": workspace.root / "cycles" / previous / "archive"}
    verify(workspace.config(), inputs, workspace.context(f"verify-{cycle}"))
    (workspace.root / f"verify-{cycle}" / "accepted").rename(here / "accepted")
    recorded(workspace.root, f"cycles/{cycle}/accepted", "accepted")
    inputs = {"archive": inputs["archive"], "accepted": here / "accepted"}
    summary = merge(Mix(), inputs, workspace.context(f"merge-{cycle}"))
    (workspace.root / f"merge-{cycle}" / "archive").rename(here / "archive")
    recorded(workspace.root, f"cycles/{cycle}/archive", "archive")
    return summary


def test_two_cycles_make_a_chain_of_three(workspace, row, recorded) -> None:
    assert turn(workspace, recorded, "c0001", "c0000", [row("3 4", "7", 0), row("3 5", "8", 0)]) == {
        "rows": 4, "human": 2, "synthetic": 2,
    }  # fmt: skip
    summary = turn(workspace, recorded, "c0002", "c0001", [row("3 4", "7", 0), row("3 4", "=7", 1)])
    assert summary == {"rows": 5, "human": 2, "synthetic": 3}  # `3 4` -> `7` was there already
    chain = shards(workspace.root, "cycles/c0002/archive")
    assert [(shard.path, shard.rows, shard.human) for shard in chain] == [
        ("cycles/c0000/accepted", 2, 2),
        ("cycles/c0001/accepted", 2, 0),
        ("cycles/c0002/accepted", 1, 0),
    ]
    folder = workspace.root / "cycles" / "c0002" / "archive"
    assert [path.name for path in folder.iterdir()] == ["archive.json"]
    raw = (folder / "archive.json").read_bytes()
    assert raw == canonical(json.loads(raw))
    assert json.loads(raw)["recipe"] is None


def test_an_accepted_recipe_comes_along(workspace, row, recorded) -> None:
    turn(workspace, recorded, "c0001", "c0000", [row("3 4", "7", 0)])
    accepted = workspace.root / "cycles" / "c0001" / "accepted"
    (accepted / "recipe.yaml").write_text("cycle: {}\n")
    recorded(workspace.root, "cycles/c0001/accepted", "accepted")
    inputs = {"archive": workspace.root / "cycles" / "c0000" / "archive", "accepted": accepted}
    merge(Mix(), inputs, workspace.context("again"))
    folder = workspace.root / "again" / "archive"
    assert json.loads((folder / "archive.json").read_bytes())["recipe"] == "accepted"
    assert (folder / "recipe.yaml").read_text() == "cycle: {}\n"


def test_an_archive_without_human_rows_is_refused_where_the_plan_keeps_them(workspace, row, recorded) -> None:
    turn(workspace, recorded, "c0001", "c0000", [row("3 4", "7", 0)])
    link = workspace.root / "cycles" / "c0000" / "archive" / "archive.json"
    link.chmod(0o644)
    value = json.loads(link.read_bytes())
    value["totals"] = {"human": 0, "rows": 2, "synthetic": 2}
    link.write_bytes(canonical(value))
    inputs = {"archive": link.parent, "accepted": workspace.root / "cycles" / "c0001" / "accepted"}
    with pytest.raises(PhaseError, match="no human row"):
        merge(Mix(human_floor=0.5), inputs, workspace.context("kept"))
    assert merge(Mix(human_floor=0.0), inputs, workspace.context("free"))["human"] == 0
