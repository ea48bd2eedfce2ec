"""What a report is made from besides the record: declaration, labels, law, template, style sheet and fonts, as bytes with one digest.

A folder of the workspace's ``reports/`` stands before the repository's, and that before the one in the wheel, so a lab
changes one document without copying the others. What was used is read once, into memory: nothing else can be reached
while a document is set.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, Template, TemplateError

import loopwright
from loopwright.errors import UsageError
from loopwright.report.format import environment
from loopwright.types import Digest, digest_bytes, digest_value

__all__ = ["Sources", "documents", "find_sources", "places"]

THEME = "theme"
LAW = "law.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of one document, of the theme, and the law, by path below ``reports/``."""

    document: str
    files: Mapping[str, bytes]

    @property
    def digest(self) -> Digest:
        """Identity of the sources: over paths and contents."""
        return digest_value({path: digest_bytes(data) for path, data in sorted(self.files.items())})

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that both the document and the theme have words in."""
        return tuple(sorted(_languages(self.files, self.document) & _languages(self.files, THEME), key=_english_first))

    def read(self, path: str) -> bytes:
        """A file; UsageError where it is missing."""
        if path not in self.files:
            raise UsageError(f"reports/{path} is missing", "put it back, or remove that folder of the workspace's reports/")
        return self.files[path]

    def compiled(self, path: str) -> Template:
        """A template, which may import others of these sources; UsageError with file and line where it is none."""
        self.read(path)
        try:
            return _engine(tuple((name, data) for name, data in self.files.items() if name.endswith(".j2"))).get_template(path)
        except (TemplateError, UnicodeDecodeError) as error:
            where = f"reports/{getattr(error, 'name', None) or path}:{getattr(error, 'lineno', 1)}"
            raise UsageError(f"{where}: {error}", "compare it with reports/theme/document.html.j2") from error


@functools.lru_cache(maxsize=32)
def _engine(templates: tuple[tuple[str, bytes], ...]) -> Environment:
    known = dict(templates)
    return environment(lambda name: known[name].decode("utf-8") if name in known else None)


def _english_first(language: str) -> tuple[bool, str]:
    return (language != "en", language)


def _languages(paths: Mapping[str, bytes], folder: str) -> set[str]:
    names = (path.removeprefix(f"{folder}/") for path in paths if path.startswith(f"{folder}/labels."))
    return {name.split(".")[1] for name in names if name.count(".") == 2 and name.endswith(".yaml")}


def documents(root: Path) -> tuple[str, ...]:
    """Names of the documents that can be built for a workspace."""
    return tuple(sorted({path.parent.name for base in places(root) for path in base.glob("*/fields.yaml")}))


def find_sources(root: Path, document: str) -> Sources:
    """Read a document's folder, the theme and the law, each from the first place that has it.

    Raises:
        UsageError: there is no document of that name.
    """
    known = documents(root)
    if document not in known:
        near = difflib.get_close_matches(document, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"there is no document {document!r}{hint}", f"one of: {', '.join(known) or 'none found'}")
    found: dict[str, bytes] = {}
    for folder in (document, THEME):
        base = next(base for base in places(root) if (base / folder).is_dir())
        found |= {path.relative_to(base).as_posix(): path.read_bytes() for path in sorted(_walk(base / folder))}
    law = next((base / LAW for base in places(root) if (base / LAW).is_file()), None)
    if law is not None:
        found[LAW] = law.read_bytes()
    return Sources(document=document, files=found)


def places(root: Path) -> tuple[Path, ...]:
    """In order of precedence: the workspace's, the wheel's, and in a checkout (where there is no wheel) the repository's."""
    packaged = Path(str(files(loopwright))) / "_template" / "reports"
    checkout = Path(loopwright.__file__).resolve().parents[2] / "reports"
    return (root / "reports", packaged if packaged.is_dir() else checkout)


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
