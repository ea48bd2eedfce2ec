"""A record as an outsider reads it: entries by the format's bytes, JSON and Parquet from the files. It shares no code with the catalogue, the folds and the readers."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

Entry = dict[str, Any]
PHASES = ("seed", "generate", "verify", "merge", "train", "evaluate", "examine", "decide")


def raw(root: Path) -> list[Entry]:
    """Every entry's payload, by nothing but the format: bundles of entries, each after its length in two bytes."""
    found: dict[int, Entry] = {}
    for file in (root / "ledger/tile/entries").rglob("*"):
        if file.is_file():
            start = 256 * int(
                "".join(
                    part.lstrip("x").removesuffix(".p") for part in file.relative_to(root / "ledger/tile/entries").parts[:1]
                )
            )
            data, at, place = file.read_bytes(), 0, start
            while at < len(data):
                size = int.from_bytes(data[at : at + 2], "big")
                envelope = json.loads(data[at + 2 : at + 2 + size])
                found[place] = {
                    **json.loads(base64.b64decode(envelope["payload"])),
                    "keyid": envelope["signatures"][0]["keyid"],
                }
                at, place = at + 2 + size, place + 1
    return [found[index] for index in sorted(found)]


def kind(entry: Entry) -> str:
    return str(entry["predicateType"].split(":")[2])


def one(entries: list[Entry], wanted: str, cycle: str, phase: str | None = None) -> Any:
    return next(
        entry["predicate"]
        for entry in entries
        if kind(entry) == wanted and entry["predicate"].get("cycle") == cycle and entry["predicate"].get("phase") == phase
    )


class Nothing(LookupError):
    """The record has none; so has a key that is missing."""


@dataclass(frozen=True)
class Done:
    """A finished phase, as its entry tells it."""

    leaf: int
    signer: str
    said: Mapping[str, Any]

    @property
    def inputs(self) -> dict[str, str]:
        return {item["name"]: item["digest"] for item in self.said["inputs"]}


def _brought(said: Any) -> Iterator[tuple[str, Any]]:
    for cycle in said["cycles"]:
        yield "open", cycle
        for phase in cycle["phases"]:
            made = [one for one in said["artifacts"] if (one["cycle"], one["phase"]) == (cycle["cycle"], phase["phase"])]
            yield "phase", {**phase, "cycle": cycle["cycle"], "outputs": made}
        yield "close", {key: cycle[key] for key in ("cycle", "action", "champion", "closed_at")}


@dataclass(frozen=True)
class Seen:
    """One record, and the cycle that is asked about."""

    entries: Sequence[Entry]
    root: Path
    cycle: str = "c0002"

    def told(self, wanted: str, **match: Any) -> list[tuple[int, str, Any]]:
        """Place, signer and predicate of the entries of a kind that say this."""
        return [
            (place, signer, said)
            for place, signer, name, said in self._spread
            if name == wanted and all(said.get(key) == value for key, value in match.items())
        ]

    @functools.cached_property
    def _spread(self) -> list[tuple[int, str, str, Any]]:
        """Every entry; one that brings a past along as the entries that it tells of."""
        found = []
        for place, entry in enumerate(self.entries):
            told = list(_brought(entry["predicate"])) if kind(entry) == "import" else [(kind(entry), entry["predicate"])]
            found += [(place, entry["keyid"], *one) for one in told]
        return found

    def first(self, wanted: str, **match: Any) -> Any:
        found = self.told(wanted, **match)
        if not found:
            raise Nothing(wanted)
        return found[0][2]

    @property
    def every(self) -> list[str]:
        return [said["cycle"] for _, _, said in self.told("open")]

    @property
    def cycles(self) -> list[str]:
        """Up to the one that is asked about."""
        return self.every[: self.every.index(self.cycle) + 1]

    def opened(self, cycle: str | None = None) -> Any:
        return self.first("open", cycle=cycle or self.cycle)

    def done(self, cycle: str | None = None) -> dict[str, Done]:
        """Finished phases in the order of the log; of several attempts the last."""
        found: dict[str, Done] = {}
        for leaf, signer, said in self.told("phase", cycle=cycle or self.cycle):
            found.pop(said["phase"], None)
            found[said["phase"]] = Done(leaf, signer, said)
        return found

    def by_phase(self, cycle: str | None = None) -> list[tuple[str, Done]]:
        """The same in the order of work."""
        return sorted(self.done(cycle).items(), key=lambda item: PHASES.index(item[0]))

    def said(self, phase: str, cycle: str | None = None) -> Any:
        return self.done(cycle)[phase].said

    def summary(self, phase: str, *keys: str, cycle: str | None = None) -> Any:
        """A KeyError, which is a "none", where it says nothing."""
        value = self.said(phase, cycle)["summary"]
        for key in keys:
            if value is None:
                raise Nothing(key)
            value = value[key]
        return value

    def maybe(self, phase: str, *keys: str, cycle: str | None = None, default: Any = None) -> Any:
        try:
            return self.summary(phase, *keys, cycle=cycle)
        except LookupError:
            return default

    def made(self, wanted: str, cycle: str | None = None) -> str:
        """Digest of an output."""
        for done in self.done(cycle).values():
            for out in done.said["outputs"]:
                if out["kind"] == wanted:
                    return str(out["digest"])
        raise Nothing(wanted)

    def maker(self, model: str) -> str | None:
        """The cycle that made a model."""
        for cycle in self.every:
            if any(
                out["kind"] == "model" and out["digest"] == model
                for done in self.done(cycle).values()
                for out in done.said["outputs"]
            ):
                return cycle
        return None

    def named(self, model: str) -> str | None:
        """Of a model of this record its loop's and cycle's name; of one elsewhere the one that it answered under."""
        if self.maker(model):
            return f"{self.entries[0]['predicate']['name']} {self.maker(model)}"
        told = [said["summary"].get(key) for _, _, said in self.told("phase") for key in ("external", "judge")]
        return next((one["model"] for one in told if one and one["digest"] == model), None)

    def called(self, model: str) -> str:
        return self.maker(model) or self.named(model) or model

    def file(self, name: str, cycle: str | None = None) -> Path:
        path = self.root / "cycles" / (cycle or self.cycle) / name
        if not path.exists():
            raise Nothing(name)
        return path

    def json(self, name: str, cycle: str | None = None) -> Any:
        return json.loads(self.file(name, cycle).read_bytes())

    def config(self, phase: str, *keys: str, cycle: str | None = None) -> Any:
        """What lies in the configuration file of a phase that is done."""
        self.said(phase, cycle)
        value = self.json(f"config/{phase}.json", cycle)
        for key in keys:
            value = value[key]
        return value

    def parquet(self, name: str, cycle: str | None = None) -> pl.DataFrame:
        return pl.read_parquet(self.file(name, cycle))

    def chain(self, cycle: str | None = None) -> list[str]:
        """Cycles whose rows the archive holds, oldest first, as the archives' own files name one another."""
        found, name = list[str](), cycle or self.cycle
        if "archive" not in {out["kind"] for done in self.done(name).values() for out in done.said["outputs"]}:
            raise Nothing("archive")
        while name:
            found.insert(0, name)
            before = self.json("archive/archive.json", name)["previous"]
            name = before["path"].split("/")[1] if before else ""
        return found

    def rows(self, cycle: str | None = None) -> pl.DataFrame:
        """Every row of a training set."""
        return pl.concat([self.parquet("accepted/rows.parquet", one) for one in self.chain(cycle)])

    def words(self, field: str) -> str | None:
        """The text of the standing answer about the cycle, else about the loop."""
        for about in (self.cycle, "loop"):
            newest = [said for _, _, said in self.told("answer", field=field, about=about)][-1:]
            if newest and newest[0]["state"] != "withdrawn":
                if newest[0]["digest"] is None or newest[0]["state"] == "not-applicable":
                    return None
                path = self.root / "answers" / f"{newest[0]['digest'].removeprefix('sha256:')}.json"
                return str(json.loads(path.read_bytes())["text"])
        return None


