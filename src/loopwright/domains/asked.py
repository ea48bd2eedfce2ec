"""A domain's judge, asked with a limit and held to its protocol: what it fails at is its own fault, and never an answer's."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from loopwright.attempt import disk_full
from loopwright.errors import LoopwrightError, PhaseError
from loopwright.plugins import Domain
from loopwright.sandbox import Sandbox
from loopwright.sandbox.probe import reaches
from loopwright.types import Level, Progress, Status, Task, Verdict

__all__ = ["PATIENCE", "ask"]

PATIENCE = 600.0
"""Seconds without a sign of life after which a judge counts as hanging."""
_NEXT = "report it to the domain's authors; no verdict of this phase counts, `loopwright run` tries again"
_STATUSES, _LEVELS = frozenset(get_args(Status)), frozenset(get_args(Level))


class _Silence(BaseException):
    """Not an Exception: a judge that catches everything is not to catch this."""


def ask(
    domain: Domain,
    name: str,
    pairs: Sequence[tuple[Task, str]],
    purposes: Sequence[str],
    sandbox: Sandbox,
    progress: Progress | None,
    patience: float = PATIENCE,
) -> list[Verdict]:
    """As `Domain.judge`, under the name by which a person knows the domain.

    A call of ``progress`` is a sign of life. Silence is noticed in the main thread and at the latest when the interpreter
    has its turn again: native code that never returns is beyond it.

    Raises:
        PhaseError: the judge crashed, gave no sign of life for ``patience`` seconds, or answered with anything but one
            verdict an answer, or ran answers outside the sandbox that it was given.
        LoopwrightError: whatever the judge itself raised of these.
    """
    try:
        with _limited(patience) as alive:
            verdicts = domain.judge(pairs, purposes, sandbox, _sign(alive, progress))
    except _Silence:
        said = f"the domain {name!r} gave no sign of life for {patience:g} s while it judged {len(pairs)} answers"
        raise PhaseError(said, f"verifier.patience_seconds in loop.yaml sets the limit; {_NEXT}") from None
    except (LoopwrightError, MemoryError):
        raise
    except Exception as error:
        if disk_full(error):
            raise
        said = f"the domain {name!r} crashed while it judged {len(pairs)} answers: {type(error).__name__}: {error}"
        raise PhaseError(said, _NEXT) from error
    _hold(name, len(pairs), verdicts)
    _inside(name, verdicts, sandbox)
    return list(verdicts)


def _hold(name: str, count: int, verdicts: Any) -> None:
    """Refuse what is no list of so many verdicts."""
    if not isinstance(verdicts, Sequence) or isinstance(verdicts, str):
        raise PhaseError(f"the domain {name!r} answered with {type(verdicts).__name__}, not with a list of verdicts", _NEXT)
    if len(verdicts) != count:
        raise PhaseError(f"the domain {name!r} gave {len(verdicts)} verdicts on {count} answers", _NEXT)
    for place, verdict in enumerate(verdicts):
        if not isinstance(verdict, Verdict) or verdict.status not in _STATUSES or verdict.level not in _LEVELS:
            raise PhaseError(f"the domain {name!r} gave no verdict on answer {place} but {str(verdict)[:100]!r}", _NEXT)


def _inside(name: str, verdicts: Sequence[Verdict], sandbox: Sandbox) -> None:
    """Refuse verdicts on what ran with less isolation than this sandbox gives: the plan's minimum is a minimum in every phase."""
    for place, verdict in enumerate(verdicts):
        if verdict.level != "data" and verdict.status != "INFRA" and not reaches(verdict.level, sandbox.level):
            said = f"the domain {name!r} judged answer {place} at {verdict.level}, the sandbox that it was given has {sandbox.level}"
            raise PhaseError(f"{said}: it ran somewhere else", _NEXT)


def _sign(alive: Callable[[], None], progress: Progress | None) -> Progress:
    def told(done: int, total: int, unit: str) -> None:
        alive()
        if progress is not None:
            progress(done, total, unit)

    return told


@contextmanager
def _limited(patience: float) -> Iterator[Callable[[], None]]:
    """Raise `_Silence` in the block where ``alive()`` was not called for so long; a person's timer comes back after it."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def silent(_signal: int, _frame: Any) -> None:
        raise _Silence

    def alive() -> None:
        signal.setitimer(signal.ITIMER_REAL, patience, patience)

    before = signal.signal(signal.SIGALRM, silent)
    try:
        alive()
        yield alive
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
