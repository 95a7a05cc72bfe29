"""What stands in one slot of a report, such as the name: read by exchanging it.

A single word hardly moves an embedding, and yet it moves it always in about the same way. The
attacker takes sentences of his own that have such a slot, asks about each with every candidate in
it, and so learns what a candidate adds. With the covariance of embeddings, which says how all the
rest of a report moves them, the best linear rule follows (Fisher's discriminant, Annals of Eugenics
1936): with s for how much a sentence weighs in a whole report, mean embedding m and covariance C::

    score(w) = s v_w C^-1 (e - m) - s^2 / 2 v_w C^-1 v_w + log P(w)

Sentences are short: a question about one takes a fifth of the time of one about a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medpriv.attacks.reports.recombination import sentences_of
from medpriv.attacks.reports.report_reconstruction import as_shared
from medpriv.data.statements import Slot
from medpriv.deployment import View
from medpriv.runtime.seeds import rng

_SCALES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)  # 0: nothing but what is usual
_SHRUNK = 0.1  # of the mean variance, added to each: few reports know little of 384 dimensions


@dataclass(frozen=True)
class SlotReader:
    """Embeddings → the word in a slot; made by :func:`.fit_slot_reader`.

    Attributes:
        slot: which, and its k candidates.
        scale: s, how much of a sentence's change is left in a whole report.
        queries: how many sentences were sent through the view to fit it.
    """

    slot: Slot
    scale: float
    queries: int
    _weights: Tensor
    _bias: Tensor
    _mean: Tensor

    def chances(self, embeddings: Tensor) -> Tensor:
        """``(n, d)`` as the view shows them → ``(n, k)`` float32, how likely each candidate is.

        Raises:
            ValueError: the width is another one, or a number is not finite.
        """
        shared = as_shared(embeddings, unit=False, width=len(self._mean))
        return ((shared - self._mean) @ self._weights + self._bias).softmax(1)

    def guess(self, embeddings: Tensor) -> tuple[str, ...]:
        """The likeliest candidate for each embedding; see :meth:`chances`."""
        return tuple(self.slot.words[best] for best in self.chances(embeddings).argmax(1).tolist())


def fit_slot_reader(
    view: View,
    texts: Sequence[str],
    slot: Slot,
    *,
    known: Tensor,
    sentences: int = 2,
    seed: int = 0,
) -> SlotReader:
    """Learn what each candidate in a slot does to an embedding, as the view shows it.

    Args:
        view: exposes ``embedding``; each sentence with each candidate costs a query.
        texts: the attacker's own reports, m of them.
        slot: what to read.
        known: ``(m, d)`` or more rows, what the view answered about these reports and, after them,
            about whatever else he has asked.
        sentences: how many of his own, drawn by the seed, to try the candidates in.
        seed: decides which.

    Raises:
        ThreatModelError: the view exposes no embedding.
        QueryBudgetError: the budget does not cover the sentences; none is then spent.
        ValueError: the slot stands in none of the texts, fewer embeddings than texts are known, or
            a number is below 1.
    """
    view.require("embedding", "the slot reader")
    if sentences < 1 or len(known) < max(len(texts), 2):
        raise ValueError(
            f"expected 1 or more sentences and an embedding of each of {len(texts)} texts, at "
            f"least 2, got {sentences} and {len(known)}"
        )
    places = {word: number for number, word in enumerate(slot.words)}
    rows = [row for row, text in enumerate(texts) if slot.word(text) in places]
    chosen = _sentences([texts[row] for row in rows], slot, sentences, seed)
    asked = [slot.filled(sentence, word) for sentence in chosen for word in slot.words]
    view.afford(len(asked))
    answers = view(asked).float().unflatten(0, (len(chosen), len(slot.words)))
    effects = (answers - answers.mean(1, keepdim=True)).mean(0)
    mean = known.float().mean(0)
    cov = torch.cov(known.float().T.double())
    cov += (_SHRUNK * cov.diagonal().mean()).clamp(min=1e-12) * torch.eye(len(cov))
    weights = torch.linalg.solve(cov, effects.T.double()).float()  # C^-1 v for each effect
    half = (weights * effects.T).sum(0) / 2
    truth = torch.tensor([places[slot.word(texts[row])] for row in rows])
    usual = torch.bincount(truth, minlength=len(places)).float().add(1).log()
    along = (known[rows].float() - mean) @ weights

    def likelihood(scale: float) -> float:
        scores = scale * along - scale**2 * half + usual
        return float(scores.log_softmax(1).gather(1, truth[:, None]).mean())

    scale = max(_SCALES, key=likelihood)
    bias = usual - scale**2 * half
    return SlotReader(slot, scale, len(asked), scale * weights, bias, mean)


def _sentences(texts: Sequence[str], slot: Slot, number: int, seed: int) -> list[str]:
    """Sentences of different reports with this slot once, drawn at random."""
    fitting = []
    for text in texts:
        found = (one for one in sentences_of(text) if slot.count(one) == 1)
        fitting += [sentence for sentence in found if slot.word(sentence) in slot.words][:1]
    if not fitting:
        raise ValueError(
            f"no sentence of the attacker's texts has one of {len(slot.words)} words as its "
            f"{slot.kind}; name a slot that they have"
        )
    order = rng(seed, "slot", slot.kind).permutation(len(fitting))
    return [fitting[place] for place in order[:number]]
