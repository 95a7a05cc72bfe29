"""Guessing an attribute by counting the candidates with which the model is right about y.

Mehnaz et al. 2022 (USENIX Security, arXiv 2201.09370), algorithms 1 and 2. With exactly one, that
one is taken, though a model that errs can be right with a false value only. With several: the one
of which the model is surest. With none: the one of which it is least sure, in the hope that the
model errs least firmly on a true record. From labels alone, nothing tells several candidates
apart; there an attack model learns from the cases of exactly one (LOMIA).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medpriv.attacks.records.candidate_values import Sensitive, labels_of
from medpriv.attacks.records.imputation import fit_imputer
from medpriv.data.cohort import Column


def confidence_cases(answers: Tensor, y: Tensor) -> Tensor:
    """CSMIA: ranks the candidates of each victim, ``(n, V)`` float64 in [0, 1].

    The largest of a row is the guess; of two equal ones the first. Between victims, a case of
    exactly one ranks above a case of several, and that above a case of none; within a case,
    by the model's confidence.

    Args:
        answers: ``(n, V, K)`` scores.
        y: ``(n,)`` int64, the victims' true labels.

    Raises:
        ValueError: the answers are labels.
    """
    if answers.ndim != 3:
        raise ValueError(
            f"CSMIA needs scores, (n, V, K), got {tuple(answers.shape)}; labels suit label_only"
        )
    right = labels_of(answers) == y[:, None]
    sure = answers.double().amax(-1).clamp(0, 1)
    many = right.sum(1, keepdim=True)
    worth = torch.where(many == 0, 1 - sure, torch.where(right, sure, -1.0))
    case = torch.where(many == 1, 2.0, torch.where(many == 0, 0.0, 1.0))
    rank = (case + worth.clamp(min=0)) / 3
    return torch.where(worth < 0, 0.0, rank.clamp(min=1e-9))


def label_only(
    answers: Tensor,
    y: Tensor,
    records: Tensor,
    columns: Sequence[Column],
    wanted: Sensitive,
    prior: Tensor,
    *,
    seed: int = 0,
) -> Tensor:
    """LOMIA: from the cases of exactly one candidate, learn the attribute of the others.

    Returns ``(n, V)`` float64, rows sum to 1; a case of exactly one is certain.

    Args:
        answers: ``(n, V)`` int64 labels, or scores, of which only the largest is used.
        y: ``(n,)`` int64, the victims' true labels.
        records: ``(n, columns)`` float32, the victims'; the sensitive columns are never read.
        columns: of the cohort.
        wanted: the attribute.
        prior: ``(V,)``, for where no case has exactly one candidate.
        seed: of the attack model.
    """
    right = labels_of(answers) == y[:, None]
    alone = right.sum(1) == 1
    if not bool(alone.any()):
        return prior.double().expand(len(records), -1).clone()
    found = right.long().argmax(1)
    model = fit_imputer(columns, wanted, records[alone], y[alone], truth=found[alone], seed=seed)
    result = model.guess(records, y)
    result[alone] = right[alone].double()
    return result
