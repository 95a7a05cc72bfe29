"""``make grids``: what is recorded rather than computed in a page, made again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import parallel_config

from build_tools.run import run_chapter
from experiments.recording import record
from experiments.tables import TABLES
from medpriv.course.catalog import CHAPTERS
from medpriv.course.recorded_tables import place
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.device import machine


def make_grids() -> None:
    """Compute what is missing in the tables, and run each chapter from an empty cache for its cost.

    Real data come from ``MEDPRIV_DATA`` or their source. Each core has a process of one thread: two
    threads of one cell gain little beside others.
    """
    with parallel_config(backend="loky", n_jobs=-1, inner_max_num_threads=1):
        for name, table in TABLES.items():
            record(name, table)
    rows = [_cost(chapter) for chapter in CHAPTERS]
    with atomic_path(place("costs")) as part:
        pd.DataFrame(rows).to_csv(part, index=False)


def _cost(chapter: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDPRIV_CACHE"] = str(Path(folder, "cache"))  # nothing else is done after this
        results = run_chapter(chapter, {}, Path(folder, "out")).results
    return {
        "chapter": chapter,
        "profile": results["parameters"]["profile"],
        "seconds": results["seconds"],
        "peak_mb": results["peak_mb"],
        "machine": machine(),
    }
