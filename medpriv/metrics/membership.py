"""How well a guess tells members from non-members, and what that proves about epsilon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medpriv.statistics import Estimate, interval, one_a_row, patient_bootstrap, unseen


def advantage(
    guess: np.ndarray, member: np.ndarray, patient: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """Pr[called a member | member] - Pr[called a member | non-member], with a 95 % interval.

    The membership advantage of Yeom et al. 2018 (CSF): 1 for a perfect guess, 0 for
    any that does not look at the model. The interval is a percentile one over patients; members
    and non-members are drawn apart, since how many there are of each is the experiment's choice.
    Where all members, or none, are called members, resamples of this rate have no spread, and it
    may be off by what so many patients have not shown (:func:`medpriv.statistics.unseen`); the same
    holds for the others.

    Args:
        guess: ``(n,)`` bool, whether the attacker calls the row a member.
        member: ``(n,)`` bool, whether it is one.
        patient: ``(n,)`` the patient of each row.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Raises:
        ValueError: lengths differ, there are no members or no non-members, or the guess is a score.
    """
    if not np.isin(guess, (0, 1)).all():
        raise ValueError(
            "a guess is True or False for each row, and these are scores: compare them with a "
            "threshold (guess = scores > threshold), or use metrics.rate_at or metrics.auc"
        )
    guess, member = _scored(np.asarray(guess, dtype=bool), member)
    counts = _drawn_apart(member, patient, draws, seed)
    found, accused = (
        counts[:, who] @ guess[who] / counts[:, who].sum(1) for who in (member, ~member)
    )
    gain = interval((found - accused)[0], (found - accused)[1:])
    members, others = _patients(member, patient)
    (fewer, more), (less, further) = _room(found, members), _room(accused, others)
    low, high = gain.low - fewer - further, gain.high + more + less
    few = min(members, others)
    return replace(gain, low=low, high=high, patients=few, reach=unseen(few))


def _room(rate: np.ndarray, patients: int) -> tuple[float, float]:
    """How much lower and higher a rate may be than its resamples, where they have no spread."""
    if np.ptp(rate):
        return 0.0, 0.0
    return min(rate[0], unseen(patients)), min(1 - rate[0], unseen(patients))


def roc(scores: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve of a membership score, for a plot on logarithmic axes.

    Args:
        scores: ``(n,)``, the larger the more like a member.
        member: ``(n,)`` bool.

    Returns:
        False and true positive rates, ascending, one point for each value of the score, from
        (0, 0) to (1, 1).

    Raises:
        ValueError: as for :func:`rate_at`.
    """
    scores, member = _scored(scores, member)
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([[0], np.cumsum(member[order])])
    alarms = np.arange(len(scores) + 1) - hits
    whole = np.concatenate([[True], np.diff(-scores[order]) > 0, [True]])  # ties come together
    return alarms[whole] / (~member).sum(), hits[whole] / member.sum()


def rate_at(
    scores: np.ndarray,
    member: np.ndarray,
    patient: np.ndarray,
    *,
    false: float,
    draws: int = 500,
    seed: int = 0,
) -> Estimate:
    """The share of members found while at most a share ``false`` of the others is accused.

    Carlini et al. 2022 (S&P, arXiv 2112.03570): an attack is judged where it is nearly never
    wrong, not on average. The interval is from a bootstrap over patients, members and others drawn
    apart, the threshold set again each time. At 1 % it rests on a hundredth of the non-members:
    say how many those are.

    Args:
        scores: ``(n,)``, the larger the more like a member.
        member: ``(n,)`` bool.
        patient: ``(n,)`` the patient of each row.
        false: the false positive rate, from 0 up to but not including 1.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Raises:
        ValueError: lengths differ, a score is NaN, members or non-members are missing, or ``false``
            is out of range.
    """
    scores, member = _scored(scores, member)
    if not 0 <= false < 1:
        raise ValueError(f"expected a rate from 0 to below 1, got {false}")
    counts = _drawn_apart(member, patient, draws, seed)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(counts[:, order] * member[order], axis=1)
    alarms = np.cumsum(counts[:, order] * ~member[order], axis=1)
    whole = np.concatenate([np.diff(-scores[order]) > 0, [True]])  # ties are accused together
    allowed = (alarms <= false * alarms[:, -1:] + 1e-9) & whole
    found = np.where(allowed, hits, 0).max(1) / hits[:, -1]
    members, others = _patients(member, patient)
    return replace(interval(found[0], found[1:], share_of=members), patients=min(members, others))


