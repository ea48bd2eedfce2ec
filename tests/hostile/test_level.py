"""A machine that offers less than asked is refused by name, and where less is enough the verdicts say how much it was (T08)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.people import USERS, kit, run_as


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
def test_less_than_asked_is_refused_and_what_is_there_is_said(
    place: Path, require: Callable[..., None], user: str, lacking: str, reached: str
) -> None:
    require("bwrap")
    assert said(place, user, lacking, "SL1") == f"{reached} PASS@{reached} FAIL@{reached}"
    assert said(place, user, lacking, reached).startswith(reached)
    for above in ("SL2", "SL3")[reached == "SL2" :]:
        assert said(place, user, lacking, above).startswith("refused: ")


def test_the_refusal_names_what_is_missing(place: Path) -> None:
    assert "a file system filter (Landlock)" in said(place, USERS[-1], "no-landlock", "SL2")
    assert "namespace" in said(place, USERS[-1], "no-namespaces", "SL3")
