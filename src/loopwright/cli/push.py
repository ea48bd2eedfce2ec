"""`loopwright push`, and the same at the end of a run: what has no copy on the DVC remote yet gets one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

if TYPE_CHECKING:
    from loopwright.run import Observer

__all__ = ["push_waiting", "register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(push)


def push(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Copy to the DVC remote what waits for it; goes on where an earlier push stopped, also beside a run."""
    from loopwright.cli.live import LiveView, PlainLines
    from loopwright.store.pushing import standing
    from loopwright.workspace import find

    root = find(workspace).root
    view = LiveView(sys.stderr) if sys.stderr.isatty() else PlainLines(sys.stderr)
    try:
        pushed = push_waiting(root, view, look=True)
    finally:
        if isinstance(view, LiveView):
            view.close()
    whole, absent = [name for name, lacking in pushed.items() if not lacking], {name: n for name, n in pushed.items() if n}
    if as_json:
        emit({"schema_version": 1, "pushed": whole, "absent": absent, **(standing(root) or {})})
        return
    for name, lacking in absent.items():
        sys.stdout.write(
            f"{name}: {lacking} of its objects are not in this copy (collected, or never pulled), and were not sent\n"
        )
    if whole or not absent:
        sys.stdout.write(f"pushed {', '.join(whole)}\n" if whole else "nothing waited: everything recorded is on the remote\n")


def push_waiting(root: Path, observer: Observer, *, look: bool = False) -> dict[str, int]:
    """Push, and let an observer see it; as `loopwright.store.pushing.push`. ``look`` whether the remote is another one, also where nothing waits.

    Raises:
        InfraError: the remote cannot be reached; what has arrived is noted, and the next push goes on.
    """
    from loopwright.store.pushing import push as push_all
    from loopwright.store.pushing import read_notes

    waiting = list(read_notes(root).waiting)
    if not waiting and not look:
        return {}
    from loopwright.store.dvc import DvcStore  # a second of imports

    store = DvcStore(root)
    if waiting:
        observer.event(waiting[0], "push", "started", {})
    try:
        pushed = push_all(root, store, lambda cycle, done, total: observer.progress(cycle, "push", done, total, "cycles"))
    finally:
        store.close()
    if pushed:
        observer.event(list(pushed)[-1], "push", "pushed", {})
    return pushed
