"""The verify phase of a recorded cycle on one core and on two: does verification grow with what it is given?

    PYTHONPATH=. python benchmarks/verification.py demo [--cycle c0001] [--rounds 5]

The workspace of ``make demo`` will do. The phase is replayed whole in a copy of the workspace, from the cycle's own proposals: the
static scan, the sandbox, held-out behaviour, repetitions, the second look, both tables. A process is held to so many processors
before it opens anything, and the sandbox has one zygote more. Each process runs the phase once unmeasured (imports, caches), then
``--repeat`` times by the clock. Rounds alternate one and two cores. Bar: 1.8 times the rows a second. The time within the sandbox
alone is told beside it. The accepted rows must be the same bytes on both sides. Kept in ``benchmarks/results/verification.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ratios import mean_ratio

KEPT = Path(__file__).parent / "results" / "verification.json"
BAR = 1.8


def measured(root: Path, cycle: str, cores: int, repeat: int) -> dict[str, Any]:
    """Rows a second on so many processors, in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import polars as pl

    from loopwright import replay
    from loopwright.sandbox.canary import WatchedSandbox
    from loopwright.types import digest_bytes

    plan, within, clocked = replay.recorded_plan, [0.0], [0.0]
    replay.recorded_plan = lambda *given: with_zygotes(plan(*given))
    WatchedSandbox.run = timed(WatchedSandbox.run, within)  # type: ignore[method-assign]
    replay.call_phase = timed(replay.call_phase, clocked)
    replay.replay(root, "verify", cycle)
    within[0] = clocked[0] = 0.0
    for _ in range(repeat):
        replay.replay(root, "verify", cycle)
    rows = sum(
        pl.scan_parquet(path).select(pl.len()).collect().item()
        for path in (root / "cycles" / cycle / "proposals").glob("shard-*")
    )
    accepted = root / "cycles" / cycle / "accepted"
    return {
        "rows_per_second": rows * repeat / clocked[0],
        "rows_per_second_in_sandbox": rows * repeat / within[0],
        "accepted": digest_bytes((accepted / "rows.parquet").read_bytes()),
    }


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The function, whose seconds are added to ``spent``."""

    def run(*given: Any) -> Any:
        began = time.monotonic()
        try:
            return function(*given)
        finally:
            spent[0] += time.monotonic() - began

    return run


def with_zygotes(plan: Any) -> Any:
    """The plan with as many zygotes as the processors ask for, whatever was recorded."""
    return plan.model_copy(update={"runtime": plan.runtime.model_copy(update={"sandbox_workers": "auto"})})


def main() -> int:
    """Measure by turns, print, keep; exit 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--cycle", default="c0001")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cores:
        print(json.dumps(measured(options.workspace, options.cycle, options.cores, options.repeat)))
        return 0
    seen: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "lab"
        shutil.copytree(options.workspace, root, symlinks=True, ignore=shutil.ignore_patterns("remote", "scratch"))
        for number in range(options.rounds):
            for cores in (1, 2) if number % 2 == 0 else (2, 1):
                command = [sys.executable, "-m", "benchmarks.verification", str(root), "--cycle", options.cycle]
                command += ["--cores", str(cores), "--repeat", str(options.repeat)]
                said = subprocess.run(command, check=True, capture_output=True, text=True)
                seen[cores].append(json.loads(said.stdout.splitlines()[-1]))
                sys.stderr.write(f"{cores}: {seen[cores][-1]['rows_per_second']:.0f} rows/s\n")
    assert len({each["accepted"] for both in seen.values() for each in both}) == 1
    told: dict[str, Any] = {"bar": BAR, "rounds": options.rounds, "load": os.getloadavg()}
    for name in ("rows_per_second", "rows_per_second_in_sandbox"):
        told[name] = {cores: [round(each[name]) for each in seen[cores]] for cores in seen}
        told[f"{name}, 2 cores / 1"] = mean_ratio([two[name] / one[name] for one, two in zip(seen[1], seen[2], strict=True)])
    KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told))
    return 0 if told["rows_per_second, 2 cores / 1"]["value"] >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
