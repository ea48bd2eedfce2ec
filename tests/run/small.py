"""A tiny but real loop: real git, DVC, ledger, sandbox, Lightning; 20 training steps and few tasks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from loopwright.ledger.keys import key_folder
from loopwright.workspace import Workspace, create

SMALL: dict[str, Any] = {
    "cycles": 2,
    "domain.settings": {"suite_per_level": 4, "human_level_2": 60, "human_level_3": 60},
    "generator.tasks": 24,
    "generator.samples": 2,
    "generator.shard_rows": 16,
    "evaluator.shard_tasks": 16,
    "evaluator.pass_at": {"k": 2, "when": "last"},
    "trainer.checkpoint_every": 5,
    "runtime.profile": "in-process",
    "runtime.energy": "none",
    "examiner.draws": 32,
    "gate.card.unsafe_only_say": True,
    "verifier.accept": "unsafe_unverified",  # twenty steps teach nothing that would pass
}

_LEVELS = {level: {"min_word_len": level + 2, "max_word_len": level + 2} for level in (1, 2)}
CAUSAL: dict[str, Any] = {
    **SMALL,
    "domain.settings": {"suite_per_level": 6, "human_per_level": 60, "entries": 300, "levels": _LEVELS},
    "model.settings.name": "Tiny Llama",
    "model.settings.flop": 1e9,
    "generator.tasks": 12,
    "generator.max_new_tokens": 8,
    "evaluator.max_new_tokens": 8,
    "evaluator.headline": [1, 2],
    "examiner.draws": 8,
    "verifier.gold": 20,
}
"""The same for a language model on the sets of reasoning-gym; the plan still names its folder."""


def small_recipe(root: Path, steps: int = 20) -> None:
    """Cut the recipe down to a few steps, and commit it."""
    yaml = YAML()
    recipe = yaml.load(root / "recipe.yaml")
    for part in ("seed", "cycle"):
        recipe[part]["steps"], recipe[part]["batch"], recipe[part]["warmup"] = steps, 16, 2
    yaml.dump(recipe, root / "recipe.yaml")
    subprocess.run(["git", "commit", "-qam", "a small recipe"], cwd=root, check=True)


def same_sealing_key(workspace: Workspace) -> None:
    """All small loops seal with one key, so that the artifacts of two of them can be compared byte by byte."""
    key = key_folder(workspace.state().workspace) / f"evaluator-{'5' * 16}.seal"
    key.write_bytes(bytes(range(64)))
    key.chmod(0o600)


def make_small(directory: Path, **settings: Any) -> Workspace:
    """A small workspace, ready to run."""
    workspace = create(directory, overrides={**SMALL, "name": "small", **settings}, demo=True)
    same_sealing_key(workspace)
    small_recipe(workspace.root)
    return workspace


def copy_of(root: Path, target: Path) -> Workspace:
    """A copy that may be spoilt: large files are links, what a test edits or a database writes is its own."""
    shutil.copytree(root, target, copy_function=os.link)
    for name in ("loop.yaml", "recipe.yaml"):
        (target / name).unlink()
        shutil.copyfile(root / name, target / name)
    shutil.rmtree(target / ".loopwright")
    shutil.copytree(root / ".loopwright", target / ".loopwright")
    return Workspace(root=target)
