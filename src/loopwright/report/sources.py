"""What a report is made from besides the record: declaration, template, style sheet and fonts, as bytes with one digest.

A folder of the workspace's ``reports/`` stands before the repository's, and that before the one in the wheel, so a lab
changes one document without copying the others. What was used is read once, into memory: nothing else can be reached
while a document is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import loopwright
from loopwright.errors import UsageError
from loopwright.types import Digest, digest_bytes, digest_value

__all__ = ["Sources", "documents", "find_sources", "places"]

THEME = "theme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of one document and of the theme, by path below ``reports/``."""

    document: str
    files: Mapping[str, bytes]

    @property
    def digest(self) -> Digest:
        """Identity of the sources: over paths and contents."""
        return digest_value({path: digest_bytes(data) for path, data in sorted(self.files.items())})

    def text(self, path: str) -> str:
        """A file as text; UsageError where it is missing."""
        if path not in self.files:
            raise UsageError(f"reports/{path} is missing", "put it back, or remove that folder of the workspace's reports/")
        return self.files[path].decode("utf-8")


def documents(root: Path) -> tuple[str, ...]:
    """Names of the documents that can be built for a workspace."""
    return tuple(sorted({path.parent.name for base in places(root) for path in base.glob("*/fields.yaml")}))


def find_sources(root: Path, document: str) -> Sources:
    """Read a document's folder and the theme, each from the first place that has it.

    Raises:
        UsageError: there is no document of that name.
    """
    known = documents(root)
    if document not in known:
        raise UsageError(f"there is no document {document!r}", f"one of: {', '.join(known) or 'none found'}")
    found: dict[str, bytes] = {}
    for folder in (document, THEME):
        base = next(base for base in places(root) if (base / folder).is_dir())
        found |= {path.relative_to(base).as_posix(): path.read_bytes() for path in sorted(_walk(base / folder))}
    return Sources(document=document, files=found)


def places(root: Path) -> tuple[Path, ...]:
    """In order of precedence: the workspace's, the wheel's, and in a checkout (where there is no wheel) the repository's."""
    packaged = Path(str(files(loopwright))) / "_template" / "reports"
    checkout = Path(loopwright.__file__).resolve().parents[2] / "reports"
    return (root / "reports", packaged if packaged.is_dir() else checkout)


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
