"""The driver's commits, one a cycle, at a cost that does not hang on how many cycles there were before.

git's index names every file of every cycle, and every command that knows of it reads all of it, and writes all of it where one name
changes: after ten thousand cycles that is 170,000 names, and a commit took a dozen such commands. So the driver keeps an index of its own beside git's:
all but the cycles that are over. What is new is found with it, and the commit's tree is made of its tree and the last commit's.
git's own index is told once a cycle, and before the branch moves: a kill in between leaves a change that is staged, as after `git add`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopwright.errors import InfraError
from loopwright.store import git

__all__ = ["Commits"]

_INDEX = Path(".loopwright", "git-index")
_PAST = "cycles"
"""Folder of which the own index has only what is being committed."""


class Commits:
    """A workspace's commits by one driver. Who else commits meanwhile is noticed by the branch, which is then read anew."""

    def __init__(self, root: Path) -> None:
        self._root, self._index = root, root.resolve() / _INDEX
        self._before: str | None = None
        """The commit that the own index was made from."""
        self._cycles: tuple[str, dict[bytes, tuple[bytes, bytes]]] = ("", {})
        """The folder of cycles in the newest commit: the tree's id, and what it holds."""

    def foreign(self, exclude: Sequence[str]) -> list[str]:
        """`git.dirty` of all but ``exclude``, to which ``cycles`` belongs. `git status` looks into every folder of every cycle."""
        self._ready()
        try:
            names = git.outside(self._root, exclude)
            ignored = self._said(
                "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", *sorted(names)
            )
            found = self._taken(sorted(names - {name.rstrip("/") for name in ignored}))
        except InfraError:  # what git cannot take in, it can still name
            found = git.dirty(self._root, exclude=exclude)
        if found:
            self._before = None  # it is none of ours
        return found

    def stage(self, paths: Sequence[str]) -> list[str]:
        """Take in these files and folders as they are now; which files below them differ from the last commit, sorted."""
        self._ready()
        own = [path for path in paths if path.startswith(f"{_PAST}/")]
        self._forget([path for path in self._names(_PAST) if not git.within([path], own)])
        top = git.outside(self._root, [_PAST]) | {path for path in own if os.path.lexists(self._root / path)}
        return self._taken([path for path in paths if path in top])

    def _taken(self, paths: Sequence[str]) -> list[str]:
        git.command(self._root, "add", "--all", "--", *paths, write=True, index=self._index)
        return sorted(self._said("diff-index", "--cached", "--name-only", "-z", "--no-renames", "HEAD", "--", *paths))

    def commit(self, message: str) -> str:
        """Commit what was staged; the commit's id."""
        before = str(self._before)
        made = git.enter(self._root, before, self._tree(before), message)
        self._tell(before, made)
        git.follow(self._root, before, made, message)
        self._before = made
        return made

    def _ready(self) -> None:
        """Let the own index be the last commit's, but for the cycles."""
        head = git.head(self._root)
        if head == self._before and self._index.exists():
            return
        names = [name for name in self._said("ls-tree", "--name-only", "-z", "HEAD") if name != _PAST]
        entries = git.command(self._root, "ls-tree", "-r", "-z", "HEAD", "--", *names)
        self._index.parent.mkdir(parents=True, exist_ok=True)
        self._index.unlink(missing_ok=True)
        self._index.with_name(f"{self._index.name}.lock").unlink(missing_ok=True)  # nobody but the driver writes it
        git.command(self._root, "update-index", "-z", "--index-info", write=True, index=self._index, data=entries)
        self._before = head

    def _said(self, *arguments: str) -> list[str]:
        return git.command(self._root, *arguments, index=self._index).split("\0")[:-1]

    def _names(self, folder: str) -> list[str]:
        return self._said("ls-files", "-z", "--", folder)

    def _forget(self, paths: Sequence[str]) -> None:
        if paths:
            data = "".join(f"{path}\0" for path in paths)
            git.command(self._root, "update-index", "--force-remove", "-z", "--stdin", write=True, index=self._index, data=data)

    def _tree(self, before: str) -> str:
        """The own index's tree, with the cycles that the commit ``before`` has besides."""
        made = git.command(
            self._root, "write-tree", "--missing-ok", write=True, index=self._index
        )  # all is committed or just added
        top, name = self._entries(made.strip()), _PAST.encode()
        trees = [tree[name][1].hex() for tree in (self._entries(before), top) if name in tree]
        cycles = dict[bytes, tuple[bytes, bytes]]()
        for tree in trees:
            cycles |= self._cycles[1] if tree == self._cycles[0] else self._entries(tree)
        if not cycles:
            return self._made(top)
        self._cycles = (self._made(cycles), cycles)
        return self._made(top | {name: (b"40000", bytes.fromhex(self._cycles[0]))})

    def _entries(self, tree: str) -> dict[bytes, tuple[bytes, bytes]]:
        """What a tree object holds: mode and id by name."""
        raw = os.fsencode(git.command(self._root, "cat-file", "tree", tree))
        entry = re.compile(rb"(\d+) ([^\0]+)\0(.{%d})" % (len(str(self._before)) // 2), re.DOTALL)
        return {name: (mode, digest) for mode, name, digest in entry.findall(raw)}

    def _made(self, entries: Mapping[bytes, tuple[bytes, bytes]]) -> str:
        """A tree object of these. `git mktree` would look up every one of them, and there are as many as cycles."""
        ordered = sorted(entries.items(), key=lambda one: one[0] + b"/" * one[1][0].startswith(b"4"))  # git's own order
        raw = b"".join(b"%s %s\0%s" % (mode, name, digest) for name, (mode, digest) in ordered)
        return git.command(self._root, "hash-object", "-t", "tree", "-w", "--stdin", write=True, data=os.fsdecode(raw)).strip()

    def _tell(self, before: str, made: str) -> None:
        """Let git's own index have what the new commit changes, and nothing else of what is staged in it."""
        told = self._said("diff-tree", "-r", "-z", "--no-renames", before, made)
        lines = []
        for meta, path in zip(told[::2], told[1::2], strict=True):  # ":100644 100644 OLD NEW M", then the path
            _, mode, _, digest, _ = meta.split()
            lines.append(f"{mode if int(mode) else 0} {digest}\t{path}\0")
        git.command(self._root, "update-index", "-z", "--index-info", write=True, data="".join(lines))
