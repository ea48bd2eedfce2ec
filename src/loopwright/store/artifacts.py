"""Artifacts and their manifests: what a phase made becomes, in this order, sealed, described, put in place, checked.

The manifest is content only (RFC 8785 canonical JSON of kind and files); its sha256 is the artifact's digest. It is
written before the artifact is renamed into its place, so whatever is in place and equals its manifest is complete: a
crash leaves something to redo or something to take up, never something half done that looks whole.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from loopwright.errors import InfraError, IntegrityError
from loopwright.store.files import sync_directory, write_atomic
from loopwright.store.hashing import FileStat, Hashes, Known, Sealed, measure, seal
from loopwright.store.statcache import StatCache
from loopwright.types import Artifact, FileEntry, Manifest, canonical
from loopwright.written import left

__all__ = [
    "Sealed",
    "adopt",
    "artifact_of",
    "check",
    "encode",
    "left",
    "manifest_of",
    "publish",
    "read_manifest",
    "recorded",
    "seal",
    "write_manifest",
]


def manifest_of(artifact: Path) -> Path:
    """Where an artifact's manifest is kept: ``c0003/model`` -> ``c0003/manifests/model.json``, and

    ``c0003/decision.json`` -> ``c0003/manifests/decision.json``.
    """
    return artifact.parent / "manifests" / f"{artifact.stem}.json"


def encode(manifest: Manifest) -> bytes:
    """The manifest's bytes: what is stored, and what the digest is over."""
    files = [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in manifest.files]
    return canonical({"files": files, "kind": manifest.kind})


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Store a manifest; a file that says the same is left alone."""
    data = encode(manifest)
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def read_manifest(path: Path) -> Manifest:
    """A stored manifest; IntegrityError where there is none or it is not as it was written."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing", f"git checkout -- {path}") from error
    try:
        value = json.loads(data)
        manifest = Manifest(kind=value["kind"], files=tuple(_entry(file) for file in value["files"]))
        intact = encode(manifest) == data
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{path} is no manifest", f"git checkout -- {path}") from error
    if not intact:
        raise IntegrityError(f"{path} is not in the form in which it was written", f"git checkout -- {path}")
    return manifest


def _entry(value: Mapping[str, Any]) -> FileEntry:
    path = PurePosixPath(value["path"])
    if path.is_absolute() or ".." in path.parts or not isinstance(value["size"], int):
        raise ValueError(value)
    return FileEntry(path=value["path"], sha256=value["sha256"], size=value["size"])


def artifact_of(root: Path, kind: str, path: str) -> Artifact:
    """The file or directory at ``path`` as an artifact, by what it holds now (human data, a recipe).

    WorkspaceError where there is nothing; a file that has not changed since it was hashed is not read again.
    """
    cache = StatCache(root)
    sealed = measure(root / path, kind, known=cache)
    cache.remember(root / path, sealed)
    return Artifact(kind=kind, digest=sealed.manifest.digest, path=path)


def recorded(root: Path, path: str) -> Artifact:
    """The artifact at ``path`` as its manifest has it; its bytes are not looked at."""
    manifest = read_manifest(manifest_of(root / path))
    return Artifact(kind=manifest.kind, digest=manifest.digest, path=path)


def publish(source: Path, target: Path, sealed: Sealed, *, replace: bool = False) -> None:
    """Put a sealed output in its place, its manifest first, both durable; done twice is done once.

    Where the place is taken by an equal artifact, that one stays and ``source`` goes. Something else there is an
    IntegrityError, unless ``replace`` (a forced attempt): then it is removed. Both are on one file system.
    """
    if os.path.lexists(target):
        present = measure(target, sealed.manifest.kind, known=_as_it_was(target, sealed))
        if present.manifest == sealed.manifest:
            write_manifest(manifest_of(target), sealed.manifest)
            _remove(source)
            return
        if not replace:
            problem = f"{target} already holds something else than what was made now"
            raise IntegrityError(problem, f"see what it is; if nothing on record needs it: rm -r {target}")
        _discard(target)
    write_manifest(manifest_of(target), sealed.manifest)
    _rename(source, target)


def _as_it_was(target: Path, sealed: Sealed) -> Known:
    """A file that was renamed after it was sealed is the same file, and need not be read again."""
    sha256s = {file.path: file.sha256 for file in sealed.manifest.files}

    def known(path: Path, found: FileStat) -> Hashes | None:
        name = path.relative_to(target).as_posix() if path != target else target.name
        same = sealed.stats.get(name) == found
        return Hashes(sha256=sha256s[name], md5=sealed.md5s[name]) if same else None

    return known


def _rename(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)
    except OSError as error:
        problem = f"{source} cannot be put in place as {target}: {error.strerror}"
        raise InfraError(problem, "free space or set permissions, then run the same command again") from error


def _discard(target: Path) -> None:
    """Away in one step, so that a crash leaves no half of the old artifact in place."""
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".replaced-"))
    _rename(target, aside / target.name)
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def adopt(target: Path) -> Sealed | None:
    """What a crash left complete at ``target`` (in place and equal to its manifest), ready to be recorded; else None."""
    if not target.exists() or not manifest_of(target).exists():
        return None
    manifest = read_manifest(manifest_of(target))
    present = seal(target, manifest.kind)
    return present if present.manifest == manifest else None


def check(root: Path, artifact: Artifact, cache: StatCache | None = None, *, fresh: bool = False) -> Sealed:
    """Verify that the artifact on disk is the recorded one, and say what was read.

    Files that have not changed since they were hashed are not read again, unless ``fresh``. Raises IntegrityError that
    names the first wrong file and the command that brings it back.
    """
    cache = cache or StatCache(root)
    place = root / artifact.path
    if not place.exists():
        raise IntegrityError(f"{artifact.path} is missing", _fetch(artifact.path))
    present = measure(place, artifact.kind, known=None if fresh else cache)
    if present.manifest.digest != artifact.digest:
        _explain(root, artifact, present.manifest)
    cache.remember(place, present)
    return present


def _explain(root: Path, artifact: Artifact, present: Manifest) -> None:
    """Name the first file that is wrong."""
    source = manifest_of(root / artifact.path)
    shown = source.relative_to(root)
    if not source.exists():
        raise IntegrityError(f"{artifact.path} differs from the record", f"git checkout -- {artifact.path}")
    manifest = read_manifest(source)
    if manifest.digest != artifact.digest:
        raise IntegrityError(f"{shown} differs from the record", f"git checkout -- {shown}")
    was, now = ({file.path: file for file in each.files} for each in (manifest, present))
    name = min(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    how = "is missing" if name not in now else "is not on record" if name not in was else "differs from the record"
    file = root / artifact.path / name if (root / artifact.path).is_dir() else root / artifact.path
    raise IntegrityError(f"{file.relative_to(root)} {how}", _way_back(root, artifact.path, file))


def _fetch(path: str) -> str:
    return f"git checkout -- {path}" if PurePosixPath(path).suffix else f"dvc pull {path}"


def _way_back(root: Path, path: str, damaged: Path) -> str:
    """A file that was written in place took DVC's copy with it, both being one inode: then that has to go first."""
    if damaged == root / path:
        return _fetch(path)
    objects = root / ".dvc" / "cache" / "files" / "md5"
    inode = damaged.stat().st_ino if damaged.exists() and damaged.stat().st_nlink > 1 else None
    same = [file.relative_to(root) for file in objects.glob("??/*") if file.stat().st_ino == inode]
    return " && ".join([*(f"rm -f {file}" for file in same), f"dvc {'pull' if same else 'checkout'} --force {path}"])
