"""The log entry by entry, and who looked at it, as plain values: searched and paged in the index, one entry whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from app.sheet import Column, Figure, Mark, Sheet, Table
from app.words import Words
from loopwright.index import Index
from loopwright.ledger.access import differing, event_of, looks
from loopwright.ledger.roster import Roster
from loopwright.ledger.statement import Statement
from loopwright.types import digest_bytes

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["ACTIONS", "LOOKERS", "MOST", "ROWS", "TABS", "Asked", "Detail", "View", "lines_of", "read"]

ROWS = 25
MOST = 50_000
"""Entries or lines that one file takes away."""
TABS = ("record", "access")
LOOKERS = ("compliance",)
"""Roles that see who looked."""
ACTIONS = ("page", "show", "export", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    tab: str = TABS[0]
    text: str = ""
    kinds: Sequence[str] = ()
    who: str = ""
    """A key id, or a role: whose entries."""
    cycle: str = ""
    page: int = 1
    entry: int | None = None
    """The entry to show whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One entry."""

    entry: int
    figures: Sequence[Figure]
    statement: str
    """The signed words, as JSON on many lines."""
    stored: str
    """The envelope as it is stored: the leaf that is hashed."""
    cycle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    total: int = 0
    pages: int = 1
    entries: Sequence[int] = ()
    """Of the rows, in order."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    """Whose entries may be asked for: codes and what they are called."""
    detail: Detail | None = None
    gone: int | None = None
    """An entry that was asked for and is not there."""
    forbidden: bool = False


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record."""
    roster = index.state().roster
    if asked.tab == "access":
        return _looked(index, here, asked, roster)
    words = here.words
    found = index.log(
        kinds=asked.kinds,
        text=asked.text,
        keys=_keys(index, roster, asked.who),
        cycle=asked.cycle,
        start=(asked.page - 1) * ROWS,
        limit=ROWS,
    )
    detail = _detail(words, index, roster, asked.entry) if asked.entry is not None else None
    columns = (
        Column(key="idx", label=words("column.entry"), kind="count"), Column(key="kind", label=words("column.kind")), Column(key="cycle", label=words("cycle")),
        Column(key="phase", label=words("column.phase")), Column(key="role", label=words("column.role")), Column(key="keyid", label=words("column.key")),
        Column(key="at", label=words("column.at"), kind="time"), Column(key="event", label=words("column.event"), width="large"),
    )  # fmt: skip
    rows = [
        {
            **row,
            "at": _time(row["at"]),
            "kind": words.named("kind", row["kind"]),
            "role": _role(words, roster, row["keyid"]),
            "phase": words.named("phase", row["phase"]) if row["phase"] else None,
        }
        for row in found.rows
    ]
    table = Table(name="entries", title="", columns=columns, rows=rows, total=found.total)
    facts = {"entry": json.loads(detail.statement)} if detail else {}
    return View(
        sheet=Sheet(title=words("title"), tables=(table,), facts=facts), total=found.total, pages=max(1, -(-found.total // ROWS)), entries=[row["idx"] for row in found.rows],
        kinds=index.kinds(), people=_people(words, index, roster), detail=detail, gone=asked.entry if asked.entry is not None and detail is None else None,
    )  # fmt: skip


def lines_of(root: Path, asked: Asked) -> Iterator[bytes]:
    """All entries that the filter lets through, newest first, at most `MOST`: JSON lines of number and signed words."""
    with Index.open(root) as index:
        keys, start = _keys(index, index.state().roster, asked.who), 0
        while start < MOST:
            found = index.log(kinds=asked.kinds, text=asked.text, keys=keys, cycle=asked.cycle, start=start, limit=500)
            told = {one.index: one for one in index.statements(row["idx"] for row in found.rows)}
            yield from (_line(told[row["idx"]]) for row in found.rows)
            start += 500
            if start >= found.total:
                return


def _line(one: Statement) -> bytes:
    said = {
        "entry": one.index,
        "kind": one.kind,
        "key": one.keyid,
        "subjects": [{"path": item.path, "kind": item.kind, "digest": item.digest} for item in one.subjects],
    }
    return json.dumps({**said, "predicate": one.predicate}, sort_keys=True).encode() + b"\n"


def _role(words: Words, roster: Roster, key: str) -> str | None:
    held = roster.holdings.get(key)
    if held is None:
        return None
    return ", ".join((words.named("signer", held.principal.role), *(words.named("duty", one) for one in held.principal.duties)))


def _people(words: Words, index: Index, roster: Roster) -> dict[str, str]:
    """Persons and roles that have signed something."""
    counts = index.signers()
    roles = sorted({held.principal.role for key in counts if (held := roster.holdings.get(key))})
    named = {role: words.named("signer", role) for role in roles}
    return {**named, **{key: f"{_role(words, roster, key) or '?'} {key}" for key in counts}}


def _keys(index: Index, roster: Roster, who: str) -> list[str] | None:
    """The keys that a role or a key id names; None: everybody's."""
    if not who:
        return None
    return [key for key in index.signers() if key == who or ((held := roster.holdings.get(key)) and held.principal.role == who)]


def _detail(words: Words, index: Index, roster: Roster, entry: int) -> Detail | None:
    raw = index.raw(entry)
    if raw is None:
        return None
    [one] = index.statements([entry])
    held = roster.holdings.get(one.keyid)
    kind = words.named("holder", held.principal.kind) if held else words("unknown_key")
    revoked = words("revoked", n=words.count(held.revoked)) if held and held.revoked is not None else kind
    figures = (
        Figure(label=words("column.kind"), value=words.named("kind", one.kind), note=words("entry", n=words.count(entry))),
        Figure(label=words("signed_by"), value=words.named("signer", held.principal.role) if held else one.keyid, note=f"{_role(words, roster, one.keyid) or one.keyid}, {one.keyid}, {revoked}", mark="" if held else "bad"),
        Figure(label=words("subjects"), value=words.count(len(one.subjects)), note=", ".join(item.kind for item in one.subjects[:4])),
        Figure(label=words("stored"), value=words("bytes", n=words.count(len(raw))), note=digest_bytes(raw)[:23]),
    )  # fmt: skip
    told = {
        "kind": one.kind,
        "subjects": [{"path": item.path, "kind": item.kind, "digest": item.digest} for item in one.subjects],
        "predicate": one.predicate,
    }
    cycle = one.predicate.get("cycle")
    return Detail(
        entry=entry, figures=figures, statement=json.dumps(told, indent=2, sort_keys=True), stored=raw.decode("utf-8", "replace"),
        cycle=cycle if isinstance(cycle, str) else "",
    )  # fmt: skip


def _looked(index: Index, here: Here, asked: Asked, roster: Roster) -> View:
    """Who looked at the record or took a copy, newest first; read as far as the page goes."""
    words = here.words
    if not here.visitor.may(LOOKERS):
        return View(sheet=Sheet(title=words("title")), forbidden=True)
    text = asked.text.lower()
    fitting = (
        (file, line) for file, line in looks(here.root)
        if (not asked.kinds or line.get("action") in asked.kinds) and (not asked.who or line.get("by") == asked.who) and (not text or text in json.dumps(line).lower())
    )  # fmt: skip
    lines = list(islice(fitting, MOST))
    shown = lines[(asked.page - 1) * ROWS : asked.page * ROWS]
    kept = {file: _kept(words, index, here.root, file) for file in dict.fromkeys(file for file, _ in shown)}
    rows = [{
        "at": _time(line.get("at")), "action": words.named("action", str(line.get("action", words("unreadable")))), "subject": str(line.get("subject", line.get("unreadable", ""))),
        "by": str(line.get("by", "")), "role": _role(words, roster, str(line.get("by", ""))), "kept": kept[file],
    } for file, line in shown]  # fmt: skip
    marks: Mapping[str, Mark] = {words("kept.changed"): "bad", words("kept.anchored"): "good"}
    columns = (
        Column(key="at", label=words("column.at"), kind="time"), Column(key="action", label=words("column.action")), Column(key="subject", label=words("column.subject"), width="medium"),
        Column(key="by", label=words("column.key")), Column(key="role", label=words("column.role")), Column(key="kept", label=words("column.kept"), marks=marks),
    )  # fmt: skip
    table = Table(name="access", title="", columns=columns, rows=rows, total=len(lines), note=words("access_note"))
    people = {
        key: f"{_role(words, roster, key) or '?'} {key}" for key in sorted({str(line.get("by", "")) for _, line in lines})
    }
    return View(
        sheet=Sheet(title=words("title"), tables=(table,)),
        total=len(lines),
        pages=max(1, -(-len(lines) // ROWS)),
        people=people,
    )


def _time(told: object) -> str | None:
    """A time as it can be written; None for what is none."""
    try:
        return told if isinstance(told, str) and datetime.fromisoformat(told).tzinfo is not None else None
    except ValueError:
        return None


def _kept(words: Words, index: Index, root: Path, file: Path) -> str:
    """Whether the file is anchored in the record, and is as it was then."""
    found = [row["idx"] for row in index.log(kinds=("anchor",), text=event_of(file)).rows if row["event"] == event_of(file)]
    if not found:
        return words("kept.open")
    [said] = [one.predicate for one in index.statements(found[-1:])]
    return words("kept.changed" if list(differing(root, said)) else "kept.anchored")
