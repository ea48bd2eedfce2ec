"""A domain whose judge is watched: answers whose verdict is known go through `Domain.judge` with everybody's.

Canary jobs (`loopwright.sandbox.canary`) watch the sandbox and the comparison; these watch all of the way from an answer to
its verdict, whatever the domain does in between, and are all that watches a domain which judges without a sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Protocol, runtime_checkable

from loopwright.domains.asked import PATIENCE, ask
from loopwright.plugins import Alphabet, Domain
from loopwright.sandbox import Sandbox
from loopwright.sandbox.canary import NEVER_PASS, Canaries, Kind, kept, scaled
from loopwright.types import Progress, Status, Task, Verdict, digest_bytes

__all__ = ["KnowsAnswers", "WatchedDomain"]

Pair = tuple[Task, str]


@runtime_checkable
class KnowsAnswers(Protocol):
    """What a domain adds to `Domain` so that its judge can be watched."""

    def known(self) -> Sequence[tuple[Task, str, bool]]:
        """Tasks with a ``hidden`` check, an answer to each, and whether it is right; both kinds are among them."""
        ...


class WatchedDomain:
    """A `Domain` made of another: the same but for known answers among those that are judged."""

    def __init__(self, inner: Domain, canaries: Canaries, name: str = "", patience: float = PATIENCE) -> None:
        self.inner = inner
        self._called = name or type(inner).__name__
        self._patience = patience
        self._canaries = canaries
        self._known: Mapping[bool, Sequence[Pair]] | None = None

    def __getattr__(self, name: str) -> Any:
        """What the domain offers beyond `Domain`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def alphabet(self) -> Alphabet:
        return self.inner.alphabet()

    def suites(self) -> Mapping[str, Sequence[Task]]:
        return self.inner.suites()

    def human(self, seed: int, refused: frozenset[str]) -> Sequence[Pair]:
        return self.inner.human(seed, refused)

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> Sequence[Task]:
        return self.inner.tasks(seed, count, weights, refused)

    def task(self, prompt: str) -> Task:
        return self.inner.task(prompt)

    def judge(
        self, pairs: Sequence[Pair], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """As `Domain.judge`; CanaryError where the judge cannot be trusted, PhaseError where it fails (`asked.ask`)."""
        if self._known is None:
            self._known = _by_kind(self.inner)
        kinds: Sequence[Kind] = [kind for kind, right in (("good", True), ("wrong", False)) if self._known[right]]
        rng = self._canaries.rng()
        order = self._canaries.places(len(pairs), kinds, rng) if kinds else [None] * len(pairs)
        real = iter(pairs)
        asked = [next(real) if kind is None else self._drawn(kind == "good", purposes, rng) for kind in order]
        scale = scaled(progress, len(pairs))
        verdicts = ask(self.inner, self._called, asked, purposes, sandbox, scale, self._patience)
        found = {place: (verdicts[place], _wanted(kind)) for place, kind in enumerate(order) if kind}
        self._canaries.confirm(order, found, [_name(task, text) for task, text in pairs])
        return kept(order, verdicts)

    def _drawn(self, right: bool, purposes: Sequence[str], rng: Random) -> Pair:
        """A known answer, its task named apart from all real ones and checked for what they are checked for."""
        known = (self._known or {})[right]
        task, answer = known[int(rng.random() * len(known))]
        check = task.checks.get("hidden") or next(iter(task.checks.values()))
        return replace(task, id=f"canary-{task.id}", checks=dict.fromkeys(purposes, check)), answer


def _by_kind(domain: Domain) -> Mapping[bool, Sequence[Pair]]:
    known = domain.known() if isinstance(domain, KnowsAnswers) else ()
    return {kind: [(task, answer) for task, answer, right in known if right is kind] for kind in (True, False)}


def _wanted(kind: Kind) -> frozenset[Status]:
    return frozenset(("PASS",)) if kind == "good" else NEVER_PASS


def _name(task: Task, answer: str) -> str:
    """A verdict by what it is about: task and digest of the answer."""
    return f"{task.id}:{digest_bytes(answer.encode('utf-8', 'surrogatepass'))[7:23]}"
