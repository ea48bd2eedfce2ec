"""The overview as plain values: where the loop is, is it better, is it safe to go on, what waits, what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.chart import Point, points_of
from app.counter import plan_of
from app.integrity import Standing, standing
from app.sheet import Column, Figure, Mark, Notice, Sheet, Table
from app.views.alerts import look, sentence
from app.views.money import budget_table, threshold_table
from app.views.stages import Running, failed, running_in
from app.words import Words
from loopwright.alerts import Alert, alerts_of
from loopwright.budgets import Used
from loopwright.clock import now
from loopwright.consent import Waiting
from loopwright.index import Index
from loopwright.ledger.acts import Acts
from loopwright.ledger.overview import tightening
from loopwright.policy import Budgets, Card

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["WINDOWS", "Told", "View", "read", "view_of"]

WINDOWS = (50, 200, 1000)
"""Cycles that the curve may show."""
_MARKS: Mapping[str | None, Mark] = {"promote": "good", "reject": "none", "hold": "wait", "halt": "bad"}
_LIGHTS: Mapping[str, Mark] = {"fine": "good", "warn": "warn", "stop": "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the record says, as far as this page needs it."""

    loop: Mapping[str, Any]
    """`Index.told`."""
    cycles: int
    rows: Sequence[Mapping[str, Any]]
    """`overview.cycle_row` of the last cycles, oldest first, those that are named elsewhere among them."""
    champion: Mapping[str, Any] | None
    running: Running | None
    """The open cycle."""
    acts: Acts
    waiting: Sequence[Waiting] = ()
    alerts: Sequence[Alert] = ()
    used: Used
    budgets: Budgets | None
    """None where the plan cannot be read."""
    card: Card
    integrity: Standing
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    running: Running | None = None
    """Of which the page draws `strip_of` every few seconds."""
    points: tuple[Point, ...] = ()
    methods: str = ""
    waiting: tuple[Mapping[str, str], ...] = ()
    pace: tuple[Figure, ...] = ()
    lights: tuple[Figure, ...] = ()
    lights_of: str = ""
    integrity: tuple[Figure, ...] = ()
    reasons: tuple[str, ...] = field(default=())
    """Of the last decision, as the gate wrote them."""
    decided: str = ""
    """The cycle that was decided last."""
    alerts: tuple[tuple[str, str], ...] = ()
    """Level and sentence of each that stands (`app.views.alerts`)."""


def read(index: Index, here: Here, window: int = WINDOWS[0]) -> View:
    """Ask the record."""
    told = index.told
    rows = index.latest(window)
    named = {row["cycle"]: row for row in index.told_of([told["champion"]] if told["champion"] else [])}
    plan = plan_of(here.root)
    seen = look(index, here.root, plan) if plan else None
    return view_of(here.words, Told(
        loop=told, cycles=index.cycles(), rows=rows, champion=named.get(told["champion"]), running=running_in(index),
        acts=seen.acts if seen else index.state().acts, waiting=seen.waiting if seen else (), used=index.used,
        alerts=alerts_of(seen, plan.alerts) if plan and seen else (), budgets=plan.budgets if plan else None,
        card=plan.gate.card if plan else Card(), integrity=standing(here.root), now=now("seconds"),
    ))  # fmt: skip


def view_of(words: Words, told: Told) -> View:
    """The page for what the record tells."""
    decided = [row for row in told.rows if row["decision"]]
    last = decided[-1] if decided else None
    points = points_of(told.rows)
    lit = next((row for row in reversed(told.rows) if row["lights"]), None)
    lights = tuple(_light(words, name, state, lit["card"].get(name)) for name, state in lit["lights"].items()) if lit else ()
    waiting = tuple(_waiting(words, one) for one in reversed(told.waiting))
    tables = [_light_table(words, lit, told.card)] if lit else []
    tables += [budget_table(words, told.budgets, told.used, told.rows), threshold_table(words, told.used)]
    pace = _pace(words, told.rows)
    headline = (*_headline(words, told, last), _needs(words, told, waiting), _badge(words, told.integrity))
    return View(
        sheet=Sheet(
            title=words("title", name=told.loop["name"]), notices=tuple(_notices(words, told)),
            figures=(*headline, *pace) if told.cycles else (), tables=tables,
            facts={"cycles": list(told.rows), "tightening": tightening(told.rows)},
        ),
        running=told.running, points=points,
        methods=", ".join(sorted({point.method for point in points})), waiting=waiting, pace=pace, lights=lights,
        lights_of=lit["cycle"] if lit else "", integrity=_integrity(words, told.integrity),
        reasons=tuple(last["reasons"]) if last else (), decided=last["cycle"] if last else "",
        alerts=tuple((one.level, sentence(words, one)) for one in told.alerts),
    )  # fmt: skip


