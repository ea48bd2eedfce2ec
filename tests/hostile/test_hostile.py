"""The hostile set against every level, as root and as a plain user: nobody is fooled, nothing is touched, the next job is safe.

At SL1 candidates see the machine they run on, so there only the verdicts are held to account.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.cases import CHECK, cases
from tests.hostile.forging import STEAL_TEXT
from tests.hostile.people import USERS, kit, run_as

ISOLATING = ("SL2", "SL3")
LEVELS = ("SL1", *ISOLATING)
SIDE_BY_SIDE = 3
"""Sets at a time: much of each is waiting for candidates that sleep."""
Shots = Callable[[str, str, str], dict[str, Any]]
TEETH = (LEVELS[0], USERS[0], "io")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Not below pytest's own folder, which nobody else may enter."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-", dir="/tmp"))
    yield kit(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shots(place: Path, request: pytest.FixtureRequest) -> Iterator[Shots]:
    """``shots(level, user, mode)``: what came of each case; sets that the chosen tests need run side by side."""
    wanted = {
        (params["level"], params["user"], params["mode"])
        for item in request.session.items
        if (params := getattr(getattr(item, "callspec", None), "params", {})) and {"level", "user", "mode"} <= params.keys()
    }
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        running: dict[tuple[str, str, str], Future[dict[str, Any]]] = {
            each: pool.submit(shoot, place, *each) for each in sorted(wanted | {TEETH})
        }
        yield lambda level, user, mode: running[level, user, mode].result()


def shoot(place: Path, level: str, user: str, mode: str) -> dict[str, Any]:
    done = run_as(user, place, ["-m", "tests.hostile.shoot", "--level", level, "--mode", mode])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["level"] == level
    return found["cases"]


def complaints(level: str, results: dict[str, Any]) -> dict[str, str]:
    """Cases that did what none may."""
    found = {}
    for name, result in results.items():
        wrong = []
        if result["status"] == "PASS":
            wrong.append("fooled")
        if result["next"] != ["PASS", "FAIL"]:
            wrong.append(f"next {result['next']}")
        if level in ISOLATING:
            wrong += [f"took {loot}" for loot in result["taken"]] + [f"touched {harm}" for harm in result["harm"]]
            if result["status"] == "INFRA":
                wrong.append("hit the pool")
        if wrong:
            found[name] = f"{', '.join(wrong)} ({result['status']}) {result['said'][:200]}"
    return found


@pytest.mark.parametrize("mode", ["io", "assert"])
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", LEVELS)
def test_nobody_is_fooled_and_nothing_is_touched(
    shots: Shots, require: Callable[..., None], level: str, user: str, mode: str
) -> None:
    require(*(["bwrap"] if level == "SL3" else []))
    results = shots(level, user, mode)
    assert len(results) >= 34 + 10
    assert complaints(level, results) == {}


def test_the_set_has_teeth(shots: Shots) -> None:
    """What isolation keeps from candidates they do get without it; else the canaries see nothing."""
    results = shots(*TEETH)
    harmed = {harm for result in results.values() for harm in result["harm"]}
    taken = {loot for result in results.values() for loot in result["taken"]}
    assert {"connected", "files", "shared memory"} <= harmed
    assert {"reached", "passwd", "key"} <= taken
    by_name = {case.name: results[case.name]["status"] for case in cases() if case.lasts and case.name in results}
    assert set(by_name.values()) <= {"TIMEOUT", "MEMORY", "FAIL"}
    assert list(by_name.values()).count("TIMEOUT") >= 8


# ------------------------------------------------------------------------------- what fools the common harness

ONE_PROCESS = """
import json, sys
source, script = json.loads(sys.stdin.read())
names = {}
exec(source, names)
exec(script, {"candidate": names["f"]})
"""
"""One message brings the candidate and its test into one process; success is an end without an exception."""
ASSERT_ONE_BY_ONE = "".join(
    f"assert candidate({given!r}) == {wanted!r}\n" for given, wanted in zip(CHECK.inputs, CHECK.outputs, strict=True)
)


def fools_the_common_harness(source: str) -> bool:
    given = json.dumps([source, ASSERT_ONE_BY_ONE])
    done = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS], input=given, text=True, capture_output=True, check=False, timeout=60
    )
    return done.returncode == 0


@pytest.mark.parametrize("name", ["exit", "exit_at_import", "sys_exit", "print_and_exit", "always_equal", "int_subclass"])
def test_a_verdict_by_exit_code_is_fooled_by_these(name: str) -> None:
    assert fools_the_common_harness(next(case.source for case in cases() if case.name == name))


def test_a_test_that_comes_with_the_candidate_is_stolen() -> None:
    """The same thief as in the set; it finds nothing there because the script is in another process."""
    assert fools_the_common_harness(STEAL_TEXT)
    assert not fools_the_common_harness("def f(x):\n return x\n")
