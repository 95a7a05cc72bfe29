"""Who is in the training of which model, so that each patient can be compared with herself."""

from __future__ import annotations

import numpy as np

from medpriv.runtime.arguments import require_integer
from medpriv.runtime.seeds import rng

_ROUNDS = 8  # after which two patients' halves have nothing to do with each other


def halves(patient: np.ndarray, models: int, seed: int = 0) -> np.ndarray:
    """Which rows each model is trained on: random halves of the patients.

    Each patient is in exactly half of the models, with all rows. Each model has half of the
    patients; one more where they are odd in number. Among all such tables one is drawn, by trades
    between patients (Strona et al. 2014, Nature Communications 5, 4114). So a patient's half of
    the models tells next to nothing of another's. With fixed pairs of opposite patients, the
    influence of the one would be found in the other; with pairs of opposite models, these would
    not be exchangeable, which an exact test of a patient's membership takes them to be.

    Args:
        patient: ``(n,)`` the patient of each row.
        models: M, even.
        seed: decides the halves.

    Returns:
        ``(M, n)`` bool, whether a model is trained on a row.

    Raises:
        ValueError: M is odd or below 2, or there are fewer than two patients.
    """
    require_integer("models", models, 2)
    names, inverse = np.unique(patient, return_inverse=True)
    if models % 2 or len(names) < 2:
        raise ValueError(
            f"expected an even number of models and two or more patients, got {models} models and "
            f"{len(names)} patients; each patient is in one half of the models"
        )
    draw = rng(seed, "halves")
    inside = np.empty((len(names), models), dtype=bool)
    inside[::2] = draw.permuted(
        np.tile(np.arange(models) % 2 == 0, (-(-len(names) // 2), 1)), axis=1
    )
    inside[1::2] = ~inside[::2][: len(names) // 2]  # so that the models are equal in size
    for _ in range(_ROUNDS):
        first, second = draw.permutation(len(names))[: len(names) // 2 * 2].reshape(2, -1)
        inside[first], inside[second] = _traded(inside[first], inside[second], draw)
    return inside.T[:, inverse]


def _traded(
    one: np.ndarray, two: np.ndarray, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of patients share anew the models that one of the two is in; each keeps the number."""
    either = one ^ two
    order = np.argsort(np.where(either, draw.random(one.shape), 2.0), axis=1)
    mine = np.zeros_like(either)
    np.put_along_axis(mine, order, np.arange(one.shape[1]) < either.sum(1)[:, None] // 2, axis=1)
    return np.where(either, mine, one), np.where(either, ~mine, two)
