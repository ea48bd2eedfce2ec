"""What recording a checkpoint costs beside hashing it: seal, publish and DVC, over one plain pass of md5 and sha256.

    python benchmarks/record_checkpoint.py                     # 2 GiB in 16 shards, three repeats; needs 7 GiB of disk

Bar: at most 1.2. Both are timed in the same run, on the same files, in turn first and second, with the same number of
threads, after the files were written and forced to disk. The plain pass is written out here, so that it is nobody's
slower version of ours. DVC's import and the opening of the project (once a run of the driver) are not in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loopwright.store import git
from loopwright.store.artifacts import check, publish, seal
from loopwright.store.cycles import Item, write_cycles
from loopwright.store.dvc import DvcStore
from loopwright.store.hashing import default_threads
from loopwright.types import Artifact, cycle_name
from loopwright.workspace import template

BAR = 1.2


def plain_pass(folder: Path, threads: int) -> None:
    """md5 and sha256 of every file: read a MiB, update both."""

    def one(file: Path) -> tuple[str, str]:
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        with file.open("rb") as opened:
            while data := opened.read(1 << 20):
                md5.update(data)
                sha256.update(data)
        return md5.hexdigest(), sha256.hexdigest()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, sorted(folder.iterdir())))


def write_shards(folder: Path, count: int, size: int) -> None:
    """Random bytes, on disk and, where memory allows, in memory."""
    folder.mkdir(parents=True)
    for number in range(count):
        with (folder / f"model-{number:05d}.safetensors").open("wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())


def workspace(root: Path, cycles: int) -> DvcStore:
    """A workspace in which the train phase of each cycle can be recorded."""
    git.init(root)
    (root / "dvc.yaml").write_bytes(template("dvc.yaml").read_bytes())
    (root / "cycles.yaml").write_bytes(template("cycles.yaml").read_bytes())
    (root / "cycles/c0000/model").mkdir(parents=True)
    (root / "cycles/c0000/model/model.json").write_text("{}", encoding="utf-8")
    names = [cycle_name(number) for number in range(1, cycles + 1)]
    for name in names:
        for path in (f"cycles/{name}/archive/archive.json", f"cycles/{name}/config/train.json"):
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text("{}", encoding="utf-8")
    write_cycles(root, {name: Item(parent="c0000", prev="c0000", seed=0) for name in names})
    store = DvcStore.init(root, root / ".loopwright" / "remote")
    store.reload()
    return store


def record(store: DvcStore, root: Path, made: Path, cycle: str, threads: int) -> Artifact:
    """What the driver does with a checkpoint that the train phase left."""
    sealed = seal(made, "model", threads=threads)
    publish(made, root / "cycles" / cycle / "model", sealed)
    store.record(f"train@{cycle}", {f"cycles/{cycle}/model": sealed})
    return Artifact(kind="model", digest=sealed.manifest.digest, path=f"cycles/{cycle}/model")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def repeat(store: DvcStore, root: Path, cycle: str, options: argparse.Namespace, *, plain_first: bool) -> tuple[float, float]:
    """(seconds to record, seconds of the plain pass) of fresh files, which are then removed."""
    made = root / ".loopwright" / "scratch" / cycle
    write_shards(made, options.shards, (options.size_mib << 20) // options.shards)
    placed, artifacts = root / "cycles" / cycle / "model", []
    before = timed(lambda: plain_pass(made, options.threads)) if plain_first else 0.0
    ours = timed(lambda: artifacts.append(record(store, root, made, cycle, options.threads)))
    plain = before or timed(lambda: plain_pass(placed, options.threads))
    assert len(check(root, artifacts[0]).md5s) == options.shards
    for file in (*placed.iterdir(), *(root / ".dvc/cache/files/md5").glob("??/*")):
        file.unlink()
    return ours, plain


def main() -> int:
    """Print the figures as JSON; 1 where the bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size-mib", type=int, default=2048)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where to work (default: the system's temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        root = Path(folder)
        store = workspace(root, options.repeats)
        pairs = [
            repeat(store, root, cycle_name(number), options, plain_first=number % 2 == 1)
            for number in range(1, options.repeats + 1)
        ]
        store.close()
    ratios = [ours / plain for ours, plain in pairs]
    value = statistics.median(ratios)
    figures = {
        "ratio": {
            "value": round(value, 3),
            "low": round(min(ratios), 3),
            "high": round(max(ratios), 3),
            "n": len(ratios),
            "method": "median and range of paired repeats",
        },
        "bar": BAR,
        "record_seconds": [round(ours, 2) for ours, _ in pairs],
        "plain_pass_seconds": [round(plain, 2) for _, plain in pairs],
        "size_mib": options.size_mib,
        "shards": options.shards,
        "threads": options.threads,
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    print(json.dumps(figures))
    return 0 if value <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
