"""A machine that offers less than asked is refused by name, and where less is enough the verdicts say how much it was (T08)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.people import USERS, kit, run_as
from tests.hostile.test_hostile import offered


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hostile-", dir="/tmp"))
    yield kit(folder)
    shutil.rmtree(folder)


def said(place: Path, user: str, lacking: str, minimum: str) -> str:
    done = run_as(user, place, ["-m", "tests.hostile.lesser", lacking, minimum])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    ("lacking", "reached"),
    [("no-namespaces", "SL2"), ("no-landlock", "SL1"), ("no-seccomp", "SL1"), ("no-namespaces,no-landlock,no-seccomp", "SL1")],
)
def test_less_than_asked_is_refused_and_what_is_there_is_said(place: Path, user: str, lacking: str, reached: str) -> None:
    if problem := offered("SL3"):
        pytest.skip(problem)
    assert said(place, user, lacking, "SL1") == f"{reached} PASS@{reached} FAIL@{reached}"
    assert said(place, user, lacking, reached).startswith(reached)
    above = f"SL{int(reached[2]) + 1}"
    refusal = said(place, user, lacking, above)
    assert refusal.startswith("refused: ")
    assert above in refusal
    assert said(place, user, lacking, "SL3").startswith("refused: ")
