"""How Lightning sees the executor's workers: one device alone, the whole model on each (DDP), or a part of it on each (FSDP2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy, SingleDeviceStrategy, Strategy

from loopwright.errors import InfraError
from loopwright.runtime import Worker

__all__ = ["Group", "grouped", "strategy_of"]


@contextmanager
def grouped(worker: Worker, parallel: str) -> Iterator[None]:
    """A process group of one for a model that is cut up into one part: so the same is computed on one worker and on several."""
    if parallel == "ddp" or worker.world_size > 1 or torch.distributed.is_initialized():
        yield
        return
    backend = "nccl" if torch.device(worker.device).type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def strategy_of(worker: Worker, parallel: str) -> Strategy:
    """The strategy for so many workers; ``parallel`` is ``ddp`` or ``fsdp2``.

    Raises:
        InfraError: the executor formed no process group.
    """
    device = torch.device(worker.device)
    if worker.world_size == 1 and parallel == "ddp":
        return SingleDeviceStrategy(device)
    if not torch.distributed.is_initialized():
        raise InfraError(f"{worker.world_size} workers without a process group", "the executor starts it before training")
    if parallel == "ddp":
        return DDPStrategy(
            parallel_devices=[device],
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )
    strategy = ModelParallelStrategy(data_parallel_size=worker.world_size, tensor_parallel_size=1)
    strategy.parallel_devices = [device]
    return strategy


class Group(ClusterEnvironment):
    """The executor's process group as Lightning wants to see it: each rank is a node of its own with one device.

    Lightning must always be told. It would look for Slurm and MPI itself, and mpi4py, where it is installed, ends a process whose
    MPI does not start.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        raise InfraError("Lightning asked for an address although the process group stands", "report this as a defect")

    @property
    def main_port(self) -> int:
        raise InfraError("Lightning asked for a port although the process group stands", "report this as a defect")

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._worker.world_size

    def set_world_size(self, size: int) -> None:
        """Fixed by the executor."""

    def global_rank(self) -> int:
        return self._worker.rank

    def set_global_rank(self, rank: int) -> None:
        """Fixed by the executor."""

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._worker.rank
