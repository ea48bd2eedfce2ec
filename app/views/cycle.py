"""One cycle as plain values: summary, gate, samples, rows, slices, cost, evidence. Only the tab that is looked at is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Figure, Mark, Notice, Sheet, Table
from app.views.changes import changes_between, changes_table, gain_table
from app.views.gating import configuration, gate_table
from app.views.overview import failed
from app.views.samples import Samples, read_samples, sample_table
from app.words import Words
from loopwright.budgets import Used
from loopwright.errors import LoopwrightError
from loopwright.index import Index
from loopwright.ledger.fold import CycleRecord
from loopwright.ledger.overview import cycle_row
from loopwright.ledger.statement import Statement
from loopwright.trace.diff import diff
from loopwright.workspace import Workspace

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["LONG", "TABS", "Asked", "View", "read"]

TABS = ("summary", "gate", "samples", "data", "slices", "cost", "evidence")
CONFIDENTIAL = ("samples",)
SEES = ("engineer", "manager", "compliance")
"""Roles that see prompts and answers."""
LONG = 20_000
"""Entries of a log above which rows are compared only when somebody asks for it: the whole record is read."""
_MARKS: Mapping[str, Mark] = {"promote": "good", "hold": "wait", "halt": "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    cycle: str = ""
    """Empty: the newest."""
    tab: str = TABS[0]
    change: str = ""
    level: str = ""
    page: int = 1
    rows: bool = False
    """Compare the rows although the log is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    cycle: str = ""
    parent: str = ""
    before: str | None = None
    after: str | None = None
    tables: Sequence[Table] = ()
    """Of the tab."""
    samples: Samples | None = None
    levels: Sequence[str] = ()
    reasons: Sequence[str] = ()
    forbidden: bool = False
    ask_rows: int = 0
    """Entries that comparing the rows would read, where nobody asked for it yet."""
    dossier: Path | None = None
    """The built document, where there is one."""


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record."""
    words, name = here.words, asked.cycle or (index.latest(1)[-1]["cycle"] if index.cycles() else "")
    if not name:
        return View(
            sheet=Sheet(
                title=words.of("common")("page.cycle"),
                notices=(Notice(kind="info", title=words("no_cycle"), command="loopwright run"),),
            )
        )
    told = index.told_of([name])
    if not told:
        gone = Notice(kind="error", title=words("gone", cycle=name), detail=words("gone_detail"), command="loopwright status")
        return View(sheet=Sheet(title=words("gone_title"), notices=(gone,)), cycle=name)
    parent = told[0]["parent"]
    state = index.state(*(one for one in (name, parent) if one))
    record, before = state.cycles[name], state.cycles.get(parent or "")
    found = _tab(index, here, asked, record, before)
    beside = index.beside(name)
    figures = _figures(words, told[0], champion=index.told["champion"] == name)
    sheet = Sheet(
        title=words("title", cycle=name), notices=_notices(words, told[0]), figures=figures, tables=found.get("tables", ()),
        facts={"cycle": told[0]},
    )  # fmt: skip
    return View(
        sheet=sheet, cycle=name, parent=parent or "", before=beside[0], after=beside[1], levels=sorted(told[0]["gate_levels"], key=int), reasons=told[0]["reasons"], **found
    )  # fmt: skip


def _notices(words: Words, row: Mapping[str, Any]) -> tuple[Notice, ...]:
    if (failure := failed(row)) is None:
        return ()
    title = words("failed", phase=words.named("phase", failure["phase"]), attempt=failure["attempt"])
    return (Notice(kind="error", title=title, detail=f"{failure['error']}: {failure['message']}", command="loopwright run"),)


def _figures(words: Words, row: Mapping[str, Any], *, champion: bool) -> tuple[Figure, ...]:
    decision, gain = row["decision"], row["gain"]
    said = (
        words.named("decision", decision or "open")
        if decision in {None, "promote", "reject", "hold", "halt"}
        else words("decision.unknown")
    )
    note = (
        words("is_champion") if champion else words("from_parent", parent=row["parent"]) if row["parent"] else words("is_seed")
    )
    scores = [
        Figure(
            label=words(f"suite.{suite}"),
            value=words.number(row[suite]["value"] if row[suite] else None),
            note=words.interval(row[suite]),
        )
        for suite in ("sealed", "gate")
    ]
    return (
        Figure(label=words("decision"), value=said, note=note, mark=_MARKS.get(decision or "", "none")),
        *scores,
        Figure(label=words("gain"), value=words.number(gain["value"] if gain else None, signed=True), note=words.interval(gain) if gain else words("not_tested")),
        Figure(label=words("rows_accepted"), value=words.count(row["accepted"]), note=words("refused", n=words.count(sum(row["refused"].values())))),
        Figure(label=words("took"), value=words.span(row["wall_seconds"]), note=words("opened", time=words.time(row["opened_at"]))),
    )  # fmt: skip


def _tab(index: Index, here: Here, asked: Asked, record: CycleRecord, parent: CycleRecord | None) -> dict[str, Any]:
    words, entries = here.words, index.entries(record.cycle)
    if asked.tab in CONFIDENTIAL and not here.visitor.may(SEES):
        return {"forbidden": True}
    match asked.tab:
        case "summary":
            changes = changes_between(index, here.root, [parent.cycle, record.cycle]) if parent else ()
            return {"tables": [_phases(words, record), gain_table(words, changes), changes_table(words, changes)]}
        case "gate":
            digest = next(
                (one.predicate["config"] for one in entries if one.kind == "phase" and one.predicate["phase"] == "decide"), None
            )
            return {"tables": [gate_table(words, record, configuration(here.root, record.cycle, "decide", digest))]}
        case "samples":
            told = read_samples(here.root, record, parent, asked.change, asked.level, asked.page)
            return {"samples": told, "tables": [sample_table(words, told)]}
        case "data":
            return _data(words, index, here.root, asked, record, parent)
        case "slices":
            return {"tables": _slices(words, cycle_row(record))}
        case "cost":
            return {"tables": [_cost(words, entries, index.used.parameters)]}
    dossier = here.root / "build" / "reports" / f"cycle-{record.cycle}.pdf"
    return {"tables": [_evidence(words, record, entries)], "dossier": dossier if dossier.is_file() else None}


def _phases(words: Words, record: CycleRecord) -> Table:
    columns = (
        Column(key="phase", label=words("phase.name")), Column(key="started_at", label=words("phase.started"), kind="time"), Column(key="seconds", label=words("phase.seconds"), kind="span"),
        Column(key="attempt", label=words("phase.attempt"), kind="count"), Column(key="tokens", label=words("phase.tokens"), kind="count"), Column(key="host", label=words("phase.host")),
        Column(key="isolation", label=words("phase.isolation")), Column(key="leaf", label=words("phase.leaf"), kind="count"),
    )  # fmt: skip
    rows = [
        {
            "phase": words.named("phase", name), "started_at": done.started_at, "seconds": done.seconds, "attempt": done.attempt, "tokens": done.summary.get("tokens"),
            "host": done.environment.get("host"), "leaf": done.index,
            "isolation": ", ".join(f"{level} {words.count(count)}" for level, count in done.summary.get("isolation", {}).items()) or None,
        }
        for name, done in record.phases.items()
    ]  # fmt: skip
    return Table(name="phases", title=words("phases"), columns=columns, rows=rows)


def _data(
    words: Words, index: Index, root: Path, asked: Asked, record: CycleRecord, parent: CycleRecord | None
) -> dict[str, Any]:
    refused = cycle_row(record)["refused"]
    columns = (
        Column(key="why", label=words("data.why"), width="large"),
        Column(key="rows", label=words("data.rows"), kind="count"),
    )
    rows = [
        {"why": words.named("refusal", why), "rows": count} for why, count in sorted(refused.items(), key=lambda pair: -pair[1])
    ]
    tables = [Table(name="refused", title=words("data.refused"), columns=columns, rows=rows)]
    if parent is None:
        return {"tables": tables}
    if index.told["size"] > LONG and not asked.rows:
        return {"tables": tables, "ask_rows": index.told["size"]}
    return {"tables": [_rows(words, root, parent.cycle, record.cycle), *tables]}


def _rows(words: Words, root: Path, one: str, other: str) -> Table:
    """Rows that came, went or changed from the parent's archive to this one."""
    columns = (
        Column(key="change", label=words("data.change")), Column(key="level", label=words("sample.level"), kind="count"), Column(key="origin", label=words("data.origin")),
        Column(key="rows", label=words("data.rows"), kind="count"),
    )  # fmt: skip
    title = words("data.title", parent=one)
    try:
        told = diff(Workspace(root=root), one, other)["data"]
    except (LoopwrightError, OSError) as error:
        return Table(
            name="rows",
            title=title,
            columns=columns,
            rows=(),
            note=words("data.none", why=getattr(error, "message", str(error))),
        )
    rows = [
        {**row, "change": words.named("data", row["change"]), "origin": words.named("origin", row["origin"])}
        for row in told["by"]
    ]
    note = words(
        "data.note",
        **{
            name: words.count(told[key])
            for name, key in (("new", "in"), ("gone", "out"), ("changed", "changed"), ("same", "same"))
        },
    )
    return Table(name="rows", title=title, columns=columns, rows=rows, note=note)


