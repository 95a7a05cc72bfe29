"""The posterior of an attribute, from a model's answers: Fredrikson's estimator and its kin.

All of these take the grid of answers of :func:`medpriv.attacks.ask_candidates`, where row v is the
answer to the victim's record with candidate v in it, and return how likely each candidate is:
``(n, V)`` float64, whose rows sum to 1.

- MAP, black box (Fredrikson et al. 2014, figure 2; 2015): prior(v) C[y, f(x_v)], where C says how
  often the model answers one class when another is true. With y the patient's true label, C is
  the model's confusion matrix. With y the API's own answer about the patient, C is how likely a
  first answer is, given a second one: the identity unless answers are random.
- Confidence (Jayaraman & Evans 2022, section 4): f(x_v)[y].
- Agreement: where the API's scores about the patient are seen, prior(v) for the candidates that
  give the same scores. They were computed from the true record, so the truth is among them.
- Membership (Yeom et al. 2018, section 4.2): prior(v) where the loss of (x_v, y) is below a
  threshold, so that it looks like a training record.

A prior may be marginal, ``(V,)``, or depend on the rest of the record, ``(n, V)``, as an imputer
gives it. With a perfect model and the latter, MAP over probabilities is the exact Bayes attacker.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.records.candidate_values import check_labels, labels_of
from medpriv.runtime.arguments import choose

_UNLIKELY = -50.0  # a log-likelihood; not infinite, so that what is ruled out keeps its order


def confusion(
    truth: Tensor,
    answers: Tensor,
    classes: int,
    *,
    normalise: Literal["truth", "prediction"] = "truth",
) -> Tensor:
    """Error model of a classifier: ``(K, K)`` float64, row truth, column answer.

    Half an observation is added to each cell (Jeffreys' prior), so that nothing is impossible
    because it has not been seen.

    Args:
        truth: ``(m,)`` int64, what is true; or first answers, when ``answers`` are second ones.
        answers: ``(m,)`` int64, what the model says.
        classes: K.
        normalise: ``truth``, P(answer | truth), rows sum to 1; ``prediction``, P(truth | answer),
            columns do. The two can lead to different guesses, and the literature has both.

    Raises:
        ValueError: lengths differ, a class is outside 0..K-1, or ``normalise`` is unknown.
    """
    choose(normalise, ("truth", "prediction"), "normalise")
    if truth.shape != answers.shape or truth.ndim != 1:
        raise ValueError(f"expected as many answers as truths, got {truth.shape}, {answers.shape}")
    check_labels(torch.cat([truth, answers]), classes)
    counts = torch.bincount(truth * classes + answers, minlength=classes**2)
    table = counts.reshape(classes, classes).double() + 0.5
    return table / table.sum(int(normalise == "truth"), keepdim=True)


def map_posterior(answers: Tensor, y: Tensor, errors: Tensor, prior: Tensor) -> Tensor:
    """Fredrikson's estimator for a classifier: ``(n, V)`` float64, rows sum to 1.

    Args:
        answers: ``(n, V)`` int64 labels, or ``(n, V, K)`` scores, of which the largest counts.
        y: ``(n,)`` int64, the victims' label, or the API's answer about them.
        errors: ``(K, K)``, see :func:`confusion`.
        prior: ``(V,)`` or ``(n, V)``, positive.
    """
    return posterior(errors.double().log()[y[:, None], labels_of(answers)], prior)


def confidence_posterior(answers: Tensor, y: Tensor, prior: Tensor | None = None) -> Tensor:
    """How sure the model is of y, ``(n, V, K)`` scores: ``(n, V)`` float64, rows sum to 1.

    y and the prior are as for :func:`map_posterior`; no prior is a flat one.
    """
    if prior is None:
        prior = torch.full((answers.shape[1],), 1 / answers.shape[1], dtype=torch.float64)
    return posterior(_score_of(answers, y).log(), prior)


def agreement_posterior(
    answers: Tensor, seen: Tensor, prior: Tensor, *, tolerance: float = 1e-4
) -> Tensor:
    """Candidates with which the model says what it said: ``(n, V)`` float64, rows sum to 1.

    For labels the same is :func:`map_posterior` with the API's answer as y and the identity as
    its error model.

    Args:
        answers: ``(n, V, K)`` scores.
        seen: ``(n, K)``, the scores that the API gave about the true records, perhaps rounded.
        prior: ``(V,)`` or ``(n, V)``; decides among several.
        tolerance: how far a score may be from the one seen, such as 0.005 for two digits. Where
            no candidate is so near, the closest one counts.

    Raises:
        ValueError: shapes differ, or the tolerance is negative.
    """
    if answers.ndim != 3 or seen.shape != (len(answers), answers.shape[2]):
        raise ValueError(
            f"expected scores (n, V, K) and the n seen ones (n, K), got {tuple(answers.shape)} and "
            f"{tuple(seen.shape)}"
        )
    if tolerance < 0:
        raise ValueError(f"a tolerance is 0 or more, got {tolerance}")
    away = (answers.double() - seen.double()[:, None]).abs().amax(2)
    agrees = away <= away.amin(1, keepdim=True).clamp(min=tolerance)
    return posterior(torch.where(agrees, 0.0, _UNLIKELY).double(), prior)


def membership_posterior(answers: Tensor, y: Tensor, threshold: float, prior: Tensor) -> Tensor:
    """Yeom's attack, from ``(n, V, K)`` scores: ``(n, V)`` float64, rows sum to 1.

    Args:
        answers: and y, as for :func:`confidence_posterior`.
        y: ``(n,)`` int64.
        threshold: of the cross-entropy, in nats; Yeom takes the mean training loss.
        prior: ``(V,)`` or ``(n, V)``; decides among several, and where no candidate passes.
    """
    passes = -_score_of(answers, y).log() <= threshold
    passes = passes | ~passes.any(1, keepdim=True)
    return posterior(torch.where(passes, 0.0, _UNLIKELY).double(), prior)


def posterior(log_likelihood: Tensor, prior: Tensor) -> Tensor:
    """Bayes' rule in logarithms: ``(n, V)`` and a prior → ``(n, V)`` float64, rows sum to 1.

    Products that would underflow do not. Where every candidate is impossible, the prior stands.

    Raises:
        ValueError: shapes differ, or a prior is negative, not finite or all zero.
    """
    prior = prior.double()
    if prior.shape not in (log_likelihood.shape, log_likelihood.shape[1:]):
        raise ValueError(
            f"expected a prior of {log_likelihood.shape[1]} candidates, for all or each of "
            f"{len(log_likelihood)} victims; got shape {tuple(prior.shape)}"
        )
    if not bool(prior.isfinite().all() & (prior >= 0).all() & (prior.sum(-1) > 0).all()):
        raise ValueError("a prior is finite, not negative, and not zero everywhere")
    joint = log_likelihood.double() + prior.log()
    joint = torch.where(joint.isneginf().all(1, keepdim=True), prior.log(), joint)
    return F.softmax(joint, dim=1)


def _score_of(answers: Tensor, y: Tensor) -> Tensor:
    """``(n, V, K)`` scores → ``(n, V)`` float64, that of each victim's y, never quite 0."""
    if answers.ndim != 3:
        raise ValueError(
            f"this attack needs scores, (n, V, K), got {tuple(answers.shape)}; labels alone suit "
            "map_posterior and label_only"
        )
    picked = answers.double().gather(2, y[:, None, None].expand(-1, answers.shape[1], 1))
    # A softmax in float32 may end at 0, where the truth is 1e-60 or so.
    return picked.squeeze(2).clamp(min=1e-45)
