"""The house: a room imports only rooms above it, and importing the package does nothing else."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny import ROOT

# The order of the README's map and of chapters/api.md, from the ground up.
ROOMS = (
    "runtime",
    "statistics",
    "data",
    "models",
    "training",
    "deployment",
    "bounds",
    "defenses",
    "metrics",
    "attacks",
    "evaluation",
    "course",
)
PACKAGE = ROOT / "medpriv"
#: Names that the rooms export, together: each is one more for a reader to know.
MOST_NAMES = 171
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it; relative imports resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else ())))
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_above_it(file: Path) -> None:
    here = room(file)
    if here in ("__init__", "__main__"):
        return
    assert here in ROOMS, f"{here} has no place in the table of rooms"
    package = file.relative_to(ROOT).parent.parts
    tree = ast.parse(file.read_text(encoding="utf-8"))
    known = {name.split(".")[1] for name in imports(tree, package) if name.startswith("medpriv.")}
    below = {name for name in known & set(ROOMS) if ROOMS.index(name) > ROOMS.index(here)}
    assert not below, f"{file.name} imports {below}, which come after {here}"


def imported_modules(file: Path) -> set[str]:
    """The modules of the package that a module imports, also inside its functions."""
    package = file.relative_to(ROOT).parent.parts
    found = set()
    for name in imports(ast.parse(file.read_text(encoding="utf-8")), package):
        base = ROOT.joinpath(*name.split("."))
        module = (
            name if base.is_dir() or base.with_suffix(".py").is_file() else name[: name.rfind(".")]
        )
        found.add(module)
    return found


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A chain of imports that ends where it began, or nothing."""
    done: set[str] = set()

    def search(name: str, above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if found := search(other, [*above, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := search(name, []))), [])


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circle({dotted(file): imported_modules(file) for file in MODULES}) == []


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def exported() -> dict[str, list[str]]:
    rooms = {name: importlib.import_module(f"medpriv.{name}") for name in ROOMS}
    return {name: list(getattr(room, "__all__", ())) for name, room in rooms.items()}


def test_a_name_is_public_if_a_chapter_or_the_readme_uses_it() -> None:
    texts = [
        *(ROOT / "chapters").glob("[0-9]*.md"),
        ROOT / "README.md",
        ROOT / "chapters" / "api.md",
    ]
    text = "\n".join(file.read_text(encoding="utf-8") for file in texts)
    imported = set(
        re.findall(r"\w+", " ".join(re.findall(r"^from medpriv.* import (.*)", text, re.M)))
    )
    unused = [
        f"{room}.{name}"
        for room, names in exported().items()
        for name in names
        if f"{room}.{name}" not in text and name not in imported
    ]
    assert unused == []
    assert sum(map(len, exported().values())) <= MOST_NAMES


HOUSES = [
    file
    for house in ("medpriv", "experiments", "build_tools")
    for file in (ROOT / house).rglob("*.py")
]


@pytest.mark.parametrize("file", HOUSES, ids=lambda file: str(file.relative_to(ROOT)))
def test_modules_and_functions_are_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            has_text = ast.get_docstring(node) is not None
            first = node.body[min(has_text, len(node.body) - 1)].lineno if has_text else node.lineno
            assert (node.end_lineno or 0) - first < 50, node.name


def test_attacks_know_no_defense_and_no_metric() -> None:
    files = sorted((PACKAGE / "attacks").rglob("*.py"))
    assert {file.parent.name for file in files} >= {"attacks", "images", "records", "reports"}
    for file in files:
        package = file.relative_to(ROOT).parent.parts
        known = imports(ast.parse(file.read_text(encoding="utf-8")), package)
        above = [name for name in known if name.split(".")[1:2] in (["defenses"], ["metrics"])]
        assert not above, f"{file.name} knows {above}"


def test_relative_imports_are_seen() -> None:
    tree = ast.parse("from ..course import record\nfrom . import split\nimport medpriv.metrics")
    assert set(imports(tree, ("medpriv", "models"))) == {
        "medpriv.course.record",
        "medpriv.models.split",
        "medpriv.metrics",
    }


