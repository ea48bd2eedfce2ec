"""Which rows a step sees: the recipe's shares, every row in turn, the same whatever came before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import InfraError, IntegrityError, PhaseError
from loopwright.store.tables import ROWS, write_table
from loopwright.train import pool
from loopwright.train.mixing import Mixture, read_mixture


def mixture(human: int, synthetic: int, batch: int = 8, shards: int = 2, share: float = 0.5, seed: int = 1) -> Mixture:
    return Mixture(
        human=[(f"h{number}", "") for number in range(human)],
        synthetic=[(f"s{number}", "") for number in range(synthetic)],
        batch=batch,
        shards=shards,
        human_share=share,
        seed=seed,
    )


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 8).map(lambda eighths: eighths / 8), st.integers(0, 50))
def test_a_batch_holds_the_share_that_the_recipe_asks_for(human: int, synthetic: int, share: float, step: int) -> None:
    shards = mixture(human, synthetic, share=share).at(step)
    assert [len(shard) for shard in shards] == [4, 4]
    kinds = [name[0] for shard in shards for name, _ in shard]
    assert kinds == ["h"] * round(8 * share) + ["s"] * (8 - round(8 * share))


@given(st.integers(1, 30), st.integers(1, 20))
def test_no_row_comes_a_second_time_before_all_came_once(rows: int, steps: int) -> None:
    mix = mixture(rows, 0)
    seen = Counter(row for step in range(steps) for shard in mix.at(step) for row in shard)
    times = [seen[pair] for pair in mix.human]
    assert max(times) - min(times) <= 1
    assert sum(times) == 8 * steps


def test_a_step_does_not_hang_on_the_steps_before_it() -> None:
    later = mixture(13, 7).at(40)
    mix = mixture(13, 7)
    assert [mix.at(step) for step in range(41)][40] == later


def test_the_order_hangs_on_the_seed_and_differs_each_time_round() -> None:
    first, second, other = mixture(8, 0).at(0), mixture(8, 0).at(1), mixture(8, 0, seed=2).at(0)
    assert first != second
    assert first != other
    assert mixture(8, 0).at(0) == first


def test_without_model_made_rows_all_is_human() -> None:
    assert mixture(5, 0).human_rows == 8


def test_rows_are_told_apart_by_their_origin(shards: list[str]) -> None:
    mix = read_mixture(shards, 8, 2, 0.5, 1)
    assert (len(mix.human), len(mix.synthetic)) == (39, 81)
    assert mix.human[0] == ("a", "A")
    assert mix.synthetic[1] == ("a a a b", "BAAA")


def test_a_recipe_that_wants_human_rows_needs_some(shards: list[str]) -> None:
    with pytest.raises(PhaseError, match="0 human and 81 model-made") as refused:
        read_mixture(shards[1:], 8, 2, 0.5, 1)
    assert "sources" in refused.value.next_step
    assert not read_mixture(shards[1:], 8, 2, 0.0, 1).human


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.parquet", ROWS, [])
    with pytest.raises(PhaseError, match="0 human"):
        read_mixture([str(tmp_path)], 8, 2, 0.0, 1)


@pytest.mark.parametrize("known", [False, True], ids=["laid out now", "by an earlier attempt"])
def test_rows_that_are_laid_out_on_disk_come_as_those_in_memory(
    shards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Row groups of seven rows and room for nothing: the same rows at every step, from whatever step one goes on."""
    expected = read_mixture(shards, 8, 2, 0.5, 1)
    for number, directory in enumerate(shards):
        table = pq.read_table(Path(directory) / "rows.parquet")
        (tmp_path / f"{number}").mkdir()
        pq.write_table(table, tmp_path / f"{number}" / "rows.parquet", row_group_size=7)
    cut = [str(tmp_path / f"{number}") for number in range(len(shards))]
    monkeypatch.setattr(pool, "IN_MEMORY", 200)
    for _ in range(1 + known):
        mix = read_mixture(cut, 8, 2, 0.5, 1, tmp_path / "scratch")
    assert [file.suffix for file in (tmp_path / "scratch").iterdir()] == [".arrow"]
    assert (len(mix.human), len(mix.synthetic)) == (39, 81)
    for step in (*range(40, 45), *range(40)):
        assert mix.at(step) == expected.at(step)


def test_a_full_disk_is_told(shards: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IN_MEMORY", 200)
    with pytest.raises(InfraError, match="cannot be laid out"):
        read_mixture(shards, 8, 2, 0.5, 1, Path("/proc/none"))


def test_a_damaged_shard_is_an_integrity_error(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_mixture([str(tmp_path)], 8, 2, 0.5, 1)
