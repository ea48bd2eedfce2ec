"""The audit: right and wrong programs are told apart on inputs that no check has, whatever the domain's judge says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from loopwright.domains.operations import answer_of, steps_of
from loopwright.domains.programs import Programs
from loopwright.domains.reasoning import ReasoningGym
from loopwright.errors import InfraError
from loopwright.evaluate.audit import audit, behaviours, drawn
from loopwright.sandbox import Job, Outcome, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Check, Task, Verdict

PROMPTS = ("rev", "sort add 1", "uniq add 2 rev drop 1", "cum neg")


class Lenient(Programs):
    """A domain whose judge passes everything: nothing of it may count here."""

    def judge(self, pairs: Any, purposes: Any, sandbox: Any, progress: Any = None) -> list[Verdict]:
        return [Verdict(status="PASS", level=sandbox.level) for _ in pairs]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2) as opened:
        yield opened


def context(sandbox: Any, domain: Any = None) -> Any:
    return SimpleNamespace(domain=domain or Lenient(), sandbox=sandbox, progress=lambda *_: None)


def pairs(*answers: str) -> list[tuple[Task, str]]:
    domain = Programs()
    return [(domain.task(prompt), answer) for prompt, answer in zip(PROMPTS, answers, strict=True)]


def test_right_from_wrong(sandbox: Sandbox) -> None:
    right = [answer_of(steps_of(prompt)) for prompt in PROMPTS]
    assert audit(pairs(*right), 1, context(sandbox)) == [True] * 4
    assert audit(pairs(right[0], "x=x", "while True: pass", "x=("), 1, context(sandbox)) == [True, False, False, False]


def test_a_program_that_knows_all_checks_by_heart_is_found_out(sandbox: Sandbox) -> None:
    """What tests cannot see: the answer to every input of every check, and nothing else."""
    task = Programs().task("sort add 1")
    known = {str(list(given)): out for check in task.checks.values() for given, out in _cases(check)}
    cheat = f"x={known!r}.get(str(x), x)"
    assert Programs().judge([(task, cheat)], ("visible", "hidden"), sandbox)[0].passed
    assert audit([(task, cheat)], 1, context(sandbox)) == [False]


def _cases(check: Check) -> Sequence[tuple[Any, Any]]:
    return list(zip(check.inputs, check.outputs, strict=True))


def test_inputs_are_fresh_each_cycle(sandbox: Sandbox) -> None:
    seen: list[Any] = []

    class Watching:
        level = sandbox.level

        def run(self, jobs: Sequence[Job], progress: Any = None) -> list[Outcome]:
            seen.append([job.inputs for job in jobs])
            return sandbox.run(jobs)

    for seed in (1, 1, 2):
        audit(pairs(*["x=x"] * 4), seed, context(Watching()))
    assert seen[0] == seen[1] != seen[2]


def test_an_audit_that_could_not_run_is_no_finding(sandbox: Sandbox) -> None:
    class Broken:
        def run(self, jobs: Sequence[Job], progress: Any = None) -> list[Outcome]:
            return [Outcome(status="INFRA", outputs=(), level="SL1")] * len(jobs)

    with pytest.raises(InfraError, match="audited"):
        audit(pairs(*["x=x"] * 4), 1, context(Broken()))


def test_a_domain_without_programs_is_not_audited(sandbox: Sandbox) -> None:
    assert audit(pairs(*["x=x"] * 4), 1, context(sandbox, ReasoningGym(entries=60))) == []
    assert audit([], 1, context(sandbox)) == []


def test_samples_are_drawn_by_the_seed() -> None:
    rows = list(range(100))
    assert drawn(rows, 10, 1) == drawn(rows, 10, 1) != drawn(rows, 10, 2)
    assert sorted(drawn(rows, 200, 1)) == rows


def test_behaviours_are_told_apart_whatever_a_program_computes(sandbox: Sandbox) -> None:
    """Model-written programs: integers beyond what JSON readers agree on, text that is no UTF-8, nesting without end."""
    texts = [
        "x=[v*2 for v in x]",
        "x=[v+v for v in x]",
        "x=[2**200+v for v in x]",
        "x='\\ud800'",
        "x=x+x",
        "x=(",
        "for _ in range(80): x=[x]",
    ]
    texts.append("for _ in range(150): x=[x]")
    found = behaviours(texts, context(sandbox))
    assert found[0] == found[1]
    assert len(set(found)) == len(texts) - 1
    assert found[-1] == "BAD_OUTPUT"
