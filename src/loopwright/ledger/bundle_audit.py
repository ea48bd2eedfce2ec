"""A bundle, checked offline: is every statement in it in the signed log, by whom it says, about the files that are here?

Seven steps, in this order; a step whose ground is gone is not taken. The second verifier (`verify_bundle.py`, which shares no line
with this) takes the same ones, and the codes of the findings are the same classes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from loopwright.ledger.audit import Finding
from loopwright.ledger.bundle import FREE, INDEX, read_bundle
from loopwright.ledger.cosignature import is_line
from loopwright.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from loopwright.ledger.note import Checkpoint, origin_of, read_checkpoint, split_note, verifier_key
from loopwright.ledger.principals import may_sign, right, signed_by
from loopwright.ledger.roster import Roster
from loopwright.ledger.schema import problems
from loopwright.ledger.statement import Envelope, Statement, pae, read_payload, unseal
from loopwright.ledger.trust import STAMPS, Standing, Trust, fit, stamped, witnessed
from loopwright.types import digest_bytes

__all__ = ["BundleReport", "check_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport:
    """What is in a bundle, and what was found."""

    findings: tuple[Finding, ...]
    workspace: str = ""
    cycle: str = ""
    size: int = 0
    """Entries of the log at the bundle's latest checkpoint."""
    entries: int = 0
    """Of those, how many are here."""
    whole: bool = False
    """All of them are: nothing was left out."""
    log_key: str = ""
    """Verifier key of the log; compare it with one that you have from elsewhere."""
    standing: Standing | None = None


class _Stop(Exception):  # ends the audit; the finding says why
    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(code=code, where=where, message=message)


