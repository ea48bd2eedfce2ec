"""What lies in DVC's cache, which cycle's artifact each object belongs to, and taking objects away.

`loopwright.govern.gc` decides; nothing is deleted anywhere else, and `dvc gc` knows nothing of what the record needs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from loopwright.store import git, lockfile
from loopwright.store.project import CACHE, objects

__all__ = ["cached", "discard", "objects_now", "objects_of"]


def cached(root: Path) -> dict[str, int]:
    """Bytes by object: md5, with ``.dir`` for a directory's list."""
    folder = root / CACHE
    return {
        f"{path.parent.name}{path.name}": path.stat().st_size
        for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*"))
        if path.is_file() and len(path.name.removesuffix(".dir")) == 30
    }


def objects_now(root: Path) -> dict[str, set[str]]:
    """By path: the objects that ``dvc.lock`` names now, as made or as used: what the last cycles and the champions need."""
    named = (*lockfile.inputs(root), *lockfile.outputs(root))
    return {one.path: _names(root, one.md5) for one in named if one.path.startswith("cycles/")}


def objects_of(root: Path, commits: Mapping[str, str]) -> dict[str, set[str]]:
    """By output path, of closed cycles: the objects that the ``dvc.lock`` of each cycle's commit names of that cycle.

    Args:
        root: The workspace.
        commits: Git commit by cycle.
    """
    found: dict[str, set[str]] = {}
    for cycle, commit in commits.items():
        for output in lockfile.outputs_in(git.show(root, commit, lockfile.FILE).decode()):
            if output.path.startswith(f"cycles/{cycle}/"):
                found[output.path] = _names(root, output.md5)
    return found


def discard(root: Path, names: Iterable[str], paths: Iterable[str]) -> None:
    """Delete objects from the cache, and the copies of outputs that are linked to them; what is gone already is gone."""
    for name in names:
        (root / CACHE / name[:2] / name[2:]).unlink(missing_ok=True)
    for path in paths:
        target = root / path
        for folder in _folders(target):
            folder.chmod(0o755)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _folders(target: Path) -> Iterator[Path]:
    """Writable, so that what is in them can be removed."""
    for folder, _, _ in os.walk(target):
        yield Path(folder)


def _names(root: Path, md5: str) -> set[str]:
    return {"".join(name.parts) for name in objects(root, md5)}
