"""The supervisor: order, retries, zygotes that die or hang, levels that are not reached, and an end without remains."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from loopwright.errors import InfraError
from loopwright.sandbox import Job, Limits, Sandbox, jail, worker
from loopwright.sandbox.pool import open_sandbox as open_strongest
from loopwright.sandbox.wire import SOURCE_BYTES


def open_sandbox(minimum: Any, workers: int = 1, limits: Limits = Limits(), level: Any = "SL1") -> Any:
    """At the lowest level, where a failure has the most room; what is above adds to it."""
    return open_strongest(minimum, workers, limits, level=level)


LEVELS = ("SL1", "SL2", "SL3")
ECHO = "def f(x):\n return x\n"
SLEEP = "import time\ndef f(x):\n time.sleep(x)\n return x\n"


def echoes(count: int) -> list[Job]:
    return [Job(source=ECHO, entry="f", inputs=(number, [number])) for number in range(count)]


def zygotes(sandbox: Sandbox) -> tuple[int, ...]:
    pool: Any = sandbox
    return pool.zygotes


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pids: set[int], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(_lives(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("workers", [1, 3])
def test_outcomes_keep_the_order_of_the_jobs(workers: int) -> None:
    steps: list[tuple[int, int, str]] = []
    with open_sandbox("SL1", workers) as sandbox:
        assert sandbox.level == "SL1"
        seen = sandbox.run(echoes(40), lambda *step: steps.append(step))
        assert [outcome.outputs for outcome in seen] == [(number, [number]) for number in range(40)]
        assert steps == [(done, 40, "answers") for done in range(1, 41)]
        assert sandbox.run([]) == []


def test_worker_count_changes_nothing(limits: Limits) -> None:
    sources = [ECHO, "def f(x): 1/0", "def f(x", "def f(x): return object()", "import os; os._exit(3)", ECHO]
    jobs = [Job(source=source, entry="f", inputs=(1, 2)) for source in sources] * 4
    seen = []
    for workers in (1, 2):
        with open_sandbox("SL1", workers, limits) as sandbox:
            seen.append(sandbox.run(jobs))
    assert seen[0] == seen[1]


def test_large_jobs_do_not_block_each_other() -> None:
    """Sources and inputs beyond any socket's buffer, for several jobs at once."""
    text = "a" * 300_000
    jobs = [Job(source=f"{ECHO}{'#' * 900_000}", entry="f", inputs=(number, text)) for number in range(6)]
    with open_sandbox("SL1", 1, Limits(output_bytes=2**20)) as sandbox:
        seen = sandbox.run(jobs)
    assert [outcome.outputs for outcome in seen] == [(number, text) for number in range(6)]


def test_a_source_without_end_is_not_loaded(sandbox: Sandbox) -> None:
    seen = sandbox.run([Job(source="#" * (SOURCE_BYTES + 1), entry="f", inputs=(1,)), *echoes(1)])
    assert [(outcome.status, outcome.detail) for outcome in seen] == [("LOAD_ERROR", "too long"), ("PASS", "")]


# ------------------------------------------------------------------------------------------- zygotes that fail


@pytest.mark.parametrize("level", LEVELS)
def test_killing_zygotes_loses_nothing(level: str) -> None:
    with open_sandbox("SL1", 2, level=level) as sandbox:
        first = zygotes(sandbox)

        def kill(done: int, total: int, unit: str) -> None:
            if done in {5, 6, 40, 80}:
                os.kill(zygotes(sandbox)[done % 2], signal.SIGKILL)

        seen = sandbox.run(echoes(120), kill)
        assert [outcome.outputs for outcome in seen] == [(number, [number]) for number in range(120)]
        assert set(zygotes(sandbox)).isdisjoint(first)


def test_a_zygote_may_die_between_two_runs() -> None:
    with open_sandbox("SL1", 2) as sandbox:
        sandbox.run(echoes(4))
        os.kill(zygotes(sandbox)[0], signal.SIGKILL)
        time.sleep(0.1)
        assert {outcome.status for outcome in sandbox.run(echoes(8))} == {"PASS"}


def test_a_job_under_which_three_zygotes_die_is_infra_and_no_verdict() -> None:
    """Twice it is tried again; then it is INFRA, and its neighbours have their outcomes."""
    with open_sandbox("SL1", 1, Limits(wall_seconds=5.0)) as sandbox, killing(sandbox, 3) as killed:
        seen = sandbox.run([*echoes(2), Job(source=SLEEP, entry="f", inputs=(2.0,)), *echoes(3)])
        assert len(killed) == 3
        assert [outcome.status for outcome in seen] == ["PASS", "PASS", "INFRA", "PASS", "PASS", "PASS"]
        assert seen[2].outputs == ()


