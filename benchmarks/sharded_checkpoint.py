"""A checkpoint that several ranks write: which of its bytes are read again before it is on record.

    python benchmarks/sharded_checkpoint.py                    # 4 GiB on two ranks; needs 13 GiB of disk and 5 GiB of memory

Bar: none. Two things are recorded. The resume checkpoint is written by all ranks (`torch.distributed.checkpoint`, a part of every
tensor each) and registered; what is read for that is the note with the digests and nothing else. The model folder is written in
shards, sealed, put in place and entered into DVC, which reads its own files and no shard. Bytes read are the kernel's (``rchar`` of
/proc/self/io, which counts the page cache too); reads of a shard, by whatever name, are told by inotify. The same is done again as
if nobody had hashed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from record_checkpoint import workspace
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from loopwright.models.tensors import write_tensors
from loopwright.runtime.checkpoints import latest, register
from loopwright.store.artifacts import publish, seal
from loopwright.store.hashing import default_threads
from loopwright.train.checkpoints import write_checkpoint
from loopwright.types import cycle_name
from loopwright.written import NOTES, leave, left, noting

IN_ACCESS = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Reads of some files, by whatever name, as the kernel tells them (one event for many reads in a row)."""

    def __init__(self, files: list[Path]) -> None:
        self._handle = LIBC.inotify_init1(os.O_NONBLOCK)
        assert all(LIBC.inotify_add_watch(self._handle, bytes(file), IN_ACCESS) >= 0 for file in files)

    def seen(self) -> int:
        """How many there were."""
        try:
            return len(os.read(self._handle, 1 << 20)) // 16
        except BlockingIOError:
            return 0
        finally:
            os.close(self._handle)


def bytes_read() -> int:
    """Bytes that this process got from ``read`` and its kin since it began."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["rchar"])


def one_rank(meeting: Path, storage: Path, rank: int, ranks: int, size: int) -> None:
    """Write this rank's part; rank 0 registers the checkpoint, with the digests at hand and without."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}/m", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    rows = size // 4 // 64 // 1024
    state = {f"model/{number}": distribute_tensor(torch.rand(rows, 1024), mesh, [Shard(0)]) for number in range(64)}
    begun = time.perf_counter()
    directory = write_checkpoint(storage, 1, state, rank=rank, together=True)
    torch.distributed.barrier()
    told: dict[str, Any] = {"write_seconds": round(time.perf_counter() - begun, 2)}
    if rank == 0:
        note = (directory / NOTES).read_bytes()
        told |= measured("register", lambda: register(directory), len(note) + len(reading_itself()))
        told["checkpoint_bytes"] = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
        told |= measured("register_read_again", lambda: register(directory), len(reading_itself()))
        assert latest(storage) == directory
        (meeting / "told").write_text(json.dumps(told))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def reading_itself() -> bytes:
    """What looking at the counter reads."""
    return Path("/proc/self/io").read_bytes()


def measured(name: str, work: Any, known: int) -> dict[str, Any]:
    """Seconds, and bytes read beside the ``known`` ones."""
    before, begun = bytes_read(), time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    return {f"{name}_bytes_read": bytes_read() - before - known, f"{name}_seconds": round(seconds, 3)}


def written(folder: Path, scratch: Path, shards: int, size: int) -> None:
    """A model folder as the train phase leaves it, with its digests beside it."""
    folder.mkdir(parents=True)
    with noting() as notes:
        for number in range(shards):
            tensor = torch.rand(max(1, size // 4 // shards))
            write_tensors(folder / f"model-{number:05d}.safetensors", {"weight": tensor}, {"format": "pt"})
    leave(scratch, notes)


def folders(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Recording a folder of a few bytes, the large one, and the large one as if nobody had hashed it."""
    store = workspace(root, 3)
    told: dict[str, Any] = {}
    tries = (("tiny", 0), ("record", options.size), ("record_read_again", options.size))
    for number, (name, size) in enumerate(tries, start=1):
        cycle = cycle_name(number)
        made = root / ".loopwright" / "scratch" / cycle / "model"
        written(made, made.parent, options.shards, size)
        if name == "record_read_again":
            (made.parent / NOTES).unlink()

        def record(made: Path = made, cycle: str = cycle) -> None:
            sealed = seal(made, "model", threads=options.threads, known=left(made.parent))
            publish(made, root / "cycles" / cycle / "model", sealed)
            store.record(f"train@{cycle}", {f"cycles/{cycle}/model": sealed})

        watch = Watch(sorted(made.iterdir()))
        told |= measured(name, record, 0) | {f"{name}_reads_of_shards": watch.seen()}
        for file in (*(root / "cycles" / cycle / "model").iterdir(), *(root / ".dvc/cache/files/md5").glob("??/*")):
            file.unlink()
    store.close()
    assert told["record_read_again_reads_of_shards"], "the watch sees nothing"
    return told


def main() -> int:
    """Print the figures as JSON; 1 where a byte of a checkpoint was read again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size-mib", type=int, default=4096)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--directory", type=Path, help="where to work (default: the system's temporary folder)")
    options = parser.parse_args()
    options.size = options.size_mib << 20
    fork = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        meeting, root = Path(folder) / "meeting", Path(folder) / "lab"
        meeting.mkdir()
        arguments = [(meeting, meeting / "job", rank, options.ranks, options.size) for rank in range(options.ranks)]
        processes = [fork.Process(target=one_rank, args=each) for each in arguments]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * options.ranks
        figures = json.loads((meeting / "told").read_text())
        root.mkdir()
        figures |= folders(root, options)
    read = figures["register_bytes_read"] + figures["record_reads_of_shards"]
    told = {"bar": 0, "n": 1, "method": "rchar of /proc/self/io for the resume checkpoint, inotify for the model folder"}
    settings = {"ranks": options.ranks, "shards": options.shards, "size_mib": options.size_mib, "load": os.getloadavg()}
    print(json.dumps({"read_again": read, **told, **figures, **settings}))
    return 0 if read == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
