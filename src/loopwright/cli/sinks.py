"""Figures to where a lab looks at them: TensorBoard always, MLflow and Weights & Biases when the plan names them.

A sink is an observer: what it shows is a copy of summaries that are already on the record.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from loopwright.errors import PluginError
from loopwright.run import Observer
from loopwright.types import cycle_number
from loopwright.workspace import Workspace

__all__ = ["Sink", "flatten", "open_sinks"]


class Sink:
    """Passes the scalars of each recorded phase to a function ``(name, value, cycle number)``."""

    def __init__(self, write: Callable[[str, float, int], None]) -> None:
        self._write = write

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Write the summary's scalars when a phase is on the record."""
        if step == "recorded":
            for name, value in flatten(facts.get("summary", {})):
                self._write(f"{phase}/{name}", value, cycle_number(cycle))

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
            writer = _need("tensorboardX", "tensorboardX").SummaryWriter(str(workspace.private / "tensorboard"))
            stack.callback(writer.close)
            sinks.append(Sink(writer.add_scalar))
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


def _need(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PluginError(f"the plan's metrics need the package {module}", f"pip install '{package}'") from error
