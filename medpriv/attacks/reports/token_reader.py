"""Reading the words of a report from what an encoder computed of each token.

Where a model is split between a hospital and a partner, the features of each token leave, not one
pooled vector. Each row is about one token, so the attacker needs no language: a linear classifier
says which word a row came from, as in the first layers nearly every one does (Song & Raghunathan
2020, invert a whole encoder; row by row it is easier).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.deployment import View

Tokenise = Callable[[str], list[str]]


@dataclass(frozen=True)
class TokenReader:
    """Features of each token → the tokens; made by :func:`.fit_token_reader`.

    Attributes:
        tokens: V tokens that it knows, the most common first: naming that one is the guess without
            features.
    """

    tokens: tuple[str, ...]
    _mean: Tensor
    _weights: Tensor

    def guess(self, features: Tensor) -> list[list[str]]:
        """``(n, T, d)`` features, as the view shows them → the tokens of each report.

        Rows of zeros are padding and give no token.

        Raises:
            ValueError: the width is another one, or a number is not finite.
        """
        width = len(self._mean)
        if features.ndim != 3 or features.shape[2] != width:
            raise ValueError(f"expected features (n, T, {width}), got {tuple(features.shape)}")
        if not torch.isfinite(features).all():
            raise ValueError("a feature is not finite; expected what the view answered")
        there = _not_padding(features)
        best = ((features[there] - self._mean) @ self._weights).argmax(1)
        words = iter([self.tokens[number] for number in best.tolist()])
        return [[next(words) for _ in range(int(row.sum()))] for row in there]


def fit_token_reader(view: View, texts: Sequence[str], tokenise: Tokenise) -> TokenReader:
    """Learn which features come from which token, by ridge regression on the attacker's reports.

    Args:
        view: exposes ``features`` of a report classifier, split after one of its layers.
        texts: the attacker's own reports, a query each.
        tokenise: a text → its tokens, one for each row that the view shows of it; the tokenizer of
            the encoder, which is public.

    Raises:
        ThreatModelError: the view exposes no features.
        ValueError: there are no texts, or a text has another number of tokens than rows.
    """
    view.require("features", "reading tokens")
    if not len(texts):
        raise ValueError("expected at least one report to learn from")
    features = view(texts)
    there = _not_padding(features)
    tokens = [tokenise(text) for text in texts]
    for number, (row, own) in enumerate(zip(there, tokens, strict=True)):
        if int(row.sum()) != len(own):
            raise ValueError(
                f"text {number} has {len(own)} tokens, the view shows {int(row.sum())}; give the "
                "tokenizer of the encoder, with its first and last sign"
            )
    counts = Counter(token for own in tokens for token in own)
    known = {token: number for number, (token, _) in enumerate(counts.most_common())}
    rows = features[there]
    truth = F.one_hot(torch.tensor([known[t] for own in tokens for t in own]), len(known)).float()
    mean = rows.mean(0)
    x = rows - mean
    spread = x.square().mean().sqrt()
    gram = x.T @ x + spread**2 * torch.eye(x.shape[1])  # a penalty of 1 on standardised features
    share = truth.mean(0)
    # A rare token's column is as steep as a common one's, so that its own rows win.
    weights = torch.linalg.solve(gram, x.T @ (truth - share)) / share.sqrt()
    return TokenReader(tuple(known), mean, weights)


def _not_padding(features: Tensor) -> Tensor:
    return features.abs().sum(2) > 0
