"""Records that were not written: copies of a real one in which other things are said, with the digests that go with them.

What is changed follows a hash of its place, so that no two values change alike and none is chosen by hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.ledger.audit import LogAudit
from loopwright.ledger.statement import Statement, read_payload
from loopwright.report.facts import catalogue
from tests.report.queries import Case, Entry, Seen, kind, raw

CYCLES = ("c0000", "c0001", "c0002")
WHEN = "2026-12-24T18:00:00Z"


def sha256(data: bytes | str) -> str:
    return "sha256:" + hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def chance(at: str, below: int) -> int:
    return zlib.crc32(at.encode()) % below


def other(value: Any, at: str) -> Any:
    """Another value of the same sort: counts and scores change, words and flags stay."""
    if isinstance(value, dict):
        if {"value", "low", "high", "n"} <= value.keys():
            share = (1 + chance(at, 80)) / 100
            return {**value, "value": share, "low": share - 0.01, "high": share + 0.015, "n": value["n"] + 1 + chance(at, 7)}
        if {"rate", "n"} <= value.keys():
            of = value["n"] + 1 + chance(at, 7)
            return {**value, "rate": chance(at + "rate", of) / of, "n": of}
        return {key: item if key in FIXED else other(item, f"{at}/{key}") for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value + 1 + chance(at, 9) if isinstance(value, int) else value * (1 + (1 + chance(at, 9)) / 16)


FIXED = {"human", "synthetic", "accepted", "human_rows", "rows", "schema"}
"""Counts that the tables below have to bear out: `Draft.counted` sets them."""


class Draft:
    """A copy of a workspace and its entries, to be rewritten; `case` gives every file that changed its new digest."""

    def __init__(self, root: Path, target: Path) -> None:
        self.root = target
        for name in ("cycles", "ledger"):
            shutil.copytree(root / name, target / name, copy_function=os.link)
        self.entries = raw(root)
        told = self.entries[0]["predicate"]["principals"]
        self.persons = [one["id"] for one in told if one["role"] == "person"]

    def said(self, wanted: str, cycle: str, phase: str | None = None) -> Any:
        """The predicate, to be changed."""
        return next(
            entry["predicate"]
            for entry in self.entries
            if kind(entry) == wanted and entry["predicate"].get("cycle") == cycle and entry["predicate"].get("phase") == phase
        )

    def summary(self, cycle: str, phase: str) -> Any:
        return self.said("phase", cycle, phase)["summary"]

    def phases(self) -> list[Any]:
        return [entry["predicate"] for entry in self.entries if kind(entry) == "phase"]

    def write(self, path: str, data: bytes) -> None:
        (self.root / path).unlink(missing_ok=True)  # a link to the shared workspace's
        (self.root / path).parent.mkdir(exist_ok=True)
        (self.root / path).write_bytes(data)

    def json(self, path: str, change: Callable[[Any], Any]) -> None:
        self.write(path, json.dumps(change(json.loads((self.root / path).read_bytes())), sort_keys=True).encode())

    def table(self, path: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        changed = change(pl.read_parquet(self.root / path))
        (self.root / path).unlink()
        changed.write_parquet(self.root / path)

    def entry(self, wanted: str, said: dict[str, Any], *subjects: tuple[str, str], signer: str = "", before: str = "") -> int:
        """Put an entry at the end, or before the one that opens a cycle; its place. Subjects are kind and digest."""
        made: Entry = {
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": f"urn:loopwright:{wanted}:v1",
            "subject": [
                {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}, "annotations": {"kind": name}}
                for name, digest in subjects
            ],
            "predicate": {"event": f"made:{wanted}:{len(self.entries)}", **said},
            "keyid": signer or self.persons[0],
        }
        ends = [at for at, one in enumerate(self.entries) if kind(one) == "open" and one["predicate"]["cycle"] == before]
        place = ends[0] if ends else len(self.entries)
        self.entries.insert(place, made)
        return place

    def request(self, place: int) -> str:
        """What an answer names a request by: the digest of all its bytes but the signature."""
        told = {key: value for key, value in self.entries[place].items() if key != "keyid"}
        return sha256(json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False))

    def answer(self, field: str, text: str | None, about: str = "loop", state: str = "statement", signer: str = "") -> int:
        """What a person says, with its words in a file, as the format has it."""
        body = {"schema": 1, "salt": f"{len(self.entries):032x}", "text": text, "reason": None, "files": []}
        data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        self.write(f"answers/{sha256(data).removeprefix('sha256:')}.json", data)
        said = {
            "field": field, "about": about, "version": 1, "state": state, "digest": sha256(data), "document": "profile",
            "media_type": None, "confirms": None, "answered_at": WHEN,
        }  # fmt: skip
        return self.entry("answer", said, signer=signer)

    def counted(self) -> None:
        """Sums in statements and archives, as the tables of accepted rows now have them."""
        human = model = 0
        for cycle in CYCLES:
            origins = pl.read_parquet(self.root / f"cycles/{cycle}/accepted/rows.parquet")["origin"]
            own = int((origins == "human").sum())
            human, model = human + own, model + len(origins) - own
            if cycle == "c0000":
                self.summary(cycle, "seed")["human_rows"] = own
            else:
                self.summary(cycle, "verify")["accepted"] = len(origins)
                self.summary(cycle, "merge").update(human=human, synthetic=model, rows=human + model)
            totals = {"human": human, "synthetic": model, "rows": human + model}
            self.json(f"cycles/{cycle}/archive/archive.json", lambda told, totals=totals: {**told, "totals": totals})

    def case(self, name: str, record: LogAudit, cycle: str = "c0002") -> Case:
        swaps = dict[str, str]()
        outputs = [out for said in self.phases() for out in said["outputs"]]
        for out in sorted(outputs, key=lambda out: out["kind"] != "model"):
            if out["kind"] == "accepted":  # its rows name the models that wrote them
                self.table(f"{out['path']}/rows.parquet", lambda rows: rows.with_columns(pl.col("origin").replace(swaps)))
            swaps[out["digest"]] = self._manifest(Path(out["path"]))
        for said in self.phases():
            said["config"] = sha256((self.root / f"cycles/{said['cycle']}/config/{said['phase']}.json").read_bytes())
        text = json.dumps(self.entries)
        for old, new in swaps.items():
            text = text.replace(old.removeprefix("sha256:"), new.removeprefix("sha256:"))
        entries = json.loads(text)
        statements = [_statement(place, entry) for place, entry in enumerate(entries)]
        held = replace(record, statements=statements, covered=len(entries), notes={len(entries): record.notes[record.covered]})  # type: ignore[arg-type]
        return Case(name, Seen(entries, self.root, cycle), catalogue(held, self.root, cycle), record)

    def _manifest(self, path: Path) -> str:
        """Digest of an output's list of files, which is written anew where a file is another."""
        place = path.parent / "manifests" / f"{path.stem}.json"
        told = json.loads((self.root / place).read_bytes())
        for one in told["files"]:
            data = (self.root / (path.parent if path.suffix else path) / one["path"]).read_bytes()
            one.update(sha256=sha256(data).removeprefix("sha256:"), size=len(data))
        data = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
        if data != (self.root / place).read_bytes():
            self.write(place.as_posix(), data)
        return sha256(data)


