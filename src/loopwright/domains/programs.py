"""Domain `programs`: the model writes Python list programs, tests judge them.

A task names up to eight operations, outermost first (``uniq add 2 rev drop 1``); the answer is Python, innermost
operation first, one statement a line. Its level is the number of operations. This is compositional length
generalisation over known operations (as in Lee et al. 2025, arXiv:2502.01612): no new operation is learned.

Suites hold behaviours, not wordings: nothing that the gate or the sealed suite asks for is anywhere else, and the five
pools of test inputs (probe, accepting, gate, sealed, stress) have no list in common.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import ClassVar

from loopwright.domains.behaviour import PROBE, checks_of, fresh_of, observe, pools, signature_of
from loopwright.domains.gold import mutated
from loopwright.domains.operations import LEXEMES, LONGEST, STEPS, WORDS, Steps, answer_of, prompt_of, steps_of
from loopwright.domains.stress import stress_tasks
from loopwright.domains.tasks import level_draws, make_task, whole
from loopwright.plugins import Alphabet
from loopwright.sandbox import Job, Sandbox, judge
from loopwright.types import Check, Progress, Task, Verdict, seed_of

__all__ = ["Programs"]

_NAME = "programs"
_ENTRY = "f"
_ACCEPTING = ("visible", "hidden")
_SUITES = ("gate", "sealed")
_SUITE_LEVELS = range(2, LONGEST + 1)
_START = dict.fromkeys(range(4, LONGEST + 1), 1.0)
_LISTED = 2
"""Up to this level all tasks are listed; above it they are drawn."""
_PATIENCE = 20_000
"""Draws without a new task after which a level counts as exhausted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The domain; its settings are recorded in the plan."""

    suite_seed: int = 0
    """Fixes the suites and all test inputs but the probes; the training seed has no say in it."""
    suite_per_level: int = 58
    """Tasks of each level from 2 to 8, in the gate suite and again in the sealed one."""
    human_level_2: int = 400
    """Human rows of level 2, at most (all of level 1 are given)."""
    human_level_3: int = 1600
    """Human rows of level 3."""

    probes: ClassVar[tuple[list[int], ...]] = PROBE
    """Inputs that show what a program does; no check has them."""

    def __post_init__(self) -> None:
        whole("suite_seed", self.suite_seed, 0, 2**53)
        whole("suite_per_level", self.suite_per_level, 1, 200)
        whole("human_level_2", self.human_level_2, 0, 700)
        whole("human_level_3", self.human_level_3, 0, 15_000)

    @property
    def entry(self) -> str:
        """The function that every program defines."""
        return _ENTRY

    def program(self, answer: str) -> str:
        """The answer as the body of a function of the list ``x``, which it returns."""
        body = "".join(f" {line}\n" for line in answer.split("\n"))
        return f"def {_ENTRY}(x):\n{body} return x\n"

    def alphabet(self) -> Alphabet:
        """20 words of prompts and 32 pieces of answers; three digits are both."""
        return Alphabet(words=WORDS, lexemes=LEXEMES)

    def suites(self) -> Mapping[str, Sequence[Task]]:
        """The ``gate`` and ``sealed`` suites: levels 2 to 8 in equal parts, no behaviour twice.

        No suite task asks for what one operation does, and none above level 2 for what two do.
        """
        return _suites(self.suite_seed, self.suite_per_level)

    def stress(self) -> Mapping[str, Sequence[Task]]:
        """Tasks by kind (`loopwright.domains.stress.KINDS`) with a check ``stress``; what they ask for is held out or too long.

        Those that are ``malformed`` have no check: `task` refuses them, and a model family may.
        """
        return stress_tasks(self.suite_seed, self.suites()["gate"])

    def human(self, seed: int, refused: frozenset[str]) -> Sequence[tuple[Task, str]]:
        """Tasks of levels 1 to 3 with reference answers, no two of one wording."""
        rng = Random(seed_of(_NAME, "human", seed))
        rows: list[tuple[Task, str]] = []
        for level, most in ((1, len(STEPS)), (2, self.human_level_2), (3, self.human_level_3)):
            found = 0
            for steps in _wordings(rng, level):
                if found == most:
                    break
                task = self._accepting(steps, refused)
                if task is not None:
                    rows.append((task, answer_of(steps)))
                    found += 1
        return rows

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> Sequence[Task]:
        """New tasks, without ``weights`` of levels 4 to 8 in equal parts, no two of one behaviour.

        Raises:
            ValueError: a weight or a level makes no sense, or a level has no more new tasks.
        """
        rng = Random(seed_of(_NAME, "tasks", seed))
        levels = level_draws(rng, count, weights or _START)
        streams = {level: _wordings(rng, level) for level in sorted(set(levels))}
        taken = set(refused)
        return [self._next(streams[level], level, taken) for level in levels]

    def task(self, prompt: str) -> Task:
        """The accepting task that a prompt states, to the letter; ValueError where it is none or a degenerate one."""
        task = self._accepting(steps_of(prompt), frozenset())
        if task is None:
            raise ValueError(f"{prompt!r} is degenerate: a shorter program, or a trivial one, does the same")
        return task

    def known(self) -> Sequence[tuple[Task, str, bool]]:
        """Tasks of one operation with their reference answers, and with those of another operation, which are wrong."""
        tasks = [(steps, task) for step in STEPS if (task := self._accepting(steps := (step,), frozenset()))]
        right = [(task, answer_of(steps), True) for steps, task in tasks]
        others = [*right[1:], right[0]]
        wrong = [
            (task, answer, False)
            for (task, _, _), (other, answer, _) in zip(right, others, strict=True)
            if other.checks["hidden"].outputs != task.checks["hidden"].outputs
        ]
        return right + wrong

    def gold(self, seed: int, count: int) -> Sequence[tuple[Task, str, bool]]:
        """Reference answers, and answers that do something else on the probe inputs, by turns and of all levels."""
        rng = Random(seed_of(_NAME, "gold", seed))
        streams = [self._endless(level, rng) for level in range(1, LONGEST + 1)]
        rows = []
        for place in range(count):
            task = next(streams[place // 2 % LONGEST])
            steps, right = steps_of(task.prompt), place % 2 == 0
            rows.append((task, answer_of(steps if right else mutated(steps, rng)), right))
        return rows

    def fresh(self, task: Task, seed: int) -> Check:
        """Eight inputs of this seed's own, with what the prompt's operations make of them."""
        return fresh_of(steps_of(task.prompt), seed, self.suite_seed)

    def judge(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """Run each answer as the body of a function, once for all its checks; equal answers to one task run once."""
        distinct = {(task.id, answer): (task, answer) for task, answer in pairs}
        outcomes = sandbox.run([self._job(task, answer, purposes) for task, answer in distinct.values()], progress)
        verdicts = {
            key: judge(outcome, [(purpose, task.checks[purpose]) for purpose in purposes])
            for (key, (task, _)), outcome in zip(distinct.items(), outcomes, strict=True)
        }
        return [verdicts[task.id, answer] for task, answer in pairs]

    def _job(self, task: Task, answer: str, purposes: Sequence[str]) -> Job:
        inputs = tuple(value for purpose in purposes for value in task.checks[purpose].inputs)
        return Job(source=self.program(answer), entry=_ENTRY, inputs=inputs)

    def _accepting(self, steps: Steps, refused: frozenset[str] | set[str]) -> Task | None:
        return _task(steps, _ACCEPTING, self.suite_seed, refused)

    def _endless(self, level: int, rng: Random) -> Iterator[Task]:
        """Tasks of a level without end: from the start again where all have been."""
        while True:
            yield from (task for steps in _wordings(rng, level) if (task := self._accepting(steps, frozenset())))

    def _next(self, stream: Iterator[Steps], level: int, taken: set[str]) -> Task:
        for steps in stream:
            task = self._accepting(steps, taken)
            if task is not None:
                taken.add(task.signature)
                return task
        raise ValueError(f"level {level} has no more new tasks: ask for fewer, or give it less weight")


def _task(steps: Steps, purposes: Sequence[str], seed: int, refused: frozenset[str] | set[str]) -> Task | None:
    """The task with checks for these purposes; None where it doesn't count or its behaviour is refused."""
    outputs = observe(steps)
    if outputs is None:
        return None
    signature = signature_of(outputs)
    if signature in refused:
        return None
    inputs = pools(seed)
    checks = checks_of(steps, {purpose: inputs[purpose] for purpose in purposes})
    if checks is None:
        return None
    slices = {"operation": steps[0].name}
    return make_task(_NAME, prompt=prompt_of(steps), level=len(steps), signature=signature, checks=checks, slices=slices)


