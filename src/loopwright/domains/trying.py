"""Whether a folder domain may judge: what `loopwright domain check` looks at, each with what was found.

Answers are tried as models would give them, hostile ones among them. A domain that fails one of these would be learnt to be
cheated, or would give another verdict each time that it is asked.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from loopwright.domains.folder import VERIFIER, Folder
from loopwright.domains.gold import perturbed
from loopwright.sandbox import Sandbox
from loopwright.types import Task, seed_of

__all__ = ["HOSTILE", "Finding", "try_folder"]

_HIDDEN = ("hidden",)
_LEAST_SUITE = 30
"""Tasks of a suite below which a gain must be very large to be seen at all."""
_RUNS = {"exec", "eval", "compile", "__import__"}
HOSTILE: tuple[str, ...] = (
    "",
    " \n\t",
    "\x00\x1b[2J",
    "\ud800",
    "PASS",
    "true",
    '{"status":"PASS","detail":"","outputs":[{}]}',
    "import os; os._exit(0)",
    "import sys; sys.exit(0)",
    "raise SystemExit(0)",
    "__import__('os').system('true')",
    "import builtins; builtins.__dict__['dict'] = lambda *_, **__: True",
    "class A(dict):\n    __eq__ = lambda *_: True\n    __hash__ = None\ncheck = lambda *_: A()",
    "while True: pass",
    "9" * 5000,
    "(" * 3000,
    "x" * 60_000,
)
"""Answers that no task has as its right one: nothing, what ends or takes over a process that runs it, and what is too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    good: bool
    said: str
    """What was found, with how many of how many."""


def try_folder(domain: Folder, sandbox: Sandbox, samples: int) -> Iterator[Finding]:
    """Findings in the order in which they are worth reading; ``samples`` answers of a kind are tried at most.

    Raises:
        PhaseError: the verifier cannot be loaded.
    """
    yield _parts(domain)
    yield _disjoint(domain)
    answers = sorted(domain.answers(), key=lambda row: seed_of("domain check", row[0].id, row[1]))
    right = [(task, answer) for task, answer, truth in answers if truth][:samples]
    wrong = [(task, answer) for task, answer, truth in answers if not truth][:samples]
    yield _verdicts("right answers pass", domain, right, sandbox, wanted=True)
    yield _verdicts("wrong answers fail", domain, wrong, sandbox, wanted=False)
    yield _repeatable(domain, right + wrong, sandbox)
    yield _hostile(domain, right, sandbox)
    yield _forgeable(domain)
    yield _near(domain, right, sandbox)


def _parts(domain: Folder) -> Finding:
    counts = domain.counts()
    said = ", ".join(f"{part} {count}" for part, count in counts.items())
    few = [part for part in ("gate", "sealed") if counts[part] < _LEAST_SUITE]
    hint = f"; {' and '.join(few)} below {_LEAST_SUITE}: only a very large gain could be told from luck" if few else ""
    return Finding(name="every part has tasks", good=all(counts.values()), said=said + hint)


def _disjoint(domain: Folder) -> Finding:
    suites = {name: {task.signature for task in tasks} for name, tasks in domain.suites().items()}
    held = suites["gate"] | suites["sealed"]
    count = domain.counts()["tasks"]
    accepting = [task.signature for task in (*domain.tasks(0, count, {}, frozenset()), *(row[0] for row in domain.answers()))]
    shared = len(suites["gate"] & suites["sealed"]) + len(held & set(accepting))
    return Finding(name="suites are disjoint", good=not shared, said=f"{shared} of {len(held)} suite tasks are asked elsewhere")


def _verdicts(name: str, domain: Folder, pairs: Sequence[tuple[Task, str]], sandbox: Sandbox, *, wanted: bool) -> Finding:
    if not pairs:
        return Finding(
            name=name, good=False, said=f"no line says one: `{'answer' if wanted else 'wrong'}` is missing everywhere"
        )
    verdicts = domain.judge(pairs, _HIDDEN, sandbox)
    off = [place for place, verdict in enumerate(verdicts) if verdict.passed is not wanted or verdict.status == "INFRA"]
    said = f"{len(pairs) - len(off)} of {len(pairs)}"
    if off:
        task, answer = pairs[off[0]]
        said += f"; not {answer[:60]!r} to {task.prompt[:60]!r}: {verdicts[off[0]].status} {verdicts[off[0]].reason}".rstrip()
    return Finding(name=name, good=not off, said=said)


