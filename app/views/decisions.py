"""The queue of decisions as plain values: what waits, what is asked exactly, who may sign, what a signature does, what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.counter import plan_of, rules_of, signed_words, standing_of, trust, waiting
from app.sheet import Column, Figure, Notice, Sheet, Table
from app.views.decided import NAMES, about, care, cover, history, lacks, outcome, signer
from app.views.evidence import Evidence, evidence_of
from app.words import Words
from loopwright.index import Index
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.names import names_of
from loopwright.ledger.quorum import Standing, excluded
from loopwright.plan import Plan

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["TABS", "Asked", "Chosen", "Item", "View", "read"]

TABS = ("open", "history", "care", "cover")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    tab: str = TABS[0]
    request: str = ""
    """A request's id, or at least six digits of its beginning."""
    opened: bool = False
    """The visitor has opened the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One request that waits."""

    id: str
    about: str
    signed: str
    lacks: str
    until: str
    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The request that is looked at."""

    request: Request
    title: str
    effect: str
    """What a yes does."""
    veto: str
    """What a no does; empty where it is over."""
    figures: Sequence[Figure]
    words: Sequence[tuple[str, str]]
    """What is signed."""
    signers: Mapping[str, str]
    """Key ids of those whose yes would count, with names."""
    barred: Mapping[str, str]
    """Key ids of enrolled persons whose yes would not count, with why."""
    answerable: bool
    who: Table
    evidence: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    state: LoopState
    names: Mapping[str, str]
    """Of persons by key id; none where the visitor may not know them."""
    tab: str = TABS[0]
    queue: Sequence[Item] = ()
    chosen: Chosen | None = None


def read(asked: Asked, index: Index, here: Here) -> View:
    """Ask the record."""
    words, plan, state = here.words, plan_of(here.root), index.near()
    may = here.visitor.may(NAMES)
    names = names_of(here.root, state.roster) if may else {}
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    rows = waiting(here.root, plan, state) if plan else []
    queue = tuple(_item(words, row, state) for row in rows)
    notices = _notices(words, plan, queue, asked)
    chosen, tables = None, list[Table]()
    if asked.tab == "history":
        tables = [history(words, state, names, {row["request"]: row["status"] for row in rows}, now)]
    elif asked.tab == "care":
        tables = [care(words, trust(state, here.root), names=may)]
    elif asked.tab == "cover" and plan:
        tables = list(cover(words, state, rules_of(plan, state), names))
    elif plan:
        found = [one for one in state.acts.requests.values() if one.id.startswith(f"sha256:{asked.request}")]
        if len(asked.request) >= 6 and found:
            evidence = evidence_of(words, index, here.root, found[-1]) if asked.opened else None
            standing = standing_of(here.root, plan, state, found[-1])
            chosen = chosen_of(words, found[-1], standing, state, names, signed_words(index, found[-1]), evidence, now)
        elif asked.request:
            notices = [
                *notices,
                Notice(kind="error", title=words("gone", request=asked.request), command="loopwright answer --all"),
            ]
        tables = [_queue_table(words, rows, queue)]
    shown = [*tables, *((chosen.who, *(chosen.evidence.tables if chosen.evidence else ())) if chosen else ())]
    facts: dict[str, Any] = {"request": dict(chosen.words)} if chosen else {}
    sheet = Sheet(title=words("title"), notices=notices, tables=shown, figures=chosen.figures if chosen else (), facts=facts)
    return View(sheet=sheet, tab=asked.tab, queue=queue, chosen=chosen, state=state, names=names)


def _notices(words: Words, plan: Plan | None, queue: Sequence[Item], asked: Asked) -> list[Notice]:
    if plan is None:
        return [Notice(kind="error", title=words("no_plan"), command="loopwright config check")]
    if asked.tab == "open" and not queue:
        return [Notice(kind="success", title=words("nothing_waits"), command="" if asked.request else "loopwright run")]
    return []


def _item(words: Words, row: Mapping[str, Any], state: LoopState) -> Item:
    quorum = state.acts.requests[row["request"]].said["quorum"]
    granted = row["status"] == "granted"
    return Item(
        id=row["request"][7:19], about=about(words, row["action"], row["details"]), granted=granted,
        signed=words("signed_of", n=len(row["approvals"]), of=quorum["persons"]),
        lacks=words("granted") if granted else lacks(words, row["missing"]),
        until=words("until", time=words.time(row["expires_at"])),
    )  # fmt: skip


def _queue_table(words: Words, rows: Sequence[Mapping[str, Any]], queue: Sequence[Item]) -> Table:
    """For taking away; on the page each row has its button."""
    told = [
        {"about": item.about, "request": row["request"], "signed": item.signed, "lacks": item.lacks, "asked_at": row["requested_at"], "until": row["expires_at"]}
        for row, item in zip(rows, queue, strict=True)
    ]  # fmt: skip
    columns = (
        Column(key="about", label=words("history.about")), Column(key="request", label=words("history.request"), kind="digest"), Column(key="signed", label=words("queue.signed")),
        Column(key="lacks", label=words("queue.lacks")), Column(key="asked_at", label=words("history.asked_at"), kind="time"), Column(key="until", label=words("queue.until"), kind="time"),
    )  # fmt: skip
    return Table(name="queue", title=words("queue"), columns=columns, rows=told)


def chosen_of(
    words: Words, request: Request, found: Standing, state: LoopState, names: Mapping[str, str], told: Sequence[tuple[str, str]],
    evidence: Evidence | None, now: str,
) -> Chosen:  # fmt: skip
    """The one request, for what the record tells."""
    answered = {state.roster.holdings[one.key].principal.who for one in request.answers if one.key in state.roster.holdings}
    barred = excluded(request, state.roster)
    people = state.roster.current("person")
    free = {one.id: signer(words, state, names, one.id) for one in people if one.who not in barred and one.who not in answered}
    alive = found.status in {"open", "granted"}
    quorum = request.said["quorum"]
    figures = (
        Figure(label=words("standing"), value=words(f"outcome.{outcome(request, now, found.status)}"), note="; ".join(found.reasons)[:300]),
        Figure(label=words("signatures"), value=words("n_of", n=len(found.approvals), of=quorum["persons"]), note=lacks(words, found.missing)),
        Figure(label=words("expires"), value=words.ago(request.said["expires_at"]), note=words.time(request.said["expires_at"])),
        Figure(label=words("asked_by"), value=words("asked_by_run") if request.said.get("by") == "run" else names.get(request.key, request.key), note=words("asked_at", time=words.time(request.said["requested_at"]))),
    )  # fmt: skip
    details = {
        "cycle": "",
        "instead_of": words("none"),
        "path": "",
        **{key: value for key, value in request.said["details"].items() if value},
    }
    return Chosen(
        request=request, title=about(words, request.action, request.said["details"]), figures=figures, words=told, evidence=evidence, answerable=alive,
        effect=words(f"effect.{request.action}", cycle=details["cycle"], instead=details["instead_of"], path=details["path"]) if f"effect.{request.action}" in EFFECTS else words("effect.other"),
        veto=words("effect.no") if alive else "", signers=free,
        barred={one.id: words.named("barred", barred[one.who]) if one.who in barred else words("barred.answered") for one in people if one.id not in free},
        who=_who(words, people, names, free, barred),
    )  # fmt: skip


EFFECTS = frozenset(
    f"effect.{action}" for action in ("promote", "resume", "unfreeze", "recipe", "judge", "policy", "envelope", "admission")
)


def _who(
    words: Words,
    people: Sequence[Any],
    names: Mapping[str, str],
    free: Mapping[str, str],
    barred: Mapping[str, str],
) -> Table:
    rows = [
        {
            "name": names.get(one.id, one.id), "duties": ", ".join(one.duties) or None, "custody": words.named("custody", one.custody) if one.kind == "person" else words("demo_key"),
            "may": words("may") if one.id in free else words.named("barred", barred.get(one.who, "answered")), "key": one.id,
        }
        for one in people
    ]  # fmt: skip
    columns = (
        Column(key="name", label=words("who.name")), Column(key="duties", label=words("who.duties")), Column(key="may", label=words("who.may"), marks={words("may"): "good"}),
        Column(key="custody", label=words("who.custody")), Column(key="key", label=words("who.key")),
    )  # fmt: skip
    return Table(name="who", title=words("who"), columns=columns, rows=rows, note=words("who.note"))
