"""git: only what is named is committed, nothing of the machine gets in, and a killed command stops nobody."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from loopwright.errors import InfraError, WorkspaceError
from loopwright.store import git


def plain(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git.init(tmp_path)
    (tmp_path / "a").write_text("1", encoding="utf-8")
    git.commit(tmp_path, ["a"], "first")
    return tmp_path


def test_only_what_is_named_is_committed(root: Path) -> None:
    for name in ("b", "folder/c", "mine", "staged"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    plain(root, "add", "staged")
    made = git.commit(root, ["b", "folder", "not there"], "second")
    assert made == git.head(root) == plain(root, "rev-parse", "HEAD")
    assert plain(root, "show", "--name-only", "--format=%s").split() == ["second", "b", "folder/c"]
    assert plain(root, "status", "--porcelain").splitlines() == ["A  staged", "?? mine"]
    assert git.dirty(root) == ["mine", "staged"]
    assert git.dirty(root, exclude=["mine"]) == ["staged"]
    assert git.dirty(root, within=["mine", "b"]) == ["mine"]


def test_committing_twice_is_committing_once(root: Path) -> None:
    first = git.head(root)
    assert git.commit(root, ["a"], "again") == first
    (root / "a").unlink()
    second = git.commit(root, ["a"], "gone")
    assert second != first
    assert git.dirty(root) == []


def test_names_are_taken_literally(root: Path) -> None:
    for name in ("*.txt", "x.txt", ":(top)y", "umlaut ü"):
        (root / name).write_text("x", encoding="utf-8")
    git.commit(root, ["*.txt", ":(top)y", "umlaut ü"], "odd names")
    assert git.dirty(root) == ["x.txt"]


def test_folders_do_not_match_by_prefix(root: Path) -> None:
    for name in ("cycles/x", "cycles.yaml"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    assert git.dirty(root, exclude=["cycles"]) == ["cycles.yaml"]


def test_without_an_identity_it_is_ours(root: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    (root / "a").write_text("2", encoding="utf-8")
    git.commit(root, ["a"], "second")
    ours = "Loopwright <loopwright@localhost>"
    assert plain(root, "log", "-1", "--format=%an <%ae>|%cn <%ce>") == f"{ours}|{ours}"
    plain(root, "config", "user.name", "Ada")
    plain(root, "config", "user.email", "ada@example.org")
    (root / "a").write_text("3", encoding="utf-8")
    git.commit(root, ["a"], "third")
    assert plain(root, "log", "-1", "--format=%an <%ae>") == "Ada <ada@example.org>"


def test_no_hook_runs_and_no_outer_repository_is_taken(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in ("pre-commit", "commit-msg", "post-commit", "prepare-commit-msg"):
        file = root / ".git" / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text("#!/bin/sh\ntouch ran; exit 1\n", encoding="utf-8")
        file.chmod(0o755)
    other = tmp_path_factory.mktemp("other")
    git.init(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    (root / "a").write_text("2", encoding="utf-8")
    git.commit(root, ["a"], "second")
    assert git.dirty(root) == []
    assert git.head(other) is None
    assert not (root / "ran").exists()


def test_looking_takes_no_lock(root: Path) -> None:
    (root / ".git" / "index.lock").touch()
    assert git.dirty(root) == []
    assert git.head(root)
    assert git.show(root, "HEAD", "a") == b"1"


def test_the_lock_of_a_killed_command_is_removed(root: Path) -> None:
    (root / ".git" / "index.lock").touch()
    (root / "a").write_text("2", encoding="utf-8")
    begun = time.monotonic()
    git.commit(root, ["a"], "second")
    assert time.monotonic() - begun < 20
    assert git.dirty(root) == []


def test_the_lock_of_a_living_command_is_respected(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_PATIENCE", 1.0)
    monkeypatch.setattr(git, "_GRACE", 0.2)
    (root / ".git" / "index.lock").touch()
    (root / "a").write_text("2", encoding="utf-8")
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        with pytest.raises(WorkspaceError, match=r"index\.lock"):
            git.commit(root, ["a"], "second")
        assert living.stdin
        living.stdin.close()
    assert (root / ".git" / "index.lock").exists()


def test_a_clone_is_at_the_asked_commit_on_a_branch(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = git.head(root)
    (root / "a").write_text("2", encoding="utf-8")
    git.commit(root, ["a"], "second")
    target = tmp_path_factory.mktemp("clones") / "deep" / "clone"
    git.clone(root, target, first)
    assert git.head(target) == first
    assert plain(target, "symbolic-ref", "--short", "HEAD") == "main"
    assert (target / "a").read_text(encoding="utf-8") == "1"


def test_what_is_wrong_is_said(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Path(os.path.realpath("/")) / "tmp"
    with pytest.raises(WorkspaceError, match="is not a git repository"):
        git.head(outside)
    with pytest.raises(WorkspaceError, match="not in commit"):
        git.show(root, "HEAD", "nothing")
    with pytest.raises(WorkspaceError, match="does not exist"):
        git.dirty(tmp_path / "nowhere")
    with pytest.raises(InfraError, match="git clone failed"):
        git.clone(tmp_path / "nowhere", tmp_path / "clone")
    git.require()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="git is not installed"):
        git.require()