def _slices(words: Words, row: Mapping[str, Any]) -> list[Table]:
    number = [Column(key=key, label=words(f"slice.{key}"), kind="number") for key in ("value", "low", "high")]
    counted = Column(key="n", label="n", kind="count")
    levels = [
        {"suite": words(f"suite.{suite}"), "level": int(level), **score}
        for suite in ("sealed", "gate")
        for level, score in sorted(row[f"{suite}_levels"].items(), key=lambda pair: int(pair[0]))
    ]
    found = [
        {"slice": name, "association": told["association"], "difference": told["difference"], **{f"{end}_{key}": told[end][key] for end in ("best", "worst") for key in ("value", "rate", "n")}}
        for name, told in row["slices"].items()
    ]  # fmt: skip
    stress = [{"probe": name, **score} for name, score in row["stress"].items() if score]
    return [
        Table(
            name="slices", title=words("slice.title"), rows=found, note=words("slice.note"),
            columns=(
                Column(key="slice", label=words("slice.name")), Column(key="difference", label=words("slice.difference"), kind="number"), Column(key="association", label=words("slice.association"), kind="number"),
                *(Column(key=f"{end}_{key}", label=words(f"slice.{end}_{key}"), kind=kind) for end in ("best", "worst") for key, kind in (("value", "text"), ("rate", "number"), ("n", "count"))),
            ),
        ),
        Table(name="levels", title=words("level.title"), rows=levels, columns=(Column(key="suite", label=words("suite")), Column(key="level", label=words("sample.level"), kind="count"), *number, counted, Column(key="method", label=words("slice.method")))),
        Table(name="stress", title=words("stress.title"), rows=stress, columns=(Column(key="probe", label=words("stress.probe")), *number, counted, Column(key="method", label=words("slice.method")))),
    ]  # fmt: skip


