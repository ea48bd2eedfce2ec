"""Mutants: the same program with one thing changed, in an order that depends on nothing but the program.

Operators, comparisons, constants, conditions and return values, as in the classic sets (DeMillo, Lipton and Sayward 1978).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

__all__ = ["mutants"]

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


def mutants(source: str, entry: str) -> Iterator[tuple[int, str]]:
    """Line and text of each mutant; only what is inside the function ``entry`` is changed, its docstring never."""
    tree = ast.parse(source)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry)
    for number, node in enumerate(ast.walk(function)):
        for change in _changes(node):
            fresh = copy.deepcopy(tree)
            again = next(each for each in fresh.body if isinstance(each, ast.FunctionDef) and each.name == entry)
            change(list(ast.walk(again))[number])
            yield getattr(node, "lineno", function.lineno), ast.unparse(ast.fix_missing_locations(fresh))


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
    assert isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp))
    node.op = _OPERATORS[type(node.op)]()


def _comparison(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops[0] = _OPERATORS[type(node.ops[0])]()


def _constant(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)
    node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]


def _condition(node: ast.AST) -> None:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))
    node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)


def _nothing(node: ast.AST) -> None:
    assert isinstance(node, ast.Return)
    node.value = ast.Constant(value=None)
