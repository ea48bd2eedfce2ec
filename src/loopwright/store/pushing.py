"""What waits to be pushed to the DVC remote: noted before a cycle closes, crossed out when it has arrived.

A push is a step of its own, which may fail or be killed at any point: the next one goes on with what is missing. The notes are
this copy's (``.loopwright/push.jsonl``, in no git), a line a cycle; where there are none, or the remote is another one, all that
``dvc.lock`` names is offered to it, and it takes what it lacks. No entry of the record speaks of remotes: where copies lie is no
claim about what was done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopwright.clock import now
from loopwright.errors import InfraError
from loopwright.store import lockfile
from loopwright.store.dvc import DvcStore
from loopwright.store.files import write_atomic

__all__ = ["Notes", "note", "push", "read_notes", "standing"]

_NOTES = Path(".loopwright", "push.jsonl")
_PUSHING = Path(".loopwright", "push.lock")
"""Held for the length of a push."""
_NOTING = Path(".loopwright", "push-notes.lock")
"""Held while the notes are written: a driver notes a cycle while a push in another process crosses one out."""
_TAIL = 65_536
"""Bytes at the end of the notes that are looked at before a line is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What this copy knows of its remote."""

    waiting: Mapping[str, Mapping[str, str]]
    """Path -> DVC's md5 of each output that has not arrived, by cycle, oldest first."""
    remote: str | None = None
    """URL of the remote that something was pushed to; None: nothing was yet."""
    failure: Mapping[str, str] | None = field(default=None)
    """``at`` and ``error`` of the last push, where that failed."""


def note(root: Path, cycle: str) -> None:
    """Outputs of a cycle are to be pushed. Done twice is done once; one line is written, however long the loop is."""
    stages = [name for name in lockfile.names(root) if name.endswith(f"@{cycle}")]
    outputs = {output.path: output.md5 for output in lockfile.outputs(root, stages) if output.md5.endswith(".dir")}
    with _held(root / _NOTING):
        file = root / _NOTES
        if not file.exists():
            _write(root, Notes(waiting={**_recorded(root), cycle: outputs}))
        elif _last_lines(file).get(cycle) != {"waiting": cycle, "outputs": outputs}:
            _append(root, {"waiting": cycle, "outputs": outputs})


def _last_lines(file: Path) -> dict[str, Any]:
    """The last line of each cycle of which the end of the notes tells, as far as a killed run may have noted it twice."""
    with file.open("rb") as notes:
        notes.seek(max(0, notes.seek(0, os.SEEK_END) - _TAIL))
        lines = notes.read().split(b"\n")
    found = dict[str, Any]()
    for line in lines:
        with contextlib.suppress(ValueError, AttributeError):  # the first is cut
            told = json.loads(line)
            found[told.get("waiting") or told.get("pushed")] = told
    return found


def read_notes(root: Path, fresh: Notes | None = None) -> Notes:
    """What waits; ``fresh`` (all that ``dvc.lock`` names, by default) where nothing was noted or the notes are damaged."""
    try:
        lines = (root / _NOTES).read_text(encoding="utf-8").splitlines()
        return _fold([json.loads(line) for line in lines])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return fresh or Notes(waiting=_recorded(root))


def standing(root: Path) -> dict[str, Any] | None:
    """What `loopwright status` says of it; None where nothing was noted yet. Plain JSON, read from the notes alone."""
    if not (root / _NOTES).exists():
        return None
    notes = read_notes(root)
    return {"remote": notes.remote, "waiting": list(notes.waiting), "failure": notes.failure}


def push(root: Path, store: DvcStore, progress: Callable[[str, int, int], None]) -> dict[str, int]:
    """Copy all that waits to the remote, cycle by cycle. A second push waits until the first has ended.

    By cycle: how many of its objects are not in this copy's cache (they were collected, or never pulled) and so were not sent.

    Args:
        root: The workspace.
        store: Its DVC project.
        progress: Told the cycle that comes next, how many are done, and how many there are.

    Raises:
        InfraError: the remote cannot be reached, or refuses; what has arrived is noted.
    """
    with _held(root / _PUSHING):
        notes = read_notes(root)
        if notes.remote not in (None, store.remote):
            notes = Notes(waiting={**_recorded(root), **notes.waiting})
        _rewrite(root, lambda seen: Notes(waiting={**notes.waiting, **seen.waiting}, remote=store.remote, failure=seen.failure))
        absent = dict[str, int]()
        for done, (cycle, outputs) in enumerate(notes.waiting.items()):
            progress(cycle, done, len(notes.waiting))
            try:
                absent[cycle] = store.send(list(outputs.values()))
            except InfraError as error:
                _note_line(root, {"failed": {"at": now(), "error": error.message}})
                left = len(notes.waiting) - done
                raise InfraError(
                    f"{cycle} did not arrive at {store.remote}: {error.message}",
                    f"mend the remote, then `loopwright push` goes on with {left} cycle{'s' * (left > 1)}; nothing is lost",
                ) from error
            _note_line(root, {"pushed": cycle, "outputs": dict(outputs)})
        _rewrite(root, lambda seen: Notes(waiting=seen.waiting, remote=store.remote))
        return absent


def _fold(lines: list[dict[str, Any]]) -> Notes:
    waiting: dict[str, Mapping[str, str]] = {}
    remote, failure = None, None
    for line in lines:
        remote = line.get("remote", remote)
        failure = line.get("failed", failure)
        if "waiting" in line:
            waiting[line["waiting"]] = line["outputs"]
        if "pushed" in line and waiting.get(line["pushed"]) == line["outputs"]:  # else it was made anew meanwhile
            del waiting[line["pushed"]]
    return Notes(waiting=dict(sorted(waiting.items())), remote=remote, failure=failure)


def _recorded(root: Path) -> dict[str, dict[str, str]]:
    """All cached outputs that ``dvc.lock`` names, by cycle."""
    found: dict[str, dict[str, str]] = {}
    for output in lockfile.outputs(root):
        if output.md5.endswith(".dir"):
            found.setdefault(Path(output.path).parts[1], {})[output.path] = output.md5
    return dict(sorted(found.items()))


def _rewrite(root: Path, change: Callable[[Notes], Notes]) -> None:
    with _held(root / _NOTING):
        _write(root, change(read_notes(root, fresh=Notes(waiting={}))))


def _write(root: Path, notes: Notes) -> None:
    head: dict[str, Any] = {"schema": 1}
    head |= {"remote": notes.remote} if notes.remote else {}
    head |= {"failed": dict(notes.failure)} if notes.failure else {}
    lines = [head, *({"waiting": cycle, "outputs": dict(outputs)} for cycle, outputs in notes.waiting.items())]
    write_atomic(root / _NOTES, "".join(f"{json.dumps(line)}\n" for line in lines).encode())


def _note_line(root: Path, line: Mapping[str, Any]) -> None:
    with _held(root / _NOTING):
        _append(root, line)


def _append(root: Path, line: Mapping[str, Any]) -> None:
    """One write; a line that a full disk or a lost machine cut makes the notes damaged, and all is offered to the remote again."""
    try:
        with (root / _NOTES).open("ab") as file:
            file.write(f"{json.dumps(line)}\n".encode())
    except OSError as error:
        raise InfraError(f"{root / _NOTES} cannot be written: {error.strerror}", "free some space, then run again") from error


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """An exclusive lock that a killed process gives back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
