"""A model elsewhere that has a say in what is accepted: it may refuse what passed every check, and can let nothing in.

So what it is talked into by an answer that it reads (which is hostile text) costs rows and admits none. It is asked in the verify
phase alone: no gate or sealed task goes to it, and promotion never hears of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from loopwright.endpoint import Desk, Question, answers
from loopwright.errors import PlanError
from loopwright.external import Judge
from loopwright.plugins import Domain, PhaseContext
from loopwright.prompts import fill, first_word
from loopwright.sandbox import Sandbox
from loopwright.sections import VerifySection
from loopwright.types import Digest, Progress, Task, Verdict, seed_of

__all__ = ["JUDGE", "JudgedDomain", "judged"]

JUDGE = "judge:"
"""First word of the reason where the model refused."""

_FIRST_OR_SECOND = ("1", "2")
_TRIES = 3
"""How often it's asked where it says neither; then the answer is refused."""


def judged(config: VerifySection, context: PhaseContext) -> PhaseContext:
    """The context with a domain that the plan's judge model has a say in; as it is, where the plan names none."""
    if config.judge is None:
        return context
    desk = Desk(root=context.root, scratch=context.scratch, offline=context.offline)
    prompts = {prompt.path: prompt.text for prompt in config.prompts}
    domain: Any = JudgedDomain(context.domain, config.judge, prompts, desk)
    return replace(context, domain=domain)


class JudgedDomain:
    """A `Domain` made of another, with a model's veto; offers `JudgesByModel`."""

    def __init__(self, inner: Domain, judge: Judge, prompts: Mapping[str, str], desk: Desk) -> None:
        self.inner = inner
        self.judge_models: tuple[Digest, ...] = (judge.endpoint.identity, judge.endpoint.lineage)
        self._judge, self._prompts, self._desk = judge, prompts, desk

    def __getattr__(self, name: str) -> Any:
        """What the domain offers beyond its judge."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def judge(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """As `Domain.judge`; what passed is FAIL where the model is against it or cannot say."""
        verdicts = list(self.inner.judge(pairs, purposes, sandbox, progress))
        passed = [place for place, verdict in enumerate(verdicts) if verdict.passed]
        texts = [
            fill(self._prompts[self._judge.prompt], {"task": pairs[place][0].prompt, "answer": _fenced(pairs[place][1])})
            for place in passed
        ]
        for place, said in zip(passed, self._said(texts, ("yes", "no"), progress), strict=True):
            if said != "yes":
                reason = f"{JUDGE} {'no' if said == 'no' else 'neither yes nor no'}"
                verdicts[place] = replace(verdicts[place], status="FAIL", reason=reason)
        return verdicts

    def equals(self, seed: int, count: int) -> list[tuple[Task, str, str]]:
        """See `JudgesByModel`; PlanError where a line is no such pair. The model is asked at once about all, in both orders."""
        path, found = self._judge.equals, []
        for number, line in enumerate(self._prompts[path].splitlines(), start=1):
            if not line.strip():
                continue
            try:
                said = json.loads(line)
                found.append((self.inner.task(said["prompt"]), str(said["own"]), str(said["other"])))
            except (ValueError, KeyError, TypeError) as error:
                raise PlanError(f"{path}:{number}: no pair of equals: {error}", "it has prompt, own and other") from error
        drawn = Random(seed).sample(found, min(count, len(found)))
        orders = [(task, *pair) for task, own, other in drawn for pair in ((own, other), (other, own))]
        self._said([self._choice(*order) for order in orders], _FIRST_OR_SECOND)  # kept: what is asked one by one is there
        return drawn

    def prefers_first(self, task: Task, first: str, second: str, sandbox: Sandbox) -> bool:
        """See `JudgesByModel`; who cannot say takes one by chance, the same each time."""
        [said] = self._said([self._choice(task, first, second)], _FIRST_OR_SECOND)
        return said == "1" if said else seed_of("prefers", task.id, first, second) % 2 == 0

    def _choice(self, task: Task, first: str, second: str) -> str:
        values = {"task": task.prompt, "first": _fenced(first), "second": _fenced(second)}
        return fill(self._prompts[self._judge.prefer], values)

    def _said(self, texts: Sequence[str], words: Sequence[str], progress: Progress | None = None) -> list[str | None]:
        """Which of these words each answer begins with; asked again with another seed where it's none of them."""
        said: dict[int, str | None] = dict.fromkeys(range(len(texts)))
        for tries in range(_TRIES):
            open_ = [place for place, word in said.items() if word is None]
            if not open_:
                break
            asked = [
                Question(
                    text=texts[place],
                    seed=seed_of("judge", texts[place], tries),
                    temperature=0.0 if tries == 0 else 1.0,
                    max_tokens=self._judge.max_tokens,
                )
                for place in open_
            ]
            found = answers(self._judge.endpoint, asked, self._desk, progress)
            said |= {place: _word(answer.text, words) for place, answer in zip(open_, found, strict=True)}
        return [said[place] for place in range(len(texts))]


def _word(text: str, words: Sequence[str]) -> str | None:
    word = first_word(text)
    return word if word in words else None


def _fenced(answer: str) -> str:
    """One line of JSON: whatever an answer says, it says it within quotes."""
    return json.dumps(answer)