def _notices(words: Words, told: Told) -> list[Notice]:
    found = []
    if told.loop["demo"]:
        found.append(Notice(kind="info", title=words("demo")))
    if not told.cycles:
        found.append(Notice(kind="info", title=words("no_cycle"), command="loopwright run"))
    if told.budgets is None and told.cycles:
        found.append(Notice(kind="error", title=words("no_plan"), command="loopwright config check"))
    for kind, statements in (("halted", told.acts.halts), ("frozen", told.acts.freezes)):
        found += [
            Notice(
                kind="error",
                title=words(kind, time=words.time(one.predicate[f"{kind}_at"])),
                detail=one.predicate["reason"],
                command=f"loopwright {'resume' if kind == 'halted' else 'unfreeze'}",
            )
            for one in statements[-1:]
        ]
    if told.acts.recalls:
        found.append(
            Notice(
                kind="warning",
                title=words("recalled", n=words.count(len(told.acts.recalls))),
                command="loopwright recall --list",
            )
        )
    if told.running and (failure := failed(told.running.row)):
        name = words.named("phase", failure["phase"])
        title = words("failed", phase=name, cycle=told.running.row["cycle"], attempt=failure["attempt"])
        found.append(
            Notice(kind="error", title=title, detail=f"{failure['error']}: {failure['message']}", command="loopwright run")
        )
    return found


def _headline(words: Words, told: Told, last: Mapping[str, Any] | None) -> tuple[Figure, ...]:
    best = told.champion
    score = best["sealed"] if best else None
    gain = words("gain_of", gain=words.score(last["gain"], signed=True)) if last and last["gain"] else words("no_gain")
    return (
        Figure(label=words("champion"), value=best["cycle"] if best else words("none_yet"), note=words("of_cycles", n=words.count(told.cycles))),
        Figure(
            label=words("champion_score"), value=words.number(score["value"]) if score else words("none_yet"),
            note=words.interval(score) if score else words("not_scored"),
        ),
        Figure(
            label=words("last_decision"),
            value=words.named("decision", last["decision"]) if last and last["decision"] in _MARKS else words("decision.unknown") if last else words("none_yet"),
            note=f"{last['cycle']}: {gain}" if last else words("not_judged"),
        ),
    )  # fmt: skip


def _needs(words: Words, told: Told, waiting: Sequence[Any]) -> Figure:
    standing_now = len(told.acts.halts[-1:]) + len(told.acts.freezes[-1:])
    count = len(waiting) + standing_now
    note = words("needs_you") if count else words("needs_nothing")
    return Figure(label=words("waits"), value=words.count(count), note=note, mark="wait" if count else "")


def _badge(words: Words, told: Standing) -> Figure:
    said: Mapping[str, tuple[str, Mark]] = {
        "sound": (words("integrity.sound"), "good"), "broken": (words("integrity.broken"), "bad"),
        "checking": (words("integrity.checking"), "none"), "none": (words("integrity.none"), "none"),
    }  # fmt: skip
    value, mark = said[told.state]
    note = (
        words("verified_to", entry=words.count(told.covered), size=words.count(told.size)) if told.state == "sound" else value
    )
    if told.state == "broken":
        note = words("breaks_at", entry=words.count(told.breaks)) if told.breaks is not None else words("broken_note")
    return Figure(label=words("record"), value=value, note=note, mark=mark)


