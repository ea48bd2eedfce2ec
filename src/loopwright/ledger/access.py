"""The access log: who looked at the record or took a copy of it. Kept beside the ledger, anchored in it by digest.

A view is a line of JSON in ``.loopwright/access/<hour>.jsonl`` (UTC): when, what was done, to what, by which key. Looking never
waits for a database or a signature. Once an hour is over, whoever next writes the ledger seals the file (read-only) and appends an
``anchor`` statement with its digest, so a line that is changed or taken out later shows. Persons appear by key id; a file may be
deleted as a whole (retention, erasure) and is then missing, not different.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loopwright.clock import now, rfc3339
from loopwright.ledger.keys import key_folder, key_path
from loopwright.types import digest_bytes

__all__ = ["ACCESS", "anchor_of", "differing", "ended", "event_of", "looks", "saw"]

ACCESS = Path(".loopwright") / "access"
"""The access log's folder, relative to the workspace."""

_NAME = re.compile(r"\.loopwright/access/(\d{4}-\d\d-\d\dT\d\d)(-\d+)?\.jsonl")
_GRACE = timedelta(minutes=1)
_WRITABLE = 0o200


def saw(root: Path, action: str, subject: str, *, by: str | None = None) -> None:
    """Note that somebody saw or took something: ``action`` is ``show``, ``report``, ``export``, ``page`` or the like.

    ``by`` is a key id; without it the person whose key this machine holds, or nobody known. A medium that cannot be written hinders
    nobody from reading: the loss is logged.
    """
    if not (root / "ledger").is_dir():
        return  # no record, nothing was seen
    moment = datetime.now(UTC)
    line = {"at": rfc3339(moment, "seconds"), "action": action, "subject": subject, "by": by or _holder(root)}
    try:
        descriptor = os.open(_place(root, moment), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(
                descriptor, json.dumps(line, sort_keys=True).encode() + b"\n"
            )  # at once: two processes never mix their lines
        finally:
            os.close(descriptor)
    except OSError as error:
        logging.getLogger(__name__).warning("the access log cannot be written: %s", error)


def _place(root: Path, moment: datetime) -> Path:
    """This hour's file; the next of the hour where that was sealed already (a clock that was set back)."""
    (root / ACCESS).mkdir(parents=True, exist_ok=True)
    hour = f"{moment:%Y-%m-%dT%H}"
    file, more = root / ACCESS / f"{hour}.jsonl", 1
    while file.exists() and not file.stat().st_mode & _WRITABLE:
        more += 1
        file = root / ACCESS / f"{hour}-{more}.jsonl"
    return file


def _holder(root: Path) -> str:
    """Key id of a demonstration's operator, or of the one person whose key lies in this account; no private key is read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads((root / "ledger" / "keys.json").read_bytes())
        if key_path(key_folder(told["workspace"]), "person").is_file():
            return next(one["id"] for one in told["principals"] if one["role"] == "person")
        from loopwright.ledger.hands import hands_here  # cryptography's loaders, which most views do without

        [mine] = hands_here()
        return mine
    return "unknown"


def ended(root: Path) -> list[Path]:
    """Files of hours that are over, relative to the workspace, oldest first."""
    before = f"{datetime.now(UTC) - _GRACE:%Y-%m-%dT%H}"
    files = (path.relative_to(root) for path in sorted((root / ACCESS).glob("*.jsonl")))
    return [file for file in files if (found := _NAME.fullmatch(file.as_posix())) and found[1] < before]


def looks(root: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Lines of the access log, newest first, each with its file relative to the workspace.

    A line that is no JSON object is told as ``{"unreadable": its text}``: whoever spoils one does not hide it.
    """
    for path in sorted((root / ACCESS).glob("*.jsonl"), reverse=True):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, as a whole
            for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
                yield path.relative_to(root), _line(line)


def _line(text: str) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(told := json.loads(text), dict):
            return told
    return {"unreadable": text}


def event_of(file: Path) -> str:
    """The idempotency key of a file's anchor."""
    return f"anchor:{file.as_posix()}"


def anchor_of(root: Path, file: Path) -> dict[str, Any]:
    """Seal a file and say what is in it: the predicate of its ``anchor`` statement."""
    (root / file).chmod(0o444)
    data = (root / file).read_bytes()
    return {
        "file": file.as_posix(),
        "digest": digest_bytes(data),
        "lines": data.count(b"\n"),
        "anchored_at": now("seconds"),
    }


def differing(root: Path, said: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the file of an ``anchor`` statement, in words, where it is here; FileNotFoundError where it is not."""
    if not _NAME.fullmatch(said["file"]):
        yield "not a file of the access log"
        return
    data = (root / said["file"]).read_bytes()
    if digest_bytes(data) != said["digest"]:
        lines = data.count(b"\n")
        yield f"changed after it was anchored: {lines} lines, {said['lines']} then"
