"""The compute and energy account as facts for documents: names ``compute.*`` and ``energy.*`` of the catalogue.

Values are plain JSON without language: formulae, numbers, and words that the catalogue translates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.ledger.statement import Statement
from loopwright.report.compute import energy
from loopwright.report.compute.account import CLASSES, Account, account, weight_line
from loopwright.report.compute.methods import MARGIN, THRESHOLDS, VECTORS, agree, one_third, significant, standing
from loopwright.report.compute.passes import Pass, passes
from loopwright.report.compute.table import COLUMNS, ledger_rows
from loopwright.report.compute.trend import crossing
from loopwright.types import Digest

__all__ = ["Told", "compute_facts"]

_FORMULA = "6·P·D"
_SAMPLING = "2·P·n"
_KINDS = {"update": "parameter_updates"}
"""Words of the catalogue where a row's own means something else there."""
_RECENT = 100
"""Models at the end of a line by which its trend goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A value with what it stands on; None where the record has none."""

    value: Any
    unit: str = ""
    method: str = ""
    leaves: tuple[int, ...] = ()
    digests: tuple[Digest, ...] = ()


def compute_facts(statements: Iterable[Statement], cycle: str, published: Iterable[str] = ()) -> Mapping[str, Told]:
    """Everything under ``compute.*`` and ``energy.*`` for the model that this cycle trained.

    A cycle that trained none is told about the model it was left with: the last one trained before. Without any model only the
    test vectors are told.

    Args:
        statements: the record from its first entry on.
        cycle: for example ``c0003``.
        published: paths of proposals that persons said are publicly accessible.
    """
    rows = passes(statements)
    model = _model(rows, cycle)
    vectors = _vectors()
    if model is None:
        return vectors
    found = account(rows, model, published)
    here = tuple(row for row in rows if row.cycle == cycle)
    return {**vectors, **_sums(found, here), **_methods(found), **_limits(found, rows), **_energy(found, here)}


def _model(rows: Sequence[Pass], cycle: str) -> str | None:
    """The cycle's own model, else the last that was trained before it."""
    last = None
    for row in rows:
        if row.kind == "update":
            last = row.path
        if row.cycle == cycle and row.kind == "update":
            return row.path
    here = [place for place, row in enumerate(rows) if row.cycle == cycle]
    before = [row.path for row in rows[: here[-1]] if row.kind == "update"] if here else [last]
    return before[-1] if before else None


def _told(value: Any, rows: Iterable[Pass], unit: str = "", method: str = "derived") -> Told:
    listed = tuple(rows)
    leaves = tuple(sorted({row.leaf for row in listed}))
    digests = tuple(sorted({row.digest for row in listed if row.digest}))
    return Told(value=value, unit=unit, method=method, leaves=leaves, digests=digests)


def _flop(rows: Iterable[Pass]) -> Told:
    """Their sum: nought of no passes, and nothing where there were some and none tells how large its model is."""
    listed = tuple(rows)
    known = [row.flop for row in listed if row.flop is not None]
    return _told(None if listed and not known else sum(known, 0.0), listed, "FLOP", "estimated")


