"""Sweeps of chapter 11 on images: what is left in features behind each defense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.ch11 import TENSORS, TIMES, drawn
from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, models, training
from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.data.cohort import Cohort
from medpriv.defenses import (
    fresh_parameters,
    further_recipe,
    learn_noise,
    noisy_parameters,
    train_adversarially,
    train_no_peek,
)
from medpriv.deployment.service import Defense
from medpriv.metrics.pictures import PictureJudge, picture_judge
from medpriv.runtime.cache import remembered
from medpriv.statistics import Estimate
from medpriv.training.utility_scores import Utility

IMAGE_DEFENSES = (
    "nothing", "noise 1", "dropout 0.5", "4 bits", "2 bits", "one shift", "learned 1", "learned 3",
    "NoPeek 10", "opponent 10",
)  # fmt: skip
OTHERS = ("noise 0.5", "dropout 0.9", "NoPeek 1", "opponent 1")  # other strengths
DEEP = ("nothing", "noise 1", "NoPeek 10", "opponent 10")  # at the other splits
MEASURED = ("nothing", "4 bits", "2 bits", "NoPeek 10", "noise 1", "weights anew 0.05")
QUERIES = 1_080  # images sent to fit an inverse
QUERIES_AVERAGED = 270  # of which each is sent so many times
STEPS = 270  # of each inverse
ATTACKERS = ("naive", "adaptive", "averaged", "opponent")
MEASURES = {
    "": "SSIM", "_inside": "SSIM inside", "_rank1": "rank-1", "_other": "rank-1, other picture",
    "_finding": "finding",
}  # fmt: skip


@dataclass(frozen=True)
class _Attacked:
    """A system behind one defense, and what each attacker makes of it."""

    view: deployment.View
    sent: Tensor
    worth: Utility
    guesses: dict[str, Tensor]


def _attacked(dataset: str, seed: int, split: str, defense: str) -> _Attacked:
    """Guesses of the ``naive``, ``adaptive``, ``averaged`` attacker and the ``opponent``."""
    cohort = data.load_images(dataset, seed=seed)
    target = training.train_target(cohort, seed=seed)
    victims, own = cohort.victims, cohort.auxiliary.x
    served, kept, opponent = _defended(cohort, target, seed, split, defense)
    view = deployment.deploy(served, expose="back", split=split, defenses=kept)
    sent = view.intercept(victims.x)
    through = _fit(view, own, seed)
    worth = training.utility(
        view.back(), replace(cohort.test, x=view.intercept(cohort.test.x)), draws=50
    )
    guesses = {"naive": _naive(dataset, seed, split).guess(sent), "adaptive": through.guess(sent)}
    if not torch.equal(view.intercept(victims.x[:4]), view.intercept(victims.x[:4])):
        often = attacks.averaged(view, TIMES)
        fitted = _fit(often, own, seed, QUERIES_AVERAGED)
        guesses["averaged"] = fitted.guess(often.intercept(victims.x))
    if opponent is not None:
        guesses["opponent"] = opponent.guess(sent)
    return _Attacked(view, sent, worth, guesses)


def images_cell(dataset: str, seed: int, split: str, defense: str) -> dict[str, Any]:
    """One cell of ``11-images``: inverse networks at a split behind one defense.

    ``auc`` and ``accuracy`` are those of the back half on what the view answers about the test
    patients. SSIM, the mean over victims: ``naive``, an inverse fitted on the undefended front;
    ``adaptive`` through the defense, with its interval ``low`` to ``high``; ``averaged`` on the
    means of 16 answers to each of fewer images, where answers differ; ``opponent`` of the decoder
    that an adversarial training had; ``mean_image`` and ``black`` without the model.
    ``dependence`` is the U-centred distance correlation of victims' images and features. All
    inverses are trained for as long, about a quarter of chapter 06's quick training.
    """
    cohort = data.load_images(dataset, seed=seed)
    victims = cohort.victims
    found = _attacked(dataset, seed, split, defense)
    guesses = {
        **found.guesses,
        "mean_image": cohort.auxiliary.x.mean(0, keepdim=True).expand_as(victims.x),
        "black": torch.zeros_like(victims.x),
    }
    ssim = {name: metrics.ssim(victims.x, guess) for name, guess in guesses.items()}
    estimate = metrics.mean_estimate(ssim["adaptive"], victims.patient)
    worth = found.worth
    row = {"auc": worth.auc.value, "accuracy": worth.accuracy.value, "majority": worth.majority}
    for name in (*ATTACKERS, "mean_image", "black"):
        row[name] = ssim[name].mean() if name in ssim else float("nan")
    dependence = models.distance_correlation(victims.x, found.sent)
    return {**row, "low": estimate.low, "high": estimate.high, "dependence": float(dependence)}


def measures_cell(dataset: str, seed: int, split: str, defense: str) -> dict[str, Any]:
    """One cell of ``11-measures``: the same guesses by all of :mod:`medpriv.metrics.pictures`.

    Columns without an ending are SSIM, those of the other measures end in ``_inside`` (SSIM),
    ``_rank1``, ``_other`` (rank 1 among other pictures) and ``_finding``. ``mean_image`` and
    ``black`` are guesses without the model, ``true`` the true images. ``auc`` and ``accuracy`` are
    those of the back half on what the view answers about the test patients.
    """
    found, judge = _attacked(dataset, seed, split, defense), _judge(dataset, seed)
    return {
        "auc": found.worth.auc.value, "accuracy": found.worth.accuracy.value,
        **{
            key: value
            for name in ATTACKERS[:3]
            for key, value in _columns(
                name, judge.scores(found.guesses[name]) if name in found.guesses else None
            )
        },
        **_known(dataset, seed),
    }  # fmt: skip


def longer_cell(dataset: str, seed: int, steps: int) -> dict[str, Any]:
    """One cell of ``11-longer``: the adaptive attacker behind two bits, with a longer training.

    The columns: ``SSIM``, and those of :func:`measures_cell` for him without his name.
    """
    cohort = data.load_images(dataset, seed=seed)
    target = training.train_target(cohort, seed=seed)
    served, kept, _ = _defended(cohort, target, seed, "conv4", "2 bits")
    view = deployment.deploy(served, expose="features", split="conv4", defenses=kept)
    inverse = _fit(view, cohort.auxiliary.x, seed, steps=steps)
    found = _judge(dataset, seed).scores(inverse.guess(view.intercept(cohort.victims.x)))
    named = _columns("", found)
    return {name.removeprefix("_") or "SSIM": value for name, value in named}


def _columns(name: str, found: dict[str, Estimate] | None) -> list[tuple[str, float]]:
    return [
        (name + ending, found[measure].value if found and measure in found else float("nan"))
        for ending, measure in MEASURES.items()
    ]


@remembered(3)  # the seeds of a data set
def _judge(dataset: str, seed: int) -> PictureJudge:
    return picture_judge(data.load_images(dataset, seed=seed), seed=seed)


@remembered(3)
def _known(dataset: str, seed: int) -> dict[str, float]:
    """What is scored without the model, and by the truth."""
    judge, truth = _judge(dataset, seed), data.load_images(dataset, seed=seed).victims.x
    guesses = {
        "mean_image": judge.mean.expand_as(truth), "black": torch.zeros_like(truth), "true": truth,
    }  # fmt: skip
    return {
        key: value
        for name, guess in guesses.items()
        for key, value in _columns(name, judge.scores(guess))
    }


def _defended(
    cohort: Cohort, target: nn.Module, seed: int, split: str, defense: str
) -> tuple[nn.Module, list[Defense], Any]:
    """The model that is served, the defenses of its answers, and the opponent of its training."""
    kind, _, strength = defense.rpartition(" ")
    if kind.startswith("weights"):
        draw = noisy_parameters if kind == "weights" else fresh_parameters
        return target, [draw(float(strength), seed=seed)], None
    how = {"seed": seed, "model": target, "recipe": further_recipe("quick", len(cohort.members))}
    if kind == "NoPeek":
        return train_no_peek(cohort, split, float(strength), **how), [], None
    if kind == "opponent":
        found = train_adversarially(cohort, split, float(strength), **how)
        return found.model, [], found
    if defense == "one shift" or kind == "learned":
        scale, tensors = (1.0, 1) if kind == "one" else (float(strength), TENSORS)
        plain = deployment.deploy(target, expose="features", split=split)
        noise = learn_noise(
            models.back(target, split), plain(cohort.members.x), cohort.members.y, scale=scale,
            tensors=tensors, seed=seed,
        )  # fmt: skip
        return target, [noise.defense(seed=seed)], None
    one = drawn(defense)
    return target, [] if one is None else [one], None


def _fit(
    view: deployment.View, own: Tensor, seed: int, queries: int = QUERIES, steps: int = STEPS
) -> InverseNetwork:
    recipe = training.Recipe.of_steps(steps, queries, batch_size=8)
    some = own[:queries]
    return attacks.fit_inverse_network(view, some, seed=seed, queries=queries, recipe=recipe)


@remembered(1)
def _naive(dataset: str, seed: int, split: str) -> InverseNetwork:
    cohort = data.load_images(dataset, seed=seed)
    target = training.train_target(cohort, seed=seed)
    plain = deployment.deploy(target, expose="features", split=split)
    return _fit(plain, cohort.auxiliary.x, seed)


TABLES = {
    "11-images": Table(
        images_cell,
        [
            {"seed": [seed], "dataset": [dataset], "split": [split], "defense": defenses}
            for seed in (0, 1, 2)
            for dataset, split, defenses in (
                ("phantom", "conv4", IMAGE_DEFENSES + OTHERS),
                ("mias", "conv4", IMAGE_DEFENSES),
                ("phantom", "conv2", DEEP),
                ("phantom", "conv6", DEEP),
            )
        ],
    ),
    "11-measures": Table(
        measures_cell,
        [
            {"seed": [seed], "dataset": [dataset], "split": ["conv4"], "defense": defenses}
            for seed in (0, 1, 2)
            for dataset, defenses in (
                ("phantom", MEASURED),
                ("mias", MEASURED[:4]),
                ("pneumoniamnist", MEASURED[:4]),
            )
        ],
    ),
    "11-longer": Table(
        longer_cell, {"dataset": ["phantom"], "seed": [0, 1, 2], "steps": [270, 1_080, 4_000]}
    ),
}
