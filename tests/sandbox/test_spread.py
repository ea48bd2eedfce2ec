"""A sandbox on other hosts says what this host's says, and is never a weaker one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loopwright.errors import InfraError, PlanError
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.sandbox import AssertJob, Job, Limits, jail, spread
from loopwright.sandbox.pool import open_sandbox
from loopwright.sandbox.spread import Order, SpreadSandbox, carry_out

LIMITS = Limits(wall_seconds=1.0, cpu_seconds=1)
SOURCES = (
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return 1 / x\n",
    "def f(x):\n    while True: pass\n",
    "def f(x: return",
    "def f(x):\n    return open('/etc/passwd').read()\n",
)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What this thread keeps open is ended with the test."""
    yield
    spread._HERE._open.close()
    spread._HERE._kept = None


def test_many_orders_come_back_in_the_order_of_the_jobs_with_the_same_outcomes():
    jobs = [Job(source=SOURCES[number % 7 if number % 7 < 2 else 0], entry="f", inputs=(number, 0)) for number in range(1100)]
    jobs[3:6] = [Job(source=source, entry="f", inputs=(3,)) for source in SOURCES[2:]]
    seen = list[tuple[int, int, str]]()
    there = SpreadSandbox("SL2", LIMITS, InProcessExecutor().map)
    outcomes = there.run(jobs, lambda *said: seen.append(said))
    with open_sandbox("SL2", 2, LIMITS, level=there.level) as here:
        assert outcomes == here.run(jobs)
    assert len(seen) > 60
    assert seen[-1] == (1100, 1100, "answers")
    assert there.run([]) == []


def test_test_scripts_are_judged_there_too():
    jobs = [
        AssertJob(source=SOURCES[0], entry="f", script=f"assert f({number}) == {number + 1 + number % 2}\n")
        for number in range(40)
    ]
    verdicts = SpreadSandbox("SL2", LIMITS, InProcessExecutor().map).run_asserts(jobs)
    assert [verdict.status for verdict in verdicts] == ["PASS", "FAIL"] * 20


def test_a_node_of_a_cluster_holds_candidates_at_sl2_at_least():
    with pytest.raises(PlanError, match=r"minimum_level: saw SL1; allowed with verify_labels: SL2 or more"):
        SpreadSandbox("SL1", LIMITS, InProcessExecutor().map)


def test_a_host_that_holds_less_than_the_others_is_no_host(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jail, "find_bubblewrap", lambda: None)
    order = Order(level="SL3", limits=LIMITS, jobs=(Job(source=SOURCES[0], entry="f", inputs=(1,)),))
    with pytest.raises(InfraError, match=r"can't hold candidates as the other hosts do") as refused:
        carry_out(order)
    assert "doctor" in refused.value.next_step