def _patients(member: np.ndarray, patient: np.ndarray) -> tuple[int, int]:
    """How many members there are, and how many others."""
    members, others = (len(np.unique(np.asarray(patient)[who])) for who in (member, ~member))
    return members, others


def _drawn_apart(member: np.ndarray, patient: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """``(1 + draws, n)`` counts: each row once, then resamples of members and others apart."""
    patient = one_a_row(np.asarray(patient), member)
    counts = np.ones((1 + draws, len(member)), dtype=np.int64)
    for number, who in enumerate((member, ~member)):
        counts[1:, who] = patient_bootstrap(patient[who], draws=draws, seed=seed + number)
    return counts


def epsilon_bound(
    guess: np.ndarray, member: np.ndarray, *, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """How large epsilon is at least, since a membership attack does as well as it does.

    An (epsilon, delta)-private training allows no attack with TPR > e^epsilon FPR + delta, nor
    TNR > e^epsilon FNR + delta (Kairouz et al. 2015). The rates enter by Clopper and Pearson's
    bounds, each at half of the error that is left, so that the bound is wrong with at most
    1 - confidence (Jagielski et al. 2020, NeurIPS; Nasr et al. 2021, S&P).

    That holds where the guesses are independent: one from each of many trainings. The rows of a
    single training share its noise, and members were not drawn row by row by a coin; then the
    figure is an estimate, and its confidence a manner of speaking (Steinke et al. 2023 audit with
    one run, in another way). In any case the threshold of the attack comes from other rows.

    Args:
        guess: ``(n,)`` bool, whom the attacker calls a member.
        member: ``(n,)`` bool.
        delta: of the guarantee that is audited.
        confidence: of the bound.

    Returns:
        A lower bound on epsilon, 0 where the attack proves nothing.

    Raises:
        ValueError: lengths differ, members or non-members are missing, or delta or confidence is
            out of range.
    """
    from scipy.stats import beta

    guess, member = _scored(np.asarray(guess, dtype=float), member)
    if not (0 <= delta < 1 and 0 < confidence < 1):
        raise ValueError(
            f"expected delta and confidence between 0 and 1, got {delta}, {confidence}"
        )
    if not np.isin(guess, (0.0, 1.0)).all():
        raise ValueError("a guess is yes or no; cut a score at a threshold first")
    guess, error = guess > 0.5, (1 - confidence) / 2
    counts = [(int(guess[who].sum()), int(who.sum())) for who in (member, ~member)]
    (found, members), (alarms, others) = counts
    bounds = [0.0]
    for right, of, wrong, among in (
        (found, members, alarms, others),
        (others - alarms, others, members - found, members),
    ):
        least = beta.ppf(error, right, of - right + 1) if right else 0.0
        most = beta.ppf(1 - error, wrong + 1, among - wrong) if wrong < among else 1.0
        if least > delta:
            bounds.append(float(np.log((least - delta) / most)))
    return max(bounds)


def _scored(scores: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not np.isin(member, (0, 1)).all():
        raise ValueError("whether a row is a member is True or False; got other numbers")
    scores, member = np.asarray(scores, dtype=float), np.asarray(member, dtype=bool)
    if scores.shape != member.shape or scores.ndim != 1 or np.isnan(scores).any():
        raise ValueError(
            f"expected a score, not NaN, and a truth for each row; got shapes {scores.shape} and "
            f"{member.shape}"
        )
    if member.all() or not member.any():
        raise ValueError("this needs members and non-members; one of them is missing")
    return scores, member
