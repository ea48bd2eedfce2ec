"""What candidates try, and what comes of it: no verdict but by right outputs, nothing left behind, the next job unharmed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from loopwright.sandbox import Job, Limits, Outcome, Sandbox, judge
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Check, Verdict

DOUBLE = Check(inputs=([1, 2], [3]), outputs=([2, 4], [6]))
GOOD = "def f(x):\n return [v*2 for v in x]\n"
WRONG = "def f(x):\n return x\n"


def job(source: str, *inputs: object) -> Job:
    return Job(source=source, entry="f", inputs=inputs or DOUBLE.inputs)


def body(*lines: str) -> str:
    return "def f(x):\n" + "".join(f" {line}\n" for line in lines)


def outcome(sandbox: Sandbox, source: str, *inputs: object) -> Outcome:
    """The outcome of one job; a good and a wrong one right after it get what they deserve."""
    seen = sandbox.run([job(source, *inputs), job(GOOD), job(WRONG)])
    assert [judge(each, [("visible", DOUBLE)]).status for each in seen[1:]] == ["PASS", "FAIL"]
    return seen[0]


def verdict(sandbox: Sandbox, source: str) -> Verdict:
    return judge(outcome(sandbox, source), [("visible", DOUBLE)])


def test_right_and_wrong(sandbox: Sandbox) -> None:
    assert verdict(sandbox, GOOD) == Verdict(status="PASS", level=sandbox.level)
    assert verdict(sandbox, WRONG) == Verdict(status="FAIL", level=sandbox.level, reason="visible check 0")
    assert verdict(sandbox, body("return [2,4]")).reason == "visible check 1"


def test_plain_data_comes_back_exactly(sandbox: Sandbox) -> None:
    values = (None, True, 1, -(2**70), 1.5, -0.0, "é\u2028\ud800\0", [], {"a": [1, {"b": None}], "": 0})
    seen = outcome(sandbox, WRONG, *values)
    assert seen.outputs == values
    assert [type(value) for value in seen.outputs] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("def f(x) return x", "LOAD_ERROR", "SyntaxError"),
        ("def g(x): return x", "LOAD_ERROR", "KeyError"),
        ("f = 3", "FAIL", "TypeError"),
        ("1/0", "LOAD_ERROR", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", "LOAD_ERROR", "SystemExit"),
        (body("1/0"), "FAIL", "ZeroDivisionError"),
        (body("return f(x)"), "FAIL", "RecursionError"),
        (body("import sys", "sys.exit(0)"), "FAIL", "SystemExit"),
        (body("raise KeyboardInterrupt"), "FAIL", "KeyboardInterrupt"),
        (body("class E(Exception): pass", "raise E(x)"), "FAIL", "Exception"),
        (body("raise type('PASS', (Exception,), {'__module__': 'builtins'})"), "FAIL", "PASS"),
        (body("raise type('no name', (Exception,), {'__module__': 'builtins'})"), "FAIL", ""),
        ("(" * 3000, "LOAD_ERROR", "SyntaxError"),
    ],
)
def test_errors_are_the_candidates_own(sandbox: Sandbox, source: str, status: str, reason: str) -> None:
    seen = verdict(sandbox, source)
    assert (seen.status, seen.reason) == (status, reason)


LOOP = body("while True: pass")
LOOP_THAT_IGNORES_SIGNALS = body(
    "import signal",
    "for n in range(1,65):",
    "  try: signal.signal(n, signal.SIG_IGN)",
    "  except (OSError, ValueError): pass",
    "while True: pass",
)


def test_processor_time_runs_out_before_the_clock_does() -> None:
    started = time.monotonic()
    with open_sandbox("SL1", 2, Limits(wall_seconds=600.0, cpu_seconds=1)) as sandbox:
        seen = sandbox.run([job(LOOP), job(LOOP_THAT_IGNORES_SIGNALS)])
    assert [outcome.status for outcome in seen] == ["TIMEOUT"] * 2
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "source",
    [
        LOOP,
        "while True: pass",
        LOOP_THAT_IGNORES_SIGNALS,
        body("import re", "return re.match('(a+)+$', 'a'*64+'b')"),
        body("import time", "time.sleep(60)"),
    ],
    ids=["loop", "loop at load", "loop that ignores signals", "loop in C", "sleep"],
)  # fmt: skip
def test_time_runs_out(sandbox: Sandbox, source: str) -> None:
    started = time.monotonic()
    seen = outcome(sandbox, source)
    assert (seen.status, seen.detail) == ("TIMEOUT", "time is up")
    assert time.monotonic() - started < 20  # 1 s by the clock, ten where the machine is busy


@pytest.mark.parametrize(
    ("source", "statuses"),
    [
        (body("return [0] * 10**10"), {"MEMORY"}),
        (body("x=[0]", "while True: x=x+x"), {"MEMORY"}),
        ("x='a'\nwhile True: x=x+x", {"MEMORY"}),
        (body("return 'a' * 100_000"), {"OUTPUT_LIMIT"}),
        (body("return [1] * 10_000_000"), {"OUTPUT_LIMIT", "MEMORY", "TIMEOUT"}),
        (body("import os", "while True: os.write(3, b'a'*65536)"), {"OUTPUT_LIMIT", "BAD_OUTPUT", "FAIL"}),
    ],
    ids=["at once", "doubling", "doubling at load", "long text", "long list", "flood"],
)
def test_memory_and_output_run_out(sandbox: Sandbox, source: str, statuses: set[str]) -> None:
    assert outcome(sandbox, source).status in statuses


@pytest.mark.parametrize(
    "source",
    [
        body("import os", "os._exit(0)"),
        "import os; os._exit(0)",
        body("import os", "os.kill(os.getpid(), 9)"),
        body("import os", "os.abort()"),
        body("import sys", "sys.setrecursionlimit(10**9)", "class A: __getattr__ = lambda s, n: getattr(s, n+'a')", "A().a"),
        body("import ctypes", "ctypes.string_at(0)"),
        body("print('PASS')", "import os", "os._exit(0)"),
        body("import os", "for n in range(64):", "  try: os.write(n, b'{\"status\":\"PASS\"}')", "  except OSError: pass", "os._exit(0)"),
        body("import atexit", "atexit.register(print, 'PASS')", "return x"),
        body("class A(list):", "  __eq__ = lambda *_: True", "return A()"),
        body("class A:", "  __eq__ = lambda *_: True", "  __len__ = lambda s: 2", "return A()"),
        body("class I(int):", "  __eq__ = lambda *_: True", "  __hash__ = None", "return [I(2), I(4)]"),
        body("class I(int): pass", "return [I(v*2) for v in x]"),
        body("return tuple(v*2 for v in x)"),
        body("return [v*2.0 for v in x]"),
        body("return float('nan')"),
        body("return 1e999"),
        body("return b'x'"),
        body("return {1: 2}"),
        body("return 10**5000"),
        body("x=[]", "x.append(x)", "return x"),
        body("import sys", "sys.settrace(lambda *_: None)", "return x"),
        body("import sys, types", "frame=sys._getframe()", "while frame:", "  frame.f_locals.update(outputs='[2,4],[6]', status='PASS', texts=['[2,4]','[6]'])", "  frame=frame.f_back", "return x"),
    ],
)  # fmt: skip
def test_no_trick_passes(sandbox: Sandbox, source: str) -> None:
    seen = verdict(sandbox, source)
    assert seen.status not in {"PASS", "INFRA"}


def test_true_is_not_one(sandbox: Sandbox) -> None:
    seen = outcome(sandbox, body("return [v == 1 for v in x]"), [1, 0])
    assert judge(seen, [("visible", Check(inputs=([1, 0],), outputs=([1, 0],)))]).status == "FAIL"


def test_what_is_printed_counts_for_nothing(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    source = body(
        "import os, sys", "print('loud', flush=True)", "os.write(1, b'loud')", "os.write(2, b'loud')", "return [v*2 for v in x]"
    )
    assert verdict(sandbox, source).status == "PASS"
    assert capfd.readouterr() == ("", "")


SEARCH = """
import gc, sys
def f(x):
    wanted = int("271828") + len(x) * 0
    seen, waiting = set(), [*gc.get_objects(), sys._getframe()]
    while waiting and len(seen) < 200_000:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if type(thing) is list and len(thing) == 2 and thing[0] == wanted:
            return thing
        if type(thing).__name__ == "frame":
            waiting += [thing.f_locals, thing.f_globals, *filter(None, [thing.f_back])]
        elif isinstance(thing, (list, tuple, dict)):
            waiting += gc.get_referents(thing)
    return None
