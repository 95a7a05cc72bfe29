"""Break the course on purpose and see whether its tests notice.

    python tests/mutants/run.py hand TREE [TREE ...]
    python tests/mutants/run.py rules TREE [TREE ...] --number 200 --seed 0

``hand`` makes the faults of ``by_hand.toml``, one after the other; the tests named there must pass
without it and fail with it. ``rules`` makes faults by rule (``automatic.py``) in attacks, metrics
and defenses, runs the tests that reach the broken statement, and prints the share that is caught.
A tree is a clone of this repository, such as ``.``. With several, ``rules`` makes faults that all
of them have, in each: so a refactoring is measured, after which the share must not be lower.

Nothing is changed in a tree: faults are made in a copy. ``--out`` keeps the results as lines of
JSON, and what is there is not run again, so an interrupted run goes on. Which test reaches which
line is found out at first, and kept beside it. ``--dry`` runs nothing and shows what there is.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import automatic
import pytest

SOURCES = ("medpriv", "build_tools", "experiments", "chapters")
TESTED = ("tests/attacks", "tests/metrics", "tests/defenses")
LEFT_OUT = (".git", ".venv", "_build", ".hypothesis", ".ruff_cache", "*.egg-info")
LIMIT_S = 60  # or three times what the tests take; a fault with which they hang is caught
# Loaded once, and not by each of hundreds of processes.
HEAVY = ("torch", "torchvision", "pandas", "scipy.stats", "sklearn.linear_model", "transformers",
         "opacus", "hypothesis", "matplotlib.pyplot", "skimage.metrics", "coverage")  # fmt: skip


class Watch:
    """A plugin of pytest: run only some tests, see how they end, and what they reach."""

    def __init__(self, copy: Path, tests: list[str] | None, measure: bool) -> None:
        from coverage import Coverage

        self.copy, self.tests = copy, tests
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.coverage = Coverage(data_file=None, source=[str(copy / "medpriv")])
        self.measure = measure
        if measure:
            self.coverage.start()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        import medpriv

        assert Path(medpriv.__file__).is_relative_to(self.copy), medpriv.__file__
        if self.tests is not None:
            items[:] = [item for item in items if item.nodeid in self.tests]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self.measure:
            self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def reached(self) -> dict[str, dict[int, int]]:
        """By file and line: which test, counted from 0, was the first to execute it."""
        self.coverage.stop()
        data, order = self.coverage.get_data(), list(self.seconds)
        return {
            Path(file).relative_to(self.copy).as_posix(): {
                line: min(order.index(test) for test in tests if test)
                for line, tests in data.contexts_by_lineno(file).items()
                if any(tests)
            }
            for file in data.measured_files()
        }


def _child(copy: Path, arguments: list[str], tests: list[str] | None, measure: bool) -> None:
    os.setsid()
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
    os.environ["MEDPRIV_TURNS"] = "0"  # a copy has no commits, and every fault meets the same tests
    log = os.open(copy.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    watch = Watch(copy, tests, measure)
    code = pytest.main(["-q", *([] if measure else ["-x"]), *arguments], plugins=[watch])
    found = {"code": int(code), "failed": watch.failed, "seconds": watch.seconds}
    found |= {"reached": watch.reached()} if measure else {}
    (copy.parent / "found.json").write_text(json.dumps(found))


def run(
    copy: Path, arguments: list[str], tests: list[str] | None = None, *, limit: float = 1800,
    measure: bool = False,
) -> dict:  # fmt: skip
    """Run tests in a process of its own; ``outcome`` is passed, caught, caught (time) or error."""
    began, report = time.monotonic(), copy.parent / "found.json"
    report.unlink(missing_ok=True)
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=_child, args=(copy, arguments, tests, measure))
    process.start()
    process.join(limit)
    late = process.is_alive()
    with contextlib.suppress(ProcessLookupError):  # and whatever it started
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    found = json.loads(report.read_text()) if report.exists() else {"code": 2, "failed": []}
    outcome = {0: "passed", 1: "caught", 2: "caught"}.get(found["code"], "error")  # 2: no import
    found["outcome"] = "caught (time)" if late else outcome
    return found | {"took": round(time.monotonic() - began, 1)}


@contextlib.contextmanager
def copied(tree: Path) -> Iterator[Path]:
    """A copy of a tree, with what it built."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "tree"
        shutil.copytree(tree, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        if (tree / "_build").exists():
            (copy / "_build").symlink_to((tree / "_build").resolve())
        yield copy


@contextlib.contextmanager
def changed(file: Path, text: str) -> Iterator[None]:
    """A file with another text for a while."""
    before, when = file.read_text(), file.stat()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(before)
        os.utime(file, ns=(when.st_atime_ns, when.st_mtime_ns))  # what is compiled stays valid


# --- By hand --------------------------------------------------------------------------------------


def place(tree: Path, change: list[list[str]]) -> tuple[Path, str] | None:
    """The file in which one of some texts stands exactly once in all, and its broken form."""
    files = sorted(file for top in SOURCES for file in (tree / top).rglob("*.*"))
    texts = {f: f.read_text() for f in files if f.suffix in (".py", ".md", ".json", ".html", ".js")}
    for old, new in change:
        found = [file for file, text in texts.items() for _ in range(text.count(old))]
        if len(found) == 1:
            return found[0], texts[found[0]].replace(old, new)
    return None


def selected(tree: Path, names: list[str]) -> list[str]:
    """Pytest's arguments for test functions of these names, wherever they are."""
    wanted = re.compile(rf"^ *def ({'|'.join(names)})\b", re.MULTILINE)
    files = [f for f in sorted((tree / "tests").rglob("test_*.py")) if wanted.search(f.read_text())]
    return [*(str(file.relative_to(tree)) for file in files), "-k", " or ".join(names)]


def by_hand(copy: Path, only: list[str], dry: bool) -> Iterator[tuple[str, dict]]:
    """Make each fault of the list, after its tests have passed without it."""
    for mutant in tomllib.loads((Path(__file__).parent / "by_hand.toml").read_text())["mutant"]:
        where, tests = place(copy, mutant["change"]), selected(copy, mutant["tests"])
        if only and mutant["name"] not in only:
            continue
        if where is None or len(tests) == 2:
            found = {"outcome": "no such text" if where is None else "no such test"}
        elif dry:
            found = {"outcome": "found"}
        elif run(copy, tests)["outcome"] != "passed":
            found = {"outcome": "its tests fail without it"}
        else:
            with changed(*where):
                found = run(copy, tests, limit=2 * LIMIT_S)
        yield mutant["name"], found


# --- By rule --------------------------------------------------------------------------------------


def reach(copy: Path, kept: Path) -> dict[str, dict]:
    """Of each file of tests what it reaches, and how long it takes; found out once."""
    known = json.loads(kept.read_text()) if kept.exists() else {}
    for file in sorted(file for top in TESTED for file in (copy / top).rglob("test_*.py")):
        name = file.relative_to(copy).as_posix()
        if name not in known:
            known[name] = run(copy, [name], measure=True)
            print(f"{name}: {known[name]['outcome']}, {known[name]['took']} s", flush=True)
            kept.write_text(json.dumps(known))
    return known


def reaching(known: dict[str, dict], fault: automatic.Fault) -> dict[str, float]:
    """The tests that can notice a fault, and their seconds: the quickest file first.

    Of a file those from the first that executes the statement on: later ones may use what it left
    behind, such as a fixture of the file.
    """
    lines, files = range(fault.lines[0], fault.lines[1] + 1), []
    for found in known.values():
        first = found.get("reached", {}).get(fault.file, {})
        there = [first[str(line)] for line in lines if str(line) in first]
        if there:
            files.append(list(found["seconds"].items())[min(there) :])
    files.sort(key=lambda tests: sum(seconds for _, seconds in tests))
    return dict(test for tests in files for test in tests)


def by_rule(
    tree: Path, copy: Path, faults: dict[str, automatic.Fault], kept: Path, dry: bool
) -> Iterator[tuple[str, dict]]:
    """Make each fault and run what reaches it."""
    known = {} if dry else reach(copy, kept)
    for name, fault in faults.items():
        tests, found = reaching(known, fault), {"outcome": "found" if dry else "not reached"}
        if tests:
            files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
            limit = max(LIMIT_S, 20 + 3 * sum(tests.values()))
            with changed(copy / fault.file, automatic.broken(tree, fault)):
                found = run(copy, files, list(tests), limit=limit)
        yield name, found


def summary(outcomes: list[str], z: float = 1.96) -> str:
    """How many were caught, with Wilson's 95 % interval of the share."""
    of, caught = len(outcomes), sum(outcome.startswith("caught") for outcome in outcomes)
    spread = z * (caught * (of - caught) / of + z * z / 4) ** 0.5
    low, high = ((caught + z * z / 2 + way * spread) / (of + z * z) for way in (-1, 1))
    return f"{caught} of {of} caught, {caught / of:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=("hand", "rules"))
    parser.add_argument("trees", nargs="+", type=lambda name: Path(name).resolve())
    parser.add_argument("--only", nargs="*", default=[], help="some of those made by hand")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "mutants.jsonl")
    parser.add_argument("--dry", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in () if given.dry else HEAVY:
        importlib.import_module(name)
    chosen: list[list[automatic.Fault]] = []
    if given.kind == "rules":
        chosen, lost = automatic.sample(given.trees, given.number, given.seed)
        print(*(f"replaced, since not in every tree: {fault}" for fault in lost), sep="\n")
    for at, tree in enumerate(given.trees):
        lines = given.out.read_text().splitlines() if given.out.exists() else []
        earlier = [json.loads(line) for line in lines]
        done = {one["name"]: one["outcome"] for one in earlier if one["tree"] == str(tree)}
        every = {str(one[0]): one[at] for one in chosen}  # called as in the first tree
        outcomes = [done[name] for name in every if name in done]
        missing = {name: fault for name, fault in every.items() if name not in done}
        kept = given.out.with_name(f"{given.out.stem}-{tree.name}-reach.json")
        with copied(tree) as copy:
            for name, found in (
                by_rule(tree, copy, missing, kept, given.dry) if chosen
                else by_hand(copy, given.only, given.dry)
            ):  # fmt: skip
                outcomes.append(found["outcome"])
                first = (found.get("failed") or [""])[0]
                print(found["outcome"], name, first, sep=" | ", flush=True)
                row = {"tree": str(tree), "name": name, "outcome": found["outcome"], "by": first}
                if not given.dry:
                    with given.out.open("a") as file:
                        file.write(json.dumps(row | {"took": found.get("took")}) + "\n")
        print(f"{tree}: {summary(outcomes)}", flush=True)


if __name__ == "__main__":
    main()
