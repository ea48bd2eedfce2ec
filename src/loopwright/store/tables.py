"""Tables between phases as Parquet: their columns, and how they are written so that equal rows give equal bytes.

Every phase that shares a table imports its columns from here, so that writer and reader cannot drift apart. Nothing of
the machine or the clock goes into a file: fixed writer options, one row group a million rows, no pandas metadata.

A large table is several files: `frame_writer` begins another after each `FILE_BYTES`, and who reads a table asks `parts` for them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import IntegrityError
from loopwright.types import Check, Task, digest_value

if TYPE_CHECKING:
    import polars
    import pyarrow
    import pyarrow.parquet

__all__ = [
    "FILE_BYTES",
    "GROUP",
    "PROPOSALS",
    "REFUSED",
    "ROWS",
    "SIGNATURES",
    "TASKS",
    "content_id",
    "frame_writer",
    "no_formula",
    "part_names",
    "parts",
    "read_table",
    "read_tasks",
    "row_groups",
    "write_table",
    "write_tasks",
]

TASKS: Mapping[str, str] = {
    "id": "string",
    "prompt": "string",
    "level": "int32",
    "signature": "string",
    "checks": "string",
    "slices": "string",
}
"""A task a row; ``checks`` and ``slices`` are JSON text."""

SIGNATURES: Mapping[str, str] = {"signature": "string", "suite": "string"}
"""Held-out behaviours: all that others may know of the gate and the sealed suite."""

PROPOSALS: Mapping[str, str] = {
    "id": "string",
    "task": "string",
    "prompt": "string",
    "level": "int32",
    "sample": "int32",
    "answer": "string",
    "tokens": "int32",
    "seed": "int64",
}
"""One sampled answer a row, not judged yet."""

ROWS: Mapping[str, str] = {
    "id": "string",
    "task": "string",
    "prompt": "string",
    "answer": "string",
    "level": "int32",
    "origin": "string",
    "licence": "string",
    "signature": "string",
    "cycle": "string",
    "prompt_digest": "string",
    "verifier": "string",
}
"""One accepted answer a row, ready to be trained on, with where it came from."""

REFUSED: Mapping[str, str] = {**ROWS, "reason": "string", "detail": "string"}
"""One refused answer a row: the reason to count by, and what a person wants to know besides."""


GROUP = 2**20
"""Rows of a row group."""
FILE_BYTES = 256 * 2**20
"""A file that has so many bytes gets no further row group; as a group has fewer, no file reaches twice as many."""


_WRITTEN: Mapping[str, Any] = {"version": "2.6", "compression": "zstd", "compression_level": 3, "store_schema": False}


def content_id(prompt: str, answer: str) -> str:
    """What a row says, whatever its id: how a recalled row is known when somebody offers it again."""
    return digest_value([prompt, answer])[7:23]


def part_names(name: str, among: Iterable[str]) -> list[str]:
    """Those of the file names that are the table ``name``, in the order of its rows: itself, then ``STEM-00001.parquet`` and on."""
    further = re.compile(rf"{re.escape(name.removesuffix('.parquet'))}-[0-9]{{5}}\.parquet")
    return [name, *sorted(filter(further.fullmatch, among))]


def parts(path: Path) -> list[Path]:
    """The files of the table at ``path``, in the order of its rows; the first need not be there."""
    return [path.parent / name for name in part_names(path.name, os.listdir(path.parent) if path.parent.is_dir() else ())]


def write_table(path: Path | BytesIO, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, in their order, with exactly these columns; KeyError where a row lacks one.

    The same rows give the same bytes wherever the same pyarrow is installed (its version is part of the lock digest).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = {name: pa.array([row[name] for row in rows], type=pa.type_for_alias(kind)) for name, kind in columns.items()}
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(data), path, **_WRITTEN)


@contextmanager
def frame_writer(
    path: Path, columns: Mapping[str, str], same: Mapping[str, str]
) -> Iterator[Callable[[polars.DataFrame], None]]:
    """Yields what writes a frame as a row group; the file is to the byte what `write_table` makes of rows that fill one group.

    ``same`` are columns with one value for all rows. Whoever gives about `GROUP` rows at a time holds no second copy of all.
    What comes after `FILE_BYTES` goes into further files (`parts`).
    """
    import polars as pl
    import pyarrow as pa

    schema = pa.schema([pa.field(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    own, said = [name for name in columns if name not in same], [pl.lit(value).alias(name) for name, value in same.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        files = [_new_file(opened, path, schema)]

        def write(frame: polars.DataFrame) -> None:
            rows = frame.select(own).with_columns(said).select(list(columns))
            table = rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema).combine_chunks()
            if files[-1][0].tell() >= FILE_BYTES:
                files.append(_new_file(opened, path.with_stem(f"{path.stem}-{len(files):05d}"), schema))
            files[-1][1].write_table(table, row_group_size=GROUP)

        yield write


def _new_file(
    opened: ExitStack, path: Path, schema: pyarrow.Schema
) -> tuple[pyarrow.NativeFile, pyarrow.parquet.ParquetWriter]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = opened.enter_context(pa.OSFile(str(path), "wb"))
    return sink, opened.enter_context(pq.ParquetWriter(sink, schema, **_WRITTEN))


def read_table(path: Path | BytesIO, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows in their order; other columns are left out.

    Raises:
        IntegrityError: the file is missing, is damaged, lacks a column, or holds one of another type.
    """
    return [row for group in row_groups(path, columns) for row in group.select(list(columns)).to_pylist()]


