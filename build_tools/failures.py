"""What is told of a cell that failed on a reader's own data: nothing that could quote the data.

The message of a foreign library may hold a cell of a table ("could not convert string to float:
..."). The package's own name rows and kinds of cells. So of an error remain its type, the lines
that led to it, and the message where the package raised it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nbformat import NotebookNode

from build_tools.kernel import CLONE

LEFT_OUT: Final = (
    "(its message is left out, since it could quote your data; run the cells by hand, as with "
    "`make lab`, to see it)"
)
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_FRAME: Final = re.compile(
    r"^(?:File (?P<file>.+?):(?P<line>\d+)(?=, in|$)|Cell.*, line \d+)", re.M
)
# What IPython writes between two errors of which the one led to the other.
_CHAINED: Final = re.compile(r"^(?:During handling of|The above exception was).*$", re.M)


def own_error(name: str, message: str, traceback: Sequence[str]) -> list[str]:
    """An error as lines: where it was raised, its type, and its message where that is ours.

    Args:
        name: the type of the error.
        message: what it says.
        traceback: as a kernel gives it, with colours or without.
    """
    last = _CHAINED.split(_ANSI.sub("", "\n".join(traceback)))[-1]
    frames = list(_FRAME.finditer(last))
    ours = bool(frames) and _raised_by_us(frames[-1])
    where = [frame[0] for frame in frames]
    return [*where, f"{name}: {message if ours else LEFT_OUT}"]


def without_messages(notebook: NotebookNode) -> NotebookNode:
    """A notebook whose errors are told by :func:`own_error`; it is changed in place."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                told = own_error(output.ename, output.evalue, output.traceback)
                output.evalue = told[-1].removeprefix(f"{output.ename}: ")
                output.traceback = told
    return notebook


def _raised_by_us(frame: re.Match[str]) -> bool:
    """Whether the package's own ``raise`` stands there, and not a call of something foreign."""
    if frame["file"] is None:
        return False
    file = Path(frame["file"]).expanduser()
    if not file.is_relative_to(CLONE / "medpriv") or not file.is_file():
        return False
    lines = file.read_text(encoding="utf-8").splitlines()
    number = int(frame["line"])
    return number <= len(lines) and lines[number - 1].lstrip().startswith("raise ")
