"""One commit a cycle; entries that came between cycles get one of their own."""

from __future__ import annotations

from loopwright.ledger.answers import FOLDER as WORDS
from loopwright.ledger.filings import FOLDER as FROZEN
from loopwright.ledger.model_signature import SIGNED
from loopwright.run import Run
from loopwright.store import git
from loopwright.store.files import drop_drafts
from loopwright.store.lockfile import VOLUMES

__all__ = ["DRIVER_PATHS", "commit", "foreign", "settled"]

DRIVER_PATHS = ("cycles", "ledger", "cycles.yaml", "dvc.lock", VOLUMES, "plan.json", WORDS, FROZEN)
"""What the program itself writes and commits; everything else in a workspace is a person's. A person's answer or filing that was
killed before its commit is committed by the next run."""


def settled(run: Run) -> bool:
    """Has nothing been said on the record since this run last committed?"""
    return run.committed == run.ledger.size


def foreign(run: Run) -> list[str]:
    """Files that a person has changed and not committed. What a killed run left half written is none of theirs, and goes."""
    if not run.cycle:
        own = run.root / "cycles" / (run.state.open or "none")
        for folder in (run.root, own, own / "config", own / "manifests"):
            drop_drafts(folder)
    if not run.cycle or not git.plain(run.root):
        return git.dirty(run.root, exclude=DRIVER_PATHS)
    return run.commits.foreign(DRIVER_PATHS)


def commit(run: Run) -> None:
    """Commit what this run, and persons' verbs, wrote since the last commit, where that is anything."""
    _sync_recipe(run)
    last = next((name for name in reversed(list(run.state.cycles)) if run.state.cycles[name].closed_at), None)
    paths, quick = _written(run, last), bool(run.cycle) and git.plain(run.root)
    changed = run.commits.stage(paths) if quick else git.dirty(run.root, within=paths)
    mine = [path for path in changed if path.startswith(f"cycles/{last}/")]
    closing = any(not path.endswith(SIGNED) for path in mine)  # a signature may come later, with what persons promoted
    said = f"{last}: {run.state.cycles[str(last)].action}" if closing else "record: entries between cycles"
    if changed and quick:
        run.commits.commit(said)
    elif changed:
        git.commit(run.root, paths, said)
    run.committed = run.state.leaves


def _written(run: Run, last: str | None) -> tuple[str, ...]:
    """Where this run may have written since its last commit; before its first cycle, wherever a killed one may have."""
    if not run.cycle:
        return DRIVER_PATHS
    own = {name for name in (last, run.state.open, run.state.champion) if name}
    return (*(f"cycles/{name}" for name in sorted(own)), *(path for path in DRIVER_PATHS if path != "cycles"))


def _sync_recipe(run: Run) -> None:
    """``recipe.yaml`` follows the champion, unless a person edited it into something that no model was trained by."""
    file = run.root / "recipe.yaml"
    champion = run.state.champion
    if champion is None:
        return
    wanted, seen = (run.root / f"cycles/{champion}/model/recipe.yaml").read_bytes(), file.read_bytes()
    if seen != wanted and any(
        (run.root / f"cycles/{name}/model/recipe.yaml").read_bytes() == seen
        for name, record in run.state.cycles.items()
        if "train" in record.phases
    ):
        file.write_bytes(wanted)
