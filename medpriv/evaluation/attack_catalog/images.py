"""The course's attacks on images, each with its baseline.

Guesses are scored by all measures of :mod:`medpriv.metrics.pictures`, of which SSIM is the first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medpriv import attacks
from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.data.cohort import Part
from medpriv.deployment import View
from medpriv.evaluation.attacks import Case
from medpriv.metrics.pictures import PictureJudge, picture_judge
from medpriv.runtime.cache import Memory, remembered
from medpriv.runtime.device import has_fast_bf16, pick_device
from medpriv.runtime.hashing import content_hash
from medpriv.runtime.profile import CLASS_STEPS, SEARCH_STEPS, TUNING_STEPS
from medpriv.statistics import Estimate

SEARCHED = 16  # victims that are searched for with weights
MEMBERS = 100  # with whom an image of their class is compared
_KNOWN = 6  # own images on which a search is tuned
ByMetric = dict[str, Estimate]


def inverse_network(fitted_on: View, used_on: View, case: Case) -> ByMetric:
    """How alike what :func:`medpriv.attacks.fit_inverse_network` makes of features is."""
    victims = case.cohort.victims
    return _scores(case, victims, _inverse(fitted_on, case).guess(used_on.intercept(victims.x)))


_fitted: Memory[InverseNetwork] = Memory(3)  # one for each split layer


def _inverse(view: View, case: Case) -> InverseNetwork:
    """Fitted anew, but on a system without a defense: there each defense meets the same one."""
    own = case.cohort.auxiliary.x

    def fit() -> InverseNetwork:
        return attacks.fit_inverse_network(
            view, own, profile=case.profile, seed=case.seed, device=case.device
        )

    if view.defenses or view.query_budget is not None:
        return fit()
    where = pick_device(case.device)
    how = (case.profile, case.seed, str(where), has_fast_bf16(where))
    key = content_hash(own, view(own), how)
    return _fitted.get(key, fit)


def search(fitted_on: View, used_on: View, case: Case) -> ByMetric:
    """The same of :func:`medpriv.attacks.recover` with the weights, from the mean image."""
    return _searched_with(fitted_on, used_on, case)


def query_free(fitted_on: View, used_on: View, case: Case) -> ByMetric:
    """The same of a search through :func:`medpriv.attacks.fit_shadow_front`, without a query."""
    own = case.cohort.auxiliary
    shadow = attacks.fit_shadow_front(
        fitted_on, fitted_on.intercept(case.cohort.victims.x), own.x, own.y,
        profile=case.profile, seed=case.seed, device=case.device,
    )  # fmt: skip
    return _searched_with(shadow.front, used_on, case)


def _searched_with(front: View | nn.Module, used_on: View, case: Case) -> ByMetric:
    """The same of images whose features, by ``front``, are those that are seen; tuned on own."""
    own, victims = case.cohort.auxiliary, _searched(case)
    mean = own.x.mean(0, keepdim=True)
    weight, _ = attacks.choose_tv_weight(
        front, own.x[:_KNOWN], search=attacks.Search(TUNING_STEPS.of(case.profile)), start=mean,
        device=case.device,
    )  # fmt: skip
    how = attacks.Search(SEARCH_STEPS.of(case.profile), tv_weight=weight)
    found = attacks.recover(
        front, used_on.intercept(victims.x), shape=own.x.shape[1:], search=how, start=mean,
        seed=case.seed, device=case.device,
    )  # fmt: skip
    return _scores(case, victims, found.images)


def class_inversion(fitted_on: View, used_on: View, case: Case) -> ByMetric:
    """The same of :func:`medpriv.attacks.invert_classes` with the weights, for members.

    A member's guess is the image of her class.
    """
    members = _some_members(case)
    found = attacks.invert_classes(
        used_on, range(len(case.cohort.classes)), shape=tuple(members.x.shape[1:]), restarts=2,
        steps=CLASS_STEPS.of(case.profile), seed=case.seed, device=case.device,
    )  # fmt: skip
    return _scores(case, members, found.images[members.y], members)


def mean_of_class(case: Case) -> ByMetric:
    """The same of the mean of the attacker's own images of each class, for members of the class."""
    own, members = case.cohort.auxiliary, _some_members(case)
    means = [
        own.x[own.y == label].mean(0) if (own.y == label).any() else own.x.mean(0)
        for label in range(len(case.cohort.classes))
    ]
    return _scores(case, members, torch.stack(means)[members.y], members)


def _some_members(case: Case) -> Part:
    return case.cohort.members.take(slice(0, MEMBERS))


def mean_image(case: Case) -> ByMetric:
    """The same of the mean of the attacker's own images, handed back for every victim."""
    return _of_mean(case, case.cohort.victims)


def mean_image_of_searched(case: Case) -> ByMetric:
    """The same for the victims that are searched for."""
    return _of_mean(case, _searched(case))


def _of_mean(case: Case, victims: Part) -> ByMetric:
    return _scores(case, victims, _mean(case, victims))


def _mean(case: Case, victims: Part) -> Tensor:
    return case.cohort.auxiliary.x.mean(0, keepdim=True).expand_as(victims.x)


def _searched(case: Case) -> Part:
    return case.cohort.victims.take(slice(0, SEARCHED))


def _scores(case: Case, victims: Part, guess: Tensor, among: Part | None = None) -> ByMetric:
    """Scores of a guess for each of the victims, who are looked for among all of them."""
    return _judge(case, among).scores(guess, victims)


@remembered(2)
def _judge(case: Case, among: Part | None) -> PictureJudge:
    return picture_judge(
        case.cohort, victims=among, profile=case.profile, seed=case.seed, device=case.device
    )
