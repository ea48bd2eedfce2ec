"""Every system call number once, from a candidate, with arguments that could mean something (T07); the pool lives on."""

from __future__ import annotations

from loopwright.sandbox import Job, Sandbox, judge
from tests.hostile.canaries import surroundings
from tests.hostile.cases import CHECK, GOOD, WRONG

CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
def f(x):
    for arguments in ((0, 0, 0, 0, 0, 0), (3, ctypes.addressof(buffer), 16, 0, 0, 0), (ctypes.addressof(buffer), 3, 0, 0, 0, 0)):
        libc.syscall(ctypes.c_long({number}), *map(ctypes.c_long, arguments))
    return "called"
"""
WAITS = {34, 35, 130, 230}
"""pause, nanosleep, rt_sigsuspend, clock_nanosleep."""


def test_no_system_call_reaches_beyond_its_candidate(jail: Sandbox) -> None:
    if jail.level == "SL1":
        return  # nothing filters system calls there
    numbers = [number for number in range(470) if number not in WAITS]
    jobs = [Job(source=CALL.format(number=number), entry="f", inputs=CHECK.inputs) for number in numbers]
    with surroundings() as around:
        good = Job(source=GOOD, entry="f", inputs=CHECK.inputs)
        jail.run([good])
        around.calm()
        outcomes = jail.run([*jobs, good, Job(source=WRONG, entry="f", inputs=CHECK.inputs)])
        assert around.harm() == []
    statuses = [judge(outcome, [("call", CHECK)]).status for outcome in outcomes]
    assert statuses[-2:] == ["PASS", "FAIL"]
    assert {number: status for number, status in zip(numbers, statuses, strict=False) if status in {"PASS", "INFRA"}} == {}
