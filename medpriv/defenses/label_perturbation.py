"""Randomised response: a label told truthfully with a known chance, and else another one.

Warner 1965 (JASA); with K answers it is K-ary randomised response (Kairouz et al. 2014, NeurIPS).
Each answer is differentially private with epsilon = ln((1 - p)(K - 1) / p): whatever the truth, an
answer is at most e^epsilon times likelier than with another truth.

What is protected depends on where the coin is thrown. At query time (Wu et al. 2020) it is one
answer about one input; q answers with fresh coins cost q epsilon, and can be averaged. At training
time (label DP; Ghazi et al. 2021) it is the label of each training row, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from medpriv.data.cohort import Cohort
from medpriv.data.text import normalise_text
from medpriv.deployment import ViewDefense
from medpriv.deployment.view import Answer
from medpriv.runtime.seeds import torch_rng


def epsilon_of(flips: float, classes: int) -> float:
    """The privacy loss of one answer: ln((1 - p)(K - 1) / p).

    Args:
        flips: p, the chance of another label than the true one, from 0 to (K - 1) / K.
        classes: K.

    Returns:
        epsilon, infinite for p = 0 and 0 where an answer no longer depends on the truth.

    Raises:
        ValueError: p or K is out of range.
    """
    _check(flips, classes)
    if flips == 0:
        return math.inf
    return max(0.0, math.log((1 - flips) * (classes - 1) / flips))


def response_matrix(flips: float, classes: int) -> Tensor:
    """How likely each answer is for each truth: ``(K, K)`` float64, row truth, rows sum to 1.

    An attacker who knows p and has the confusion matrix C of the model behind works with
    ``C @ response_matrix(p, K)``: he loses information and is never misled.

    Raises:
        ValueError: p or K is out of range.
    """
    _check(flips, classes)
    table = torch.full((classes, classes), flips / (classes - 1), dtype=torch.float64)
    return table.fill_diagonal_(1 - flips)


def unbiased_accuracy(accuracy: float, flips: float, classes: int) -> float:
    """The accuracy of the model behind, from the accuracy of its randomised answers.

    (a - p / (K - 1)) / (1 - p K / (K - 1)): an estimate, which may lie outside 0 to 1.

    Raises:
        ValueError: p or K is out of range, or p is so large that answers say nothing.
    """
    _check(flips, classes)
    kept = 1 - flips * classes / (classes - 1)
    if kept < 1e-12:
        raise ValueError(
            f"with p = {flips} and {classes} classes an answer does not depend on the truth, so "
            "that no accuracy can be recovered; choose a smaller p"
        )
    return (accuracy - flips / (classes - 1)) / kept


def randomised_response(
    flips: float,
    classes: int,
    *,
    key: bytes | None = None,
    client: str = "",
    cell: float | Tensor = 1e-6,
    seed: int = 0,
) -> ViewDefense:
    """Labels flipped at query time, with coins that are fresh or remembered.

    A remembered coin is also a fingerprint. Whoever holds one answer about a patient, from a letter
    for instance, and asks about each candidate record gets the same coin for the true one, and
    keeps the candidates that are answered alike: with one key for everybody he finds more than
    without any defense. Clients whose coins are their own cannot compare.

    Args:
        flips: p, the chance of another label than the model's.
        classes: K.
        key: none throws a fresh coin for each answer. With a secret key the coin of an input is
            computed from the key and the input (HMAC-SHA256), so that asking again gives the same
            answer, in any process that holds the key.
        client: who asks. Clients of different names throw different coins with the same key.
        cell: inputs that round to the same multiple of it share a coin; for records a tensor
            ``(columns,)`` gives each column its own. Texts share one where their normal form is
            the same. Used with a key only.
        seed: of fresh coins. A course repeats its runs; whoever knows a service's seed takes its
            coins off again.

    Returns:
        A defense of a view that exposes ``label``. Queries to any other raise ``ValueError``: a
        coin on the label protects nothing where the scores can be read.

    Raises:
        ValueError: p, K or the cell is out of range, or the key is empty.
    """
    _check(flips, classes)
    if key is not None and not key:
        raise ValueError("an empty key is no secret; give some random bytes, or no key")
    if not bool((torch.as_tensor(cell) > 0).all()):
        raise ValueError(f"a cell is larger than 0, got {cell}")

    def wrap(answer: Answer) -> Answer:
        draws = torch_rng(seed, "randomised response")

        def respond(x: Tensor | Sequence[str]) -> Tensor:
            labels = answer(x)
            if labels.ndim != 1 or labels.dtype != torch.int64:
                raise ValueError(
                    f"randomised response changes labels, and this view answers {labels.dtype} of "
                    f"shape {tuple(labels.shape)}; deploy with expose='label'"
                )
            if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
                raise ValueError(
                    f"a label is outside 0..{classes - 1}: the model has more than {classes} "
                    "classes, and the proof would not hold; give the number that it has"
                )
            if key is None:
                coins = torch.rand(2, len(labels), generator=draws, dtype=torch.float64)
            else:
                coins = _coins(key, client, x, cell)
            return flipped(labels, coins, flips, classes)

        return respond

    kind = "fresh" if key is None else "memoised"
    return ViewDefense(f"randomised response p={flips:g}, {kind}", wrap)


def flipped(labels: Tensor, coins: Tensor, flips: float, classes: int) -> Tensor:
    """Each label kept, or exchanged for another, as its coins say.

    Args:
        labels: ``(n,)`` int64.
        coins: ``(2, n)`` in [0, 1): the first decides whether, the second for which other.
        flips: p.
        classes: K.

    Returns:
        ``(n,)`` int64.
    """
    step = 1 + (coins[1] * (classes - 1)).long().clamp(max=classes - 2)
    return torch.where(coins[0] < flips, (labels + step) % classes, labels)


def _coins(key: bytes, client: str, x: Tensor | Sequence[str], cell: float | Tensor) -> Tensor:
    """``(2, n)`` float64: what the key makes of a client and each input's cell."""
    own = hmac.digest(key, client.encode(), hashlib.sha256)
    digests = b"".join(hmac.digest(own, one, hashlib.sha256)[:16] for one in _canonical(x, cell))
    words = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    # 53 bits fill a float64 exactly, so that none rounds up to 1.
    return torch.from_numpy((words.T >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _canonical(x: Tensor | Sequence[str], cell: float | Tensor) -> list[bytes]:
    if not isinstance(x, Tensor):
        return [normalise_text(text).encode() for text in x]
    places = (x.detach().cpu().double() / torch.as_tensor(cell)).round()
    if not bool((places.abs() < 2.0**62).all()):
        raise ValueError(
            "an input is NaN, infinite or too large for its cell, so that it has no place on the "
            "grid from which coins are computed; check the input, or take a larger cell"
        )
    rows = places.long().flatten(1).numpy().astype("<i8")
    return [row.tobytes() for row in rows]


# --- At training time -----------------------------------------------------------------------------


def private_labels(cohort: Cohort, flips: float, *, seed: int = 0) -> Cohort:
    """The cohort with its members' labels randomised once: label DP with :func:`epsilon_of` p.

    The attackers' and the victims' parts stay as they are, and so does the test part, on which
    utility is measured.

    Raises:
        ValueError: p is out of range.
    """
    classes = len(cohort.classes)
    _check(flips, classes)
    members = cohort.members
    draws = torch_rng(seed, "private labels")
    coins = torch.rand(2, len(members), generator=draws, dtype=torch.float64)
    return replace(cohort, members=replace(members, y=flipped(members.y, coins, flips, classes)))


@dataclass(frozen=True)
class ForwardCorrected:
    """The loss for labels that were randomised: it expects of a model what p makes of its answers.

    Patrini et al. 2017 (CVPR), theorem 2: -log of (softmax(z) M)[y], with M the response matrix.
    In the limit of many rows its minimum is that of the cross-entropy with true labels.

    Attributes:
        flips: p.
        classes: K.
    """

    flips: float
    classes: int

    def __post_init__(self) -> None:
        _check(self.flips, self.classes)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``(n, K)`` logits and ``(n,)`` int64 randomised labels → the mean loss, in nats."""
        other = self.flips / (self.classes - 1)
        own = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
        # In logarithms, so that an error made with certainty still has a gradient.
        kept = own + _log(1 - self.flips - other)
        return -torch.logaddexp(torch.full_like(own, _log(other)), kept).mean()


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else -math.inf


def _check(flips: float, classes: int) -> None:
    if classes < 2:
        raise ValueError(f"expected 2 or more classes, got {classes}")
    most = (classes - 1) / classes
    if not 0 <= flips <= most + 1e-12:
        raise ValueError(
            f"p must be from 0 to {most:g}, where an answer of {classes} classes says nothing "
            f"any more; got {flips}"
        )
