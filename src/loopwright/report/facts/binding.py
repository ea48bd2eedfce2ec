"""How a function becomes a fact: `fact` binds it to its name, `table` gives its rows the form that documents show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from loopwright.report.facts.reading import Reader

__all__ = ["BOUND", "METHODS", "Reading", "alias", "fact", "table"]

Reading = Callable[[Reader], Any]
"""Plain JSON, or None; `loopwright.report.facts.reading.Absent` where the record has none."""

BOUND: dict[str, Reading] = {}
"""What reads each name."""

METHODS: dict[str, str] = {}
"""Key of `words.txt` that says how each name's value was obtained."""


def fact(path: str, method: str = "recorded") -> Callable[[Reading], Reading]:
    """Bind a function to a name of the registry.

    ``method`` is one of: recorded (copied from an entry or from evidence), counted (a whole number of what the record has), derived
    (computed from recorded values by the words of the registry), measured (by the phase that the entry is of), drawn (a sample by
    a seed), fitted (least squares), answered (a person said so), installed (this installation, whose digest the record has), law (a row of ``reports/law.yaml``, which
    the digest of the report's sources covers).
    """

    def bind(reading: Reading) -> Reading:
        if path in BOUND:
            raise ValueError(f"two functions for the fact {path}")
        BOUND[path], METHODS[path] = reading, method
        return reading

    return bind


def alias(path: str, other: str, method: str = "recorded") -> None:
    """The same value under a second name."""
    fact(path, method)(lambda see: see.fact(other))


def table(columns: str, rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> dict[str, Any]:
    """Rows as documents show them; ``columns`` are keys, separated by spaces. A mapping's missing key is an empty cell."""
    keys = columns.split()
    cells = [[row.get(key) for key in keys] if isinstance(row, Mapping) else list(row) for row in rows]
    return {"columns": keys, "rows": cells}
