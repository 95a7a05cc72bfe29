"""What a piece of Python source binds, imports and names, read from its syntax tree."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from typing import Any

_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside ``if`` and ``try`` too."""
    for statement in body:
        if isinstance(statement, ast.If):
            if "TYPE_CHECKING" not in ast.dump(statement.test):
                yield ast.Expr(statement.test)
                yield from top_level([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [one for handler in statement.handlers for one in handler.body]
            yield from top_level(
                [*statement.body, *handlers, *statement.orelse, *statement.finalbody]
            )
        else:
            yield statement


def bound(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module gives a meaning."""
    if isinstance(statement, _DOCUMENTED):
        return [statement.name]
    if not isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    return [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def imports_of(statement: ast.stmt, module: str) -> dict[str, tuple[str, str]]:
    """What the imports in a statement bind: a name of a module, or a module.

    Raises:
        ValueError: an import that cannot be followed.
    """
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = (whole, "")
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.names[0].name == "*":
                raise ValueError(
                    f"{module} has `{ast.unparse(node)}`; import names of modules by their full "
                    "names, so that it can be followed what code uses"
                )
            for alias in node.names:
                found[alias.asname or alias.name] = (str(node.module), alias.name)
    return found


def chains_of(statement: ast.stmt) -> dict[str, set[tuple[str, ...]]]:
    """Each name that a statement mentions, with the attributes asked of it."""
    found: dict[str, set[tuple[str, ...]]] = {}
    inside: set[ast.AST] = set()
    for node in ast.walk(statement):  # from the outside in: the longest chain comes first
        chain: tuple[str, ...] = ()
        base: ast.AST = node
        while isinstance(base, ast.Attribute) and node not in inside:
            chain, base = (base.attr, *chain), base.value
            inside.add(base)
        if isinstance(base, ast.Name) and node not in inside:
            found.setdefault(base.id, set()).add(chain)
    return found


def globals_of(statement: ast.stmt) -> set[str]:
    """The names that a statement takes from its module, in any of its scopes."""

    def collect(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_global() or (table.get_type() == "module" and symbol.is_referenced()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from collect(child)

    return set(collect(symtable.symtable(ast.unparse(statement), "code", "exec")))


def canonical(node: Any) -> str:
    """A syntax tree as text, without docstrings, the same in all versions of Python."""
    if isinstance(node, list):
        return "[" + ",".join(map(canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            value = value[1:]
        if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
            continue
        parts.append(f"{name}={canonical(value)}")
    return f"{type(node).__name__}({','.join(parts)})"
