"""``make grids``: what is recorded rather than computed in a page, made again.

Those are the tables of long sweeps, which the experiments make, and what each chapter costs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from build_tools.run import run_chapter
from experiments import tables
from medpriv.course.catalog import CHAPTERS
from medpriv.course.recorded_tables import place
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.device import machine


def make_grids() -> None:
    """Compute what is missing in the tables, and measure every chapter.

    Real data come from ``MEDPRIV_DATA`` or their source.
    """
    tables.main()
    record_costs()


def record_costs() -> None:
    """Run each chapter from an empty cache; write ``chapters/recorded/costs.csv``."""
    rows = [_cost(chapter) for chapter in CHAPTERS]
    with atomic_path(place("costs")) as part:
        pd.DataFrame(rows).to_csv(part, index=False)


def _cost(chapter: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, _cache(Path(folder) / "cache"):
        results = run_chapter(chapter, {}, Path(folder) / "out").results
    return {
        "chapter": chapter,
        "profile": results["parameters"]["profile"],
        "seconds": results["seconds"],
        "peak_mb": results["peak_mb"],
        "machine": machine(),
    }


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Let chapters keep what they train in another folder for a while."""
    before = os.environ.get("MEDPRIV_CACHE")
    os.environ["MEDPRIV_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("MEDPRIV_CACHE")
        if before is not None:
            os.environ["MEDPRIV_CACHE"] = before
