"""One rank of a Ray Train group as training code sees it: `loopwright.runtime.Worker` over ``ray.train``.

`report` and `latest` are collective: every rank calls them equally often. With one rank they cost a message at most; with
more, rank 0 says what holds for all, which takes some milliseconds, so training reports every few steps and not each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import ray.train
import ray.train.torch
from ray.train import CheckpointUploadMode
from ray.train.collective import broadcast_from_rank_zero

from loopwright.runtime.checkpoints import latest, register
from loopwright.runtime.jobs import progress_of

__all__ = ["RayWorker"]

Agreed = TypeVar("Agreed")

_EVERY = 0.2
"""Seconds between two messages about progress; the last step is always told."""


@dataclass(slots=True, kw_only=True)
class RayWorker:
    """A rank at work on one job."""

    mailbox: Any
    """Handle of the mailbox actor."""
    number: int
    """The job's number there."""
    rank: int
    world_size: int
    device: str
    storage: Path
    keep: int
    """Checkpoints that stay."""
    _told: float = field(default=0.0)

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        if directory is not None and self.rank == 0:
            register(directory, self.keep)
        name = self.agree(directory.name if directory is not None else None)
        if name is not None:
            # All shards lie in one shared directory already, so Ray is told of it and copies nothing. The stock callback
            # makes one temporary directory a rank, and loses what the others write into rank 0's.
            checkpoint = ray.train.Checkpoint.from_directory(self.storage / name) if self.rank == 0 else None
            ray.train.report(
                dict(metrics),
                checkpoint=checkpoint,
                checkpoint_dir_name=name,
                checkpoint_upload_mode=CheckpointUploadMode.NO_UPLOAD,
            )
        self._tell(metrics)

    def latest(self) -> Path | None:
        newest = latest(self.storage) if self.rank == 0 else None
        name = self.agree(newest.name if newest is not None else None)
        return None if name is None else self.storage / name

    def agree(self, value: Agreed) -> Agreed:
        """A barrier, too."""
        return value if self.world_size == 1 else broadcast_from_rank_zero(value)

    def _tell(self, metrics: Mapping[str, float]) -> None:
        step, now = progress_of(metrics), time.monotonic()
        if self.rank != 0 or step is None or (now - self._told < _EVERY and step[0] < step[1]):
            return
        self._told = now
        self.mailbox.progress.remote(self.number, *step)
