"""Labels told by randomised response: the best attack, computed by counting.

An answer is the model's label l with probability 1 - p, else one of the K - 1 others
(:func:`medpriv.defenses.randomised_response` with fresh coins). Of q answers about one patient only
the counts c = (c_1, ..., c_K) matter, and given l they are multinomial. Nobody guesses a secret a
better than by the largest posterior, which is right with probability

    sum over c of max over a of sum over l of W[a, l] P(c | l),

with W[a, l] the prior probability of secret a together with label l. This is exact: no attacker
has more, and the one who counts has it.

Of a coin that is remembered asking again tells nothing, so q = 1; but whoever may ask the same
service about candidates compares their coins with the patient's, and of that nothing is proved
here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlogy

from medpriv.runtime.arguments import require_integer

_COUNTS = 200_000  # vectors of counts that are summed over, at most


def posterior_bound(epsilon: float, prior: float, answers: int = 1) -> float:
    """The loose bound κ e^(qε) / (1 - κ + κ e^(qε)): each answer moves the odds by e^ε at most.

    It is reached where one answer is seen and each label has one candidate. Of more answers
    :func:`best_guess` is the truth, and far less.

    Args:
        epsilon: of one answer, see :func:`medpriv.defenses.epsilon_of`.
        prior: κ, how often the guess is right without an answer, between 0 and 1.
        answers: q.

    Raises:
        ValueError: an argument is out of range.
    """
    require_integer("answers", answers, 0)
    if not (epsilon >= 0 and 0 < prior < 1):
        raise ValueError(
            f"expected epsilon of 0 or more and a prior between 0 and 1; got {epsilon}, {prior}"
        )
    if not answers:
        return prior
    return 1 / (1 + (1 - prior) / prior * math.exp(-answers * epsilon))


def best_guess(joint: ArrayLike, flips: float, answers: int = 1) -> float:
    """How often the best guess of a secret is right, from q answers with fresh coins.

    Args:
        joint: ``(secrets, K)``, the prior probability of each secret together with each label of
            the model; sums to 1.
        flips: p, from 0 to (K - 1) / K.
        answers: q, 0 or more.

    Returns:
        The exact probability, over the prior and the coins.

    Raises:
        ValueError: an argument is out of range, or there are too many vectors of counts.
    """
    joint = np.asarray(joint, dtype=float)
    if joint.ndim != 2 or not (joint >= 0).all() or abs(joint.sum() - 1) > 1e-9:
        raise ValueError(
            "expected probabilities (secrets, K) that sum to 1, got shape "
            f"{joint.shape} and sum {joint.sum():g}"
        )
    likely = _likelihoods(flips, joint.shape[1], answers)
    return min(1.0, float(sum((joint @ one).max(0).sum() for one in likely)))


def in_gallery(labels: ArrayLike, flips: float, classes: int, answers: int = 1) -> float:
    """How often the best attacker names the right one of N candidates, each as likely before.

    Args:
        labels: ``(N,)``, the model's own label of each candidate, which he knows.
        flips: p.
        classes: K.
        answers: q.

    Raises:
        ValueError: there is no candidate, a label is outside of 0 to K - 1, or as for
            :func:`best_guess`.
    """
    labels = np.asarray(labels)
    require_integer("classes", classes, 2)
    if labels.ndim != 1 or not len(labels) or not np.isin(labels, np.arange(classes)).all():
        raise ValueError(f"expected the label, 0 to {classes - 1}, of each of 1 or more candidates")
    # Candidates with one label look alike: whichever of them is named, it is right as often.
    present = np.unique(labels.astype(int))
    likely = _likelihoods(flips, classes, answers)
    return min(1.0, float(sum(one[present].max(0).sum() for one in likely)) / len(labels))


def _likelihoods(flips: float, classes: int, answers: int) -> Iterator[NDArray[np.float64]]:
    """``(K, m)`` in parts: how likely each vector of counts is if the label is each of K."""
    require_integer("answers", answers, 0)
    most = (classes - 1) / classes
    if classes < 2 or not 0 <= flips <= most + 1e-12:
        raise ValueError(
            f"expected 2 or more classes and p from 0 to {most:g}, got {classes} and {flips}"
        )
    for counts in _counts(answers, classes):
        ways = gammaln(answers + 1) - gammaln(counts + 1).sum(1, keepdims=True)
        other = flips / (classes - 1)
        yield np.exp(ways + xlogy(counts, 1 - flips) + xlogy(answers - counts, other)).T


def _counts(answers: int, classes: int) -> list[NDArray[np.int64]]:
    """All vectors of K counts that sum to q, in parts ``(m, K)``."""
    many = math.comb(answers + classes - 1, classes - 1)
    if many > _COUNTS:
        raise ValueError(
            f"{answers} answers of {classes} classes have {many:,} vectors of counts, more than "
            f"{_COUNTS:,}; take fewer answers, or join classes that the secret does not tell apart"
        )
    # Bars between stars: where K - 1 bars stand among q stars.
    bars = np.array(
        list(itertools.combinations(range(answers + classes - 1), classes - 1)), dtype=np.int64
    ).reshape(many, classes - 1)
    first, last = np.full((many, 1), -1), np.full((many, 1), answers + classes - 1)
    counts = np.diff(np.concatenate([first, bars, last], axis=1), axis=1) - 1
    return [part for part in np.array_split(counts, 1 + many // 4096) if len(part)]
