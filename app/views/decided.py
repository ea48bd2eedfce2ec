"""What persons answered, how carefully they look, and who may stand in for whom, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Mark, Table
from app.words import Words
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.names import names_of
from loopwright.ledger.quorum import is_canary

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["NAMES", "about", "care", "cover", "history", "lacks", "outcome", "signer", "signers_of"]

NAMES = ("manager", "compliance")
"""Roles that see the names of persons; all others see key ids."""

_MORE, _DUTY = re.compile(r"(\d+) more persons?"), re.compile(r"a person with the duty '(.*)'")
MARKS: Mapping[str, Mark] = {"executed": "good", "vetoed": "bad", "expired": "none", "void": "none", "granted": "good", "open": "wait", "planted": "warn"}  # fmt: skip


def about(words: Words, action: str, details: Mapping[str, Any]) -> str:
    """What is asked for, in one line."""
    told = [f"{value}" for key, value in details.items() if key in {"cycle", "path"} and value]
    name = words.named("action", action)
    return f"{name}: {', '.join(told)}" if told else name


def outcome(request: Request, now: str, standing: str | None = None) -> str:
    """What became of it. ``standing``: of one that is not over, what `quorum.standing` says."""
    if is_canary(request):
        return "planted"
    if request.executed is not None:
        return "executed"
    if standing is not None:
        return standing
    if any(not answer.approves for answer in request.answers):
        return "vetoed"
    return "expired" if request.said["expires_at"] <= now else "void"


def lacks(words: Words, missing: Sequence[str]) -> str:
    """What an open request still lacks, in the reader's language; what this doesn't know is shown as it is."""
    found = [(one, _MORE.fullmatch(one), _DUTY.fullmatch(one)) for one in missing]
    return "; ".join(
        words("lacks.persons", n=more[1]) if more else words("lacks.duty", duty=duty[1]) if duty else one
        for one, more, duty in found
    )


def history(words: Words, state: LoopState, names: Mapping[str, str], open_now: Mapping[str, str], now: str) -> Table:
    """Every request with its answers, newest first; one row an answer. ``open_now``: standing by id of those that are not over."""
    marks = {words(f"outcome.{name}"): mark for name, mark in MARKS.items()}
    columns = (
        Column(key="asked_at", label=words("history.asked_at"), kind="time"), Column(key="about", label=words("history.about"), width="medium"),
        Column(key="outcome", label=words("history.outcome"), marks=marks), Column(key="answer", label=words("history.answer")),
        Column(key="by", label=words("history.by")), Column(key="answered_at", label=words("history.answered_at"), kind="time"),
        Column(key="looked", label=words("history.looked"), kind="span"), Column(key="reason", label=words("history.reason"), width="large"),
        Column(key="entry", label=words("history.entry"), kind="count"), Column(key="request", label=words("history.request"), kind="digest"),
    )  # fmt: skip
    rows = [row for one in list(state.acts.requests.values())[::-1] for row in _rows(words, one, state, names, open_now, now)]
    return Table(name="history", title=words("history"), columns=columns, rows=rows, note=words("history.note"))


def _rows(
    words: Words, request: Request, state: LoopState, names: Mapping[str, str], open_now: Mapping[str, str], now: str
) -> Sequence[Mapping[str, Any]]:
    told: dict[str, Any] = {
        "asked_at": request.said["requested_at"], "about": about(words, request.action, request.said["details"]),
        "outcome": words(f"outcome.{outcome(request, now, open_now.get(request.id))}"), "request": request.id,
    }  # fmt: skip
    answers = [
        {
            **told, "answer": words("yes_said" if one.approves else "no_said"), "by": signer(words, state, names, one.key), "answered_at": one.said.get("answered_at"),
            "looked": _looked(one.said), "reason": one.said.get("reason"), "entry": one.index,
        }
        for one in request.answers
    ]  # fmt: skip
    return answers or [{**told, "entry": request.index}]


def signer(words: Words, state: LoopState, names: Mapping[str, str], key: str) -> str:
    """Who holds a key, as far as the reader may know; a demonstration's keys are said to be that."""
    note = state.roster.note(key)
    return f"{names.get(key, key)} ({words('demo_key')})" if note else names.get(key, key)


