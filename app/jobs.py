"""Work that takes seconds: `loopwright` verbs in processes of their own, which go on without the page, the session or the server.

A job has a folder in ``.loopwright/jobs/`` with what was asked, what each verb printed, and how it ended; pages read those files.
A lock that the process holds, and no process id, says whether it still runs. Run as ``python -m app.jobs FOLDER`` it does the work.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

__all__ = ["FOLDER", "LONGEST", "Job", "forget", "look", "start"]

FOLDER = Path(".loopwright") / "jobs"
"""Below the workspace: never in git."""
LONGEST = 1800
"""Seconds after which a verb is ended: a hostile file may keep its reader busy for ever."""
KEPT = 30
"""Jobs that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is seen now."""

    state: Literal["none", "running", "done", "failed"] = "none"
    started_at: str = ""
    about: Mapping[str, Any] | None = None
    """What the page that started it wanted to remember."""
    results: tuple[Mapping[str, Any], ...] = ()
    """What each verb printed as JSON, of those that have."""
    done: int = 0
    of: int = 0
    said: str = ""
    """The last line that a verb said of its progress, or why it failed. It may hold what a record says."""


def start(root: Path, name: str, verbs: Sequence[Sequence[str]], about: Mapping[str, Any] | None = None) -> bool:
    """Begin, unless a job of this name runs; whether it was begun. ``verbs``: arguments of `loopwright`, each with ``--json``."""
    folder = root / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        for old in (*folder.glob("out-*"), *folder.glob("err-*")):
            old.unlink()
        told = {
            "started_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "verbs": [list(one) for one in verbs],
            "about": dict(about or {}),
        }
        _write(folder / "job.json", told)
        (folder / "ended.json").unlink(missing_ok=True)
        work = subprocess.Popen(  # it inherits the lock, and holds it until it ends in whatever way
            [sys.executable, "-m", "app.jobs", str(folder)], cwd=Path(__file__).resolve().parent.parent, pass_fds=[lock.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=work.wait, daemon=True).start()  # nobody else collects it
    return True


def look(root: Path, name: str) -> Job:
    """How it stands."""
    folder = root / FOLDER / name
    asked, ended = _read(folder / "job.json"), _read(folder / "ended.json")
    if asked is None:
        return Job()
    results = tuple(one for number in range(len(asked["verbs"])) if (one := _first(folder / f"out-{number}")) is not None)
    running = ended is None and _held(folder / "lock")
    fine = ended is not None and len(results) == len(
        asked["verbs"]
    )  # a check that finds something ends badly, and has its result
    state: Literal["running", "done", "failed"] = "running" if running else "done" if fine else "failed"
    return Job(
        state=state, started_at=asked["started_at"], about=asked["about"], results=results, done=len(results), of=len(asked["verbs"]),
        said=_said(folder, len(asked["verbs"])),
    )  # fmt: skip


def forget(root: Path) -> None:
    """Remove the oldest jobs that run no more."""
    folders = sorted((root / FOLDER).glob("*"), key=lambda one: one.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        if not _held(folder / "lock"):
            shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _first(path: Path) -> Any:
    """The first line, which is the result; an error may follow it."""
    try:
        with path.open(encoding="utf-8") as file:
            told = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and "error" not in told else None


def _said(folder: Path, count: int) -> str:
    for number in reversed(range(count)):
        file = folder / f"err-{number}"
        if file.is_file() and (lines := file.read_text(encoding="utf-8", errors="replace").strip().splitlines()):
            told = [line for line in lines if line.startswith("error: ")] or lines
            return told[-1][:500]
    return ""


def _held(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _write(path: Path, told: Any) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(path)


def _work(folder: Path) -> None:
    """Run the verbs one after the other; each is tried, whatever became of the one before."""
    asked, codes = _read(folder / "job.json"), []
    for number, verb in enumerate(asked["verbs"]):
        with (folder / f"out-{number}").open("wb") as out, (folder / f"err-{number}").open("wb") as err:
            command = [sys.executable, "-m", "loopwright", *verb]
            try:
                codes.append(
                    subprocess.run(
                        command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=LONGEST, check=False
                    ).returncode
                )
            except subprocess.TimeoutExpired:
                err.write(f"error: ended after {LONGEST} seconds\n".encode())
                codes.append(-1)
    for file in folder.glob("upload.*"):
        file.unlink()
    _write(folder / "ended.json", {"codes": codes})


if __name__ == "__main__":
    os.nice(10)  # pages and the loop come first
    _work(Path(sys.argv[1]))
