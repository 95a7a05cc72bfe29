"""`make bench`: each part of the course beside a plain way of doing the same, in one run.

Prints a table of seconds and ratios and writes it to ``_build/bench/results.json``. Figures hold
for this machine and this hour; the ratios are what carries over.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import attributes
import compare
import loading
import pandas as pd
import torch
from timing import fastest, one_thread
from torch.nn import functional as F

import inversion
import many
import reports
from medpriv.data.sources.phantoms import make_phantoms
from medpriv.models.images import ImageCNN
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.device import machine
from medpriv.runtime.seeds import seeded
from medpriv.training.loop import Recipe, fit


def phantoms() -> list[dict[str, object]]:
    """Phantom images a second on one core, against the 1,500 that the course asks for."""
    with one_thread():
        spent = fastest(lambda: make_phantoms(320, seed=1))
    return [{"what": "640 phantoms of 64x64", "ours": spent, "peer": 640 / 1500, "is": "1,500/s"}]


def training() -> list[dict[str, object]]:
    """One epoch of the CNN by the course's loop, against a plain float32 loop."""
    images = torch.rand(1024, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(1024) % 2

    def ours() -> None:
        fit(_cnn(), images, labels, loss=F.cross_entropy, recipe=Recipe(1), seed=0, device="cpu")

    def plain() -> None:
        model = _cnn()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for rows in torch.randperm(1024).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()

    row = {"what": "one epoch of 1,024 images", "ours": fastest(ours), "peer": fastest(plain)}
    return [row | {"is": "a plain float32 loop"}]


def _cnn() -> ImageCNN:
    with seeded(0, "bench"):
        return ImageCNN()


def main() -> None:
    """Measure, print and write the table."""
    # Where ART would else make a folder in the user's home.
    os.environ.setdefault("ART_DATA_PATH", os.path.join("_build", "art"))
    rows: list[dict[str, object]] = []
    print(machine())
    modules = (inversion, attributes, reports, compare, loading, many)
    parts = [part for module in modules for part in module.PARTS]
    for part in (phantoms, training, *parts):
        rows += part()
        table = pd.DataFrame(rows)
        table["times faster"] = table["peer"] / table["ours"]
        _keep(table)  # what is measured stays, if the rest is interrupted
        print(f"{part.__module__}.{part.__name__} done, {len(rows)} rows", flush=True)
    print(table.round(3).to_string(index=False))


def _keep(table: pd.DataFrame) -> None:
    # JSON has no NaN: what was not reached, or has no peer, is null.
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    with atomic_path(Path("_build", "bench", "results.json")) as part:
        part.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
