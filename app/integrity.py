"""Is the record what was signed? Verified beside the pages: at once where it is short, else in a process of its own, again as it grows.

Run as ``python -m app.integrity WORKSPACE`` it prints what it found as JSON. Artifacts on disk are `loopwright verify`'s business.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from loopwright.errors import LoopwrightError
from loopwright.ledger.inspection import inspect_record
from loopwright.ledger.tiles import published_size

__all__ = ["Standing", "standing", "verified"]

SHORT = 2_000
"""Entries that are verified while the reader waits: about a quarter of a second."""
WAIT = 1.5
"""Seconds for which the reader waits for it."""
PATIENCE = 20
"""A verification is done again no sooner than so many times what it took."""
GLANCE, ANEW = 2.0, 600.0
"""Seconds between two looks at whether files changed, and after which an unchanged record is verified again all the same."""
_ENTRY = re.compile(r"\bentry (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a record's integrity."""

    state: Literal["sound", "broken", "checking", "none"]
    """``checking``: not verified yet; nothing that is shown meanwhile is said to be verified."""
    size: int = 0
    """Published entries that were looked at."""
    covered: int = 0
    """Entries under the latest signed checkpoint that holds."""
    at: str = ""
    """When it was verified."""
    breaks: int | None = None
    """The first entry that is not what was signed."""
    findings: tuple[str, ...] = ()
    witnesses: tuple[Mapping[str, Any], ...] = ()
    """``name``, ``size``, ``at`` of cosignatures that lie beside the checkpoints (their keys are the reader's to check)."""
    unseen: tuple[str, ...] = ()
    """What was not compared, and why."""
    seconds: float = 0.0


@dataclass(slots=True)
class _Watched:
    told: Standing = field(default_factory=lambda: Standing(state="checking"))
    mark: tuple[int, ...] = ()
    due: float = 0.0
    seen: float = -1e9
    busy: bool = False


_watched: dict[Path, _Watched] = {}
_lock = threading.Lock()


def verified(root: Path) -> Standing:
    """Verify the record at ``root`` now."""
    began = time.monotonic()
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if not (root / "ledger").is_dir():
        return Standing(state="none")
    try:
        told = inspect_record(root)
    except LoopwrightError as error:
        return Standing(state="broken", at=now, findings=(error.message,), breaks=_first([error.message]))
    findings = [f"{one.where}: {one.message}" for one in told.findings]
    return Standing(
        state="broken" if findings else "sound", size=told.leaves, covered=told.covered, at=now, breaks=_first(findings),
        findings=tuple(findings[:20]), witnesses=_witnesses(root), unseen=told.unseen, seconds=time.monotonic() - began,
    )  # fmt: skip


def _first(findings: list[str]) -> int | None:
    return min((int(found[1]) for text in findings for found in [_ENTRY.search(text)] if found), default=None)


def _witnesses(root: Path) -> tuple[Mapping[str, Any], ...]:
    from loopwright.ledger.cosignature import is_cosignature
    from loopwright.ledger.note import read_text

    found = []
    for path in sorted((root / "ledger" / "checkpoints").glob("*")):
        text, _, signatures = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")
        names = [line.split(" ")[1] for line in signatures.splitlines() if is_cosignature(line)]
        if names:
            found += [{"name": name, "size": read_text(text + "\n").size} for name in names]
    return tuple(found)


def standing(root: Path) -> Standing:
    """What is known now; starts a verification where the record changed or was not looked at for long."""
    with _lock:
        watched, now = _watched.setdefault(root, _Watched()), time.monotonic()
        if watched.busy or now < watched.seen + GLANCE:
            return watched.told
        watched.seen, mark = now, _mark(root)
        if now < watched.due or (mark == watched.mark and now < watched.due + ANEW):
            return watched.told
        watched.busy, watched.mark = True, mark
    short = mark[0] <= SHORT
    work = threading.Thread(target=_here if short else _aside, args=(root, watched), daemon=True)
    work.start()
    work.join(WAIT if short else 0.0)
    return watched.told


def _mark(root: Path) -> tuple[int, ...]:
    """Changes where the record's files do."""
    folder, state = root / "ledger", root / ".loopwright" / "state.db"
    if not folder.is_dir():
        return (0,)
    files = [folder / "checkpoint", *(folder / "tile" / "entries").rglob("*"), state, state.with_name("state.db-wal")]
    return (published_size(folder), *(path.stat().st_mtime_ns for path in files if path.exists()))


def _here(root: Path, watched: _Watched) -> None:
    _done(watched, verified(root))


def _done(watched: _Watched, told: Standing) -> None:
    watched.told, watched.due, watched.busy = told, time.monotonic() + PATIENCE * told.seconds, False


def _aside(root: Path, watched: _Watched) -> None:
    """In another process: what it computes would stand in the way of every page here."""
    began = time.monotonic()
    command = [sys.executable, "-m", "app.integrity", str(root)]
    place = Path(__file__).resolve().parent.parent
    theirs, ours = os.pipe()  # closed when this server ends, in whatever way
    try:
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, cwd=place)
    finally:
        os.close(theirs), os.close(ours)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
        said |= {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
        told = Standing(**said)
    except (ValueError, TypeError):
        told = Standing(state="broken", findings=(done.stderr.strip()[-400:] or "the verification ended by itself",))
    _done(watched, replace(told, seconds=time.monotonic() - began))


def _with_the_server() -> None:
    """End when whoever waits for the answer has ended."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        os.read(0, 1)  # not by `sys.stdin`, whose lock the interpreter wants when it ends
        os._exit(1)


if __name__ == "__main__":
    os.nice(10)  # pages and the loop come first
    threading.Thread(target=_with_the_server, daemon=True).start()
    sys.stdout.write(json.dumps(asdict(verified(Path(sys.argv[1])))))
