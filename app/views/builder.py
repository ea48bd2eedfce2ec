"""Who is checking the builder, as plain values: of one cycle, phase by phase, from the record alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Figure, Mark, Notice, Sheet, Table
from app.words import Words
from loopwright.checks import checks
from loopwright.index import Index
from loopwright.ledger.fold import LoopState, fold

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["View", "read", "view_of"]

VERDICTS: Mapping[str, Mark] = {"independent": "good", "shared": "bad", "not checked": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    cycle: str = ""
    before: str | None = None
    after: str | None = None
    answer: str = ""


def read(index: Index, here: Here, cycle: str = "") -> View:
    """Ask the record: about this cycle, or the newest in which something was checked."""
    words = here.words
    newest = [row["cycle"] for row in index.latest(20) if "evaluate" in row["seconds"] or "verify" in row["seconds"]]
    name = cycle or (newest[-1] if newest else "")
    rows = index.told_of([name]) if name else []
    if not rows:
        notice = (
            Notice(kind="error", title=words.of("cycle")("gone", cycle=name), command="loopwright status")
            if name
            else Notice(kind="info", title=words("nothing"), command="loopwright run")
        )
        return View(sheet=Sheet(title=words("title"), notices=(notice,)), cycle=name)
    state = index.state(*(one for one in (name, rows[0]["parent"]) if one))
    if state.cycles[name].phases.get("verify") and state.cycles[name].phases["verify"].summary.get("judge_models"):
        state = fold(index.statements(range(index.told["size"])))  # a judging model's whole lineage counts
    before, after = index.beside(name)
    return view_of(words, state, name, before, after)


def view_of(words: Words, state: LoopState, name: str, before: str | None = None, after: str | None = None) -> View:
    """The page for one cycle of a state."""
    links = checks(state, state.cycles[name])
    count = {verdict: sum(link["verdict"] == verdict for link in links) for verdict in VERDICTS}
    figures = [
        Figure(
            label=words(f"verdict.{verdict}"),
            value=words.count(number),
            note=words(f"note.{verdict}"),
            mark=mark if number and verdict != "not checked" else "",
        )
        for (verdict, number), mark in zip(count.items(), VERDICTS.values(), strict=True)
    ]
    answer = words("answer", cycle=name, n=words.count(count["independent"]), of=words.count(len(links)))
    sheet = Sheet(title=words("title"), figures=figures, tables=[_table(words, links)], facts={"checks": links})
    return View(sheet=sheet, cycle=name, before=before, after=after, answer=answer)


def _table(words: Words, links: Sequence[Mapping[str, Any]]) -> Table:
    marks = {words(f"verdict.{verdict}"): mark for verdict, mark in VERDICTS.items()}
    columns = (
        Column(key="phase", label=words("column.phase")), Column(key="verdict", label=words("column.verdict"), marks=marks), Column(key="maker", label=words("column.maker")),
        Column(key="checker", label=words("column.checker")), Column(key="shared", label=words("column.shared"), marks={}), Column(key="code", label=words("column.code"), width="medium"),
        Column(key="model", label=words("column.model"), kind="digest"),
    )  # fmt: skip
    rows = [_row(words, link) for link in links]
    shared: Mapping[str, Mark] = {row["shared"]: "bad" for row in rows if row["shared"] not in {None, words("none")}}
    columns = tuple(Column(key=one.key, label=one.label, marks=shared) if one.key == "shared" else one for one in columns)
    return Table(name="checks", title=words("table"), columns=columns, rows=rows, note=words("note"))


def _row(words: Words, link: Mapping[str, Any]) -> Mapping[str, Any]:
    common = [*link["shared_keys"], *(digest.removeprefix("sha256:")[:12] for digest in link["shared_ancestors"])]
    code = link["shared_code"]
    return {
        "phase": words.named("phase", link["phase"]), "verdict": words.named("verdict", link["verdict"]), "maker": link["maker"], "checker": link["checker"],
        "shared": (", ".join(common) or words("none")) if link["checker"] else None, "model": link["model"],
        "code": None if code is None else ", ".join(name.removeprefix("loopwright.") for name in code) or words("none"),
    }  # fmt: skip
