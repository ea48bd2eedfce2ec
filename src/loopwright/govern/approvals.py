"""Recipe proposals of persons: an edit of ``recipe.yaml`` becomes a diff; its request is `loopwright.govern.requests`' business."""

from __future__ import annotations

import difflib
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.planfile import parse_recipes
from loopwright.workspace import Workspace

__all__ = ["propose"]


def propose(workspace: Workspace, name: str) -> Path:
    """Turn a person's edit of ``recipe.yaml`` into a recipe proposal ``recipes/NAME.diff`` and put the champion's back.

    A diff of that name that is there already is taken as it is, where nothing was edited.

    Raises:
        UsageError: nothing was edited, or the edit is no valid recipe (PlanError).
    """
    champion, target = workspace.state().champion, workspace.root / "recipes" / f"{name}.diff"
    if champion is None and target.is_file():
        return target
    if champion is None:
        raise UsageError("there is no champion yet: recipe.yaml may simply be edited", "`loopwright run`")
    file = workspace.root / "recipe.yaml"
    before = (workspace.root / f"cycles/{champion}/model/recipe.yaml").read_text(encoding="utf-8")
    after = file.read_text(encoding="utf-8")
    if before == after and target.is_file():
        return target
    if before == after:
        raise UsageError(f"recipe.yaml is the champion's ({champion})", "edit its `cycle` part, then propose")
    parse_recipes(after)
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/recipe.yaml", "b/recipe.yaml")
    if target.exists():
        raise UsageError(f"recipes/{name}.diff exists", "choose another name")
    target.write_text("".join(lines), encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    return target
