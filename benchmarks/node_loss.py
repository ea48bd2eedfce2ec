"""How much time a killed node costs: from the kill until training is where it was, in real time.

    python benchmarks/node_loss.py             # three kills; needs root, for a network namespace a node

A real Ray of a head and two nodes, each in a network namespace; the training group has one rank, and its node is killed in
the midst of a job: every process of it, from one moment to the next. Ray then finds the node dead, the group starts anew on
the other one, finds the newest checkpoint and repeats what came after it. Steps take a fixed time (they sleep), so that a
busy machine makes only the restart slower. Bar: one checkpoint interval and 90 s, with a worker start time-out of 20 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from loopwright.runtime.profile import Profile
from loopwright.runtime.ray import RayExecutor
from tests.cluster.network import possible
from tests.cluster.nodes import Nodes
from tests.runtime import work

BAR = 90.0
PAUSE = 0.1
STEPS = 160
AT = 60
"""The step at which the node is killed at the earliest."""
INTERVAL = 2 * PAUSE
"""Seconds between two checkpoints: `work.count` writes one every other step."""
RESULTS = Path(__file__).parent / "results" / "node_loss.json"


def kill_once(nodes: Nodes, executor: RayExecutor, key: str, scratch: Path) -> dict[str, float]:
    """Train, kill the node that trains, and wait; what was seen."""
    seen: list[tuple[float, int]] = []
    fault: dict[str, float] = {}

    def strike() -> None:
        while not seen or seen[-1][1] < AT:
            time.sleep(0.02)
        ((node, _),) = nodes.at("RayTrainWorker")
        fault["step"], fault["at"] = seen[-1][1], time.monotonic()
        nodes.kill(node)
        fault["node"] = ord(node)

    thread = threading.Thread(target=strike)
    thread.start()
    job = {"key": key, "storage": str(scratch / "jobs"), "seed": 7, "steps": STEPS, "pause": PAUSE}
    done = executor.train(work.count, job, lambda step, *_: seen.append((time.monotonic(), step)))
    thread.join()
    back = next(at for at, step in seen if at > fault["at"] and step > fault["step"])
    nodes.restore("a", "b")
    return {"killed_at_step": fault["step"], "resumed_from": done["resumed"], "lost_seconds": round(back - fault["at"], 1)}


def measure(runs: int) -> list[dict[str, Any]]:
    """So many kills, one cluster and one executor for all."""
    found = []
    with tempfile.TemporaryDirectory(prefix="node-loss-") as place, Nodes(Path(place)) as nodes:
        scratch = Path(place) / "scratch"
        os.environ |= {**nodes.environment, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20"}
        nodes.restore("a", "b")
        executor = RayExecutor(Profile(address=nodes.address, map_workers=1, max_failures=3), scratch, ("torch",))
        try:
            for number in range(runs):
                found.append(kill_once(nodes, executor, f"job-{number}", scratch))
                sys.stdout.write(f"{json.dumps(found[-1])}\n")
                sys.stdout.flush()
        finally:
            executor.close()
    return found


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"Write {RESULTS.name}.")
    chosen = parser.parse_args()
    if not possible():
        sys.exit("network namespaces cannot be made here: run it as root")
    runs = measure(chosen.runs)
    lost = [run["lost_seconds"] for run in runs]
    told = {
        "what": "seconds from the kill of a node until training has done more steps than before it",
        "n": len(lost),
        "median": statistics.median(lost),
        "range": [min(lost), max(lost)],
        "bar": INTERVAL + BAR,
        "start_timeout_s": 20,
        "load": [round(value, 1) for value in os.getloadavg()],
        "runs": runs,
    }
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    if chosen.write:
        RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0 if max(lost) <= INTERVAL + BAR else 1


if __name__ == "__main__":
    sys.exit(main())