"""


def test_expected_values_cannot_be_found(sandbox: Sandbox) -> None:
    expected = Check(inputs=([],), outputs=([271828, 7],))
    other = Job(source=GOOD, entry="f", inputs=([271828, 7],))  # beside it, before and after
    seen = sandbox.run([other, Job(source=SEARCH, entry="f", inputs=expected.inputs), other, other])[1]
    assert seen.outputs == (None,)
    assert judge(seen, [("visible", expected)]).status == "FAIL"


def test_the_search_for_expected_values_has_teeth(sandbox: Sandbox) -> None:
    """The same search finds what is there: inputs are in the candidate's reach."""
    assert outcome(sandbox, SEARCH, [], [[271828, 7]]).outputs == ([271828, 7], [271828, 7])


@pytest.mark.parametrize(
    "poison",
    [
        "import builtins\nbuiltins.len=builtins.sorted=builtins.list=lambda *_: 0\n",
        "import json, sys\njson.dumps=lambda *_, **__: '[2,4]'\nfor m in list(sys.modules.values()):\n  for n in ('ENCODE','plain','called'):\n    if hasattr(m, n): setattr(m, n, lambda *_: '[2,4]')\n",
        "import gc, sys\nfor o in gc.get_objects():\n  if type(o) is dict:\n    o.pop('RLIMIT', None); o['f'] = None\n",
        "import os\nos.chdir('/tmp'); os.environ['SECRET']='1'; os.umask(0)\n",
    ],
    ids=["builtins", "codec", "every dict", "process state"],
)  # fmt: skip
def test_the_next_job_is_not_poisoned(sandbox: Sandbox, poison: str) -> None:
    jobs = [job(poison + GOOD), job(GOOD), job(WRONG)] * 4
    statuses = [judge(seen, [("visible", DOUBLE)]).status for seen in sandbox.run(jobs)]
    assert statuses[1::3] == ["PASS"] * 4
    assert statuses[2::3] == ["FAIL"] * 4


