"""The executed chapters in ``_build/executed``: brought up to date, several at once.

An executed chapter is kept for as long as nothing that it is made from has changed. Chapters do
not wait for each other: a process of its own executes each, as ``medpriv run`` would, and a target
model that two of them attack is trained by the first and waited for by the second.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import nbformat
import psutil

from build_tools.chapter_text import read_chapter
from build_tools.kernel import search_path
from build_tools.run import RunError, reproducible, run_chapter
from medpriv.course.catalog import CHAPTERS
from medpriv.course.exercises import exercises_of
from medpriv.course.results import versions
from medpriv.data.sources import DATASETS, source_module
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.code import ROOT, Code, Name, plain_code
from medpriv.runtime.device import has_fast_bf16, pick_device
from medpriv.runtime.hashing import content_hash

# More at once gain little: the longest chapter has to end as well.
MOST_AT_ONCE = 4
MEMORY_EACH = 2 * 1024**3  # no chapter's peak is higher

Run = Callable[[str, dict[str, str], Path], dict[str, Any]]


def chapter_code(name: str, root: Path, dataset: str = "", source: Path = ROOT) -> dict[Name, str]:
    """What an executed chapter is made from: a hash of each definition and file that it uses.

    The code of its cells and all that they reach in the package, its exercises and its quiz, the
    data sets that it loads, and the recorded tables that it names. Its prose is none of it, nor
    are comments; versions of libraries are in `results.json`.

    Args:
        name: the chapter.
        root: the folder that holds ``chapters``.
        dataset: a value of its parameter; without it the embedded data.
        source: the folder that holds the packages.
    """
    chapter = CHAPTERS[name]
    cells = [cell.source for cell in read_chapter(name).cells if cell.cell_type == "code"]
    datasets = chapter.datasets(dataset or chapter.default_dataset).values()
    roots = [run_chapter, exercises_of(name), *map(source_module, datasets)]
    tables = root / "chapters" / "recorded" / "*.csv"
    code = _code(source, (tables, source / "medpriv" / "course" / "quizzes" / "*.json"))
    found = code.used(*roots, text="\n".join(cells))
    if ("medpriv.data.listing", "card") in found:  # it asks for the card of any data set
        found |= code.used([list(modules.values()) for modules in DATASETS.values()])
    found[name, "cells"] = content_hash(list(map(plain_code, cells)))
    return found


_code = functools.cache(Code)


def chapter_key(name: str, root: Path, dataset: str = "") -> str:
    """A hash of all that decides what an executed chapter shows; see :func:`chapter_code`."""
    code = chapter_code(name, root, dataset)
    return content_hash(sorted(code.items()), has_fast_bf16(pick_device()))


def execute(name: str, root: Path, run: Run | None = None) -> bool:
    """Execute a chapter in `quick` on embedded data with seed 0, unless nothing has changed.

    Leaves ``_build/executed/NAME/`` below ``root`` as :func:`run_chapter` leaves a folder, and
    raises as it does. Without ``run`` it is executed in this process; returns whether it was.
    """
    out = root / "_build" / "executed" / name
    key, key_file = chapter_key(name, root), out / "key.txt"
    left = (out / f"{name}.ipynb", out / "results.json")
    if all(file.exists() for file in (*left, key_file)) and key_file.read_text() == key:
        renew_text(name, left[0])
        print(f"{name}: up to date{_other_versions(left[1])}", flush=True)
        return False
    key_file.unlink(missing_ok=True)
    print(f"{name}: executing", flush=True)
    given = {"profile": "quick", "dataset": CHAPTERS[name].default_dataset, "seed": "0"}
    results = run(name, given, out) if run else run_chapter(name, given, out).results
    print(f"{name}: {results['seconds']:.0f} s, peak {results['peak_mb']:.0f} MB", flush=True)
    with atomic_path(key_file) as part:  # last: it vouches for the others
        part.write_text(key)
    return True


def _other_versions(results: Path) -> str:
    """A word on libraries whose versions are others than those that computed some results."""
    then, now = json.loads(results.read_text(encoding="utf-8")).get("versions", {}), versions()
    other = [f"{one} {then.get(one)} (now {now[one]})" for one in now if then.get(one) != now[one]]
    return f", computed with {', '.join(other)}; `make clean` executes it again" if other else ""


def renew_text(name: str, notebook: Path) -> None:
    """Give an executed chapter the prose and the comments of the present text, without running it.

    Its code is the same, so each of its cells has an executed one, whose outputs it takes.
    """
    old, new = nbformat.read(notebook, as_version=4), read_chapter(name)
    done = iter(cell for cell in old.cells if cell.cell_type == "code")
    for cell in new.cells:
        if cell.cell_type == "code":
            executed = next(done)
            if "injected-parameters" in executed.metadata.get("tags", ()):
                executed = next(done)
            cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    new.metadata = old.metadata
    new = reproducible(new)
    if new != old:
        with atomic_path(notebook) as part:
            nbformat.write(new, part)


# --- Several at once ------------------------------------------------------------------------------


def execute_all(root: Path) -> None:
    """Execute every chapter that has changed, as many at once as cores and memory allow.

    Where one fails, those that run already come to their end and are kept; no other begins.
    Ctrl-C ends all of them and their kernels.

    Raises:
        ChapterError: a chapter has no file, or no jupytext header.
        RunError: a cell failed; its traceback is in the message, or was shown before.
    """
    names = list(CHAPTERS)
    at_once = chapters_at_once(len(names))
    if at_once == 1:
        for name in names:
            execute(name, root)
        return
    threads = max(1, joblib.cpu_count() // at_once)
    # In this order: the processes are interrupted before the pool waits for them.
    with ThreadPoolExecutor(at_once) as pool, _processes(threads) as run:
        waiting = [pool.submit(execute, name, root, run) for name in names]
        try:
            for done in as_completed(waiting):
                done.result()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def chapters_at_once(chapters: int) -> int:
    """How many chapters to execute at once here: at most four, and one for each core and 2 GB."""
    memory = psutil.virtual_memory().available // MEMORY_EACH
    return max(1, min(MOST_AT_ONCE, chapters, joblib.cpu_count(), memory))


@contextmanager
def _processes(threads: int) -> Iterator[Run]:
    """Give a way to execute a chapter in a process; an interruption of the block ends them."""
    running: set[subprocess.Popen[str]] = set()
    stopped = threading.Event()
    environment = {"OMP_NUM_THREADS": str(threads)} | os.environ | {"PYTHONPATH": search_path()}

    def run(name: str, given: dict[str, str], out: Path) -> dict[str, Any]:
        with subprocess.Popen(
            command(name, given, out),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # no terminal, so that it writes lines and draws no bar
            text=True,
        ) as process:
            running.add(process)
            if stopped.is_set():
                _interrupt(process)
            assert process.stderr is not None
            for line in process.stderr:
                sys.stderr.write(line)
        running.discard(process)
        if process.returncode != 0:
            raise RunError(f"{name} was not executed, see above")
        return json.loads((out / "results.json").read_text(encoding="utf-8"))

    try:
        yield run
    except KeyboardInterrupt:
        # A terminal interrupts them too; a signal to this process alone does not reach them.
        stopped.set()
        for process in list(running):
            _interrupt(process)
        raise


def _interrupt(process: subprocess.Popen[str]) -> None:
    if os.name == "nt":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)


def command(name: str, given: dict[str, str], out: Path) -> Sequence[str]:
    """The command that executes a chapter as :func:`run_chapter` would."""
    parameters = [word for pair in given.items() for word in ("-p", *pair)]
    return [sys.executable, "-m", "medpriv", "run", name, *parameters, "--out", str(out)]
