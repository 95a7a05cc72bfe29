"""Whether a reconstructed image gives the patient away: finding her in a gallery.

Pixel scores say how alike two pictures are. The harm is another: somebody holds a reconstruction,
has a gallery of images with names, and asks whose it is. The matchers that tell him stand in
:mod:`medpriv.metrics.matchers`.

Where every patient has two images, the reconstruction of one is looked for among the others::

    two = pairs(cohort.victims)
    others, victims = cohort.victims.x[two.second], cohort.victims.patient[two.first]
    guesses = attack.guess(view(cohort.victims.x[two.first]))
    reidentification(matcher, guesses, victims, others, victims)

Where every patient has one image, as nearly all in mini-MIAS, the gallery can only hold the
originals themselves. This is *same-image matching*, and should be named so: it is easier, since a
reconstruction need not show what lasts from one picture to the next. The call is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.cohort import Part
from medpriv.metrics.matchers import Matcher, successive
from medpriv.statistics import Estimate, mean_estimate


@dataclass(frozen=True)
class Pairs:
    """The first two images of each patient who has two or more.

    Attributes:
        first: ``(patients,)`` int64 rows, by patient; in the phantoms the left breasts.
        second: ``(patients,)`` int64 rows of the same patients; in the phantoms the right ones.
        left_out: how many patients have one image only.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    left_out: int


def pairs(part: Part) -> Pairs:
    """Rows from which probes and gallery are made: two different images of each patient."""
    rows = successive(part.patient)
    names, begin = np.unique(part.patient[rows[:, 0]], return_index=True)
    return Pairs(rows[begin, 0], rows[begin, 1], part.patients - len(names))


@dataclass(frozen=True)
class Reidentification:
    """How well guesses lead to their patients in a gallery.

    Attributes:
        rank1: share of victims whose own patient matches best.
        auc: chance that a victim's own patient matches better than a stranger, ties half; the
            strangers are those that the same guess is compared with.
        chance: the rank-1 share of a guess that knows nothing, 1 / ``gallery``; its AUC is 0.5.
        gallery: number of patients in the gallery.
        victims: one row a guess: ``patient``, ``hit`` (1, or 1 / k where k patients tie at the
            top) and ``auc``; for paired intervals with :func:`medpriv.metrics.difference`.
    """

    rank1: Estimate
    auc: Estimate
    chance: float
    gallery: int
    victims: pd.DataFrame = field(repr=False, compare=False)


def reidentification(
    matcher: Matcher,
    guesses: Tensor,
    patient: np.ndarray,
    gallery: Tensor,
    gallery_patient: np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Reidentification:
    """Look for each guess's patient in a gallery.

    Of several images of one gallery patient the best counts. Ties favour nobody: where several
    patients tie at the top, each is named with the same chance. If each patient of the gallery is
    a victim equally often, one and the same guess for all has a rank-1 share of exactly
    ``chance`` and an AUC of exactly 0.5, whatever the matcher.

    A figure is a lower bound: a better matcher may find more. From guesses that are hardly more
    than a mean image plain pixels can find more than a fitted matcher, so give both.

    Args:
        matcher: from :func:`fit_matcher`, trained on nobody in the gallery, or
            :func:`pixel_matcher`.
        guesses: ``(n, c, h, w)`` float32, the reconstructions.
        patient: ``(n,)`` whose they are.
        gallery: ``(m, c, h, w)`` float32, original images; also of patients who are no victims.
        gallery_patient: ``(m,)`` whose they are.
        draws: bootstrap resamples of victims; the gallery stays as it is.
        seed: decides the resamples.

    Raises:
        ValueError: the gallery holds fewer than two patients, or not every victim; there are no
            guesses, lengths differ, shapes differ, or a value is not finite.
    """
    patient, gallery_patient = np.asarray(patient), np.asarray(gallery_patient)
    if patient.shape != (len(guesses),) or gallery_patient.shape != (len(gallery),):
        raise ValueError(
            f"expected one patient for each image, got {patient.shape} for {len(guesses)} "
            f"guesses and {gallery_patient.shape} for {len(gallery)} gallery images"
        )
    names, column = np.unique(gallery_patient, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"a gallery needs at least 2 patients to choose from, got {len(names)}")
    strange = np.setdiff1d(patient, names)
    if len(strange):
        raise ValueError(
            f"{len(strange)} victim(s) have no image in the gallery; add "
            "one or leave them out (pairs finds the patients with two images)"
        )
    scores = np.full((len(names), len(guesses)), -np.inf)
    np.maximum.at(scores, column, matcher.scores(guesses, gallery).T)
    hit, auc = _ranked(scores.T, np.searchsorted(names, patient))
    return Reidentification(
        rank1=mean_estimate(hit, patient, draws=draws, seed=seed),
        auc=mean_estimate(auc, patient, draws=draws, seed=seed),
        chance=1 / len(names),
        gallery=len(names),
        victims=pd.DataFrame({"patient": patient, "hit": hit, "auc": auc}),
    )


def _ranked(
    scores: NDArray[np.float64], own: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hit and AUC of each victim, from scores ``(n, patients)`` and the own patient's column."""
    mine = scores[np.arange(len(scores)), own][:, None]
    top = scores.max(axis=1, keepdims=True)
    hit = (mine == top)[:, 0] / (scores == top).sum(axis=1)
    below, level = (scores < mine).sum(axis=1), (scores == mine).sum(axis=1) - 1
    return hit, (below + level / 2) / (scores.shape[1] - 1)
