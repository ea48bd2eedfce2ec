"""Sightings: what the witnesses that a policy names have seen of a log, and that a promotion waited for them.

A sighting is kept in the entry that it let through (``witness`` of a ``close`` or an ``execute``), with the cosignature's own
line: whoever has the log can check it by the policy's keys, although cosigned checkpoints lie outside the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loopwright.ledger.audit import Finding, LogAudit
from loopwright.ledger.cosignature import WitnessKey, cosignatures, read_key
from loopwright.ledger.note import Checkpoint, checkpoint_text, origin_of, read_text, split_note
from loopwright.ledger.statement import Statement
from loopwright.ledger.trust import Trust, roots_of, standing
from loopwright.policy import Witnesses

__all__ = ["Sighting", "broken", "rule_of", "sightings", "unwitnessed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The largest checkpoint of this log that one witness cosigned."""

    key: WitnessKey
    size: int
    time: int
    """POSIX seconds, by the witness' clock."""
    line: str
    """The signature line, as it stands below the checkpoint."""

    def told(self) -> dict[str, Any]:
        """As the entry keeps it."""
        at = datetime.fromtimestamp(self.time, UTC).isoformat().replace("+00:00", "Z")
        return {"witness": self.key.name, "key": str(self.key), "size": self.size, "cosigned_at": at, "line": self.line}


def rule_of(approvals: Mapping[str, Any] | None) -> Witnesses:
    """What the ``approvals`` of an ``open`` entry ask for; a record from before there was such a rule asks for nobody."""
    found = dict((approvals or {}).get("witness") or {})
    return Witnesses.model_validate({**found, "known": tuple(found.get("known", ()))})


def _keys(rule: Witnesses) -> tuple[WitnessKey, ...]:
    return tuple(dict.fromkeys(map(read_key, rule.known)))


def _notes(ledger: Path, keys: Sequence[WitnessKey]) -> dict[int, str]:
    """Published checkpoints that one of these witnesses signed, by the size that they claim."""
    found = {}
    for file in (ledger / "checkpoints").glob("[0-9]*"):
        note = file.read_text(encoding="utf-8", errors="replace")
        if note.count("\u2014 ") > 1 and cosignatures(note, keys)[0]:
            found[read_text(split_note(note)[0]).size] = note
    return found


def sightings(ledger: Path, rule: Witnesses) -> list[Sighting]:
    """By witness, in the policy's order, the largest of this log's checkpoints that it cosigned; ValueError for a bad key."""
    keys, notes = _keys(rule), _notes(ledger, _keys(rule))
    seen = standing(ledger, Trust(witnesses=keys, quorum=rule.required)).cosignatures if notes else ()
    newest = {cosigned.key: (size, cosigned.time) for size, cosigned in seen}  # sizes rise
    return [
        Sighting(key=key, size=size, time=time, line=_line(notes[size], key, time))
        for key, (size, time) in ((key, newest[key]) for key in keys if key in newest)
    ]


def broken(ledger: Path, rule: Witnesses) -> list[Finding]:
    """A ``rewind`` or ``fork`` for every checkpoint that a named witness cosigned and that the published log does not continue."""
    notes = _notes(ledger, _keys(rule))
    kept = tuple(read_text(split_note(note)[0]) for note in notes.values())
    found = standing(ledger, Trust(kept=kept)).findings if kept else ()
    return [one for one in found if one.code in {"rewind", "fork"}]


def _line(note: str, key: WitnessKey, time: int) -> str:
    text, lines = split_note(note)
    for line in lines:
        valid, _ = cosignatures(f"{text}\n{line}\n", [key])
        if valid and valid[0].time == time:
            return line
    raise ValueError(f"the note has no line of {key.name}")


# ------------------------------------------------------------------------------------------ checked offline


def unwitnessed(log: LogAudit) -> Iterator[Finding]:
    """Promotions that the policy of their cycle wanted witnessed, and that tell no sufficient cosignatures."""
    decided: dict[str, int] = {}
    now, origin = Witnesses(), ""
    for one in log.statements:
        said = one.predicate
        if one.kind == "genesis":
            origin = origin_of(said["workspace"])
        elif one.kind == "open":
            now = rule_of(said.get("approvals"))
        elif one.kind == "phase" and said["phase"] == "decide":
            decided[said["cycle"]] = one.index
        elif (cycle := _promoted(one)) and now.required and cycle in decided:
            since = max([decided[cycle], *said.get("approvals", [])])
            if why := _lacking(said.get("witness"), now, since, one.index, log.entries, origin):
                where, problem = (
                    f"ledger entry {one.index}",
                    f"promotes {cycle}, which {now.required} witnesses had to see first",
                )
                yield Finding(code="promotion-unwitnessed", where=where, message=f"{problem}: {why}")


def _promoted(one: Statement) -> str | None:
    said = one.predicate
    if one.kind == "close":
        return said["cycle"] if said["champion"] == said["cycle"] and said["action"] == "promote" else None
    return said.get("cycle") if one.kind == "execute" and said["action"] == "promote" else None


def _lacking(told: Any, rule: Witnesses, since: int, index: int, entries: Sequence[bytes], origin: str) -> str | None:
    """What is wrong with the cosignatures that an entry tells; None where they are enough."""
    good = set()
    accepted = told.get("accepted", []) if isinstance(told, Mapping) else []
    roots = roots_of(entries, [one["size"] for one in accepted])
    for one in accepted:
        root, key = roots.get(one["size"]), read_key(one["key"])
        if one["key"] not in rule.known or root is None or not since < one["size"] <= index:
            continue
        text = checkpoint_text(Checkpoint(origin=origin, size=one["size"], root=root))
        good |= {found.key for found in cosignatures(f"{text}\n{one['line']}\n", [key])[0]}
    return None if len(good) >= rule.required else f"it tells {len(good)} valid cosignatures over the decision (entry {since})"
