"""The hostile set against every level, as root and as a plain user: nobody is fooled, nothing is touched, the next job is safe.

At SL1 candidates see the machine they run on, so there only the verdicts are held to account.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import InfraError
from loopwright.sandbox.pool import open_sandbox
from tests.hostile.cases import cases
from tests.hostile.people import USERS, kit, run_as

ISOLATING = ("SL2", "SL3")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Not below pytest's own folder, which nobody else may enter."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-", dir="/tmp"))
    yield kit(folder)
    shutil.rmtree(folder)


@cache
def offered(level: Any) -> str:
    """Why this machine does not offer a level; empty where it does."""
    try:
        with open_sandbox(level, 1):
            return ""
    except InfraError as error:
        return str(error)


def shot(place: Path, level: str, user: str, mode: str) -> dict[str, Any]:
    """What came of each case."""
    if problem := offered(level):
        pytest.skip(problem)
    done = run_as(user, place, ["-m", "tests.hostile.shoot", "--level", level, "--mode", mode])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["level"] == level
    assert len(found["cases"]) >= 34 + 10
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
            wrong += [f"took {name}" for name in result["taken"]] + [f"touched {name}" for name in result["harm"]]
            if result["status"] == "INFRA":
                wrong.append("hit the pool")
        if wrong:
            found[name] = f"{', '.join(wrong)} ({result['status']}) {result['said'][:200]}"
    return found


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", ["SL1", *ISOLATING])
def test_no_candidate_fools_a_verdict_or_leaves_a_trace(place: Path, level: str, user: str) -> None:
    assert complaints(level, shot(place, level, user, "io")) == {}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", ["SL1", *ISOLATING])
def test_no_candidate_fools_an_assert_script_or_leaves_a_trace(place: Path, level: str, user: str) -> None:
    assert complaints(level, shot(place, level, user, "assert")) == {}


def test_the_set_has_teeth(place: Path) -> None:
    """What isolation keeps from candidates they do get without it; else the canaries see nothing."""
    results = shot(place, "SL1", USERS[0], "io")
    harmed = {harm for result in results.values() for harm in result["harm"]}
    taken = {loot for result in results.values() for loot in result["taken"]}
    assert {"connected", "files", "shared memory"} <= harmed
    assert {"reached", "passwd", "key"} <= taken
    by_name = {case.name: results[case.name]["status"] for case in cases() if case.lasts and case.name in results}
    assert set(by_name.values()) <= {"TIMEOUT", "MEMORY", "FAIL"}
    assert list(by_name.values()).count("TIMEOUT") >= 8
