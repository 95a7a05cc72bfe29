"""Recorded tables as chapters read them; :mod:`experiments.tables` makes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from medpriv.course.catalog import chapters_dir


def recorded(name: str) -> pd.DataFrame:
    """A recorded table.

    Raises:
        ValueError: it was never made; ``make grids`` makes it.
    """
    path = place(name)
    if not path.exists():
        raise ValueError(f"no recorded table {name!r} at {path}; run `make grids` to make it")
    return pd.read_csv(path)


def place(name: str) -> Path:
    """Where a recorded table is kept."""
    return chapters_dir() / "recorded" / f"{name}.csv"


def paper_table(
    dataset: str = "mias", *, seeds: Iterable[int] = (0, 1, 2), steps: int = 4_000
) -> pd.DataFrame:
    """The inversion table of Wu et al. 2020, undefended: splits 2, 4, 6 by MSE, PSNR and SSIM.

    Each figure is a mean over victims and seeds; no victim is an auxiliary patient. With 4,000
    steps it takes some 20 to 40 seconds for each split and seed on one core.

    Args:
        dataset: whose patients.
        seeds: the experiment is repeated from the split into patients on.
        steps: how long each inverse network is trained.

    Returns:
        A row for each split: ``mse``, ``psnr`` in dB (peak 1), ``ssim``, and the ``lowest`` and
        ``highest`` SSIM of a seed.
    """
    from experiments.tables import SPLITS, longer_cell  # imports every attack

    rows = [
        {"split": split, **longer_cell(dataset, seed, split, steps)}
        for seed in seeds
        for split in SPLITS
    ]
    by_split = pd.DataFrame(rows).groupby("split")
    table = by_split[["mse", "psnr", "ssim"]].mean()
    return table.assign(lowest=by_split["ssim"].min(), highest=by_split["ssim"].max())
