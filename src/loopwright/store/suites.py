"""The frozen suites on disk: the gate's as a task table, the sealed one as bytes that the evaluator alone can read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from loopwright.store.tables import read_tasks, write_tasks
from loopwright.types import Task

__all__ = ["Sealer", "read_suite", "write_suite"]

_SEALED = "sealed"


class Sealer(Protocol):
    """Locks bytes away for the evaluator; the same bytes give the same result."""

    def seal(self, data: bytes) -> bytes: ...

    def open(self, sealed: bytes) -> bytes: ...


def write_suite(folder: Path, name: str, tasks: Sequence[Task], sealer: Sealer | None) -> None:
    """Write one suite below ``folder``; the sealed one through the sealer, where there is one."""
    if name != _SEALED or sealer is None:
        write_tasks(folder / f"{name}.parquet", tasks)
        return
    table = io.BytesIO()
    write_tasks(table, tasks)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(sealer.seal(table.getvalue()))


def read_suite(folder: Path, name: str, sealer: Sealer | None) -> list[Task]:
    """Read a suite that `write_suite` wrote; a sealed one needs its sealer.

    Raises:
        IntegrityError: it is missing or damaged.
        WorkspaceError: this machine does not hold the key that opens it.
    """
    locked = folder / f"{name}.bin"
    if sealer is None or not locked.exists():
        return read_tasks(folder / f"{name}.parquet")
    return read_tasks(io.BytesIO(sealer.open(locked.read_bytes())))
