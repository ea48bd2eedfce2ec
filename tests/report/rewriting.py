"""How a copy of a record comes to say something else: its entries, and the files whose digests they have."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.report.asking import Log


def reword(log: Log, words: Mapping[str, str]) -> None:
    """Every occurrence of these texts, wherever the entries have them."""
    for each in log:
        text = json.dumps(each)
        for old, new in words.items():
            text = text.replace(old, new)
        each.update(json.loads(text))


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def fresh(*parts: str) -> str:
    """A digest of nothing else."""
    return digest("/".join(parts).encode())


def files(log: Log, root: Path) -> Path:
    """A copy of what lies beside the record."""
    hidden = shutil.ignore_patterns(".git", ".dvc", ".loopwright", "ledger")
    shutil.copytree(log.root, root, copy_function=os.link, ignore=hidden)
    return root


def say(root: Path, text: str) -> str:
    """Words of a person, and their digest."""
    data = json.dumps(
        {"schema": 1, "salt": "0", "text": text, "reason": None, "files": []}, sort_keys=True, separators=(",", ":")
    ).encode()
    (root / "answers" / f"{digest(data).removeprefix('sha256:')}.json").write_bytes(data)
    return digest(data)


def write(path: Path, value: Any) -> bytes:
    """Canonical JSON in the place of a file that may be a link."""
    data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path.unlink()
    path.write_bytes(data)
    return data


def refile(log: Log, root: Path, name: str, change: Callable[[Any], Any]) -> None:
    """A file of the document's cycle says something else, and the entries have its digest: of a single-file artifact its manifest's."""
    path, manifest = root / f"cycles/{log.cycle}" / name, root / f"cycles/{log.cycle}/manifests" / name
    old = digest(path.read_bytes())
    data = write(path, change(json.loads(path.read_bytes())))
    if manifest.is_file():
        told = json.loads(manifest.read_bytes())
        told["files"] = [{"path": name, "sha256": digest(data).removeprefix("sha256:"), "size": len(data)}]
        old = digest(manifest.read_bytes())
        data = write(manifest, told)
    reword(log, {old.removeprefix("sha256:"): digest(data).removeprefix("sha256:")})


def more(value: Any) -> Any:
    """The same with every number a little greater."""
    if isinstance(value, dict):
        return {key: more(item) for key, item in value.items()}
    if isinstance(value, list):
        return [more(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value + 1 if value > 1 else value  # 0 and 1 may be shares, or a number of units
    return value * 1.01 + 0.001


def moved(text: str, **by: float) -> str:
    moment = datetime.fromisoformat(text) + timedelta(**by)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