def _wordings(rng: Random, level: int) -> Iterator[Steps]:
    """Tasks of a level in random order, no wording twice; ends where there seem to be no more."""
    if not 1 <= level <= LONGEST:
        raise ValueError(f"there is no level {level}: levels are 1 to {LONGEST}")
    if level <= _LISTED:
        yield from sorted(product(STEPS, repeat=level), key=lambda _: rng.random())
        return
    seen: set[Steps] = set()
    misses = 0
    while misses < _PATIENCE:
        steps = tuple(STEPS[int(rng.random() * len(STEPS))] for _ in range(level))
        misses = misses + 1 if steps in seen else 0
        if misses == 0:
            seen.add(steps)
            yield steps


@functools.lru_cache(maxsize=4)
def _suites(seed: int, per_level: int) -> Mapping[str, Sequence[Task]]:
    rng = Random(seed_of(_NAME, "suites", seed))
    taken = set(_behaviours(1))
    suites: dict[str, list[Task]] = {suite: [] for suite in _SUITES}
    for level in _SUITE_LEVELS:
        stream = _wordings(rng, level)
        for suite in _SUITES:
            suites[suite] += _suite_tasks(stream, suite, seed, per_level, taken)
        if level == _LISTED:
            taken |= _behaviours(_LISTED)
    return {suite: tuple(tasks) for suite, tasks in suites.items()}


def _suite_tasks(stream: Iterator[Steps], suite: str, seed: int, count: int, taken: set[str]) -> list[Task]:
    tasks: list[Task] = []
    while len(tasks) < count:
        task = _task(next(stream), (suite,), seed, taken)
        if task is not None:
            taken.add(task.signature)
            tasks.append(task)
    return tasks


@functools.cache
def _behaviours(level: int) -> frozenset[str]:
    """Signatures of all tasks of a level that is listed."""
    found = (observe(steps) for steps in product(STEPS, repeat=level))
    return frozenset(signature_of(outputs) for outputs in found if outputs is not None)
