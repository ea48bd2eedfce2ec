"""git by its command line: a clean environment, no hooks, no prompts, no locks where nothing is written.

Only what is named is committed: what else a person has staged or changed stays as it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopwright.errors import InfraError, WorkspaceError

__all__ = [
    "clone",
    "command",
    "commit",
    "dirty",
    "enter",
    "follow",
    "head",
    "init",
    "outside",
    "plain",
    "require",
    "show",
    "tracked",
    "within",
]

_IDENTITY = ("Loopwright", "loopwright@localhost")
_KEPT = (
    *(
        "PATH",
        "HOME",
        "XDG_CONFIG_HOME",
        "TMPDIR",
        "SSH_AUTH_SOCK",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
    ),
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
)
_ALWAYS = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("commit.gpgSign", "false"),
    ("gc.autoDetach", "false"),  # nothing goes on in the background after a command has ended
    ("maintenance.autoDetach", "false"),
    ("core.fsync", "committed"),
    ("core.fsyncMethod", "batch"),
)
_LOCKED = re.compile(r"Unable to create '(?P<lock>[^']+\.lock)': File exists")
_PATIENCE = 30.0
"""Seconds to wait for another git command to let go of its lock."""
_GRACE = 1.0
"""Seconds after which a lock is a killed process's, where no git command is at work in the repository."""


def require() -> None:
    """WorkspaceError where git is not installed."""
    _run(Path.cwd(), ["version"])


def init(root: Path) -> None:
    """Make ``root`` a git repository (branch main) unless it is one."""
    if not (root / ".git").exists():
        command(root, "init", "--quiet", "--initial-branch=main")


def head(root: Path) -> str | None:
    """Id of the commit that is checked out; None before the first."""
    found = _run(root, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    _repository(root, found)
    return found.stdout.strip() or None


def dirty(root: Path, exclude: Sequence[str] = (), within: Sequence[str] | None = None) -> list[str]:
    """Paths that differ from the last commit or are new and not ignored, sorted.

    None below ``exclude`` is listed, and where ``within`` is given only what is below that. Nothing else is looked at: a long
    loop has files by the hundred thousand.
    """
    asked = sorted(outside(root, exclude)) if within is None else [path for path in within if not _below(path, exclude)]
    if not asked:
        return []
    looking = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *asked)
    paths = sorted({entry[3:] for entry in command(root, *looking).split("\0") if entry})
    return [path for path in paths if not _below(path, exclude) and (within is None or _below(path, within))]


def outside(root: Path, exclude: Sequence[str]) -> set[str]:
    """What lies at the top of the work tree, or did at the last commit, but for what is excluded."""
    if not exclude:
        return {"."}
    committed = _run(root, ["ls-tree", "--name-only", "-z", "HEAD"]).stdout.split("\0")
    return {name for name in (*os.listdir(root), *committed) if name and name != ".git" and not _below(name, exclude)}


def commit(root: Path, paths: Sequence[str], message: str) -> str:
    """Commit these files and directories as they are now and nothing else; the commit's id.

    Where none of them differs from the last commit there is no new one, and the last one's id is returned: done twice
    is done once. Without a configured identity it is `Loopwright <loopwright@localhost>`.
    """
    gone = [path for path in paths if not os.path.lexists(root / path)]
    known = tracked(root, gone)
    present = [path for path in paths if path not in gone or any(_below(name, [path]) for name in known)]
    before = head(root)
    if present:
        command(root, "add", "--all", "--", *present, write=True)
        if before is None:
            _porcelain(root, present, message)
        elif staged := command(root, "diff", "--cached", "--name-only", "-z", "--no-renames", "HEAD").split("\0")[:-1]:
            mine = [name for name in staged if _below(name, present)]
            if mine and (len(mine) < len(staged) or not plain(root)):
                _porcelain(root, present, message)
            elif mine:
                _plumbing(root, before, message)
    made = head(root)
    if made is None:
        raise WorkspaceError(f"nothing to commit in {root}", "git status")
    return made


def plain(root: Path) -> bool:
    """Nobody is in the middle of a merge or the like."""
    return (root / ".git").is_dir() and not any((root / ".git" / f"{name}_HEAD").exists() for name in ("MERGE", "CHERRY_PICK"))


def _porcelain(root: Path, present: Sequence[str], message: str) -> None:
    """What others have staged stays staged. Looks at every file that git knows."""
    command(root, "commit", "--quiet", "--no-verify", "--only", "--message", message, "--", *present, write=True)


def _plumbing(root: Path, before: str, message: str) -> None:
    """The same where nothing else is staged, at a cost that hangs on what is committed and not on all that ever was."""
    tree = command(root, "write-tree", write=True).strip()
    follow(root, before, enter(root, before, tree, message), message)


def enter(root: Path, before: str, tree: str, message: str) -> str:
    """Make a commit of a tree, after ``before``, that nothing names yet; its id."""
    return command(root, "commit-tree", tree, "-p", before, "-m", message, write=True).strip()


