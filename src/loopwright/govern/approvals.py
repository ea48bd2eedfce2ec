"""A person's signature over exact bytes: what was approved is a digest, never a name or a path."""

from __future__ import annotations

import difflib
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.planfile import parse_recipes
from loopwright.run import now
from loopwright.types import Artifact, Digest, digest_bytes
from loopwright.workspace import Workspace

__all__ = ["approve", "propose"]


def approve(workspace: Workspace, what: str, reason: str) -> tuple[Digest, int]:
    """Sign a file's bytes, or a digest, with the person's key; returns the digest and the entry's index.

    Raises:
        UsageError: ``what`` is neither a file nor a digest.
    """
    path = Path(what) if Path(what).is_file() else workspace.root / what
    if path.is_file():
        digest, kind = digest_bytes(path.read_bytes()), "recipe" if path.suffix == ".diff" else "file"
    elif what.startswith("sha256:") and len(what) == 71:
        digest, kind = what, "digest"
    else:
        raise UsageError(f"{what} is neither a file nor a sha256 digest", "`loopwright approve recipes/NAME.diff`")
    name = path.name if path.is_file() else "digest"
    ledger = workspace.ledger()
    try:
        subject = Artifact(kind=kind, digest=digest, path=name)
        predicate = {"subject": digest, "kind": kind, "reason": reason, "approved_at": now()}
        index = ledger.append("approval", [subject], predicate, role="person", event=f"approval:{digest}")
        ledger.publish()
    finally:
        ledger.close()
    return digest, index


def propose(workspace: Workspace, name: str) -> Path:
    """Turn a person's edit of ``recipe.yaml`` into a recipe proposal ``recipes/NAME.diff`` and put the champion's back.

    Raises:
        UsageError: nothing was edited, or the edit is no valid recipe (PlanError).
    """
    champion = workspace.state().champion
    if champion is None:
        raise UsageError("there is no champion yet: recipe.yaml may simply be edited", "`loopwright run`")
    file = workspace.root / "recipe.yaml"
    before = (workspace.root / f"cycles/{champion}/model/recipe.yaml").read_text(encoding="utf-8")
    after = file.read_text(encoding="utf-8")
    if before == after:
        raise UsageError(f"recipe.yaml is the champion's ({champion})", "edit its `cycle` part, then propose")
    parse_recipes(after)
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/recipe.yaml", "b/recipe.yaml")
    target = workspace.root / "recipes" / f"{name}.diff"
    if target.exists():
        raise UsageError(f"recipes/{name}.diff exists", "choose another name")
    target.write_text("".join(lines), encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    return target
