"""How long what is kept, and the clocks that are no incident's: rows of `reports/law.yaml` with the dates that the record gives."""

from __future__ import annotations

from datetime import date
from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.incident import law, span_of
from loopwright.report.facts.reading import Reader
from loopwright.report.law import Retention, Span

_KEEP = {
    "documentation": "RT-1",
    "logs": "RT-2",
    "model_documentation": "RT-3",
    "safety": "RT-4",
    "incidents": "RT-5",
    "declaration": "RT-7",
}
_CLOCKS = {
    "notification": "CL-1",
    "information": "CL-2",
    "update": "CL-3",
    "framework": "CL-4",
    "assessment": "CL-5",
    "model_report": "CL-6",
    "summary": "CL-9",
}


def _until(start: Any, span: Span) -> str | None:
    """The day so long after it; of a day that the month does not have, the last one. None where the start is no date."""
    try:
        begin = date.fromisoformat(str(start)[:10])
    except ValueError:
        return None
    month = begin.month - 1 + span.months
    year, month = begin.year + span.years + month // 12, month % 12 + 1
    for day in (begin.day, 30, 29, 28):
        try:
            return date(year, month, day).isoformat()
        except ValueError:
            continue
    return None


def _row(see: Reader, rule: Retention) -> list[Any]:
    start = see.maybe(rule.since) if rule.since else None
    return [rule.ref, *span_of(rule.keep), rule.least, rule.since, start, _until(start, rule.keep)]


def _keep(name: str, row: str) -> None:
    @fact(f"policy.keep_{name}", method="law")
    def _(see: Reader) -> Any:
        rules = [one for one in law(see).retention if one.id == row]
        return table("ref length length_unit least from counted_from until", [_row(see, one) for one in rules])


def _clock(name: str, row: str) -> None:
    @fact(f"policy.clock_{name}", method="law")
    def _(see: Reader) -> Any:
        rules = [one for one in law(see).clocks if one.field == row]
        return table(
            "ref length length_unit before_it from every",
            [[one.ref, *span_of(one), one.before, one.start, one.every] for one in rules],
        )


for _name, _id in _KEEP.items():
    _keep(_name, _id)
for _name, _id in _CLOCKS.items():
    _clock(_name, _id)
