"""One rank of a gloo group, started by `test_fit`: ``rank.py DIRECTORY WORLD_SIZE JOB... RANK``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch.distributed

from loopwright.train.fit import fit


class Rank:
    """A worker as the executor would hand it over; the group is formed already."""

    device = "cpu"

    def __init__(self, storage: Path, rank: int, world_size: int) -> None:
        self.storage, self.rank, self.world_size = storage, rank, world_size
        self.steps: list[int] = []

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        assert (directory is None) or self.rank == 0
        self.steps.append(int(metrics["step"]))
        torch.distributed.barrier()

    def latest(self) -> Path | None:
        found = max(self.storage.glob("step_*"), default=None)
        torch.distributed.barrier()
        return found


def main() -> None:
    root, world_size, names, rank = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:-1], int(sys.argv[-1])
    torch.distributed.init_process_group("gloo", init_method=f"file://{root}/meeting", rank=rank, world_size=world_size)
    job = json.loads((root / "job.json").read_text())
    for name in names:
        worker = Rank(root / name, rank, world_size)
        result = fit(job, worker)
        (root / f"{name}-{rank}.json").write_text(json.dumps(result | {"steps": worker.steps}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
