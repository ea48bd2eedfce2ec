"""What the ledger takes: durable appends, offline verification of long logs, kill -9 of the writer.

``python benchmarks/ledger.py [appends|tree|signatures|kills …]`` (all of them by default) measures and writes
``benchmarks/results/ledger.json``, which keeps every run with the machine's load before it (a machine that others use shows the
others, too). A bar is met or not by the run at the lowest load. Exit 1 where one is missed.

* appends: batches of 100 statements, each batch one transaction that waits for the disk (SQLite ``synchronous=FULL``;
  PostgreSQL ``synchronous_commit=on``, ``fsync=on``, a cluster of its own). ``sealed``: statements signed beforehand, which is
  the bar's figure, since the disk and the database are what a batch waits for; ``signed``: with making and signing each (a batch in one
  turn of the role's process). Median over batches, with the quartiles; the disk's own rate of ``fsync`` beside it.
* tree, signatures: a fresh process a run; wall and CPU seconds (with its children), peak resident memory of it and of each child.
* kills: `tests/ledger/test_crash.py`, 200 times on each database.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopwright.ledger.audit import audit
from loopwright.ledger.keys import key_path, load_key
from loopwright.ledger.ledger import Draft
from loopwright.ledger.merkle import leaf_hash, root_of
from loopwright.ledger.note import Checkpoint, checkpoint_text, sign_note
from loopwright.ledger.principals import enrolled
from loopwright.ledger.signer import ProcessSigner
from loopwright.ledger.statement import pae, payload_of, read_statement, seal
from loopwright.ledger.tiles import levels_of, pack, tiles_of
from tests.ledger.cluster import binaries, cluster
from tests.ledger.workshop import Workshop, digest, working

RESULTS = Path(__file__).parent / "results" / "ledger.json"
BATCH, BATCHES = 100, 60
LEAVES, STATEMENTS = 1_000_000, 100_000
BARS = {
    "appends sqlite": ("at least", 5000, "per second"),
    "appends postgresql": ("at least", 2000, "per second"),
    "tree": ("at most", 60, "wall seconds"),
    "signatures": ("at most", 30, "wall seconds"),
    "kills": ("exactly", 0, "failures"),
}
MEMORY_MB = 500


@contextmanager
def folder() -> Iterator[Path]:
    """On the disk that the repository is on: a temporary file system would make every fsync free."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1] / "build", prefix="ledger-") as made:
        yield Path(made)


def entry(number: int) -> dict[str, Any]:
    """What a phase says: the kind of statement that most of a log consists of."""
    said = working(f"c{number:04d}", "train", digest("config"), [], {"loss": 1.25, "steps": 200})
    return {**said, "key": digest("key", str(number)), "inputs": [], "event": f"event:{number}"}


def syncs(place: Path, count: int = 200) -> float:
    """How often a second this disk makes 4 KiB durable."""
    with (place / "probe").open("wb") as file:
        begun = time.perf_counter()
        for _ in range(count):
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        return count / (time.perf_counter() - begun)


def rates(batches: Sequence[Any], write: Callable[[Any], object]) -> dict[str, float]:
    """Statements a second: the median over batches, and the quartiles; the first (cold caches) is left out."""
    seconds = []
    for batch in batches:
        begun = time.perf_counter()
        write(batch)
        seconds.append(time.perf_counter() - begun)
    low, middle, high = statistics.quantiles(seconds[1:], n=4)
    return {"median": BATCH / middle, "low": BATCH / high, "high": BATCH / low, "n": len(seconds) - 1}


def appends(url: str | None) -> dict[str, Any]:
    """Batches into one database."""
    with folder() as place:
        workshop = Workshop(place / "w", place / "keys", url=url, signer=ProcessSigner)
        ledger = workshop.ledger
        numbers = [range(at, at + BATCH) for at in range(0, BATCH * BATCHES, BATCH)]
        drafts = [
            [Draft(kind="phase", predicate=entry(n), role="trainer", event=f"event:{n}") for n in part] for part in numbers
        ]
        trainer = ledger._principal("trainer")  # noqa: SLF001  # the two halves of an append, one after the other
        sealed = [ledger._sealed([(draft, trainer) for draft in part]) for part in drafts]  # noqa: SLF001
        named = [[(f"s{at}:{n}", each) for n, each in enumerate(part)] for at, part in enumerate(sealed)]
        found: dict[str, Any] = {"sealed": rates(named, ledger._group.add)}  # noqa: SLF001
        found["signed"] = rates(drafts, ledger.append_many)
        found["entry_bytes"] = statistics.mean(map(len, sealed[0]))
        found["fsync_per_second"] = syncs(place)
        assert ledger.size == 2 * BATCH * BATCHES + 1
        ledger.close()
        return found


