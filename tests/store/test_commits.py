"""The driver's commits: what git's own way would have made, and at a cost that does not hang on how many cycles there were."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from loopwright.store import git
from loopwright.store.commits import Commits
from loopwright.store.files import drop_drafts, write_atomic
from loopwright.types import cycle_name

OWN = ("cycles", "ledger", "dvc.lock", "answers")


def plain(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def write(root: Path, *paths: str, text: str = "x") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text} {path}", encoding="utf-8")


def turned(root: Path, number: int) -> tuple[str, ...]:
    """The files of one more cycle; where they lie."""
    name = cycle_name(number)
    write(
        root, f"cycles/{name}/decision.json", f"cycles/{name}/manifests/model.json", f"ledger/checkpoints/{number}", "dvc.lock"
    )
    write(root, "dvc.lock", text=name)
    return (f"cycles/{name}", "ledger", "dvc.lock", "answers")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git.init(tmp_path)
    write(tmp_path, "loop.yaml", "flows/cycle.py")
    (tmp_path / ".gitignore").write_text("/.loopwright/\nmodel/\n", encoding="utf-8")
    write(tmp_path, "ledger/checkpoints/0", "dvc.lock")
    git.commit(tmp_path, ["."], "genesis")  # there is no cycle yet
    return tmp_path


def test_a_commit_is_the_one_that_git_would_have_made(root: Path) -> None:
    made = Commits(root)
    for number in range(1, 4):
        paths = turned(root, number)
        write(root, f"cycles/{cycle_name(number)}/model/weights")  # DVC's
        (root / f"ledger/checkpoints/{number - 1}").unlink()
        name = cycle_name(number)
        assert made.stage(paths) == [
            f"cycles/{name}/decision.json",
            f"cycles/{name}/manifests/model.json",
            "dvc.lock",
            f"ledger/checkpoints/{number - 1}",
            f"ledger/checkpoints/{number}",
        ]
        assert made.commit(f"{name}: reject") == git.head(root)
        assert git.dirty(root) == []
        tree = plain(root, "rev-parse", "HEAD^{tree}")
        plain(root, "rm", "-r", "-q", "--cached", ".")
        plain(root, "add", "--all")
        assert plain(root, "write-tree") == tree
        assert made.stage(paths) == []
    assert plain(root, "log", "--format=%s").splitlines() == ["c0003: reject", "c0002: reject", "c0001: reject", "genesis"]
    assert plain(root, "fsck", "--strict", "--no-dangling") == ""


def test_what_a_person_has_changed_or_staged_stays_theirs(root: Path) -> None:
    made = Commits(root)
    assert made.foreign(OWN) == []
    write(root, "staged", "mine", "loop.yaml", text="new")
    plain(root, "add", "staged")
    assert made.foreign(OWN) == git.dirty(root, exclude=OWN) == ["loop.yaml", "mine", "staged"]
    made.stage(turned(root, 1))
    made.commit("c0001: reject")
    assert plain(root, "show", "--name-only", "--format=").splitlines() == [
        "cycles/c0001/decision.json",
        "cycles/c0001/manifests/model.json",
        "dvc.lock",
        "ledger/checkpoints/1",
    ]
    assert plain(root, "status", "--porcelain").splitlines() == [
        "M loop.yaml",
        "A  staged",
        "?? mine",
    ]  # the first line is stripped
    plain(root, "commit", "--quiet", "--all", "--message", "a person's")
    assert made.foreign(OWN) == ["mine"]
    made.stage(turned(root, 2))
    made.commit("c0002: reject")
    assert plain(root, "log", "--format=%s").splitlines() == ["c0002: reject", "a person's", "c0001: reject", "genesis"]
    assert git.dirty(root) == ["mine"]


def test_a_repository_within_is_named_and_not_taken_in(root: Path) -> None:
    (root / "nested").mkdir()
    plain(root / "nested", "init", "--quiet")  # no commit: git refuses to add it
    write(root, "nested/file")
    assert Commits(root).foreign(OWN) == git.dirty(root, exclude=OWN) == ["nested/"]


def test_a_kill_before_the_branch_moves_loses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, before = turned(root, 1), git.head(root)
    made = Commits(root)
    made.stage(paths)
    with monkeypatch.context() as killed:
        killed.setattr(git, "follow", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made.commit("c0001: reject")
    assert git.head(root) == before
    assert git.dirty(root, within=paths) == [
        "cycles/c0001/decision.json",
        "cycles/c0001/manifests/model.json",
        "dvc.lock",
        "ledger/checkpoints/1",
    ]
    git.commit(root, paths, "c0001: reject")  # as the next run's first commit does
    assert git.dirty(root) == []
    assert plain(root, "show", "HEAD:dvc.lock") == "c0001 dvc.lock"


def test_what_a_kill_left_half_written_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ".mine.new", ".cycles.yaml.new", "cycles.yaml")
    with monkeypatch.context() as killed:
        killed.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        killed.setattr("os.unlink", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            write_atomic(tmp_path / "cycles.yaml", b"more")
    assert len(list(tmp_path.iterdir())) == 4
    drop_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cycles.yaml.new", ".mine.new", "cycles.yaml"]


def test_the_cost_of_a_commit_does_not_hang_on_the_cycles_before_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that read git's own index, and names in the driver's, after three cycles and after sixty."""
    reading, called = [], git._call

    def counted(root: Path, arguments: list[str], environment: dict[str, str], data: bytes | None = None) -> object:
        about_trees = {
            "rev-parse",
            "ls-tree",
            "cat-file",
            "hash-object",
            "commit-tree",
            "update-ref",
            "diff-tree",
            "config",
            "gc",
        }
        if "GIT_INDEX_FILE" not in environment and arguments[0] not in about_trees:
            reading.append(arguments[0])
        return called(root, arguments, environment, data)

    monkeypatch.setattr(git, "_call", counted)
    made, names = Commits(root), list[int]()
    for number in (1, 2, 3):
        if number == 3:
            for past in range(3, 60):
                turned(root, past)
            git.commit(root, ["."], "fifty-seven cycles by another hand")
        paths = turned(root, 100 + number)
        reading.clear()
        made.foreign(OWN)
        made.stage(paths)
        made.commit("reject")
        assert reading == ["update-index"]
        mine = subprocess.run(
            ["git", "ls-files", "cycles"],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
            env={"GIT_INDEX_FILE": str(root / ".loopwright" / "git-index"), "PATH": "/usr/bin:/bin"},
        )
        names.append(len(mine.stdout.splitlines()))
    assert names == [2, 2, 2]
