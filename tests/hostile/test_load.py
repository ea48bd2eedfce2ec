"""Full load: zygotes that are killed while they work cost nobody a verdict (T14, F04), and a crowd hides nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.slow
@pytest.mark.parametrize("level", ["SL2", "SL3"])
def test_the_set_among_ten_thousand_good_jobs(level: str, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.crowd", "--level", level],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert (told["fooled"], told["infra"], told["taken"], told["harm"]) == ([], 0, [], [])
    assert told["right"] == told["right_alone"] == 10_000
