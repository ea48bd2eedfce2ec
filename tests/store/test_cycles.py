"""cycles.yaml: what is entered, what is kept whole, and that DVC's parser reads what we write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from loopwright.errors import WorkspaceError
from loopwright.store import cycles
from loopwright.store.cycles import KEPT, Item, declare, read_cycles, read_past, stage_name, write_cycles
from loopwright.types import cycle_name

EMPTY = "genesis: []\npast: []\ncycles: {}\ntrained: {}\nempty: {}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cycles.yaml").write_text(EMPTY, encoding="utf-8")
    return tmp_path


def line(count: int, champions: set[int]) -> dict[str, Item]:
    """Cycles one after the other, each from the last champion before it."""
    items, champion = {}, 0
    for number in range(1, count + 1):
        items[cycle_name(number)] = Item(parent=cycle_name(champion), prev=cycle_name(number - 1), seed=number)
        champion = number if number in champions else champion
    return items


def test_the_template_is_what_would_be_written(repository: Path, root: Path) -> None:
    write_cycles(root, {})
    assert (repository / "cycles.yaml").read_text(encoding="utf-8") == (root / "cycles.yaml").read_text(encoding="utf-8")


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_also_by_dvcs_parser(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("cycles")
    (root / "cycles.yaml").write_text(EMPTY, encoding="utf-8")
    recipe = st.from_regex(r"recipes/[\w.: #'\"{}\[\],&*!%-]{1,20}", fullmatch=True).filter(str.isprintable)
    item = st.builds(Item, parent=st.just("c0000"), prev=st.just("c0000"), seed=st.integers(0, 2**63 - 1), recipe=recipe)
    items = data.draw(st.dictionaries(st.integers(1, 99999).map(cycle_name), item, max_size=5))
    write_cycles(root, items)
    assert read_cycles(root) == items
    parsed = YAML(typ="safe").load(root / "cycles.yaml")
    assert parsed == cycles.plain(root)
    assert {name: entry["recipe"] for name, entry in parsed["cycles"].items()} == {n: i.recipe for n, i in items.items()}


@settings(max_examples=15, deadline=None)
@given(count=st.integers(0, 260), champions=st.sets(st.integers(1, 260), max_size=6))
def test_the_last_hundred_and_their_champions_stay_whole(
    count: int, champions: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("cycles")
    (root / "cycles.yaml").write_text(EMPTY, encoding="utf-8")
    items = line(count, champions)
    champion = max((number for number in champions if number <= count), default=0)
    write_cycles(root, items, cycle_name(champion))
    whole, past = read_cycles(root), set(read_past(root))
    assert set(list(items)[-KEPT:]) <= set(whole)
    assert whole.keys() | past == items.keys()
    assert not whole.keys() & past
    assert {item.parent for item in whole.values()} - {"c0000"} <= whole.keys()
    assert whole.keys() - set(list(items)[-KEPT:]) <= {cycle_name(number) for number in champions}
    assert cycle_name(champion) in {*whole, "c0000"}
    before = (root / "cycles.yaml").read_bytes()
    write_cycles(root, whole, cycle_name(champion))
    assert (root / "cycles.yaml").read_bytes() == before


def test_each_phase_has_its_stage(root: Path) -> None:
    write_cycles(root, line(2, set()))
    assert [declare(root, stage) for stage in ("seed", "seed-train", "generate@c0001", "train@c0001", "decide@c0001")] == [
        "seed@c0000",
        "seed-train@c0000",
        "generate@c0001",
        "train@c0001",
        "decide@c0001",
    ]
    assert declare(root, "decide@c0002") == stage_name(root, "decide@c0002") == "decide-empty@c0002"
    maps = cycles.plain(root)
    assert (maps["genesis"], list(maps["trained"]), list(maps["empty"])) == (["c0000"], ["c0001"], ["c0002"])
    assert declare(root, "train@c0002") == "train@c0002"  # a forced attempt that accepted rows after all
    assert stage_name(root, "decide@c0002") == "decide@c0002"
    assert cycles.plain(root)["empty"] == {}
    with pytest.raises(WorkspaceError, match="no c0009"):
        declare(root, "train@c0009")


def test_an_abandoned_cycle_leaves_no_stage(root: Path) -> None:
    items = line(2, set())
    write_cycles(root, items)
    declare(root, "train@c0002")
    del items["c0002"]
    write_cycles(root, items)
    assert cycles.plain(root)["trained"] == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "cycles: {}",
        "a: [",
        EMPTY.replace("cycles: {}", "cycles: {c1: {parent: c0000, prev: c0000, seed: 1}}"),
        EMPTY.replace("cycles: {}", "cycles: {c0001: {parent: c0000, prev: c0000}}"),
        EMPTY.replace("cycles: {}", "cycles: {c0001: {parent: c0000, prev: x, seed: 1}}"),
        EMPTY.replace("cycles: {}", "cycles: {c0001: {parent: c0000, prev: c0000, seed: 1, more: 2}}"),
    ],
)
def test_a_damaged_file_is_named(root: Path, text: str) -> None:
    (root / "cycles.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(WorkspaceError, match=r"cycles\.yaml") as caught:
        read_cycles(root)
    assert caught.value.next_step == "git checkout -- cycles.yaml"


def test_elsewhere_there_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="does not exist"):
        read_cycles(tmp_path)