def _table(columns: str, rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    return {"columns": columns.split(), "rows": [[_shown(value) for value in row] for row in rows]}


def _shown(value: Any) -> Any:
    """Operations are whole numbers; above 2^53 JSON keeps them as floats."""
    return round(value) if isinstance(value, float) and (value == 0 or 1e6 <= abs(value) < 2**53) else value


def _sums(found: Account, here: Sequence[Pass]) -> dict[str, Told]:
    """The amounts: of the model, of the cycle, and by class."""
    classes = [
        (one.field, one.id, one.counts, one.ref, len(found.of(one.id)), _flop(found.of(one.id)).value)
        for one in CLASSES.values()
    ]
    made = [row for row in here if row.kind in {"update", "twin", "generation"}]
    updates, generation = ([row for row in made if row.kind == kind] for kind in ("update", "generation"))
    failed = found.of("failed")
    shown = [row for row in here if row.kind != "none"]
    phases = [
        (row.cycle, row.phase, _KINDS.get(row.kind, row.kind), row.parameters, row.tokens, _method(row), row.flop, row.counted)
        for row in shown
    ]
    return {
        "compute.total": _flop(found.counted),
        "compute.direct": _flop(found.updates),
        "compute.cycle": _flop(made),
        "compute.training": _flop(updates),
        "compute.generation": _flop(generation),
        "compute.generation_all": _flop(found.of("synthetic_generation_nonpublic")),
        "compute.generation_public": _flop(found.of("synthetic_generation_public")),
        "compute.updates": _flop(found.of("parameter_updates")),
        "compute.inherited": _flop(found.of("inherited_weights")),
        "compute.evaluation": _flop(found.of("diagnostic")),
        "compute.exploration": _flop(found.of("machine_learnt_exploration")),
        "compute.with_exploration": _flop((*found.counted, *found.of("machine_learnt_exploration"))),
        "compute.data_parents_training": _flop(found.of("data_parent_training")),
        "compute.auxiliary": _flop(found.of("auxiliary")),
        "compute.recomputation": _told(0.0, (), "FLOP", "architecture"),
        "compute.failed": _told(
            _table("cycle phase error seconds leaf", ((r.cycle, r.phase, r.note, r.seconds, r.leaf) for r in failed)), failed
        ),
        "compute.by_class": _told(_table("field class counts reference entries flop", classes), found.counted),
        "compute.by_phase": _told(_table("cycle phase kind parameters tokens method flop counted_flop", phases), made),
        "compute.ledger": _told(_table(" ".join(COLUMNS), ledger_rows(found)), (entry.made for entry in found.entries)),
        "compute.relation": _told(found.relation, found.updates, method="recorded"),
    }


def _method(row: Pass) -> str:
    """As a formula, with a sign of "at least" where more went through than the record tells."""
    formula = _SAMPLING if row.kind in {"generation", "evaluation", "auxiliary"} else _FORMULA
    if row.trained is not None and row.trained != row.parameters:
        formula = "(4·P + 2·P')·D"
    return f"\u2265 {formula}" if row.least else formula


def _methods(found: Account) -> dict[str, Told]:
    """How it was reckoned, by how many readings, and how far they agree."""
    total, updates = found.cumulative, found.updates
    low, high = total * (1 - MARGIN), total * (1 + MARGIN)
    formulae = ", ".join(dict.fromkeys(_method(row) for row in found.counted if row.kind != "base"))
    inference = [row for row in found.of("diagnostic") if row.phase == "evaluate" and row.flop]
    used, last = updates[-1], inference[-1] if inference else None
    asked = f"{last.tokens} n; {used.device or '?'}" if last else None  # never P: that is for the AI Office alone
    incomplete = "\u2265 " if found.unknown else ""
    return {
        "compute.method": _told(f"{formulae}; ±30 %", found.counted),
        "compute.uncertainty": _told(f"±30 %: {low:.1e} … {high:.1e} FLOP", found.counted),
        "compute.reported": _told(f"{incomplete}{significant(total):.1e} FLOP ({formulae})", found.counted),
        "compute.order_of_magnitude": _told(f"10^{math.floor(math.log10(total))}" if total else None, found.counted),
        "compute.precision": _told("1 : 1", found.counted, method="recorded"),
        "compute.architecture_method": _flop(updates),
        "compute.hardware_method": _hardware(updates),
        "compute.agreement": _told(_agreement(updates), updates),
        "compute.no_hardware": _told(any(row.hardware is None for row in updates), updates),
        "compute.counted": _told(_counted(updates), updates),
        "compute.inference": _flop([last] if last else []) if last else _told(None, ()),
        "compute.inference_task": _told(asked, [last] if last else []),
    }


def _hardware(updates: Sequence[Pass]) -> Told:
    """Of the trainings of these weights; None where one of them tells neither device nor utilisation."""
    known = [row.hardware for row in updates if row.hardware is not None]
    return _told(sum(known) if len(known) == len(updates) else None, updates, "FLOP", "estimated")


def _agreement(updates: Sequence[Pass]) -> dict[str, Any]:
    """A training a line: both methods, their ratio, and the utilisation that the architecture method would imply."""
    rows = []
    for row in updates:
        both = row.flop is not None and row.hardware is not None
        possible = None if row.peak is None or row.seconds is None else (row.units or 1) * row.seconds * row.peak
        rows.append(
            (
                row.cycle,
                row.flop,
                row.hardware,
                row.units,
                row.seconds,
                row.peak,
                row.peak_source or None,
                row.utilisation,
                row.utilisation_source or None,
                row.flop / possible if possible and row.flop is not None else None,
                row.hardware / row.flop if both and row.flop and row.hardware is not None else None,
                agree(row.flop, row.hardware) if row.flop is not None and row.hardware is not None else None,
            )
        )
    columns = "cycle architecture_flop hardware_flop units seconds peak peak_source utilisation utilisation_reading"
    return _table(f"{columns} implied_utilisation ratio agrees", rows)


def _counted(updates: Sequence[Pass]) -> dict[str, Any]:
    """One step by torch's counter, scaled to all tokens, against the formula."""
    told = [row for row in updates if row.counted is not None and row.flop]
    rows = ((row.cycle, row.counted, row.flop, (row.counted or 0.0) / (row.flop or 1.0)) for row in told)
    return _table("cycle counted_flop architecture_flop ratio", rows)


def _limits(found: Account, rows: Sequence[Pass]) -> dict[str, Told]:
    """Numbers beside thresholds, and where the trend leads. Nothing here says what follows from it."""
    amounts = {"direct": found.direct, "cumulative": found.cumulative}
    lines = [(one.flop, one.ref, one.of, amounts[one.of], standing(amounts[one.of], one.flop)) for one in THRESHOLDS]
    wide = {"direct": found.direct, "cumulative": found.cumulative + found.exploration}
    sides = "flop standing flop_with_exploration standing_with"
    lines = [(*line, wide[line[2]], standing(wide[line[2]], line[0])) for line in lines]
    return {
        "compute.thresholds": _told(_table(f"threshold reference amount {sides}", lines), found.counted),
        "compute.one_third": _third(found),
        "compute.own_weights": _told(found.relation != "external", found.updates, method="recorded"),
        "compute.crossing": _told(_crossings(found, rows), found.counted, method="trend"),
    }


def _third(found: Account) -> Told:
    """Of a model that began with weights of someone else; None for all others."""
    base = next((row for row in found.of("inherited_weights") if row.kind == "base"), None)
    if base is None:
        return _told(None, ())
    told = one_third(found.cumulative - (base.flop or 0.0), base.flop, systemic=base.systemic)
    return _told(_table(" ".join(told), [tuple(told.values())]), (base,))


def _crossings(found: Account, rows: Sequence[Pass]) -> dict[str, Any]:
    made = {path: row for row in rows for path in row.outputs}
    line = weight_line(made[found.model], made)[:_RECENT][::-1]
    accounts = [account(rows, row.path) for row in line]
    lines = []
    for one in THRESHOLDS:
        amounts = [each.direct if one.of == "direct" else each.cumulative for each in accounts]
        seen = crossing(list(zip((row.finished_at for row in line), amounts, strict=True)), one.flop)
        lines.append((one.flop, one.of, seen.reason, seen.n, seen.years, seen.low, seen.high, seen.date(seen.years)))
    return _table("threshold amount standing n years years_low years_high date", lines)


def _vectors() -> dict[str, Told]:
    """The guidelines' worked examples, reckoned by the same functions."""
    rows = [(one.id, one.inputs, one.stated, one.value, one.holds) for one in VECTORS]
    table = _told(_table("model inputs stated_flop flop agrees", rows), (), method="reckoned")
    single = {f"compute.vector_{one.id.lower()}": _told(one.value, (), "FLOP", "reckoned") for one in VECTORS}
    return {"compute.test_vectors": table, **single}


def _energy(found: Account, here: Sequence[Pass]) -> dict[str, Told]:
    """Of the rows that count, and of the cycle."""
    counted = found.counted
    total, cycle = energy.add(counted), energy.add(here)
    return {
        "energy.total": _told(total.kwh, counted, "kWh", total.how),
        "energy.cycle": _told(cycle.kwh, here, "kWh", cycle.how),
        "energy.by_phase": _told(_table("cycle phase seconds kwh measured_kwh how reason leaf", energy.lines(here)), here),
        "energy.method": _told(total.method, counted, method="recorded"),
        "energy.measured": _told(None if total.kwh is None else total.how == "measured", counted),
        "energy.measured_share": _told(total.measured_share, counted),
        "energy.no_country": _told(total.kwh is not None and total.kg_co2e is None, counted),
        "energy.emissions": _told(total.kg_co2e, counted, "kg CO2e", "estimated"),
    }
