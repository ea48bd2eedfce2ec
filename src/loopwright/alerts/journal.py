"""The alerts of a workspace over time: lines of JSON in ``.loopwright/alerts.jsonl``, of which nothing is ever changed.

A line says that an alert was raised, was sent, or stands no more. What stands is a fold over the lines. It is no evidence: the record is,
and an alert can be computed from it again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loopwright.alerts.rules import Alert

__all__ = ["FILE", "Kept", "keep", "kept", "lines_for", "note_sent", "told"]

FILE = Path(".loopwright") / "alerts.jsonl"
"""Relative to the workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An alert as it is kept: raised once, and it stands until it is cleared."""

    id: str
    rule: str
    level: str
    text: str
    since: str
    told: Mapping[str, Any]
    raised_at: str
    cleared_at: str | None = None
    sent_at: str | None = None


def kept(root: Path) -> tuple[Kept, ...]:
    """Every alert that was ever raised here, oldest first; one that came back is there twice."""
    try:
        text = (root / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return told(text.splitlines())


def told(lines: Iterable[str]) -> tuple[Kept, ...]:
    """The fold; a line that is half written or of another form is left out."""
    found: list[Kept] = []
    for line in lines:
        try:
            found = _after(found, json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def _after(found: list[Kept], said: Mapping[str, Any]) -> list[Kept]:
    """One line later."""
    if said["event"] == "raised":
        names = ("id", "rule", "level", "text", "since", "told")
        return [*found, Kept(**{name: said[name] for name in names}, raised_at=said["at"])]
    field = {"cleared": "cleared_at", "sent": "sent_at"}[said["event"]]
    place = max((number for number, one in enumerate(found) if one.id == said["id"]), default=None)
    if place is not None:
        found[place] = replace(found[place], **{field: said["at"]})
    return found


def lines_for(before: Sequence[Kept], now: Sequence[Alert], at: str, unseen: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """What is new and what is over. ``unseen``: rules that were not looked at this time, of which nothing is over."""
    standing = {one.id for one in before if one.cleared_at is None}
    for one in now:
        if one.id not in standing:
            names = ("id", "rule", "level", "text", "since")
            yield {"at": at, "event": "raised", **{name: getattr(one, name) for name in names}, "told": dict(one.told)}
    present = {one.id for one in now}
    for one in before:
        if one.cleared_at is None and one.id not in present and one.rule not in unseen:
            yield {"at": at, "event": "cleared", "id": one.id}


def keep(root: Path, now: Sequence[Alert], at: str, unseen: Sequence[str] = ()) -> tuple[Kept, ...]:
    """Write down what is new and what is over; everything that is kept then. OSError where it cannot be written."""
    with _alone(root):
        _append(root, lines_for(kept(root), now, at, unseen))
        return kept(root)


def note_sent(root: Path, ids: Iterable[str], at: str) -> None:
    """They have left."""
    with _alone(root):
        _append(root, ({"at": at, "event": "sent", "id": one} for one in ids))


def _append(root: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    data = "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines).encode()
    if not data:
        return
    descriptor = os.open(root / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """A driver and a timer that look at the same moment raise nothing twice."""
    place = root / FILE
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