def row_groups(path: Path | BytesIO, columns: Mapping[str, str]) -> Iterator[pyarrow.Table]:
    """The table's row groups in their order, other columns among them: a table of any size takes the memory of one; errors as `read_table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for part in parts(path) if isinstance(path, Path) else [path]:
        try:
            with pq.ParquetFile(part) as file:
                _same_columns(part, file.schema_arrow, columns)
                for number in range(file.num_row_groups):
                    yield file.read_row_group(number)
        except (OSError, pa.ArrowException) as error:
            raise IntegrityError(f"{_named(part)} cannot be read: {error}", "`loopwright verify` says what changed") from error


def write_tasks(path: Path | BytesIO, tasks: Sequence[Task]) -> None:
    """Write a task table."""
    rows = [
        {
            "id": task.id,
            "prompt": task.prompt,
            "level": task.level,
            "signature": task.signature,
            "checks": _text({name: {"inputs": check.inputs, "outputs": check.outputs} for name, check in task.checks.items()}),
            "slices": _text(dict(task.slices)),
        }
        for task in tasks
    ]
    write_table(path, TASKS, rows)


def read_tasks(path: Path | BytesIO) -> list[Task]:
    """Read a task table; IntegrityError as in `read_table`."""
    return [_task(row) for row in read_table(path, TASKS)]


def _task(row: Mapping[str, Any]) -> Task:
    checks = {
        name: Check(inputs=tuple(check["inputs"]), outputs=tuple(check["outputs"]))
        for name, check in json.loads(row["checks"]).items()
    }
    return Task(
        id=row["id"],
        prompt=row["prompt"],
        level=row["level"],
        signature=row["signature"],
        checks=checks,
        slices=json.loads(row["slices"]),
    )


def _named(path: Path | BytesIO) -> str:
    return f"{path.name} in {path.parent}" if isinstance(path, Path) else "a sealed suite"


def _same_columns(path: Path | BytesIO, schema: pyarrow.Schema, columns: Mapping[str, str]) -> None:
    import pyarrow as pa

    text = (pa.large_string(), pa.string_view())  # the same thing in a file; polars asks for them on reading
    seen = {field.name: pa.string() if field.type in text else field.type for field in schema}
    wrong = [name for name, kind in columns.items() if seen.get(name) != pa.type_for_alias(kind)]
    if wrong:
        said = ", ".join(f"{name} is {seen.get(name, 'missing')}, expected {columns[name]}" for name in wrong)
        raise IntegrityError(f"{_named(path)}: {said}", "it was not written by this version of loopwright")


def _text(value: Any) -> str:
    """JSON with sorted keys. Not RFC 8785, which writes 1.0 as 1: a check compares exact types."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def no_formula(text: str) -> str:
    """For a cell of CSV: what a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
