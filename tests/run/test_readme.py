"""The README's commands are run: what a reader types works, in the order in which it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.small import SMALL, small_recipe

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)]


def commands(block: list[str]) -> list[str]:
    return [line.split("#")[0].strip() for line in block if line.split("#")[0].strip()]


@pytest.mark.parametrize("command", commands(BLOCKS[0]))
def test_the_verbs_of_the_first_screen_exist(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_commands_of_your_own_loop_work(tmp_path: Path) -> None:
    here, seen = tmp_path, []
    for command in [line for block in BLOCKS[1:4] for line in commands(block)]:
        for part in command.split("&&"):
            words = shlex.split(part.strip().replace("c0003", "c0001"))
            if words[0] == "cd":
                here /= words[1]
                small_recipe(here)
                continue
            assert words[0] == "loopwright"
            if words[1] == "init":
                words += [option for key, value in SMALL.items() for option in ("--set", f"{key}={value}")]
            if words[1] == "run":
                words += ["--cycles", "1"]
            if words[1] == "app":
                words.append("--help")
            if "FILE.pdf" in words:
                words[words.index("FILE.pdf")] = str(next((here / "build").rglob("training-summary-*.pdf")))
            done = subprocess.run([sys.executable, "-m", *words], cwd=here, capture_output=True, text=True, check=False)
            says_no = words[1:3] == ["report", "check"]  # nobody has answered for this loop yet
            assert done.returncode == (3 if says_no else 0), f"{part}: {done.stdout}{done.stderr}"
            seen.append(words[1])
    own = ["init", "plan", "run", "status", "show", "verify", "report", "launch", "app"]
    assert seen == [*own, "keys", "lineage", "diff", "reproduce", "export", "verify", *["report"] * 4]
    assert list((here / "build").rglob("cycle-c0001-internal-en.pdf"))


def test_files_that_the_readme_points_to_exist() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).exists()] == []
