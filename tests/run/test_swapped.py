"""What a person approved is what is tried: a recipe that was exchanged after its cycle opened is refused."""

from __future__ import annotations

import difflib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from loopwright.workspace import Workspace


def test_a_recipe_that_was_exchanged_after_its_approval_is_not_tried(
    lab: Workspace, victim: Callable[..., dict[str, Any]]
) -> None:
    base, proposal = (lab.root / "recipe.yaml").read_text(encoding="utf-8"), lab.root / "recipes" / "more.diff"

    def propose(share: str) -> None:
        new = base.replace("human_share: 0.5", f"human_share: {share}")
        lines = difflib.unified_diff(base.splitlines(True), new.splitlines(True), "a/recipe.yaml", "b/recipe.yaml")
        proposal.unlink(missing_ok=True)
        proposal.write_text("".join(lines), encoding="utf-8")
        for words in (["add", "recipes"], ["commit", "-qm", f"propose {share}"]):
            subprocess.run(["git", *words], cwd=lab.root, check=True)

    propose("0.6")
    for words in (["propose", "--name", "more"], ["approve", "recipes/more.diff"]):
        subprocess.run([sys.executable, "-m", "loopwright", *words], cwd=lab.root, check=True)
    assert victim(lab.root, 1, ("c0001", "", "opened"))["signal"] == signal.SIGKILL
    propose("0.9")
    assert victim(lab.root, 1)["code"] == 2
    assert not (lab.root / "cycles" / "c0001" / "model").exists()
    propose("0.6")
    assert victim(lab.root, 1)["code"] == 0
    assert "human_share: 0.6" in (lab.root / "cycles" / "c0001" / "model" / "recipe.yaml").read_text(encoding="utf-8")
