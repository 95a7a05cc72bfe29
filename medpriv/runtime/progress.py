"""Progress of long work: a bar where somebody looks, nothing elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from tqdm import tqdm

from medpriv.runtime.arguments import T


def progress(
    items: Iterable[T], what: str, *, total: int | None = None, unit: str = "it"
) -> Iterable[T]:
    """Iterate with a progress bar: live in a terminal or notebook, none in CI or a book build.

    ``MEDPRIV_PROGRESS`` set to ``0`` or ``1`` overrides the choice.
    """
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        leave=False,
        disable=not shows_progress(),
        # A notebook shows stderr on red ground, and keeps the box when the bar has gone.
        file=sys.stdout if _in_notebook() else sys.stderr,
    )


def _in_notebook() -> bool:
    # Asked of what is loaded: the package needs no IPython.
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def shows_progress() -> bool:
    """Whether progress is shown here: not in CI, unless ``MEDPRIV_PROGRESS`` says otherwise."""
    wish = os.environ.get("MEDPRIV_PROGRESS")
    if wish is not None:
        return wish not in ("", "0")
    return not os.environ.get("CI")
