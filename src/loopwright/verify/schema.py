"""What a proposed row must look like before anything else is asked of it, as one pandera schema over Polars.

Checked in batches of shards, so that memory stays bounded; what a batch cannot see (an id given twice) is checked after.
Frames are eager and the depth is set: on a lazy frame pandera checks no values by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context, get_config_context

from loopwright.errors import IntegrityError
from loopwright.store.tables import PROPOSALS

__all__ = ["SCHEMA", "SHARD", "read_proposals"]

SCHEMA = "schema"
"""The reason of a row that does not look like a proposal."""

_LONGEST = 65_536
"""Characters of a prompt or an answer; more is no answer to a task but an attack on whoever reads it."""

_BATCH = 100_000
"""Rows that are checked at once."""

_KINDS = {"string": pl.String(), "int32": pl.Int32(), "int64": pl.Int64()}
_COLUMNS = pl.Schema({name: _KINDS[kind] for name, kind in PROPOSALS.items()})

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


def read_proposals(folder: Path) -> pl.DataFrame:
    """All shards in the order of their names, with ``row`` (position), ``reason`` and ``detail`` (null where in order).

    Raises:
        IntegrityError: a shard is damaged, or has other columns or types: no row of it can be kept or judged.
    """
    batches = [_checked(batch) for batch in _batches(sorted(folder.glob("shard-*.parquet")))]
    frame = pl.concat([_empty(), *batches]).with_row_index("row")
    again = pl.col("reason").is_null() & ~pl.col("id").is_first_distinct()
    return frame.with_columns(
        reason=pl.when(again).then(pl.lit(SCHEMA)).otherwise("reason"),
        detail=pl.when(again).then(pl.lit("id: given before")).otherwise("detail"),
    )


def _batches(paths: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Shards put together, since a check costs the same for one row and for a hundred thousand."""
    waiting: list[pl.DataFrame] = []
    for path in paths:
        waiting.append(_shard(path))
        if sum(frame.height for frame in waiting) >= _BATCH:
            yield pl.concat(waiting)
            waiting.clear()
    if waiting:
        yield pl.concat(waiting)


def _shard(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise IntegrityError(f"{path.name} cannot be read: {error}", "`loopwright verify` says what changed") from error
    if frame.schema != _COLUMNS:
        _problems(frame, path.name)
        frame = frame.select(list(_COLUMNS))  # all there, in another order
    return frame


def _checked(frame: pl.DataFrame) -> pl.DataFrame:
    problems = _problems(frame, "the shards together")
    if not problems:
        return frame.with_columns(reason=pl.lit(None, pl.String), detail=pl.lit(None, pl.String))
    details = pl.Series("detail", [problems.get(index) for index in range(frame.height)], dtype=pl.String)
    reason = pl.when(pl.col("detail").is_not_null()).then(pl.lit(SCHEMA))
    return frame.with_columns(details).with_columns(reason=reason).select(_empty().columns)


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


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema={**_COLUMNS, "reason": pl.String(), "detail": pl.String()})
