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
from loopwright.ledger.answers import FOLDER, LOOP, MEDIA_TYPE, history, keep
from loopwright.ledger.fold import LoopState
from loopwright.ledger.ledger import Draft
from loopwright.store import git
from loopwright.types import Digest

__all__ = ["Given", "answer", "answer_all", "attached"]

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
    versions = [_version(state, one) for one in given]
    said = [
        {
            "field": one.field,
            "about": one.about,
            "version": version,
            "state": one.state,
            "digest": (digest := _kept(desk.root, one)),
            "media_type": MEDIA_TYPE if digest else None,
            "document": one.document,
            "confirms": one.confirms,
            "answered_at": now(),
        }
        for one, version in zip(given, versions, strict=True)
    ]
    drafts = [Draft(kind="answer", predicate=one, role="person", event=f"answer:{uuid.uuid4().hex}") for one in said]
    leaves = desk.ledger.append_many(drafts, hand)
    desk.ledger.publish()
    what = given[0].field if len(given) == 1 else f"{len(given)} fields"
    git.commit(desk.root, (FOLDER,), f"record: an answer to {what}")
    seen = desk.cover()
    return [{"leaf": leaf, "key": principal.id, "covered": seen, **one} for leaf, one in zip(leaves, said, strict=True)]


def _version(state: LoopState, given: Given) -> int:
    """Which version of the answer this will be."""
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
    if given.text is None and not given.files:
        return None
    if given.text is not None and not 0 < len(given.text.strip()) <= _LONGEST:
        raise UsageError(f"a text of {len(given.text)} characters; allowed: 1 to {_LONGEST:,}", "attach it with --file")
    reason = given.text if given.state == "not-applicable" else None
    return keep(root, None if reason else given.text, reason, [attached(path) for path in given.files])


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
