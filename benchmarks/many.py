"""Many models at once, each on half of the patients, against one after the other by ``fit``.

One thread; both sides make their own untrained networks and begin with an empty cache. The larger
a batch, the less there is to win: a single model then leaves less of the processor idle.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from timing import cache_in, fastest_in_turn, one_thread
from torch import nn
from torch.nn import functional as F

from medpriv import data, training
from medpriv.data.cohort import Part
from medpriv.models import build_target
from medpriv.models.images import ImageCNN
from medpriv.models.reports import small_head
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe, fit

Make = Callable[[Part, int], nn.Module]


def records() -> list[dict[str, object]]:
    """200 MLPs on 600 patients of ``warfarin``, 40 epochs, in batches of 64 and of 128."""
    cohort = data.load_records("warfarin", seed=0)
    part = cohort.members.first_patients(600)

    def make(own: Part, seed: int) -> nn.Module:
        return build_target(replace(cohort, members=own), seed=seed)

    how = Recipe(40, weight_decay=1e-3, exact=True)
    sizes = (replace(how, batch_size=64), replace(how, batch_size=128))
    return [_row("200 MLPs on records", make, part, 200, recipe) for recipe in sizes]


def heads() -> list[dict[str, object]]:
    """64 heads of report classifiers on 600 embeddings, 40 epochs."""
    cohort = data.load_reports("synthetic", seed=0)
    part = cohort.members.first_patients(600)
    embedded = torch.randn(len(part), 384, generator=torch_rng(0, "bench"))
    part = replace(part, x=F.normalize(embedded, dim=1))

    def make(own: Part, seed: int) -> nn.Module:
        with seeded(seed, "bench"):
            return small_head(384, len(cohort.classes))

    recipe = Recipe(40, batch_size=128, weight_decay=1e-3, exact=True)
    return [_row("64 heads on embeddings", make, part, 64, recipe)]


def images() -> list[dict[str, object]]:
    """16 CNNs on 100 patients of the phantoms at 32x32, 10 epochs: by itself, and as one."""
    cohort = data.load_images("phantom", size=32, seed=0)
    part = cohort.members.first_patients(100)

    def make(own: Part, seed: int) -> nn.Module:
        with seeded(seed, "bench"):
            return ImageCNN(size=32, classes=len(cohort.classes))

    recipe = Recipe(10, batch_size=64, weight_decay=1e-2)
    return [
        _row("16 CNNs on images", make, part, 16, recipe),
        _row("16 CNNs on images, computed as one", make, part, 16, recipe, at_once=16),
    ]


def _row(
    what: str, make: Make, part: Part, models: int, recipe: Recipe, at_once: int | None = None
) -> dict[str, object]:
    inside = training.halves(part.patient, models)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder, cache_in(folder):
            training.train_many(make, part, inside, recipe=recipe, device="cpu", at_once=at_once)

    def theirs() -> None:
        for number in range(models):
            own = part.take(inside[number])
            network = make(own, number)
            fit(network, own.x, own.y, loss=F.cross_entropy, recipe=recipe, seed=number,
                device="cpu")  # fmt: skip

    with one_thread():
        first, second = fastest_in_turn(ours, theirs)
    size = f"{int(np.median(inside.sum(1)))} rows each, {recipe.epochs} epochs"
    said = f"one after the other; {size}, batches of {recipe.batch_size}"
    return {"what": what, "ours": first, "peer": second, "is": said}


PARTS = (records, heads, images)
