"""Figures to where a lab looks at them: TensorBoard always, MLflow and Weights & Biases when the plan names them.

A sink is an observer: what it shows is a copy of summaries that are already on the record.
"""

from __future__ import annotations

import contextlib
import importlib
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


class Sink:
    """Passes the scalars of each recorded phase to a function ``(name, value, cycle number)``, and flushes after them."""

    def __init__(self, write: Callable[[str, float, int], None], flush: Callable[[], Any] = lambda: None) -> None:
        self._write = write
        self._flush = flush

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Write the summary's scalars when a phase is on the record; on a full disk they are not worth a failed run."""
        if step == "recorded":
            with contextlib.suppress(OSError):
                for name, value in flatten(facts.get("summary", {})):
                    self._write(f"{phase}/{name}", value, cycle_number(cycle))
                self._flush()

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
    """The sinks that the plan names; PluginError where one's package is missing."""
    metrics = workspace.plan().metrics
    with ExitStack() as stack:
        sinks = []
        if metrics.tensorboard:
            sinks.append(stack.enter_context(_tensorboard(workspace.private / "tensorboard")))
        if metrics.mlflow:
            mlflow = _need("mlflow", "loopwright[mlflow]")
            mlflow.set_tracking_uri(metrics.mlflow)
            stack.enter_context(mlflow.start_run(run_name=workspace.root.name))
            sinks.append(Sink(lambda name, value, number: mlflow.log_metric(name, value, step=number)))
        if metrics.wandb:
            run = _need("wandb", "loopwright[wandb]").init(project=metrics.wandb, name=workspace.root.name)
            stack.callback(run.finish)
            sinks.append(Sink(lambda name, value, number: run.log({name: value, "cycle": number})))
        yield tuple(sinks)


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

    def write(name: str, value: float, number: int) -> None:
        writer.write_event(event_of(wall_time=time.time(), step=number, summary=scalar(name, value)))

    try:
        yield Sink(write, writer.flush)
    finally:
        with contextlib.suppress(OSError):
            writer.close()


def _need(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PluginError(f"the plan's metrics need the package {module}", f"pip install '{package}'") from error
