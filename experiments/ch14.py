"""The sweep of chapter 14 over attackers who know everything, beside what is proved.

They know the mechanism, its strength, the candidates, what it makes of each of them without its
randomness, and of DP-SGD all other rows, who of them was in which step, and every step. So the best
of them is as good as anybody can be, and where a bound is tight he reaches it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import beta
from torch import Tensor

from experiments.known_training import RATE, STEPS, Floats, trained
from experiments.recording import Setting, Table
from medpriv import data, defenses, training
from medpriv.bounds import ball, coins, dp_sgd, gallery, power
from medpriv.data.cohort import Cohort
from medpriv.defenses.ball import in_ball, put_ball
from medpriv.models.split import front
from medpriv.runtime.cache import remembered
from medpriv.runtime.seeds import rng, torch_rng
from medpriv.training.utility_scores import predict

SEEDS = [0, 1, 2, 3, 4]
TRIALS = 10_000
#: How often a cell may seem to be above its ceiling that is not.
LEVEL = 1e-5
BEST = "maximum likelihood"
SIZE, SPLIT, NUMBERS = 32, "conv4", 8
OTHERS = 100  # rows of a training with DP-SGD


# --- A coin --------------------------------------------------------------------------------------


def coin_cell(
    dataset: str, strength: float, answers: int, candidates: int, attack: str, seed: int
) -> dict[str, Any]:
    """Labels by randomised response with p = ``strength``; see :func:`cell`.

    With as many candidates as classes there is one for each label.
    """
    labels, classes = _labels(dataset, seed)
    draws = rng(seed, "coin", answers, candidates)
    if candidates == classes:
        known = np.arange(classes)
    else:
        known = rng(seed, "gallery", candidates).choice(labels, candidates, replace=False)
    who = draws.integers(candidates, size=TRIALS)
    served = defenses.randomised_response(strength, classes, seed=seed).apply(_as_it_is)
    told = served(torch.from_numpy(known[who].repeat(answers))).numpy().reshape(TRIALS, answers)
    if attack == "last answer":
        told = told[:, -1:]
    counts = (told[:, :, None] == np.arange(classes)).sum(1)
    likely = counts @ np.log(defenses.response_matrix(strength, classes).numpy()).T
    ceiling = coins.in_gallery(known, strength, classes, answers)
    tight = answers == 1 and candidates == classes
    return _judged(likely[:, known], who, ceiling, draws, tight=tight)


@remembered(16)
def _labels(dataset: str, seed: int) -> tuple[NDArray[np.int64], int]:
    """What a model says of the victims, and how many classes it has."""
    cohort = _cohort(dataset, seed)
    model = training.train_target(cohort, seed=seed)
    return predict(model, cohort.victims.x).argmax(1).numpy(), len(cohort.classes)


def _cohort(dataset: str, seed: int) -> Cohort:
    if dataset == "phantom":
        return data.load_images(dataset, seed=seed, size=SIZE)
    return data.load_records(dataset, seed=seed)


def _as_it_is(rows: Tensor) -> Tensor:
    return rows


# --- Noise, in a ball and without one ------------------------------------------------------------


def ball_cell(
    dataset: str, strength: float, answers: int, candidates: int, attack: str, seed: int
) -> dict[str, Any]:
    """Codes in a ball, with noise; ``strength`` is C / σ; see :func:`cell`.

    ``two points`` are at both ends of it in one dimension; of ``phantom`` the codes are those of
    :class:`medpriv.defenses.ball.Ball` at a layer of a trained network.
    """
    codes, radius = _codes(dataset, candidates, seed)
    sigma = radius / strength
    known = in_ball(radius, 0.0).apply(_as_it_is)(codes)
    served = in_ball(radius, sigma, seed=seed).apply(_as_it_is)
    ceiling = ball.gallery_ceiling(candidates, radius, sigma, answers)
    tight = dataset == "two points"
    return _told(known, codes, served, answers, attack, seed, ceiling, tight=tight)


def noise_cell(
    dataset: str, strength: float, answers: int, candidates: int, attack: str, seed: int
) -> dict[str, Any]:
    """The same codes with noise alone; the ceiling is that of this gallery, by other draws.

    ``strength`` is the root mean square of their distance from the centre, divided by σ.
    """
    codes, _ = _codes(dataset, candidates, seed)
    sigma = float((codes - codes.mean(0)).square().sum(1).mean().sqrt()) / strength
    draws = torch_rng(seed, "noise")
    best = gallery.best_in_gallery(codes, sigma, answers=answers, seed=seed + 1000)

    def served(rows: Tensor) -> Tensor:
        return rows + sigma * torch.randn(rows.shape, generator=draws)

    return _told(codes, codes, served, answers, attack, seed, best.ceiling, tight=False)


def _told(
    known: Tensor,
    codes: Tensor,
    served: Callable[[Tensor], Tensor],
    answers: int,
    attack: str,
    seed: int,
    ceiling: float,
    *,
    tight: bool,
) -> dict[str, Any]:
    """Ask about candidates, and guess which it was."""
    draws = rng(seed, "ball", answers, len(codes))
    who = draws.integers(len(codes), size=TRIALS)
    told = served(codes[torch.from_numpy(who)].repeat_interleave(answers, 0)).double()
    told = told.view(TRIALS, answers, -1).mean(1)
    known = known.double()
    score = -torch.cdist(told, known, compute_mode="donot_use_mm_for_euclid_dist")
    if attack == "cosine":
        middle = known.mean(0)
        score = torch.cosine_similarity(
            (told - middle)[:, None], (known - middle)[None], dim=2, eps=1e-12
        )
    return _judged(score.numpy(), who, ceiling, draws, tight=tight)


def _codes(dataset: str, candidates: int, seed: int) -> tuple[Tensor, float]:
    """``(N, k)`` float, codes about 0 of candidates, and the radius of the ball."""
    if dataset == "two points":
        return torch.tensor([[-1.0], [1.0]]), 1.0
    codes, radius = _all_codes(dataset, seed)
    some = rng(seed, "candidates", candidates).choice(len(codes), candidates, replace=False)
    return codes[torch.from_numpy(some)], radius


@remembered(8)
def _all_codes(dataset: str, seed: int) -> tuple[Tensor, float]:
    cohort = _cohort(dataset, seed)
    net = training.train_target(cohort, seed=seed).cpu()
    made = put_ball(net, SPLIT, cohort.members.x, cohort.members.y, NUMBERS)
    features = predict(front(net, SPLIT), cohort.victims.x).flatten(1)
    return (features - made.centre) @ made.basis, made.radius


# --- DP-SGD --------------------------------------------------------------------------------------


def training_cell(
    dataset: str, strength: float, answers: int, candidates: int, attack: str, seed: int
) -> dict[str, Any]:
    """A logistic regression by DP-SGD with noise multiplier ``strength``; see :func:`cell`.

    Of 1,000 trainings, whose rows are all known but one. Which of the candidates is it; which value
    has an attribute of it (``attribute``); or, with 2 candidates, is it there at all
    (``membership``)? All guess by the largest likelihood; ``sum of products`` is Hayes et al.'s
    (2023) attack, which leaves the drawing of rows aside.
    """
    draws = rng(seed, "DP-SGD", candidates, attack)
    x, y = _rows(dataset, seed)
    rows, labels = (of[OTHERS : OTHERS + candidates].copy() for of in (x, y))
    curve = dp_sgd.training_power(strength, RATE, STEPS).found
    if attack == "attribute":
        rows[:], labels[:] = rows[0], labels[0]
        rows[:, -2] = np.unique(x[:, -2])[:candidates]  # the last column is all 1
    known = (x[:OTHERS], y[:OTHERS])
    if attack == "membership":
        scores, who = trained(*known, rows[:1], labels[:1], strength, draws, absent=True)
        # As many models are with the row as without it.
        ceiling = (1 + power.advantage(curve)) / 2
    else:
        sums = attack == "sum of products"
        scores, who = trained(*known, rows, labels, strength, draws, products=sums)
        ceiling = float(curve(1 / candidates))
    return _judged(scores, who, ceiling, draws, tight=False)


@remembered(8)
def _rows(dataset: str, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Records ``(n, d + 1)``, standardised, with a last column of 1, and their classes."""
    cohort = _cohort(dataset, seed)
    own = cohort.auxiliary.x.double()
    part = cohort.members.take(slice(OTHERS + 200))
    x = ((part.x.double() - own.mean(0)) / own.std(0)).numpy()
    return np.hstack([x, np.ones((len(x), 1))]), part.y.numpy()