class _Audit:
    """The bundle while it is checked."""

    def __init__(self, data: bytes, trust: Trust, log_key: str | None) -> None:
        self.trust, self.expected = trust, log_key
        self.findings: list[Finding] = []
        self.data = data
        self.files: Mapping[str, bytes] = {}
        self.index: dict[str, Any] = {}
        self.entries: dict[int, tuple[Statement, Envelope, bytes]] = {}
        self.notes: dict[int, str] = {}
        self.points: dict[int, Checkpoint] = {}
        self.log_key = ""
        self.standing: Standing | None = None

    def add(self, code: str, where: str, message: str) -> None:
        self.findings.append(Finding(code=f"bundle-{code}", where=where, message=message))

    def archive(self) -> None:
        try:
            self.files = read_bundle(self.data)
        except ValueError as error:
            raise _Stop("bundle-archive", "the file", str(error)) from error

    def form(self) -> None:
        """The index says exactly what is here, and every entry is a statement."""
        where = INDEX
        try:
            self.index = _index(self.files)
            for told in self.index["entries"]:
                where = f"entries/{told['index']}.json"
                self.entries[told["index"]] = _entry(self.files[where], told["index"])
            self.notes = {
                int(PurePosixPath(name).name): self.files[name].decode() for name in _below(self.files, "checkpoints")
            }
            if {f"checkpoints/{size}" for size in self.notes} != set(_below(self.files, "checkpoints")):
                raise ValueError("a checkpoint's name is no number")
            if max(self.notes) != self.index["size"] or set(self.index["steps"]) != set(self.notes) - {self.index["size"]}:
                raise ValueError("the checkpoints are not those that the index speaks of")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _Stop("bundle-form", where, f"{error}") from error

    def checkpoints(self) -> None:
        """Signed by the log's key; the last continues each one before it."""
        try:
            genesis = self.entries[0][0].predicate
            roster = Roster.of(genesis)
            logs = [one.principal for one in roster.holdings.values() if one.principal.role == "log"]
            self.log_key = verifier_key(origin_of(genesis["workspace"]), base64.b64decode(logs[0].public_key))
            if (genesis["workspace"], origin_of(genesis["workspace"])) != (self.index["workspace"], self.index["origin"]):
                raise ValueError("the index names another log than the first entry")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise _Stop("bundle-form", "entries/0.json", f"enrols nobody: {error}") from error
        logs += [one for one in _enrolled_later(self.entries) if one.role == "log"]
        for size, note in sorted(self.notes.items()):
            where = f"checkpoints/{size}"
            try:
                self.points[size] = read_checkpoint(note, logs)
                if not all(map(is_line, split_note(note)[1])):
                    raise ValueError("bears a line that is no signature")
            except ValueError as error:
                raise _Stop("bundle-checkpoint", where, str(error)) from error
            if (self.points[size].size, self.points[size].origin) != (size, self.index["origin"]):
                raise _Stop("bundle-checkpoint", where, "is of another size or another log")
        new = self.points[self.index["size"]]
        for old, proof in self.index["steps"].items():
            if not verify_consistency(old, new.size, self.points[old].root, new.root, proof):
                raise _Stop(
                    "bundle-checkpoint", f"checkpoints/{old}", f"the checkpoint of {new.size} entries does not continue it"
                )

    def inclusion(self) -> None:
        last = self.points[self.index["size"]]
        for told in self.index["entries"]:
            leaf = leaf_hash(self.files[f"entries/{told['index']}.json"])
            if not verify_inclusion(leaf, told["index"], last.size, told["proof"], last.root):
                self.add("inclusion", f"entries/{told['index']}.json", "is not that entry of the log")

    def signatures(self) -> None:
        """Each by a key that was enrolled by then and may say this."""
        roster = Roster.of(self.entries[0][0].predicate)
        for index, (statement, envelope, _) in sorted(self.entries.items()):
            holding, needed = roster.holdings.get(envelope.keyid), right(statement.kind, statement.predicate)
            who = holding.principal if holding and holding.revoked is None else None
            if who is None or not may_sign(who.role, needed) or not signed_by(who, envelope.signature, pae(envelope.payload)):
                self.add(
                    "signature", f"entries/{index}.json", f"is not signed by a key that was enrolled then and may sign {needed}"
                )
                continue
            try:
                roster = roster.after(statement)
            except ValueError as error:
                self.add("signature", f"entries/{index}.json", str(error))
        for name in _below(self.files, "keys"):
            holding = roster.holdings.get(PurePosixPath(name).stem)
            if holding is None or self.files[name] != _pem(holding.principal.public_key):
                self.add("signature", name, "is not that principal's key")

    def artifacts(self) -> None:
        """Manifests and files are what statements name by digest; nothing else is here."""
        told = [one for one, _, _ in self.entries.values()]
        expected, named = (
            dict(_named(told)),
            {output["digest"] for one in told if one.kind == "phase" for output in one.predicate["outputs"]},
        )
        manifests = {name: digest_bytes(self.files[name]) for name in _below(self.files, "manifests")}
        for name, digest in manifests.items():
            if digest not in named or PurePosixPath(name).stem != digest.removeprefix("sha256:"):
                self.add("artifact", name, "no statement here names it")
        for one in told:
            for output in one.predicate["outputs"] if one.kind == "phase" else ():
                expected.update(_listed(output, self.files.get(f"manifests/{output['digest'].removeprefix('sha256:')}.json")))
        for name in _below(self.files, "files"):
            if expected.get(name.removeprefix("files/")) != digest_bytes(self.files[name]):
                self.add("artifact", name, "is not what a statement here names")

    def completeness(self) -> None:
        """The cycle from its opening to its end, with the manifest of all that it made."""
        cycle = self.index["cycle"]
        mine = [one for one, _, _ in self.entries.values() if one.predicate.get("cycle") == cycle]
        there = {one.predicate.get("phase", "") if one.kind == "phase" else one.kind for one in mine}
        for lacking in sorted({"open", "close", "decide"} - there):
            self.add("incomplete", INDEX, f"lacks the {lacking} entry of {cycle}")
        made = {
            out["path"]: out["digest"]
            for one in sorted(mine, key=lambda one: one.index)
            if one.kind == "phase"
            for out in one.predicate["outputs"]
        }
        for path, digest in made.items():
            if f"manifests/{digest.removeprefix('sha256:')}.json" not in self.files:
                self.add("incomplete", path, "its manifest is not here")
        if self.index["whole"] and list(self.entries) != list(range(self.index["size"])):
            self.add("incomplete", INDEX, "is said to hold every entry, and does not")

    def trusted(self) -> None:
        """What the reader's own keys and checkpoints say."""
        texts = {size: split_note(note)[0] for size, note in self.notes.items()}
        self.standing = witnessed(self.notes, {size: f"checkpoints/{size}" for size in self.notes}, self.trust)
        self.findings += self.standing.findings
        roots = {size: point.root for size, point in self.points.items()}
        here = [
            one
            for one in self.trust.kept
            if one.size in roots or one.size > self.index["size"] or one.origin != self.index["origin"]
        ]
        self.findings += fit(here, self.index["origin"], roots, self.index["size"])
        for one in self.trust.kept:
            if one not in here:
                problem = f"the bundle has no checkpoint of {one.size} entries to compare: ask for `export --since` yours"
                self.findings.append(Finding(code="checkpoint-unknown", where="kept checkpoint", message=problem))
        if self.expected is not None and self.expected.strip() != self.log_key:
            self.findings.append(Finding(code="log-key", where="entries/0.json", message=f"the log's key is {self.log_key}"))
        responses = {name: self.files[name] for name in _below(self.files, STAMPS)}
        self.standing, wrong = stamped(self.standing, responses, texts, self.trust)
        self.findings += wrong

    def run(self) -> None:
        try:
            self.archive()
            self.form()
            self.checkpoints()
        except _Stop as stop:
            self.findings.append(stop.finding)
            return
        for step in (self.inclusion, self.signatures, self.artifacts, self.completeness, self.trusted):
            step()


