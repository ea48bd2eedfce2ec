"""A record as a list of entries that a test may alter, the catalogue over it, and small questions that know nothing but its format.

Nothing here or in the queries made of it shares code with the catalogue: entries are JSON, what is kept beside them are files.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from loopwright.ledger.audit import Finding, LogAudit
from loopwright.ledger.statement import Statement
from loopwright.report.facts import Fact, catalogue
from loopwright.types import Artifact
from tests.report.test_facts import Entry, kind, raw

Query = Callable[["Log"], Any]
PHASES = ("seed", "generate", "verify", "merge", "train", "evaluate", "examine", "decide")


class Log(list[Entry]):
    """Entries with their number as ``leaf``; the cycle that a document is about, and what the log's other files tell."""

    def __init__(self, entries: Iterable[Entry], root: Path, cycle: str, notes: Mapping[int, str]) -> None:
        super().__init__({**entry, "leaf": leaf} for leaf, entry in enumerate(entries))
        self.root, self.cycle, self.notes = root, cycle, dict(notes)
        self.findings: tuple[Finding, ...] = ()
        self.incident: str | None = None
        self.kept: dict[str, Any] = {}
        """What several questions share, made once."""

    @classmethod
    def of(cls, root: Path, cycle: str) -> Log:
        notes = {int(file.name): file.read_text() for file in (root / "ledger/checkpoints").iterdir()}
        return cls(raw(root)[: max(notes)], root, cycle, notes)

    def altered(self, *changes: Callable[[Log], None], **other: Any) -> Log:
        """A copy as it would be had the entries said something else from the beginning."""
        made = Log(copy.deepcopy(list(self)), self.root, self.cycle, self.notes)
        made.findings, made.incident = self.findings, self.incident
        names = [(entry, identity(entry)) for entry in made if kind(entry) == "request"]
        for change in changes:
            change(made)
        for name, value in other.items():
            setattr(made, name, value)
        renamed = {old: identity(entry) for entry, old in names}
        for entry in made:
            if kind(entry) in {"approval", "execute", "reveal"} and "request" in entry["predicate"]:
                entry["predicate"]["request"] = renamed.get(entry["predicate"]["request"], entry["predicate"]["request"])
        for leaf, entry in enumerate(made):
            entry["leaf"] = leaf
            if kind(entry) == "revoke":
                entry["predicate"]["effective"] = leaf
        made.notes.setdefault(len(made), note(len(made), made.notes[min(made.notes)].splitlines()[0]))
        return made

    def upto(self, size: int, **other: Any) -> Log:
        """The record as it was under an earlier checkpoint."""
        return self.altered(lambda log: log.__delitem__(slice(size, None)), **other)

    def facts(self) -> Mapping[str, Fact]:
        said = [
            Statement(index=leaf, kind=kind(each), subjects=_subjects(each), predicate=each["predicate"], keyid=each["keyid"])
            for leaf, each in enumerate(self)
        ]
        heads = {size: text for size, text in self.notes.items() if size <= len(self)}
        record = LogAudit(findings=self.findings, entries=(), statements=said, notes=heads, covered=len(self))  # type: ignore[arg-type]
        return catalogue(record, self.root, self.cycle, self.incident)


def note(size: int, origin: str) -> str:
    """The text of a checkpoint of so many entries, with a root of its own and a line that no key made."""
    import base64

    root = base64.b64encode(hashlib.sha256(str(size).encode()).digest()).decode()
    return f"{origin}\n{size}\n{root}\n\n\u2014 {origin} {base64.b64encode(bytes(68)).decode()}\n"


def _subjects(entry: Entry) -> tuple[Artifact, ...]:
    return tuple(
        Artifact(kind=one["annotations"]["kind"], digest=f"sha256:{one['digest']['sha256']}", path=one["name"])
        for one in entry["subject"]
    )