# --- All cells -----------------------------------------------------------------------------------


def _judged(
    score: Floats,
    who: NDArray[np.int64],
    ceiling: float,
    draws: np.random.Generator,
    *,
    tight: bool,
) -> dict[str, Any]:
    """How often the largest score is that of the right one; between equals a coin decides."""
    top = score >= score.max(1, keepdims=True) - 1e-9
    guess = (top * draws.random(score.shape)).argmax(1)
    n, right = len(who), int((guess == who).sum())
    lower = float(beta.ppf(LEVEL, right, n - right + 1)) if right else 0.0
    return {
        "n": n, "right": right, "lower": lower, "success": right / n, "ceiling": ceiling,
        "tight": tight,
    }  # fmt: skip


CELLS = {
    "coin": coin_cell, "ball": ball_cell, "noise": noise_cell, "DP-SGD": training_cell,
}  # fmt: skip


def cell(defense: str, **setting: Any) -> dict[str, Any]:
    """One cell of ``14-cells``: how often an attacker who knows everything is right, at most what.

    ``candidates``, each as likely before, of whom one is answered ``answers`` times or trains a
    model. The columns: ``n`` guesses, of which ``right``; ``lower``, below which the truth lies
    with 99.999 % (Clopper & Pearson 1934); ``success``, their share; ``ceiling``, what is proved;
    ``tight``, whether it is a closed form that the best attacker reaches.
    """
    return CELLS[defense](**setting)


