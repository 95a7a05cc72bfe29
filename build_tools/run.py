"""Execute one chapter with parameters: the one way in which chapters are ever executed.

The command line, the book and the tests all come through :func:`run_chapter`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from build_tools.chapter_text import check_parameters, defaults, read_chapter
from build_tools.failures import own_error, without_messages
from build_tools.findings import with_findings
from build_tools.kernel import execute_notebook, search_path
from medpriv.course.catalog import ChapterError, spec
from medpriv.data.fetch import sha256
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.progress import shows_progress

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class RunError(RuntimeError):
    """A chapter was started and did not come to its end.

    Attributes:
        results: what `results.json` would hold, where the chapter came as far as writing it
            (a claim that does not hold fails after that), else None.
        broken_claims: whether the only thing that failed is that a promised claim does not hold.
    """

    def __init__(
        self, message: str, *, results: dict[str, Any] | None = None, broken_claims: bool = False
    ) -> None:
        super().__init__(message)
        self.results = results
        self.broken_claims = broken_claims


@dataclass(frozen=True)
class Run:
    """A finished run: the executed notebook, and the content of `results.json`."""

    notebook: Path
    results: dict[str, Any]


def run_chapter(name: str, given: Mapping[str, str], out: Path) -> Run:
    """Execute a chapter and leave ``NAME.ipynb`` and ``results.json`` in ``out``.

    The kernel is this interpreter, whatever kernels are installed, and works in ``out``. The
    executed notebook holds no times and no paths of this machine, so that two equal runs give
    equal notebooks. With data or a seed for which the chapter promises nothing, its prose says
    what does not hold, see :func:`.with_findings`. After a failure ``out`` holds
    ``NAME.failed.ipynb``, executed up to the cell that failed, and nothing else of this run or of
    an earlier one; after an interruption nothing. Of an error on the reader's own data neither it
    nor the message quotes what a library said. What an earlier run left in ``out`` goes; files of
    these names that no run has left, or that were edited since, are moved aside. One run at a time
    works in a folder.

    Args:
        name: the chapter.
        given: parameters as text; those not given keep the chapter's defaults.
        out: a folder; made if need be.

    Raises:
        ChapterError: an unknown chapter or parameter, a value that cannot be used, a chapter
            without its jupytext header, or a folder that cannot be written or in which another run
            is at work. Nothing was run.
        RunError: a cell failed (the message holds its traceback), the kernel died, or the
            chapter never called ``chapter.finish()``.
    """
    parameters = check_parameters(name, given)
    plain = defaults(name)
    changed = {key: value for key, value in parameters.items() if value != plain[key]}
    notebook = read_chapter(name)
    out = out.expanduser().resolve()
    with _alone(out), _parts(out, name) as (part, results_part):
        _prepare(out, name)
        error = execute_notebook(
            notebook,
            part,
            parameters=changed,
            environment=_environment(results_part),
            progress=_progress(name, notebook, changed),
        )
        written = results_part.exists()
        results = json.loads(results_part.read_text(encoding="utf-8")) if written else None
        if error is not None:
            own = (plain | parameters)["dataset"] not in spec(name).known_datasets()
            _keep(part, out / f"{name}.failed.ipynb", without_messages if own else _as_it_is)
            broken = getattr(error, "ename", "") == "ClaimError" and results is not None
            raise RunError(_describe(name, error, own), results=results, broken_claims=broken)
        if results is None:
            _keep(part, out / f"{name}.failed.ipynb")
            raise RunError(
                f"{name} ran to its end without calling chapter.finish(), so it reports no "
                "results and no claim was checked; call it in the chapter's last code cell"
            )
        _keep(part, out / f"{name}.ipynb", lambda read: with_findings(read, spec(name), results))
        results_part.replace(out / "results.json")
        _sign(out, f"{name}.ipynb", "results.json")
    return Run(out / f"{name}.ipynb", results)


# --- The folder -----------------------------------------------------------------------------------


_SIGNED = ".run.json"  # the sha256 of each file that a run has left in a folder


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = FileLock(out / ".run.lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ChapterError(
            f"another run works in {out}; wait for it, or give another folder"
        ) from error
    except OSError as error:
        raise _cannot_write(out, error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _prepare(out: Path, name: str) -> None:
    """Make room for a run: what an earlier one left goes, what is the reader's is moved aside."""
    signed = _signed(out)
    try:
        for file in (f"{name}.ipynb", f"{name}.failed.ipynb", "results.json"):
            path = out / file
            if path.exists() and signed.get(file) == sha256(path):
                path.unlink()
            elif path.exists():
                path.rename(_free_name(path))
    except OSError as error:
        raise _cannot_write(out, error) from error


