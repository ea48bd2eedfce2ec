"""Mutants: the same program with one thing changed, in an order that depends on nothing but the program.

Operators, comparisons, constants, conditions and return values, as in the classic sets (DeMillo, Lipton and Sayward 1978).
The source is parsed in this process: it is a reference that a person answers for, never a candidate's.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

from loopwright.types import digest_bytes, seed_of

__all__ = ["chosen", "mutants"]

_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
Change = Callable[[ast.AST], None]
Site = tuple[int, Change]
"""A node of the function, by its place in `ast.walk`, and what is done to it."""


def mutants(source: str, entry: str) -> Iterator[tuple[int, str]]:
    """Line and text of each mutant; only what is inside the function ``entry`` is changed, its docstring never.

    Raises:
        ValueError: the source is no Python, or defines no function of that name at its top level.
    """
    tree = _parsed(source, entry)
    return (_mutant(tree, entry, site) for site in _sites(tree, entry))


def chosen(source: str, entry: str, most: int) -> list[str]:
    """Texts of at most so many different mutants, spread over all that there are; ValueError as in `mutants`."""
    tree, identity = _parsed(source, entry), digest_bytes(source.encode("utf-8", "surrogatepass"))
    sites = sorted(enumerate(_sites(tree, entry)), key=lambda site: seed_of("mutant", identity, site[0]))
    found: dict[str, None] = {}
    for _, site in sites:
        if len(found) == most:
            break
        found[_mutant(tree, entry, site)[1]] = None
    return list(found)


def _parsed(source: str, entry: str) -> ast.Module:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"the reference is no Python: {error}") from error
    if not any(isinstance(node, ast.FunctionDef) and node.name == entry for node in tree.body):
        raise ValueError(f"the reference defines no function {entry!r}")
    return tree


def _function(tree: ast.Module, entry: str) -> ast.FunctionDef:
    """The last of that name: the one that a call reaches."""
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry][-1]


def _sites(tree: ast.Module, entry: str) -> Iterator[Site]:
    for number, node in enumerate(ast.walk(_function(tree, entry))):
        for change in _changes(node):
            yield number, change


def _mutant(tree: ast.Module, entry: str, site: Site) -> tuple[int, str]:
    number, change = site
    fresh = copy.deepcopy(tree)
    function = _function(fresh, entry)
    node = list(ast.walk(function))[number]
    line = getattr(node, "lineno", function.lineno)
    change(node)
    return line, ast.unparse(ast.fix_missing_locations(fresh))


def _changes(node: ast.AST) -> Iterator[Change]:
    """What can be done to one node."""
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in _OPERATORS:
        yield _operator
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
        yield _comparison
    elif isinstance(node, ast.Constant) and type(node.value) in {int, bool, float}:
        yield _constant
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield _condition
    elif isinstance(node, ast.Return) and node.value is not None:
        yield _nothing


def _operator(node: ast.AST) -> None:
    assert isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp))  # noqa: S101  # by `_changes`
    node.op = _OPERATORS[type(node.op)]()


def _comparison(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)  # noqa: S101  # by `_changes`
    node.ops[0] = _OPERATORS[type(node.ops[0])]()


def _constant(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)  # noqa: S101  # by `_changes`
    node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]


def _condition(node: ast.AST) -> None:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))  # noqa: S101  # by `_changes`
    node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)


def _nothing(node: ast.AST) -> None:
    assert isinstance(node, ast.Return)  # noqa: S101  # by `_changes`
    node.value = ast.Constant(value=None)