def ours() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize(
    "source",
    [
        body("import os", "os.fork()", "return [v*2 for v in x]"),
        body("import os", "while True: os.fork()"),
        body("import os, time", "if os.fork() == 0:", "  os.setsid()", "  if os.fork() == 0: time.sleep(60)", "return x"),
        body("import _thread, time", "_thread.start_new_thread(time.sleep, (60,))", "return x"),
    ],
    ids=["fork", "fork bomb", "daemon", "thread"],
)
def test_no_process_is_left(sandbox: Sandbox, source: str) -> None:
    before = ours()
    assert outcome(sandbox, source).status == "FAIL"  # not allowed at all
    assert ours() == before


def test_nothing_can_be_written_and_nothing_is_inherited(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPWRIGHT_CANARY", "secret")
    tmp_path.chmod(0o777)
    target = tmp_path / "canary"
    write = body(f"with open({str(target)!r}, 'w') as file:", "  file.write('was here')", "return x")
    assert outcome(sandbox, write).status in {"FAIL", "SIGNAL"}
    assert not target.exists() or target.read_text() == ""
    facts = body(
        "import os",
        "with open('/proc/self/environ') as file: text = file.read()",
        "return [sorted(os.environ), 'CANARY' in text, os.getcwd(), os.getuid()]",
    )
    seen = outcome(sandbox, facts, 0)
    if seen.status == "PASS":  # where a process may read its own environment
        names, leaked, folder, user = seen.outputs[0]
        assert set(names) <= {"PYTHONHASHSEED", "LC_CTYPE"}
        assert (leaked, folder) == (False, "/")
        assert user != 0 or os.getuid() != 0
    else:
        assert seen.detail == "PermissionError"


def test_candidates_are_repeatable(sandbox: Sandbox) -> None:
    source = body("import random", "return [random.random(), hash('a'), list({'a','b','c','d'}), sorted(__builtins__)[:3]]")
    seen = {repr(each.outputs) for each in sandbox.run([job(source, 0)] * 12)}
    assert len(seen) == 1


def test_what_can_be_imported_does_not_depend_on_the_machine(sandbox: Sandbox) -> None:
    assert outcome(sandbox, "import heapq, itertools, math, collections, string\n" + GOOD).status == "PASS"
    assert outcome(sandbox, "import loopwright\n" + GOOD).detail == "ModuleNotFoundError"
    assert outcome(sandbox, "import decimal\n" + GOOD).detail == "ModuleNotFoundError"
    assert outcome(sandbox, "import sys\ndef f(x):\n return sys.path", 0).outputs == ([],)
