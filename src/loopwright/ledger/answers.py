"""Answers of persons to the fields of reports: the newest of each is found in the log, its words beside it.

The log has the digest of a small salted file in the workspace's ``answers/``; words, and names of attached files, stand in
that file alone. It can be erased: the entry still verifies, and nobody can guess from it what was said.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError
from loopwright.ledger.acts import Acts
from loopwright.ledger.publication import write_file
from loopwright.types import Digest, canonical, digest_bytes

__all__ = [
    "FOLDER",
    "LOOP",
    "MEDIA_TYPE",
    "Answer",
    "AttachedFile",
    "Content",
    "content",
    "file_bytes",
    "history",
    "keep",
    "lay_down",
    "standing",
    "words",
    "written",
]

FOLDER = "answers"
LOOP = "loop"
"""What an answer is about that stands for every cycle."""
MEDIA_TYPE = "application/vnd.loopwright.answer+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, as its entry tells it."""

    index: int
    key: str
    """Who signed it."""
    field: str
    about: str
    version: int
    state: str
    """``statement``, ``confirmed``, ``not-applicable`` or ``withdrawn``."""
    digest: Digest | None
    """Of the file with the words; None where there are none."""
    confirms: Digest | None
    """Digest of the facts that the person saw and confirms."""
    answered_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFile:
    """A file that belongs to an answer: named and digested, never shown."""

    name: str
    media_type: str
    digest: Digest
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The words of an answer."""

    text: str | None
    reason: str | None
    files: tuple[AttachedFile, ...]


def history(acts: Acts, field: str, about: str) -> tuple[Answer, ...]:
    """Every version of one answer, in the order of the log."""
    return tuple(
        _answer(one.index, one.keyid, one.predicate)
        for one in acts.answers
        if (one.predicate["field"], one.predicate["about"]) == (field, about)
    )


def standing(acts: Acts, field: str, about: str) -> Answer | None:
    """The answer that stands: about exactly this, else (of a cycle) about the loop; None where it was withdrawn or never given."""
    for place in dict.fromkeys((about, LOOP)) if not about.startswith("inc-") else (about,):
        told = history(acts, field, place)
        if told and told[-1].state != "withdrawn":
            return told[-1]
    return None


def _answer(index: int, key: str, said: Mapping[str, Any]) -> Answer:
    same = ("field", "about", "version", "state", "digest", "confirms", "answered_at")
    return Answer(index=index, key=key, **{name: said[name] for name in same})


def keep(root: Path, text: str | None, reason: str | None, files: Sequence[tuple[str, str, bytes]]) -> Digest:
    """Write the words, and the files (name, media type, bytes), below ``answers/``; the digest that is signed."""
    return lay_down(root, written(text, reason, files), [data for _, _, data in files])


def written(text: str | None, reason: str | None, files: Sequence[tuple[str, str, bytes]]) -> bytes:
    """The small file with the words, salted anew; files are named and digested in it."""
    told = [{"name": name, "media_type": kind, "digest": digest_bytes(data), "bytes": len(data)} for name, kind, data in files]
    return canonical({"schema": 1, "salt": secrets.token_hex(16), "text": text, "reason": reason, "files": told})


def lay_down(root: Path, body: bytes, files: Sequence[bytes]) -> Digest:
    """Put what `written` made, and the files that it names, below ``answers/``; its digest."""
    (root / FOLDER).mkdir(exist_ok=True)
    for data in files:
        write_file(_bytes_at(root, digest_bytes(data)), data)
    digest = digest_bytes(body)
    write_file(_words_at(root, digest), body)
    return digest


def content(root: Path, answer: Answer) -> Content | None:
    """The words of an answer; None where they were erased, or it has none (`Answer.digest`).

    Raises:
        IntegrityError: what lies there, or a file that belongs to it, is not what the person signed.
    """
    return None if answer.digest is None else words(root, answer.digest)


def words(root: Path, digest: Digest) -> Content | None:
    """The words that `keep` wrote under this digest; likewise."""
    data = _read(root, _words_at(root, digest), digest)
    if data is None:
        return None
    told = json.loads(data)
    files = tuple(AttachedFile(**one) for one in told["files"])
    for one in files:
        _read(root, _bytes_at(root, one.digest), one.digest)
    return Content(text=told["text"], reason=told["reason"], files=files)


def file_bytes(root: Path, file: AttachedFile) -> bytes | None:
    """An attached file as it was signed; None where it was erased, IntegrityError where it is another."""
    return _read(root, _bytes_at(root, file.digest), file.digest)


def _read(root: Path, path: Path, digest: Digest) -> bytes | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    if digest_bytes(data) != digest:
        where = path.relative_to(root).as_posix()
        raise IntegrityError(f"{where} is not what was signed", f"`git log {where}`; restore it, or answer again")
    return data


def _words_at(root: Path, digest: Digest) -> Path:
    return root / FOLDER / f"{digest.removeprefix('sha256:')}.json"


def _bytes_at(root: Path, digest: Digest) -> Path:
    return root / FOLDER / f"{digest.removeprefix('sha256:')}.bin"
