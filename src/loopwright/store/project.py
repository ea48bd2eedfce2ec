"""The files that make a git repository a DVC project of ours: configuration, ignore lists, the local notes of each clone.

Written here and not by `dvc init`, which takes a second to start and would add what we do not want.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import WorkspaceError
from loopwright.store import lockfile
from loopwright.store.files import write_atomic

__all__ = ["CACHE", "DVCIGNORE", "GITIGNORE", "create", "drop_stale_locks", "note_locally", "objects", "share"]

CACHE = Path(".dvc", "cache", "files", "md5")
"""Where DVC keeps objects, by md5: two digits a folder, the rest a file."""

DVCIGNORE = """\
# What DVC need not walk through in search of dvc.yaml files.
/.loopwright/
/.venv/
/build/
/ledger/
"""

GITIGNORE = """\
/.loopwright/
/build/
__pycache__/
/cycles/*/accepted/
/cycles/*/archive/
/cycles/*/evaluation/
/cycles/*/card/
/cycles/*/heldout/
/cycles/*/model/
/cycles/*/proposals/
/cycles/*/suites/
"""

# hardlink first: only then does DVC take files over without copying them.
_CONFIG = """\
[core]
    analytics = false
    autostage = false
    check_update = false
    remote = store
[cache]
    type = "hardlink,copy"
['remote "store"']
    url = {url}
"""
_LOCAL = """\
# Written by loopwright for this copy of the workspace.
[core]
    site_cache_dir = {notes}
"""
_LOCAL_REMOTE = """\
['remote "store"']
    url = {url}
"""


def create(root: Path, remote: Path | str) -> None:
    """Make ``root`` a DVC project whose default remote is ``remote``, a folder (made here) or a URL. What exists is kept.

    WorkspaceError where ``root`` is no git repository.
    """
    if not (root / ".git").exists():
        raise WorkspaceError(f"{root} is not a git repository", "git init")
    if not (root / ".dvc" / "config").exists():
        _point_to(root, remote)
    _add_lines(root / ".dvc" / ".gitignore", "/config.local\n/tmp\n/cache\n")
    _add_lines(root / ".dvcignore", DVCIGNORE)
    _add_lines(root / ".gitignore", GITIGNORE)


def share(root: Path, origin: Path, remote: Path | str) -> None:
    """Give a clone the objects of ``origin``'s cache that it names, by hard links, and a remote of its own."""
    _point_to(root, remote)
    for output in lockfile.outputs(root):
        for name in objects(origin, output.md5):
            source, target = origin / CACHE / name, root / CACHE / name
            if source.exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)


def objects(root: Path, md5: str) -> Iterator[Path]:
    """Paths, within the cache, of the object ``md5`` and of all that it lists if it is a directory's and can be read."""
    yield Path(md5[:2], md5[2:])
    if md5.endswith(".dir"):
        try:
            listed = json.loads((root / CACHE / md5[:2] / md5[2:]).read_bytes())
        except (FileNotFoundError, ValueError):
            return
        yield from sorted({Path(entry["md5"][:2], entry["md5"][2:]) for entry in listed})


def note_locally(root: Path) -> None:
    """Settle in ``.dvc/config.local`` what is true of this copy alone, and so is in no commit.

    DVC's notes of known hashes belong beside the data, not in ``/var/tmp``. A workspace that was moved finds the remote
    that moved with it.
    """
    text = _LOCAL.format(notes=root / ".loopwright" / "dvc")
    named = re.search(
        r"^ *url = (/.*)/\.loopwright/remote$", (root / ".dvc" / "config").read_text(encoding="utf-8"), re.MULTILINE
    )
    if named and named[1] != str(root) and not Path(named[1]).exists() and (root / ".loopwright" / "remote").exists():
        text += _LOCAL_REMOTE.format(url=root / ".loopwright" / "remote")
    file = root / ".dvc" / "config.local"
    present = file.read_text(encoding="utf-8") if file.exists() else ""
    ours = not present or present.startswith(_LOCAL.partition("\n")[0])  # what a person wrote there is theirs
    if ours and present != text:
        write_atomic(file, text.encode())


def drop_stale_locks(root: Path) -> None:
    """DVC notes by pid who writes what, and a killed process's pid may be another one's by now (in containers it often is).

    A note is stale where its process is gone, is this one, or began after the note was made.
    """
    import psutil

    file = root / ".dvc" / "tmp" / "rwlock"
    try:
        noted = file.stat().st_mtime
        pids = set(re.findall(r'"pid": (\d+)', file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return
    for pid in map(int, pids):
        try:
            if pid != os.getpid() and psutil.Process(pid).create_time() <= noted:
                return
        except psutil.NoSuchProcess:
            continue
    file.unlink(missing_ok=True)


def _point_to(root: Path, remote: Path | str) -> None:
    """Absolute, also where it is within the workspace: a clone on this machine is to find it."""
    url = str(remote)
    if not re.match(r"\w+://", url):
        Path(remote).mkdir(parents=True, exist_ok=True)
        url = str(Path(remote).resolve())
    write_atomic(root / ".dvc" / "config", _CONFIG.format(url=url).encode())


def _add_lines(path: Path, lines: str) -> None:
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in lines.splitlines() if line not in present.splitlines()]
    if missing:
        joint = "" if not present or present.endswith("\n") else "\n"
        write_atomic(path, (present + joint + "\n".join(missing) + "\n").encode())


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)
        target.chmod(0o444)
