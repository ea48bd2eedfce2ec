"""The whole decision on 100,000 paired tasks: from the evaluation's table on disk to `decision.json`. Bar: 5 s.

    python benchmarks/gate_size.py [--tasks 100000] [--rounds 5]

Seven levels and two columns of slices, as the built-in domain has them; every guard works. Prints JSON: median and range of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from loopwright.gate import decide
from loopwright.sections import DecideSection

BAR_SECONDS = 5.0


def write(folder: Path, tasks: int) -> None:
    """A table in which the challenger is a little better, and the decision before it."""
    random = np.random.default_rng(7)
    champion = random.random(tasks) < 0.4
    passed = np.where(random.random(tasks) < 0.6, champion, random.random(tasks) < 0.45)
    slices = [json.dumps({"first": f"op{one}", "last": f"op{two}"}) for one, two in random.integers(0, 30, (tasks, 2))]
    level = pl.Series(random.integers(2, 9, tasks), dtype=pl.Int32)
    columns = {"task": [f"{n:016x}" for n in range(tasks)], "level": level, "slices": slices}
    pl.DataFrame({**columns, "passed": passed, "champion": champion}).write_parquet(folder / "gate.parquet")
    (folder / "decision.json").write_text(json.dumps({"look": 3, "spent": 0.03, "peak": 0.4}))


def main() -> int:
    """Decide a few times; exit 1 above the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder, options.tasks)
        context: Any = SimpleNamespace(cycle="c0004", output=folder)
        inputs = {"evaluation": folder, "decision": folder / "decision.json"}
        seconds = []
        for _ in range(options.rounds):
            began = time.perf_counter()
            said = decide(DecideSection(headline=(4, 8)), inputs, context)
            seconds.append(time.perf_counter() - began)
            (folder / "decision.json").write_text(json.dumps({"look": 3, "spent": 0.03, "peak": 0.4}))
    told = {"median": statistics.median(seconds), "low": min(seconds), "high": max(seconds), "n": options.rounds}
    print(json.dumps({"tasks": options.tasks, "seconds": told, "decision": said["action"], "bar": BAR_SECONDS}))
    return 0 if max(seconds) <= BAR_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
