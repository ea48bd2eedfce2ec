"""What the pages show, as plain values: read the record, then a pure function of it. No Streamlit here.

`load` is the only reader of files. `view_of` turns the fold over the record into headline, curve, table and notices; it
is what the tests look at, and nothing in it depends on a browser, a clock or the machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from loopwright.checks import checks
from loopwright.errors import LoopwrightError
from loopwright.ledger import Ledger
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.overview import overview

__all__ = ["NEWEST", "Figure", "Notice", "Point", "View", "load", "view_of", "workspace"]

Suite = Literal["Sealed suite", "Gate suite"]
WORKSPACE = "LOOPWRIGHT_WORKSPACE"
DECISIONS: Mapping[str | None, str] = {
    "promote": "promoted", "reject": "rejected", "hold": "on hold", "halt": "halted", None: "open",
}  # fmt: skip
NEWEST = "Newest"
"""Instead of a cycle's name: whichever was checked last."""
UNKNOWN = "unknown"
"""A word of a later version: shown as such, since headline and legend take no text from the record."""
AFTER: Mapping[str, str] = {
    "seed": "train", "generate": "verify", "verify": "merge", "merge": "train", "train": "evaluate", "evaluate": "examine",
    "examine": "decide", "decide": "closing",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know before the figures, and what to do about it."""

    kind: Literal["info", "warning", "error"]
    title: str
    detail: str = ""
    """Shown as it is, never as Markdown: it may hold what a model or a library wrote."""
    command: str = ""
    """The next command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One box of the headline."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One score of one cycle on one suite."""

    cycle: str
    suite: Suite
    value: float
    low: float
    high: float
    n: int
    method: str
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page of cycles."""

    title: str
    live: bool
    """A cycle is open: look again by yourself."""
    notices: tuple[Notice, ...]
    figures: tuple[Figure, ...]
    points: tuple[Point, ...]
    methods: str
    """How the intervals of the curve were made."""
    rows: tuple[Mapping[str, Any], ...]
    """Newest first; keys are the column labels."""
    reasons: tuple[str, ...]
    """Of the last decision, as written by the gate."""
    answer: str = ""
    """Who is checking the builder, in a sentence."""
    checks: tuple[Mapping[str, Any], ...] = ()
    """The same as a table, a row a phase; keys are the column labels."""


def workspace() -> Path:
    """The workspace to show: the first argument after ``--``, or ``LOOPWRIGHT_WORKSPACE``, or the current folder."""
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get(WORKSPACE, ".")
    return Path(given).expanduser().resolve()


def load(root: Path, checked: str = NEWEST) -> View:
    """Read the workspace's record; whatever is wrong with it becomes a notice, since a page always has to say something.

    Args:
        root: The workspace.
        checked: The cycle of which the page tells who checked it.
    """
    if not (root / "ledger").is_dir() and not (root / ".loopwright").is_dir():
        return _nothing(Notice(
            kind="info", title="There is no record here yet.", detail=f"No ledger in {root}",
            command="loopwright init lab && cd lab && loopwright run",
        ))  # fmt: skip
    try:
        ledger = Ledger.open(root)
        try:
            state = fold(ledger.statements())
        finally:
            ledger.close()
    except LoopwrightError as error:
        return _nothing(Notice(kind="error", title="The record cannot be read.", detail=error.message, command=error.next_step))
    return view_of(state, checked)


def _nothing(notice: Notice) -> View:
    return View(title="Cycles", live=False, notices=(notice,), figures=(), points=(), methods="", rows=(), reasons=())


def view_of(state: LoopState, checked: str = NEWEST) -> View:
    """The page of cycles for a state of the loop."""
    told = overview(state)
    answer, links = _checked(state, checked)
    cycles = told["cycles"]
    decided = [row for row in cycles if row["decision"]]
    points = tuple(point for row in cycles for point in _points(row))
    return View(
        title=f"Cycles of {state.name}",
        live=state.open is not None,
        notices=tuple(_notices(state, cycles)),
        figures=tuple(_figures(state, cycles, decided)) if cycles else (),
        points=points,
        methods=", ".join(sorted({point.method for point in points})),
        rows=tuple(_row(row, state.champion) for row in reversed(cycles)),
        reasons=tuple(decided[-1]["reasons"]) if decided else (),
        answer=answer,
        checks=links,
    )


def _checked(state: LoopState, wanted: str) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """Who is checking the builder: of the cycle that is asked for, or of the newest in which something was checked."""
    record = state.cycles.get(wanted)
    if record is None:
        told = [one for one in state.cycles.values() if "evaluate" in one.phases or "verify" in one.phases]
        record = told[-1] if told else None
    links = checks(state, record) if record else []
    if record is None or not links:
        return "", ()
    count = {said: sum(link["verdict"] == said for link in links) for said in ("independent", "shared", "not checked")}
    said = f"{count['independent']} of {len(links)} phases were checked by another one that shares neither key nor ancestor with it"
    more = f"; {count['shared']} by one that does" if count["shared"] else ""
    return f"{record.cycle}: {said}{more}; {count['not checked']} by nobody but the readers of the record.", tuple(
        _check(link) for link in links
    )


def _check(link: Mapping[str, Any]) -> Mapping[str, Any]:
    common = [*link["shared_keys"], *(_short(digest) for digest in link["shared_ancestors"])]
    code = link["shared_code"]
    return {
        "Phase": link["phase"],
        "Verdict": link["verdict"],
        "Made by": link["maker"],
        "Checked by": link["checker"],
        "Shared key or ancestor": (", ".join(common) or "none") if link["checker"] else None,
        "Shared code": None if code is None else ", ".join(name.removeprefix("loopwright.") for name in code) or "none",
        "Model (sha256)": _short(link["model"]) if link["model"] else None,
    }


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _notices(state: LoopState, cycles: Sequence[Mapping[str, Any]]) -> list[Notice]:
    found = []
    if state.demo:
        found.append(Notice(kind="info", title="Demonstration: whoever signs here is a demonstration key, not a person."))
    if not cycles:
        found.append(Notice(kind="info", title="No cycle has begun yet.", command="loopwright run"))
    if state.open is not None:
        found.append(_open_cycle(next(row for row in cycles if row["cycle"] == state.open)))
    return found


def _open_cycle(row: Mapping[str, Any]) -> Notice:
    name, done = row["cycle"], tuple(row["seconds"])
    failed = _failed(row)
    if failed:
        return Notice(
            kind="error",
            title=f"The {failed['phase']} phase of {name} failed at attempt {failed['attempt']}. Nothing that was done is lost.",
            detail=f"{failed['error']}: {failed['message']}",
            command="loopwright run",
        )
    coming = AFTER.get(done[-1], "closing") if done else ("seed" if row["parent"] is None else "generate")
    return Notice(
        kind="info", title=f"{name} is open: {len(done)} phases done, now {coming}. This page looks again every 5 seconds."
    )


def _figures(state: LoopState, cycles: Sequence[Mapping[str, Any]], decided: Sequence[Mapping[str, Any]]) -> list[Figure]:
    champion = next((row for row in cycles if row["cycle"] == state.champion), None)
    last = decided[-1] if decided else None
    return [
        _champion(state.champion, champion),
        Figure(
            label="Last decision",
            value=DECISIONS.get(last["decision"], UNKNOWN).capitalize() if last else "None yet",
            note=f"{last['cycle']}, gain {_gain(last['gain'])}" if last else "no cycle was judged",
        ),
        Figure(label="Last sealed score", value=_value(last, "sealed"), note=_interval(last["sealed"] if last else None)),
        Figure(
            label="Record", value=f"{state.leaves:,} entries".replace(",", "\u00a0"), note="readable; loopwright verify checks it",
        ),
    ]  # fmt: skip


def _champion(name: str | None, row: Mapping[str, Any] | None) -> Figure:
    if name is None or row is None:
        return Figure(label="Champion", value="None yet", note="the seed model is not judged yet")
    score = row["sealed"]
    note = f"sealed {_number(score['value'])} ({_interval(score)})" if score else "not scored"
    return Figure(label="Champion", value=name, note=note)


def _value(row: Mapping[str, Any] | None, suite: str) -> str:
    return _number(row[suite]["value"]) if row and row[suite] else "None yet"


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212")


def _interval(score: Mapping[str, Any] | None) -> str:
    return f"{_number(score['low'])} to {_number(score['high'])}, n {score['n']}" if score else "not measured"


def _gain(score: Mapping[str, Any] | None) -> str:
    if not score:
        return "not tested"
    sign = "+" if score["value"] > 0 else ""
    return f"{sign}{_number(score['value'])} ({_number(score['low'])} to {_number(score['high'])})"


def _points(row: Mapping[str, Any]) -> list[Point]:
    named: Sequence[tuple[Suite, Any]] = (("Sealed suite", row["sealed"]), ("Gate suite", row["gate"]))
    return [
        Point(
            cycle=row["cycle"], suite=suite, value=score["value"], low=score["low"], high=score["high"], n=score["n"],
            method=score["method"], decision=DECISIONS.get(row["decision"], UNKNOWN),
        )
        for suite, score in named
        if score
    ]  # fmt: skip


def _failed(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last failed attempt, as long as no later one of its phase has ended well."""
    open_ones = [failure for failure in row["failures"] if failure["phase"] not in row["seconds"]]
    return open_ones[-1] if open_ones else None


def _standing(row: Mapping[str, Any], champion: str | None) -> str:
    if row["decision"] is None and _failed(row):
        return "open, failed"
    decision = DECISIONS.get(row["decision"], UNKNOWN)
    return f"{decision} (champion)" if row["cycle"] == champion else decision


def _row(row: Mapping[str, Any], champion: str | None) -> Mapping[str, Any]:
    sealed, gate = row["sealed"], row["gate"]
    return {
        "Cycle": row["cycle"],
        "Decision": _standing(row, champion),
        "Sealed": sealed["value"] if sealed else None,
        "Sealed interval": _interval(sealed),
        "Gate": gate["value"] if gate else None,
        "Gate interval": _interval(gate),
        "Gain": _gain(row["gain"]),
        "Accepted": row["accepted"],
        "Refused": sum(row["refused"].values()) if row["refused"] else None,
        "Wall time": row["wall_seconds"],
        "Reasons": "; ".join(row["reasons"]),
    }
