"""The compute ledger as a table and as a CSV file (RFC 4180) that a document carries as an attachment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from loopwright.report.compute.account import Account

__all__ = ["COLUMNS", "ledger_csv", "ledger_rows"]

COLUMNS = (
    "id",
    "class",
    "counts",
    "reference",
    "cycle",
    "phase",
    "parameters",
    "parameters_trained",
    "tokens",
    "tokens_are_least",
    "samples",
    "flop",
    "counted_flop",
    "hardware_flop",
    "units",
    "device",
    "seconds",
    "peak",
    "utilisation",
    "utilisation_reading",
    "kwh",
    "energy_how",
    "finished_at",
    "leaf",
    "digest",
    "note",
)


def ledger_rows(found: Account) -> Iterator[tuple[Any, ...]]:
    """An entry a row, in the order of the log; None where the record tells nothing."""
    for entry in found.entries:
        made, said = entry.made, entry.counted_as
        yield (
            made.id,
            said.id,
            said.counts,
            said.ref,
            made.cycle,
            made.phase,
            made.parameters,
            made.trained,
            made.tokens,
            made.least,
            made.samples,
            made.flop,
            made.counted,
            made.hardware,
            made.units,
            made.device or None,
            made.seconds,
            made.peak,
            made.utilisation,
            made.utilisation_source or None,
            made.energy.get("kwh"),
            made.energy.get("how"),
            made.finished_at or None,
            made.leaf,
            made.digest or None,
            made.note or None,
        )


def ledger_csv(found: Account) -> bytes:
    """The same as UTF-8 with a header. Text that a spreadsheet would take for a formula is quoted by a leading apostrophe."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in ledger_rows(found))
    return target.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
