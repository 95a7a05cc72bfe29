"""All answers about one patient weighed together, from behind a coin that the attacker knows.

:func:`medpriv.attacks.map_posterior` takes the answer about each candidate by itself. Where the
model says the same about all of them, flipped answers differ all the same, and it takes a coin for
evidence. Here the attacker first learns which labels the model itself gives to the V candidates of
one record, its *pattern*: he asks about his own records, and takes the coins out of the answers by
expectation maximisation (Dempster, Laird & Rubin 1977). Then Bayes' rule over patterns,

    P(v | a, y) ~ prior(v) sum_m P(m) M[m_v, y] prod_j M[m_j, a_j],

with M[truth, answer] the coin's table, a the V answers, y the answer about the patient. It is
exact where a pattern does not depend on the record or on the true candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medpriv.attacks.records.attribute_inference import posterior
from medpriv.attacks.records.candidate_values import check_labels

_MOST = 4096  # patterns


def fit_patterns(answers: Tensor, coin: Tensor, *, rounds: int = 300) -> Tensor:
    """How often the model itself gives each pattern: ``(K^V,)`` float64, sums to 1.

    A pattern's number has its labels as digits to the base K, the first candidate's first.

    Args:
        answers: ``(m, V)`` int64, labels of the attacker's own records with each candidate.
        coin: ``(K, K)``, row truth, column answer, rows sum to 1; see
            :func:`medpriv.defenses.response_matrix`.
        rounds: of expectation maximisation; the likelihood falls in none.

    Raises:
        ValueError: there is no record, a label is outside 0..K-1, the coin is no such table, or
            there are more than 4,096 patterns.
    """
    observed = _numbers(answers, coin)
    if not len(observed):
        raise ValueError("expected answers about at least one record of the attacker's own")
    through = _through(coin, answers.shape[1])
    counts = torch.bincount(observed, minlength=len(through)).double()
    share, seen = counts / counts.sum(), counts > 0
    patterns = torch.full_like(share, 1 / len(share))
    for _ in range(rounds):
        explained = patterns @ through[:, seen]
        patterns = patterns * (through[:, seen] @ (share[seen] / explained))
    return patterns / patterns.sum()


def pattern_posterior(
    answers: Tensor, y: Tensor, coin: Tensor, patterns: Tensor, prior: Tensor
) -> Tensor:
    """How likely each candidate is: ``(n, V)`` float64, rows sum to 1.

    Where no pattern explains the answers, it is the prior.

    Args:
        answers: ``(n, V)`` int64, one label about each victim with each candidate, a coin in each.
        y: ``(n,)`` int64, the answer about each victim's true record, a coin in it as well.
        coin: ``(K, K)``, as for :func:`fit_patterns`.
        patterns: ``(K^V,)``, from there.
        prior: ``(V,)`` or ``(n, V)``, positive.

    Raises:
        ValueError: as for :func:`fit_patterns`, or shapes differ.
    """
    observed, through = _numbers(answers, coin), _through(coin, answers.shape[1])
    if len(patterns) != len(through) or y.shape != answers.shape[:1]:
        raise ValueError(
            f"expected {len(through)} patterns and an answer about each of {len(answers)} victims, "
            f"got {len(patterns)} and {tuple(y.shape)}"
        )
    check_labels(y, len(coin))
    said = coin.double()[_digits(len(coin), answers.shape[1])]  # (patterns, V, K)
    behind = through.T * patterns.double()  # (answers, patterns)
    # For each y and each pattern of answers, so that memory does not grow with the victims.
    likelihood = torch.stack([behind @ said[..., label] for label in range(len(coin))])
    return posterior(likelihood[y, observed].log(), prior)


def _digits(classes: int, candidates: int) -> Tensor:
    """``(K^V, V)`` int64: the labels of each pattern."""
    if classes**candidates > _MOST:
        raise ValueError(
            f"{candidates} candidates with {classes} labels each have {classes**candidates:,} "
            f"patterns; expected at most {_MOST:,}: guess an attribute with fewer values"
        )
    return torch.cartesian_prod(*[torch.arange(classes)] * candidates).reshape(-1, candidates)


def _through(coin: Tensor, candidates: int) -> Tensor:
    """``(K^V, K^V)`` float64: how likely each pattern of answers (column) is for each of labels."""
    table = coin.double()
    square = table.ndim == 2 and table.shape[0] == table.shape[1]
    ones = table.new_ones(len(table))
    if not square or (table < 0).any() or not torch.allclose(table.sum(1), ones, atol=1e-6):
        raise ValueError("a coin is a table (K, K) of chances, row truth, whose rows sum to 1")
    _digits(len(table), candidates)  # refuses too many
    whole = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(candidates):
        whole = torch.kron(whole, table)
    return whole


def _numbers(answers: Tensor, coin: Tensor) -> Tensor:
    """``(n, V)`` labels → ``(n,)`` int64, the numbers of their patterns."""
    classes = len(coin)
    if answers.ndim != 2 or answers.dtype != torch.int64:
        raise ValueError(
            f"expected labels (n, V) int64, got {tuple(answers.shape)} {answers.dtype}"
        )
    check_labels(answers, classes)
    places = classes ** torch.arange(answers.shape[1] - 1, -1, -1)
    return (answers * places).sum(1)
