"""Execute one chapter with parameters: the one way in which chapters are ever executed.

The command line, the book and the tests all come through :func:`run_chapter`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger as papermill_log

from medpriv import runtime
from medpriv.course.catalog import ChapterError, check_parameters, defaults, read_chapter
from medpriv.runtime.cache import atomic_path

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
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
    equal notebooks. After a failure ``out`` holds ``NAME.failed.ipynb``, executed up to the cell
    that failed, and nothing else of this run or of an earlier one; after an interruption nothing.

    Args:
        name: the chapter.
        given: parameters as text; those not given keep the chapter's defaults.
        out: a folder; made if need be.

    Raises:
        ChapterError: an unknown chapter or parameter, a value that cannot be used, a chapter
            without its jupytext header, or a folder that cannot be written. Nothing was run.
        RunError: a cell failed (the message holds its traceback), the kernel died, or the
            chapter never called ``chapter.finish()``.
    """
    parameters = check_parameters(name, given)
    plain = defaults(name)
    changed = {key: value for key, value in parameters.items() if value != plain[key]}
    notebook = read_chapter(name)
    out = out.expanduser().resolve()
    _prepare(out, name)
    with _parts(out, name) as (part, results_part):
        error = _execute(notebook, name, changed, part, results_part)
        results = _read_results(results_part)
        if error is not None:
            _keep(part, out / f"{name}.failed.ipynb")
            broken = getattr(error, "ename", "") == "ClaimError" and results is not None
            raise RunError(_describe(name, error), results=results, broken_claims=broken)
        if results is None:
            _keep(part, out / f"{name}.failed.ipynb")
            raise RunError(
                f"{name} ran to its end without calling chapter.finish(), so it reports no "
                "results and no claim was checked; call it in the chapter's last code cell"
            )
        _keep(part, out / f"{name}.ipynb")
        results_part.replace(out / "results.json")
    return Run(out / f"{name}.ipynb", results)


# --- The folder -----------------------------------------------------------------------------------


def _prepare(out: Path, name: str) -> None:
    stale = (f"{name}.ipynb", f"{name}.failed.ipynb", "results.json")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in stale:
            (out / file).unlink(missing_ok=True)
    except OSError as error:
        raise ChapterError(
            f"cannot write in {out}: {error.strerror}; give another folder"
        ) from error


@contextlib.contextmanager
def _parts(out: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Paths to work with, hidden in ``out``; whatever is left of them at the end is removed."""
    parts = out / f".{name}.part.ipynb", out / ".results.part.json"
    try:
        yield parts
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _keep(part: Path, target: Path) -> None:
    if not part.exists():
        return
    notebook = _reproducible(nbformat.read(part, as_version=4))
    with atomic_path(target) as path:
        nbformat.write(notebook, path)


def _reproducible(notebook: NotebookNode) -> NotebookNode:
    """Without papermill's times and paths, and with ids that are not drawn at random."""
    notebook.metadata.pop("papermill", None)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03d}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
    return notebook


