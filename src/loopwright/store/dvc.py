"""The only importer of dvc: what a phase made becomes versioned, without any byte being hashed again.

The order of work stays ours: phases run outside DVC and are recorded afterwards. `DvcStore.record` tells DVC the md5 of
each file that was just sealed, lets DVC link the files into its cache (a hard link: no byte moves), and enters the stage
into ``dvc.lock``. Should DVC come to keep known hashes elsewhere, it merely hashes again; a test watches that it does not.

One process a workspace calls this (the driver, who holds the lease); a person may use `dvc` beside it at any time.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import InfraError, IntegrityError, WorkspaceError
from loopwright.store import cycles, git, lockfile, project, volumes
from loopwright.store.dvc_errors import complaints, translated
from loopwright.store.hashing import FileStat, Sealed, measure
from loopwright.store.statcache import StatCache

if TYPE_CHECKING:
    from dvc.repo import Repo

__all__ = ["DvcStore"]

_PATIENCE = 60.0
"""Seconds to wait for a dvc command that a person runs."""


def _quiet() -> None:
    """DVC would write warnings and bars into the terminal that a live view owns, and wraps stdout when it is imported."""
    streams = sys.stdout, sys.stderr
    import dvc  # noqa: F401

    sys.stdout, sys.stderr = streams
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """DVC lays the list of each directory into a file system in memory and leaves it there: five KB each, for the life of the process."""
    from fsspec.implementations.memory import MemoryFileSystem

    before = set(MemoryFileSystem.store)
    try:
        yield
    finally:
        for name in MemoryFileSystem.store.keys() - before:
            MemoryFileSystem.store.pop(name, None)


class DvcStore:
    """A workspace's DVC project: one long-lived repository object, since opening one costs a second."""

    def __init__(self, root: Path) -> None:
        """Open the project in ``root``. WorkspaceError where there is none."""
        self._root = root.resolve()
        if not (self._root / ".dvc" / "config").exists():
            raise WorkspaceError(f"{root} is no DVC project", "go to a workspace, or make one: loopwright init")
        project.note_locally(self._root)
        project.drop_stale_locks(self._root)
        _quiet()
        from dvc.repo import Repo

        with translated("opening the DVC project"):
            self._repo: Repo = Repo(str(self._root))
        self._stages: Any = None
        self._contents: dict[str, Any] | None = None
        self._seen: tuple[FileStat, ...] = ()
        self._asked: tuple[FileStat | None, set[str], list[str]] = None, set(), []

    @classmethod
    def init(cls, root: Path, remote: Path | str) -> DvcStore:
        """Make the git repository in ``root`` a DVC project; ``remote``, a folder or a URL, is its default remote.

        Lines are added to ``.gitignore`` and ``.dvcignore``; what exists is kept.
        """
        project.create(root, remote)
        return cls(root)

    @classmethod
    def share(cls, root: Path, origin: Path, remote: Path | str) -> DvcStore:
        """Open a clone of ``origin``: what it names is linked from the origin's cache, its remote is its own."""
        project.share(root, origin, remote)
        return cls(root)

    def record(self, stage: str, outputs: Mapping[str, Sealed], inputs: Mapping[str, Sealed] | None = None) -> None:
        """Enter what a phase made: outputs are linked into the cache, the stage into ``dvc.lock``.

        ``stage`` is ``train@c0003``, or ``seed``, ``seed-train`` and so on of c0000. Keys are paths relative to the
        workspace; ``inputs`` are those that DVC has not seen (human data): else it hashes them itself. Done twice is
        done once. Afterwards the outputs' files are read-only links of the cache's objects.

        Raises:
            WorkspaceError: ``dvc.yaml`` declares no such stage or other outputs, or another dvc command is at work.
            IntegrityError: a file changed since it was sealed, or DVC would version other files than the manifest names.
        """
        with self._at_work(f"recording {stage}"):
            name = cycles.declare(self._root, stage)
            self._refresh()
            made = self._stages.get(name)
            declared = {out.fs_path for out in made.outs} if made else set()
            if declared != {self._absolute(path) for path in outputs}:
                problem = f"{stage} made {', '.join(sorted(outputs))}, but dvc.yaml declares other outputs"
                raise WorkspaceError(problem, "make dvc.yaml say what flows/cycle.py does")
            self._tell(outputs, inputs or {})
            self._commit(name, made, outputs)
        cache = StatCache(self._root)
        for path, sealed in outputs.items():
            _protect(self._root / path, sealed)
            cache.remember(self._root / path, sealed)

    def reload(self) -> None:
        """Read ``dvc.yaml`` and ``cycles.yaml`` anew, and let ``dvc.lock`` hold their stages and no other."""
        with self._at_work("reading dvc.yaml"):
            self._refresh(anew=True)

    def push(self, stages: Sequence[str] | None = None) -> None:
        """Copy the cached outputs of these stages (default: all) to the remote, where they are not there yet."""
        names = None if stages is None else {cycles.stage_name(self._root, stage) for stage in stages}
        self.send([output.md5 for output in lockfile.outputs(self._root, names) if output.md5.endswith(".dir")])

    @property
    def remote(self) -> str:
        """URL of the default remote, as DVC's configuration has it."""
        config = self._repo.config
        return str(config["remote"].get(config["core"].get("remote"), {}).get("url", "no remote"))

    def send(self, outputs: Sequence[str]) -> int:
        """Copy cached outputs, by md5, with all that they list to the remote, where they are not there yet.

        DVC is not locked for it: objects never change, and a push may take hours. What this cache has not (it was collected, or
        never pulled) it cannot send: how many objects that are.

        Raises:
            InfraError: the remote cannot be reached, or something did not arrive; says why.
        """
        from dvc_data.hashfile.hash_info import HashInfo

        named = {name for md5 in outputs for name in project.objects(self._root, md5)}
        here = {name for name in named if (self._root / project.CACHE / name).exists()}
        with translated("dvc push", remote=True), complaints() as said:
            failed = self._repo.cloud.push({HashInfo("md5", "".join(name.parts)) for name in here}).failed
            if failed:
                reason = f": {said[0]}" if said else ""
                told = f"{len(failed)} of {len(here)} files did not arrive{reason}"
                raise InfraError(told, "mend the remote, then: loopwright push")
        return len(named) - len(here)

    def pull(self, targets: Sequence[str] | None = None) -> None:
        """Fetch outputs (of stages, or by path; default: all) from the remote and link them into the workspace."""
        with self._at_work("dvc pull"):
            self._repo.pull(targets=self._targets(targets))

    def checkout(self, targets: Sequence[str] | None = None) -> None:
        """Put recorded outputs (of stages, or by path; default: all) from the cache in place of whatever is there."""
        with self._at_work("dvc checkout"):
            self._repo.checkout(targets=self._targets(targets), force=True)

    def restore(self, targets: Sequence[str]) -> None:
        """Bring recorded outputs back whatever happened: damaged objects leave the cache and are fetched again."""
        with self._at_work("dvc checkout"):
            paths = self._targets(targets)
            for output in lockfile.outputs(self._root):
                if self._absolute(output.path) in paths:
                    _drop_damaged(self._root, output.md5)
            self._repo.fetch(targets=paths)
            self._repo.checkout(targets=paths, force=True)

    def status(self) -> dict[str, Any]:
        """What `dvc status` says, by stage: empty where every dep and every output is as it was recorded."""
        with self._at_work("dvc status"):
            return self._changed()

    def stale(self) -> list[str]:
        """Stages that `dvc repro` would run again: those that changed and all that follow from them."""
        import networkx as nx

        with self._at_work("dvc status"):
            graph = self._repo.index.graph  # an edge leads from a stage to one that it depends on
            changed = self._changed()
            following = [nx.ancestors(graph, stage) | {stage} for stage in graph if stage.name in changed]
            return sorted({stage.name for stages in following for stage in stages})

    def close(self) -> None:
        """Release the project's databases."""
        self._repo.close()

    @contextmanager
    def _at_work(self, what: str) -> Iterator[None]:
        """Hold DVC's lock; waits for a dvc command that a person runs."""
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        deadline = time.monotonic() + _PATIENCE
        with translated(what), _nothing_kept(), ExitStack() as held:
            while True:
                try:
                    held.enter_context(lock_repo(self._repo))
                    break
                except LockError:
                    if time.monotonic() > deadline:
                        raise
            yield

    def _changed(self) -> dict[str, Any]:
        """By name, since DVC's own answer is by paths relative to the current directory."""
        stages: list[Any] = self._repo.index.stages
        found = {stage.name: stage.status() for stage in stages}
        return {name: entries for name, status in found.items() for entries in status.values()}

    def _absolute(self, path: str) -> str:
        return str(self._root / path)

    def _targets(self, targets: Sequence[str] | None) -> list[str]:
        """Absolute paths of outputs; none for all of them.

        DVC looks names up from the current directory, and deletes an output that is named by its path beside a stage.
        """
        paths = [target for target in targets or () if "/" in target]
        stages = {cycles.stage_name(self._root, target) for target in targets or () if "/" not in target}
        made = [output.path for output in lockfile.outputs(self._root, stages) if output.md5.endswith(".dir")]
        if targets is not None and not paths and not made:
            raise WorkspaceError(f"nothing is recorded of {', '.join(targets) or 'nothing'}", "dvc stage list")
        return [self._absolute(path) for path in (*made, *paths)]

    def _refresh(self, *, anew: bool = False) -> None:
        """Read ``dvc.yaml`` again if it or its maps changed."""
        seen = tuple(FileStat.of((self._root / name).stat()) for name in ("dvc.yaml", cycles.FILE))
        if seen == self._seen and not anew:
            return
        if anew or seen[0] not in self._seen:
            self._contents = None
        recorded, past = set(lockfile.names(self._root)), cycles.read_past(self._root)
        new = [name for name in past if f"past@{name}" not in recorded]
        self._stages = self._read_stages(new)
        for stage in (f"past@{name}" for name in new):
            if stage in self._stages:
                self._commit(stage, self._stages[stage], {})
        lockfile.keep(self._root, {*self._stages, *(f"past@{name}" for name in past)})
        while volumes.bind(self._root):  # their stages stay known here until the file is read again, and are not asked for
            seen = tuple(FileStat.of((self._root / name).stat()) for name in ("dvc.yaml", cycles.FILE))
        self._seen = seen

    def _read_stages(self, past: Sequence[str]) -> Any:
        """What ``dvc.yaml`` declares, by name; of the past only these cycles.

        DVC's own parsers take seconds for the lock file and the maps of a hundred cycles. The first is not needed here,
        and the second are handed over parsed. What is past and recorded is never recorded again.
        """
        from dvc.dvcfile import ProjectFile
        from dvc.exceptions import DvcException
        from dvc.stage.loader import StageLoader

        try:
            file = ProjectFile(self._repo, self._absolute("dvc.yaml"))
            self._contents = self._contents or file.contents
            maps = {**cycles.plain(self._root), "past": list(past)}
            values = [maps if name == cycles.FILE else name for name in self._contents.get("vars", [])]
            vars(file)["contents"] = {**self._contents, "vars": values}
            stages = StageLoader(file, file.contents, {})
            list(stages)
        except DvcException as error:
            raise WorkspaceError(f"dvc.yaml cannot be read: {error}", f"git diff dvc.yaml {cycles.FILE}") from error
        return stages

    def _tell(self, outputs: Mapping[str, Sealed], inputs: Mapping[str, Sealed]) -> None:
        """Put the md5 of each sealed file where DVC looks before it hashes."""
        from dvc.fs import localfs
        from dvc_data.hashfile.hash_info import HashInfo

        known = []
        for path, sealed in {**inputs, **outputs}.items():
            for file, name in _files(self._root / path, sealed):
                found = file.stat()
                if _same(file, FileStat.of(found), sealed, name):
                    info = {"ino": found.st_ino, "mtime": found.st_mtime, "size": found.st_size}
                    known.append((str(file), HashInfo("md5", sealed.md5s[name]), info))
                elif path in outputs:
                    raise IntegrityError(f"{file} was changed after it was sealed", "run the phase again")
        self._repo.state.save_many(known, localfs)

    def _commit(self, stage: str, made: Any, outputs: Mapping[str, Sealed]) -> None:
        """`dvc commit --force`, without parsing and rewriting the whole of ``dvc.lock``."""
        from dvc.stage.serialize import to_lockfile
        from dvc.utils.serialize import dumps_yaml

        with self._asking_git(made):
            made.save(run_cache=False)
        for out in made.outs:
            path = Path(out.fs_path).relative_to(self._root).as_posix()
            if path in outputs and _contents(out) != dict(outputs[path].md5s):
                raise IntegrityError(f"DVC would version other files of {path} than its manifest names", "look at .dvcignore")
        made.commit()
        for out in made.outs:
            if out.use_cache and out.hash_info.isdir:
                _sync(Path(out.cache.oid_to_path(out.hash_info.value)))
        lockfile.put(self._root, stage, dumps_yaml(to_lockfile(made)))

    @contextmanager
    def _asking_git(self, made: Any) -> Iterator[None]:
        """DVC refuses an output that git has, and reads all of git's index for each, in pure Python: git is asked itself."""
        paths = [Path(out.fs_path).relative_to(self._root).as_posix() for out in made.outs if out.use_cache]
        tracked = {str(self._root / name) for name in self._tracked({path.rpartition("/")[0] for path in paths})}
        asked = vars(self._repo.scm)
        asked["is_tracked"] = lambda path: any(name == path or name.startswith(f"{path}/") for name in tracked)
        try:
            yield
        finally:
            del asked["is_tracked"]

    def _tracked(self, folders: set[str]) -> list[str]:
        """What git has below these folders; asked again only where its index is another than when it was asked, or they are others."""
        file = self._root / ".git" / "index"
        index = FileStat.of(file.stat()) if file.exists() else None
        if index != self._asked[0] or not folders <= self._asked[1]:
            newest = {f"cycles/{name}" for name in list(cycles.read_cycles(self._root))[-1:]}  # who will be asked for next
            folders |= newest
            self._asked = index, folders, git.tracked(self._root, sorted(folders))
        return self._asked[2]


def _files(place: Path, sealed: Sealed) -> Iterator[tuple[Path, str]]:
    for name in sealed.stats:
        yield (place / name if place.is_dir() else place), name


def _same(file: Path, found: FileStat, sealed: Sealed, name: str) -> bool:
    """Also true of another file with the same bytes: DVC links equal files to one, and a kill may have come after that."""
    return found == sealed.stats[name] or measure(file, "file").md5s[file.name] == sealed.md5s[name]


def _contents(out: Any) -> dict[str, str]:
    """md5 by file name of what DVC found as an output."""
    if out.hash_info.isdir:
        return {"/".join(key): entry.value for key, _, entry in out.obj}
    return {Path(out.fs_path).name: out.hash_info.value}


def _protect(place: Path, sealed: Sealed) -> None:
    """Read-only, also where the file system has no hard links and DVC put writable copies in place."""
    for file, _ in _files(place, sealed):
        if file.stat().st_mode & 0o222:
            file.chmod(0o444)


def _drop_damaged(root: Path, md5: str) -> None:
    for name in project.objects(root, md5):
        file = root / project.CACHE / name
        if file.exists() and measure(file, "object").md5s[file.name] != "".join(name.parts).removesuffix(".dir"):
            file.unlink()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
