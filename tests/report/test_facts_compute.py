"""The compute and energy account, fact by fact, against one that is reckoned anew from the entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from scipy.stats import t

from tests.report.asking import Log, Query, answer, table
from tests.report.reckoning import NAMES, Reckoning, Work, flop, known
from tests.report.records import Records


def account(log: Log) -> Reckoning:
    """Reckoned once a record."""
    if "account" not in log.kept:
        log.kept["account"] = Reckoning(log, published=(answer(log, "gen.published") or "").lower().startswith("yes"))
    return log.kept["account"]


def asked(question: Callable[[Reckoning], Any]) -> Query:
    """None where no model was trained up to the document's cycle."""
    return lambda log: question(found) if (found := account(log)).model else None


def total(*names: str) -> Query:
    return asked(lambda found: known(found.of(*names)))


def whole(value: Any) -> Any:
    """Operations are whole numbers in tables."""
    return round(value) if isinstance(value, float) and (value == 0 or 1e6 <= abs(value) < 2**53) else value


def shown(columns: str, rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    return table(columns, [[whole(cell) for cell in row] for row in rows])


def formulae(found: Reckoning) -> str:
    return ", ".join(dict.fromkeys(row.formula for row in found.counted if row.sort != "base"))


def two(value: float) -> str:
    return f"{float(f'{value:.1e}'):.1e}"


def by_phase(found: Reckoning) -> dict[str, Any]:
    rows = [
        (
            row.cycle,
            row.phase,
            "parameter_updates" if row.sort == "update" else row.sort,
            row.parameters,
            row.tokens,
            row.formula,
            row.flop,
            row.counted,
        )
        for row in found.here
        if row.sort != "none"
    ]
    return shown("cycle phase kind parameters tokens method flop counted_flop", rows)


LEDGER = (
    "id class counts reference cycle phase parameters parameters_trained tokens tokens_are_least samples flop counted_flop hardware_flop units device"
    " seconds peak utilisation utilisation_reading kwh energy_how finished_at leaf digest note"
)


def ledger(found: Reckoning) -> dict[str, Any]:
    return shown(LEDGER, [
        (
            row.id, row.counts_as, *NAMES[row.counts_as][1:], row.cycle, row.phase, row.parameters, row.trained, row.tokens, row.least, row.samples,
            row.flop, row.counted, row.hardware, row.units, row.device, row.seconds, row.peak, row.busy, row.reading, row.energy.get("kwh"),
            row.energy.get("how"), row.at, row.leaf, row.digest, row.note,
        )
        for row in found.entries
    ])  # fmt: skip


def agreement(found: Reckoning) -> dict[str, Any]:
    columns = "cycle architecture_flop hardware_flop units seconds peak peak_source utilisation utilisation_reading implied_utilisation ratio agrees"
    rows = []
    for row in found.updates:
        implied = (
            row.flop / (row.units * row.seconds * row.peak)
            if row.flop is not None and row.units and row.seconds and row.peak
            else None
        )
        both = row.flop is not None and row.hardware is not None
        ratio = row.hardware / row.flop if both and row.flop else None  # type: ignore[operator]
        agrees = abs(row.hardware - row.flop) <= 0.3 * row.flop if both else None  # type: ignore[operator]
        told = (row.units, row.seconds, row.peak, row.peak_source, row.busy, row.reading)
        rows.append((row.cycle, row.flop, row.hardware, *told, implied, ratio, agrees))
    return shown(columns, rows)


def counted(found: Reckoning) -> dict[str, Any]:
    rows = [
        (row.cycle, row.counted, row.flop, row.counted / row.flop)
        for row in found.updates
        if row.counted is not None and row.flop
    ]
    return shown("cycle counted_flop architecture_flop ratio", rows)


THRESHOLDS = (
    (1e23, "C(2025) 5045, par. 17", "direct"),
    (1e25, "Regulation (EU) 2024/1689, Art. 51(2)", "cumulative"),
    (1e26, "California SB 53; New York RAISE", "cumulative"),
)


def amount(found: Reckoning, of: str) -> float:
    return flop(found.updates if of == "direct" else found.counted)


def standing(value: float, limit: float) -> str:
    return "below" if value * 1.3 < limit else "above" if value * 0.7 >= limit else "within-margin"


def thresholds(found: Reckoning) -> dict[str, Any]:
    rows = []
    for limit, ref, of in THRESHOLDS:
        value = amount(found, of)
        wide = value + (flop(found.of("machine_learnt_exploration")) if of == "cumulative" else 0.0)
        rows.append((limit, ref, of, value, standing(value, limit), wide, standing(wide, limit)))
    return shown("threshold reference amount flop standing flop_with_exploration standing_with", rows)


def third(found: Reckoning) -> Any:
    base = next((row for row in found.of("inherited_weights") if row.sort == "base"), None)
    if base is None:
        return None
    added, assumed = (
        flop(found.counted) - (base.flop or 0.0),
        None if base.flop is not None else 1e25 if base.systemic else 1e23,
    )
    limit = (base.flop if base.flop is not None else assumed or 0.0) / 3
    return shown("modification original assumed limit standing", [(added, base.flop, assumed, limit, standing(added, limit))])


def crossing(points: list[tuple[str, float]], limit: float) -> tuple[Any, ...]:
    """Why or why not, n, years from the last point with the slope's 95 % interval, date."""
    none = (len(points), None, None, None, None)
    if points[-1][1] >= limit:
        return ("passed", *none)
    if len(points) < 3:
        return ("too-few", *none)
    times = np.array([datetime.fromisoformat(at).timestamp() for at, _ in points])
    years, values = (times - times[-1]) / (365.25 * 86400), np.array([value for _, value in points])
    if np.ptp(years) == 0:
        return ("not-growing", *none)
    spread = ((years - years.mean()) ** 2).sum()
    slope = ((years - years.mean()) * (values - values.mean())).sum() / spread
    rest = ((values - values.mean() - slope * (years - years.mean())) ** 2).sum()
    half = t.ppf(0.975, len(points) - 2) * math.sqrt(rest / (len(points) - 2) / spread)
    if slope <= 0:
        return ("not-growing", *none)
    left = limit - points[-1][1]
    low, high = left / (slope + half), left / (slope - half) if slope > half else None
    try:
        day = (datetime.fromisoformat(points[-1][0]) + timedelta(days=float(left / slope) * 365.25)).date().isoformat()
    except OverflowError:
        day = None
    return ("projected", len(points), float(left / slope), float(low), None if high is None else float(high), day)


def crossings(found: Reckoning) -> dict[str, Any]:
    line = [Reckoning(found.log, model=row.made[0]) for row in found.line[:100][::-1]]
    rows = [(limit, of, *crossing([(one.own.at or "", amount(one, of)) for one in line], limit)) for limit, _, of in THRESHOLDS]
    return shown("threshold amount standing n years years_low years_high date", rows)


def hardware(found: Reckoning) -> float | None:
    told = [row.hardware for row in found.updates]
    return None if None in told else sum(told)  # type: ignore[arg-type]


def inference(found: Reckoning) -> Work | None:
    return next((row for row in reversed(found.of("diagnostic")) if row.phase == "evaluate" and row.flop), None)


def reported(found: Reckoning) -> str:
    least = "\u2265 " if any(row.flop is None or row.least for row in found.counted) else ""
    return f"{least}{two(flop(found.counted))} FLOP ({formulae(found)})"


VECTORS = {
    "A": ("6 · 3.8e+09 · 3.3e+12", 7.5e22, 6 * 3.8e9 * 3.3e12), "B": ("200000 h · 3600 · 3e+14 · 0.5", 1e23, 200_000 * 3600 * 300e12 * 0.5),
    "C": ("6 · 6e+08 · 3.6e+13", 1.3e23, 6 * 0.6e9 * 36e12), "D": ("6 · 1.54e+09 · 1.8e+13", 1.663e23, 6 * 1.54e9 * 18e12),
    "E": ("6 · 1.7e+09 · 3.6e+13", 3.7e23, 6 * 1.7e9 * 36e12), "F": ("6 · 2.5e+09 · 1.2e+13", 1.8e23, 6 * 2.5e9 * 12e12),
}  # fmt: skip
"""As Annex A.3 of the guidelines has them."""

COMPUTE: dict[str, Query] = {
    "compute.total": asked(lambda found: known(found.counted)),
    "compute.direct": asked(lambda found: known(found.updates)),
    "compute.cycle": asked(lambda found: known(row for row in found.here if row.sort in {"update", "twin", "generation"})),
    "compute.training": asked(lambda found: known(row for row in found.here if row.sort == "update")),
    "compute.generation": asked(lambda found: known(row for row in found.here if row.sort == "generation")),
    "compute.generation_all": total("synthetic_generation_nonpublic"),
    "compute.generation_public": total("synthetic_generation_public"),
    "compute.updates": total("parameter_updates"),
    "compute.inherited": total("inherited_weights"),
    "compute.evaluation": total("diagnostic"),
    "compute.exploration": total("machine_learnt_exploration"),
    "compute.with_exploration": asked(lambda found: known([*found.counted, *found.of("machine_learnt_exploration")])),
    "compute.data_parents_training": total("data_parent_training"),
    "compute.auxiliary": total("auxiliary"),
    "compute.recomputation": asked(lambda _: 0.0),
    "compute.failed": asked(lambda found: shown("cycle phase error seconds leaf", [(row.cycle, row.phase, row.note, row.seconds, row.leaf) for row in found.of("failed")])),
    "compute.by_class": asked(lambda found: shown("field class counts reference entries flop", [
        (row, name, counts, ref, len(found.of(name)), known(found.of(name))) for name, (row, counts, ref) in NAMES.items()
    ])),
    "compute.by_phase": asked(by_phase),
    "compute.ledger": asked(ledger),
    "compute.relation": asked(lambda found: found.entries and found.relation),
    "compute.method": asked(lambda found: f"{formulae(found)}; ±30 %"),
    "compute.uncertainty": asked(lambda found: f"±30 %: {flop(found.counted) * 0.7:.1e} … {flop(found.counted) * 1.3:.1e} FLOP"),
    "compute.reported": asked(reported),
    "compute.order_of_magnitude": asked(lambda found: f"10^{len(str(int(flop(found.counted)))) - 1}"),
    "compute.precision": asked(lambda _: "1 : 1"),
    "compute.architecture_method": asked(lambda found: known(found.updates)),
    "compute.hardware_method": asked(hardware),
    "compute.agreement": asked(agreement),
    "compute.no_hardware": asked(lambda found: hardware(found) is None),
    "compute.counted": asked(counted),
    "compute.inference": asked(lambda found: float(row.flop or 0) if (row := inference(found)) else None),
    "compute.inference_task": asked(lambda found: f"{row.tokens} n; {found.updates[-1].device or '?'}" if (row := inference(found)) else None),
    "compute.thresholds": asked(thresholds),
    "compute.one_third": asked(third),
    "compute.own_weights": asked(lambda found: found.entries and found.relation != "external"),
    "compute.crossing": asked(crossings),
    "compute.test_vectors": lambda _: shown("model inputs stated_flop flop agrees", [(name, *one, True) for name, one in VECTORS.items()]),
    **{f"compute.vector_{name.lower()}": lambda _, value=one[2]: value for name, one in VECTORS.items()},
}  # fmt: skip


class Drawn:
    """Energy of some passes: a training's twins and the weights it began with stand in its own phase."""

    def __init__(self, rows: Iterable[Work]) -> None:
        self.told = [row.energy for row in rows if row.sort not in {"base", "twin"}]
        self.known = [one for one in self.told if "kwh" in one]
        self.kwh = sum(one["kwh"] for one in self.known) if self.known else None

    @property
    def how(self) -> str:
        if len(self.known) < len(self.told) or any("hosts" in one for one in self.known):
            return "incomplete"
        ways = {one["how"] for one in self.known}
        return ways.pop() if len(ways) == 1 else "partly measured"

    @property
    def method(self) -> str | None:
        if not self.known:
            return "; ".join(sorted({one["why"] for one in self.told if "why" in one})) or None
        tools, bounds = (sorted({one[key] for one in self.known}) for key in ("tool", "boundary"))
        parts = sorted({f"{name}: {part['source']}" for one in self.known for name, part in one["parts"].items()})
        hosts = ["driver"] if any("hosts" in one for one in self.known) else []
        return "; ".join([*tools, *parts, *bounds, *hosts, f"n = {len(self.known)}/{len(self.told)}"])

    @property
    def emitted(self) -> float | None:
        told = [one.get("kg_co2e") for one in self.known]
        return None if not told or None in told else sum(told)

    @property
    def measured(self) -> float | None:
        return sum(one["measured_kwh"] for one in self.known) / self.kwh if self.kwh else None


def drawn(question: Callable[[Drawn], Any]) -> Query:
    return asked(lambda found: question(Drawn(found.counted)))


def energy_by_phase(found: Reckoning) -> dict[str, Any]:
    rows = []
    for row in [one for one in found.here if one.sort not in {"base", "twin"}]:
        told = row.energy
        how = told.get("how", "not measured").replace(" ", "-")
        rows.append(
            (row.cycle, row.phase, row.seconds, told.get("kwh"), told.get("measured_kwh"), how, told.get("why"), row.leaf)
        )
    return shown("cycle phase seconds kwh measured_kwh how reason leaf", rows)


ENERGY: dict[str, Query] = {
    "energy.total": drawn(lambda found: found.kwh),
    "energy.cycle": asked(lambda found: Drawn(found.here).kwh),
    "energy.by_phase": asked(energy_by_phase),
    "energy.method": drawn(lambda found: found.method),
    "energy.measured": drawn(lambda found: None if found.kwh is None else found.how == "measured"),
    "energy.measured_share": drawn(lambda found: found.measured),
    "energy.emissions": drawn(lambda found: found.emitted),
    "energy.no_country": drawn(lambda found: found.kwh is not None and found.emitted is None),
}

QUERIES = {**COMPUTE, **ENERGY}


def test_the_account_comes_out_the_same_when_it_is_reckoned_again(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_another_record_gives_another_account(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