def test_a_job_under_which_two_zygotes_die_gets_its_outcome() -> None:
    with open_sandbox("SL1", 1, Limits(wall_seconds=5.0)) as sandbox, killing(sandbox, 2) as killed:
        seen = sandbox.run([Job(source=SLEEP, entry="f", inputs=(1.0,)), *echoes(2)])
        assert len(killed) == 2
        assert [outcome.outputs for outcome in seen] == [(1.0,), (0, [0]), (1, [1])]


@contextlib.contextmanager
def killing(sandbox: Sandbox, times: int) -> Iterator[list[int]]:
    """Kill the zygote whenever one child of it has lived for 0.4 s: longer than a probe, shorter than the sleeper."""
    killed: list[int] = []
    done = threading.Event()

    def watch() -> None:
        since: dict[int, float] = {}
        while len(killed) < times and not done.is_set():
            time.sleep(0.02)
            with contextlib.suppress(IndexError, psutil.NoSuchProcess):
                zygote = psutil.Process(zygotes(sandbox)[0])
                for child in zygote.children():
                    if time.monotonic() - since.setdefault(child.pid, time.monotonic()) > 0.4:
                        zygote.kill()
                        killed.append(zygote.pid)
                        assert gone({child.pid}, 10.0)  # a candidate dies with its zygote

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watch)
        try:
            yield killed
        finally:
            done.set()
        watching.result()


def test_a_zygote_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(worker, "_PATIENCE", 1.0)
    with open_sandbox("SL1", 2, Limits(wall_seconds=1.0)) as sandbox:
        os.kill(zygotes(sandbox)[0], signal.SIGSTOP)
        assert {outcome.status for outcome in sandbox.run(echoes(20))} == {"PASS"}


# ------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("applied", "minimum", "lacking"),
    [("SL1", "SL2", "seccomp.*Landlock"), ("SL2", "SL3", "namespaces"), ("SL3", "SL4", "virtual machine")],
)
def test_a_level_that_is_not_reached_refuses_and_says_what_is_missing(applied: Any, minimum: Any, lacking: str) -> None:
    before = set(psutil.Process().children())
    with (
        pytest.raises(InfraError, match=f"candidates get {applied}, {minimum} is asked for; missing: .*{lacking}") as caught,
        open_sandbox(minimum, level=applied),
    ):
        pass
    assert "minimum_level" in caught.value.next_step
    assert set(psutil.Process().children()) == before


