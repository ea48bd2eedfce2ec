"""Checks a PDF that `report build` wrote, from the file alone: signatures, enclosed files, pages against data, entries under the checkpoint.

With a workspace at hand it is also drawn again from the record at the same checkpoint, and each entry behind it is looked up.
Every check says what it found; one that could not be made says so and is never counted as passed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from loopwright.errors import UsageError
from loopwright.ledger.merkle import verify_inclusion
from loopwright.ledger.note import read_checkpoint, read_text, split_note
from loopwright.ledger.principals import Principal
from loopwright.report.document import Document
from loopwright.report.enclosed import DOCUMENT, EVIDENCE
from loopwright.report.format import printable
from loopwright.types import canonical, digest_bytes

__all__ = ["Check", "Checked", "verify_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    """``file``, ``enclosed``, ``pages``, ``checkpoint``, ``entries``, ``signature``, ``record``."""
    result: Literal["ok", "failed", "not checked"]
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All that was looked at."""

    digest: str
    """sha256 of the file."""
    document: Document | None
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """What is not as it says."""
        return tuple(check for check in self.checks if check.result == "failed")


def verify_file(
    path: Path, *, keys: Sequence[str] = (), trusted: tuple[Path, ...] = (), workspace: Path | None = None
) -> Checked:
    """Check one file.

    Args:
        path: the PDF.
        keys: verifier keys of the log that the reader trusts (``name+id+key``, from ``ledger/keys.json``); without any, the one inside
            the file is used, and that it is nobody's word is said.
        trusted: certificates (PEM) that a PAdES signature may lead to.
        workspace: the record, or a copy of it.

    Raises:
        UsageError: there is no such file, or a key or certificate that was named is none.
    """
    for key in keys:
        _named(key)
    try:
        pdf = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name a PDF that `report build` wrote") from error
    opened = _open(pdf)
    if isinstance(opened, Check):
        return Checked(digest=digest_bytes(pdf), document=None, checks=(opened, *_signatures(pdf, trusted)))
    files, text = opened
    document = _document(files)
    checks: list[Check] = [*_enclosed(files, document), *_signatures(pdf, trusted)]
    if document is not None:
        checks += [_pages(document, text), *_evidence(files, document, keys), *_record(document, files, workspace)]
    return Checked(digest=digest_bytes(pdf), document=document, checks=tuple(checks))


def _ok(name: str, told: str) -> Check:
    return Check(name=name, result="ok", told=told)


def _bad(name: str, told: str) -> Check:
    return Check(name=name, result="failed", told=told)


def _open(pdf: bytes) -> tuple[dict[str, bytes], str] | Check:
    from pypdf import PdfReader

    try:
        reader = PdfReader(BytesIO(pdf), strict=True)
        files = {name: data[0] for name, data in reader.attachments.items()}
        return files, "".join(page.extract_text() for page in reader.pages)
    except Exception as error:  # noqa: BLE001  # a damaged file may make the library fail in any way; it never passes for a sound one
        return _bad("file", f"not a readable PDF: {type(error).__name__}: {str(error)[:200]}")


def _document(files: Mapping[str, bytes]) -> Document | None:
    try:
        return Document.model_validate_json(files[DOCUMENT])
    except (KeyError, ValidationError):
        return None


def _enclosed(files: Mapping[str, bytes], document: Document | None) -> Iterator[Check]:
    """Is every file inside the one that the list of them names, and none besides?"""
    if document is None:
        yield _bad("enclosed", f"{DOCUMENT} is missing or is no document of schema 2")
    try:
        named: Mapping[str, str] = json.loads(files[EVIDENCE])["files"]
    except (KeyError, ValueError, TypeError):
        yield _bad("enclosed", f"{EVIDENCE} is missing or damaged")
        return
    found = {name: digest_bytes(data) for name, data in files.items() if name != EVIDENCE}
    wrong = sorted(name for name in {*found, *named} if found.get(name) != named.get(name))
    yield (
        _bad("enclosed", f"not the named bytes: {', '.join(wrong)}")
        if wrong
        else _ok("enclosed", f"{len(named)} files have the digests that {EVIDENCE} names")
    )


def _signatures(pdf: bytes, trusted: tuple[Path, ...]) -> Iterator[Check]:
    from loopwright.errors import IntegrityError
    from loopwright.report.signing import read_signatures

    try:
        found = read_signatures(pdf, trusted)
    except IntegrityError as error:
        yield _bad("signature", error.message)
        return
    if not found:
        yield Check(name="signature", result="not checked", told="the file bears no PAdES signature")
    for one in found:
        told = f"{one.signer}, {one.signed_at or 'no time'}, certificate {one.certificate}; before it the file had {one.before}"
        if not (one.intact and one.valid and one.whole):
            why = "changed after it was signed" if not one.intact or not one.whole else "not the certificate's key"
            yield _bad("signature", f"{why}: {told}")
        elif trusted and not one.trusted:
            yield _bad("signature", f"leads to none of the trusted certificates: {told}")
        else:
            yield _ok("signature", told + ("" if trusted else "; whose certificate it is was not asked (--trust)"))


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _pages(document: Document, text: str) -> Check:
    """Do the pages bear the title, every field's id and label, and what persons said?"""
    there = _squeezed(text)
    wanted = [document.title, document.provenance.checkpoint.root.removeprefix("sha256:")]
    for claim in document.claims:
        wanted += [claim.id, claim.label]
        if claim.statement is not None and claim.statement.text:
            wanted.append(claim.statement.text[:400])
        wanted += [fact.value[:200] for fact in claim.facts if isinstance(fact.value, str) and fact.show == "digest"]
    missing = [one for one in dict.fromkeys(wanted) if _squeezed(printable(one)).replace("sha256:", "") not in there]
    if missing:
        return _bad("pages", f"{DOCUMENT} says what no page does: {', '.join(one[:60] for one in missing[:5])}")
    return _ok("pages", f"{len(document.claims)} fields of {DOCUMENT} stand on the pages")


