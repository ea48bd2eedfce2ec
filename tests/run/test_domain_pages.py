"""The pages on domains: what a reader types works, in the order in which it stands there, and the folder's loop turns a cycle."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.workspace import Workspace
from tests.run.small import SMALL, small_recipe

PAGES = Path(__file__).parents[2] / "docs" / "domains"
OWN = ("domain.settings", "evaluator.headline")
"""What a page sets itself."""


def typed(name: str, here: Path) -> Path:
    """Run the commands of a page's shell block; returns where they ended up."""
    (block,) = re.findall(r"```sh\n(.*?)```", (PAGES / name).read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "cd":
            here /= words[1]
            small_recipe(here)
            continue
        if words[0] == "loopwright":
            words = [sys.executable, "-m", *words]
        elif words[0] == "python":
            words[0] = sys.executable
        if "init" in words:
            asked = {word.partition("=")[0] for word in words}
            small = {key: value for key, value in SMALL.items() if key not in {*OWN, *asked}}
            words += [option for key, value in small.items() for option in ("--set", f"{key}={value}")]
        environment = {
            **os.environ,
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b.c",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b.c",
        }
        done = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return here


@pytest.mark.parametrize("name", ["humaneval.md", "reasoning-gym.md"])
def test_the_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    assert Workspace(root=typed(name, tmp_path)).plan().domain.name in {"humaneval-jsonl", "reasoning-gym"}


def test_a_folder_of_ones_own_turns_a_cycle(tmp_path: Path) -> None:
    """And its verifier judged in the sandbox, is on the record, and cannot be changed without a person."""
    root = typed("bring-your-own.md", tmp_path)
    state = Workspace(root=root).state()
    record = state.cycles["c0001"]
    assert record.closed_at
    (level,) = record.phases["evaluate"].summary["isolation"]
    assert level in {"SL2", "SL3"}
    assert state.cycles["c0000"].phases["seed"].summary["refused"] == {}
    verifier = root / "my-domain" / "verifier.py"
    verifier.write_text(verifier.read_text(encoding="utf-8").replace("above_zero", "above_one"), encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "another judge"], cwd=root, check=True)
    words = [sys.executable, "-m", "loopwright", "run", "--cycles", "1"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in {4, 6}, done.stdout + done.stderr
    assert "judge" in done.stderr
    assert "c0002" not in Workspace(root=root).state().cycles
