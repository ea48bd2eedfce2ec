"""What Loopwright costs: `loopwright run --cycles 5` divided by a plain script that does the same work, in one run.

    python benchmarks/overhead.py --runs 3

Each run makes a fresh workspace, turns it with the default profile (Ray), and then runs ``benchmarks/bare_loop.py``; the order
alternates. Two ratios: whole wall time, and start-up apart (ours from the first phase's start, the script's from the end
of its imports). Counts of both are printed and must be equal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOOPWRIGHT = (sys.executable, "-m", "loopwright")


def ours(directory: Path, seed: int, cycles: int) -> dict[str, Any]:
    """Wall seconds whole and from the first phase's start to the last commit; counts from the record."""
    subprocess.run([*LOOPWRIGHT, "init", str(directory), "--set", f"seed={seed}"], check=True, capture_output=True)
    began = time.monotonic()
    result = subprocess.run(
        [*LOOPWRIGHT, "run", "--workspace", str(directory), "--json"], check=True, capture_output=True, text=True
    )
    whole = time.monotonic() - began
    seen = json.loads(result.stdout)
    log = max((directory / ".loopwright" / "logs").glob("*Z.log")).read_text(encoding="utf-8").splitlines()
    times = {line.split(" ", 1)[1].strip(): datetime.fromisoformat(line.split(" ", 1)[0]) for line in log}
    first = min(when for what, when in times.items() if what.endswith("started"))
    last = max(when for what, when in times.items() if what.endswith("committed"))
    show = [
        json.loads(
            subprocess.run(
                [*LOOPWRIGHT, "show", row["cycle"], "--workspace", str(directory), "--json"], capture_output=True, check=True
            ).stdout
        )
        for row in seen["cycles"]
    ]
    phases: dict[str, float] = {}
    for row in show:
        for phase, seconds in row["seconds"].items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    return {
        "whole": whole,
        "work": (last - first).total_seconds(),
        "phases": {phase: round(seconds, 2) for phase, seconds in phases.items()},
        "tokens": sum(row["tokens"] for row in seen["cycles"]),
        "sealed": [row["sealed"]["value"] for row in seen["cycles"]],
    }


def bare(seed: int, cycles: int) -> dict[str, Any]:
    """The plain script's wall seconds, whole and without its imports; its counts."""
    began = time.monotonic()
    command = [sys.executable, str(ROOT / "benchmarks" / "bare_loop.py"), "--seed", str(seed), "--cycles", str(cycles)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    counts = result["counts"]
    return {
        "whole": time.monotonic() - began,
        "work": result["seconds"],
        "tokens": counts["sampled_tokens"] + counts["train_tokens"],
        "sealed": result["sealed_headline"],
        "counts": counts,
    }


def main() -> None:
    """Alternate, and tell ratios with their range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = []
    for number in range(options.runs):
        with tempfile.TemporaryDirectory() as place:
            work = [lambda: ours(Path(place) / "lab", options.seed, options.cycles), lambda: bare(options.seed, options.cycles)]
            results = [one() for one in (work if number % 2 == 0 else work[::-1])]
        mine, plain = results if number % 2 == 0 else results[::-1]
        pairs.append({"ours": mine, "bare": plain, "same_work": mine["tokens"] == plain["tokens"]})
        print(json.dumps(pairs[-1]), file=sys.stderr)
    ratios = {
        name: {
            "value": round(statistics.median(pair["ours"][name] / pair["bare"][name] for pair in pairs), 3),
            "low": round(min(pair["ours"][name] / pair["bare"][name] for pair in pairs), 3),
            "high": round(max(pair["ours"][name] / pair["bare"][name] for pair in pairs), 3),
        }
        for name in ("work", "whole")
    }
    print(json.dumps({"ratio": ratios, "n": len(pairs), "method": "median and range of alternating pairs", "pairs": pairs}))


if __name__ == "__main__":
    main()
