"""Which words an embedding speaks for, and what a word does to an embedding: in closed form.

Both are ridge regressions on the attacker's own reports and what the service answered about them.
From embedding to words: how much more likely than usual each word is. From words to embedding:
where a text would land, without asking. A pooled embedding is a mean over its words, so that the
second is nearly linear in how often each word occurs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LENGTH = 4.0  # of a standardised embedding, root mean square
_LEAST = 0.05  # no word becomes rarer than this part of its share


@dataclass(frozen=True)
class WordEvidence:
    """Embeddings → how much each speaks for each word; made by ``fit_word_evidence``."""

    _mean: Tensor
    _scale: float
    _weights: Tensor
    _share: Tensor
    _slope: Tensor

    @property
    def width(self) -> int:
        """Numbers in an embedding."""
        return len(self._mean)

    def standardised(self, embeddings: Tensor) -> Tensor:
        """``(n, d)`` float32, about 0, of a common length."""
        return (embeddings.float() - self._mean) * self._scale

    def of(self, embeddings: Tensor) -> Tensor:
        """``(n, V)`` float32: by how much the log-odds of each word exceed the usual ones."""
        return _log_odds(self.standardised(embeddings) @ self._weights, self._share, self._slope)


def fit_word_evidence(
    embeddings: Tensor, present: Tensor, *, penalty: float = 1.0
) -> tuple[WordEvidence, Tensor]:
    """Learn which words, ``(m, V)`` bool, go with which embedding, ``(m, d)``.

    Returns:
        The evidence, and what it says of each own report when that report is left out, ``(m, V)``:
        what a network should learn from, since the evidence of a stranger looks about so. (Where
        rows are recombinations of others it is a little too strong, since these stay.)
    """
    mean = embeddings.float().mean(0)
    spread = (embeddings.float() - mean).square().sum(1).mean().sqrt()
    scale = _LENGTH / float(spread.clamp(min=1e-6))
    x = (embeddings.float() - mean) * scale
    share = present.float().mean(0)
    y = present.float() - share
    gram = x.T @ x + penalty * torch.eye(x.shape[1])
    weights = torch.linalg.solve(gram, x.T @ y)
    # Leaving a row out of a ridge regression has a closed form; its lever is the hat matrix.
    lever = (x * torch.linalg.solve(gram, x.T).T).sum(1) + 1 / len(x)
    lever = lever.clamp(max=1 - 1e-4)[:, None]
    left_out = (x @ weights - lever * y) / (1 - lever)
    slope = (left_out * y).sum(0) / left_out.square().sum(0).clamp(min=1e-6)
    slope = slope.clamp(0, 1)  # a prediction that does not hold counts less, or not at all
    evidence = WordEvidence(mean, scale, weights, share, slope)
    return evidence, _log_odds(left_out, share, slope)


def _log_odds(predicted: Tensor, share: Tensor, slope: Tensor) -> Tensor:
    usual = share.clamp(1e-4, 1 - 1e-3)
    likely = torch.maximum(usual + slope * predicted, _LEAST * usual).clamp(max=1 - 1e-3)
    return likely.logit() - usual.logit()


def fit_text_map(
    frequencies: Tensor, embeddings: Tensor, *, penalty: float = 1e-3
) -> tuple[Tensor, Tensor]:
    """Learn where texts are embedded, ``(m, d)``, from their :func:`word_shares`, ``(m, V)``.

    Returns:
        ``(V, d)`` and ``(1, d)`` float32: a text lies at ``frequencies @ first + second``.
    """
    words, target = frequencies.double(), embeddings.double()
    x, y = words - words.mean(0), target - target.mean(0)
    if len(x) < x.shape[1]:  # the smaller of the two systems
        weights = x.T @ torch.linalg.solve(x @ x.T + penalty * torch.eye(len(x)).double(), y)
    else:
        weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]).double(), x.T @ y)
    weights = weights.float()
    origin = -words.mean(0, keepdim=True).float() @ weights + target.mean(0).float()
    return weights, origin


def word_shares(report: Tensor, words: int, *, first: int) -> Tensor:
    """The share of each of V words in a report, ``(n, T)`` int64 numbers: ``(n, V)`` float32.

    Numbers below ``first`` are no words.
    """
    counts = torch.zeros(len(report), words)
    counts.scatter_add_(1, report, (report >= first).float())
    return counts / counts.sum(1, keepdim=True).clamp(min=1)
