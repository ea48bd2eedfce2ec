"""What is near something, by the index, is what the whole record's graph says is near it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loopwright.errors import UsageError
from loopwright.index import Index
from loopwright.trace import near as module
from loopwright.trace.graph import Graph, graph_of
from loopwright.trace.near import named, near
from tests.report.recorded import digest, record_loop


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_loop(tmp_path_factory.mktemp("near") / "lab", 4)


def beside(graph: Graph, start: str, phases: int, *, down: bool) -> set[str]:
    """By brute force over the whole graph: artifacts so many phases away, and the phases between."""
    edges, found, here = graph.forward if down else graph.backward, set[str](), {start}
    for _ in range(phases):
        between = {one for name in here for one, _ in edges.get(name, ()) if one.startswith("phase:")} | {
            name for name in here if name.startswith("phase:")
        }
        here = {one for name in between for one, _ in edges.get(name, ()) if graph.nodes[one].entity}
        found |= between | here
    return found


@pytest.mark.parametrize("phases", [1, 2])
def test_each_node_has_the_neighbours_that_the_whole_graph_gives_it(root: Path, phases: int) -> None:
    with Index.open(root) as index:
        whole = graph_of(list(index.statements(range(index.told["size"]))))
        for node in [one for one in whole.nodes.values() if one.entity or one.kind == "phase"]:
            told = near(index, node.id, up=phases, down=phases)
            assert told.start == node.id
            expected = {node.id} | beside(whole, node.id, phases, down=False) | beside(whole, node.id, phases, down=True)
            assert (set(told.levels) == expected) is (told.more == 0), node.id
            assert set(told.levels) <= expected
            assert all(
                set(whole.nodes) >= {one, other} and (other, how) in whole.forward[one] for one, other, how in told.edges()
            )
            for name in told.levels:
                way = told.way(name)
                assert way[-1] == name
                assert len(way) == 1 or way[0] == node.id


def test_a_thing_is_found_by_every_name_that_a_person_has_for_it(root: Path) -> None:
    model = digest("c0002", "model")
    node = f"cycles/c0002/model@{model}"
    with Index.open(root) as index:
        for what in ("c0002/model", "cycles/c0002/model", "c0002", model, model[7:17], node):
            assert named(index, what) == node, what
        assert named(index, "c0002/train") == named(index, "phase:c0002/train") == "phase:c0002/train"
        assert named(index, "c0002/decision.json").startswith("cycles/c0002/decision.json@")
        for what in ("c0099/model", "c0002/nonsense", "abc", "0" * 64, "", "../../etc", "no such thing"):
            with pytest.raises(UsageError):
                named(index, what)


def test_a_picture_that_would_be_too_full_says_how_much_is_not_in_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 6)
    with Index.open(root) as index:
        told = near(index, "c0001/model", up=3, down=3)
    assert len(told.levels) <= 6
    assert told.more > 0
