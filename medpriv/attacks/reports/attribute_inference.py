"""What an embedding tells: sensitive facts and keywords, read by a linear probe for each.

The attacker owns reports of other patients and can have them embedded, so he sees which numbers go
with which fact. For each fact (HIV, pregnancy, a MeSH finding, a keyword) he fits a logistic
regression from embedding to fact, all of them at once: Song & Raghunathan 2020 (CCS, arXiv
2004.00053) infer an author from embeddings so, and call many words at once inversion, Pan et al.
2020 (IEEE S&P) train one classifier a keyword. Without an embedding, prevalence is the baseline,
and what other facts of the same patient say: findings go together.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medpriv.models.probes import LinearProbes, fit_probes


def fit_cooccurrence(
    facts: Tensor, also: Tensor | None = None, *, penalty: float | None = None
) -> LinearProbes:
    """The other baseline: each fact from all *other* facts of the same patient.

    Give its ``guess`` the victims' facts as numbers, and what else is known after them;
    the entry that is guessed is not used. Penalty and errors are as for :func:`.fit_fact_reader`.

    Args:
        facts: ``(m, F)`` bool, of the attacker's own patients.
        also: ``(m, d)``, what else is known of them, such as age and sex.
        penalty: of each probe.
    """
    inputs = facts.double() if also is None else torch.cat([facts.double(), also.double()], dim=1)
    return fit_probes(inputs, facts, penalty=penalty, without_self=True)


def fit_fact_reader(
    seen: Tensor,
    facts: Tensor,
    *,
    penalty: float | None = None,
    patient: np.ndarray | None = None,
) -> LinearProbes:
    """Learn to read facts from what a service answered about the attacker's own reports.

    Args:
        seen: ``(m, d)``, its answers about m reports of his own, such as ``view(own.x)``: an
            embedding, or whatever is left of one. Each report cost a query.
        facts: ``(m, F)`` bool, the facts of these reports.
        penalty: see :func:`medpriv.models.probes.fit_probes`; without it, chosen on these reports.
        patient: ``(m,)`` of whom each report is.

    Raises:
        ValueError: as for :func:`medpriv.models.probes.fit_probes`.
    """
    return fit_probes(seen, facts, penalty=penalty, patient=patient)