Query = Callable[[Seen], Any]


def asks(see: Seen, query: Query) -> Any:
    try:
        return query(see)
    except LookupError:
        return None


def grid(columns: str, rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
    """A table with all its columns."""
    return {"columns": columns.split(), "rows": [list(row) for row in rows]}


def summed(phase: str, *keys: str) -> Query:
    return lambda see: see.summary(phase, *keys)


def leaves(value: Any, at: str = "") -> list[tuple[str, Any]]:
    """Settings by dotted key; a list is one. An address is told by its digest, and a place of keys by nothing."""
    if not isinstance(value, dict) or not value:
        secret = {"url": [(at, f"sha256:{hashlib.sha256(str(value).rstrip('/').encode()).hexdigest()}")], "key_file": []}
        return secret.get(at.rsplit(".", maxsplit=1)[-1], [(at, value)]) if "endpoint" in at.split(".") else [(at, value)]
    return [pair for key, item in value.items() for pair in leaves(item, f"{at}.{key}" if at else key)]


def wilson(count: int, of: int) -> dict[str, Any] | None:
    """Wilson (1927) with z = 1.959964, in the form that solves (p - x)² = z² p (1 - p) / n for its two roots."""
    if not of:
        return None
    z, share = 1.959963984540054, count / of
    a, b, c = 1 + z * z / of, -(2 * share + z * z / of), share * share
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    return {
        "value": share,
        "low": min(max(low, 0.0), share),
        "high": max(min(high, 1.0), share),
        "n": of,
        "method": "wilson 95%",
    }


def same(first: Any, other: Any) -> bool:
    """Equal, but for the last digits of a float."""
    if isinstance(first, dict) and isinstance(other, dict):
        return first.keys() == other.keys() and all(same(first[key], other[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(other, list | tuple):
        return len(first) == len(other) and all(map(same, first, other))
    if isinstance(first, bool) or isinstance(other, bool):
        return first is other
    if isinstance(first, float) or isinstance(other, float):
        return first is not None and other is not None and math.isclose(first, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(first == other)


@dataclass(frozen=True)
class Case:
    """A record with what the catalogue says of it."""

    name: str
    see: Seen
    facts: Mapping[str, Any]
    record: Any
    """The audit of the real log that it goes back to."""


def wrong(asked: Mapping[str, Query], panel: Iterable[Case]) -> dict[str, tuple[Any, Any]]:
    """Facts that are not what the record says, with both values."""
    found = {}
    for case in panel:
        for path, query in asked.items():
            said, wanted = case.facts[path].value, asks(case.see, query)
            if not same(said, wanted):
                found[f"{path} of {case.name}"] = (said, wanted)
    return found


def still(asked: Iterable[str], panel: Iterable[Case]) -> list[str]:
    """Facts that have one value at most, however the record of a cycle is changed."""
    by = {cycle: [case.facts for case in panel if case.see.cycle == cycle] for cycle in ("c0000", "c0001", "c0002")}
    values = {
        path: [{json.dumps(facts[path].value, sort_keys=True) for facts in some} for some in by.values()] for path in asked
    }
    return [path for path, found in values.items() if all(len(one - {"null"}) < 2 for one in found)]
