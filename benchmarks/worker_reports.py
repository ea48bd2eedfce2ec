"""What a thousand workers that report cost the process that listens: CPU of the mailbox a batch of reports.

    python benchmarks/worker_reports.py

A real Ray and the real mailbox actor. A batch is one report of each rank of a group of 1,000 (`RayWorker.report`, without
the collective that makes the ranks agree on a checkpoint: there is no group of 1,000 here to agree). Only rank 0 writes to
the mailbox, so a batch is one message however many ranks there are; the other column shows what it would be if every rank
wrote: 1,000 messages. CPU time is that of the actor's process, user and system. Bar: 50 ms a batch.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from loopwright.runtime.mailbox import Mailbox

if TYPE_CHECKING:
    from loopwright.runtime.ray_worker import RayWorker

RANKS = 1000
BATCHES = 30
BAR = 50.0


class Watched(Mailbox):
    """The mailbox, which says in which process it is."""

    async def process(self) -> int:
        """Its pid."""
        return os.getpid()


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


def batches(mailbox: Any, pid: int, workers: list[RayWorker], count: int) -> float:
    """Milliseconds of the mailbox's CPU a batch."""
    import ray

    before = cpu(pid)
    for step in range(1, count + 1):
        for worker in workers:
            worker.report({"step": step, "steps": step, "loss": 0.5})  # the last step is told however soon it comes
        ray.get(mailbox.job.remote())  # all before it have been taken in
    return 1000 * (cpu(pid) - before) / count


def main() -> int:
    """Measure, print, judge."""
    with tempfile.TemporaryDirectory(prefix="rp") as place:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(Path(place) / "token")
        Path(place, "token").write_text("0" * 64)
        Path(place, "token").chmod(0o600)
        import ray  # not before the token is in the environment

        from loopwright.runtime.ray_worker import RayWorker

        ray.init(num_cpus=1, include_dashboard=False, object_store_memory=80 * 2**20, _temp_dir=place, log_to_driver=False)
        mailbox = ray.remote(num_cpus=0)(Watched).remote(3)
        ray.get(mailbox.submit.remote(b"", b""))
        number, pid = ray.get(mailbox.take.remote()), ray.get(mailbox.process.remote())

        def worker(rank: int) -> RayWorker:
            return RayWorker(mailbox=mailbox, number=number, rank=rank, world_size=1, device="cpu", storage=Path(place))

        group = [worker(rank) for rank in range(RANKS)]
        crowd = [worker(0) for _ in range(RANKS)]
        batches(mailbox, pid, group, 3)
        time.sleep(1)
        told = {
            "what": f"ms of the mailbox's CPU for one report of each of {RANKS} ranks",
            "method": f"{BATCHES} batches a round, process CPU time (user + system); median and range of 3 rounds",
            "load": [round(value, 1) for value in os.getloadavg()],
            "bar": BAR,
        }
        for name, workers, count in (("rank 0 writes (as it is)", group, BATCHES), ("every rank writes", crowd, 5)):
            rounds = [batches(mailbox, pid, workers, count) for _ in range(3)]
            told[name] = {
                "median": round(statistics.median(rounds), 2),
                "range": [round(min(rounds), 2), round(max(rounds), 2)],
            }
        ray.shutdown()
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    return 0 if told["rank 0 writes (as it is)"]["range"][1] <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
