"""Runs the hostile set shuffled into many good jobs, at full load, and prints what came of it as JSON.

    python -m tests.hostile.crowd --level SL2 --jobs 10000

The same good jobs are run alone first, in the same process, so that the loss of speed is a ratio.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from typing import Any

from loopwright.sandbox import Job, Sandbox, judge
from loopwright.sandbox.pool import open_sandbox
from tests.hostile.canaries import Surroundings, surroundings
from tests.hostile.cases import CHECK, GOOD, LEVELS, cases
from tests.hostile.shoot import LIMITS

WORKERS = 2


def statuses(sandbox: Sandbox, sources: list[str]) -> tuple[list[str], str, float]:
    """What each source is judged, all that came out, and the seconds that it took."""
    began = time.monotonic()
    outcomes = sandbox.run([Job(source=source, entry="f", inputs=CHECK.inputs) for source in sources])
    seconds = time.monotonic() - began
    said = " ".join(f"{outcome.outputs!r} {outcome.detail}" for outcome in outcomes)
    return [judge(outcome, [("crowd", CHECK)]).status for outcome in outcomes], said, seconds


def crowd(sandbox: Sandbox, around: Surroundings, jobs: int, seed: int) -> dict[str, Any]:
    """Is each judged as it deserves, is anything touched, how much slower are the good ones."""
    statuses(sandbox, [GOOD] * 200)
    around.calm()
    alone, _, alone_seconds = statuses(sandbox, [GOOD] * jobs)
    hostile = [(case.name, around.arm(case.source)) for case in cases()]
    mixed = [("", GOOD)] * jobs + hostile
    random.Random(seed).shuffle(mixed)
    found, said, seconds = statuses(sandbox, [source for _, source in mixed])
    judged = [(name, status) for (name, _), status in zip(mixed, found, strict=True)]
    return {
        "jobs": jobs,
        "cases": len(hostile),
        "right_alone": alone.count("PASS"),
        "right": sum(status == "PASS" for name, status in judged if not name),
        "fooled": sorted(name for name, status in judged if name and status == "PASS"),
        "infra": found.count("INFRA"),
        "taken": around.taken(said),
        "harm": around.harm(),
        "per_second_alone": round(jobs / alone_seconds, 1),
        "per_second_mixed": round(jobs / seconds, 1),
    }


def main() -> None:
    """Run them; the result goes to stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=LEVELS, required=True)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with surroundings() as around, open_sandbox(options.level, WORKERS, LIMITS, level=options.level) as sandbox:
        json.dump({"level": sandbox.level, **crowd(sandbox, around, options.jobs, options.seed)}, sys.stdout)


if __name__ == "__main__":
    main()
