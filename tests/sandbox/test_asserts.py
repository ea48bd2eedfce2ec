"""Test scripts in a process of their own: verdicts, data both ways, and a candidate that never sees what it is tested by."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from loopwright.sandbox import AssertJob, Sandbox
from loopwright.types import Verdict

RIGHT = "def f(x):\n return [v*2 for v in x]\n"
WRONG = "def f(x):\n return x\n"
SCRIPT = "assert candidate([1, 2]) == [2, 4]\nassert f([3]) == [6]\n"


def verdicts(sandbox: Sandbox, *jobs: tuple[str, str]) -> list[Verdict]:
    return sandbox.run_asserts([AssertJob(source=source, entry="f", script=script) for source, script in jobs])


def one(sandbox: Sandbox, source: str, script: str = SCRIPT) -> Verdict:
    return verdicts(sandbox, (source, script))[0]


def test_right_and_wrong(sandbox: Sandbox) -> None:
    seen = verdicts(sandbox, (RIGHT, SCRIPT), (WRONG, SCRIPT), (RIGHT, "assert candidate([1]) == [3]"), (RIGHT, ""))
    assert [verdict.status for verdict in seen] == ["PASS", "FAIL", "FAIL", "PASS"]
    assert {verdict.level for verdict in seen} == {sandbox.level}
    assert seen[1].reason == "AssertionError"


def test_plain_python_data_crosses_both_ways(sandbox: Sandbox) -> None:
    script = """
values = [1, (2, {3}), {"a": (1,), 4: None}, frozenset("ab"), b"x", 1j, float("inf"), [[]], -0.0, "\\ud800"]
for value in values:
    again = candidate(value)
    assert again == value and type(again) is type(value) and repr(again)[:1] == repr(value)[:1]
assert candidate(x={"k": (1, 2)}) == {"k": (1, 2)}
"""
    assert one(sandbox, "def f(x): return x", script).status == "PASS"


def test_what_the_candidate_raises_reaches_the_script_by_name(sandbox: Sandbox) -> None:
    script = """
try: candidate(0)
except ZeroDivisionError: pass
else: assert False
try: candidate([])
except TypeError as error: assert error.args == ()
"""
    assert one(sandbox, "def f(x): return 1 / x", script).status == "PASS"
    assert one(sandbox, "def f(x): raise SystemExit", "try: candidate(1)\nexcept Exception: pass").status == "PASS"


@pytest.mark.parametrize(
    ("source", "script", "statuses"),
    [
        ("def f(x): return object()", SCRIPT, {"FAIL"}),
        ("def f(x) return", SCRIPT, {"LOAD_ERROR"}),
        ("def g(x): return 1", SCRIPT, {"LOAD_ERROR"}),
        ("def f(x):\n while True: pass", SCRIPT, {"TIMEOUT"}),
        (RIGHT, "while True: pass", {"TIMEOUT"}),
        ("def f(x): return 'a' * 10**6", SCRIPT, {"OUTPUT_LIMIT"}),
        ("def f(x): return [0] * 10**10", SCRIPT, {"MEMORY"}),
        (RIGHT, "import os; os._exit(0)", {"BAD_OUTPUT"}),
        (RIGHT, "candidate(object())", {"FAIL"}),
    ],
)
def test_how_it_may_end(sandbox: Sandbox, source: str, script: str, statuses: set[str]) -> None:
    assert one(sandbox, source, script).status in statuses
    assert [verdict.status for verdict in verdicts(sandbox, (RIGHT, SCRIPT), (WRONG, SCRIPT))] == ["PASS", "FAIL"]


STEAL = """
import gc, sys
def text_of_the_test(x):
    seen, waiting = set(), [sys._getframe(), *gc.get_objects(), *sys.modules.values()]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or len(seen) > 300_000: continue
        seen.add(id(thing))
        if type(thing) is str and "assert " + "candidate(" in thing and "def text_of" not in thing: return thing
        if type(thing).__name__ == "frame": waiting += [thing.f_locals, thing.f_globals, *filter(None, [thing.f_back])]
        elif isinstance(thing, (list, tuple, dict, type(sys))): waiting += gc.get_referents(thing)
    return None
def f(x):
    stolen = text_of_the_test(x)
    return x if stolen is None else eval(stolen.split("== ")[1].split("\\n")[0])
"""


def test_the_test_cannot_be_stolen(sandbox: Sandbox) -> None:
    assert one(sandbox, STEAL, "assert candidate([1, 2]) == [2, 4]\n").status == "FAIL"


def test_the_theft_works_where_test_and_candidate_share_a_process() -> None:
    """The same candidate against the common harness, which runs both in one namespace: it passes, so the test above has teeth."""
    script = "candidate = f\nassert candidate([1, 2]) == [2, 4]\nprint('PASS')\n"
    harness = f"names = {{'kept': {script!r}}}\nexec({STEAL!r}, names)\nexec(names['kept'], names)\n"
    found = subprocess.run([sys.executable, "-I", "-c", harness], capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("PASS\n", "")


def test_a_pair_that_dies_is_replaced_and_nothing_is_lost(sandbox: Sandbox) -> None:
    assert one(sandbox, RIGHT).status == "PASS"
    pool: Any = sandbox
    for worker in pool._asserts._pairs[0]:
        os.kill(worker.pid, signal.SIGKILL)
    seen = verdicts(sandbox, *[(RIGHT, SCRIPT), (WRONG, SCRIPT)] * 10)
    assert [verdict.status for verdict in seen] == ["PASS", "FAIL"] * 10


def test_pairs_end_with_the_sandbox(limits: Any) -> None:
    from loopwright.sandbox.pool import open_sandbox

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with open_sandbox("SL2", 1, limits) as opened:
        assert one(opened, RIGHT).status == "PASS"
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before