def _uses(setting: Setting) -> list[Callable[..., Any]]:
    return [CELLS[setting["defense"]]]


def _grid(defense: str, dataset: str, **more: list[Any]) -> dict[str, list[Any]]:
    return {"defense": [defense], "dataset": [dataset], "seed": SEEDS, **more}


_Q, _NOISES = [1, 4, 16], [0.5, 1.0, 2.0]


def _coins(dataset: str, classes: int) -> list[dict[str, list[Any]]]:
    made = {"strength": [0.1, 0.2, 0.3, 0.45], "candidates": [classes, 10, 100]}
    return [
        _grid("coin", dataset, **made, answers=_Q, attack=[BEST]),
        _grid("coin", dataset, **made, answers=_Q[1:], attack=["last answer"]),
    ]


def _trainings(candidates: list[int], *attack: str) -> dict[str, list[Any]]:
    return _grid(
        "DP-SGD", "warfarin", strength=_NOISES, answers=[1], candidates=candidates,
        attack=list(attack),
    )  # fmt: skip


_BALL, _NAMED = [0.5, 1.0, 1.5, 2.0], {"candidates": [10, 100], "attack": [BEST, "cosine"]}

TABLES = {
    "14-cells": Table(
        cell,
        [
            *_coins("phantom", 2),
            *_coins("warfarin", 3),
            _grid("ball", "two points", strength=[0.25, *_BALL], answers=_Q, candidates=[2],
                  attack=[BEST]),
            _grid("ball", "phantom", strength=_BALL, answers=_Q, **_NAMED),
            _grid("noise", "phantom", strength=_NOISES, answers=_Q, **_NAMED),
            _trainings([10, 100], BEST, "sum of products"),
            _trainings([3], "attribute"),
            _trainings([2], "membership"),
        ],
        uses=_uses,
    ),
}  # fmt: skip
