"""What a person can do to a loop from outside, as plain values: each act with what it does, who may, and what ends it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.counter import digest_of, plan_of, rules_of
from app.sheet import Column, Figure, Notice, Sheet, Table
from app.views.decided import NAMES, signer, signers_of
from app.words import Words
from loopwright.index import Filter, Index
from loopwright.ledger.fold import LoopState
from loopwright.ledger.names import names_of

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["ACTS", "SIGNED", "View", "command", "read"]

ACTS = ("pause", "halt", "freeze", "resume", "unfreeze", "rollback")
SIGNED = ("halt", "freeze", "resume", "unfreeze")
"""Acts that are a person's own signed entry; the others are done by whoever may use the driver's account."""
CHOICES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    state: LoopState
    people: Mapping[str, str]
    """Key ids of enrolled persons with names."""
    act: str = ""
    effect: str = ""
    who: str = ""
    undo: str = ""
    possible: str = ""
    """Why it can't be done now; empty where it can."""
    promoted: Sequence[str] = ()
    digest: str = ""


def read(index: Index, here: Here, act: str = "", *, tell: bool = False) -> View:
    """Ask the record. ``tell``: make the daily digest as well."""
    words, plan, state = here.words, plan_of(here.root), index.near()
    names = names_of(here.root, state.roster) if here.visitor.may(NAMES) else {}
    told = index.told
    promoted = [row["cycle"] for row in index.page(Filter(decisions=("promote",)), limit=CHOICES).rows]
    quorum = rules_of(plan, state) if plan else {}
    table = _standing(words, state, names)
    figures = (
        Figure(label=words("now"), value=words(_mode(state, told)), mark="bad" if state.acts.halts or state.acts.freezes else "good" if told["open"] else "none"),
        Figure(label=words("champion"), value=told["champion"] or words("none")),
        Figure(label=words("open"), value=told["open"] or words("none")),
    )  # fmt: skip
    notices = [] if plan else [Notice(kind="error", title=words("no_plan"), command="loopwright config check")]
    text = digest_of(index, here.root, plan, state) if tell else ""
    return View(
        sheet=Sheet(title=words("title"), notices=notices, figures=figures, tables=[table], facts={"digest": text} if text else {}), act=act,
        effect=words(f"{act}.effect") if act else "", who=words(f"{act}.who", n=_persons(quorum, act)) if act else "", undo=words(f"{act}.undo", n=_persons(quorum, act)) if act else "",
        possible=_possible(words, act, state, told, promoted, readable=plan is not None) if act else "",
        people=signers_of(here, state),
        promoted=[name for name in promoted if name != told["champion"]], state=state, digest=text,
    )  # fmt: skip


def _mode(state: LoopState, told: Mapping[str, Any]) -> str:
    if state.acts.freezes:
        return "frozen"
    if state.acts.halts:
        return "halted"
    return "turning" if told["open"] else "resting"


def _persons(quorum: Mapping[str, Mapping[str, Any]], act: str) -> str:
    rule = quorum.get("strict" if act in {"freeze", "unfreeze"} else "ordinary")
    return str(rule["persons"]) if rule else "?"


def _possible(
    words: Words, act: str, state: LoopState, told: Mapping[str, Any], promoted: Sequence[str], *, readable: bool
) -> str:
    reasons = {
        "pause": "" if told["open"] else words("pause.not"),
        "halt": "",
        "freeze": words("freeze.not") if state.acts.freezes else "",
        "resume": "" if state.acts.halts or _gate_halted(state, told) else words("resume.not"),
        "unfreeze": "" if state.acts.freezes else words("unfreeze.not"),
        "rollback": words("rollback.open", cycle=told["open"])
        if told["open"]
        else ""
        if len(promoted) > 1
        else words("rollback.not"),
    }
    return reasons[act] if readable or act not in SIGNED else words("no_plan")


def _gate_halted(state: LoopState, told: Mapping[str, Any]) -> bool:
    last = state.cycles.get(told["last"] or "")
    return bool(last and last.action == "halt")


def _standing(words: Words, state: LoopState, names: Mapping[str, str]) -> Table:
    told = [
        {
            "what": words(kind), "at": one.predicate.get(moment), "leaf": one.index, "reason": one.predicate["reason"],
            "by": one.predicate.get("by") or signer(words, state, names, one.keyid),
        }
        for kind, moment, found in (("freeze", "frozen_at", state.acts.freezes), ("halt", "halted_at", state.acts.halts))
        for one in found
    ]  # fmt: skip
    columns = (
        Column(key="what", label=words("standing.what"), marks={words("halt"): "bad", words("freeze"): "bad"}), Column(key="at", label=words("standing.at"), kind="time"),
        Column(key="by", label=words("standing.by")), Column(key="reason", label=words("standing.reason"), width="large"), Column(key="leaf", label=words("standing.entry"), kind="count"),
    )  # fmt: skip
    return Table(name="standing", title=words("standing"), columns=columns, rows=told)


def command(act: str, reason: str = "", cycle: str = "") -> str:
    """What does the same at a terminal."""
    why = shlex.quote(reason.strip() or "WHY")
    return {
        "pause": "kill -INT PROCESS",
        "halt": f"loopwright halt --reason {why}",
        "freeze": f"loopwright freeze --reason {why}",
        "resume": "loopwright resume",
        "unfreeze": "loopwright unfreeze",
        "rollback": f"loopwright rollback {cycle or 'CYCLE'} --reason {why}",
    }[act]
