"""The artifacts that the log speaks of, checked against the bytes that are here: manifests, files, DVC's objects.

Reads the workspace's files directly and imports no DVC. What is not here (never pulled) is counted, not complained
about; what is here must be what was recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

from loopwright.ledger.audit import Finding
from loopwright.ledger.statement import Statement
from loopwright.types import digest_bytes

__all__ = ["ObjectAudit"]

_CACHE = ".dvc/cache/files/md5"

Files = Mapping[str, str]
"""sha256 by path within an artifact."""


def _recorded(statements: Iterable[Statement]) -> dict[str, tuple[str, str, str]]:
    """By path: cycle, name and digest, as last recorded."""
    found: dict[str, tuple[str, str, str]] = {}
    for statement in statements:
        said = statement.predicate
        if statement.kind == "phase":
            found.update({one["path"]: (said["cycle"], one["name"], one["digest"]) for one in said["outputs"]})
        elif statement.kind == "import":
            found |= {one["path"]: (one["cycle"], PurePosixPath(one["path"]).stem, one["digest"]) for one in said["artifacts"]}
    return found


def _files_of(manifest: bytes) -> Files:
    """The files that a manifest lists; ValueError where it is none."""
    try:
        listed = {file["path"]: file["sha256"] for file in json.loads(manifest)["files"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error
    if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in listed):
        raise ValueError("lists a file outside its artifact")
    return listed


def _outs_of(lock: bytes) -> dict[str, str]:
    """md5 by path of every output in ``dvc.lock`` (which is read, five hundred cycles long, by the fast loader)."""
    stages = yaml.load(lock, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]  # noqa: S506  # both are safe
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


class ObjectAudit:
    """Checks artifacts of one workspace and counts what it saw."""

    def __init__(self, root: Path, statements: Sequence[Statement]) -> None:
        self._root = root
        self._statements = statements
        self._digests: dict[tuple[int, int, str], str] = {}
        self._manifests: dict[str, Files] = {}
        self.artifacts = 0
        """Manifests that are what was recorded."""
        self.files = 0
        """Files in the workspace that are what their manifest says."""
        self.objects = 0
        """Objects in DVC's cache that are what their name and the manifest say."""
        self.absent = 0
        """Artifacts and cache objects that are not on this machine."""

    def findings(self) -> Iterator[Finding]:
        """Everything that is here and is not what was recorded."""
        for path, (cycle, name, digest) in _recorded(self._statements).items():
            yield from self._manifest(path, f"cycles/{cycle}/manifests/{name}.json", digest)
        yield from self._configs()
        for path, files in self._manifests.items():
            yield from self._workspace(path, files)
        yield from self._dvc()

    def _digest(self, path: Path, algorithm: str) -> str:
        """Each inode is read once an algorithm: workspace files are hard links to cache objects."""
        status = path.stat()
        key = status.st_dev, status.st_ino, algorithm
        if key not in self._digests:
            with path.open("rb") as file:
                self._digests[key] = hashlib.file_digest(file, algorithm).hexdigest()
        return self._digests[key]

    def _manifest(self, path: str, where: str, digest: str) -> Iterator[Finding]:
        file = self._root / where
        if not file.is_file():
            yield Finding(code="manifest-missing", where=where, message=f"the record says what {path} is, its manifest is gone")
            return
        data = file.read_bytes()
        if digest_bytes(data) != digest:
            yield Finding(code="manifest-differs", where=where, message=f"not the manifest of {path} that was recorded")
            return
        try:
            self._manifests[path] = _files_of(data)
            self.artifacts += 1
        except ValueError as error:
            yield Finding(code="manifest-differs", where=where, message=str(error))

    def _configs(self) -> Iterator[Finding]:
        """Configuration of each phase and an opened cycle's recipe: small files in git, named by digest in the log."""
        expected: dict[str, str] = {}
        for kind, said in ((one.kind, one.predicate) for one in self._statements):
            if kind == "phase":
                expected[f"cycles/{said['cycle']}/config/{said['phase']}.json"] = said["config"]
            elif kind == "import":
                told = ((cycle["cycle"], done) for cycle in said["cycles"] for done in cycle["phases"] if done.get("config"))
                expected |= {f"cycles/{name}/config/{done['phase']}.json": done["config"] for name, done in told}
            elif kind == "open" and said["recipe"]:
                expected[said["recipe"]["path"]] = said["recipe"]["digest"]
        for where, digest in expected.items():
            file = self._root / where
            if not file.is_file():
                yield Finding(code="file-missing", where=where, message="the record names it, and it is gone")
            elif digest_bytes(file.read_bytes()) != digest:
                yield Finding(code="file-differs", where=where, message="edited after it was recorded")

    def _workspace(self, path: str, files: Files) -> Iterator[Finding]:
        place = self._root / path
        if place.is_file():
            here = {next(iter(files), ""): place}
        elif place.is_dir():
            here = {file.relative_to(place).as_posix(): file for file in place.rglob("*") if file.is_file()}
        else:
            self.absent += 1
            return
        for name in sorted(files.keys() - here.keys()):
            yield Finding(code="artifact-incomplete", where=f"{path}/{name}", message="missing from the artifact")
        for name, file in sorted(here.items()):
            where = file.relative_to(self._root).as_posix()
            if name not in files:
                yield Finding(code="artifact-extra", where=where, message=f"not part of {path} as recorded")
            elif self._digest(file, "sha256") != files[name]:
                yield Finding(code="artifact-edited", where=where, message=f"its bytes are not those recorded for {path}")
            else:
                self.files += 1

    def _dvc(self) -> Iterator[Finding]:
        """Of the root's ``dvc.lock``, and of those of the volumes into which old cycles are bound."""
        for lock in (self._root / "dvc.lock", *sorted(self._root.glob("past/*/dvc.lock"))):
            if lock.is_file() and (self._root / _CACHE).is_dir():
                yield from self._locked(lock, lock.relative_to(self._root).as_posix())

    def _locked(self, lock: Path, where: str) -> Iterator[Finding]:
        try:
            outs = _outs_of(lock.read_bytes())
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            yield Finding(code="dvc-lock-unreadable", where=where, message=repr(error))
            return
        for path, md5 in outs.items():
            yield from self._out(path, md5, where)

    def _out(self, path: str, md5: str, lock: str) -> Iterator[Finding]:
        recorded = self._manifests.get(path)
        if not md5.endswith(".dir"):
            sha256 = next(iter(recorded.values()), None) if recorded else None
            yield from self._object(path, md5, sha256, optional=True)
            return
        listing = self._root / _CACHE / md5[:2] / md5[2:]
        if not listing.is_file():
            self.absent += 1
            return
        if self._digest(listing, "md5") != md5.removesuffix(".dir"):
            yield self._damaged(listing, path)
            return
        objects = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
        self.objects += 1
        if recorded is not None and objects.keys() != recorded.keys():
            yield Finding(code="dvc-differs", where=lock, message=f"{path} has other files there than were recorded")
        for name, entry in objects.items():
            yield from self._object(f"{path}/{name}", entry, (recorded or {}).get(name), optional=False)

    def _object(self, path: str, md5: str, sha256: str | None, *, optional: bool) -> Iterator[Finding]:
        file = self._root / _CACHE / md5[:2] / md5[2:]
        where = file.relative_to(self._root).as_posix()
        if not file.is_file():
            self.absent += 1
            if not optional:  # the listing of the directory is here, so its files were, too
                yield Finding(code="dvc-object-missing", where=where, message=f"the content of {path} is gone from the cache")
        elif self._digest(file, "md5") != md5:
            yield self._damaged(file, path)
        elif sha256 is not None and self._digest(file, "sha256") != sha256:
            yield Finding(code="dvc-differs", where=where, message=f"the object of {path} is not what was recorded")
        else:
            self.objects += 1

    def _damaged(self, file: Path, path: str) -> Finding:
        where = file.relative_to(self._root).as_posix()
        return Finding(code="dvc-object-damaged", where=where, message=f"{path}: its bytes are not those that its name says")
