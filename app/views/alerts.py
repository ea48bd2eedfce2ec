"""Alerts as plain values: what stands by the rules of the plan, looked at now, and what stood before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.counter import plan_of
from app.integrity import standing
from app.sheet import Column, Figure, Mark, Notice, Sheet, Table
from app.words import Words
from loopwright.alerts import Alert, Kept, Seen, alerts_of, kept
from loopwright.alerts.seen import seen_by
from loopwright.index import Index
from loopwright.plan import Plan
from loopwright.policy import Alerts

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["View", "look", "read", "sentence", "view_of"]

LEVELS: Mapping[str, Mark] = {"critical": "bad", "warning": "warn"}
SHOWN = 200
"""Of those that are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet


def read(index: Index, here: Here) -> View:
    """Look now, beside what was kept."""
    plan = plan_of(here.root)
    alerts = alerts_of(look(index, here.root, plan), plan.alerts) if plan else ()
    return view_of(here.words, alerts, kept(here.root), plan.alerts if plan else None)


def look(index: Index, root: Path, plan: Plan) -> Seen:
    """What stands now, and whether the record is what was signed as far as that is known."""
    told = standing(root)
    return seen_by(index, root, plan, len(told.findings) if told.state == "broken" else 0 if told.state == "sound" else None)


def sentence(words: Words, alert: Alert | Kept) -> str:
    """What it says, in the reader's language."""
    told: dict[str, Any] = dict(alert.told)
    for key, value in told.items():
        told[key] = _written(words, key, value)
    try:
        return words.of("alerts")(f"says.{alert.rule}", **told)
    except KeyError:  # of a rule that this version does not know
        return alert.text


def _written(words: Words, key: str, value: Any) -> Any:
    if key == "figure":
        return words.of("overview").named("card", value)
    if key == "action":
        return words.of("decisions").named("action", value)
    if key == "phase":
        return words.named("phase", value)
    if key == "name":
        return words.of("alerts").named("budget", value)
    if key == "expires":
        return words.time(value)
    if key == "share":
        return words.share(value)
    if key == "hours":
        return words.number(value, 1)
    return words.size(value) if isinstance(value, float) else words.count(value) if isinstance(value, int) else value


def view_of(words: Words, alerts: Sequence[Alert], before: Sequence[Kept], rules: Alerts | None) -> View:
    """The page for what stands and what was kept."""
    notices = [] if rules is not None else [Notice(kind="error", title=words("no_plan"), command="loopwright config check")]
    if rules is not None and not alerts:
        notices.append(Notice(kind="success", title=words("none_stands")))
    count = {level: sum(one.level == level for one in alerts) for level in LEVELS}
    figures = tuple(
        Figure(
            label=words(f"level.{level}"),
            value=words.count(number),
            note=words(f"note.{level}"),
            mark=LEVELS[level] if number else "",
        )
        for level, number in count.items()
    )
    return View(
        sheet=Sheet(
            title=words("title"),
            notices=notices,
            figures=figures,
            tables=[_now(words, alerts, before), _past(words, before), *_rules(words, rules)],
        )
    )


def _now(words: Words, alerts: Sequence[Alert], before: Sequence[Kept]) -> Table:
    known = {one.id: one for one in before if one.cleared_at is None}
    rows = [
        {"level": words(f"level.{one.level}"), "says": sentence(words, one), "since": one.since or (known[one.id].raised_at if one.id in known else None), "sent": known[one.id].sent_at if one.id in known else None}
        for one in alerts
    ]  # fmt: skip
    return Table(
        name="standing",
        title=words("standing"),
        columns=_columns(words, "since", "sent"),
        rows=rows,
        note=words("standing_note"),
    )


def _past(words: Words, before: Sequence[Kept]) -> Table:
    over = [one for one in before if one.cleared_at is not None][-SHOWN:][::-1]
    rows = [
        {
            "level": words.named("level", one.level),
            "says": sentence(words, one),
            "raised": one.raised_at,
            "cleared": one.cleared_at,
            "sent": one.sent_at,
        }
        for one in over
    ]
    return Table(name="past", title=words("past"), columns=_columns(words, "raised", "cleared", "sent"), rows=rows)


def _columns(words: Words, *times: str) -> tuple[Column, ...]:
    marks = {words(f"level.{level}"): mark for level, mark in LEVELS.items()}
    return (
        Column(key="level", label=words("column.level"), marks=marks), Column(key="says", label=words("column.says"), width="large"),
        *(Column(key=key, label=words(f"column.{key}"), kind="time") for key in times),
    )  # fmt: skip


def _rules(words: Words, rules: Alerts | None) -> list[Table]:
    if rules is None:
        return []
    told = rules.model_dump()
    rows = [
        {"rule": words.named("rule", name), "value": _setting(words, name, value), "key": f"alerts.{name}"}
        for name, value in told.items()
    ]
    columns = (
        Column(key="rule", label=words("column.rule"), width="large"),
        Column(key="value", label=words("column.value")),
        Column(key="key", label=words("column.key")),
    )
    return [Table(name="rules", title=words("rules"), columns=columns, rows=rows, note=words("rules_note"))]


def _setting(words: Words, name: str, value: Any) -> str:
    if value is None:
        return words("never")
    if isinstance(value, bool):
        return words("yes" if value else "no")
    return words.share(value) if name == "budget" else words.size(value)
