"""How much better than chance a guess is at telling members from non-members."""

from __future__ import annotations

import numpy as np

from medpriv.data.resampling import Estimate, patient_bootstrap


def advantage(
    guess: np.ndarray, member: np.ndarray, patient: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """Pr[called a member | member] - Pr[called a member | non-member], with a 95 % interval.

    The membership advantage of Yeom et al. 2018 (CSF): 1 for a perfect guess, 0 for
    any that does not look at the model. The interval is a percentile one over patients; members
    and non-members are drawn apart, since how many there are of each is the experiment's choice.

    Args:
        guess: ``(n,)`` bool, whether the attacker calls the row a member.
        member: ``(n,)`` bool, whether it is one.
        patient: ``(n,)`` the patient of each row.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Raises:
        ValueError: lengths differ, or there are no members or no non-members.
    """
    guess, member = np.asarray(guess, dtype=bool), np.asarray(member, dtype=bool)
    patient = np.asarray(patient)
    if not guess.shape == member.shape == patient.shape or guess.ndim != 1:
        raise ValueError(
            f"expected one guess and one truth for each row, got shapes {guess.shape} and "
            f"{member.shape} for {len(patient)} rows"
        )
    if member.all() or not member.any():
        raise ValueError("an advantage needs members and non-members; one of them is missing")
    rates = []
    for number, who in enumerate((member, ~member)):
        counts = patient_bootstrap(patient[who], draws=draws, seed=seed + number)
        rates.append(counts @ guess[who] / counts.sum(1))
    low, high = np.percentile(rates[0] - rates[1], [2.5, 97.5])
    value = guess[member].mean() - guess[~member].mean()
    return Estimate(float(value), float(low), float(high))