def _index(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The index, its proofs decoded; ValueError, KeyError or TypeError where it is none or names other entries than are here."""
    told = json.loads(files[INDEX])
    if (told["schema"], told["format"]) != (1, "loopwright-bundle") or not all(
        isinstance(told[name], str) for name in ("workspace", "origin", "cycle")
    ):
        raise ValueError("not a bundle of version 1")
    if type(told["size"]) is not int or type(told["whole"]) is not bool:
        raise ValueError("size or whole is not what it should be")
    numbers = [one["index"] for one in told["entries"]]
    if any(type(number) is not int for number in numbers) or numbers != sorted(set(numbers)) or numbers[:1] != [0]:
        raise ValueError("the entries are not in order, or the first is missing")
    if {f"entries/{number}.json" for number in numbers} != set(_below(files, "entries")):
        raise ValueError("other entries are here than the index names")
    told["entries"] = [{"index": one["index"], "proof": _decoded(one["proof"])} for one in told["entries"]]
    steps = {one["old"]: _decoded(one["proof"]) for one in told["consistency"] if one["new"] == told["size"]}
    if len(steps) != len(told["consistency"]):
        raise ValueError("a consistency proof leads elsewhere, or is there twice")
    told["steps"] = steps
    return told


def _decoded(proof: Any) -> list[bytes]:
    hashes = [base64.b64decode(one, validate=True) for one in proof]
    spelled = [base64.b64encode(one).decode() for one in hashes]
    if len(hashes) > 64 or any(len(one) != 32 for one in hashes) or spelled != proof:
        raise ValueError("a proof is not made of hashes")
    return hashes


def _entry(data: bytes, index: int) -> tuple[Statement, Envelope, bytes]:
    envelope = unseal(data)
    kind, subjects, predicate = read_payload(envelope.payload)
    if missing := problems(kind, predicate):
        raise ValueError(f"the {kind} statement lacks, or has impossible values in: {', '.join(missing)}")
    statement = Statement(index=index, kind=kind, subjects=subjects, predicate=predicate, keyid=envelope.keyid)
    return statement, envelope, data


def _below(files: Mapping[str, bytes], folder: str) -> list[str]:
    return [name for name in files if name.startswith(f"{folder}/") and name not in FREE]


def _enrolled_later(entries: Mapping[int, tuple[Statement, Envelope, bytes]]) -> list[Any]:
    from loopwright.ledger.principals import read_principal

    found = [one.predicate["principal"] for one, _, _ in entries.values() if one.kind in {"enrol", "rotate"}]
    return [read_principal(entry, demo=True) for entry in found if entry["role"] == "log"]


def _pem(public_key: str) -> bytes:
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _named(told: Sequence[Statement]) -> Iterator[tuple[str, str]]:
    """Files that statements name directly: configurations, recipes, model signatures."""
    for one in told:
        said = one.predicate
        if one.kind == "phase":
            yield f"cycles/{said['cycle']}/config/{said['phase']}.json", said["config"]
        elif one.kind == "open" and said["recipe"]:
            yield said["recipe"]["path"], said["recipe"]["digest"]
        elif one.kind == "signature":
            yield said["file"], said["digest"]


def _listed(output: Mapping[str, str], manifest: bytes | None) -> Iterator[tuple[str, str]]:
    """Files of an artifact by their place, where its manifest is here."""
    try:
        for file in json.loads(manifest)["files"] if manifest else ():
            single = PurePosixPath(output["path"]).name == file["path"]
            yield output["path"] if single else f"{output['path']}/{file['path']}", f"sha256:{file['sha256']}"
    except (ValueError, KeyError, TypeError):
        return  # named already: it is not the manifest that a statement names


def check_bundle(data: bytes, trust: Trust, log_key: str | None = None) -> BundleReport:
    """Check a bundle's bytes by the reader's own trust; never raises for what is in it.

    ``log_key`` is the log's verifier key, where the reader has it from elsewhere.
    """
    run = _Audit(data, trust, log_key)
    run.run()
    return BundleReport(
        findings=tuple(run.findings),
        workspace=run.index.get("workspace", ""),
        cycle=run.index.get("cycle", ""),
        size=run.index.get("size", 0),
        entries=len(run.entries),
        whole=run.index.get("whole", False),
        log_key=run.log_key,
        standing=run.standing,
    )
