"""Stops a driver that a person halted, that a freeze forbids, or that has used up a budget: within ten seconds, whatever it does.

The supervisor is a thread beside the work. It looks at the record once a second (its size; what is new is read) and at the
clock. What stops the loop is an entry, so it works from any machine that can append one, and it stands until persons lift it.

    seen -> the main thread is interrupted where it is: the phase ends, Ray and the sandbox with it, the attempt is recorded
         -> still there after `GRACE_SECONDS`: the attempt is recorded here, every process below this one is killed, exit 6

SIGTERM is what a machine gives that is about to go. Training saves the step that it is in and ends; other work, whose results are
kept one by one, ends where it is, and so does training at a second SIGTERM; between two phases nothing more begins. Exit 143.

A kill at any point loses nothing (`loopwright.run`), so the second way is as safe as the first and merely less polite.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

from loopwright.budgets import Line, Used, agreed, budgets_digest, exhausted
from loopwright.clock import now
from loopwright.errors import HaltedError, IntegrityError, LoopwrightError, Preempted
from loopwright.ledger import Ledger
from loopwright.ledger.acts import Acts
from loopwright.ledger.statement import Statement
from loopwright.policy import Budgets

__all__ = ["GRACE_SECONDS", "LOOK_SECONDS", "Interruption", "Supervisor", "standing", "supervise"]

LOOK_SECONDS = 1.0
GRACE_SECONDS = 5.0
_SIGNAL = signal.SIGUSR1


class Interruption(BaseException):
    """Thrown into the main thread. No `Exception`, so that nothing on the way takes it for an error of its own."""

    def __init__(self, reason: HaltedError | Preempted) -> None:
        super().__init__(reason)
        self.reason = reason
        """What to say of it."""


class Supervisor:
    """What stands against going on, by the record and the clock; ask with `check`, be interrupted within `over`."""

    def __init__(self, ledger: Ledger, budgets: Budgets) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._acts, self._used, self._size = Acts(), Used(), 0
        self._following = threading.Lock()
        self._ended = threading.Event()
        self._since: float | None = None
        self._where = ("", "")
        self._alive = Path("none")
        self._save: Callable[[], None] | None = None
        self._told_to_end = False
        self._record: Callable[[Exception], object] = lambda _: None
        self.halted: HaltedError | None = None
        """Why the driver is being stopped."""

    def check(self, cycle: str = "", phase: str = "") -> None:
        """Before anything begins; without a cycle: before there is any.

        Raises:
            HaltedError: a halt or a freeze stands, or a budget is used up; in the last case it is recorded as a halt.
            Preempted: SIGTERM came.
        """
        self._where = (cycle, phase)
        if self._told_to_end:
            raise self._preempted()
        found = self._objection(between=bool(cycle))
        if found is not None:
            raise found

    @contextmanager
    def over(
        self,
        cycle: str,
        phase: str,
        record: Callable[[Exception], object],
        alive: Path,
        save: Callable[[], None] | None = None,
    ) -> Iterator[None]:
        """While work is done that may take long. Interruption is raised within it.

        ``record`` puts a stopped attempt on record. The time of the file ``alive``, where it exists, is kept current, so that
        what an attempt used that is killed is known afterwards. ``save`` asks the work to save what it has and to end by itself;
        None where interrupting it loses little.
        """
        self._where, self._record, self._alive, self._save = (cycle, phase), record, alive, save
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def watch(self) -> None:
        """The thread's whole life."""
        while not self._ended.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):
                if self._since is not None:
                    os.utime(self._alive)
            with contextlib.suppress(LoopwrightError):  # a disk that is full is told to whoever writes next, not to this thread
                self.halted = self._objection(between=False)
            if self.halted is not None:
                self._stop(self.halted)
                return

    def end(self) -> None:
        """The work is over; nothing is interrupted any more."""
        self._ended.set()

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """Handler of the signal, which Python runs in the main thread."""
        if self.halted is not None and self._since is not None:
            self._since = None  # once
            raise Interruption(self.halted)

    def end_soon(self, _signal: int, _frame: FrameType | None) -> None:
        """Handler of SIGTERM, likewise; what it says is said by `check` where nothing is at work just now."""
        again, self._told_to_end = self._told_to_end, True
        if self._since is None:
            return
        if self._save and not again:
            self._save()
            return
        self._since = None
        raise Interruption(self._preempted())

    def _preempted(self) -> Preempted:
        where = " of ".join(filter(None, reversed(self._where)))
        return Preempted(
            f"told to end (SIGTERM){', at ' + where if where else ''}", "`loopwright run` goes on from what is done"
        )

    def _objection(self, *, between: bool) -> HaltedError | None:
        with self._following:
            self._follow()
            found = standing(self._acts) or _unsigned(self._acts, self._budgets)
            if found is not None:
                return found
            since = self._since
            used = self._used.running(time.monotonic() - since if since is not None else 0.0)
            line = exhausted(self._budgets, used, between=between)
            return None if line is None else self._exceeded(line)

    def _follow(self) -> None:
        """Take in what is new on the record."""
        if self._ledger.size <= self._size:
            return
        for statement in self._ledger.statements(self._size):
            try:
                self._acts, self._used = self._acts.after(statement), self._used.after(statement)
            except (KeyError, TypeError, ValueError) as error:
                problem = f"entry {statement.index} of the ledger ({statement.kind}) does not fit what is before it: {error!r}"
                raise IntegrityError(problem, "loopwright verify") from error
            self._size = statement.index + 1

    def _exceeded(self, line: Line) -> HaltedError:
        """Put it on the record as a halt by budget, which stands as one by a person does."""
        cycle, phase = self._where
        limit = f"{line.limit:g} {line.unit}".rstrip()
        predicate = {
            "reason": f"budget {line.name}: {line.used:g} of {limit} used ({line.method})",
            "by": "budget",
            "budget": line.name,
            "used": line.used,
            "limit": line.limit,
            "method": line.method,
            "budgets": budgets_digest(self._budgets),
            **({"cycle": cycle, "phase": phase} if cycle else {}),
            "halted_at": now(),
        }
        self._ledger.append("halt", [], predicate, role="controller", event=f"halt:budget:{line.name}:{self._size}")
        self._ledger.publish()
        self._follow()
        return standing(self._acts) or HaltedError(str(predicate["reason"]))

    def _stop(self, halted: HaltedError) -> None:
        """Ask the main thread to end; end everything where it does not."""
        if signal.getsignal(_SIGNAL) == self.interrupt:  # else nobody would hear it, and it would end the process unrecorded
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
        if self._ended.wait(GRACE_SECONDS):
            return
        with contextlib.suppress(LoopwrightError, OSError):
            self._record(halted)
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        sys.stderr.write(f"error: {halted}\n")
        sys.stderr.flush()
        os._exit(halted.exit_code)


