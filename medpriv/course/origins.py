"""Which figures and claims of a chapter come from recorded tables, and not from the run itself.

An author says nothing of it and so cannot forget it: it is read from the chapter's code. A name
that is set by a statement of a cell that mentions a table, or another such name, carries the table
along. A loop is one statement. What is computed from both, a table and the run, counts as recorded:
better one mark too many than one too few.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterable, Sequence
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
    names: dict[str, Tables] = {}
    found: list[dict[int, Tables]] = []  # by line of each cell
    for cell in cells:
        lines: dict[int, Tables] = {}
        with contextlib.suppress(SyntaxError):  # a cell that could not run
            for one in ast.parse(cell).body:
                drawn, changed = _drawn(one, names), _changed(one)
                surely = isinstance(one, ast.Assign | ast.For | ast.With)
                for name, anew in changed.items():
                    names[name] = drawn if surely and anew else names.get(name, _NONE) | drawn
                lines |= dict.fromkeys(range(one.lineno, (one.end_lineno or one.lineno) + 1), drawn)
        found.append(lines)
    return [found[cell].get(line, _NONE) if cell < len(found) else _NONE for cell, line in places]


def _drawn(statement: ast.stmt, names: dict[str, Tables]) -> Tables:
    """The tables that a statement mentions, by themselves or by a name that carries them along."""
    found = _NONE
    own = _own_names(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in own:
            found |= names.get(node.id, _NONE)
        elif isinstance(node, ast.Call) and _reads_table(node.func):
            given = node.args[0] if node.args else node
            name = given.value if isinstance(given, ast.Constant) else ast.unparse(given)
            found |= {str(name)}
    return found


def _changed(statement: ast.stmt) -> dict[str, bool]:
    """The names that a statement changes, and whether they are set anew or only added to."""
    found: dict[str, bool] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef):
            found[node.name] = True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id, True)
        elif isinstance(node, ast.Attribute | ast.Subscript):
            adds = isinstance(node, ast.Attribute) and node.attr in _ALTERING
            base: ast.AST = node
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            if isinstance(base, ast.Name) and (adds or isinstance(node.ctx, ast.Store)):
                found[base.id] = False
    return found


def _own_names(statement: ast.stmt) -> set[str]:
    """Names that mean nothing outside a statement, or that it surely sets before it reads them."""
    found, perhaps = set[str](), set[str]()
    ends: dict[str, tuple[int, int]] = {}  # where a name's first assignment ends
    for node in ast.walk(statement):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.comprehension | ast.For):
            found |= _ids(node.target)
        elif isinstance(node, ast.If | ast.Try | ast.While | ast.AugAssign):
            perhaps |= _ids(node, ast.Store)
        elif isinstance(node, ast.Assign):
            end = (node.end_lineno or 0, node.end_col_offset or 0)
            for name in set[str]().union(*map(_ids, node.targets)):
                ends[name] = min(end, ends.get(name, end))
    read = {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        if (node.lineno, node.col_offset) < ends.get(node.id, (0, 0))
    }
    return found | (ends.keys() - read - perhaps)


def _ids(node: ast.AST, context: type[ast.expr_context] = ast.expr_context) -> set[str]:
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, context)
    }


def _reads_table(function: ast.expr) -> bool:
    named = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return named == "recorded"
