"""What goes into a bundle: the statements of a cycle and what it depends on, with the proof that each is in the log.

From the published files alone; no key, no database, no weights, no rows. Persons are key ids in the log, and names are not
in it. What a reader cannot see from a part is that nothing was left out: ``whole`` takes every entry, and then they can.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from loopwright.errors import IntegrityError, RefusedError, UsageError
from loopwright.ledger.audit import LogAudit, audit
from loopwright.ledger.bundle import INDEX, write_bundle
from loopwright.ledger.note import origin_of, split_note
from loopwright.ledger.proofs import Roots, consistency, inclusion, tiled
from loopwright.ledger.statement import Statement
from loopwright.ledger.trust import STAMPS
from loopwright.types import canonical, digest_bytes

__all__ = ["export"]

_TURN = ("open", "phase", "failure", "close")
"""Kinds that belong to a cycle; of the cycles that this one descends from, only what they began with and how they ended."""

_QUIET = ("anchor",)
_MOST = 2**20
"""Bytes of one file of evidence."""

_EVIDENCE = ("decision", "card")
"""Kinds of artifacts whose small files are evidence: what was measured and decided, never weights or rows."""

_HERE = Path(__file__).parent


def export(root: Path, cycle: str, *, whole: bool = False, since: Collection[int] = ()) -> bytes:
    """The bundle of one closed cycle of the workspace at ``root``; the same bytes for the same record.

    ``since`` are sizes of checkpoints that the reader kept, and wants to see continued.

    Raises:
        IntegrityError: the published log is not sound; nothing is exported from it.
        UsageError: the log knows no such cycle of its own, or it is not closed.
        RefusedError: no checkpoint covers it yet, or the record is too large for one bundle.
    """
    ledger = root / "ledger"
    log = audit(ledger)
    if log.findings:
        first = log.findings[0]
        raise IntegrityError(
            f"the log is not sound ({first.where}: {first.message}), so nothing is proven by it", "loopwright verify"
        )
    told = tuple(log.statements)
    end = next((one.index for one in told if one.kind == "close" and one.predicate["cycle"] == cycle), None)
    if end is None:
        raise UsageError(
            f"{cycle} is no closed cycle of this workspace",
            "`loopwright status` shows them; a fork's past is exported where it ran",
        )
    size = log.covered
    if end >= size:
        raise RefusedError(f"no checkpoint covers {cycle} yet", "run again: each run signs one at its end")
    chosen = [one for one in told[:size] if whole or _belongs(one, cycle, _line(told, cycle))]
    notes = _notes(ledger, log, end, since)
    try:
        return write_bundle({**_proofs(ledger, log, notes, chosen, cycle, whole=whole), **_evidence(root, chosen, cycle)})
    except ValueError as error:
        raise RefusedError(f"this cycle does not fit into one bundle: {error}", "give the whole workspace instead") from error


def _line(told: Sequence[Statement], cycle: str) -> set[str]:
    """The cycles that this one descends from, by champion and by order."""
    starts = {one.predicate["cycle"]: one.predicate for one in told if one.kind == "open"}
    waiting, found = [cycle], set[str]()
    while waiting:
        name = waiting.pop()
        if name in starts and name not in found:
            found.add(name)
            waiting += [before for before in (starts[name]["parent"], starts[name]["prev"]) if before]
    return found - {cycle}


def _belongs(one: Statement, cycle: str, line: set[str]) -> bool:
    said = one.predicate
    if one.kind not in _TURN:
        return one.kind not in _QUIET
    ends = one.kind in {"open", "close"} or said.get("phase") == "decide"
    return said["cycle"] == cycle or (said["cycle"] in line and ends and one.kind != "failure")


def _proofs(
    ledger: Path, log: LogAudit, notes: Mapping[int, str], chosen: Sequence[Statement], cycle: str, *, whole: bool
) -> dict[str, bytes]:
    size = max(notes)
    roots = tiled(lambda name: (ledger / name).read_bytes(), size)
    genesis = log.statements[0].predicate
    index = {
        "schema": 1,
        "format": "loopwright-bundle",
        "workspace": genesis["workspace"],
        "origin": origin_of(genesis["workspace"]),
        "cycle": cycle,
        "whole": whole,
        "size": size,
        "entries": [{"index": one.index, "proof": _told(inclusion(roots, one.index, size))} for one in chosen],
        "consistency": list(_steps(roots, sorted(notes), size)),
    }
    stamps = {f"{STAMPS}/{at}.tsr": ledger / STAMPS / f"{at}.tsr" for at in notes}
    return {
        INDEX: canonical(index),
        "README.txt": (_HERE / "bundle_readme.txt").read_bytes(),
        "verify_bundle.py": (_HERE / "verify_bundle.py").read_bytes(),
        **{f"entries/{one.index}.json": log.entries[one.index] for one in chosen},
        **{f"checkpoints/{at}": note.encode() for at, note in notes.items()},
        **{name: path.read_bytes() for name, path in stamps.items() if path.is_file()},
        **dict(_keys(chosen)),
    }


def _notes(ledger: Path, log: LogAudit, end: int, since: Collection[int]) -> dict[int, str]:
    """The first checkpoint that covers the cycle, the latest, those that somebody else signed, and those that were asked for."""
    if unknown := [at for at in since if at not in log.notes]:
        raise UsageError(f"this log has no checkpoint of {unknown[0]} entries", "`ls ledger/checkpoints` shows the sizes")
    covering = sorted(at for at in log.notes if end < at <= log.covered)

    def vouched(at: int) -> bool:
        return len(split_note(log.notes[at])[1]) > 1 or (ledger / STAMPS / f"{at}.tsr").is_file()

    chosen = {covering[0], covering[-1], *since, *filter(vouched, covering)}
    return {at: log.notes[at] for at in sorted(chosen)}


def _steps(roots: Roots, sizes: Sequence[int], size: int) -> Iterator[dict[str, Any]]:
    """From each checkpoint to the last, whose tiles are at hand."""
    for old in sizes[:-1]:
        yield {"old": old, "new": size, "proof": _told(consistency(roots, old, size))}


def _told(proof: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(one).decode() for one in proof]


def _keys(chosen: Sequence[Statement]) -> Iterator[tuple[str, bytes]]:
    """Public keys as PEM, for who checks with `openssl`."""
    for one in chosen:
        said = one.predicate
        for holder in (
            said["principals"] if one.kind == "genesis" else [said["principal"]] if one.kind in {"enrol", "rotate"} else []
        ):
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(holder["public_key"]))
            yield (
                f"keys/{holder['id']}.pem",
                key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            )


def _evidence(root: Path, chosen: Sequence[Statement], cycle: str) -> dict[str, bytes]:
    """Manifests of what the cycle made, and the small files that its statements name by digest."""
    found: dict[str, bytes] = {}
    for one in chosen:
        said = one.predicate
        if one.kind == "phase":
            for output in said["outputs"]:
                found.update(_artifact(root, said["cycle"], output, here=said["cycle"] == cycle))
            if said["cycle"] == cycle:
                found.update(_file(root, f"cycles/{cycle}/config/{said['phase']}.json", said["config"]))
        elif one.kind == "open" and said["cycle"] == cycle and said["recipe"]:
            found.update(_file(root, said["recipe"]["path"], said["recipe"]["digest"]))
        elif one.kind == "signature" and said["cycle"] == cycle:
            found.update(_file(root, said["file"], said["digest"]))
    return found


def _artifact(root: Path, cycle: str, output: Mapping[str, str], *, here: bool) -> Iterator[tuple[str, bytes]]:
    place = root / "cycles" / cycle / "manifests" / f"{output['name']}.json"
    data = place.read_bytes() if place.is_file() else b""
    if digest_bytes(data) != output["digest"]:  # of an earlier attempt, whose manifest was replaced
        return
    if here or output["kind"] in _EVIDENCE:
        yield f"manifests/{output['digest'].removeprefix('sha256:')}.json", data
    if output["kind"] in _EVIDENCE:
        for file in json.loads(data)["files"]:
            single = PurePosixPath(output["path"]).name == file["path"]
            yield from _file(root, output["path"] if single else f"{output['path']}/{file['path']}", "sha256:" + file["sha256"])


def _file(root: Path, path: str, digest: str) -> Iterator[tuple[str, bytes]]:
    """A small JSON or text file where it is here and is what was recorded; tables may hold rows and stay out."""
    place = root / path
    if place.suffix in {".json", ".diff", ".sig", ".yaml"} and place.is_file() and place.stat().st_size <= _MOST:
        data = place.read_bytes()
        if digest_bytes(data) == digest:
            yield f"files/{path}", data