def published(place: Path, entries: list[bytes], workshop: Workshop) -> None:
    """Write the log's files; without fsync, since nothing here is to survive."""
    workshop.ledger.close()
    hashes = b"".join(map(leaf_hash, entries))
    levels = levels_of(hashes)
    for tile in tiles_of(len(entries)):
        path = place / tile.name
        path.parent.mkdir(parents=True, exist_ok=True)
        level = (
            pack(entries[tile.start : tile.stop]) if tile.level < 0 else levels[tile.level][tile.start * 32 : tile.stop * 32]
        )
        path.write_bytes(level)
    [log] = (one for one in enrolled(read_statement(entries[0], 0).predicate).values() if one.role == "log")
    key = load_key(key_path(workshop.keys / "bench", "log"))
    for size in [*range(10_000, len(entries), 10_000), len(entries)]:
        root = root_of([hashes[at : at + 32] for at in range(0, size * 32, 32)]) if size == len(entries) else None
        if root:
            text = checkpoint_text(Checkpoint(origin="loopwright/bench", size=size, root=root))
            note = sign_note(text, "loopwright/bench", log, key.sign(text.encode()))
            (place / "checkpoints" / str(size)).write_text(note)
            (place / "checkpoint").write_text(note)


def audited(place: Path, *, tree_only: bool) -> dict[str, Any]:
    """Audit in a fresh process."""
    command = [sys.executable, __file__, "--audit", str(place), *(["--tree-only"] if tree_only else [])]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_mb() -> float:
    """Peak resident memory of this process (``ru_maxrss`` would count what its parent held when it forked)."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) / 1024


def audit_here(place: Path, *, tree_only: bool) -> None:
    """The measured process: audits, prints what that took."""
    begun = time.perf_counter()
    log = audit(place, tree_only=tree_only)
    wall = time.perf_counter() - begun
    assert log.findings == (), log.findings[:3]
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "wall_seconds": wall,
        "cpu_seconds": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "resident_mb": peak_mb(),
        "resident_mb_of_a_child": children.ru_maxrss / 1024,
        "entries": len(log.entries),
        "covered": log.covered,
    }
    print(json.dumps(told))


def tree() -> dict[str, Any]:
    """A million leaves; only the first is a statement, since nothing else of them is read."""
    with folder() as place:
        workshop = Workshop(place / "w", place / "keys")
        first = workshop.published
        genesis = next(iter(audit(first).entries))
        filler = os.urandom(1000)
        published(first, [genesis, *(b"%08d" % number + filler for number in range(1, LEAVES))], workshop)
        return audited(first, tree_only=True)


def signatures() -> dict[str, Any]:
    """A hundred thousand statements, each signed."""
    with folder() as place:
        workshop = Workshop(place / "w", place / "keys")
        key, (holder, *_) = (
            load_key(key_path(workshop.keys / "bench", "person")),
            [one for one in enrolled(next(workshop.ledger.statements()).predicate).values() if one.role == "person"],
        )
        entries = [next(iter(audit(workshop.published).entries))]
        for number in range(1, STATEMENTS):
            payload = payload_of("approval", [], {**entry(number), "event": f"approval:{number}"})
            entries.append(seal(payload, holder.id, key.sign(pae(payload))))
        published(workshop.published, entries, workshop)
        return {**audited(workshop.published, tree_only=False), "entry_bytes": statistics.mean(map(len, entries))}


def kills() -> dict[str, Any]:
    """200 times on each database, by the tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", "tests/ledger/test_crash.py", "-p", "no:randomly"]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    print(done.stdout[-1500:])
    return {"times": 200, "databases": 2, "failures": int(done.returncode != 0)}


def server_appends() -> dict[str, Any]:
    """Into a PostgreSQL server that is started for it."""
    programs = binaries()
    if programs is None:
        sys.exit("needs PostgreSQL's server (make system-deps)")
    with folder() as place, cluster(programs) as server:
        (place / "pgpass").touch(0o600)
        (place / "pgpass").write_text(server.password_line())
        os.environ["PGPASSFILE"] = str(place / "pgpass")
        return appends(server.url("bench"))


MEASURE: dict[str, Callable[[], dict[str, Any]]] = {
    "appends sqlite": lambda: appends(None),
    "appends postgresql": server_appends,
    "tree": tree,
    "signatures": signatures,
    "kills": kills,
}


def judged(name: str, found: dict[str, Any]) -> bool:
    """Is it within its bar?"""
    if name.startswith("appends"):
        return found["sealed"]["median"] >= BARS[name][1]
    if name == "kills":
        return found["failures"] == 0
    children = min(4, len(os.sched_getaffinity(0))) if name == "signatures" else 0
    memory = (found["resident_mb"] or 0) + children * found["resident_mb_of_a_child"] * (children > 0)
    return found["wall_seconds"] <= BARS[name][1] and memory <= MEMORY_MB


def main() -> int:
    """Measure what was asked for, keep the rest, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", help="appends, tree, signatures, kills; all by default")
    parser.add_argument("--audit", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tree-only", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.audit:
        audit_here(asked.audit, tree_only=asked.tree_only)
        return 0
    (Path(__file__).parents[1] / "build").mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, measure in MEASURE.items():
        if asked.what and name.split()[0] not in asked.what:
            continue
        load = os.getloadavg()[0]
        found = measure()
        machine = {"cpus": os.cpu_count(), "load_before": load, "python": platform.python_version()}
        kept = results.setdefault(name, {"bar": " ".join(map(str, BARS[name])), "runs": []})
        kept["runs"].append({**found, "machine": machine})
        kept["met"] = judged(name, min(kept["runs"], key=lambda run: run["machine"]["load_before"]))
        print(name, json.dumps(kept, indent=1))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(result["met"] for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
