"""What guesses of patients' images give away, by several measures side by side.

Pictures can be alike in one way and not in another, and the same defense can look strong in one
measure and weak in the next. So a defense is judged by the measure in which its patients fare
worst. All of them are figures of which more is worse for the patients.

==========================  =======================================================================
``SSIM``                    likeness, over the whole picture
``SSIM inside``             the same inside the mask, where the anatomy is
``error removed``           1 − MSE / MSE of the mean image: 0 for the mean image, 1 for the truth
``rank-1``                  share of guesses that are most like their own original of all victims'
``rank-1, other picture``   share that lead to their patient among *other* pictures of the victims
``finding``                 AUC with which a classifier of true images reads the label off the guess
==========================  =======================================================================

The last three are floors: a better matcher or reader may find more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort, Part
from medpriv.metrics.images import mse, ssim
from medpriv.metrics.matchers import Matcher, fit_matcher, pixel_matcher
from medpriv.metrics.ranking import auc
from medpriv.metrics.reidentification import pairs, reidentification
from medpriv.models.contract import as_logits
from medpriv.statistics import Estimate, estimates, mean_estimate
from medpriv.training.targets import train_target
from medpriv.training.utility_scores import predict


@dataclass(frozen=True, eq=False)
class PictureJudge:
    """Scores guesses of images; made by :func:`picture_judge`, out of other patients' images.

    Attributes:
        victims: who are attacked, with their true images; the galleries are made of them.
        mean: ``(1, c, h, w)`` the mean of the other patients' images.
        matchers: who look for the original of a guess.
        of_others: who look for another picture of the same patient.
        reader: a classifier of true images, or ``None``.
    """

    victims: Part
    mean: Tensor
    matchers: Sequence[Matcher]
    of_others: Sequence[Matcher]
    reader: nn.Module | None

    def scores(self, guess: Tensor, victims: Part | None = None) -> dict[str, Estimate]:
        """Each measure of the guesses, with its interval over patients.

        Args:
            guess: ``(n, c, h, w)`` of floats in [0, 1], one for each victim.
            victims: whose they are, where not of all; they are looked for among all.

        Returns:
            By the names above, as far as the data allow: ``SSIM inside`` where there is a mask,
            ``rank-1`` where there are two patients, the other one where most of them have two
            pictures, ``finding`` where the victims have two classes and there is a reader.

        Raises:
            ValueError: as for :func:`medpriv.metrics.ssim`.
        """
        victims = self.victims if victims is None else victims
        truth, patient, guess = victims.x, victims.patient, guess.float()
        found = {"SSIM": mean_estimate(ssim(truth, guess), patient)}
        if victims.mask is not None:
            inside = ssim(truth, guess, victims.mask)
            there = ~np.isnan(inside)  # a mask may be empty
            if there.any():
                found["SSIM inside"] = mean_estimate(inside[there], patient[there])
        mean = self.mean.expand_as(truth)
        found["error removed"] = _error_removed(truth, guess, mean, patient)
        if self.victims.patients > 1:
            found["rank-1"] = self._found(self.matchers, guess, patient, slice(None))
        probes, gallery = pairs(victims), pairs(self.victims)
        most = 2 * len(probes.first) >= victims.patients
        if most and len(gallery.second) > 1:
            found["rank-1, other picture"] = self._found(
                self.of_others, guess[probes.first], patient[probes.first], gallery.second
            )
        if self.reader is not None and len(victims.y.unique()) > 1:
            found["finding"] = self.finding(guess, victims)
        return found

    def finding(self, images: Tensor, victims: Part | None = None) -> Estimate:
        """The AUC with which the reader tells the victims' labels from such images of them.

        Of more than two classes, the mean of each against the rest. On the true images it is the
        most that can be asked of a guess.
        """
        victims = self.victims if victims is None else victims
        said = predict(as_logits(self.reader), images).softmax(1).double()
        truth = F.one_hot(victims.y, said.shape[1]).bool()
        first = 1 if said.shape[1] == 2 else 0  # of two classes both directions are the same
        return auc(truth[:, first:].numpy(), said[:, first:].numpy(), victims.patient)

    def _found(
        self, matchers: Sequence[Matcher], guess: Tensor, patient: np.ndarray, rows: object
    ) -> Estimate:
        """The best matcher's share of guesses that lead to their patient in a gallery."""
        gallery, who = self.victims.x[rows], self.victims.patient[rows]
        ranks = [
            reidentification(matcher, guess, patient, gallery, who).rank1 for matcher in matchers
        ]
        return max(ranks, key=lambda one: one.value)


def picture_judge(
    cohort: Cohort,
    *,
    reader: nn.Module | None = None,
    victims: Part | None = None,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
) -> PictureJudge:
    """A :class:`.PictureJudge` of guesses about a cohort's victims.

    It learns from true images of the auxiliary patients alone, never from a guess.

    Args:
        cohort: of images.
        reader: a classifier of the cohort's classes; without it one is trained on the auxiliary
            patients, as :func:`medpriv.training.train_target` would a target, from another seed.
        victims: in the place of the cohort's own.
        profile: how long matcher and reader are trained.
        seed: of their trainings.
        device: see :func:`medpriv.runtime.device.pick_device`.
    """
    own, victims = cohort.auxiliary, cohort.victims if victims is None else victims
    how = {"profile": profile, "seed": seed, "device": device}
    pixels = (pixel_matcher(), pixel_matcher(own.x))
    twice = len(pairs(own).first) > 1 and len(pairs(victims).first) > 1
    learned = (fit_matcher(own.x, own.patient, **how),) if twice else ()
    if reader is None and len(own.y.unique()) > 1:
        other_seed = how | {"seed": seed + 1}
        reader = train_target(replace(cohort, members=own), **other_seed)
    return PictureJudge(victims, own.x.mean(0, keepdim=True), pixels, (*pixels, *learned), reader)


def _error_removed(truth: Tensor, guess: Tensor, mean: Tensor, patient: np.ndarray) -> Estimate:
    """1 − MSE / MSE of the mean image, over all victims."""
    errors = [np.asarray(mse(truth, one)) for one in (guess, mean)]

    def removed(both: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
        ours, theirs = (counts @ one for one in both)
        return 1 - np.divide(ours, theirs, out=np.full(len(counts), np.nan), where=theirs > 0)

    return estimates(removed, errors, None, patient, draws=2000, seed=0)[0]