def _integrity(words: Words, told: Standing) -> tuple[Figure, ...]:
    if told.state not in {"sound", "broken"}:
        return ()
    last = told.witnesses[-1] if told.witnesses else None
    return (
        Figure(label=words("verified_at"), value=words(f"integrity.{told.state}"), note=words("verified_how", time=words.time(told.at), size=words.count(told.size)), mark="" if told.state == "sound" else "bad"),
        Figure(label=words("under_checkpoint"), value=words.count(told.covered), note=words("under_checkpoint_note", rest=words.count(told.size - told.covered))),
        Figure(
            label=words("witness"), value=str(last["name"]) if last else words("none"),
            note=words("witness_note", entry=words.count(last["size"])) if last else words("no_witness"), mark="" if last else "warn",
        ),
    )  # fmt: skip


def _pace(words: Words, rows: Sequence[Mapping[str, Any]]) -> tuple[Figure, ...]:
    told = tightening(rows)
    seconds, rates = told["cycle_seconds"], told["gain_per_hour"]
    if not seconds:
        return ()
    hourly = 3600 / statistics.median(seconds)
    return (
        Figure(label=words("cycle_time"), value=words.span(statistics.median(seconds)), note=_trend(words, told["cycle_seconds_trend"], 1, "s", better="down")),
        Figure(label=words("rate"), value=words.number(hourly, 1), note=words("median_of", n=words.count(len(seconds)))),
        Figure(
            label=words("gain_rate"), value=words.number(statistics.mean(rates), 3, signed=True) if rates else words("none_yet"),
            note=_trend(words, told["gain_per_hour_trend"], 3, "", better="up"),
        ),
    )  # fmt: skip


def _trend(words: Words, trend: Mapping[str, Any] | None, digits: int, unit: str, *, better: str) -> str:
    if trend is None:
        return words("no_trend")
    low, high = trend["low"], trend["high"]
    way = "flat" if low <= 0 <= high else "rising" if low > 0 else "falling"
    value, low, high = (
        words.number(one, digits, signed=True) + (f"\u00a0{unit}" if unit else "") for one in (trend["value"], low, high)
    )
    return words(f"trend.{way}", value=value, low=low, high=high, n=words.count(trend["n"]))


def _waiting(words: Words, found: Waiting) -> Mapping[str, str]:
    one = found.request
    quorum = one.said["quorum"]
    return {
        "id": one.id, "action": words.of("decisions").named("action", one.action), "since": words.time(one.said["requested_at"]), "until": words.time(one.said["expires_at"]),
        "answers": words("answers", n=words.count(len(one.answers)), of=words.count(quorum["persons"])), "about": str(one.said["details"].get("cycle") or ""),
    }  # fmt: skip


def _light(words: Words, name: str, state: str, score: Mapping[str, Any] | None) -> Figure:
    return Figure(
        label=words.named("card", name), value=words.number(score["value"] if score else None),
        note=words.named("light", state), mark=_LIGHTS.get(state, "none"),
    )  # fmt: skip


def _light_table(words: Words, row: Mapping[str, Any], card: Card) -> Table:
    rules = {name: getattr(card, name, None) for name in row["lights"]}
    rows = [
        {
            "figure": words.named("card", name), "state": words.named("light", state), **_bounds(rules[name]),
            **{key: (row["card"].get(name) or {}).get(key) for key in ("value", "low", "high", "n", "method")}, "says": words.named("card_says", name),
        }
        for name, state in row["lights"].items()
    ]  # fmt: skip
    columns = (
        Column(key="figure", label=words("column.figure")), Column(key="state", label=words("column.state")),
        *(Column(key=key, label=words(f"column.{key}"), kind="number") for key in ("value", "low", "high")),
        Column(key="n", label="n", kind="count"), Column(key="warn", label=words("column.warn")), Column(key="stop", label=words("column.stop")),
        Column(key="method", label=words("column.method")), Column(key="says", label=words("column.says"), width="large"),
    )  # fmt: skip
    return Table(
        name="lights", title=words("lights_table", cycle=row["cycle"]), columns=columns, rows=rows, note=words("lights_note")
    )


def _bounds(rule: Any) -> dict[str, str | None]:
    if rule is None or isinstance(rule, bool):
        return {"warn": None, "stop": None}
    sign = ">" if rule.bad == "above" else "<"
    return {name: None if (limit := getattr(rule, name)) is None else f"{sign} {limit:g}" for name in ("warn", "stop")}
