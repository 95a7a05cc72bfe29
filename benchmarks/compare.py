"""The comparison measured: what it costs beside its work, on two workers, and in memory."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from joblib import parallel_config
from timing import cache_in, one_thread, timed

from medpriv import evaluation
from medpriv.evaluation import cell
from medpriv.evaluation import comparison as grid
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.defenses import Defended

CELLS = (4, 16, 64)
_spent = 0.0


@dataclass(frozen=True)
class Watched:
    """A function whose time is added up."""

    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        global _spent
        seconds, result = timed(lambda: self.function(*args))
        _spent += seconds
        return result


def _some(modality: str, attacks: Sequence[str], defenses: Sequence[str]) -> tuple[list, list]:
    known = evaluation.known_attacks(modality), evaluation.known_defenses(modality)
    return tuple(
        [one for one in those if one.name in names]
        for those, names in zip(known, (attacks, defenses), strict=True)
    )


def share_of_work() -> list[dict[str, object]]:
    """How much of a comparison's time is spent in attacks and in training, from an empty cache."""
    global _spent
    attacks, defenses = _some("images", ["inverse network, conv4"], ["nothing", "rounding"])
    watched = [
        replace(one, run=Watched(one.run), baseline=Watched(one.baseline)) for one in attacks
    ]
    _spent, usual = 0.0, grid.trained
    grid.trained = cell.trained = Watched(usual)
    try:
        with tempfile.TemporaryDirectory() as folder, cache_in(folder):
            wall, table = timed(lambda: _compared(watched, defenses[:2], (0,), folder))
    finally:
        grid.trained = cell.trained = usual
    said = f"seconds in attacks and training, {_spent / wall:.1%} of all; {len(table)} cells"
    return [{"what": "a comparison on images", "ours": wall, "peer": _spent, "is": said}]


def on_two_workers() -> list[dict[str, object]]:
    """Twelve cells on a Dask cluster of one worker and of two, of one torch thread each."""
    from distributed import Client, LocalCluster

    attacks, defenses = _some(
        "records",
        ["MAP, one answer", "same scores", "membership, loss threshold"],
        ["parameter noise, per query"],
    )
    how, seconds = {"dataset": "warfarin", "profile": "quick"}, {}
    with tempfile.TemporaryDirectory() as shared, cache_in(shared):
        _compared(attacks[:1], [evaluation.NOTHING], (0, 1), shared, **how)  # trains the targets
        for workers in (1, 2):
            with (
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None
                ) as cluster,
                Client(cluster) as client,
                parallel_config("dask"),
                tempfile.TemporaryDirectory() as folder,
                one_thread(),  # joblib computes here where the cluster has one worker
            ):
                client.run(_import_all)
                seconds[workers], table = timed(
                    lambda folder=folder: _compared(attacks, defenses, (0, 1), folder, **how)
                )
    said = f"one worker, {len(table)} cells"
    return [{"what": "two Dask workers", "ours": seconds[2], "peer": seconds[1], "is": said}]


def memory() -> list[dict[str, object]]:
    """Peak memory of one process over ever more cells on reports, targets trained included."""
    rows = []
    for cells in CELLS:
        with get_context("spawn").Pool(1) as pool:
            seconds, peak, failed = pool.apply(_peak, (cells,))
        said = f"peak {peak:.0f} MB" + (f"; {failed} cells failed" if failed else "")
        what = f"a comparison on reports, {cells} cells"
        rows.append({"what": what, "ours": seconds, "peer": float("nan"), "is": said})
    return rows


def _peak(cells: int) -> tuple[float, float, int]:
    attacks, defenses = _some("reports", ["facts", "nearest report"], ["nothing", "rounding"])
    with tempfile.TemporaryDirectory() as folder, cache_in(folder):
        began = time.perf_counter()
        table = _compared(
            attacks, defenses[:2], range(cells // 4), folder, dataset="synthetic", profile="smoke"
        )
        spent = time.perf_counter() - began
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return spent, peak, int(table["error"].ne("").sum())


def _compared(
    attacks: Sequence[Attack],
    defenses: Sequence[Defended],
    seeds: Sequence[int],
    folder: str,
    *,
    dataset: str = "phantom",
    profile: str = "quick",
) -> Any:
    return evaluation.compare(
        attacks, defenses, seeds, dataset=dataset, profile=profile, device="cpu",
        folder=Path(folder) / "cells",
    )  # fmt: skip


def _import_all() -> None:
    import medpriv.evaluation  # noqa: F401


PARTS = (share_of_work, on_two_workers, memory)
