"""Canaries: they change nothing for real jobs, and one that comes back wrong freezes admission and names the suspects."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loopwright.sandbox as seam
from loopwright.domains.programs import Programs
from loopwright.domains.watched import WatchedDomain
from loopwright.errors import CanaryError, InfraError
from loopwright.plugins import load_domain
from loopwright.sandbox import AssertJob, Job, Outcome, Sandbox, judge
from loopwright.sandbox import canary as canaries
from loopwright.sandbox.canary import KINDS, Canaries, WatchedSandbox, flown, known_job
from loopwright.types import Task, Verdict

SOURCES = (
    "def f(x):\n return x + {n}\n",
    "def f(x):\n return [x, {n}]\n",
    "def f(x): 1/0 # {n}\n",
    "def f(x # {n}\n",
    "import os\nos._exit({n} % 8)\n",
)


def jobs(count: int) -> list[Job]:
    return [Job(source=SOURCES[n % len(SOURCES)].format(n=n), entry="f", inputs=(n, n + 1)) for n in range(count)]


class Broken:
    """A sandbox with a fault in what it hands back."""

    level = "SL1"

    def __init__(self, inner: Sandbox, spoil: Any) -> None:
        self.inner, self.spoil, self.seen = inner, spoil, []

    def run(self, batch: Sequence[Job], progress: Any = None) -> list[Outcome]:
        self.seen.append(len(batch))
        return self.spoil(self.inner.run(batch, progress))

    def close(self) -> None:
        """Nothing of its own to end."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_canary_gets_the_verdict_that_is_known(sandbox: Sandbox, kind: Any) -> None:
    """The whole stock: every way to be wrong, every trick; in the real sandbox."""
    rng = Random(1)
    stock = [known_job(kind, sandbox.level, rng) for _ in range(80)]
    assert len({each.job.source for each in stock}) > (60 if kind != "hostile" else len(canaries._TRICKS) - 1)
    outcomes = sandbox.run([each.job for each in stock])
    wrong = [
        (each.job.source, verdict)
        for each, outcome in zip(stock, outcomes, strict=True)
        if (verdict := judge(outcome, [("canary", each.check)])).status not in each.verdicts
    ]
    assert wrong == []
    if kind == "hostile":
        assert all(("PASS" in each.verdicts) == (each.job.source is canaries._REACH) for each in stock)


@pytest.mark.parametrize("kind", KINDS)
def test_every_canary_gets_that_verdict_by_a_script_as_well(sandbox: Sandbox, kind: Any) -> None:
    rng = Random(2)
    stock = [known_job(kind, sandbox.level, rng) for _ in range(40)]
    verdicts = sandbox.run_asserts([canaries._as_script(each) for each in stock])
    wrong = [
        (each.job.source, verdict) for each, verdict in zip(stock, verdicts, strict=True) if verdict.status not in each.verdicts
    ]
    assert wrong == []


def test_scripts_are_watched_and_get_what_they_would_get_alone(sandbox: Sandbox) -> None:
    batch = [AssertJob(source=f"def f(x): return x + {n % 2}", entry="f", script="assert candidate(1) == 1") for n in range(7)]
    watched = WatchedSandbox(sandbox, Canaries(3, 0))
    assert [verdict.status for verdict in watched.run_asserts(batch)] == ["PASS", "FAIL"] * 3 + ["PASS"]
    assert flown(watched)["canaries"]["wrong"] == 3


def test_a_canary_reaches_for_the_machine_where_that_must_fail(sandbox: Sandbox) -> None:
    """At SL1 the same job does reach it: the canary has teeth."""
    drawn = [known_job("hostile", "SL2", Random(seed)) for seed in range(60)]
    reaching = next(each for each in drawn if each.job.source is canaries._REACH)
    verdict = judge(sandbox.run([reaching.job])[0], [("canary", reaching.check)])
    assert (verdict.status in reaching.verdicts) == (sandbox.level != "SL1")


def test_real_jobs_get_what_they_would_get_alone(sandbox: Sandbox) -> None:
    watched = WatchedSandbox(sandbox, Canaries(7, seed=3))
    steps: list[tuple[int, int, str]] = []
    batch = jobs(40)
    assert watched.run(batch, lambda *step: steps.append(step)) == sandbox.run(batch)
    assert steps[-1] == (40, 40, "answers")
    assert [step[0] for step in steps] == sorted(step[0] for step in steps)
    assert flown(watched) == {"canaries": {"good": 6, "wrong": 6, "hostile": 6, "every": 7}}
    assert flown(watched) == {}
    assert watched.run([]) == []
    assert flown(watched) == {}


