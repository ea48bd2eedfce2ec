"""Tests that a model wrote are admitted only when they pass on a reference and kill mutants of it.

Of 105 tests that language models wrote for SWE-bench tasks, 65 failed on the accepted patch itself (Rajan 2026,
arXiv:2606.16062): a test is a claim like any other, and is tried before it may refuse anybody's answer. A script may state
whatever it likes about the program that it calls; it is not told which program that is, and the order in which programs come is
drawn from a seed and the reference's text, so that all it can go by is how they behave.

* It says ``assert`` or ``raise`` somewhere.
* It passes on the reference, every time that it is run: once at first and twice among the mutants.
* It fails on a function that returns None and on one that raises.
* It fails on at least a share ``least`` of the mutants (`loopwright.verify.mutation`) that load at all.

A mutant that every script survives may do the same as the reference (Budd and Angluin 1982: whether it does is undecidable),
and cannot be told from one that all the scripts are too weak for. It counts as survived, so a score is a lower bound, and
``least`` is a share well below 1. A script that asks for more than the task does (of several right answers the reference's
own) isn't found out by one reference.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from loopwright.errors import InfraError
from loopwright.intervals import wilson
from loopwright.sandbox import AssertJob, Job, Sandbox
from loopwright.types import Digest, Level, Score, Verdict, digest_bytes, seed_of
from loopwright.verify.mutation import chosen

__all__ = ["LEAST", "MUTANTS", "Admission", "admit"]

MUTANTS = 40
"""Mutants of one reference, at most."""
LEAST = 0.5
"""Share of the mutants that a script must kill."""

_AGAIN = 2
"""Further runs on the reference, among the mutants."""
_STUBS = (
    "def {entry}(*_, **__):\n return None\n",
    "def {entry}(*_, **__):\n raise Exception\n",
)
"""What a test must refuse if it looks at anything: a program that answers nothing, and one that does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What became of one test script."""

    script: Digest
    """Of its text."""
    admitted: bool
    reason: str
    """Why it is refused; empty where it's admitted. Never the script's own words but the name of a built-in exception."""
    passes_reference: bool
    """On its first run."""
    repeatable: bool
    """Every later run on the reference passed, too; False where there was none."""
    killed: int
    """Mutants that it refused."""
    mutants: int
    """Mutants that it was tried on; 0 where it was refused before."""
    score: Score | None
    """Killed share with its interval; None of no mutants."""
    level: Level
    """Isolation that was applied."""


def admit(
    scripts: Sequence[str],
    reference: str,
    entry: str,
    sandbox: Sandbox,
    *,
    mutants: int = MUTANTS,
    least: float = LEAST,
    seed: int = 0,
) -> list[Admission]:
    """An admission a script, in order.

    Args:
        scripts: Hostile until proven otherwise: they are never parsed here, and run in the sandbox alone.
        reference: A right program, which a person answers for: it is parsed in this process.
        entry: The function that the scripts call, by that name or as ``candidate``.
        sandbox: Where all of it runs.
        mutants: How many mutants are tried at most.
        least: Share of them that a script must kill, from above 0 to 1.
        seed: Of the order in which programs come.

    Raises:
        ValueError: the reference does not load or has no such function, or ``mutants`` or ``least`` makes no sense.
        InfraError: something could not be judged, which is never taken for a refusal.
    """
    if mutants < 1 or not 0 < least <= 1:
        raise ValueError(f"there must be at least one mutant and a share above 0 and up to 1, not {mutants} and {least}")
    changed = _loading(reference, entry, chosen(reference, entry, mutants), sandbox)
    order = (seed, digest_bytes(reference.encode("utf-8", "surrogatepass")))
    stubs = [stub.format(entry=entry) for stub in _STUBS]
    first = _tried(scripts, [reference, *stubs], entry, sandbox, order)
    refused = [_refused(script, verdicts) for script, verdicts in zip(scripts, first, strict=True)]
    fit = [script for script, reason in zip(scripts, refused, strict=True) if not reason]
    later = iter(_tried(fit, [reference] * _AGAIN + changed, entry, sandbox, order))
    return [
        _admission(script, reason, verdicts, [] if reason else next(later), least)
        for script, reason, verdicts in zip(scripts, refused, first, strict=True)
    ]


def _loading(reference: str, entry: str, texts: Sequence[str], sandbox: Sandbox) -> list[str]:
    """Mutants that load: one that does not would be killed by any script. What loads is not for a script to say."""
    jobs = [Job(source=text, entry=entry, inputs=()) for text in (reference, *texts)]
    outcomes = sandbox.run(jobs)
    _told(len(outcomes), [outcome.detail for outcome in outcomes if outcome.status == "INFRA"])
    if outcomes[0].status != "PASS":
        raise ValueError(f"the reference does not load: {outcomes[0].status} {outcomes[0].detail}".rstrip())
    return [text for text, outcome in zip(texts, outcomes[1:], strict=True) if outcome.status == "PASS"]


def _tried(
    scripts: Sequence[str], programs: Sequence[str], entry: str, sandbox: Sandbox, order: tuple[int, Digest]
) -> list[list[Verdict]]:
    """Each script's verdicts on the programs, in their order, from one batch in another order."""
    pairs = sorted(
        product(range(len(scripts)), range(len(programs))), key=lambda pair: seed_of("admission", *order, len(programs), *pair)
    )
    jobs = [AssertJob(source=programs[program], entry=entry, script=scripts[script]) for script, program in pairs]
    found = dict(zip(pairs, sandbox.run_asserts(jobs) if jobs else [], strict=True))
    _told(len(jobs), [verdict.reason for verdict in found.values() if verdict.status == "INFRA"])
    return [[found[script, program] for program in range(len(programs))] for script in range(len(scripts))]


