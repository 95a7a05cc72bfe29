"""What a piece of code uses: the source that it reaches by name, and a hash of it.

A result is kept for as long as the code behind it is the same. "The code" is neither a whole
package, where a comment would throw everything away, nor one function, whose helpers decide as
much. Here it is every definition of this repository that a function reaches: names are followed
from definition to definition, also through what an ``__init__`` hands on, and not to all else that
this ``__init__`` imports. Docstrings, comments and layout do not count; data files whose names are
written in the code do.

Names are followed in the text, nothing is run. A method counts with its class, a class with all
that its methods use. A module that is imported by a name in a string cannot be seen, and has to be
named as a root.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import re
import symtable
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medpriv.runtime.hashing import content_hash, source_text

#: The repository's root, or the folder in which the package is installed.
ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("medpriv", "experiments", "build_tools")
_FILE_NAME = re.compile(r"[\w-][\w./-]{0,78}")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*_FUNCTIONS, ast.ClassDef)

#: A definition at the top of a module, ``("medpriv.metrics.images", "ssim")``; or a module as a
#: whole, ``("medpriv.metrics", "")``.
Name = tuple[str, str]


@dataclass
class _Module:
    """A parsed module: what it defines, what it imports, and what it does besides."""

    name: str
    folder: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Name] = field(default_factory=dict)
    actions: list[ast.stmt] = field(default_factory=list)


class Code:
    """The source below a folder, read when it is asked for and then remembered.

    Args:
        root: holds the packages.
        tables: a folder whose ``.csv`` files count as used where code says their names.
        words: names of modules that count as used where code outside of ``medpriv`` says a word,
            such as that of a data set.
    """

    def __init__(
        self,
        root: Path = ROOT,
        tables: Path | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.tables, self.words = root, tables, words or {}
        self._modules: dict[str, _Module | None] = {}
        self._uses: dict[Name, tuple[str, frozenset[Name], frozenset[Path]]] = {}

    def used(self, *roots: Any, text: str = "") -> dict[Name, str]:
        """A hash of each definition and data file that some code reaches.

        Args:
            roots: functions and classes, ``functools.partial`` of them, names of modules, and
                nested lists of these. What is not of this repository counts by its own source.
            text: code that is in no module, such as a chapter's cells.

        Returns:
            By name; a data file's first name is its path, its second ``file``.
        """
        found: dict[Name, str] = {}
        todo = [name for root in roots for name in self._named(root, found)]
        if text:
            name = f"text {content_hash(plain_code(text))}"
            self._modules[name] = self._parsed(name, self.root, ast.parse(text))
            found[name, "in order"] = plain_code(text)
            todo += self._whole(name)
        while todo:
            name = todo.pop()
            if name not in found:
                seen = self._reads(name)
                found[name] = seen[0]
                todo += self._add(seen, found)
        return found

    def hash(self, *roots: Any, text: str = "") -> str:
        """A sha256 over what :meth:`used` finds."""
        return content_hash(sorted(self.used(*roots, text=text).items()))

    # --- From roots to names ------------------------------------------------------------------

    def _named(self, root: Any, found: dict[Name, str]) -> Iterator[Name]:
        if root is None:
            return
        if isinstance(root, (list, tuple)):
            for one in root:
                yield from self._named(one, found)
        elif isinstance(root, functools.partial):
            callables = [one for one in (*root.args, *root.keywords.values()) if callable(one)]
            yield from self._named([root.func, *callables], found)
        elif isinstance(root, str):
            yield from self._whole(root)
        else:
            root = inspect.unwrap(root)
            root = root if hasattr(root, "__qualname__") else type(root)
            name = (root.__module__, root.__qualname__.partition(".")[0])
            resolved = list(self._resolve(*name))
            yield from resolved
            if not resolved:
                found[name] = content_hash(source_text(root))

    def _whole(self, dotted: str) -> Iterator[Name]:
        """All definitions of a module, or the one that the dotted name ends in."""
        module, colon, name = dotted.partition(":")
        if colon:
            yield from self._resolve(module, name)
        elif (known := self._module(module)) is not None:
            yield from ((module, definition) for definition in known.definitions)
            yield module, ""
        else:
            yield from self._resolve(*dotted.rpartition(".")[::2])

    # --- From names to names ------------------------------------------------------------------

    def _add(
        self, seen: tuple[str, frozenset[Name], frozenset[Path]], found: dict[Name, str]
    ) -> list[Name]:
        for path in seen[2]:
            found["/".join(path.parts[-2:]), "file"] = content_hash(path)
        return list(seen[1])

    def _reads(self, name: Name) -> tuple[str, frozenset[Name], frozenset[Path]]:
        if name not in self._uses:
            module = self._module(name[0])
            assert module is not None, name
            statements = module.definitions[name[1]] if name[1] else module.actions
            text, names, files = self._read(module, statements)
            # Whoever reaches a definition has imported its module, and the packages around it.
            parts = name[0].split(".")
            around = {(".".join(parts[: end + 1]), "") for end in range(len(parts))}
            self._uses[name] = text, names | (around - {name}), files
        return self._uses[name]

    def _read(
        self, module: _Module, statements: list[ast.stmt]
    ) -> tuple[str, frozenset[Name], frozenset[Path]]:
        """What some statements say, a hash of it; which names they use, and which files."""
        names: set[Name] = set()
        files: set[Path] = set()
        for statement in statements:
            names.update(self._uses_of(module, statement))
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    files.update(self._files_named(module, node.value))
                    if node.value in self.words and not module.name.startswith("medpriv"):
                        names.update(self._whole(self.words[node.value]))
        text = "\n".join(_canonical(statement) for statement in statements)
        return hashlib.sha256(text.encode()).hexdigest(), frozenset(names), frozenset(files)

    def _uses_of(self, module: _Module, statement: ast.stmt) -> Iterator[Name]:
        inner = _imports(statement, module.name)
        for name, target in inner.items():
            if name not in _chains(statement):
                yield from self._follow(target, ())
        wanted = _globals(statement)
        for name, chains in _chains(statement).items():
            for chain in chains:
                if name in inner:
                    yield from self._follow(inner[name], chain)
                elif name in wanted:
                    yield from self._follow((module.name, name), chain)

    def _follow(self, target: Name, chain: tuple[str, ...]) -> Iterator[Name]:
        """The definition that a name and the attributes behind it lead to."""
        module, name = target
        if name:
            resolved = list(self._resolve(module, name))
            if len(resolved) == 1 and not resolved[0][1]:
                yield from self._follow(resolved[0], chain)
            else:
                yield from resolved
        elif chain:
            yield from self._follow((module, chain[0]), chain[1:])
        elif self._module(module) is not None:
            yield from self._whole(module)  # the module itself is handed on

    def _resolve(self, module: str, name: str) -> Iterator[Name]:
        """Where a module's name is defined; ``(module, "")`` where it is itself a module."""
        known = self._module(module)
        if known is None:
            return
        if name in known.definitions:
            yield module, name
        elif name in known.imports:
            target, attribute = known.imports[name]
            if attribute:
                yield from self._resolve(target, attribute)
            elif self._module(target) is not None:
                yield target, ""
        elif self._module(f"{module}.{name}") is not None:
            yield f"{module}.{name}", ""

    def _files_named(self, module: _Module, text: str) -> Iterator[Path]:
        if not _FILE_NAME.fullmatch(text):
            return
        beside = module.folder / text
        if beside.suffix not in ("", ".py") and beside.is_file():
            yield beside
        if self.tables is not None and (table := self.tables / f"{text}.csv").is_file():
            yield table

    # --- Reading modules ----------------------------------------------------------------------

    def _module(self, dotted: str) -> _Module | None:
        if dotted not in self._modules:
            self._modules[dotted] = self._load(dotted)
        return self._modules[dotted]

    def _load(self, dotted: str) -> _Module | None:
        if dotted.partition(".")[0] not in _PACKAGES:
            return None
        base = self.root.joinpath(*dotted.split("."))
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if not file.is_file():
            return None
        return self._parsed(dotted, file.parent, ast.parse(file.read_text(encoding="utf-8")))

    def _parsed(self, dotted: str, folder: Path, tree: ast.Module) -> _Module:
        module = _Module(dotted, folder)
        for statement in _top(tree.body[1:] if ast.get_docstring(tree) else tree.body):
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                module.imports |= _imports(statement, dotted)
            elif names := _bound(statement):
                for name in names:
                    module.definitions.setdefault(name, []).append(statement)
            else:
                module.actions.append(statement)
        return module


