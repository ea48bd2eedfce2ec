"""What a request rests on, as plain values: measurements and differences for whoever has to sign."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.sheet import Table
from app.views.changes import changes_between, changes_table, gain_table
from app.views.gating import configuration, gate_table
from app.words import Words
from loopwright.index import Index
from loopwright.ledger.acts import Request
from loopwright.types import digest_bytes

__all__ = ["Evidence", "evidence_of"]

LONGEST = 200_000
"""Characters of a file or a difference that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is opened with a request."""

    reasons: Sequence[str] = ()
    """As the gate, or whoever stopped the loop, wrote them."""
    tables: Sequence[Table] = ()
    text: str = ""
    """A file or a difference, as it is."""
    title: str = ""
    cycle: str = ""
    """Where more is to be seen."""
    note: str = ""


def evidence_of(words: Words, index: Index, root: Path, request: Request) -> Evidence:
    """By what is asked for."""
    cycle = request.said["details"].get("cycle")
    if request.action == "promote" or (request.action == "resume" and cycle):
        found = _cycle(words, index, root, str(cycle))
        return replace(found, reasons=(*found.reasons, *_stops(words, index, request.action)))
    if request.action in {"recipe", "envelope"}:
        return _file(words, root, request)
    if request.action in {"policy", "judge"}:
        return _plan(words, index, root, request.action)
    told = _stops(words, index, request.action)
    return Evidence(reasons=told, note="" if told else words("evidence.nothing"))


def _stops(words: Words, index: Index, action: str) -> Sequence[str]:
    """What would be lifted: why it was halted or frozen."""
    acts = index.state().acts
    found = {"resume": acts.halts, "unfreeze": acts.freezes}.get(action, ())
    return [words("evidence.entry", entry=words.count(one.index), reason=one.predicate["reason"]) for one in found]


def _cycle(words: Words, index: Index, root: Path, cycle: str) -> Evidence:
    rows = index.told_of([cycle])
    if not rows:
        return Evidence(note=words("evidence.gone", cycle=cycle))
    parent, of = rows[0]["parent"], words.of("cycle")
    record = index.state(cycle).cycles[cycle]
    digest = next(
        (one.predicate["config"] for one in index.entries(cycle) if one.kind == "phase" and one.predicate["phase"] == "decide"),
        None,
    )
    changes = changes_between(index, root, [parent, cycle]) if parent else ()
    tables = [
        gate_table(of, record, configuration(root, cycle, "decide", digest)),
        gain_table(of, changes),
        changes_table(of, changes),
    ]
    return Evidence(reasons=rows[0]["reasons"], tables=tables, cycle=cycle)


def _file(words: Words, root: Path, request: Request) -> Evidence:
    """The file that the request is about, where it is still the one."""
    for subject in request.subjects:
        path = root / subject.path
        if path.resolve().is_relative_to(root.resolve()) and path.is_file():
            data = path.read_bytes()
            same = digest_bytes(data) == subject.digest
            note = words("evidence.same" if same else "evidence.other", path=subject.path)
            return Evidence(text=data.decode(errors="replace")[:LONGEST], title=subject.path, note=note)
    return Evidence(note=words("evidence.missing"))


def _plan(words: Words, index: Index, root: Path, action: str) -> Evidence:
    """What has changed in the workspace's plan since the commit that the last cycle began with; a judge's code lies outside of it."""
    if action == "judge":
        return Evidence(note=words("evidence.judge"))
    last = index.told["open"] or index.told["last"]
    commit = index.state(last).cycles[last].commit if last else ""
    if not commit:
        return Evidence(note=words("evidence.nothing"))
    command = ["git", "-C", str(root), "diff", "--no-ext-diff", "--no-color", commit, "--", "loop.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=20)
    return Evidence(text=done.stdout[:LONGEST], title="loop.yaml", note=words("evidence.plan", commit=commit[:12]))
