"""`loopwright check` and `loopwright doctor` as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOOPWRIGHT = (sys.executable, "-m", "loopwright")
DOUBLE = {"entry": "f", "inputs": [[1, 2], [3]], "outputs": [[2, 4], [6]]}
RIGHT = "def f(x):\n    return [v * 2 for v in x]\n"


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LOOPWRIGHT, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def lines(found: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "slow.py").write_text("def f(x):\n    while True: pass\n")
    (tmp_path / "tests.json").write_text(json.dumps(DOUBLE))
    (tmp_path / "asserts.py").write_text("assert f([1]) == [2]\nassert candidate([]) == []\n")
    return tmp_path


@pytest.mark.parametrize(
    ("program", "options", "verdict", "code"),
    [
        ("right.py", ["--tests", "tests.json"], "PASS", 0),
        ("wrong.py", ["--tests", "tests.json"], "FAIL", 3),
        ("slow.py", ["--tests", "tests.json", "--seconds", "0.5"], "TIMEOUT", 3),
        ("right.py", ["--asserts", "asserts.py"], "PASS", 0),
        ("wrong.py", ["--asserts", "asserts.py", "--entry", "f"], "FAIL", 3),
    ],
)
def test_one_program(place: Path, program: str, options: list[str], verdict: str, code: int) -> None:
    found = command("check", program, *options, "--json", cwd=place)
    (told,) = lines(found)
    assert (told["verdict"], found.returncode) == (verdict, code)
    assert told["level"] in {"SL2", "SL3"}
    assert 0 < told["seconds"] < 60
    assert "Traceback" not in found.stderr


def test_inputs_may_be_lists_of_arguments(place: Path) -> None:
    (place / "add.py").write_text("def add(a, b): return a + b\n")
    (place / "add.json").write_text(json.dumps({"entry": "add", "inputs": [[1, 2]], "outputs": [3], "spread": True}))
    assert command("check", "add.py", "--tests", "add.json", cwd=place).returncode == 0


def test_a_folder_and_a_file_of_programs(place: Path) -> None:
    batch = place / "batch"
    batch.mkdir()
    for number in range(30):
        (batch / f"p{number:02}.py").write_text(RIGHT if number % 3 else "def f(x): return 0\n")
        if number % 2:
            (batch / f"p{number:02}.json").write_text(json.dumps(DOUBLE))
        else:
            (batch / f"p{number:02}.asserts.py").write_text("assert f([1]) == [2]\n")
    found = command("check", "--batch", "batch", "--json", cwd=place)
    *told, summary = lines(found)
    assert found.returncode == 3
    assert [one["verdict"] for one in told] == ["PASS" if number % 3 else "FAIL" for number in range(30)]
    assert summary["summary"] == {"PASS": 20, "FAIL": 10}
    row = {"task_id": "T/0", "prompt": "def f(x):\n", "completion": "    return x\n", "entry_point": "f", "test": "def check(candidate):\n    assert candidate(1) == 1\n"}  # fmt: skip
    (place / "rows.jsonl").write_text(json.dumps(row) + "\n")
    found = command("check", "--batch", "rows.jsonl", cwd=place)
    assert (found.returncode, found.stdout.split()[:2]) == (0, ["PASS", "T/0"])


def test_each_completion_of_a_task_has_its_own_verdict_and_its_own_time(place: Path) -> None:
    """Files for pass@k name a task several times; and a mean would hide which program is slow."""
    row = {"task_id": "T/0", "prompt": "def f(x):\n", "entry_point": "f", "test": "def check(candidate):\n    assert candidate(1) == 1\n"}  # fmt: skip
    bodies = ["    return x\n", "    return 2\n", "    while True: pass\n"]
    (place / "rows.jsonl").write_text("".join(json.dumps({**row, "completion": body}) + "\n" for body in bodies))
    *told, _ = lines(command("check", "--batch", "rows.jsonl", "--seconds", "0.5", "--json", cwd=place))
    assert [one["verdict"] for one in told] == ["PASS", "FAIL", "TIMEOUT"]
    assert told[2]["seconds"] >= 0.5
    assert told[0]["seconds"] < told[2]["seconds"]


def test_tests_are_tried_before_they_are_used(place: Path) -> None:
    scripts = {
        "good.py": "assert f([1, 2]) == [2, 4]\n",
        "wrong.py": "assert f([1]) == [1]\n",
        "print.py": "print('PASS')\n",
        "leave.py": "import os\nos._exit(0)\nassert False\n",
    }
    tests = place / "written"
    tests.mkdir()
    for name, text in scripts.items():
        (tests / name).write_text(text)
    asked = [word for name in scripts for word in ("--admit", f"written/{name}")]
    found = command("check", "right.py", *asked, "--entry", "f", "--seconds", "1", "--json", cwd=place)
    told = {one["test"]: one for one in lines(found)}
    assert {name: one["admitted"] for name, one in told.items()} == {name: name == "good.py" for name in scripts}
    assert all(one["reason"] for name, one in told.items() if name != "good.py")
    assert told["good.py"]["score"]["method"] == "wilson 95%"
    assert (found.returncode, "3 of 4 tests are refused" in found.stderr) == (3, True)
    alone = command("check", "right.py", "--admit", "written/good.py", cwd=place)
    assert (alone.returncode, alone.stdout.split()[:2]) == (0, ["ADMITTED", "good.py"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["right.py", "--admit", "asserts.py", "--tests", "tests.json"], "--admit goes with one program"),
        (["--admit", "asserts.py"], "--admit goes with one program"),
        (["right.py", "--admit", "none.py"], "none.py cannot be read"),
        (["right.py", "--admit", "asserts.py", "--entry", "g"], "no function 'g'"),
        (["right.py"], "--tests or --asserts"),
        (["right.py", "--tests", "none.json"], "none.json cannot be read"),
        (["right.py", "--tests", "right.py"], "right.py:1: no JSON"),
        (["right.py", "--tests", "odd.json"], "1 inputs and 0 outputs"),
        (["right.py", "--tests", "tests.json", "--minimum-level", "SL9"], "no level 'SL9'"),
        (["odd.json", "--asserts", "asserts.py"], "defines no function"),
        (["--batch", "lonely"], "needs one of"),
        (["--batch", "tests.json"], "tests.json:1: not a HumanEval row"),
    ],
)
def test_what_cannot_be_checked_is_said(place: Path, arguments: list[str], said: str) -> None:
    (place / "odd.json").write_text('{"entry": "f", "inputs": [1], "outputs": []}')
    (place / "lonely").mkdir()
    (place / "lonely" / "p.py").write_text(RIGHT)
    found = command("check", *arguments, cwd=place)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr
    assert "next:" in found.stderr


def test_the_doctor_names_the_isolation(place: Path) -> None:
    found = command("doctor", "--json", cwd=place)
    assert found.returncode == 0, found.stdout
    checks = {one["name"]: one for one in json.loads(found.stdout)["checks"]}
    assert checks["sandbox"]["ok"]
    assert "candidates get SL3" in checks["sandbox"]["detail"]
