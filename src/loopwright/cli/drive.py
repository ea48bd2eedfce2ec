"""`loopwright run` as the terminal sees it: a live view or plain lines, a log file, figures out, and a last table."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from loopwright.cli.live import Fanout, LiveView, LogFile, PlainLines
from loopwright.cli.options import emit
from loopwright.errors import InfraError, RefusedError
from loopwright.ledger.overview import overview
from loopwright.run import Observer, Run
from loopwright.session import open_run
from loopwright.types import cycle_number
from loopwright.workspace import Workspace, load_flow

__all__ = ["detached", "drive"]

_LOOK_SECONDS = 0.05


def drive(
    workspace: Workspace,
    *,
    cycles: int | None,
    until: int | None,
    until_promoted: bool,
    as_json: bool,
    launcher: str | None = None,
) -> None:
    """Turn the loop and show how; the last thing on stdout is the table of cycles (or JSON).

    Args:
        workspace: The loop.
        cycles: So many more cycles; the open one counts.
        until: The number of the last cycle; the plan's ``cycles`` when both are None.
        until_promoted: Stop at the first promotion; RefusedError where none comes.
        as_json: Print the overview as JSON.
        launcher: The person who starts it, besides those whose keys lie in this account.
    """
    from loopwright.cli.alerts import Watch
    from loopwright.cli.sinks import open_sinks  # TensorBoard's imports, only for a run
    from loopwright.cli.tables import print_overview

    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    view: Observer = LiveView(sys.stderr) if sys.stderr.isatty() else PlainLines(sys.stderr)
    with LogFile(workspace.private / "logs" / f"{name}.log") as log, open_sinks(workspace) as sinks:
        watch = Watch(workspace)
        observer = Fanout((view, log, *sinks, watch))
        try:
            with open_run(workspace, observer, launcher) as run:
                promoted = _turn(workspace, run, _last(run, cycles, until), until_promoted=until_promoted)
                pushes = run.plan.versioning.push != "never"
            unpushed = _unpushed(workspace, observer) if pushes else None  # the executor holds nothing by then
        finally:
            observer.close()
            watch.ended()
    state = workspace.state()
    if as_json:
        emit(overview(state))
    else:
        print_overview(overview(state))
    if unpushed is not None:
        raise unpushed
    if until_promoted and not promoted:
        raise RefusedError("no cycle was promoted", "`loopwright status` has the reasons")


def _unpushed(workspace: Workspace, observer: Observer) -> InfraError | None:
    """Push what waits. An error is told after the table: the cycles are on the record, whatever the remote does."""
    from loopwright.cli.push import push_waiting

    try:
        push_waiting(workspace.root, observer)
    except InfraError as error:
        return error
    return None


def detached(
    workspace: Workspace, cycles: int | None, *, until_promoted: bool, launcher: str | None = None
) -> tuple[int, Path]:
    """Start the same run in a session of its own; returns its process id and its log file, which is there by then.

    Raises:
        InfraError: it ended before it could write a log; says its last words.
        PlanError: the plan on disk says what it may not.
    """
    workspace.plan()  # what is wrong with it is said here, where a person looks
    logs = workspace.private / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    before = set(logs.glob("*Z.log"))
    output = logs / "detached.out"
    command = [sys.executable, "-m", "loopwright", "run", "--workspace", str(workspace.root)]
    command += ["--cycles", str(cycles)] if cycles else []
    command += ["--until-promoted"] if until_promoted else []
    command += ["--as", launcher] if launcher else []
    with output.open("wb") as file:
        process = subprocess.Popen(  # our own command line
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, env=os.environ.copy()
        )
    while not (begun := set(logs.glob("*Z.log")) - before):
        if process.poll() is not None:
            said = output.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise InfraError(f"the run ended at once: {said or 'it gave no reason'}", "`loopwright run` shows it here")
        time.sleep(_LOOK_SECONDS)
    return process.pid, begun.pop()


def _last(run: Run, cycles: int | None, until: int | None) -> int:
    if cycles is None:
        return run.plan.cycles if until is None else until
    newest = max((cycle_number(name) for name in run.state.cycles), default=0)
    return newest + cycles - (1 if run.state.open not in {None, "c0000"} else 0)


def _turn(workspace: Workspace, run: Run, until: int, *, until_promoted: bool) -> bool:
    loop = load_flow(workspace.root)
    if not until_promoted:
        loop(run, until)
        return True
    run.until = until
    champion = run.state.champion
    newest = max((cycle_number(name) for name in run.state.cycles), default=0)
    for number in range(newest, until + 1):
        loop(run, number)
        if champion is not None and run.state.champion != champion:
            return True
        champion = champion or run.state.champion
    return False
