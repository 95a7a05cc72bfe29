"""Execute a notebook by this Python and no other, and let Ctrl-C end it.

Papermill does the work. What it leaves open: by name, Jupyter may start another Python's kernel; an
interruption can be lost in the event loop; and a widget's answer can hang a run for ever.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger as papermill_log

CLONE = Path(__file__).resolve().parents[1]


def search_path() -> str:
    """``PYTHONPATH`` for a process that is to find this clone's packages, and no others."""
    return os.pathsep.join(filter(None, [str(CLONE), os.environ.get("PYTHONPATH", "")]))


def execute_notebook(
    notebook: NotebookNode,
    out: Path,
    *,
    parameters: Mapping[str, Any],
    environment: Mapping[str, str],
    progress: Mapping[str, Any],
) -> PapermillExecutionError | DeadKernelError | None:
    """Run all cells, in the folder of ``out``; return what failed rather than raise it.

    The notebook with its outputs is written to ``out``, cell by cell. The parameters are assigned
    behind the cell tagged ``parameters``, ``environment`` is added to this process's, ``progress``
    holds papermill's options for it. After Ctrl-C, a ``KeyboardInterrupt``, the kernel is gone.
    """
    started: list[AsyncKernelManager] = []
    with _interrupts(started) as interrupted:
        try:
            papermill.execute_notebook(
                notebook,
                out,
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                engine_name=_ENGINE,
                cwd=out.parent,
                kernel_manager_class=kernel_manager(environment, started),
                record_timing=False,
                coalesce_streams=True,
                **progress,
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


def kernel_manager(
    environment: Mapping[str, str], started: list[AsyncKernelManager]
) -> type[AsyncKernelManager]:
    """A manager whose only kernel is this interpreter; each one made is added to ``started``.

    By name, jupyter would take the first ``python3`` kernel on its search path, and one in the
    reader's home folder may belong to another Python.
    """
    # Its log warns of unencrypted sockets, which never leave the machine, and of its own end.
    quiet = "--log-level=CRITICAL"
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet]
    escaped = {key: value.replace("$", "$$") for key, value in environment.items()}
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
