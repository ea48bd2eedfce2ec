"""The log itself: how many entries of what kind and when, under which signed head, and whether it is in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from loopwright.ledger.cosignature import is_cosignature
from loopwright.ledger.note import read_text, split_note
from loopwright.ledger.statement import Statement
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.cycles import seconds_between
from loopwright.report.facts.reading import Absent, Reader

__all__ = ["time_of"]

_NOT_NOW = {"opened_at", "expires_at"}
"""Times that an entry tells of something else; of an ``open`` entry ``opened_at`` is its own."""


def time_of(said: Statement) -> str | None:
    """When an entry says that what it tells happened; of several times the latest."""
    own = {"opened_at"} if said.kind == "open" else set[str]()
    found = [value for key, value in said.predicate.items() if key.endswith("_at") and key not in _NOT_NOW - own]
    return max((one for one in found if isinstance(one, str)), default=None)


@fact("log.entries", "counted")
def _entries(see: Reader) -> int:
    return see.head().size


@fact("log.root")
def _root(see: Reader) -> str:
    return "sha256:" + see.head().root.hex()


@fact("log.origin")
def _origin(see: Reader) -> str:
    return see.head().origin


@fact("log.kinds", "counted")
def _kinds(see: Reader) -> dict[str, int]:
    see.head()
    return {kind: len(some) for kind, some in sorted(see.source.kinds.items())}


@fact("log.by_kind", "counted")
def _by_kind(see: Reader) -> Any:
    see.head()
    rows = []
    for kind, some in sorted(see.source.kinds.items()):
        times = [time for one in some if (time := time_of(one))]
        rows.append([kind, len(some), min(times, default=None), max(times, default=None)])
    return table("kind count first_at last_at", rows)


@fact("log.by_day", "counted")
def _by_day(see: Reader) -> Any:
    see.head()
    found = Counter((time[:10], one.kind) for one in see.source.statements if (time := time_of(one)))
    return table("day kind count", [[*key, count] for key, count in sorted(found.items())])


@fact("log.first_at")
def _first_at(see: Reader) -> str | None:
    see.leaf(0)
    return time_of(see.source.statements[0])


@fact("log.last_at")
def _last_at(see: Reader) -> str:
    see.head()
    return see.state.latest


@fact("log.as_of", "derived")
def _as_of(see: Reader) -> str:
    found = datetime.fromisoformat(see.fact("log.last_at")).astimezone(UTC)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")


@fact("log.checkpoints", "counted")
def _checkpoints(see: Reader) -> int:
    return sum(size <= see.head().size for size in see.source.record.notes)


@fact("log.heads")
def _heads(see: Reader) -> Any:
    rows = []
    for size, note in sorted(see.source.record.notes.items()):
        if size <= see.head().size:
            rows.append([size, "sha256:" + read_text(note.rpartition("\n\n")[0] + "\n").root.hex()])
    return table("entries root", rows)


@fact("log.witnesses", "counted")
def _witnesses(see: Reader) -> Any:
    """Lines of other keys below the checkpoints, by the name that they bear; whose word counts is the reader's to say."""
    see.head()
    found = Counter(
        line.split(" ")[1]
        for size, note in see.source.record.notes.items()
        if size <= see.source.record.covered
        for line in split_note(note)[1]
        if is_cosignature(line)
    )
    return table("name count", sorted(found.items()))


@fact("log.timestamps", "counted")
def _timestamps(see: Reader) -> int:
    see.head()
    kept = (see.source.root / "ledger" / "timestamps").glob("*.tsr")
    return sum(path.stem.isdigit() and int(path.stem) <= see.source.record.covered for path in kept)


@fact("log.findings")
def _findings(see: Reader) -> Any:
    see.head()
    return table("code where message", [[one.code, one.where, one.message] for one in see.source.record.findings])


@fact("log.verified", "derived")
def _verified(see: Reader) -> bool:
    return not see.fact("log.findings")["rows"]


@fact("log.failures", "counted")
def _failures(see: Reader) -> int:
    return len(see.entries("failure"))


