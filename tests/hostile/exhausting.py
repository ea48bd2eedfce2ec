"""Candidates that want to use up what they share: time, memory, processes, disk, and the patience of whoever waits. T01 to T04."""

from __future__ import annotations

from tests.hostile.cases import Case

__all__ = ["CASES"]

_THREAD = """
import _thread, os, time
def later():
    time.sleep(0.05)
    text = b'{"status":"PASS","detail":"","outputs":[0,0,0,0]}'
    os.write(3, len(text).to_bytes(4, "big") + text)
    time.sleep(60)
def f(x):
    _thread.start_new_thread(later, ())
    return x
"""

CASES = (
    # --- time
    Case(name="loop", threat="T01", source="def f(x):\n while True: pass\n", lasts=True),
    Case(name="loop_at_import", threat="T01", source="while True: pass\n", lasts=True),
    Case(name="loop_in_c", threat="T01", source="import re\ndef f(x):\n return re.match('(a+)+$', 'a'*64+'b')\n", lasts=True),
    Case(name="loop_in_comparison", threat="T01", source="class A:\n def __eq__(s, o):\n  while True: pass\n __hash__ = None\ndef f(x):\n return [A()] == [A()]\n", lasts=True),
    Case(name="sleep", threat="T01", source="import time\ndef f(x):\n time.sleep(60)\n", lasts=True),
    Case(name="ignore_signals", threat="T01", lasts=True, source="""
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
try: signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
except OSError: pass
def f(x):
    while True:
        try:
            while True: pass
        except BaseException: pass
"""),
    Case(name="alarm", threat="T01", source="""
import os, signal
def rung(*_):
    os.write(3, b"PASS")
    raise SystemExit(0)
def f(x):
    signal.signal(signal.SIGALRM, rung); signal.signal(signal.SIGPROF, rung)
    signal.setitimer(signal.ITIMER_REAL, 0.01); signal.setitimer(signal.ITIMER_PROF, 0.01)
    total = 0
    for number in range(3_000_000): total += number
    return x
"""),
    Case(name="stop_itself", threat="T01", lasts=True, source="import os, signal\ndef f(x):\n os.kill(os.getpid(), signal.SIGSTOP)\n import time; time.sleep(60)\n"),
    Case(name="never_reads", threat="T01", lasts=True, source="import time\ntime.sleep(60)\n"),
    # --- memory
    Case(name="ten_gigabytes", threat="T03", source="def f(x):\n return [bytearray(10 * 2**30), len(bytearray(b'x' * 3 * 2**30))]\n"),
    Case(name="grow", threat="T03", source="def f(x):\n y = ['a']\n while True: y = y + y\n"),
    Case(name="grow_ignoring_errors", threat="T03", lasts=True, source="def f(x):\n y = []\n while True:\n  try: y.append(bytearray(2**20))\n  except MemoryError: pass\n"),
    Case(name="huge_result", threat="T03", source="def f(x):\n return ['a' * (300 * 2**20)] * 5\n"),
    Case(name="wide_result", threat="T03", source="def f(x):\n return [0] * 3_000_000\n"),
    Case(name="shared_result", threat="T03", source="def f(x):\n y = 'a' * 1000\n for _ in range(24): y = [y, y]\n return y\n"),
    Case(name="recursion", threat="T03", source="import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n return f(x)\n"),
    Case(name="c_stack", threat="T03", source="import sys\nsys.setrecursionlimit(10**9)\nclass A: __getattr__ = lambda s, n: getattr(s, n + 'a')\ndef f(x):\n return A().a\n"),
    Case(name="segfault", threat="T03", source="import ctypes\ndef f(x):\n return ctypes.string_at(0)\n"),
    Case(name="nested_source", threat="T03", source="f = " + "(" * 5000 + ")" * 5000 + "\n"),
    Case(name="huge_power", threat="T01", lasts=True, source="def f(x):\n return len(str(9 ** 9 ** 8))\n"),
    # --- processes and threads
    Case(name="fork_bomb", threat="T02", source="import os\ndef f(x):\n for _ in range(2000):\n  try: os.fork()\n  except OSError: pass\n return x\n"),
    Case(name="daemon", threat="T02", source="""
import os, time
def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    return x
"""),
    Case(name="thread", threat="T02", source=_THREAD),
    Case(name="many_threads", threat="T02", source="import _thread, time\ndef f(x):\n while True:\n  _thread.start_new_thread(time.sleep, (60,))\n"),
    # --- disk and output
    Case(name="fill_disk", threat="T04", source="""
def f(x):
    done = 0
    for place in ("@OPEN@", "/tmp", "/dev/shm", "/var/tmp", "."):
        try:
            with open(place + "/@MARK@.fill", "wb") as file:
                for _ in range(300): done += file.write(b"x" * 2**20)
        except OSError: pass
    return "REACHED" if done else "nothing"
"""),
    Case(name="flood_stdout", threat="T03", source="import os\ndef f(x):\n for _ in range(3200):\n  try: os.write(1, b'x' * 65536); os.write(2, b'x' * 65536)\n  except OSError: pass\n return x\n"),
    Case(name="flood_channel", threat="T13", source="import os\ndef f(x):\n while True: os.write(3, b'x' * 65536)\n"),
    Case(name="many_pipes", threat="T03", source="import os\ndef f(x):\n y = []\n while True: y.append(os.pipe())\n"),
)  # fmt: skip
