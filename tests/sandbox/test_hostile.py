"""The hostile set at every level, as root and as a plain user: nobody is fooled, and from SL2 on nothing gets out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.hostile import CASES

NOBODY = 65534
LEAKS_AT_SL1 = {"disk fill", "write outside", "password file", "key file", "machine code", "keyring", "undo the filter"}
"""Without filters these reach what they are after: the set has teeth, and SL1 is no boundary."""


def a_python_for_anyone() -> str | None:
    """An interpreter that a plain user may run: ours, or the system's of the same version."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (os.path.realpath(sys.executable), shutil.which(version, path="/usr/bin:/usr/local/bin")):
        trial = [*as_nobody(), "/bin/sh", "-c", f"'{python}' -c ''; exit $?"]
        if python and subprocess.run(trial, check=False, capture_output=True).returncode == 0:
            return python
    return None


def as_nobody() -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def run_set(level: str, repository: Path, *options: str, plain_user: bool = False) -> dict[str, Any]:
    python, before = sys.executable, []
    if plain_user and os.geteuid() == 0:
        found = a_python_for_anyone()
        assert found, "no Python that a plain user may run: install python3 (make system-deps)"
        python, before = found, as_nobody()
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": f"{repository}/src:{repository}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    found_set = subprocess.run(
        [*before, python, "-m", "tests.sandbox.range", level, *options],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert found_set.returncode == 0, found_set.stderr[-2000:]
    told = json.loads(found_set.stdout)
    assert told["level"] == level
    assert (told["user"] == 0) == (os.geteuid() == 0 and not plain_user)
    return told["result"]


@pytest.mark.parametrize(
    ("level", "plain_user"), [("SL1", False), ("SL2", False), ("SL3", False), ("SL2", True), ("SL3", True)]
)  # at SL1 a plain user's candidate may kill its zygote: INFRA, no verdict, and minutes of retries
def test_nobody_is_fooled_and_nothing_gets_out(
    level: str, plain_user: bool, repository: Path, require: Callable[..., None]
) -> None:
    require(*(["bwrap"] if level == "SL3" else []), *(["setpriv"] if plain_user else []))
    told = run_set(level, repository, plain_user=plain_user)
    assert told.keys() == CASES.keys()
    assert {name: seen["status"] for name, seen in told.items() if seen["status"] in {"PASS", "INFRA"}} == {}
    assert {name: seen["next"] for name, seen in told.items() if seen["next"] != ["PASS", "FAIL"]} == {}
    leaks = {name: seen["effects"] for name, seen in told.items() if seen["effects"]}
    if level == "SL1":
        assert leaks.keys() >= LEAKS_AT_SL1
    else:
        assert leaks == {}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["SL2", "SL3"])
def test_the_set_among_ten_thousand_good_jobs(level: str, repository: Path) -> None:
    told = run_set(level, repository, "--jobs", "10000")
    assert (told["fooled"], told["infra"], told["effects"]) == ([], 0, [])
    assert told["right"] == told["right_alone"] == 10_000
