"""Observers of a run: a live view on a terminal, plain lines elsewhere, a log file. They draw; they change nothing."""

from __future__ import annotations

import contextlib
import fcntl
import time
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from loopwright.run import Observer

__all__ = ["Fanout", "LiveView", "LogFile", "PlainLines", "describe"]

QUIET_STEPS = frozenset({"worked", "sealed", "placed", "versioned", "recorded", "signed", "checkpointed"})
"""Boundaries that only the log file shows."""


def describe(cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> str:
    """One line about an event, for a person."""
    if step == "published":
        return f"{cycle} {phase:<9} done      {_summary(facts.get('summary', {}))}"
    if step == "skipped":
        return f"{cycle} {phase:<9} on record {_summary(facts.get('summary', {}))}"
    if step == "decided":
        return f"{cycle} {facts['action'].upper()}: {'; '.join(facts['reasons'])}"
    if step == "failed":
        return f"{cycle} {phase:<9} FAILED    {facts['message']}"
    return f"{cycle} {phase:<9} {step}".rstrip()


class Fanout:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.event(cycle, phase, step, facts)

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.progress(cycle, phase, done, total, unit)

    def close(self) -> None:
        """Close those that hold something open."""
        for observer in self._observers:
            if isinstance(observer, LiveView):
                observer.close()


class PlainLines:
    """A line an event, and one each ten seconds of a long phase."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Print what matters to a reader."""
        self._last = time.monotonic()
        if step not in QUIET_STEPS:
            self._print(describe(cycle, phase, step, facts))

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Print at most one line in ten seconds."""
        if time.monotonic() - self._last >= 10:
            self._last = time.monotonic()
            self._print(f"{cycle} {phase:<9} {done}/{total} {unit}")

    def _print(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class LiveView:
    """One bar for the phase at work, with rate and time left; finished phases scroll up as lines."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False, markup=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]} {task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._began = 0.0
        self._progress.start()

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Begin or end a bar; print finished things above it."""
        if step == "started":
            self._drop()
            self._began = time.monotonic()
            self._task = self._progress.add_task(f"{cycle} {phase}", total=1, unit="", rate="")
        elif step not in QUIET_STEPS:
            self._drop()
            self._progress.console.print(describe(cycle, phase, step, facts), style=_style(step, facts))

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Move the bar."""
        if self._task is not None:
            rate = done / max(time.monotonic() - self._began, 1e-6)
            description = f"{cycle} {phase}"
            self._progress.update(
                self._task, completed=done, total=total, unit=unit, rate=f"({rate:.0f}/s)", description=description
            )

    def close(self) -> None:
        """Give the terminal back."""
        self._drop()
        self._progress.stop()

    def _drop(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


class LogFile:
    """Every event with its time, one line each, for `loopwright logs`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        with contextlib.suppress(OSError):  # a file system without locks: a follower then waits for ever
            fcntl.flock(self._file, fcntl.LOCK_EX)  # by this it sees that the run still lives

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and error.__cause__ is not None:  # what a person was told in words, as it was thrown
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._line(f"| {line}")
        self._line(f"ended: {error}" if error else "ended")
        with contextlib.suppress(OSError):
            self._file.close()

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Write it, whatever it is."""
        self._line(describe(cycle, phase, step, facts))

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Progress is not kept."""

    def _line(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk: the record says what happened, this is a copy
            self._file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")


def _summary(summary: Mapping[str, Any]) -> str:
    """The few figures of a summary that fit on a line."""
    parts = []
    for name, value in summary.items():
        if isinstance(value, Mapping) and value.get("headline"):
            parts.append(f"{name} {value['headline']['value']:.3f}")
        elif isinstance(value, bool) or value is None or isinstance(value, (Mapping, list)):
            continue
        elif isinstance(value, float):
            parts.append(f"{name} {value:.4g}")
        else:
            parts.append(f"{name} {value}")
    return " · ".join(parts)


def _style(step: str, facts: Mapping[str, Any]) -> str:
    if step == "decided":
        return "bold green" if facts["action"] == "promote" else "bold yellow"
    return "bold red" if step == "failed" else ""
