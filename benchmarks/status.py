"""`loopwright status` on a long loop: seconds of the whole command, on a workspace of 500 cycles.

    python benchmarks/status.py --like demo [--cycles 500] [--repeats 7]

The record is made of a real one: the entries of the last whole cycle of ``--like`` (a finished demo), signed again under
the names of cycles that follow each other, in a fresh workspace. Nothing else of such cycles is there: `status` reads the
record alone. Prints JSON; exits 1 where the upper limit of the mean (95 % t interval) is over the bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from loopwright.types import Artifact, cycle_name
from loopwright.workspace import Workspace, create, find

BAR = 1.0
BATCH = 50
"""Cycles between two publications."""


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same value, with the names of cycles replaced wherever they stand."""
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, Mapping):
        return {key: renamed(item, names) for key, item in value.items()}
    return [renamed(item, names) for item in value] if isinstance(value, list) else value


def entries_of(workspace: Workspace, cycle: str) -> Iterator[tuple[str, str, list[Artifact], dict[str, Any]]]:
    """Kind, role, subjects and predicate of each entry of a cycle, in order."""
    roles = {principal["id"]: principal["role"] for principal in workspace.state().genesis["principals"]}
    ledger = workspace.ledger()
    try:
        for statement in ledger.statements():
            if statement.kind in {"open", "phase", "close"} and statement.predicate["cycle"] == cycle:
                predicate = {name: value for name, value in statement.predicate.items() if name != "event"}
                yield statement.kind, roles[statement.keyid], list(statement.subjects), predicate
    finally:
        ledger.close()


def lengthen(workspace: Workspace, like: Workspace, cycles: int) -> int:
    """Append so many cycles; returns the number of entries."""
    seen = like.state()
    if seen.last is None:
        raise SystemExit("--like names a workspace without a finished cycle: `loopwright demo` makes one")
    last = seen.cycles[seen.last]
    told = list(entries_of(like, last.cycle))
    ledger = workspace.ledger()
    try:
        for number in range(cycles):
            parent = cycle_name(max(0, number - 1))
            names = {last.cycle: "NEW", str(last.parent): "OLD", str(last.prev): "OLD"}
            back = {"NEW": cycle_name(number), "OLD": parent}
            for place, (kind, role, subjects, predicate) in enumerate(told):
                moved = renamed(renamed(predicate, names), back)
                if "key" in moved:
                    moved["key"] = f"sha256:{number:032x}{place:032x}"
                named = [
                    Artifact(kind=item.kind, digest=item.digest, path=renamed(renamed(item.path, names), back))
                    for item in subjects
                ]
                ledger.append(kind, named, moved, role=role, event=f"{number}:{place}")
            if number % BATCH == BATCH - 1:
                ledger.publish()
        ledger.publish()
        ledger.sign_checkpoint()
        return ledger.size
    finally:
        ledger.close()


def seconds(root: Path) -> float:
    """Wall time of one whole command."""
    began = time.monotonic()
    command = [sys.executable, "-m", "loopwright", "status", "--json", "--workspace", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


def main() -> int:
    """Make the record, then time the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        workspace = create(Path(place) / "long", demo=True)
        leaves = lengthen(workspace, find(options.like), options.cycles)
        times = [seconds(workspace.root) for _ in range(options.repeats + 1)][1:]  # the first warms the page cache
    mean = statistics.mean(times)
    half = float(student.ppf(0.975, len(times) - 1)) * statistics.stdev(times) / len(times) ** 0.5
    print(
        json.dumps(
            {
                "cycles": options.cycles,
                "entries": leaves,
                "seconds": round(mean, 3),
                "low": round(mean - half, 3),
                "high": round(mean + half, 3),
                "n": len(times),
                "bar": BAR,
            }
        )
    )
    return 0 if mean + half <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
