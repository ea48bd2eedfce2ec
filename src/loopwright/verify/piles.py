"""Rows that are too many for memory, laid on piles: by task to be decided, by place to be written in their own order again.

What decides about a row are the other rows of its task (repetitions, the limit a task) and what every pile can be shown. So piles
are decided one after the other, and memory holds one of them. Up to `LARGEST` rows there is one pile, in memory: nothing is cut and
nothing is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from loopwright.store.tables import GROUP

__all__ = ["LARGEST", "Piles", "rows_of_a_pile"]

LARGEST = GROUP
"""Rows of a pile, about."""

_BYTES = 2**29
_FEWEST = 2**10


def rows_of_a_pile(rows: int, size: int) -> int:
    """How many rows go on a pile, where so many have together so many bytes: fewer where they are long."""
    found = LARGEST
    while found > _FEWEST and size * found > rows * _BYTES:
        found //= 2
    return found


class Piles:
    """Frames with the same columns on numbered piles; what lies on one keeps the order in which it came."""

    def __init__(self, folder: Path, count: int) -> None:
        """``folder`` is made, emptied, and removed in the end; with one pile it is not needed."""
        self.count = count
        self._folder, self._held = folder, list[pl.DataFrame]()
        self._files = dict[int, tuple[Any, Any]]()
        self._none: pl.DataFrame | None = None
        shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        self._held.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def put(self, frame: pl.DataFrame, number: pl.Expr) -> None:
        """Lay rows on the piles that ``number`` says (modulo their count)."""
        if self.count == 1:
            self._held.append(frame)
            return
        self._none = frame.clear()
        cut = frame.with_columns((number % self.count).alias("pile")).partition_by("pile", as_dict=True, include_key=False)
        for (pile,), rows in cut.items():
            self._append(int(pile), rows)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The piles, in the order of their numbers, each read when it is asked for."""
        return (self.pile(number) for number in range(self.count))

    def pile(self, number: int) -> pl.DataFrame:
        """What lies on a pile; the columns of the others where nothing does."""
        self._close()
        if self.count == 1:
            self._held = [pl.concat(self._held)]
            return self._held[0]
        path = self._folder / f"{number}.arrow"
        return pl.read_ipc_stream(path) if path.exists() or self._none is None else self._none

    def take(self, number: int) -> pl.DataFrame:
        """What lies on a pile, which is empty afterwards."""
        rows = self.pile(number)
        self._held.clear()
        with suppress(FileNotFoundError):
            (self._folder / f"{number}.arrow").unlink()
        return rows

    def _append(self, pile: int, rows: pl.DataFrame) -> None:
        import pyarrow as pa

        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        if pile not in self._files:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / f"{pile}.arrow").open("wb")
            self._files[pile] = file, pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        self._files[pile][1].write_table(table)

    def _close(self) -> None:
        for file, writer in self._files.values():
            writer.close()
            file.close()
        self._files.clear()
