"""A person answers a field of a report: the words go into the workspace's ``answers/``, their digest is signed into the log.

Versions are never overwritten: a new answer stands before the old one, a withdrawn one leaves the field open.
"""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.clock import now
from loopwright.errors import UsageError
from loopwright.govern.requests import Desk
from loopwright.ledger.answers import FOLDER, LOOP, MEDIA_TYPE, history, lay_down, written
from loopwright.ledger.fold import LoopState
from loopwright.ledger.ledger import Draft
from loopwright.store import git
from loopwright.types import Digest

__all__ = ["Given", "answer", "answer_all", "attached", "covered", "said_of", "version_of", "words_of"]

_LARGEST = 64 * 1024 * 1024
"""Bytes of an attached file: it goes into git."""
_LONGEST = 1_000_000
"""Characters of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a person says about a field."""

    field: str
    document: str | None
    """Which document shows it; for the reader of the log."""
    about: str = LOOP
    state: str
    """``statement``, ``confirmed``, ``not-applicable`` or ``withdrawn``."""
    text: str | None = None
    """The statement, or why it does not apply."""
    files: Sequence[Path] = ()
    confirms: Digest | None = None
    """Digest of the facts that the person saw."""


def answer(desk: Desk, given: Given, name: str | None = None) -> dict[str, Any]:
    """Sign and record it: the entry, the version, the digest, who signed, and whether a checkpoint covers it already.

    Raises:
        UsageError: nothing is on the record that it could be about, or be withdrawn; a file cannot be read, or is too large.
    """
    [made] = answer_all(desk, [given], name)
    return made


def answer_all(desk: Desk, given: Sequence[Given], name: str | None = None) -> list[dict[str, Any]]:
    """`answer` each of these, of as many fields, at once: one transaction, one checkpoint and one commit."""
    state = desk.consent.state()
    principal, hand = desk.hand(state, name, "operator")
    versions = [version_of(state, one) for one in given]
    said = [said_of(one, version, _kept(desk.root, one)) for one, version in zip(given, versions, strict=True)]
    drafts = [Draft(kind="answer", predicate=one, role="person", event=f"answer:{uuid.uuid4().hex}") for one in said]
    leaves = desk.ledger.append_many(drafts, hand)
    desk.ledger.publish()
    seen = covered(desk, given[0].field if len(given) == 1 else f"{len(given)} fields")
    return [{"leaf": leaf, "key": principal.id, "covered": seen, **one} for leaf, one in zip(leaves, said, strict=True)]


def said_of(given: Given, version: int, digest: Digest | None) -> dict[str, Any]:
    """What the entry says; ``digest``: of the file with the words."""
    return {
        "field": given.field,
        "about": given.about,
        "version": version,
        "state": given.state,
        "digest": digest,
        "media_type": MEDIA_TYPE if digest else None,
        "document": given.document,
        "confirms": given.confirms,
        "answered_at": now(),
    }


def covered(desk: Desk, what: str) -> bool:
    """Commit the words of an answer that is on the record to ``what``; whether a checkpoint covers it already."""
    git.commit(desk.root, (FOLDER,), f"record: an answer to {what}")
    return desk.cover()


def version_of(state: LoopState, given: Given) -> int:
    """Which version of the answer this will be; UsageError where nothing is there that it could be about, or be withdrawn."""
    _known(state, given.about)
    before = history(state.acts, given.field, given.about)
    if given.state == "withdrawn" and (not before or before[-1].state == "withdrawn"):
        raise UsageError(f"no answer to {given.field} about {given.about} stands", "`loopwright report check DOCUMENT`")
    return len(before) + 1


def _known(state: LoopState, about: str) -> None:
    incidents = {one.predicate["incident"] for one in getattr(state.acts, "incidents", ())}
    if about not in {LOOP, *state.cycles, *incidents}:
        known = ", ".join([LOOP, *state.cycles, *sorted(incidents)])
        raise UsageError(f"the record has nothing of the name {about!r}", f"--about one of: {known}")


def _kept(root: Path, given: Given) -> Digest | None:
    files = [attached(path) for path in given.files]
    body = words_of(given, files)
    return lay_down(root, body, [data for _, _, data in files]) if body else None


def words_of(given: Given, files: Sequence[tuple[str, str, bytes]]) -> bytes | None:
    """The file with the words of an answer, with these files (name, media type, bytes); None where there are none. UsageError where a text is too long."""
    if given.text is None and not files:
        return None
    if given.text is not None and not 0 < len(given.text.strip()) <= _LONGEST:
        raise UsageError(f"a text of {len(given.text)} characters; allowed: 1 to {_LONGEST:,}", "attach it with --file")
    reason = given.text if given.state == "not-applicable" else None
    return written(None if reason else given.text, reason, files)


def attached(path: Path) -> tuple[str, str, bytes]:
    """A file that a person gives with their words: its name, media type and bytes; UsageError where it cannot be kept."""
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(
                f"{path} has {path.stat().st_size:,} bytes; allowed: {_LARGEST:,}", "keep it elsewhere, and say where"
            )
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "give a file") from error
    return path.name, mimetypes.guess_type(path.name)[0] or "application/octet-stream", data