def _told(count: int, lost: Sequence[str]) -> None:
    if lost:
        raise InfraError(f"{len(lost)} of {count} runs could not be judged ({lost[0]!r})", "`loopwright doctor`")


def _refused(script: str, verdicts: Sequence[Verdict]) -> str:
    """Why a script is refused before it meets a mutant; nothing where it is not."""
    reference, nothing, raising = verdicts
    if not _asserts(script):
        return "it asserts nothing"
    if not reference.passed:
        return f"it does not pass on the reference: {_words(reference)}"
    if nothing.passed:
        return "it passes on a function that returns None"
    if raising.passed:
        return "it passes on a function that raises"
    return ""


def _asserts(script: str) -> bool:
    """Whether one of its words is ``assert`` or ``raise``. By tokens alone: a parser can be crashed by what it parses."""
    try:
        tokens = tokenize.generate_tokens(io.StringIO(script).readline)
        return any(token.type == tokenize.NAME and token.string in {"assert", "raise"} for token in tokens)
    except (tokenize.TokenError, SyntaxError, ValueError):
        return False


def _words(verdict: Verdict) -> str:
    return f"{verdict.status} {verdict.reason}".rstrip()


def _admission(script: str, reason: str, first: Sequence[Verdict], later: Sequence[Verdict], least: float) -> Admission:
    again, tried = later[:_AGAIN], later[_AGAIN:]
    repeatable = bool(again) and all(verdict.passed for verdict in again)
    killed = sum(not verdict.passed for verdict in tried)
    if not reason and not repeatable:
        reason = "it does not pass on the reference every time"
    elif not reason and not tried:
        reason = "the reference has no mutant that loads: nothing shows what the script would refuse"
    elif not reason and killed < least * len(tried):
        reason = f"it kills {killed} of {len(tried)} mutants, less than {least:.0%}"
    return Admission(
        script=digest_bytes(script.encode("utf-8", "surrogatepass")),
        admitted=not reason,
        reason=reason,
        passes_reference=first[0].passed,
        repeatable=repeatable,
        killed=killed,
        mutants=len(tried),
        score=wilson([not verdict.passed for verdict in tried]),
        level=first[0].level,
    )
