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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from medpriv.runtime.hashing import ROOT, content_hash, source_text, used_by
from medpriv.runtime.syntax import bound, canonical, chains_of, globals_of, imports_of, top_level

_PACKAGES = ("medpriv", "experiments", "build_tools")
_FILE_NAME = re.compile(r"[\w-][\w./-]{0,78}")

#: A definition at the top of a module, ``("medpriv.metrics.images", "ssim")``; what a module does
#: besides, ``("medpriv.metrics.images", "")``; or a file, ``("recorded/costs.csv", "file")``.
Name = tuple[str, str]


@dataclass
class _Module:
    """A parsed module: what it defines, what it imports, and what it does besides."""

    name: str
    folder: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Name] = field(default_factory=dict)


class Code:
    """The source below a folder, read when it is asked for and then remembered.

    Args:
        root: holds the packages.
        files: paths with a ``*`` for the word by which code names the file, such as
            ``chapters/recorded/*.csv``.
        words: names of modules that count as used where code outside of ``medpriv`` says a word,
            such as that of a data set.
    """

    def __init__(
        self,
        root: Path = ROOT,
        files: Sequence[Path] = (),
        words: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.files, self.words = root, files, words or {}
        self._modules: dict[str, _Module | None] = {}
        self._found: dict[str, Path] = {}
        self._uses: dict[Name, tuple[str, set[Name]]] = {}

    def used(self, *roots: Any, text: str = "") -> dict[Name, str]:
        """A hash of each definition and file that some code reaches, by name.

        Args:
            roots: functions and classes, ``functools.partial`` of them, names of modules or of
                definitions (``"medpriv.metrics:ssim"``), and nested lists of these. What is not
                of this repository counts by its own source, and with all that it may call here.
            text: code that is in no module, such as a chapter's cells.
        """
        found: dict[Name, str] = {}
        todo = [name for root in roots for name in self._named(root, found)]
        if text:
            name = f"text {content_hash(plain_code(text))}"
            self._modules[name] = own = _parsed(name, self.root, ast.parse(text))
            found[name, "in order"] = plain_code(text)
            todo += [(name, definition) for definition in own.definitions]
        while todo:
            name = todo.pop()
            if name not in found:
                found[name], more = self._read(name)
                todo += more
        return found

    def hash(self, *roots: Any, text: str = "") -> str:
        """A sha256 over what :meth:`used` finds."""
        return content_hash(sorted(self.used(*roots, text=text).items()))

    def _named(self, root: Any, found: dict[Name, str]) -> Iterator[Name]:
        """The definitions that a root names; the source of a stranger is found at once."""
        if isinstance(root, (list, tuple)):
            for one in root:
                yield from self._named(one, found)
        elif isinstance(root, functools.partial):
            given = [one for one in (*root.args, *root.keywords.values()) if callable(one)]
            yield from self._named([root.func, *given], found)
        elif isinstance(root, str):
            module, _, name = root.partition(":")
            yield from self._follow(module, (name,) if name else ())
        elif is_dataclass(root) and not isinstance(root, type):
            given = [getattr(root, one.name) for one in fields(root)]
            yield from self._named([type(root), *filter(callable, given)], found)
        elif root is not None:
            root = inspect.unwrap(root)
            root = root if hasattr(root, "__qualname__") else type(root)
            name = (root.__module__, root.__qualname__.partition(".")[0])
            known = self._module(name[0])
            if known is not None and name[1] in known.definitions:
                yield name
            else:
                found[name] = content_hash(source_text(root), *used_by(root))
                yield from self._everything()

    def _everything(self) -> Iterator[Name]:
        """All of the package: what a stranger's function may call in it."""
        for file in sorted((self.root / _PACKAGES[0]).rglob("*.py")):
            dotted = ".".join(file.relative_to(self.root).with_suffix("").parts)
            known = self._module(dotted.removesuffix(".__init__"))
            assert known is not None
            yield from ((known.name, name) for name in known.definitions)

    def _follow(self, module: str, chain: Sequence[str]) -> Iterator[Name]:
        """Where the attributes asked of a module lead; to all of it where it is handed on."""
        known = self._module(module)
        if known is None:
            return
        if not chain:
            yield from ((module, name) for name in known.definitions)
            for target, name in known.imports.values():
                yield from self._follow(target, (name,)) if name else ()
            return
        name, rest = chain[0], chain[1:]
        if name in known.definitions:
            yield module, name
        elif known.imports.get(name, (module, name)) != (module, name):
            target, attribute = known.imports[name]
            yield from self._follow(target, (attribute, *rest) if attribute else rest)
        elif self._module(f"{module}.{name}") is not None:
            yield from self._follow(f"{module}.{name}", rest)
        else:  # bound by a loop, for instance
            yield module, ""

    def _read(self, name: Name) -> tuple[str, set[Name]]:
        """A hash of a definition or a file, and the names that it uses."""
        if name[1] == "file":
            return content_hash(self._found[name[0]]), set()
        if name not in self._uses:
            module = self._module(name[0])
            statements = module.definitions.get(name[1], []) if module else []
            # Whoever reaches a definition has imported its module, and the packages around it.
            parts = name[0].split(".")
            names = {(".".join(parts[: end + 1]), "") for end in range(len(parts))}
            for statement in statements:
                names.update(self._names_in(module, statement))
            said = "\n".join(map(canonical, statements))
            self._uses[name] = hashlib.sha256(said.encode()).hexdigest(), names
        return self._uses[name]

    def _names_in(self, module: _Module, statement: ast.stmt) -> Iterator[Name]:
        inner, chains = imports_of(statement, module.name), chains_of(statement)
        for name, (target, attribute) in inner.items():
            for chain in chains.get(name, {()}):
                yield from self._follow(target, (attribute, *chain) if attribute else chain)
        known = module.definitions.keys() | module.imports.keys()
        for name in chains.keys() & known & globals_of(statement):
            for chain in chains[name]:
                yield from self._follow(module.name, (name, *chain))
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from self._said(module, node.value)

    def _said(self, module: _Module, word: str) -> Iterator[Name]:
        """The file or the module that a word in the code stands for."""
        if word in self.words and not module.name.startswith("medpriv"):
            yield from self._follow(self.words[word], ())
        if not _FILE_NAME.fullmatch(word):
            return
        beside = module.folder / word
        files = [beside] if beside.suffix not in ("", ".py") else []
        files += [file.parent / file.name.replace("*", word) for file in self.files]
        for file in files:
            if file.is_file():
                name = "/".join(file.parts[-2:])
                self._found[name] = file
                yield name, "file"

    def _module(self, dotted: str) -> _Module | None:
        if dotted not in self._modules:
            base = self.root.joinpath(*dotted.split("."))
            file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            own = dotted.partition(".")[0] in _PACKAGES and file.is_file()
            tree = ast.parse(file.read_text(encoding="utf-8")) if own else None
            self._modules[dotted] = _parsed(dotted, file.parent, tree) if tree else None
        return self._modules[dotted]


_code = functools.cache(Code)


def code_hash(*roots: Callable[..., Any] | type | str | None) -> str:
    """A sha256 of the source that some functions use, as it is on disk when first asked for.

    Args:
        roots: functions, classes, ``functools.partial`` of them, or names of modules.
    """
    return _code().hash(*roots)


def plain_code(text: str) -> str:
    """What some code says, without comments and layout: equal for code that does the same."""
    return canonical(ast.parse(text))


# --- Reading syntax -------------------------------------------------------------------------------


def _parsed(dotted: str, folder: Path, tree: ast.Module) -> _Module:
    module = _Module(dotted, folder, {"": []})
    for statement in top_level(tree.body[1:] if ast.get_docstring(tree) else tree.body):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            module.imports |= imports_of(statement, dotted)
        else:
            for name in bound(statement) or [""]:
                module.definitions.setdefault(name, []).append(statement)
    return module