def follow(root: Path, before: str, made: str, message: str) -> None:
    """Let the branch go on from ``before`` to ``made``."""
    command(root, "update-ref", "-m", f"commit: {message}", "HEAD", made, before, write=True)
    _run(root, ["gc", "--auto", "--quiet"], write=True)


def tracked(root: Path, paths: Sequence[str]) -> list[str]:
    """Files below these paths that git knows, whether they are there or not."""
    return [name for name in command(root, "ls-files", "-z", "--", *paths).split("\0") if name] if paths else []


def clone(source: Path | str, target: Path, revision: str | None = None) -> None:
    """Clone a repository, without running anything that it holds; ``revision`` is what is then checked out (on a branch)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command(target.parent, "clone", "--quiet", "--no-hardlinks", str(source), str(target), write=True)
    if revision is not None:
        command(target, "reset", "--quiet", "--hard", revision, write=True)


def show(root: Path, revision: str, path: str) -> bytes:
    """Content of a committed file; WorkspaceError where that commit has none."""
    found = _call(root, ["show", f"{revision}:{path}"], {"GIT_OPTIONAL_LOCKS": "0"})
    if found.returncode:
        raise WorkspaceError(f"{path} is not in commit {revision}", "git log")
    return found.stdout


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(folder in {".", path} or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def within(paths: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Those of ``paths`` that are one of ``folders`` or below it."""
    return [path for path in paths if _below(path, folders)]


def _call(
    root: Path, arguments: Sequence[str], environment: Mapping[str, str], data: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git with nothing of the caller's GIT_DIR and the like (it may itself run in a hook), in a language that is known."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    fixed = {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1", "GIT_EDITOR": "true"}
    options = [part for name, value in _ALWAYS for part in ("-c", f"{name}={value}")]
    try:
        return subprocess.run(
            ["git", *options, *arguments],
            cwd=root,
            env={**kept, **fixed, **environment},
            input=data or b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        if not root.is_dir():
            raise WorkspaceError(f"{root} does not exist", "name an existing folder") from error
        raise WorkspaceError("git is not installed", "apt-get install git") from error


def _run(
    root: Path, arguments: Sequence[str], *, write: bool = False, index: Path | None = None, data: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {} if write else {"GIT_OPTIONAL_LOCKS": "0"}
    if write and arguments[0] in {"commit", "commit-tree"}:
        environment = _identity(root)
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    found = _call(root, arguments, environment, None if data is None else os.fsencode(data))
    out, err = (os.fsdecode(stream) for stream in (found.stdout, found.stderr))
    return subprocess.CompletedProcess(found.args, found.returncode, out, err)


def _identity(root: Path) -> dict[str, str]:
    """Ours, where the person has configured none: a commit must not fail for that."""
    return {
        f"GIT_{who}_{part}": ours
        for part, ours in zip(("NAME", "EMAIL"), _IDENTITY, strict=True)
        for who in ("AUTHOR", "COMMITTER")
        if f"GIT_{who}_{part}" not in os.environ and not _run(root, ["config", f"user.{part.lower()}"]).stdout.strip()
    }


def command(root: Path, *arguments: str, write: bool = False, index: Path | None = None, data: str | None = None) -> str:
    """What a git command says. ``index``: instead of git's own; ``data``: what it reads.

    Waits for another git command that is at work; InfraError where it fails.
    """
    begun = time.monotonic()
    while (found := _run(root, arguments, write=write, index=index, data=data)).returncode and (
        match := _LOCKED.search(found.stderr)
    ):
        _wait_or_break(root, Path(match["lock"]), time.monotonic() - begun)
    _repository(root, found)
    if found.returncode:
        problem = f"git {arguments[0]} failed in {root}: {found.stderr.strip()}"
        raise InfraError(problem, "see what git says, then run the same command again")
    return found.stdout


def _wait_or_break(root: Path, lock: Path, waited: float) -> None:
    """Wait for another git command; remove a lock that a killed one left behind."""
    if waited > _GRACE and not _git_runs(root):
        lock.unlink(missing_ok=True)
    elif waited > _PATIENCE:
        raise WorkspaceError(f"another git command holds {lock}", "wait until it has ended, then run the same command again")
    else:
        time.sleep(0.2)


def _git_runs(root: Path) -> bool:
    import psutil

    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"].startswith("git") and Path(process.cwd()).is_relative_to(root.resolve()):
                return True
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return False


def _repository(root: Path, found: subprocess.CompletedProcess[str]) -> None:
    if found.returncode and "not a git repository" in found.stderr:
        raise WorkspaceError(f"{root} is not a git repository", "git init (a workspace made by `loopwright init` is one)")
    if found.returncode and "dubious ownership" in found.stderr:
        raise WorkspaceError(f"{root} belongs to another user", f"git config --global --add safe.directory {root}")
