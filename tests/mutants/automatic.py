"""Small faults made by rule, each named so that it can be found again after a refactoring.

A fault is one changed expression in one statement of one function: ``a < b`` becomes ``a <= b``,
``+`` becomes ``-``, ``n`` becomes ``n + 1``, ``min`` becomes ``max``. Its name is the function, the
statement as Python itself would write it, and the change; file and line do not matter.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOMS = ("attacks", "metrics", "defenses")
A_FUNCTION = 3  # faults at most
OPERATORS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("argmin", "argmax"), ("any", "all"), ("mean", "sum"), ("log", "exp"),
    ("zeros", "ones"), ("floor", "ceil"), ("minimum", "maximum"), ("cumsum", "cumprod"),
)  # fmt: skip
NAMES = dict(_PAIRS) | {second: first for first, second in _PAIRS}
# No fault in what only a message says; the blocks of a statement are statements of their own.
SKIPPED = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True)
class Fault:
    """One fault; the first four alone decide whether two are the same."""

    function: str
    statement: str
    change: str
    nth: int  # of equal ones in the function
    file: str = field(compare=False)  # below the tree
    lines: tuple[int, int] = field(compare=False)  # of the statement, without its blocks

    def __str__(self) -> str:
        return f"{self.function} #{self.nth}: {self.change} in `{self.statement}`"


def sample(trees: list[Path], number: int, seed: int) -> tuple[list[list[Fault]], list[Fault]]:
    """So many faults of the first tree, drawn by a seed, that all trees have.

    Returns:
        Each fault as each tree has it; and those that were drawn and that another tree lacks.
    """
    drawn = _faults(trees[0], ROOMS)
    random.Random(seed).shuffle(drawn)
    others = [_faults(tree, ("",)) for tree in trees[1:]]
    chosen: list[list[Fault]] = []
    lost, many = [], Counter[str]()
    for fault in dict.fromkeys(drawn):
        many[fault.function] += 1
        if many[fault.function] <= A_FUNCTION and len(chosen) < number:
            found = [_find(fault, other) for other in others]
            if None in found:
                lost.append(fault)
            else:
                chosen.append([fault, *found])
    return chosen, lost


def broken(tree: Path, fault: Fault) -> str:
    """The source of the fault's file with the fault in it."""
    for one, module, old, new in _sites((tree / fault.file).read_text(), fault.file):
        if one == fault:
            return ast.unparse(ast.fix_missing_locations(_Swap(old, new).visit(module)))
    raise ValueError(f"{fault.file} has no such fault any more: {fault}")


def _faults(tree: Path, rooms: tuple[str, ...]) -> list[Fault]:
    files = sorted(file for room in rooms for file in (tree / "medpriv" / room).rglob("*.py"))
    named = ((file.read_text(), file.relative_to(tree).as_posix()) for file in files)
    return [fault for text, name in named for fault, *_ in _sites(text, name)]


def _find(fault: Fault, others: list[Fault]) -> Fault | None:
    """The same in another tree; else the only one like it in a function of another name."""
    same = [one for one in others if one == fault]
    if same:  # a name that several modules use: rather in the module that is called so
        return min(same, key=lambda one: Path(one.file).name != Path(fault.file).name)
    what = (fault.statement, fault.change, fault.nth)
    alike = [one for one in others if (one.statement, one.change, one.nth) == what]
    return alike[0] if len(alike) == 1 else None


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().visit(node)


def _sites(source: str, file: str) -> Iterator[tuple[Fault, ast.Module, ast.AST, ast.AST]]:
    module, seen = ast.parse(source), Counter[tuple[str, str, str]]()
    for function, statement in _statements(module.body, ""):
        parts = [value for name, value in ast.iter_fields(statement)
                 if name not in (*BLOCKS, "annotation")]  # fmt: skip
        flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        own = [one for one in flat if isinstance(one, (ast.expr, ast.withitem, ast.pattern))]
        text = f"{type(statement).__name__}: " + "; ".join(map(ast.unparse, own))
        ends = (getattr(one, "end_lineno", 0) for one in own)
        lines = (statement.lineno, max([statement.lineno, *ends]))
        whole = [statement] if isinstance(statement, ast.AugAssign) else []
        for old in (*whole, *(node for one in own for node in _inside(one))):
            for new in _changes(old, tested=old is getattr(statement, "test", None)):
                key = (function, text, f"{ast.unparse(old)} -> {ast.unparse(new)}")
                yield Fault(*key, seen[key], file, lines), module, old, new
                seen[key] += 1


def _statements(block: list, function: str) -> Iterator[tuple[str, ast.stmt]]:
    for statement in block:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            yield from _statements(statement.body, f"{function}.{statement.name}".lstrip("."))
            continue
        if function and isinstance(statement, ast.stmt) and not isinstance(statement, SKIPPED):
            yield function, statement
        for part in BLOCKS:
            yield from _statements(getattr(statement, part, []), function)


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.JoinedStr):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _inside(child)


def _changes(node: ast.AST, *, tested: bool) -> Iterator[ast.AST]:
    if tested:
        yield ast.UnaryOp(ast.Not(), node)
    match node:
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Compare(left=left, ops=[first, *ops], comparators=right):
            yield ast.Compare(left, [OPERATORS[type(first)](), *ops], right)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.AugAssign(target=left, op=op, value=right) if type(op) in OPERATORS:
            yield ast.AugAssign(left, OPERATORS[type(op)](), right)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(OPERATORS[type(op)](), values)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Name(id="min" | "max" | "any" | "all" as name):
            yield ast.Name(NAMES[name], node.ctx)
        case ast.Attribute(value=value, attr=name) if name in NAMES:
            yield ast.Attribute(value, NAMES[name], node.ctx)