def _cost(words: Words, entries: Sequence[Statement], parameters: int) -> Table:
    """Each attempt's time, tokens, FLOP and energy."""
    rows = []
    for one in entries:
        if one.kind not in {"phase", "failure"}:
            continue
        used = Used(parameters=parameters).after(one)
        measured = one.predicate.get("environment", {}).get("energy_kwh") is not None
        rows.append({
            "phase": words.named("phase", one.predicate["phase"]), "attempt": one.predicate["attempt"], "ended": words("ended.well" if one.kind == "phase" else "ended.badly"), "seconds": used.seconds,
            "tokens": one.predicate.get("summary", {}).get("tokens"), "flop": used.flop or None, "kwh": used.kwh if measured else None,
            "method": words("cost.measured" if measured else "cost.unmeasured"),
        })  # fmt: skip
    columns = (
        Column(key="phase", label=words("phase.name")), Column(key="attempt", label=words("phase.attempt"), kind="count"), Column(key="ended", label=words("phase.ended")), Column(key="seconds", label=words("phase.seconds"), kind="span"),
        Column(key="tokens", label=words("phase.tokens"), kind="count"), Column(key="flop", label=words("cost.flop"), kind="size"), Column(key="kwh", label=words("cost.kwh"), kind="size"), Column(key="method", label=words("cost.method"), width="large"),
    )  # fmt: skip
    return Table(name="cost", title=words("cost.title"), columns=columns, rows=rows, note=words("cost.note"))


def _evidence(words: Words, record: CycleRecord, entries: Sequence[Statement]) -> Table:
    signers = {one.index: one.keyid for one in entries}
    rows = [
        {
            "phase": words.named("phase", name),
            "kind": item.kind,
            "path": item.path,
            "digest": item.digest,
            "leaf": done.index,
            "key": signers.get(done.index),
        }
        for name, done in record.phases.items()
        for item in done.artifacts
    ]
    columns = (
        Column(key="phase", label=words("phase.name")), Column(key="kind", label=words("evidence.kind")), Column(key="path", label=words("evidence.path")), Column(key="digest", label=words("evidence.digest"), width="large"),
        Column(key="leaf", label=words("phase.leaf"), kind="count"), Column(key="key", label=words("evidence.key")),
    )  # fmt: skip
    return Table(name="evidence", title=words("evidence.title"), columns=columns, rows=rows, note=words("evidence.note"))
