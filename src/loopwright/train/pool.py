"""Rows to train on, to be read at random: in memory while they are few, else laid out once as a mapped Arrow file.

A Parquet file is read by row groups; a batch wants rows from all over. So what is too much for memory is copied, group by group, into
one uncompressed file in the job's own scratch, of which the machine holds what is being read. What a rank keeps itself is eight
bytes a row: where it stands, and when it comes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from loopwright.errors import InfraError
from loopwright.store.tables import ROWS, parts, row_groups
from loopwright.types import digest_value

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["IN_MEMORY", "Pool", "read_pools"]

IN_MEMORY = 2**28
"""Bytes of text up to which nothing is laid out."""

_COLUMNS = ("prompt", "answer")
_HUMAN = "human"


class Pool(Sequence[tuple[str, str]]):
    """(prompt, answer) of some rows of a table, by number."""

    def __init__(self, table: pa.Table, places: np.ndarray) -> None:
        self._columns, self._places = tuple(table[name] for name in _COLUMNS), places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, number: slice) -> Pool: ...
    def __getitem__(self, number: int | slice) -> tuple[str, str] | Pool:
        if isinstance(number, slice):
            raise TypeError("rows are read one by one")
        prompt, answer = (column[int(self._places[number])].as_py() for column in self._columns)
        return prompt, answer


def read_pools(directories: Sequence[str], scratch: Path | None) -> tuple[Pool, Pool]:
    """Human rows, and all others, of the tables in these directories, each in their order.

    Args:
        directories: Of accepted rows, oldest first.
        scratch: Where to lay out what is more than `IN_MEMORY`; None: it is held in memory whatever it takes.

    Raises:
        IntegrityError: a table cannot be read.
        InfraError: there is no room to lay it out.
    """
    import pyarrow as pa

    paths = [Path(directory) / "rows.parquet" for directory in directories]
    marks, held, size = list[np.ndarray](), list[pa.Table](), 0
    groups = _seen(paths, marks)
    for group in groups:
        held.append(group)
        size += group.nbytes
        if scratch is not None and size > IN_MEMORY:
            table = _laid_out(paths, held, groups, scratch)
            break
    else:
        table = pa.concat_tables(held) if held else pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})
    human = np.concatenate(marks) if marks else np.zeros(0, bool)
    kind = np.uint32 if len(human) < 2**32 else np.uint64
    one, other = (Pool(table, np.flatnonzero(mark).astype(kind)) for mark in (human, ~human))
    return one, other


def _seen(paths: Sequence[Path], marks: list[np.ndarray]) -> Iterator[pa.Table]:
    """Texts by row group; ``marks`` gets which rows people wrote."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for path in paths:
        for group in row_groups(path, ROWS):
            human = pc.call_function("equal", [group["origin"], pa.scalar(_HUMAN)])
            marks.append(human.to_numpy(zero_copy_only=False).astype(bool))
            yield group.select(list(_COLUMNS))


def _laid_out(paths: Sequence[Path], held: list[pa.Table], groups: Iterator[pa.Table], scratch: Path) -> pa.Table:
    """All texts as a mapped file, made now or by an attempt or another rank before."""
    import pyarrow as pa

    stats = [(part, part.stat()) for path in paths for part in parts(path)]
    told = [[str(path), found.st_size, str(found.st_mtime_ns)] for path, found in stats]
    file = scratch / f"rows-{digest_value(told)[7:23]}.arrow"
    try:
        if file.exists():
            deque(groups, maxlen=0)  # to learn which rows people wrote
        else:
            _write(file, chain(held, groups))
    except OSError as error:
        problem = f"the rows to train on cannot be laid out in {scratch}: {error}"
        raise InfraError(problem, "make room there, then run again") from error
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def _write(file: Path, tables: Iterable[pa.Table]) -> None:
    """Whole or not at all; several ranks may do it at once."""
    import pyarrow as pa

    draft = file.with_suffix(f".{os.getpid()}")
    file.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    try:
        with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for table in tables:
                writer.write_table(table.cast(schema))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