def _evidence(files: Mapping[str, bytes], document: Document, keys: Sequence[str]) -> Iterator[Check]:
    """Is each entry under a checkpoint that a key of the log has signed?"""
    try:
        told = json.loads(files[EVIDENCE])
        inside, note = [str(key) for key in told["log_keys"]], str(told["checkpoint"])
        checkpoint = read_checkpoint(note, [_log(key) for key in (keys or inside)])
        proofs = {int(one["leaf"]): one for one in told["proofs"]}
        rows = [dict(row) for row in told["evidence"]]
    except (KeyError, ValueError, TypeError) as error:
        yield _bad("checkpoint", f"no checkpoint that the log's key signed: {error}")
        return
    named = document.provenance.checkpoint
    if (checkpoint.size, "sha256:" + checkpoint.root.hex(), checkpoint.origin) != (named.size, named.root, named.origin):
        yield _bad("checkpoint", f"{EVIDENCE} has another checkpoint than {DOCUMENT}")
        return
    whose = "a key that you named" if keys else "the key inside the file (--key from somebody you trust says whose it is)"
    yield _ok("checkpoint", f"{checkpoint.origin}, {checkpoint.size} entries, signed by {whose}")
    if rows != [row.model_dump(mode="json") for row in document.evidence]:
        yield _bad("entries", f"{EVIDENCE} lists other evidence than {DOCUMENT}")
        return
    wanted = {row.leaf for row in document.evidence if row.leaf is not None}
    wrong = sorted(leaf for leaf in wanted if not _under(proofs.get(leaf), leaf, checkpoint.size, checkpoint.root))
    yield (
        _bad("entries", f"not under the checkpoint: {wrong}")
        if wrong
        else _ok("entries", f"{len(wanted)} entries are under it")
    )


def _under(proof: Mapping[str, Any] | None, leaf: int, size: int, root: bytes) -> bool:
    try:
        return proof is not None and verify_inclusion(
            bytes.fromhex(proof["leaf_hash"]), leaf, size, [bytes.fromhex(one) for one in proof["path"]], root
        )
    except (KeyError, ValueError, TypeError):
        return False


def _log(key: str) -> Principal:
    """The log's key from its ``name+id+key`` form; ValueError where it is none."""
    name, _, encoded = key.split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if raw[:1] != b"\x01" or len(raw) != 33 or not name:
        raise ValueError("not an Ed25519 verifier key")
    public = base64.b64encode(raw[1:]).decode()
    return Principal(id="log", kind="service", role="log", public_key=public, custody="")


def _named(key: str) -> None:
    try:
        _log(key)
    except ValueError as error:
        raise UsageError(f"--key {key}: no verifier key: {error}", "its form is name+id+key, as in ledger/keys.json") from error


def _record(document: Document, files: Mapping[str, bytes], workspace: Path | None) -> Iterator[Check]:
    """Is it what the record gives at the same checkpoint, entry by entry and field by field?"""
    if workspace is None:
        yield Check(name="record", result="not checked", told="not drawn again from the record (--workspace)")
        return
    from loopwright.report.compare import changes
    from loopwright.report.engine import document_of
    from loopwright.report.loading import load
    from loopwright.report.record import open_record

    at = document.provenance.checkpoint
    record = open_record(workspace, at.size)
    known = read_text(split_note(record.log.notes[at.size])[0])
    if "sha256:" + known.root.hex() != at.root:
        yield _bad(
            "record", f"the workspace's checkpoint of {at.size} entries has another root: another log, or a rewritten one"
        )
        return
    wrong = [
        row.id
        for row in document.evidence
        if row.kind == "entry" and row.leaf is not None and digest_bytes(record.log.entries[row.leaf]) != row.sha256
    ]
    if wrong:
        yield _bad("record", f"the entries {', '.join(wrong)} of the record have other bytes")
        return
    loaded = load(workspace, document.document)
    drawn = document_of(
        record, loaded, document.about.id if document.about.scope != "loop" else None,
        language=document.language, audience=document.audience, versions=document.provenance.versions,
    )  # fmt: skip
    payload = canonical(drawn.model_dump(mode="json", by_alias=True))
    again = Document.model_validate_json(payload)  # numbers as the file has them: 1.0 is written as 1
    if again.provenance.sources != document.provenance.sources:
        yield Check(name="record", result="not checked", told="the report sources are others today; its fields were compared")
    different = changes(document, again)
    if different:
        told = ", ".join(f"{one.id} ({one.change})" for one in different[:8])
        yield _bad("record", f"{len(different)} fields are not what the record gives: {told}")
    elif again.provenance.sources == document.provenance.sources and payload != files[DOCUMENT]:
        yield _bad("record", f"{DOCUMENT} is not what the record gives, outside its fields")
    else:
        yield _ok("record", f"drawn again from {at.size} entries: the same {len(again.claims)} fields")
