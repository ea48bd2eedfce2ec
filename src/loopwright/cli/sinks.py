"""Figures to where a lab looks at them: TensorBoard always, MLflow and Weights & Biases when the plan names them.

A sink is an observer: what it shows is a copy of summaries that are already on the record. A tracker that cannot be reached when
the run begins refuses the run; one that fails later is left alone for the rest of it, and that is said at the end.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loopwright.errors import PluginError
from loopwright.run import Observer
from loopwright.types import cycle_number
from loopwright.workspace import Workspace

__all__ = ["Sink", "flatten", "open_sinks"]

TAG = "loopwright.workspace"
"""On a tracker's run: the workspace id, by which a loop that goes on finds the curve that it began."""

_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_\-. /]")
"""What MLflow takes in no metric's name."""


class Sink:
    """Passes the scalars of each recorded phase to a function ``(figures by name, cycle number)``."""

    def __init__(self, name: str, write: Callable[[Mapping[str, float], int], Any]) -> None:
        self._name = name
        self._write = write
        self.complaint = ""
        """Why nothing more goes there; empty while all is well."""

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Write the summary's scalars when a phase is on the record."""
        if step == "recorded":
            figures = {f"{phase}/{name}": value for name, value in flatten(facts.get("summary", {}))}
            self.attempt(lambda: self._write(figures, cycle_number(cycle)), f"from {cycle} {phase} on")

    def attempt(self, act: Callable[[], Any], when: str) -> None:
        """Do it; whatever a tracker or a full disk throws is a complaint: figures that are on the record fail no run.

        Once there is a complaint nothing is done any more: each further call might wait for a dead server.
        """
        if self.complaint:
            return
        try:
            act()
        except Exception as error:  # noqa: BLE001  # trackers raise what they like
            self.complaint = f"{self._name} has no figures {when}: {_first_line(error)}"

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Progress is not a figure."""


def flatten(summary: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a summary with their slashed names; a score gives its value and interval."""
    for name, value in summary.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)):
            yield prefix + name, float(value)


@contextmanager
def open_sinks(workspace: Workspace) -> Iterator[tuple[Observer, ...]]:
    """The sinks that the plan names; PluginError where one's package is missing or its server does not answer."""
    metrics = workspace.plan().metrics
    sinks: list[Sink] = []
    try:
        with ExitStack() as stack:
            if metrics.tensorboard:
                sinks.append(stack.enter_context(_tensorboard(workspace.private / "tensorboard")))
            if metrics.mlflow:
                sinks.append(stack.enter_context(_mlflow(workspace, metrics.mlflow)))
            if metrics.wandb:
                sinks.append(stack.enter_context(_wandb(workspace, metrics.wandb)))
            yield tuple(sinks)
    finally:
        for complaint in filter(None, (sink.complaint for sink in sinks)):
            sys.stderr.write(f"{complaint}\n")


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Sink]:
    """TensorBoard's events, written by this thread: the package's own writer dies of a full disk and then blocks the run."""
    _need("tensorboardX", "tensorboardX")
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto import event_pb2
    from tensorboardX.summary import scalar

    event_of: Any = vars(event_pb2)["Event"]  # made at import by protobuf, so no checker sees it

    folder.mkdir(parents=True, exist_ok=True)
    writer = EventsWriter(str(folder / "events"))

    def write(figures: Mapping[str, float], number: int) -> None:
        for name, value in figures.items():
            writer.write_event(event_of(wall_time=time.time(), step=number, summary=scalar(name, value)))
        writer.flush()

    try:
        yield Sink("TensorBoard", write)
    finally:
        with contextlib.suppress(OSError):
            writer.close()


@contextmanager
def _mlflow(workspace: Workspace, uri: str) -> Iterator[Sink]:
    """One MLflow run a loop, found by its tag when the loop goes on; a phase's figures go in one call."""
    mlflow = _need("mlflow", "loopwright[mlflow]")
    identity = workspace.state().workspace

    def begin() -> None:
        mlflow.set_tracking_uri(uri)
        known = mlflow.search_runs(filter_string=f"tags.`{TAG}` = '{identity}'", max_results=1, output_format="list")
        mlflow.start_run(known[0].info.run_id if known else None, run_name=workspace.root.name, tags={TAG: identity})

    def write(figures: Mapping[str, float], number: int) -> None:
        mlflow.log_metrics({_UNNAMEABLE.sub("_", name): value for name, value in figures.items()}, step=number)

    sink = Sink("MLflow", write)
    _begin(begin, f"metrics.mlflow {uri}")
    try:
        yield sink
    finally:
        failed = sys.exc_info()[0] is not None
        sink.attempt(lambda: mlflow.end_run("FAILED" if failed else "FINISHED"), "of how the run ended")


@contextmanager
def _wandb(workspace: Workspace, project: str) -> Iterator[Sink]:
    """One W&B run a loop, under the workspace's id. It gets figures alone: no code, no host, no output of the terminal."""
    wandb = _need("wandb", "loopwright[wandb]")
    identity = workspace.state().workspace
    private = wandb.Settings(
        console="off", silent=True, disable_code=True, disable_git=True, x_disable_meta=True, x_disable_stats=True,
        x_save_requirements=False,
    )  # fmt: skip

    def begin() -> Any:
        place = {"dir": str(workspace.private), "settings": private}  # never beside what git watches
        return wandb.init(project=project, name=workspace.root.name, id=identity, resume="allow", **place)

    run = _begin(begin, f"metrics.wandb {project}")
    sink = Sink("W&B", lambda figures, number: run.log({**figures, "cycle": number}))
    try:
        yield sink
    finally:
        code = 0 if sys.exc_info()[0] is None else 1
        sink.attempt(lambda: run.finish(exit_code=code), "of how the run ended")


def _begin(act: Callable[[], Any], what: str) -> Any:
    try:
        return act()
    except Exception as error:
        advice = "look at its server and login (W&B without a network: WANDB_MODE=offline), or take the line out of loop.yaml"
        raise PluginError(f"{what}: {_first_line(error)}", advice) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _need(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PluginError(f"the plan's metrics need the package {module}", f"pip install '{package}'") from error