def signers_of(here: Here, state: LoopState) -> dict[str, str]:
    """Key ids of enrolled persons, with names as far as the reader may know them."""
    names = names_of(here.root, state.roster) if here.visitor.may(NAMES) else {}
    return {one.id: signer(here.words.of("decisions"), state, names, one.id) for one in state.roster.current("person")}


def _looked(said: Mapping[str, Any]) -> float | None:
    try:
        opened, signed = (datetime.fromisoformat(said[name]) for name in ("opened_at", "answered_at"))
        return seconds if (seconds := (signed - opened).total_seconds()) >= 0 else None
    except (KeyError, TypeError, ValueError):
        return None


def care(words: Words, told: Mapping[str, Any], *, names: bool) -> Table:
    """`loopwright.govern.trust.trust`, person by person."""
    rows = [
        {
            "name": one["name"] if names else words("care.somebody", n=number), "answers": one["answers"], "unopened": one["without_opening"],
            "seconds": one["seconds_median"], "seconds_n": one["seconds_n"], "planted": one["planted"],
            **{f"{key}_{part}": _part(words, one[key], part) for key in ("approved", "caught") for part in ("value", "interval")},
        }
        for number, one in enumerate(told["persons"], 1)
    ]  # fmt: skip
    columns = (
        Column(key="name", label=words("care.name")), Column(key="answers", label=words("care.answers"), kind="count"),
        Column(key="approved_value", label=words("care.approved"), kind="share"), Column(key="approved_interval", label=words("care.interval")),
        Column(key="seconds", label=words("care.seconds"), kind="span"), Column(key="seconds_n", label=words("care.seconds_n"), kind="count"),
        Column(key="unopened", label=words("care.unopened"), kind="count"), Column(key="planted", label=words("care.planted"), kind="count"),
        Column(key="caught_value", label=words("care.caught"), kind="share"), Column(key="caught_interval", label=words("care.interval")),
    )  # fmt: skip
    return Table(name="care", title=words("care"), columns=columns, rows=rows, note=words("care.note"))


def _part(words: Words, score: Mapping[str, Any] | None, part: str) -> Any:
    if not score:
        return None
    return score["value"] if part == "value" else words.interval(score)


def cover(words: Words, state: LoopState, rules: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> Sequence[Table]:
    """Who may sign, and what stops where one of them is away."""
    people: dict[str, list[Any]] = {}
    for one in state.roster.current("person"):
        people.setdefault(one.who, []).append(one)
    rows = []
    for name, rule in rules.items():
        for duty in (None, *rule["duties"]):
            able = [keys for keys in people.values() if duty is None or any(duty in key.duties for key in keys)]
            least = rule["persons"] if duty is None else 1
            spare = len(able) - least - 1  # whoever asks or launches does not count
            rows.append({
                "rule": words(f"cover.{name}"), "needs": words("cover.persons", n=least) if duty is None else words("cover.duty", duty=duty),
                "have": len(able), "who": _names(words, state, names, [keys[0].id for keys in able]),
                "absence": words("cover.enough" if spare >= 1 else "cover.tight" if spare == 0 else "cover.short"),
            })  # fmt: skip
    marks: Mapping[str, Mark] = {words("cover.enough"): "good", words("cover.tight"): "warn", words("cover.short"): "bad"}
    columns = (
        Column(key="rule", label=words("cover.rule")), Column(key="needs", label=words("cover.needs")), Column(key="have", label=words("cover.have"), kind="count"),
        Column(key="who", label=words("cover.who"), width="large"), Column(key="absence", label=words("cover.absence"), marks=marks),
    )  # fmt: skip
    return (Table(name="cover", title=words("cover"), columns=columns, rows=rows, note=words("cover.note")),)


def _names(words: Words, state: LoopState, names: Mapping[str, str], keys: Sequence[str]) -> str | None:
    """One after the other; what they are is said once."""
    told = ", ".join(names.get(key, key) for key in keys)
    return f"{told} ({words('cover.demo')})" if any(map(state.roster.note, keys)) else told or None