@contextmanager
def supervise(ledger: Ledger, budgets: Budgets) -> Iterator[Supervisor]:
    """A supervisor, watching for the length of a ``with`` block.

    Raises:
        HaltedError: something stands against beginning at all; or it came in between.
    """
    supervisor = Supervisor(ledger, budgets)
    supervisor.check()
    main = threading.current_thread() is threading.main_thread()
    hears = {_SIGNAL: supervisor.interrupt, signal.SIGTERM: supervisor.end_soon} if main else {}
    before = {number: signal.signal(number, handler) for number, handler in hears.items()}
    thread = threading.Thread(target=supervisor.watch, name="supervisor", daemon=True)
    thread.start()
    try:
        yield supervisor
    except Interruption as caught:  # it came in the last instant of a phase
        raise caught.reason from None
    finally:
        supervisor.end()
        thread.join()
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def standing(acts: Acts) -> HaltedError | None:
    """What persons or a budget put in the loop's way, and who has to lift it."""
    if acts.freezes:
        first = acts.freezes[0]
        return HaltedError(
            f"the workspace is frozen since {first.predicate['frozen_at']} {_said(first)}",
            "nothing is altered until persons lift it: `loopwright answer` lists the request, `loopwright approve` answers it; then run again",
        )
    if acts.halts:
        last = acts.halts[-1]
        raised = "raise the budget in loop.yaml, then " if last.predicate.get("by") == "budget" else ""
        return HaltedError(
            f"the loop is halted since {last.predicate['halted_at']} {_said(last)}",
            f"{raised}`loopwright answer` lists the request to go on, `loopwright approve` answers it; then run again",
        )
    return None


def _unsigned(acts: Acts, budgets: Budgets) -> HaltedError | None:
    if agreed(acts, budgets):
        return None
    return HaltedError(
        "the budgets in loop.yaml are not those that persons signed when they let this loop go on after a halt",
        "put them back with git, or `loopwright answer` lists the request for the new ones",
    )


def _said(statement: Statement) -> str:
    return f"by {statement.predicate.get('by', statement.keyid)} (entry {statement.index}): {statement.predicate['reason']}"
