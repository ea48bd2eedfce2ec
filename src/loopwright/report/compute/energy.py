"""Energy by the record: what the statements of phases say was drawn, added up with how it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.report.compute.passes import Pass

__all__ = ["Energy", "add", "lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """A sum; None where no phase of it has a number."""

    kwh: float | None
    how: str
    """``measured`` where every phase was, by counters; ``estimated`` or ``partly-measured``; ``incomplete`` where a phase has
    no number, or hosts of a cluster were left out."""
    method: str | None
    """Tool, sources and boundary, as the phases recorded them."""
    measured_share: float | None
    kg_co2e: float | None


def add(rows: Sequence[Pass]) -> Energy:
    """Over the phases of these rows; a phase with several rows (a model and its twins) tells its energy in the first."""
    told = [row.energy for row in rows if row.kind not in {"base", "twin"}]
    known = [one for one in told if "kwh" in one]
    if not known:
        reasons = sorted({one["why"] for one in told if "why" in one})
        return Energy(kwh=None, how="not-measured", method="; ".join(reasons) or None, measured_share=None, kg_co2e=None)
    kwh = sum(one["kwh"] for one in known)
    measured = sum(one["measured_kwh"] for one in known)
    states = {one["how"] for one in known}
    how = states.pop().replace(" ", "-") if len(states) == 1 else "partly-measured"
    whole = len(known) == len(told) and not any("hosts" in one for one in known)
    emitted = [one["kg_co2e"] for one in known if "kg_co2e" in one]
    return Energy(
        kwh=kwh,
        how=how if whole else "incomplete",
        method=_method(known, len(told)),
        measured_share=measured / kwh if kwh else None,
        kg_co2e=sum(emitted) if len(emitted) == len(known) else None,
    )


def _method(known: Sequence[Any], phases: int) -> str:
    """In the words of the record: they are technical names, and stay as they are in any language."""
    tools = sorted({one["tool"] for one in known})
    sources = sorted({f"{part}: {said['source']}" for one in known for part, said in one["parts"].items()})
    boundaries = sorted({one["boundary"] for one in known})
    hosts = ["driver"] if any("hosts" in one for one in known) else []
    return "; ".join([*tools, *sources, *boundaries, *hosts, f"n = {len(known)}/{phases}"])


def lines(rows: Sequence[Pass]) -> Iterator[tuple[Any, ...]]:
    """A phase a line."""
    for row in rows:
        if row.kind not in {"base", "twin"}:
            told = row.energy
            how = told.get("how", "not measured").replace(" ", "-")
            yield row.cycle, row.phase, row.seconds, told.get("kwh"), told.get("measured_kwh"), how, told.get("why"), row.leaf