_code = functools.cache(Code)


def code_hash(*roots: Callable[..., Any] | type | str | None) -> str:
    """A sha256 of the source that some functions use, as it is on disk when first asked for.

    Args:
        roots: functions, classes, ``functools.partial`` of them, or names of modules.
    """
    return _code().hash(*roots)


def plain_code(text: str) -> str:
    """What some code says, without comments and layout: equal for code that does the same."""
    return _canonical(ast.parse(text))


# --- Reading one statement ------------------------------------------------------------------------


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside ``if`` and ``try`` too."""
    for statement in body:
        if isinstance(statement, ast.If):
            if "TYPE_CHECKING" not in ast.dump(statement.test):
                yield from _top([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [one for handler in statement.handlers for one in handler.body]
            yield from _top([*statement.body, *handlers, *statement.orelse, *statement.finalbody])
        else:
            yield statement


def _bound(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module gives a meaning."""
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes = [node for target in targets for node in ast.walk(target)]
        return [
            node.id
            for node in nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
    return []


def _imports(statement: ast.stmt, module: str) -> dict[str, Name]:
    """What the imports in a statement bind: a name of a module, or a module."""
    found: dict[str, Name] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = (whole, "")
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                found[alias.asname or alias.name] = (origin, alias.name)
    return found


def _chains(statement: ast.stmt) -> dict[str, set[tuple[str, ...]]]:
    """Each name that a statement mentions, with the attributes asked of it."""
    found: dict[str, set[tuple[str, ...]]] = {}
    inside: set[int] = set()
    for node in ast.walk(statement):  # from the outside in: the longest chain comes first
        if id(node) in inside:
            continue
        chain: list[str] = []
        base: ast.AST = node
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value
            inside.add(id(base))
        if isinstance(base, ast.Name):
            found.setdefault(base.id, set()).add(tuple(chain))
    return found


def _globals(statement: ast.stmt) -> set[str]:
    """The names that a statement takes from its module, not from a scope of its own."""

    def collect(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_global() or (table.get_type() == "module" and symbol.is_referenced()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from collect(child)

    return set(collect(symtable.symtable(ast.unparse(statement), "code", "exec")))


def _canonical(node: Any) -> str:
    """A syntax tree as text, without docstrings, the same in all versions of Python."""
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            value = value[1:]
        if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
            continue
        parts.append(f"{name}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(parts)})"
