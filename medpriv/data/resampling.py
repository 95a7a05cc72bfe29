"""Drawing patients again: the bootstrap that every interval of the course rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medpriv.runtime import rng


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, from a bootstrap over patients."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def patient_bootstrap(patient: np.ndarray, *, draws: int = 500, seed: int = 0) -> np.ndarray:
    """How often each row counts in each of ``draws`` resamples of whole patients.

    Rows of one patient are not independent, so patients are drawn, not rows (the cluster
    bootstrap; Davison & Hinkley 1997, section 3.8).

    Args:
        patient: ``(n,)`` the patient of each row.
        draws: number of resamples.
        seed: decides the draws.

    Returns:
        ``(draws, n)`` int64 counts; each row of the result sums over patients to their number.
    """
    names, inverse = np.unique(np.asarray(patient), return_inverse=True)
    chance = np.full(len(names), 1 / len(names))
    counts = rng(seed, "bootstrap").multinomial(len(names), chance, size=draws)
    return counts[:, inverse]
