"""The course's attacks on images, each with its baseline and its metric."""

from __future__ import annotations

from torch import Tensor, nn

from medpriv import attacks, metrics
from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.data.cohort import Part
from medpriv.deployment import View
from medpriv.evaluation.attacks import Case
from medpriv.runtime.cache import Memory
from medpriv.runtime.device import has_fast_bf16, pick_device
from medpriv.runtime.hashing import content_hash
from medpriv.runtime.profile import SEARCH_STEPS, TUNING_STEPS
from medpriv.statistics import Estimate

SEARCHED = 16  # victims that are searched for with weights
_KNOWN = 6  # own images on which a search is tuned


def inverse_network(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """SSIM of what :func:`medpriv.attacks.fit_inverse_network` makes of the victims' features."""
    victims = case.cohort.victims
    return _ssim(victims, _inverse(fitted_on, case).guess(used_on.intercept(victims.x)))


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


def search(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """SSIM of :func:`medpriv.attacks.recover` with the weights, from the mean image."""
    return _searched_with(fitted_on, used_on, case)


def query_free(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """SSIM of a search through :func:`medpriv.attacks.fit_shadow_front`, without a query."""
    own = case.cohort.auxiliary
    shadow = attacks.fit_shadow_front(
        fitted_on, fitted_on.intercept(case.cohort.victims.x), own.x, own.y,
        profile=case.profile, seed=case.seed, device=case.device,
    )  # fmt: skip
    return _searched_with(shadow.front, used_on, case)


def _searched_with(front: View | nn.Module, used_on: View, case: Case) -> Estimate:
    """SSIM of images whose features, by ``front``, are those that are seen; tuned on own ones."""
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
    return _ssim(victims, found.images)


def mean_image(case: Case) -> Estimate:
    """SSIM of the mean of the attacker's own images, handed back for every victim."""
    return _of_mean(case, case.cohort.victims)


def mean_image_of_searched(case: Case) -> Estimate:
    """The same for the victims that are searched for."""
    return _of_mean(case, _searched(case))


def _of_mean(case: Case, victims: Part) -> Estimate:
    mean = case.cohort.auxiliary.x.mean(0, keepdim=True)
    return _ssim(victims, mean.expand_as(victims.x))


def _searched(case: Case) -> Part:
    return case.cohort.victims.take(slice(0, SEARCHED))


def _ssim(victims: Part, guess: Tensor) -> Estimate:
    return metrics.mean_estimate(metrics.ssim(victims.x, guess), victims.patient)