# Imports every library that the package uses before it looks, so that only what the package
# itself does is seen. Python tells of every file that it opens for writing, and of every socket.
PROBE = """
import ast, importlib, os, pathlib, random, sys, warnings
import numpy as np
import torch

root, *houses = map(pathlib.Path, sys.argv[1:])
files = [file for house in houses for file in sorted((root / house).rglob("*.py"))]
modules = [
    ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    for file in files
    if file.stem != "__main__"
]
others = sorted({
    name
    for file in files
    for node in ast.parse(file.read_text(encoding="utf-8")).body
    for name in (
        [alias.name for alias in node.names] if isinstance(node, ast.Import)
        else [node.module] if isinstance(node, ast.ImportFrom) and not node.level
        else []
    )
    if name.split(".")[0] not in map(str, houses)
})
for name in others:
    importlib.import_module(name)

def state():
    return {
        "torch seed": torch.initial_seed(),
        "torch generator": torch.get_rng_state().tolist(),
        "torch threads": torch.get_num_threads(),
        "torch dtype": torch.get_default_dtype(),
        "torch gradients": torch.is_grad_enabled(),
        "torch determinism": torch.are_deterministic_algorithms_enabled(),
        "numpy generator": repr(np.random.get_state()),
        "numpy errors": np.geterr(),
        "numpy printing": repr(np.get_printoptions()),
        "python generator": random.getstate(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }

seen = []
FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "os.mkdir", "os.rename",
             "os.remove", "subprocess.Popen", "os.system", "urllib.Request", "tempfile.mkstemp")

def watch(event, arguments):
    if event in FORBIDDEN:
        seen.append((event, arguments))
    elif event == "open" and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.append((event, arguments))

before = state()
sys.addaudithook(watch)
for name in modules:
    importlib.import_module(name)
after = state()
changed = [key for key in before if before[key] != after[key]]
assert not (changed or seen), f"importing changed {changed} and did {seen}"
print(len(modules), "modules")
"""


def probe(root: Path, home: Path, *houses: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MEDPRIV_CACHE": str(home / "cache"),
        "HOME": str(home),
        "PYTHONWARNINGS": "error::UserWarning:medpriv",
    }
    return subprocess.run(
        [sys.executable, "-c", PROBE, str(root), *houses],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_touches_no_network_no_file_and_no_global_state(tmp_path: Path) -> None:
    done = probe(ROOT, tmp_path, "medpriv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == str(len(MODULES) - 1)  # all but __main__
    done = probe(ROOT, tmp_path, "medpriv", "experiments", "build_tools")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > len(MODULES) + 20
    assert not (tmp_path / "cache").exists()


def test_the_probe_notices(tmp_path: Path) -> None:
    package = tmp_path / "medpriv"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import random, socket, warnings\n"
        "import numpy as np\n"
        "import torch\n"
        "np.random.seed(0)\n"
        "torch.manual_seed(0)\n"
        "random.seed(0)\n"
        "warnings.simplefilter('ignore')\n"
        "open('left.txt', 'w').close()\n"
        "socket.getaddrinfo('localhost', 80)\n"
    )
    done = probe(tmp_path, tmp_path, "medpriv")
    assert done.returncode != 0
    for noticed in (
        "numpy generator",
        "torch seed",
        "python generator",
        "warnings",
        "left.txt",
        "socket.getaddrinfo",
    ):
        assert noticed in done.stderr


def test_commands_and_a_chapters_first_cell_wait_for_no_library_that_they_do_not_need() -> None:
    code = "import sys, build_tools.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "medpriv.course.cards" in loaded
    assert not loaded & {"medpriv.attacks", "opacus", "torchvision", "transformers"}


def test_rooms_wait_for_no_library_that_few_functions_use() -> None:
    code = (
        "import sys, medpriv\n"
        "for room in medpriv._ROOMS: getattr(medpriv, room)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded >= {f"medpriv.{room}" for room in ROOMS}
    late = {"medmnist", "opacus", "sacrebleu", "sklearn", "skimage", "torchvision", "transformers"}
    late |= {"pydicom", "scipy.ndimage", "scipy.optimize", "scipy.stats"}
    assert not loaded & late, "import it inside the functions that use it"
