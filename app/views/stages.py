"""The running cycle as plain values: which phase it is in, how fast it goes, how long it still takes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.words import Words
from loopwright.index import Index

__all__ = ["Running", "Stage", "Strip", "failed", "running_in", "strip_of"]

SILENT = 3
"""A phase that takes so many times the longest before it may have nobody who runs it."""
PHASES = ("generate", "verify", "merge", "train", "evaluate", "examine", "decide")
_SEED = ("seed", "train", "evaluate", "examine", "decide")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An open cycle, as the record tells it: the same until the record grows."""

    row: Mapping[str, Any]
    """`overview.cycle_row`."""
    since: str = ""
    """When the phase that now runs began, as far as the record knows."""
    usual: Mapping[str, Sequence[float]]
    """Wall times by phase of the last cycles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One phase of the running cycle."""

    name: str
    state: Literal["done", "now", "failed", "todo"]
    note: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The phases of the cycle, and in words how fast it goes and how long it still takes."""

    stages: tuple[Stage, ...]
    left: str


def running_in(index: Index) -> Running | None:
    """The cycle that is open; None where none is."""
    name = index.told["open"]
    if not name:
        return None
    [row] = index.told_of([name])
    moments = (value for one in index.entries(name) for key, value in one.predicate.items() if key.endswith("_at"))
    return Running(row=row, since=max(moments, default=""), usual=index.seconds_by_phase())


def failed(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last failed attempt of a cycle, as long as no later one of its phase has ended well."""
    open_ones = [failure for failure in row["failures"] if failure["phase"] not in row["seconds"]]
    return open_ones[-1] if open_ones else None


def strip_of(words: Words, told: Running, moment: str) -> Strip:
    """The strip at a moment (RFC 3339)."""
    row = told.row
    order = _SEED if row["parent"] is None else PHASES
    done, bad = row["seconds"], failed(row)
    now = next((name for name in order if name not in done), None)
    found = []
    for name in order:
        state = "done" if name in done else "failed" if bad and bad["phase"] == name else "now" if name == now else "todo"
        usual = statistics.median(told.usual[name]) if told.usual.get(name) else None
        note = words.span(done[name]) if name in done else words("usually", time=words.span(usual)) if usual is not None else ""
        found.append(Stage(name=words.named("phase", name), state=state, note=note, words=words(f"stage.{state}")))
    left = "" if bad else _left(words, told, [name for name in order if name not in done], moment)
    return Strip(stages=tuple(found), left=left)


def _left(words: Words, told: Running, coming: Sequence[str], moment: str) -> str:
    """Time left: medians of the last cycles' phases, less what the running one has had; with the shortest and the longest of them."""
    if not coming or not all(told.usual.get(name) for name in coming):
        return words("no_forecast")
    passed = 0.0
    if told.since:
        passed = max(0.0, (datetime.fromisoformat(moment) - datetime.fromisoformat(told.since)).total_seconds())
    rest, least, most = (_rest([pick(told.usual[name]) for name in coming], passed) for pick in (statistics.median, min, max))
    n = min(len(told.usual[name]) for name in coming)
    said = words("time_left", left=words.span(rest), least=words.span(least), most=words.span(most), n=words.count(n))
    if passed > SILENT * max(told.usual[coming[0]]) + 60:
        said = words(
            "silent",
            time=words.span(passed),
            phase=words.named("phase", coming[0]),
            most=words.span(max(told.usual[coming[0]])),
        )
    return said


def _rest(each: Sequence[float], passed: float) -> float:
    """Seconds of the coming phases, of which the first has run for a while."""
    return max(0.0, each[0] - passed) + sum(each[1:])