def identity(entry: Entry) -> str:
    """What answers to a request name: the sha256 of its payload in RFC 8785 form (a request has no number that Python writes otherwise)."""
    payload = {name: value for name, value in entry.items() if name not in {"keyid", "leaf"}}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def table(columns: str, rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """A table with all its columns, and its rows in order."""
    return {"columns": columns.split(), "rows": [list(row) for row in rows]}


def same(found: Any, wanted: Any) -> bool:
    """Equal; floats to nine digits, since a sum may be taken in another order."""
    if isinstance(wanted, _Heap) and found is not None:
        found, wanted = ({**one, "rows": sorted(one["rows"], key=json.dumps)} for one in (found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in found)
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(found, float) or isinstance(wanted, float):
        numbers = all(isinstance(one, int | float) for one in (found, wanted))
        return numbers and abs(found - wanted) <= 1e-9 * max(abs(found), abs(wanted)) + 1e-13
    return type(found) is type(wanted) and found == wanted


def any_order(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """A table of which only the rows are compared: their order is not in the record."""
    return None if found is None else _Heap(found)


class _Heap(dict[str, Any]):
    """Told apart by its type."""


def of(log: Log, *kinds: str) -> list[Entry]:
    """Entries of these kinds, and what an ``import`` brought along as if it stood in entries of its own."""
    return [each for one in log for each in (brought(one) if kind(one) == "import" else [one]) if kind(each) in kinds]


def brought(one: Entry) -> list[Entry]:
    """The cycles of another workspace, as the entries that they were: by whom and where this log has them from."""
    found = []
    for told in one["predicate"]["cycles"]:
        made = [out for out in one["predicate"]["artifacts"] if out["cycle"] == told["cycle"]]
        phases = [
            {**said, "cycle": told["cycle"], "outputs": [out for out in made if out["phase"] == said["phase"]]}
            for said in told["phases"]
        ]
        end = {"cycle": told["cycle"], "action": told["action"], "champion": told["champion"], "closed_at": told["closed_at"]}
        parts = [("open", told), *(("phase", said) for said in phases), ("close", end)]
        found += [{**one, "predicateType": f"urn:loopwright:{name}:v1", "predicate": said} for name, said in parts]
    return found


def own(log: Log, *kinds: str) -> list[Entry]:
    """Entries of these kinds, without what was brought along."""
    return [each for each in log if kind(each) in kinds]


def told(log: Log, wanted: str, *keys: str) -> list[tuple[Any, ...]]:
    """Of every entry of this kind what stands under these keys; ``leaf`` and ``keyid`` are the entry's own."""
    return [
        tuple(each[key] if key in {"leaf", "keyid"} else each["predicate"].get(key) for key in keys) for each in of(log, wanted)
    ]


def cycles(log: Log) -> list[str]:
    """Names of the cycles up to the document's."""
    names = [each["predicate"]["cycle"] for each in of(log, "open")]
    return names[: names.index(log.cycle) + 1]


def opened(log: Log, cycle: str | None = None) -> Entry:
    return next(each for each in of(log, "open") if each["predicate"]["cycle"] == (cycle or log.cycle))


def closed(log: Log, cycle: str | None = None) -> Entry | None:
    return next((each for each in of(log, "close") if each["predicate"]["cycle"] == (cycle or log.cycle)), None)


def entry(log: Log, phase: str, cycle: str | None = None) -> Entry | None:
    """The statement of a phase; of several attempts the last."""
    found = [
        each
        for each in of(log, "phase")
        if (each["predicate"]["phase"], each["predicate"]["cycle"]) == (phase, cycle or log.cycle)
    ]
    return found[-1] if found else None


def summary(log: Log, phase: str, cycle: str | None = None) -> dict[str, Any]:
    found = entry(log, phase, cycle)
    return found["predicate"]["summary"] if found else {}


def output(log: Log, wanted: str, cycle: str | None = None) -> str | None:
    """Digest of what a cycle made of this kind."""
    made = [out for phase in PHASES if (found := entry(log, phase, cycle)) for out in found["predicate"]["outputs"]]
    return next((out["digest"] for out in made if out["kind"] == wanted), None)


def maker(log: Log, digest: str | None) -> str | None:
    """The cycle that made a model."""
    names = [each["predicate"]["cycle"] for each in of(log, "open")]
    return next((name for name in names if digest and output(log, "model", name) == digest), None)


def config(log: Log, phase: str, cycle: str | None = None) -> dict[str, Any] | None:
    file = log.root / f"cycles/{cycle or log.cycle}/config/{phase}.json"
    return json.loads(file.read_bytes()) if file.is_file() else None


def answer(log: Log, field: str) -> str | None:
    """The newest words of persons on a field."""
    found = [each["predicate"] for each in of(log, "answer") if each["predicate"]["field"] == field]
    if not found or found[-1]["state"] not in {"statement", "confirmed"}:
        return None
    return json.loads((log.root / "answers" / f"{found[-1]['digest'].removeprefix('sha256:')}.json").read_bytes())["text"]


def when(each: Entry) -> str | None:
    """When an entry says that what it tells happened: the latest of its times, but not one that tells of something else."""
    own = {"opened_at"} if kind(each) == "open" else set()
    times = [
        value
        for name, value in each["predicate"].items()
        if name.endswith("_at") and name not in {"expires_at", "opened_at"} - own
    ]
    return max((time for time in times if isinstance(time, str)), default=None)


def between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def flat(value: Any, at: str = "") -> list[tuple[str, Any]]:
    """Leaves of nested mappings by dotted key."""
    if not isinstance(value, dict) or not value:
        return [(at, value)]
    return [leaf for key, item in value.items() for leaf in flat(item, f"{at}.{key}" if at else key)]


def share(said: Sequence[bool]) -> dict[str, Any] | None:
    """Wilson's 95 % interval by its formula; None of nothing."""
    if not said:
        return None
    n, rate, z = len(said), sum(said) / len(said), 1.959963984540054
    middle, half = rate + z * z / (2 * n), z * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    low, high = ((middle + side) / (1 + z * z / n) for side in (-half, half))
    return {"value": rate, "low": low, "high": high, "n": n, "method": "wilson 95%"}


def trend(values: Sequence[float]) -> dict[str, Any] | None:
    """Least-squares slope with Student's 95 % interval, by numpy and scipy; None below three values."""
    import numpy as np
    from scipy.stats import t

    if len(values) < 3:
        return None
    (slope, _), spread = np.polyfit(range(len(values)), values, 1, cov=True)
    half = float(t.ppf(0.975, len(values) - 2) * max(spread[0, 0], 0.0) ** 0.5)
    slope = float(slope)
    return {"value": slope, "low": slope - half, "high": slope + half, "n": len(values), "method": "least squares, t 95%"}