def _free_name(path: Path) -> Path:
    numbers = (path.with_name(f"{path.stem}.before-{n}{path.suffix}") for n in count(1))
    return next(place for place in numbers if not place.exists())


def _signed(out: Path) -> dict[str, str]:
    try:
        return json.loads((out / _SIGNED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _sign(out: Path, *files: str) -> None:
    found = _signed(out) | {file: sha256(out / file) for file in files if (out / file).exists()}
    with atomic_path(out / _SIGNED) as part:
        part.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _cannot_write(out: Path, error: OSError) -> ChapterError:
    return ChapterError(f"cannot write in {out}: {error.strerror}; give another folder")


@contextlib.contextmanager
def _parts(out: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Paths to work with, hidden in ``out``; whatever is left of them at the end is removed."""
    parts = out / f".{name}.part.ipynb", out / ".results.part.json"
    for part in parts:
        part.unlink(missing_ok=True)  # of a run that was killed
    try:
        yield parts
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _as_it_is(notebook: NotebookNode) -> NotebookNode:
    return notebook


def _keep(
    part: Path, target: Path, told: Callable[[NotebookNode], NotebookNode] = _as_it_is
) -> None:
    if not part.exists():
        return
    notebook = told(reproducible(nbformat.read(part, as_version=4)))
    with atomic_path(target) as path:
        nbformat.write(notebook, path)
    _sign(target.parent, target.name)


def reproducible(notebook: NotebookNode) -> NotebookNode:
    """Without papermill's times and paths, and with ids that are not drawn at random."""
    notebook.metadata.pop("papermill", None)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03d}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
    return notebook


def _environment(results: Path) -> dict[str, str]:
    """What the kernel's environment adds to ours; relative paths are meant from our folder."""
    paths = {
        key: str(Path(os.environ[key]).expanduser().resolve())
        for key in ("MEDPRIV_DATA", "MEDPRIV_CACHE", "MEDPRIV_CHAPTERS")
        if os.environ.get(key)
    }
    return paths | {
        "MEDPRIV_RESULTS": str(results),
        "MEDPRIV_PROGRESS": "0",  # a bar drawn into the notebook is never the same twice
        "PYTHONPATH": search_path(),
    }


# --- What the reader sees -------------------------------------------------------------------------


def _progress(name: str, notebook: NotebookNode, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Papermill's options: a bar in a terminal, lines of text elsewhere, nothing in CI."""
    if not shows_progress():
        return {"progress_bar": False}
    if sys.stderr.isatty():
        return {"progress_bar": {"desc": name, "leave": False}}
    # Papermill puts the parameters into a cell of their own.
    cells = sum(cell.cell_type == "code" for cell in notebook.cells) + bool(parameters)
    return {"progress_bar": False, "on_cell_start": _announcer(name, cells)}


def _announcer(name: str, cells: int) -> Callable[..., None]:
    began, numbers = time.monotonic(), iter(range(1, cells + 1))

    def announce(cell: NotebookNode, cell_index: int) -> None:
        if cell.cell_type == "code":
            seconds = time.monotonic() - began
            print(f"{name}: cell {next(numbers)} of {cells} ({seconds:.0f} s)", file=sys.stderr)

    return announce


def _describe(name: str, error: PapermillExecutionError | DeadKernelError, own: bool) -> str:
    if isinstance(error, DeadKernelError):
        return f"{name}: the kernel died ({error}); most often the machine ran out of memory"
    if own:
        traceback = "\n".join(own_error(error.ename, error.evalue, error.traceback))
    else:
        traceback = ANSI.sub("", "\n".join(error.traceback)) or f"{error.ename}: {error.evalue}"
    return f"{name} failed in cell [{error.exec_count}]\n\n{error.source}\n\n{traceback}"
