"""The catalogue: every registered fact of one record, computed when it is asked for and kept."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.ledger.audit import LogAudit
from loopwright.report.facts.binding import BOUND, METHODS
from loopwright.report.facts.reading import Absent, Reader, Source
from loopwright.report.facts.registry import names
from loopwright.types import Digest

__all__ = ["Fact", "catalogue"]

_OTHER = {"__main__", "binding", "catalogue", "entries", "reading", "registry"}
"""Modules beside this one that bind nothing; every other one is an area's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value with what it stands on."""

    value: Any
    """Plain JSON in the form that the registry's ``show`` names; None: the record has none."""
    unit: str = ""
    method: str = ""
    """How it was obtained: a key of `words.txt`. A score's own interval, n and estimator are within the value."""
    leaves: tuple[int, ...] = ()
    """Entries of the log."""
    digests: tuple[Digest, ...] = ()
    """Artifacts, files and answers whose bytes were read, or whose digests are the value."""
    absent: tuple[str, ...] = ()
    """Evidence that the record names and this copy of the workspace does not hold (`dvc pull` brings it)."""


class _Catalogue(Mapping[str, Fact]):
    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[str, Fact] = {}

    def __getitem__(self, path: str) -> Fact:
        if path not in self._known:
            self._known[path] = self._compute(path)
        return self._known[path]

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())

    def __contains__(self, path: object) -> bool:
        return path in names()

    def _compute(self, path: str) -> Fact:
        reader = Reader(self._source, self)
        unit = names()[path].unit
        try:
            value = _bound()[path](reader)
        except Absent:
            value = None
        return Fact(
            value=value,
            unit=unit,
            method=reader.method or METHODS[path],
            leaves=tuple(sorted(reader.leaves)),
            digests=tuple(sorted(reader.digests)),
            absent=tuple(sorted(reader.absent)),
        )


@functools.cache
def _bound() -> Mapping[str, Any]:
    """Every binding; the modules bind when they are imported."""
    here = Path(__file__).parent
    for module in sorted({path.stem for path in here.glob("[a-z]*.py")} - _OTHER):
        importlib.import_module(f"loopwright.report.facts.{module}")
    return BOUND


def catalogue(record: LogAudit, root: Path, cycle: str | None = None, incident: str | None = None) -> Mapping[str, Fact]:
    """Every fact of the registry, by name.

    Args:
        record: the log as `loopwright.ledger.audit.audit` saw it, without findings; only what its last checkpoint covers is read.
        root: the workspace, for evidence below ``cycles/`` and for answers; each file is held against its recorded digest.
        cycle: the cycle that the document is about; None: the newest closed one.
        incident: the incident that the document is about, for the facts of that area; None: the newest.

    Raises (where a fact is asked for):
        IntegrityError: a file of the workspace is not the one that the record has the digest of.
        UsageError: the record has no such cycle.
    """
    return _Catalogue(Source(record, root, cycle, incident))