def _statement(place: int, entry: Entry) -> Statement:
    payload = json.dumps({key: value for key, value in entry.items() if key != "keyid"}).encode()
    wanted, subjects, predicate = read_payload(payload)
    return Statement(index=place, kind=wanted, subjects=subjects, predicate=predicate, keyid=entry["keyid"])


def varied(draft: Draft) -> None:
    """Every count and score of every phase, and every number of its configuration, is another one; times go on by seconds."""
    for said in draft.phases():
        at = f"{said['cycle']}/{said['phase']}"
        said["summary"] = other(said["summary"], at)
        said["seconds"] += 1 + chance(at, 50)
        said["attempt"] += chance(at, 3)
        for key in ("started_at", "finished_at"):
            said[key] = later(said[key], 1 + chance(at + key, 9))
        told = said["environment"]
        told.update(
            threads=1 + chance(at + "t", 6), map_workers=1 + chance(at + "m", 6), train_workers=10 + chance(at + "w", 6)
        )
        draft.json(
            f"cycles/{said['cycle']}/config/{said['phase']}.json",
            lambda found, at=at: {**found, "config": other(found["config"], at)},
        )
    for cycle in CYCLES:
        draft.json(f"cycles/{cycle}/decision.json", lambda said, at=cycle: other(said, at))
        draft.json(f"cycles/{cycle}/evaluation/scores.json", lambda said, at=cycle: other(said, at))
        draft.json(f"cycles/{cycle}/model/training.json", lambda said, at=cycle: other(said, at))
    for entry in draft.entries:
        if kind(entry) == "open":
            entry["predicate"]["seed"] += 1
            entry["predicate"]["plan"] = sha256(f"plan {entry['predicate']['cycle']}")
            entry["predicate"]["commit"] = sha256(entry["predicate"]["commit"])[7:47]
        for key in ("opened_at", "closed_at"):
            if kind(entry) in {"open", "close"} and key in entry["predicate"]:
                entry["predicate"][key] = later(entry["predicate"][key], 2 + chance(key + entry["predicate"]["cycle"], 9))


def later(time: str, seconds: float) -> str:
    moved = datetime.fromisoformat(time) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def with_origin(frame: pl.DataFrame, origin: str, licence: str) -> pl.DataFrame:
    return frame.with_columns(origin=pl.lit(origin), licence=pl.lit(licence))
