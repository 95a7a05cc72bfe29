"""Sweeps of chapter 06: the inverse network by seed, by what the attacker owns, by its length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, training
from medpriv.data.cohort import Cohort
from medpriv.runtime.seeds import torch_rng

SEEDS = (0, 1, 2)
SPLITS = ("conv2", "conv4", "conv6")


def inversion_cell(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """One cell of the table ``06-seeds``: the inverse network at one split, with its baselines.

    SSIM is the mean over victims; ``low`` and ``high`` are its interval over patients.
    """
    cohort = data.load_images(dataset, seed=seed)
    own, victims = cohort.auxiliary.x, cohort.victims.x
    found = _inverted(cohort, seed, split, own)
    mean = own.mean(0, keepdim=True).expand_as(victims)
    return {name: found[name] for name in ("ssim", "low", "high", "mse", "psnr")} | {
        "mean_image": metrics.ssim(victims, mean).mean(),
        "nearest": metrics.ssim(victims, metrics.nearest_image(victims, own)).mean(),
        "auxiliary_images": len(own),
        "victims": len(victims),
    }


def auxiliary_cell(
    dataset: str, seed: int, split: str, source: str, patients: int
) -> dict[str, Any]:
    """One cell of ``06-auxiliary``: what the attack makes of less data, or of other data.

    The ``source`` of auxiliary images is ``same`` (the cohort's own), another data set, or
    ``noise``; of it so many ``patients`` are taken, 0 being all, or so many images of noise.
    """
    cohort = data.load_images(dataset, seed=seed)
    images = _auxiliary(cohort, seed, source, patients)
    found = _inverted(cohort, seed, split, images)
    return {name: found[name] for name in ("ssim", "low", "high", "mse", "queries")} | {
        "images": len(images)
    }


def _auxiliary(cohort: Cohort, seed: int, source: str, patients: int) -> Tensor:
    size = cohort.auxiliary.x.shape[-1]
    if source == "noise":
        shape = (patients, *cohort.auxiliary.x.shape[1:])
        return torch.rand(shape, generator=torch_rng(seed, "noise images"))
    other = cohort if source == "same" else data.load_images(source, seed=seed, size=size)
    return (other.auxiliary.first_patients(patients) if patients else other.auxiliary).x


def longer_cell(dataset: str, seed: int, split: str, steps: int) -> dict[str, Any]:
    """One cell of ``06-longer``: the attack by its length, on all auxiliary images.

    The longest is the table of the paper's inversion section: splits 2, 4, 6 by MSE, PSNR, SSIM.
    """
    cohort = data.load_images(dataset, seed=seed)
    queries = max(len(cohort.auxiliary), min(steps, 4_000))
    recipe = training.Recipe.of_steps(steps, queries, batch_size=8)
    return _inverted(cohort, seed, split, cohort.auxiliary.x, queries=queries, recipe=recipe)


def _inverted(
    cohort: Cohort, seed: int, split: str, images: Tensor, **how: Any
) -> dict[str, float]:
    """An inverse network fitted on some images, and how well it does on the victims."""
    model = training.train_target(cohort, seed=seed)
    view = deployment.deploy(model, expose="features", split=split)
    inverse = attacks.fit_inverse_network(view, images, seed=seed, **how)
    victims = cohort.victims
    scores = metrics.image_scores(victims.x, inverse.guess(view.intercept(victims.x)))
    ssim = metrics.mean_estimate(scores["ssim"].to_numpy(), victims.patient)
    return {
        "ssim": ssim.value,
        "low": ssim.low,
        "high": ssim.high,
        "mse": scores["mse"].mean(),
        "psnr": scores["psnr"].mean(),
        "queries": inverse.queries,
    }


def paper_table(
    dataset: str = "mias", *, seeds: Iterable[int] = (0, 1, 2), steps: int = 4_000
) -> pd.DataFrame:
    """A table like that of Wu et al. 2020 (by a public summary): splits 2, 4, 6; MSE, PSNR, SSIM.

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
    rows = [
        {"split": split, **longer_cell(dataset, seed, split, steps)}
        for seed in seeds
        for split in SPLITS
    ]
    by_split = pd.DataFrame(rows).groupby("split")
    table = by_split[["mse", "psnr", "ssim"]].mean()
    return table.assign(lowest=by_split["ssim"].min(), highest=by_split["ssim"].max())


# Whose victims, whose auxiliary images, and of how many patients.
OWNED = (
    ("phantom", "same", [32, 128, 512, 0]),
    ("phantom", "pneumoniamnist", [512]),
    ("phantom", "noise", [1000]),
    ("mias", "same", [16, 32, 0]),
    ("mias", "phantom", [512]),
    ("mias", "pneumoniamnist", [512]),
    ("mias", "noise", [1000]),
)
TABLES = {
    "06-seeds": Table(
        inversion_cell,
        [
            {"dataset": ["phantom"], "seed": range(5), "split": SPLITS},
            {"dataset": ["mias", "pneumoniamnist"], "seed": SEEDS, "split": SPLITS},
        ],
    ),
    "06-auxiliary": Table(
        auxiliary_cell,
        [
            {"dataset": [one], "source": [source], "patients": many, "seed": SEEDS, "split": SPLITS}
            for one, source, many in OWNED
        ],
    ),
    "06-longer": Table(
        longer_cell,
        {
            "dataset": ["mias", "phantom"],
            "seed": SEEDS,
            "split": SPLITS,
            "steps": [250, 1_000, 4_000],
        },
    ),
}
