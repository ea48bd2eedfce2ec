"""Zygotes that are killed while they work: nothing is lost, nothing counts as failed, and the pool is whole again (T14, F04)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from loopwright.sandbox import Job, Sandbox, judge
from tests.hostile.cases import CHECK, GOOD, WRONG


@contextmanager
def killing(sandbox: Sandbox, times: int) -> Iterator[list[int]]:
    """Kill one of the zygotes now and then, while the block runs."""
    pool: Any = sandbox
    killed: list[int] = []
    over = threading.Event()

    def work() -> None:
        while len(killed) < times and not over.wait(0.25):
            for pid in pool.zygotes[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_killed_zygotes_cost_nobody_a_verdict(jail: Sandbox) -> None:
    sources = [GOOD, WRONG] * 400
    with killing(jail, 3) as killed:
        while not killed:
            outcomes = jail.run([Job(source=source, entry="f", inputs=CHECK.inputs) for source in sources])
    assert killed
    statuses = [judge(outcome, [("load", CHECK)]).status for outcome in outcomes]
    assert statuses == ["PASS", "FAIL"] * 400
    began = time.monotonic()
    assert jail.run([Job(source=GOOD, entry="f", inputs=CHECK.inputs)])[0].status == "PASS"
    assert time.monotonic() - began < 30
