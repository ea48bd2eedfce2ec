"""What a proposed row must look like before anything else is asked of it, as one pandera schema over Polars.

Checked in batches of row groups, so that memory stays bounded; what a batch cannot see (an id given twice) is checked after.
Frames are eager and the depth is set: on a lazy frame pandera checks no values by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context, get_config_context

from loopwright.errors import IntegrityError
from loopwright.store.tables import PROPOSALS

__all__ = ["SCHEMA", "SHARD", "GivenAgain", "read_proposals", "refuse_given_again", "size_of"]

SCHEMA = "schema"
"""The reason of a row that does not look like a proposal."""

_LONGEST = 65_536
"""Characters of a prompt or an answer; more is no answer to a task but an attack on whoever reads it."""

_BATCH = 100_000
"""Rows that are checked at once."""

_KINDS = {"string": pl.String(), "int32": pl.Int32(), "int64": pl.Int64()}
_COLUMNS = pl.Schema({name: _KINDS[kind] for name, kind in PROPOSALS.items()})
_NONE = pl.DataFrame(schema=_COLUMNS)

SHARD = pa.DataFrameSchema(
    {
        "id": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9A-Za-z_.:-]{1,128}$")),
        "task": pa.Column(pl.String, pa.Check.str_length(1, 128)),
        "prompt": pa.Column(pl.String, pa.Check.str_length(1, _LONGEST)),
        "level": pa.Column(pl.Int32, pa.Check.ge(0)),
        "sample": pa.Column(pl.Int32, pa.Check.ge(0)),
        "answer": pa.Column(pl.String, pa.Check.str_length(0, _LONGEST)),
        "tokens": pa.Column(pl.Int32, pa.Check.ge(0)),
        "seed": pa.Column(pl.Int64),
    },
    strict=True,
)
"""A shard of proposals: exactly these columns, these types, nothing missing, taken as they are."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much lies in the shards, by their own account."""

    rows: int
    bytes: int
    """Of the rows, not compressed."""


def size_of(folder: Path) -> Size:
    """What all shards hold together; IntegrityError where one is damaged."""
    found = [_metadata(path) for path in _shards(folder)]
    groups = [one.row_group(number).total_byte_size for one in found for number in range(one.num_row_groups)]
    return Size(sum(one.num_rows for one in found), sum(groups))


def read_proposals(folder: Path) -> Iterator[pl.DataFrame]:
    """All shards in the order of their names, in pieces, with ``row`` (position), ``reason`` and ``detail`` (null where in order).

    What no piece can see (an id given twice) is asked of `GivenAgain`.

    Raises:
        IntegrityError: a shard is damaged, or has other columns or types: no row of it can be kept or judged.
    """
    for start, batch in _batches(folder):
        yield _checked(batch).with_row_index("row", start)


class GivenAgain:
    """Which rows have an id that a row before them has. Eight bytes a row, until an id is really given twice."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ids = folder, list[Any]()

    def see(self, batch: pl.DataFrame) -> None:
        """Take in a piece."""
        self._ids.append(batch["id"].hash().to_numpy())

    def rows(self) -> pl.Series:
        """Positions of those rows; the shards are read again where two ids may be the same."""
        import numpy as np

        ids = np.sort(np.concatenate(self._ids)) if self._ids else np.zeros(0, np.uint64)
        twice = pl.Series(np.unique(ids[1:][ids[1:] == ids[:-1]]), dtype=pl.UInt64)
        if twice.is_empty():
            return pl.Series(dtype=pl.UInt32)
        asked = (batch.select("id").with_row_index("row", start) for start, batch in _batches(self._folder))
        found = pl.concat([rows.filter(pl.col("id").hash().is_in(twice.implode())) for rows in asked])
        return found.filter(~pl.col("id").is_first_distinct())["row"]


def refuse_given_again(frame: pl.DataFrame, again: pl.Series) -> pl.DataFrame:
    """Refuse the rows at these positions, where they have no reason yet."""
    hit = pl.col("reason").is_null() & pl.col("row").is_in(again.implode())
    said = {"reason": SCHEMA, "detail": "id: given before"}
    return frame.with_columns(**{name: pl.when(hit).then(pl.lit(text)).otherwise(name) for name, text in said.items()})


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.parquet"))


def _batches(folder: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    """Row groups put together, since a check costs the same for one row and for a hundred thousand; each with its first position."""
    waiting, start = [_NONE], 0
    for path in _shards(folder):
        for group in _groups(path):
            waiting.append(group)
            if (rows := sum(frame.height for frame in waiting)) >= _BATCH:
                yield start, pl.concat(waiting)
                waiting, start = [], start + rows
    if waiting:
        yield start, pl.concat(waiting)


def _metadata(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _groups(path: Path) -> Iterator[pl.DataFrame]:
    """A shard by row groups: one of several hundred megabytes is never whole in memory."""
    found = _metadata(path)
    sizes = [found.row_group(number).num_rows for number in range(found.num_row_groups)] or [0]
    for start, size in zip(accumulate(sizes, initial=0), sizes, strict=False):
        try:
            frame = pl.read_parquet(path) if len(sizes) == 1 else pl.scan_parquet(path).slice(start, size).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(path, error) from error
        if frame.schema != _COLUMNS:
            _problems(frame, path.name)
            frame = frame.select(list(_COLUMNS))  # all there, in another order
        yield frame


def _unreadable(path: Path, error: Exception) -> IntegrityError:
    return IntegrityError(f"{path.name} cannot be read: {error}", "`loopwright verify` says what changed")


def _checked(frame: pl.DataFrame) -> pl.DataFrame:
    problems = _problems(frame, "the shards together")
    if not problems:
        return frame.with_columns(reason=pl.lit(None, pl.String), detail=pl.lit(None, pl.String))
    details = pl.Series("detail", [problems.get(index) for index in range(frame.height)], dtype=pl.String)
    reason = pl.when(pl.col("detail").is_not_null()).then(pl.lit(SCHEMA))
    return frame.with_columns(details).with_columns(reason=reason).select([*_COLUMNS, "reason", "detail"])


def _problems(frame: pl.DataFrame, name: str) -> dict[int, str]:
    """Row position -> the first check that it failed."""
    with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        # else only columns and types would be looked at, and every bad value would pass
        assert get_config_context().validation_depth is ValidationDepth.SCHEMA_AND_DATA  # noqa: S101
        try:
            SHARD.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as error:
            failures = error.failure_cases
        else:
            return {}
    whole = failures.filter(pl.col("index").is_null())
    if whole.height:
        said = ", ".join(f"{case['failure_case']} ({case['check']})" for case in whole.to_dicts())
        raise IntegrityError(f"{name} is no table of proposals: {said}", "it was not written by this version of loopwright")
    problems: dict[int, str] = {}
    for case in failures.sort("index", "column", "check").iter_rows(named=True):
        problems.setdefault(case["index"], f"{case['column']}: {case['check']}")
    return problems
