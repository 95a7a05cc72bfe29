"""A board of each kind, of random pictures; another process makes the same ones."""

from __future__ import annotations

import torch
from IPython.display import HTML

from medpriv.course import Explorer, Shown, defense_explorer, film
from medpriv.runtime.seeds import torch_rng

SPLITS = ("conv2", "conv4", "conv6")
STEPS = (0, 1, 20, 300)
CHOICES = (
    ("inverse network", "nothing", "none"),
    ("inverse network", "noise <once>", "sigma 0.02"),
    ("inverse network", "noise <once>", "sigma 0.05"),
    ("search", "noise <once>", "sigma 0.05"),
    ("search", "</script> {{ bits }}", "4"),
)


def images(*name: object, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch_rng(0, *map(str, name)))


def explorer(seed: int = 0) -> HTML:
    guesses = {split: images(seed, split, count=3) for split in SPLITS}
    truth, nearest = (images(seed, name, count=3) for name in ("truth", "nearest"))
    return Explorer(truth, guesses, nearest).static()


def defenses(seed: int = 0) -> HTML:
    shown = [
        Shown(*one, images(seed, "naive", *one), images(seed, "adaptive", *one), 0.5 + place / 20)
        for place, one in enumerate(CHOICES)
    ]
    return defense_explorer(images(seed, "truth"), images(seed, "baseline"), shown)


def of_search(seed: int = 0, splits: tuple[str, ...] = SPLITS) -> HTML:
    courses = {split: images(seed, split, count=len(STEPS)) for split in splits}
    return film(images(seed, "truth")[0], STEPS, courses)


KINDS = {"explorer": explorer, "defenses": defenses, "film": of_search}


def each() -> str:
    return "\n".join(make().data for make in KINDS.values())