@given(count=st.integers(0, 60), every=st.integers(1, 25), seed=st.integers(0, 2**32))
def test_every_so_many_jobs_have_one_of_each_kind_and_a_canary_is_last(count: int, every: int, seed: int) -> None:
    watch = Canaries(every, seed)
    order = watch.places(count, KINDS, watch.rng())
    assert order.count(None) == count
    chunks = -(-count // every)
    assert {kind: order.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, chunks)
    assert not order or order[-1] is not None
    reals = [place for place, kind in enumerate(order) if kind is None]
    for start in range(0, count, every):  # a chunk's canaries stand among its own jobs
        until = len(order) if start + every >= count else reals[start + every]
        since = 0 if start == 0 else reals[start - 1] + 1
        assert {kind for kind in order[since:until] if kind} >= set(KINDS) - {None} or every < 2


def test_the_places_depend_on_the_seed_and_the_batch() -> None:
    def drawn(seed: int, batches: int) -> list[Any]:
        watch = Canaries(50, seed)
        return [watch.places(200, KINDS, watch.rng()) for _ in range(batches)]

    assert drawn(1, 2) == drawn(1, 2)
    assert drawn(1, 2)[0] != drawn(1, 2)[1]
    assert drawn(1, 1) != drawn(2, 1)


# ------------------------------------------------------------------------------------- faults of the sandbox


def stale(outcomes: list[Outcome]) -> list[Outcome]:
    """Everybody gets what the first good one got."""
    good = next(each for each in outcomes if each.status == "PASS")
    return [good] * len(outcomes)


def shifted(outcomes: list[Outcome]) -> list[Outcome]:
    return [*outcomes[1:], outcomes[0]]


def refusing(outcomes: list[Outcome]) -> list[Outcome]:
    return [Outcome(status="FAIL", outputs=(), level="SL1")] * len(outcomes)


@pytest.mark.parametrize("spoil", [stale, shifted, refusing])
def test_a_pool_that_answers_with_others_data_freezes(sandbox: Sandbox, spoil: Any) -> None:
    broken = Broken(sandbox, spoil)
    watched = WatchedSandbox(broken, Canaries(10, seed=1))
    with pytest.raises(CanaryError, match="admission is frozen") as caught:
        watched.run(jobs(25))
    assert caught.value.exit_code == 5
    assert caught.value.next_step
    broken.spoil = list  # the fault is gone, the trust too
    with pytest.raises(CanaryError, match="admission is frozen"):
        watched.run(jobs(2))
    assert len(broken.seen) == 1


def test_the_suspects_are_all_verdicts_since_the_last_right_canary(sandbox: Sandbox) -> None:
    """A fault from the middle of a batch on: what a right canary came after is not suspect, all the rest is."""
    watched = WatchedSandbox(Broken(sandbox, lambda outcomes: outcomes[:30] + refusing(outcomes[30:])), Canaries(10, seed=5))
    batch = jobs(60)
    order = Canaries(10, seed=5)
    placed = order.places(60, KINDS, order.rng())
    first = next(place for place, kind in enumerate(placed) if place >= 30 and kind == "good")
    right = max(place for place in range(first) if placed[place])
    with pytest.raises(CanaryError) as caught:
        watched.run(batch)
    assert len(caught.value.suspects) == placed[right:].count(None)
    assert len(caught.value.suspects) < 60
    assert f"{len(caught.value.suspects)} verdicts since the last right canary are suspect" in caught.value.message
    assert pickle.loads(pickle.dumps(caught.value)).suspects == caught.value.suspects


@pytest.mark.parametrize(
    "same",
    [
        lambda seen, expected: True,
        lambda seen, expected: seen == expected or type(seen) is dict,
        lambda seen, expected: str(seen)[:12] == str(expected)[:12],
        lambda seen, expected: False,
    ],
    ids=["always", "any object", "the beginning", "never"],
)
def test_a_comparison_that_is_broken_freezes_within_one_batch(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, same: Any
) -> None:
    monkeypatch.setattr(seam, "same", same)
    with pytest.raises(CanaryError):
        WatchedSandbox(sandbox, Canaries(10, seed=1)).run(jobs(80))


def test_types_that_compare_equal_are_noticed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """``True == 1 == 1.0``: some canaries are wrong by nothing else."""
    monkeypatch.setattr(seam, "same", lambda seen, expected: seen == expected)
    with pytest.raises(CanaryError, match="wrong canary PASS"):
        WatchedSandbox(sandbox, Canaries(2, seed=1)).run(jobs(60))


def test_a_machine_that_fails_is_no_wrong_verdict(sandbox: Sandbox) -> None:
    lost = Broken(
        sandbox, lambda outcomes: [Outcome(status="INFRA", outputs=(), level="SL1", detail="zygote lost")] * len(outcomes)
    )
    watched = WatchedSandbox(lost, Canaries(10, seed=1))
    with pytest.raises(InfraError, match="could not be judged"):
        watched.run(jobs(3))
    lost.spoil = list
    assert len(watched.run(jobs(3))) == 3  # nothing is frozen


# ------------------------------------------------------------------------------------- faults of the domain


@pytest.fixture(scope="module", params=["programs", "reasoning-gym"])
def domain(request: pytest.FixtureRequest) -> Any:
    return load_domain(request.param, {})


@cache
def human(name: str) -> list[tuple[Any, str]]:
    return list(load_domain(name, {}).human(1, frozenset())[:12])


def pairs_of(domain: Any) -> list[tuple[Any, str]]:
    return human("programs" if isinstance(domain, Programs) else "reasoning-gym")


def test_a_watched_domain_judges_as_it_would_alone(domain: Any, sandbox: Sandbox) -> None:
    pairs = [*pairs_of(domain), *((task, "x = 3") for task, _ in pairs_of(domain)[:4])]
    watch = Canaries(5, seed=2)
    seen = WatchedDomain(domain, watch).judge(pairs, ("visible", "hidden"), WatchedSandbox(sandbox, watch))
    assert seen == domain.judge(pairs, ("visible", "hidden"), sandbox)
    assert {verdict.status for verdict in seen} == {"PASS", "FAIL"}
    counts = watch.take()
    assert counts["good"] >= 4
    assert counts["wrong"] >= 4


@pytest.mark.parametrize("right", [True, False])
def test_the_known_answers_are_what_they_say(domain: Any, sandbox: Sandbox, right: bool) -> None:
    known = [(task, answer) for task, answer, is_right in domain.known() if is_right is right]
    assert len(known) >= 8
    verdicts = domain.judge(known, ("hidden",), sandbox)
    assert {verdict.status for verdict in verdicts} == {"PASS" if right else "FAIL"}


@pytest.mark.parametrize("status", ["PASS", "FAIL"])
def test_a_domain_that_judges_by_itself_is_found_out(domain: Any, sandbox: Sandbox, status: Any) -> None:
    """The sandbox and `judge` are sound; the fault lies between them and the verdict."""

    class Careless:
        def __getattr__(self, name: str) -> Any:
            return getattr(domain, name)

        def judge(self, pairs: Any, purposes: Any, sandbox: Any, progress: Any = None) -> list[Verdict]:
            return [Verdict(status=status, level=sandbox.level) for _ in domain.judge(pairs, purposes, sandbox, progress)]

    watched = WatchedDomain(Careless(), Canaries(1000, seed=2))
    with pytest.raises(CanaryError) as caught:
        watched.judge(pairs_of(domain), ("visible", "hidden"), sandbox)
    task = pairs_of(domain)[-1][0]
    assert caught.value.suspects == () or caught.value.suspects[-1].startswith(f"{task.id}:")


def a_task() -> Task:
    return Task(id="1", prompt="p", level=1, signature="s", checks={}, slices={})


def test_a_domain_without_known_answers_is_watched_by_its_sandbox_alone(sandbox: Sandbox) -> None:
    class Plain:
        def judge(self, pairs: Any, purposes: Any, sandbox: Any, progress: Any = None) -> list[Verdict]:
            sandbox.run(jobs(1))
            return [Verdict(status="PASS", level=sandbox.level) for _ in pairs]

    watch = Canaries(10, seed=1)
    inner: Any = Plain()
    assert len(WatchedDomain(inner, watch).judge([(a_task(), "b")], ("hidden",), WatchedSandbox(sandbox, watch))) == 1
    assert watch.take() == {"good": 1, "wrong": 1, "hostile": 1, "every": 10}