def _repeatable(domain: Folder, pairs: Sequence[tuple[Task, str]], sandbox: Sandbox) -> Finding:
    first, again = (domain.seen(pairs, _HIDDEN, sandbox) for _ in range(2))
    off = [place for place, (one, other) in enumerate(zip(first, again, strict=True)) if _plain(one) != _plain(other)]
    said = f"{len(pairs) - len(off)} of {len(pairs)} answers are seen alike by two processes"
    if off:
        said += f"; {pairs[off[0]][1][:60]!r} once as {_plain(first[off[0]])[:80]}, once as {_plain(again[off[0]])[:80]}"
    return Finding(name="the verifier says the same twice", good=not off, said=said)


def _plain(outcome: Any) -> str:
    return json.dumps([outcome.status, outcome.outputs], sort_keys=True)


def _hostile(domain: Folder, right: Sequence[tuple[Task, str]], sandbox: Sandbox) -> Finding:
    """Each on some task, and the expected values themselves, said aloud."""
    tasks = [task for task, _ in right] or list(domain.suites()["gate"])
    answers = {task.prompt: answer for task, answer in right}
    pairs = [(tasks[place % len(tasks)], answer) for place, answer in enumerate(HOSTILE)]
    pairs += [(task, json.dumps(next(iter(task.checks.values())).outputs[0])) for task in tasks[: len(HOSTILE)]]
    pairs = [(task, answer) for task, answer in pairs if answers.get(task.prompt) != answer]
    verdicts = domain.judge(pairs, tuple(tasks[0].checks), sandbox)
    fooled = [answer for (_, answer), verdict in zip(pairs, verdicts, strict=True) if verdict.status in {"PASS", "INFRA"}]
    said = f"{len(pairs) - len(fooled)} of {len(pairs)} are refused" + (f"; not {fooled[0][:60]!r}" if fooled else "")
    return Finding(name="hostile answers are refused", good=not fooled, said=said)


def _forgeable(domain: Folder) -> Finding:
    """A verifier that runs answers shares its process with them: then what is expected must not be the same everywhere."""
    names = {node.id for node in ast.walk(_tree(domain)) if isinstance(node, ast.Name)}
    runs = sorted(names & _RUNS)
    expected = {
        json.dumps(check.outputs[0], sort_keys=True)
        for tasks in domain.suites().values()
        for task in tasks
        for check in task.checks.values()
    }
    guessed = bool(runs) and len(expected) == 1
    said = f"it runs answers ({', '.join(runs)})" if runs else "it does not run answers"
    said += f"; {len(expected)} different expected values in the suites"
    if guessed:
        said += ": an answer can return that one value itself; return what the answer's code gives, and expect that"
    return Finding(name="what is expected cannot be guessed", good=not guessed, said=said)


def _tree(domain: Folder) -> ast.AST:
    return ast.parse((Path(domain.path) / VERIFIER).read_text(encoding="utf-8"))


def _near(domain: Folder, right: Sequence[tuple[Task, str]], sandbox: Sandbox) -> Finding:
    """Right answers with one character changed. Some may be right as well: a person looks, so this is never bad."""
    rng = Random(seed_of("domain check", "near"))
    pairs = [(task, perturbed(answer, rng)) for task, answer in right]
    passed = [pair for pair, verdict in zip(pairs, domain.judge(pairs, _HIDDEN, sandbox), strict=True) if verdict.passed]
    said = f"{len(passed)} of {len(pairs)} right answers still pass with one character changed"
    if passed:
        said += f"; look whether {passed[0][1][:60]!r} is right for {passed[0][0].prompt[:60]!r}"
    return Finding(name="near misses", good=True, said=said)