@pytest.mark.parametrize("minimum", ["SL1", "SL2", "SL3"])
def test_the_most_that_the_machine_gives_is_applied(minimum: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap it is SL2, said so, and too little for who asks for SL3."""
    with open_strongest(minimum) as sandbox:
        assert sandbox.level == "SL3"
        assert {outcome.level for outcome in sandbox.run(echoes(2))} == {"SL3"}
    monkeypatch.setattr(jail, "find_bubblewrap", lambda: None)
    if minimum == "SL3":
        with pytest.raises(InfraError, match="bubblewrap is not installed"), open_strongest(minimum):
            pass
    else:
        with open_strongest(minimum) as sandbox:
            assert {outcome.level for outcome in sandbox.run(echoes(2))} == {"SL2"}


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("        restrict(landlock)", "Landlock"),
        ("        set_process(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(seccomp))", "seccomp"),
    ],
)
def test_a_filter_that_is_not_applied_is_noticed(
    line: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaker_zygote(line.strip(), tmp_path, monkeypatch)
    for applied in ("SL2", "SL3"):
        with pytest.raises(InfraError, match=f"candidates get SL1, SL2 .*{lacking}"), open_sandbox("SL2", level=applied):
            pass
    with open_strongest("SL1") as sandbox:
        assert sandbox.level == "SL1"


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("os.setsid()", "a session of its own"),
        ("os.closerange(FIRST_CLOSED, LAST_CLOSED)", "no file descriptor but its own"),
        ('resource.RLIMIT_AS: (limits["memory_bytes"], limits["memory_bytes"]),', "resource limits"),
        ("resource.RLIMIT_FSIZE: (0, 0),", "resource limits"),
        ("child.set_process(PR_SET_NO_NEW_PRIVS, 1)", "no_new_privs"),
    ],
)
def test_what_is_not_applied_is_noticed(line: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zygote that forgets one thing: SL1 is refused by name of what's missing, and what runs is called SL0."""
    weaker_zygote(line, tmp_path, monkeypatch)
    with pytest.raises(InfraError, match=f"candidates get SL0, SL1 is asked for; missing: {lacking}"), open_sandbox("SL1"):
        pass
    with open_sandbox("SL0") as sandbox:
        assert sandbox.level == "SL0"
        assert {outcome.level for outcome in sandbox.run(echoes(2))} == {"SL0"}


def weaker_zygote(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zygotes from a copy of their scripts in which one line is missing."""
    found = 0
    for script in (path for name in ("zygote", "child", "codec") if (path := worker._SCRIPT.with_name(f"{name}.py")).exists()):
        text = script.read_text()
        found += text.count(line)
        (folder / script.name).write_text(text.replace(line, "" if line.endswith(",") else "None"))
    assert found
    monkeypatch.setattr(worker, "_SCRIPT", folder / "zygote.py")


def test_a_later_zygote_is_held_to_the_level_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sandbox("SL0", 1) as sandbox:
        assert sandbox.level == "SL1"
        weaker_zygote("os.setsid()", tmp_path, monkeypatch)
        os.kill(zygotes(sandbox)[0], signal.SIGKILL)
        with pytest.raises(InfraError, match="candidates get SL0, SL1 is asked for"):
            sandbox.run(echoes(3))


def test_a_secret_in_the_environment_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_ENVIRONMENT", {"PYTHONHASHSEED": "0", "TOKEN": "x"})
    with pytest.raises(InfraError, match="missing: an empty environment"), open_sandbox("SL1"):
        pass


def test_a_sandbox_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "zygote.py"
    broken.write_text("raise OSError('no such thing')")
    monkeypatch.setattr(worker, "_SCRIPT", broken)
    with pytest.raises(InfraError, match="does not start: OSError: no such thing"), open_sandbox("SL1", 2):
        pass


def test_limits_that_leave_no_room_are_named() -> None:
    with (
        pytest.raises(InfraError, match="probe of itself ended with TIMEOUT time is up"),
        open_sandbox("SL1", 1, Limits(wall_seconds=0.0)),
    ):
        pass


def test_a_machine_that_allows_less_is_no_obstacle() -> None:
    code = """
import resource
from loopwright.sandbox import Job, Limits
from loopwright.sandbox.pool import open_sandbox
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
with open_sandbox("SL1", 1, Limits(memory_bytes=2**40, cpu_seconds=1000)) as sandbox:
    print(sandbox.run([Job(source="def f(x): return x", entry="f", inputs=(1,))])[0].status)
"""
    seen = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (seen.stdout, seen.stderr) == ("PASS\n", "")


def test_it_needs_a_worker_and_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="at least one worker"), open_sandbox("SL1", 0):
        pass
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InfraError, match="needs Linux"), open_sandbox("SL1"):
        pass


# ------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_left_after_the_end(level: str) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    descriptors = len(os.listdir("/proc/self/fd"))
    with open_sandbox("SL1", 2, level=level) as sandbox:
        sandbox.run(echoes(4))
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("level", LEVELS)
def test_an_interrupted_run_ends_its_candidates_and_the_next_run_works(level: str) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int, unit: str) -> None:
        raise Interrupted

    before = set(psutil.Process().children(recursive=True))
    with open_sandbox("SL1", 1, Limits(wall_seconds=30.0), level=level) as sandbox:
        with pytest.raises(Interrupted):
            sandbox.run([*echoes(1), *[Job(source=SLEEP, entry="f", inputs=(20.0,))] * 5], interrupt)
        assert zygotes(sandbox) == ()
        assert set(psutil.Process().children(recursive=True)) == before
        assert [outcome.outputs for outcome in sandbox.run(echoes(1))] == [(0, [0])]


DRIVER = """
import sys
from loopwright.sandbox import Job, Limits
from loopwright.sandbox.pool import open_sandbox
with open_sandbox("SL1", 2, Limits(wall_seconds=60.0), level=sys.argv[1]) as sandbox:
    print("open", flush=True)
    sandbox.run([Job(source="import time\\ndef f(x): time.sleep(60)", entry="f", inputs=(1,))] * 5)
"""


@pytest.mark.parametrize("level", LEVELS)
def test_zygotes_and_candidates_die_with_their_driver(level: str) -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER, level], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"open\n"
        time.sleep(0.4)
        family = {process.pid for process in psutil.Process(driver.pid).children(recursive=True)}
        assert len(family) >= 3
        driver.kill()
    assert gone(family)


DAEMON = """
import os, time
def f(x):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
    return x
"""


def test_daemons_die_where_the_kernel_lets_them_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit on processes (some kernels do not enforce it): orphans come to the zygote, and it ends them."""
    weaker_zygote("resource.RLIMIT_NPROC: (0, 0),", tmp_path, monkeypatch)
    with open_sandbox("SL1", 1) as sandbox:
        seen = sandbox.run([Job(source=DAEMON, entry="f", inputs=(1,)), *echoes(2)])
        assert [outcome.status for outcome in seen] == ["PASS", "PASS", "PASS"]
        assert psutil.Process(zygotes(sandbox)[0]).children(recursive=True) == []
        kin = {process.pid for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])}
        assert kin == set(zygotes(sandbox))
