"""Domain `humaneval-jsonl`: the problems of a file in HumanEval's form; the model completes functions, the file's tests judge them.

Both are run as hostile code: the completed function in one confined process, the test script in another, and nothing but
plain data passes between them (`loopwright.sandbox.asserts`). A candidate sees the arguments of calls, and never a test.
The split is by a seed and each problem's own text, so that gate and sealed problems are asked nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loopwright.domains.filed import Filed, Part, Pool, level_of, named_path, part_of, read_filed
from loopwright.domains.humaneval import human_eval_script, parts_of
from loopwright.plugins import Alphabet
from loopwright.sandbox import AssertJob, Sandbox
from loopwright.types import Check, Progress, Task, Verdict, digest_value, seed_of

__all__ = ["HumanEvalFile"]

_NAME = "humaneval-jsonl"
_KNOWN = 8
"""Right and wrong programs that watch the judge."""
_PASSES = "PASS"
_LINES_BY_LEVEL = (3, 8)
"""Lines of the right answer up to which a problem is of level 1 and 2, where its row names no level."""
_WRONG = ("    return None\n", "    raise ArithmeticError\n", "    return object()\n")
"""Bodies that answer nothing: wrong for every test that looks at what comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanEvalFile:
    """The domain; its settings are recorded in the plan, the file's digest in every cycle's first entry."""

    path: str
    """The file, within the workspace. A row: ``task_id``, ``prompt``, ``entry_point``, ``test`` (defines ``check(candidate)``);
    also ``canonical_solution`` (the right completion), ``level`` (from 1), ``split`` (gate, sealed, human or tasks)."""
    split_seed: int = 0
    """Fixes which problem is of which part, where its row does not say."""
    gate_share: float = 0.25
    """Of the problems, about."""
    sealed_share: float = 0.25
    """Of the problems, about."""
    human_share: float = 0.25
    """Share of the problems whose right answers the first model learns from, about; models are asked the rest."""
    _pool: Pool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lines = read_filed(named_path(self.path), _filed)
        shares: dict[Part, float] = {"gate": self.gate_share, "sealed": self.sealed_share, "human": self.human_share}
        object.__setattr__(self, "_pool", Pool(_NAME, lines, self.split_seed, shares))

    def alphabet(self) -> Alphabet:
        """Printable ASCII, newline, and what else the file has, a character each."""
        return self._pool.alphabet()

    def counts(self) -> Mapping[Part, int]:
        """Problems by part."""
        return self._pool.counts()

    def suites(self) -> Mapping[str, Sequence[Task]]:
        """The ``gate`` and ``sealed`` problems."""
        return self._pool.suites()

    def human(self, seed: int, refused: frozenset[str]) -> Sequence[tuple[Task, str]]:
        """Problems with their right completions (`Pool.human`)."""
        return self._pool.human(seed, refused)

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> Sequence[Task]:
        """Problems to be asked (`Pool.tasks`)."""
        return self._pool.tasks(seed, count, weights, refused)

    def task(self, prompt: str) -> Task:
        """The accepting problem of that prompt; ValueError where there is none."""
        return self._pool.task(prompt)

    def known(self) -> Sequence[tuple[Task, str, bool]]:
        """The problems with the shortest tests, each with its right completion and with one that answers nothing."""
        rows = sorted(self._pool.answered(), key=lambda row: (len(_given(row[0])["script"]), row[0].id))[:_KNOWN]
        wrong = [(task, _WRONG[place % len(_WRONG)], False) for place, (task, _) in enumerate(rows)]
        return [(task, answer, True) for task, answer in rows] + wrong

    def gold(self, seed: int, count: int) -> Sequence[tuple[Task, str, bool]]:
        """Right completions, and by turns some that answer nothing or give the right value within a list."""
        rows = sorted(self._pool.answered(), key=lambda row: seed_of(_NAME, "gold", seed, row[0].id))
        if not rows:
            return []
        found = []
        for place in range(count):
            task, answer = rows[place // 2 % len(rows)]
            found.append((task, answer, True) if place % 2 == 0 else (task, _wrong(task, answer, place // 2), False))
        return found

    def judge(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """Run each completed function against the script of each purpose; equal programs and scripts run once."""
        jobs = {
            (source, each["script"]): AssertJob(source=source, entry=each["entry"], script=each["script"])
            for task, answer in pairs
            for purpose in purposes
            for source, each in [(task.prompt + answer, _given(task, purpose))]
        }
        verdicts = dict(zip(jobs, sandbox.run_asserts(list(jobs.values()), progress), strict=True))
        return [
            _first(purposes, [verdicts[task.prompt + answer, _given(task, purpose)["script"]] for purpose in purposes])
            for task, answer in pairs
        ]


def _filed(row: dict[str, Any], where: str) -> Filed:
    """A row as a task: the one whose tests, apart from blanks and the function's name, are these."""
    prompt, entry, test = parts_of(row)
    answer = row.get("canonical_solution")
    if answer is not None and not isinstance(answer, str):
        raise ValueError(f"canonical_solution: text is needed, not {answer!r}")
    tests = " ".join(re.sub(rf"\b{re.escape(entry)}\b", "candidate", test).split())
    given = {"entry": entry, "script": human_eval_script(prompt, entry, test)}
    return Filed(
        where=where,
        prompt=prompt,
        check=Check(inputs=(given,), outputs=(_PASSES,)),
        signature=digest_value(["humaneval", tests]),
        level=level_of(row, _level(answer)),
        slices={"source": str(row.get("task_id", where)).partition("/")[0][:40]},
        answer=answer,
        part=part_of(row),
    )


def _level(answer: str | None) -> int:
    lines = sum(bool(line.strip()) for line in (answer or "").splitlines())
    return 1 + sum(lines > most for most in _LINES_BY_LEVEL)


def _given(task: Task, purpose: str = "hidden") -> Mapping[str, str]:
    return task.checks[purpose].inputs[0]


def _wrong(task: Task, answer: str, place: int) -> str:
    """A completion that is wrong for certain, whatever the problem."""
    entry = _given(task)["entry"]
    wrapped = f"{answer}\n\n_right = {entry}\n\n\ndef {entry}(*given, **named):\n    return [_right(*given, **named)]\n"
    return (*_WRONG, wrapped)[place % (len(_WRONG) + 1)]


def _first(purposes: Sequence[str], verdicts: Sequence[Verdict]) -> Verdict:
    """The first that is no PASS; which exception a script ended with is the candidate's to choose, so it's left out."""
    for purpose, verdict in zip(purposes, verdicts, strict=True):
        if not verdict.passed:
            return replace(verdict, reason=f"{purpose} check") if verdict.status == "FAIL" else verdict
    return verdicts[-1]
