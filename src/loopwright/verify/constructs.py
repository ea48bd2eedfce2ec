"""What a program may not contain, found in its syntax tree, by a process that may die of it: run as a script by `loopwright.verify.scan`.

It reads ``{name: source}`` as JSON from stdin and writes ``{name: finding}``: null for a clean program, an empty text for
one that cannot be parsed, else the construct in words. Standard library only: it runs alone (``python -I -S``), since
Python's parser may end its process on text that was made for that.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator

__all__ = ["ALLOWED_IMPORTS", "BANNED_NAMES", "banned", "finding"]

ALLOWED_IMPORTS = frozenset(
    (
        *("__future__", "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions"),
        *("functools", "hashlib", "heapq", "itertools", "math", "numbers", "operator", "random", "re", "statistics", "string"),
        *("textwrap", "typing", "unicodedata"),
    )
)
"""Modules of plain computation. What the sandbox then has of them is its own affair."""
BANNED_NAMES = frozenset(
    (
        *("__builtins__", "__import__", "__loader__", "__spec__", "breakpoint", "compile", "delattr", "dir", "eval", "exec"),
        *("exit", "globals", "help", "input", "locals", "memoryview", "open", "quit", "setattr", "vars"),
    )
)
"""Names that reach the interpreter, its files or its person."""
_FRAMES = re.compile(r"(f_(globals|locals|back|builtins|code)|(gi|cr|ag)_(frame|code|await)|tb_(frame|next))")
"""Attributes by which a program leaves its own function."""
_PLAIN_ATTRIBUTES = frozenset(("__init__", "__name__", "__doc__"))
_DUNDER = re.compile(r"__[a-z]+__")
_PLAIN_TEXTS = frozenset(("__main__",))


def finding(source: str) -> str | None:
    """The first banned construct of a module, in words; None where there is none, an empty text where it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is between the model and itself
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ""
    return next(banned(tree), None)


def banned(tree: ast.AST) -> Iterator[str]:
    """Each banned construct of a module, in words."""
    for node in ast.walk(tree):
        for name in _imported(node):
            if name.partition(".")[0] not in ALLOWED_IMPORTS:
                yield f"import {name[:40]}"
        match node:
            case ast.Name(id=name) if name in BANNED_NAMES:
                yield f"name {name}"
            case ast.Attribute(attr=name) if _reaches_out(name):
                yield f"attribute {name[:40]}"
            case ast.Constant(value=str(text)) if text not in _PLAIN_TEXTS and (dunder := _DUNDER.search(text)):
                yield f"text {dunder[0][:40]}"  # for getattr, attrgetter and format, which take names as text
            case ast.Call(func=ast.Name(id="getattr"), args=[_, name, *_]) if not isinstance(name, ast.Constant):
                yield "getattr of a computed name"


def _reaches_out(attribute: str) -> bool:
    dunder = attribute.startswith("__") and attribute not in _PLAIN_ATTRIBUTES
    return dunder or _FRAMES.fullmatch(attribute) is not None


def _imported(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}"]
    return []


if __name__ == "__main__":
    json.dump({name: finding(source) for name, source in json.load(sys.stdin).items()}, sys.stdout)
