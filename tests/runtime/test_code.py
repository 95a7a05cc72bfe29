"""What code uses, and that nothing else moves its hash."""

from __future__ import annotations

import functools
import importlib
import linecache
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medpriv.runtime.code import Code, code_hash, plain_code
from medpriv.runtime.hashing import content_hash, identity
from tiny import ROOT

PACKAGE = {
    "medpriv/__init__.py": '"""Nothing."""\n',
    "medpriv/upper/__init__.py": (
        "from medpriv.upper import one\n"
        "from medpriv.upper.one import first\nfrom medpriv.upper.two import second\n"
    ),
    "medpriv/upper/one.py": (
        "from __future__ import annotations\n"
        "import math\n"
        "from medpriv.lower import LIMIT, Box\n"
        "def first(x):\n"
        '    """Doc."""\n'
        "    return helper(Box(x)) + LIMIT\n"
        "def helper(box):\n"
        "    return math.sqrt(box.value)\n"
        "def beside():\n"
        "    return 0\n"
    ),
    "medpriv/upper/two.py": (
        "from medpriv import lower\n"
        "def second():\n"
        "    from medpriv.upper import one as own\n"
        "    return own.helper(lower.Box(2)), lower.words()\n"
    ),
    "medpriv/lower.py": (
        "import json\n"
        "from pathlib import Path\n"
        "LIMIT = 3\n"
        "OTHER = 4\n"
        "class Box:\n"
        "    def __init__(self, value):\n"
        "        self.value = value\n"
        "    def deep(self):\n"
        "        return OTHER\n"
        "def words():\n"
        '    return json.loads(Path(__file__).with_name("words.json").read_text())\n'
    ),
    "medpriv/words.json": '["a"]',
    "medpriv/other.json": '["b"]',
    "experiments/__init__.py": "",
    "experiments/ch01.py": (
        "from medpriv import upper\n"
        "def cell(dataset):\n"
        "    return upper.first(1 if dataset == 'mias' else 2)\n"
    ),
    "tables/01-table.csv": "a\n1\n",
    "tables/02-table.csv": "a\n2\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(root: Path, *roots: str, text: str = "") -> set[str]:
    found = Code(root, files=[root / "tables" / "*.csv"]).used(*roots, text=text)
    return {f"{module}:{name}" for module, name in found if name and not module.startswith("text")}


def test_names_are_followed_and_no_others(package: Path) -> None:
    lower = {"medpriv.lower:LIMIT", "medpriv.lower:OTHER", "medpriv.lower:Box"}
    first = {"medpriv.upper.one:first", "medpriv.upper.one:helper"} | lower
    assert names(package, "medpriv.upper:first") == first
    assert names(package, "experiments.ch01:cell") == first | {"experiments.ch01:cell"}
    assert names(package, "medpriv.upper.two:second") == {
        "medpriv.upper.two:second",
        "medpriv.upper.one:helper",
        "medpriv.lower:Box",
        "medpriv.lower:OTHER",
        "medpriv.lower:words",
        "medpriv/words.json:file",
    }


def test_a_package_may_hand_on_a_module_of_its_own(package: Path) -> None:
    text = "from medpriv import upper\nupper.one.helper(2)\n"
    assert names(package, text=text) == {"medpriv.upper.one:helper"}


def test_a_text_uses_what_it_names(package: Path) -> None:
    text = "from medpriv import upper\nboth = upper.first(2)\n"
    assert names(package, text=text) == names(package, "medpriv.upper:first")
    whole = "from medpriv.upper import one\nprint(vars(one))\n"
    assert "medpriv.upper.one:beside" in names(package, text=whole)
    assert "tables/01-table.csv:file" in names(package, text="table = read('01-table')")
    assert "tables/02-table.csv:file" not in names(package, text="table = read('01-table')")


def test_a_word_stands_for_a_module_outside_the_package_alone(package: Path) -> None:
    code = Code(package, words={"mias": "medpriv.upper.two", "a": "medpriv.upper.two"})
    assert ("medpriv.upper.two", "second") in code.used("experiments.ch01:cell")
    assert ("medpriv.upper.two", "second") not in code.used("medpriv.upper:first")


EDITS = {
    "a comment": ("medpriv/upper/one.py", "import math", "import math  # why", False),
    "a docstring": ("medpriv/upper/one.py", "Doc.", "Another.", False),
    "layout": ("medpriv/upper/one.py", "math.sqrt(box.value)", "math.sqrt(\n box.value)", False),
    "what is not used": ("medpriv/upper/one.py", "return 0", "return 1", False),
    "another module": ("medpriv/upper/two.py", "lower.Box(2)", "lower.Box(3)", False),
    "what an __init__ imports besides": (
        "medpriv/upper/__init__.py", "from medpriv.upper.two import second\n", "", False,
    ),
    "another data file": ("medpriv/other.json", "b", "c", False),
    "a helper": ("medpriv/upper/one.py", "math.sqrt", "math.exp", True),
    "a constant": ("medpriv/lower.py", "LIMIT = 3", "LIMIT = 5", True),
    "a method": ("medpriv/lower.py", "return OTHER", "return -OTHER", True),
    "what a method uses": ("medpriv/lower.py", "OTHER = 4", "OTHER = 5", True),
    "what a module does": ("medpriv/lower.py", "OTHER = 4", "OTHER = 4\nprint(1)", True),
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
def test_edits(what: str, package: Path) -> None:
    file, old, new, moves = EDITS[what]
    before = Code(package).hash("medpriv.upper:first")
    path = package / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (Code(package).hash("medpriv.upper:first") != before) == moves


def test_a_data_file_counts_where_it_is_named(package: Path) -> None:
    before = Code(package).hash("medpriv.upper:second")
    (package / "medpriv" / "words.json").write_text('["c"]')
    assert Code(package).hash("medpriv.upper:second") != before


def local() -> Callable[[], str]:
    def make() -> str:
        return "made"

    return make


def test_functions_methods_closures_and_partials() -> None:
    assert code_hash(content_hash) == code_hash(functools.partial(content_hash, 1))
    assert code_hash(content_hash) != code_hash(plain_code)
    assert code_hash(Code.used) == code_hash(Code)  # a method counts with its class
    assert code_hash(local()) == code_hash(local())  # by its source: it is of no package
    assert code_hash(None) == code_hash()


def test_the_same_in_another_process_and_another_folder(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "medpriv", tmp_path / "a b ü" / "medpriv")
    code = (
        "from medpriv.runtime.code import code_hash; "
        "from medpriv.training.targets import train_target; print(code_hash(train_target))"
    )
    prints = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True,
            env={"PYTHONPATH": str(folder), "PATH": ""},
        ).stdout
        for folder in (ROOT, tmp_path / "a b ü")
    ]  # fmt: skip
    assert prints[0] == prints[1]


