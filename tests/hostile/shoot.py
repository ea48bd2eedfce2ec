"""Runs the hostile set against one level, as whoever calls it, and prints what came of it as JSON.

    python -m tests.hostile.shoot --level SL2 --mode io

After every case one good and one wrong job must get what they deserve. A process of its own, so that it can be run as
another user, and so that a case that gets out harms nobody else's tests.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from loopwright.sandbox import AssertJob, Job, Limits, Sandbox, judge
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Verdict
from tests.hostile.canaries import Surroundings, surroundings
from tests.hostile.cases import CHECK, GOOD, LEVELS, SCRIPT, WRONG, Case, cases

LIMITS = Limits(wall_seconds=0.3, cpu_seconds=1, memory_bytes=256 * 2**20, output_bytes=64 * 2**10)
Run = Callable[[Sandbox, Sequence[str]], list[tuple[Verdict, str]]]


def by_values(sandbox: Sandbox, sources: Sequence[str]) -> list[tuple[Verdict, str]]:
    """Verdicts from outputs that are compared here, and all that came out."""
    outcomes = sandbox.run([Job(source=source, entry="f", inputs=CHECK.inputs) for source in sources])
    return [(judge(outcome, [("hostile", CHECK)]), f"{outcome.outputs!r} {outcome.detail}") for outcome in outcomes]


def by_asserts(sandbox: Sandbox, sources: Sequence[str]) -> list[tuple[Verdict, str]]:
    """Verdicts from an assert script that runs in another process than the candidate."""

    verdicts = sandbox.run_asserts([AssertJob(source=source, entry="f", script=SCRIPT) for source in sources])
    return [(verdict, verdict.reason) for verdict in verdicts]


MODES: dict[str, Run] = {"io": by_values, "assert": by_asserts}


def shoot(sandbox: Sandbox, case: Case, around: Surroundings, run: Run) -> dict[str, Any]:
    """One case and what it did."""
    began = time.monotonic()
    (verdict, said), (good, _), (wrong, _) = run(sandbox, [around.arm(case.source), GOOD, WRONG])
    return {
        "status": verdict.status,
        "reason": verdict.reason,
        "taken": around.taken(said),
        "said": said[:400],
        "harm": around.harm(),
        "next": [good.status, wrong.status],
        "seconds": round(time.monotonic() - began, 3),
    }


def main() -> None:
    """Run the set; the result goes to stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=LEVELS, required=True)
    parser.add_argument("--mode", choices=tuple(MODES), default="io")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    chosen = [case for case in cases() if LEVELS.index(case.least) <= LEVELS.index(options.level) and options.only in case.name]
    with surroundings() as around, open_sandbox(options.level, 1, LIMITS, level=options.level) as sandbox:
        MODES[options.mode](sandbox, [GOOD])
        around.calm()
        found = {case.name: shoot(sandbox, case, around, MODES[options.mode]) for case in chosen}
        json.dump({"level": sandbox.level, "cases": found}, sys.stdout)


if __name__ == "__main__":
    main()