def _read_results(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


# --- The kernel -----------------------------------------------------------------------------------


def _execute(
    notebook: NotebookNode, name: str, parameters: dict[str, Any], part: Path, results: Path
) -> PapermillExecutionError | DeadKernelError | None:
    """Run all cells into ``part``; return what failed rather than raise it."""
    cells = sum(cell.cell_type == "code" for cell in notebook.cells) + bool(parameters)
    started: list[AsyncKernelManager] = []
    with _interrupts(started) as interrupted:
        try:
            papermill.execute_notebook(
                notebook,
                part,
                parameters=parameters,
                kernel_name="python3",
                language="python",
                engine_name=_ENGINE,
                cwd=part.parent,
                kernel_manager_class=_kernel_manager(_kernel_env(results), started),
                record_timing=False,
                coalesce_streams=True,
                **_progress(name, cells),
            )
        except (PapermillExecutionError, DeadKernelError) as error:
            if not interrupted.is_set():
                return error
        if interrupted.is_set():
            raise KeyboardInterrupt
    return None


@contextlib.contextmanager
def _interrupts(started: list[AsyncKernelManager]) -> Iterator[threading.Event]:
    """While a notebook runs, let Ctrl-C end the kernel as well; the event says that it came.

    A KeyboardInterrupt alone can be lost: raised in a callback of the event loop, it is printed
    and ignored, and the run would go on to its end. A dead kernel is always noticed.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # signals reach the main thread only
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        # That the kernel died under a waiting cell is no news, and would be told with a traceback,
        # possibly when the process ends.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        for manager in started:
            pid = getattr(manager.provisioner, "pid", None)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _kernel_manager(
    env: dict[str, str], started: list[AsyncKernelManager]
) -> type[AsyncKernelManager]:
    """A manager whose only kernel is this interpreter; each one made is added to ``started``.

    By name, jupyter would take the first ``python3`` kernel on its search path, and one in the
    reader's home folder may belong to another Python.
    """
    # Its log warns of unencrypted sockets, which never leave the machine, and of its own end.
    quiet = "--log-level=CRITICAL"
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet]
    escaped = {key: value.replace("$", "$$") for key, value in env.items()}
    spec = KernelSpec(argv=command, display_name="Python 3", language="python", env=escaped)

    class ThisPython(AsyncKernelManager):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

    return ThisPython


class _Client(PapermillNotebookClient):
    """Papermill's, but for live widgets, which it leaves to live notebooks.

    nbclient answers an output widget through the socket on which it waits for the end of the
    cell, past its event loop. A reply that comes just then is never noticed, and the run waits
    for ever (nbclient issue 312). Now and then it happened in cells that call ``interact``.
    """

    def on_comm_open_jupyter_widget(self, msg: dict[str, Any]) -> None:
        """Take no part in a widget; what it prints is then an output of its cell."""


class _Engine(NBClientEngine):
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        own = {key: value for key, value in options.items() if key in _Client.class_traits()}
        return _Client(nb_man, kernel_name=kernel_name, log=papermill_log, **own).execute()


_ENGINE = "medpriv"
papermill_engines.register(_ENGINE, _Engine)


def _kernel_env(results: Path) -> dict[str, str]:
    """What the kernel's environment adds to ours; relative paths are meant from our folder."""
    env = {
        key: str(Path(os.environ[key]).expanduser().resolve())
        for key in ("MEDPRIV_DATA", "MEDPRIV_CACHE", "MEDPRIV_CHAPTERS")
        if os.environ.get(key)
    }
    return env | {
        "MEDPRIV_RESULTS": str(results),
        "MEDPRIV_PROGRESS": "0",  # a bar drawn into the notebook is never the same twice
        "PYTHONPATH": search_path(),
    }


def search_path() -> str:
    """``PYTHONPATH`` for a process that is to find this package, and no other of its name."""
    return os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))


# --- What the reader sees -------------------------------------------------------------------------


def _progress(name: str, cells: int) -> dict[str, Any]:
    """Papermill's options: a bar in a terminal, lines of text elsewhere, nothing in CI."""
    if not runtime.shows_progress():
        return {"progress_bar": False}
    if sys.stderr.isatty():
        return {"progress_bar": {"desc": name, "leave": False}}
    return {"progress_bar": False, "on_cell_start": _announcer(name, cells)}


def _announcer(name: str, cells: int) -> Callable[..., None]:
    began, count = time.monotonic(), iter(range(1, cells + 1))

    def announce(cell: NotebookNode, cell_index: int) -> None:
        if cell.cell_type == "code":
            seconds = time.monotonic() - began
            print(f"{name}: cell {next(count)} of {cells} ({seconds:.0f} s)", file=sys.stderr)

    return announce


def _describe(name: str, error: PapermillExecutionError | DeadKernelError) -> str:
    if isinstance(error, DeadKernelError):
        return f"{name}: the kernel died ({error}); most often the machine ran out of memory"
    traceback = ANSI.sub("", "\n".join(error.traceback)) or f"{error.ename}: {error.evalue}"
    return f"{name} failed in cell [{error.exec_count}]\n\n{error.source}\n\n{traceback}"
