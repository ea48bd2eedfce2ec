"""Tables come back as they went in, types and all; equal rows are equal bytes; damage is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.errors import IntegrityError
from loopwright.sandbox import same
from loopwright.store.tables import PROPOSALS, SIGNATURES, TASKS, read_table, read_tasks, write_table, write_tasks
from loopwright.types import Check, Task

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
CHECKS = st.builds(Check, inputs=st.lists(VALUES).map(tuple), outputs=st.lists(VALUES).map(tuple))
TASK_LISTS = st.lists(
    st.builds(
        Task,
        id=st.text(),
        prompt=st.text(),
        level=st.integers(0, 2**31 - 1),
        signature=st.text(),
        checks=st.dictionaries(st.sampled_from(["visible", "hidden", "gate"]), CHECKS),
        slices=st.dictionaries(st.text(), st.text()),
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TASK_LISTS)
def test_tasks_come_back_with_exact_types(tmp_path: Path, tasks: list[Task]) -> None:
    write_tasks(tmp_path / "tasks.parquet", tasks)
    found = read_tasks(tmp_path / "tasks.parquet")
    assert found == tasks
    for before, after in zip(tasks, found, strict=True):
        for name, check in before.checks.items():
            assert same(after.checks[name].outputs, check.outputs)  # 1 is not 1.0 and not True


def task(**changes: Any) -> Task:
    plain = {"id": "1", "prompt": "rev", "level": 1, "signature": "s", "checks": {}, "slices": {"b": "1", "a": "2"}}
    return Task(**{**plain, **changes})


def test_equal_rows_are_equal_bytes_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    write_tasks(tmp_path / "one.parquet", [task()])
    write_tasks(tmp_path / "two.parquet", [task(slices={"a": "2", "b": "1"})])
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    schema = pq.ParquetFile(tmp_path / "one.parquet").schema_arrow
    assert pq.ParquetFile(tmp_path / "one.parquet").metadata.metadata is None  # no pandas, no Arrow schema
    assert {field.name: str(field.type) for field in schema} == dict(TASKS)


def test_what_polars_writes_can_be_read(tmp_path: Path) -> None:
    pl.DataFrame({"suite": ["gate"], "other": [1], "signature": ["s"]}).write_parquet(tmp_path / "s.parquet")
    assert read_table(tmp_path / "s.parquet", SIGNATURES) == [{"signature": "s", "suite": "gate"}]


def test_a_row_that_lacks_a_column_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="suite"):
        write_table(tmp_path / "s.parquet", SIGNATURES, [{"signature": "s"}])
    assert not (tmp_path / "s.parquet").exists()


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "p.parquet", PROPOSALS, [])
    assert read_table(tmp_path / "new" / "p.parquet", PROPOSALS) == []
    assert pl.read_parquet(tmp_path / "new" / "p.parquet").columns == list(PROPOSALS)


def test_damage_is_found_and_said(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_table(path, SIGNATURES)
    write_table(path, SIGNATURES, [{"signature": str(number), "suite": "gate"} for number in range(100)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_table(path, SIGNATURES)


def test_other_columns_are_found_and_said(tmp_path: Path) -> None:
    pl.DataFrame({"signature": [1]}).write_parquet(tmp_path / "s.parquet")
    with pytest.raises(IntegrityError, match="signature is int64, expected string, suite is missing, expected string"):
        read_table(tmp_path / "s.parquet", SIGNATURES)
