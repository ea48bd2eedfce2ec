"""Who runs the hostile set: whoever runs the tests and, where that is root, also a plain user without any rights.

A plain user may not be able to read the checkout or the interpreter (both may lie in root's home). So the few pure-Python
files that the set needs are copied to a folder that everybody can read, and an interpreter is looked for that runs there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["PLAIN", "USERS", "kit", "run_as"]

PLAIN = 65534
"""The user ``nobody``."""
USERS = ("root", "plain") if os.geteuid() == 0 else ("plain",)
_ROOT = Path(__file__).parents[2]
_FILES = ("__init__.py", "types.py", "errors.py", "sandbox")


def kit(folder: Path) -> Path:
    """Copy what the set needs below ``folder``, which everybody may read; returns what ``PYTHONPATH`` has to be."""
    place = folder / "kit"
    for name in _FILES:
        source, target = _ROOT / "src" / "loopwright" / name, place / "loopwright" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copytree(Path(__file__).parent, place / "tests" / "hostile", ignore=shutil.ignore_patterns("__pycache__", "test_*"))
    spec = find_spec("rfc8785")
    assert spec
    assert spec.origin
    shutil.copytree(Path(spec.origin).parent, place / "rfc8785")
    for path in (folder, place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place


def run_as(user: str, place: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """``python arguments...`` in the kit, as that user."""
    rights: Mapping[str, Any] = {}
    if user == "plain" and os.geteuid() == 0:
        rights = {"user": PLAIN, "group": PLAIN, "extra_groups": []}
    environment = {"PYTHONPATH": str(place), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [_interpreter(rights), *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False, **rights
    )


def _interpreter(rights: Mapping[str, Any]) -> str:
    """The first Python of at least our version that this user can run."""
    for path in (sys.executable, *filter(None, map(shutil.which, ("python3.11", "python3.12", "python3.13", "python3")))):
        for each in (path, f"/usr/bin/{Path(path).name}"):
            try:
                code = "import sys, json; sys.exit(sys.version_info < (3, 11))"
                if subprocess.run([each, "-c", code], check=False, cwd="/", capture_output=True, **rights).returncode == 0:
                    return each
            except OSError:
                continue
    raise FileNotFoundError("no Python 3.11 or later that a plain user can run")
