"""A judge that crashes, hangs or answers outside its protocol is named, and no answer fails by it."""

from __future__ import annotations

import errno
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.domains.accepting import PURPOSES, purposes_of
from loopwright.domains.asked import ask
from loopwright.domains.watched import WatchedDomain
from loopwright.errors import InfraError, PhaseError, PlanError
from loopwright.sandbox.canary import Canaries
from loopwright.types import Check, Task, Verdict

PASS = Verdict(status="PASS", level="data")
CHECK = Check(inputs=(1,), outputs=(1,))


def a_task(*purposes: str) -> Task:
    return Task(id="1", prompt="p", level=1, signature="s", checks=dict.fromkeys(purposes, CHECK), slices={})


PAIRS = [(a_task("visible", "hidden"), "a"), (a_task("visible", "hidden"), "b")]


class Judge:
    """A domain whose judge does what it is told."""

    def __init__(self, does: Any) -> None:
        self.does = does

    def judge(self, pairs: Any, purposes: Any, sandbox: Any, progress: Any = None) -> Any:
        return self.does(pairs, progress)


def put(does: Any, patience: float = 5.0, sandbox: Any = None) -> Any:
    domain: Any = Judge(does)
    return WatchedDomain(domain, Canaries(10, seed=1), "sums", patience).judge(PAIRS, ("hidden",), sandbox)


@pytest.mark.parametrize(("level", "taken"), [("SL3", True), ("SL4", True), ("data", True), ("SL2", False), ("SL0", False)])
def test_what_ran_with_less_isolation_than_was_given_is_no_verdict(level: Any, taken: bool) -> None:
    """In every phase, not only where rows are accepted: a domain that starts a process of its own has left the sandbox."""
    given = SimpleNamespace(level="SL3")
    answers = [PASS, Verdict(status="FAIL", level=level)]
    if taken:
        assert put(lambda *_: answers, sandbox=given) == answers
    else:
        with pytest.raises(PhaseError, match=f"answer 1 at {level}, the sandbox that it was given has SL3"):
            put(lambda *_: answers, sandbox=given)


def boom(error: BaseException) -> Any:
    def raises(*_: Any) -> None:
        raise error

    return raises


def test_one_verdict_an_answer_comes_through() -> None:
    assert put(lambda pairs, _: (PASS,) * len(pairs)) == [PASS, PASS]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([PASS], "1 verdicts on 2 answers"),
        ([PASS] * 3, "3 verdicts on 2 answers"),
        ([], "0 verdicts on 2 answers"),
        (None, "NoneType"),
        ("ok", "str"),
        (iter([PASS, PASS]), "list_iterator"),
        ([PASS, True], "no verdict on answer 1 but 'True'"),
        ([PASS, {"status": "PASS", "level": "data"}], "no verdict on answer 1"),
        ([Verdict(status="pass", level="data"), PASS], "no verdict on answer 0"),  # type: ignore[arg-type]
        ([Verdict(status="PASS", level="SL9"), PASS], "no verdict on answer 0"),  # type: ignore[arg-type]
    ],
)
def test_anything_else_is_the_domains_fault(answer: Any, said: str) -> None:
    with pytest.raises(PhaseError, match=said) as caught:
        put(lambda *_: answer)
    assert "'sums'" in caught.value.message
    assert caught.value.next_step


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("hidden"), ZeroDivisionError(), FileNotFoundError(2, "gone")])
def test_a_crash_names_the_domain_and_the_error(error: Exception) -> None:
    with pytest.raises(PhaseError, match=f"'sums' crashed while it judged 2 answers: {type(error).__name__}") as caught:
        put(boom(error))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [InfraError("no sandbox"), MemoryError(), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_is_not_the_domains_fault_goes_on_its_way(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        put(boom(error))
    assert caught.value is error


def busy(*_: Any) -> None:
    while True:
        pass


def asleep(*_: Any) -> None:
    time.sleep(60)


def stubborn(*_: Any) -> None:
    try:
        asleep()
    except Exception:  # noqa: BLE001 - that is the point
        busy()


@pytest.mark.parametrize("does", [busy, asleep, stubborn])
def test_a_hang_ends_and_names_the_domain(does: Any) -> None:
    with pytest.raises(PhaseError, match=r"'sums' gave no sign of life for 0.1 s"):
        put(does, patience=0.1)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_slow_judge_that_gives_signs_of_life_is_waited_for() -> None:
    def slow(pairs: Any, progress: Any) -> Any:
        for done in range(8):
            time.sleep(0.3)
            progress(done, 8, "answers")
        return [PASS] * len(pairs)

    assert put(slow, patience=2.0) == [PASS, PASS]


def test_outside_the_main_thread_there_is_no_limit_and_no_harm() -> None:
    seen: list[Any] = []
    domain: Any = Judge(lambda pairs, _: [PASS] * len(pairs))
    nobody: Any = None
    thread = threading.Thread(target=lambda: seen.extend(ask(domain, "sums", PAIRS, ("hidden",), nobody, None, 0.1)))
    thread.start()
    thread.join()
    assert seen == [PASS, PASS]


@given(st.lists(st.sets(st.sampled_from([*PURPOSES, "gate"])), min_size=1), st.booleans())
def test_nothing_is_accepted_without_a_hidden_check_unless_the_plan_says_so(kinds: list[set[str]], unsafe: bool) -> None:
    common = [purpose for purpose in PURPOSES if all(purpose in kind for kind in kinds)]
    tasks = [a_task(*kind) for kind in kinds]
    if "hidden" not in common and not unsafe:
        with pytest.raises(PlanError, match="without a hidden check"):
            purposes_of(tasks, unsafe_no_hidden_tests=unsafe)
    elif not common:
        with pytest.raises(PhaseError, match="no check"):
            purposes_of(tasks, unsafe_no_hidden_tests=unsafe)
    else:
        assert list(purposes_of(tasks, unsafe_no_hidden_tests=unsafe)) == common


def test_no_task_asks_for_all() -> None:
    assert purposes_of([], unsafe_no_hidden_tests=False) == PURPOSES