@fact("log.gaps", "derived")
def _gaps(see: Reader) -> Any:
    """Cycles that nothing closed, times that run back by more than the ten minutes that clocks are allowed, requests that nobody answered."""
    see.head()
    still = [record for record in see.state.cycles.values() if record.closed_at is None]
    rows: list[list[Any]] = [[record.index, "no close", record.cycle] for record in still]
    before: str | None = None
    for said in see.source.statements:
        now = time_of(said)
        if now and before and seconds_between(now, before) > 600:
            rows.append([said.index, "time runs back", f"{before} > {now}"])
        before = max(filter(None, (before, now)), default=None)
    rows += [[one.index, "no answer", one.action] for one in see.requests() if not one.answers and one.executed is None]
    see.leaf(*(row[0] for row in rows))
    return table("leaf what value", rows)


@fact("log.retention_days", "derived")
def _retention_days(see: Reader) -> float:
    return seconds_between(see.fact("log.first_at"), see.fact("log.last_at")) / 86400


@fact("log.retention_least", "answered")
def _retention_least(see: Reader) -> str:
    return str(see.fact("policy.retention"))


@fact("log.export")
def _export(see: Reader) -> str:
    return f"loopwright export --cycle {see.cycle.cycle}; loopwright verify BUNDLE"


@fact("log.document_version", "derived")
def _document_version(see: Reader) -> str:
    return f"{see.cycle.cycle}.{see.head().size}"


@fact("log.no_biometric", "answered")
def _no_biometric(see: Reader) -> bool:
    return not see.fact("log.biometric")


def _events(see: Reader, *wanted: str) -> list[list[Any]]:
    return [[said.index, time_of(said), said.kind, _said(said), said.keyid] for said in see.entries(*wanted)]


def _said(said: Statement) -> str:
    told = said.predicate
    parts = (told.get(key) for key in ("cycle", "phase", "action", "act", "incident", "artifact", "metric", "reason"))
    return ", ".join(str(part) for part in parts if part)


def _ends(see: Reader, *actions: str) -> Iterator[list[Any]]:
    """Ends of cycles with these decisions: entries of their own, or what an import brought along."""
    for said in see.of_kind("close"):
        if said.predicate["action"] in actions:
            see.leaf(said.index)
            yield [said.index, time_of(said), "close", _said(said), said.keyid]
    for record in see.state.cycles.values():
        if record.action in actions and record.closed_at and see.source.statements[record.index].kind == "import":
            see.leaf(record.index)
            yield [record.index, record.closed_at, "close", f"{record.cycle}, {record.action}", see.signer(record.index)]


_EVENT = "leaf time kind what signer"


@fact("log.risk_events")
def _risk_events(see: Reader) -> Any:
    """Promotions, persons' interventions, stops of the gate, envelopes that were left, and changes of judge."""
    rows = _events(see, "halt", "freeze", "recall", "rollback", "incident")
    rows += _ends(see, "promote", "halt", "hold")
    for row in see.fact("code.judge_changes")["rows"]:
        opened = see.record(row[0])
        rows.append([opened.index, opened.opened_at, "open", f"{row[0]}, judge changed", see.signer(opened.index)])
    for record in see.cycles():
        if (see.summary("decide", record).get("envelope") or {}).get("left"):
            done = see.phase("decide", record)
            rows.append([done.index, done.finished_at, "phase", f"{record.cycle}, envelope left", see.signer(done.index)])
    return table(_EVENT, sorted(rows, key=lambda row: row[0]))


@fact("log.monitoring_events")
def _monitoring_events(see: Reader) -> Any:
    rows = _events(see, "observation")
    for record in see.cycles():
        for phase in ("evaluate", "examine"):
            if phase in record.phases:
                done = see.phase(phase, record)
                rows.append([done.index, done.finished_at, "phase", f"{record.cycle}, {phase}", see.signer(done.index)])
    return table(_EVENT, sorted(rows, key=lambda row: row[0]))


@fact("log.deployer_events")
def _deployer_events(see: Reader) -> Any:
    rows = _events(see, "recall", "rollback")
    rows += _ends(see, "promote")
    if not see.source.statements:
        raise Absent("entries")
    return table(_EVENT, sorted(rows, key=lambda row: row[0]))


def _deployers(path: str) -> None:
    @fact(path)
    def _(see: Reader) -> Any:
        raise Absent(path)  # only a deployer logs the use of a system: what the record doesn't have is not provided


for _path in ("log.biometric_uses", "log.biometric_databases", "log.biometric_matches"):
    _deployers(_path)
