"""The archive's chain: complete, in order, and nobody can exchange a link or a shard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import IntegrityError
from loopwright.store.archive import Link, describe, read_link, shards, write_link
from loopwright.store.artifacts import publish, seal
from loopwright.types import canonical


def put(root: Path, path: str, made: Path) -> None:
    publish(made, root / path, seal(made, Path(path).name))


def extend(root: Path, number: int, rows: int, human: int) -> Link:
    """One more cycle with a shard."""
    cycle, before = f"c{number:04d}", f"cycles/c{number - 1:04d}/archive" if number else None
    made = root / "scratch" / "accepted"
    made.mkdir(parents=True)
    (made / "rows.parquet").write_text(f"rows of {cycle}", encoding="utf-8")
    put(root, f"cycles/{cycle}/accepted", made)
    link = describe(root, cycle, before, f"cycles/{cycle}/accepted", rows, human)
    made = root / "scratch" / "archive"
    made.mkdir()
    write_link(made, link)
    put(root, f"cycles/{cycle}/archive", made)
    return link


@pytest.fixture
def root(tmp_path: Path) -> Path:
    extend(tmp_path, 0, 100, 100)
    extend(tmp_path, 1, 10, 0)
    extend(tmp_path, 2, 0, 0)
    extend(tmp_path, 3, 7, 3)
    return tmp_path


def test_shards_come_oldest_first_and_the_totals_add_up(root: Path) -> None:
    chain = shards(root, "cycles/c0003/archive")
    assert [(shard.path, shard.rows, shard.human) for shard in chain] == [
        ("cycles/c0000/accepted", 100, 100),
        ("cycles/c0001/accepted", 10, 0),
        ("cycles/c0002/accepted", 0, 0),
        ("cycles/c0003/accepted", 7, 3),
    ]
    last = read_link(root, "cycles/c0003/archive")
    assert (last.rows, last.human, last.cycle) == (117, 103, "c0003")
    assert [shard.path for shard in shards(root, "cycles/c0001/archive")] == [shard.path for shard in chain[:2]]


def test_a_link_is_canonical_json_as_documented(root: Path) -> None:
    data = (root / "cycles/c0001/archive/archive.json").read_bytes()
    value = json.loads(data)
    assert canonical(value) == data
    assert value == {
        "schema": 1,
        "cycle": "c0001",
        "previous": {"path": "cycles/c0000/archive", "digest": value["previous"]["digest"]},
        "shard": {"path": "cycles/c0001/accepted", "digest": value["shard"]["digest"], "rows": 10, "human": 0},
        "totals": {"rows": 110, "human": 100, "synthetic": 10},
        "recipe": None,
    }


def rewrite(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(file.read_bytes())
    change(value)
    file.chmod(0o644)
    file.write_bytes(canonical(value))


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("name", ["accepted", "archive"])
def test_no_link_and_no_shard_can_be_exchanged(root: Path, number: int, name: str) -> None:
    assert shards(root, "cycles/c0003/archive")  # so that everything is in the cache of known files
    place = root / f"cycles/c{number:04d}/{name}"
    file = next(place.iterdir())
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match=f"c{number:04d}/{name}/{file.name} differs"):
        shards(root, "cycles/c0003/archive")


def test_an_exchanged_shard_with_a_manifest_to_match_is_found_by_the_chain(root: Path) -> None:
    shutil.rmtree(root / "cycles/c0001/accepted")
    made = root / "scratch" / "accepted"
    made.mkdir()
    (made / "rows.parquet").write_text("poison", encoding="utf-8")
    put(root, "cycles/c0001/accepted", made)
    with pytest.raises(IntegrityError, match=r"cycles/c0001/manifests/accepted\.json differs from the record"):
        shards(root, "cycles/c0003/archive")


def test_a_missing_shard_says_what_to_run(root: Path) -> None:
    shutil.rmtree(root / "cycles/c0000/accepted")
    with pytest.raises(IntegrityError, match="cycles/c0000/accepted is missing") as caught:
        shards(root, "cycles/c0003/archive")
    assert caught.value.next_step == "dvc pull cycles/c0000/accepted"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda link: link.update(schema=2), id="schema"),
        pytest.param(lambda link: link["totals"].update(rows=1000), id="totals"),
        pytest.param(lambda link: link["shard"].update(path="/etc/passwd"), id="absolute path"),
        pytest.param(lambda link: link["previous"].update(path="../other/archive"), id="path upwards"),
        pytest.param(lambda link: link.pop("shard"), id="no shard"),
    ],
)
def test_what_is_no_link_is_refused(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewrite(root / "cycles/c0001/archive/archive.json", change)
    with pytest.raises(IntegrityError, match="not a link"):
        read_link(root, "cycles/c0001/archive")


def test_counts_that_do_not_follow_from_the_chain_are_refused(tmp_path: Path) -> None:
    extend(tmp_path, 0, 100, 100)
    link = extend(tmp_path, 1, 10, 0)
    (tmp_path / "scratch" / "archive").mkdir()
    write_link(tmp_path / "scratch" / "archive", link)
    rewrite(tmp_path / "scratch/archive/archive.json", lambda value: value["totals"].update(rows=210, human=200))
    shutil.rmtree(tmp_path / "cycles/c0001/archive")
    put(tmp_path, "cycles/c0001/archive", tmp_path / "scratch" / "archive")
    with pytest.raises(IntegrityError, match="counts other rows"):
        shards(tmp_path, "cycles/c0001/archive")
