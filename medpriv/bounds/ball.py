"""Features in a ball, with normal noise: what any attacker can reach, and any client.

A defended system answers y = f(x) + N(0, σ² I), with f(x) within C of a fixed centre, q times about
one patient (:func:`medpriv.defenses.in_ball`).

**Guessing.** Let a guess G(y_1, ..., y_q) be right with probability κ at most if the answers were
those at the centre, which depend on nobody: 1 / N for a gallery of N, the share of the commonest
value for an attribute. Then it is right with at most

    Φ(Φ⁻¹(κ) + √q C / σ).

1. q answers are one draw of a normal distribution in q d dimensions. Between the patient's and the
   centre's lie √q ||f(x) - centre|| / σ ≤ √q C / σ standard deviations.
2. "The guess is right for patient i" is an event of the answers (and of the attacker's own coins),
   of probability κ_i at the centre. By Neyman and Pearson its probability for patient i is at most
   g(κ_i), with g(a) = Φ(Φ⁻¹(a) + √q C / σ).
3. Over patients, the mean of the κ_i is how often the guess is right at the centre: κ at most.
4. g is concave and rising, so the mean of the g(κ_i) is at most g(κ) (Jensen). ∎

It is the closed form that Kaissis et al. 2023 (arXiv 2307.03928) have for reconstruction from the
normal mechanism, read for an input in the place of a training row.

**Utility.** Features of a patient of one class and of another are 2C apart at most. A score S ranks
them rightly with probability P[S(Y) > S(Y')] + P[S(Y) = S(Y')] / 2: the share in which a test of
the pair (Y, Y') against the pair (Y', Y), both as likely, is right. The two pairs are √2 √q 2C / σ
standard deviations apart, so that no test is right more often than in Φ(half of it): the AUC of any
system behind such features is at most Φ(√2 √q C / σ).
"""

from __future__ import annotations

import math

from scipy.special import ndtr

from medpriv.bounds.power import gaussian
from medpriv.runtime.arguments import require_integer


def guess_ceiling(prior: float, radius: float, sigma: float, answers: int = 1) -> float:
    """How often any guess is right at most: Φ(Φ⁻¹(κ) + √q C / σ).

    Args:
        prior: κ, how often the best guess without an answer is right, from 0 to 1.
        radius: C, of the ball.
        sigma: standard deviation of the noise on each number; 0 is no protection.
        answers: q, with fresh noise each, or the mean of so many.

    Raises:
        ValueError: an argument is out of range.
    """
    return float(gaussian(_distance(radius, sigma, answers))(prior))


def gallery_ceiling(gallery: int, radius: float, sigma: float, answers: int = 1) -> float:
    """How often anybody names the right one of N candidates at most, each as likely before.

    Args:
        gallery: N.
        radius: as for :func:`guess_ceiling`, and so the others.
        sigma: of the noise.
        answers: q.

    Raises:
        ValueError: an argument is out of range.
    """
    return guess_ceiling(1 / require_integer("gallery", gallery, 1), radius, sigma, answers)


def auc_ceiling(radius: float, sigma: float, answers: int = 1) -> float:
    """The AUC of any two-class system behind such features, at most: Φ(√2 √q C / σ).

    So it is for an attribute of two values that somebody guesses. Arguments and errors as for
    :func:`guess_ceiling`.
    """
    return float(ndtr(math.sqrt(2) * _distance(radius, sigma, answers)))


def _distance(radius: float, sigma: float, answers: int) -> float:
    """√q C / σ, of which all ceilings are functions."""
    require_integer("answers", answers, 0)
    if not (0 <= radius < math.inf and 0 <= sigma < math.inf):
        raise ValueError(f"radius and sigma are 0 or more, got {radius} and {sigma}")
    if not radius or not answers:
        return 0.0
    return math.sqrt(answers) * radius / sigma if sigma else math.inf
