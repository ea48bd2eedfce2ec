"""A program without what nobody means by it: comments, layout, the names it gives. Run as a script by `loopwright.verify.nearness`.

It reads ``{name: source}`` as JSON from stdin and writes ``{name: normal form}``, null where there is none. Standard library
only, and alone in its process, as `loopwright.verify.constructs`.
"""

from __future__ import annotations

import ast
import json
import sys
import warnings

__all__ = ["normal"]


def normal(source: str) -> str | None:
    """The program as Python writes it, its own names numbered in the order in which they appear; None where it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
            own: dict[str, str] = {}
            for node in ast.walk(tree):
                for field in _bound(node):
                    own.setdefault(getattr(node, field), f"n{len(own)}")
            for node in ast.walk(tree):
                for field in ("id", "arg", "name"):
                    if (said := getattr(node, field, None)) in own and not isinstance(node, ast.keyword):
                        setattr(node, field, own[said])
            return ast.unparse(tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _bound(node: ast.AST) -> tuple[str, ...]:
    """Fields of a node that give a name."""
    match node:
        case ast.Name(ctx=ast.Store()):
            return ("id",)
        case ast.arg():
            return ("arg",)
        case ast.FunctionDef() | ast.ClassDef():
            return ("name",)
    return ()


if __name__ == "__main__":
    json.dump({name: normal(source) for name, source in json.load(sys.stdin).items()}, sys.stdout)
