"""Which figures and claims of a chapter come from recorded tables, and not from the run itself.

An author says nothing of it and so cannot forget it: it is read from the chapter's code. A name
that is computed from a table, in however many steps, carries the table along, and so does a
statement that mentions the name. What is computed from both, a table and the run, counts as
recorded. A statement in doubt counts, too: better one mark too many than one too few.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Place = tuple[int, int]  # which of the cells that were run, from 1, and a line in it, from 1
Tables = frozenset[str]

_NONE: Final[Tables] = frozenset()
_ALTERING: Final = ("add", "append", "extend", "insert", "setdefault", "update")


def place_now(shell: Any) -> Place | None:
    """Where in a notebook the code is that runs now, outside of functions; nowhere in a script."""
    names = getattr(shell, "user_ns", None)
    frame, line = sys._getframe(1), 0
    while names is not None and frame is not None:
        if frame.f_globals is names:
            line = frame.f_lineno  # the last one found is the cell's own
        frame = frame.f_back
    # Not its execution_count, which some versions of IPython raise before a cell, some after it.
    return (len(_cells_of(shell)) - 1, line) if line else None


def _cells_of(shell: Any) -> list[str]:
    """The cells that a notebook has run, in order; position 0 is empty, as in ``In``."""
    history = getattr(shell, "history_manager", None)
    return list(history.input_hist_parsed) if history is not None else []


def tables_behind(shell: Any, places: Sequence[Place | None]) -> list[list[str] | None]:
    """The recorded tables behind what was recorded at each place; ``None`` where none is known."""
    found = iter(recorded_in(_cells_of(shell), [place for place in places if place]))
    return [sorted(next(found)) if place else None for place in places]


def marked(
    entries: Iterable[dict[str, Any]], origins: Iterable[list[str] | None]
) -> list[dict[str, Any]]:
    """Figures or claims, each with the recorded tables that it draws on, under ``recorded``.

    The list is empty where it comes from the run alone, and ``None`` outside a notebook, where
    nobody knows.
    """
    pairs = zip(entries, origins, strict=True)
    return [entry | {"recorded": tables} for entry, tables in pairs]


def recorded_in(cells: Sequence[str], places: Iterable[Place]) -> list[Tables]:
    """The recorded tables that the statement at each place draws on.

    Args:
        cells: the cells in the order in which they ran, as plain Python; a place's cell is a
            position in them.
        places: cell and line.

    Returns:
        The tables' names, for each place. Where a name is not written out but computed, it is the
        code that computes it.
    """
    flow, found = _Flow(), []
    for cell in cells:
        flow.statements = {}
        with contextlib.suppress(SyntaxError):  # a cell that could not run
            flow.run(ast.parse(cell).body)
        found.append(flow.statements)
    return [_at(found[cell], line) if cell < len(found) else _NONE for cell, line in places]


def _at(statements: dict[tuple[int, int], Tables], line: int) -> Tables:
    around = [span for span in statements if span[0] <= line <= span[1]]
    return statements[min(around, key=lambda span: span[1] - span[0])] if around else _NONE


@dataclass
class _Flow:
    """What each name draws on, while the code is followed from above to below."""

    names: dict[str, Tables] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    statements: dict[tuple[int, int], Tables] = field(default_factory=dict)
    entered: Tables = _NONE  # functions that are being followed

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Follow statements; both ways of a branch, and a loop twice, for what it hands on."""
        for one in body:
            if isinstance(one, ast.FunctionDef):
                self.names.pop(one.name, None)
                self.functions[one.name] = one
                continue
            if isinstance(one, ast.For):
                self.bind(one.target, self.of(one.iter))
            elif isinstance(one, ast.With):
                for item in one.items:
                    if item.optional_vars is not None:
                        self.bind(item.optional_vars, self.of(item.context_expr))
            elif isinstance(one, ast.Assign | ast.AnnAssign | ast.AugAssign):
                self._assign(one)
            elif isinstance(one, ast.Expr):
                self._alter(one.value)
            ways = _ways(one)
            for _ in range(2 if isinstance(one, ast.For | ast.While) else 1):
                self._branch(ways)
            if not ways:
                span = (one.lineno, one.end_lineno or one.lineno)
                self.statements[span] = self.statements.get(span, _NONE) | self.of(one)

    def _branch(self, ways: list[list[ast.stmt]]) -> None:
        before = dict(self.names)
        after = dict(before)  # perhaps no way is taken
        for way in ways:
            self.names = dict(before)
            self.run(way)
            for name, tables in self.names.items():
                after[name] = after.get(name, _NONE) | tables
        self.names = after

    def _assign(self, one: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        targets = one.targets if isinstance(one, ast.Assign) else [one.target]
        value = one.value
        for target in targets:
            pair = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            if pair and len(target.elts) == len(value.elts):
                found = [self.of(part) for part in value.elts]
                for part, tables in zip(target.elts, found, strict=True):
                    self.bind(part, tables)
            elif value is not None:
                kept = self.of(target) if isinstance(one, ast.AugAssign) else _NONE
                self.bind(target, self.of(value) | kept)

    def _alter(self, call: ast.expr) -> None:
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            return
        if call.func.attr in _ALTERING and isinstance(call.func.value, ast.Name):
            name = call.func.value.id
            self.names[name] = self.names.get(name, _NONE) | self.of(call)

    def bind(self, target: ast.expr, tables: Tables) -> None:
        """A name draws on this from now on; what is only a part of something adds to it."""
        if isinstance(target, ast.Name):
            self.names[target.id] = tables
            self.functions.pop(target.id, None)
            return
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self.bind(part, tables)
            return
        base: ast.AST = target
        while isinstance(base, ast.Attribute | ast.Subscript | ast.Starred):
            base = base.value
        if isinstance(base, ast.Name):
            self.names[base.id] = self.names.get(base.id, _NONE) | tables

    def of(self, node: ast.AST) -> Tables:
        """The tables that an expression draws on."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, _NONE) | self._body(node.id)
        if isinstance(node, ast.Call) and _reads_table(node.func):
            given = node.args[0] if node.args else node
            name = given.value if isinstance(given, ast.Constant) else ast.unparse(given)
            return frozenset([str(name)])
        if isinstance(node, ast.Attribute) and _reads_table(node):  # under another name
            return frozenset([ast.unparse(node)])
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp
                      | ast.GeneratorExp):  # fmt: skip
            return self._scope(node)
        found = frozenset[str]().union(*map(self.of, ast.iter_child_nodes(node)))
        if isinstance(node, ast.NamedExpr):
            self.bind(node.target, found)
        return found

    def _inside(self, entered: Tables) -> _Flow:
        return _Flow(dict(self.names), dict(self.functions), {}, entered)

    def _scope(self, node: ast.AST) -> Tables:
        inside = self._inside(self.entered)
        found = _NONE
        for loop in getattr(node, "generators", []):
            told = inside.of(loop.iter)
            inside.bind(loop.target, told)
            found = found.union(told, *map(inside.of, loop.ifs))
        if isinstance(node, ast.Lambda):
            inside._shadow(node.args)
            return inside.of(node.body)
        parts = [getattr(node, name, None) for name in ("elt", "key", "value")]
        return found.union(*(inside.of(part) for part in parts if part is not None))

    def _body(self, name: str) -> Tables:
        function = self.functions.get(name)
        if function is None or name in self.entered:
            return _NONE
        inside = self._inside(self.entered | {name})
        inside._shadow(function.args)
        inside.run(function.body)
        return frozenset[str]().union(*inside.statements.values())

    def _shadow(self, given: ast.arguments) -> None:
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if one is not None:
                self.names.pop(one.arg, None)
                self.functions.pop(one.arg, None)


def _ways(one: ast.stmt) -> list[list[ast.stmt]]:
    """The bodies of a statement, each of which may run or not."""
    parts = (one, *getattr(one, "handlers", []), *getattr(one, "cases", []))
    found = (getattr(part, name, []) for part in parts for name in ("body", "orelse", "finalbody"))
    return [body for body in found if body]


def _reads_table(function: ast.expr) -> bool:
    # By its name alone: a variable that is called so is no function.
    named = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return named == "recorded"