def test_plain_code_has_no_comments_and_no_layout() -> None:
    assert plain_code("a = 1  # one\nb = (2)") == plain_code("a=1\n\nb = 2")
    assert plain_code("a = 1") != plain_code("a = 1.0")
    assert plain_code("'text'") != plain_code("")


# --- A reader's own modules -----------------------------------------------------------------------

HELPER = """
TOP = {top}
MANY = {many}

def inner(x):
    return {inner}

def unused(x):
    return {unused}
"""
ATTACK = """
import helper_of_a_reader
from helper_of_a_reader import inner as renamed

class Own:
    def __call__(self, x):
        return renamed(x)

def attack(x):
    return [helper_of_a_reader.TOP for _ in range(2)], Own()(x), helper_of_a_reader.MANY
"""


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, False),
        ({"inner": "x + 1"}, True),
        ({"top": "2"}, True),
        ({"many": "[1, 3]"}, True),
        ({"unused": "x + 1"}, False),
    ],
)
def test_what_a_readers_function_uses_of_his_modules_counts(
    changed: dict[str, str], differs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    names = ("helper_of_a_reader", "attack_of_a_reader")
    hashes = []
    for given in ({}, changed):
        helper = {"top": "1", "many": "[1, 2]", "inner": "x", "unused": "x", **given}
        (tmp_path / "helper_of_a_reader.py").write_text(HELPER.format(**helper))
        (tmp_path / "attack_of_a_reader.py").write_text(ATTACK)
        for name in names:
            sys.modules.pop(name, None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        linecache.clearcache()
        importlib.invalidate_caches()
        attack = importlib.import_module(names[1]).attack
        hashes.append((content_hash(identity(attack)), code_hash(attack)))
    for name in names:
        sys.modules.pop(name, None)
    assert (hashes[0][0] != hashes[1][0]) == (hashes[0][1] != hashes[1][1]) == differs
