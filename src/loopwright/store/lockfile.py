"""``dvc.lock`` as text: one block of lines a stage, put in place or taken out without reading the rest.

DVC parses and writes the whole file anew for every stage that it records, in pure Python: with 100 cycles that is seven
seconds a phase. The blocks are written by DVC's own serialiser; only where they go is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import IntegrityError
from loopwright.store.files import write_atomic
from loopwright.store.hashing import FileStat

__all__ = ["FILE", "VOLUMES", "LockedOutput", "copy", "inputs", "keep", "names", "outputs", "outputs_in", "put"]

FILE = "dvc.lock"
VOLUMES = "past"
"""Folder of bound cycles, each with a lock of its own (`loopwright.store.volumes`)."""

_HEAD = "schema: '2.0'\nstages:\n"
_EMPTY = "schema: '2.0'\nstages: {}\n"
_NAME = re.compile(r"^  (\S+):$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedOutput:
    """An output as ``dvc.lock`` has it."""

    path: str
    md5: str
    """DVC's address; ends in ``.dir`` for a directory."""


def put(root: Path, stage: str, entry: str) -> None:
    """Enter ``entry``, the YAML of ``{stage: ...}``, in place of what is recorded of that stage, or at the end."""
    blocks = _read(root)
    new = "".join(f"  {line}\n" for line in entry.splitlines())
    if blocks.get(stage) != new:
        _write(root, blocks | {stage: new})


def keep(root: Path, stages: Collection[str]) -> None:
    """Take out every stage that is not among ``stages``."""
    blocks = _read(root)
    if any(name not in stages for name in blocks):
        _write(root, {name: block for name, block in blocks.items() if name in stages})


def copy(root: Path, volume: Path, stages: Collection[str]) -> None:
    """Let the lock of ``volume`` hold what this one has of ``stages``."""
    blocks = {name: block for name, block in _read(root).items() if name in stages}
    write_atomic(volume / FILE, _text(blocks))


def names(root: Path) -> list[str]:
    """Recorded stages, in order; those of bound volumes are not among them."""
    return list(_read(root))


def outputs(root: Path, stages: Collection[str] | None = None) -> list[LockedOutput]:
    """Outputs of the given stages, or of all, that are recorded, in volumes as well."""
    return [
        output for name, block in _found(root, stages) if stages is None or name in stages for output in _outputs(name, block)
    ]


def inputs(root: Path) -> list[LockedOutput]:
    """What recorded stages depend on, outputs of other cycles among it."""
    return [used for name, block in _found(root, None) for used in _entries(name, block, "deps")]


def _found(root: Path, stages: Collection[str] | None) -> Iterator[tuple[str, str]]:
    """The blocks in which these stages are; volumes are opened only where one is asked for that the root has not."""
    here = _read(root)
    yield from here.items()
    if stages is None or any(name not in here for name in stages):
        for file in sorted((root / VOLUMES).glob(f"*/{FILE}")):
            yield from _blocks(file.read_text(encoding="utf-8"), str(file)).items()


def outputs_in(text: str) -> list[LockedOutput]:
    """Outputs of every stage in the text of a ``dvc.lock`` (of another commit, for example); IntegrityError where it is none."""
    return [output for name, block in _blocks(text, FILE).items() for output in _outputs(name, block)]


def _outputs(stage: str, block: str) -> Iterator[LockedOutput]:
    return _entries(stage, block, "outs")


def _entries(stage: str, block: str, part: str) -> Iterator[LockedOutput]:
    import yaml

    # BaseLoader: a digest that looks like a number stays text.
    entry = yaml.load(block, Loader=yaml.CBaseLoader)[stage]  # noqa: S506  # makes text, lists and maps, nothing else
    for output in entry.get(part, []):
        yield LockedOutput(path=output["path"], md5=output["md5"])


_seen: dict[Path, tuple[FileStat, dict[str, str]]] = {}
"""The blocks of the file as it was last read or written: a long loop's has megabytes, and every phase comes by here."""


def _read(root: Path) -> dict[str, str]:
    path = root / FILE
    try:
        found = FileStat.of(path.stat())
        if path in _seen and _seen[path][0] == found:
            return _seen[path][1]
        blocks = _blocks(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}
    _seen.clear()  # of one workspace at a time
    _seen[path] = found, blocks
    return blocks


def _blocks(text: str, where: str) -> dict[str, str]:
    head, blocks, name = "", dict[str, str](), ""
    for line in text.splitlines(keepends=True):
        if match := _NAME.match(line):
            name = match[1]
            blocks[name] = line
        elif name and line.startswith("    "):
            blocks[name] += line
        elif name:
            head = "?"  # something follows the stages that neither DVC nor we put there
        else:
            head += line
    if head != (_HEAD if blocks else _EMPTY):
        raise IntegrityError(f"{where} is not as DVC wrote it", f"git checkout -- {FILE}")
    return blocks


def _write(root: Path, blocks: dict[str, str]) -> None:
    path = root / FILE
    write_atomic(path, _text(blocks))
    _seen.clear()
    _seen[path] = FileStat.of(path.stat()), blocks


def _text(blocks: dict[str, str]) -> bytes:
    return (_HEAD + "".join(blocks.values()) if blocks else _EMPTY).encode()
