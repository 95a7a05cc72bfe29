"""A miniature corrector: guess, have the guess embedded, look at the difference, guess better.

Morris et al. 2023 (vec2text, EMNLP, arXiv 2310.06816): a guess can be checked, since the service
embeds any text. They train a large model to rewrite a guess from the difference between its
embedding and the victim's. Here the rewriting is a search that a CPU does in seconds: changes are
proposed offline, a linear map from words to embedding foretells which of them close the difference,
and only the most promising ones are asked about. Each question costs a query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.report_decoder import ReportDecoder, as_shared
from medpriv.attacks.word_evidence import TextMap, fit_text_map, word_shares
from medpriv.deployment import View
from medpriv.models.writers import END, PAD, UNKNOWN, Vocabulary, packed
from medpriv.runtime import progress, rng, to_device

Words = tuple[int, ...]

_DRAWN = 32  # reports drawn for each victim, of which as many are asked about as a step allows
_PROPOSED = 30  # changes of each kind
_ALTERNATIVES = 12  # words considered at each place
_SENTENCES = 5000  # of the attacker's own, at most
_LEAST_LIKELY = -5.0  # log-probability of a word at its place
_ENDS = (".", ";")


@dataclass(frozen=True)
class Correction:
    """The best guess at each victim's report after so many queries.

    Attributes:
        reports: n texts.
        closeness: ``(n,)`` cosine of each one's embedding with the victim's; NaN for a victim about
            whom the decoder writes nothing, and whose guess stays empty.
        queries: spent on each victim so far, at most: where nothing new is proposed, fewer are.
    """

    reports: tuple[str, ...]
    closeness: Tensor
    queries: int


@dataclass
class _Victim:
    """What is known about one report: the goal, all guesses asked about, and the best of them."""

    goal: Tensor
    asked: dict[Words, float] = field(default_factory=dict)
    best: Words = ()
    there: Tensor | None = None  # where the best one is embedded
    closeness: float = float("nan")

    def learn(self, guess: Words, embedded: Tensor) -> None:
        close = float(F.cosine_similarity(embedded, self.goal, dim=0))
        self.asked[guess] = close
        if self.there is None or close > self.closeness:
            self.best, self.there, self.closeness = guess, embedded, close


def correct_reports(
    decoder: ReportDecoder,
    view: View,
    embeddings: Tensor,
    *,
    steps: int = 4,
    queries: int = 8,
    seed: int = 0,
) -> list[Correction]:
    """Improve the decoder's guesses by asking the view about them.

    Args:
        decoder: fitted through the same view.
        view: exposes ``embedding``; every guess that is embedded costs a query.
        embeddings: ``(n, d)`` of the victims, as the view shows them.
        steps: rounds of changes after the first guesses.
        queries: asked about each victim in each round, the first guesses included.
        seed: decides what is drawn and proposed.

    Returns:
        The state after the first guesses and after each step: ``steps + 1`` corrections.

    Raises:
        ThreatModelError: the view exposes no embedding.
        QueryBudgetError: the budget does not cover ``n * queries * (steps + 1)``; none is spent.
        ValueError: as for :meth:`ReportDecoder.guess`, a number is below 1, or the view is not the
            one that the decoder was fitted through: its answers have another width.
    """
    view.require("embedding", "the corrector")
    if queries < 1 or steps < 0:
        raise ValueError(f"expected steps from 0 and queries from 1 on, got {steps}, {queries}")
    about = decoder.read(embeddings)
    view.afford(len(embeddings) * queries * (steps + 1))
    search = _Search(decoder, seed)
    goals = as_shared(embeddings, unit=decoder._of_unit_length)
    victims = [_Victim(goal) for goal in goals]
    drawn = decoder.draw(embeddings, max(_DRAWN, queries), seed=seed)
    first = [[_report(row) for row in rows] for rows in drawn.tolist()]
    states = [_ask(view, search, victims, first, queries, spent=queries)]
    for step in progress(range(steps), "corrector", unit="step"):
        likely = search.likely_words(*about, [victim.best for victim in victims])
        proposed = [
            search.changes(victim, words) for victim, words in zip(victims, likely, strict=True)
        ]
        states.append(_ask(view, search, victims, proposed, queries, spent=queries * (step + 2)))
    return states


def _ask(
    view: View,
    search: _Search,
    victims: Sequence[_Victim],
    proposed: Sequence[list[Words]],
    queries: int,
    *,
    spent: int,
) -> Correction:
    """Ask about the most promising guesses of each victim, as many as a step allows."""
    chosen = [search.best(victim, guesses, queries) for victim, guesses in
              zip(victims, proposed, strict=True)]  # fmt: skip
    texts = [search.vocabulary.text(guess) for guesses in chosen for guess in guesses]
    answers = iter(view(texts)) if texts else iter(())
    for victim, guesses in zip(victims, chosen, strict=True):
        for guess in guesses:
            answer = next(answers)
            if answer.shape != victim.goal.shape:
                raise ValueError(
                    f"the view answers with {len(answer)} numbers, the decoder was fitted on "
                    f"{len(victim.goal)}; give the view that it was fitted through"
                )
            victim.learn(guess, answer)
    return Correction(
        tuple(search.vocabulary.text(victim.best) for victim in victims),
        torch.tensor([victim.closeness for victim in victims]),
        spent,
    )


class _Search:
    """Proposes changes to a guess, and foretells where they would be embedded."""

    def __init__(self, decoder: ReportDecoder, seed: int) -> None:
        self.vocabulary: Vocabulary = decoder.vocabulary
        self.decoder = decoder
        self.longest = decoder.longest
        self.draw = rng(seed, "corrector")
        self.ends = {i for i, word in enumerate(self.vocabulary.words) if word in _ENDS}
        table = self.vocabulary.table(decoder.sent, longest=decoder.longest)
        self.map: TextMap = fit_text_map(
            word_shares(table, len(self.vocabulary), first=UNKNOWN + 1), decoder.embeddings
        )
        own = [_report(row) for row in table[: len(decoder.own)].tolist()]
        known = dict.fromkeys(part for report in own for part in self.sentences(report))
        self.bank = list(known)[:_SENTENCES]
        self.bank_sums = self.sums(self.bank)
        self.bank_squares = self.bank_sums.square().sum(1)
        self.bank_lengths = torch.tensor([float(len(part)) for part in self.bank])

    def sums(self, guesses: Sequence[Words]) -> Tensor:
        """The summed vectors of each guess's words: ``(n, d)``."""
        flat = torch.tensor([word for guess in guesses for word in guess], dtype=torch.int64)
        starts = torch.tensor([0, *np.cumsum([len(guess) for guess in guesses])[:-1]])
        return F.embedding_bag(flat, self.map.weights, starts.long(), mode="sum")

    def sentences(self, guess: Words) -> list[Words]:
        """A guess cut after each full stop and semicolon."""
        parts, part = [], []
        for word in guess:
            part.append(word)
            if word in self.ends:
                parts.append(tuple(part))
                part = []
        return [*parts, tuple(part)] if part else parts

    def best(self, victim: _Victim, guesses: list[Words], number: int) -> list[Words]:
        """The guesses, not asked about so far, that should lie closest to the victim's."""
        new = [one for one in dict.fromkeys(guesses) if one and one not in victim.asked]
        if not new:
            return []
        lengths = torch.tensor([[float(len(guess))] for guess in new])
        means = self.sums(new) / lengths
        if victim.there is None:
            where = means + self.map.of(torch.zeros(1, len(self.vocabulary)))
        else:  # from a place that is known, only the change has to be foretold
            where = victim.there + means - self.sums([victim.best]) / len(victim.best)
        close = F.cosine_similarity(where, victim.goal[None], dim=1)
        return [new[row] for row in close.topk(min(number, len(new))).indices.tolist()]

    def changes(self, victim: _Victim, likely: tuple[Tensor, Tensor]) -> list[Words]:
        """All changes to the best guess that are worth a look; none where there is no guess."""
        if victim.there is None:
            return []
        return [*self.mated(victim), *self.rewritten(victim), *self.reworded(victim, likely)]

    def mated(self, victim: _Victim) -> Iterator[Words]:
        """Sentences of other good guesses put in the place of the best one's, added, or dropped."""
        good = sorted(victim.asked, key=lambda guess: -victim.asked[guess])[:8]
        base = self.sentences(victim.best)
        for _ in range(_PROPOSED):
            other = self.sentences(good[self.draw.integers(len(good))])
            place = int(self.draw.integers(len(base)))
            near = place / len(base) * len(other) + self.draw.normal()
            taken = other[int(np.clip(round(near), 0, len(other) - 1))]
            what = self.draw.random()
            if what < 0.6:
                parts = [*base[:place], taken, *base[place + 1 :]]
            elif what < 0.8 or len(base) == 1:
                parts = [*base[: place + 1], taken, *base[place + 1 :]]
            else:
                parts = [*base[:place], *base[place + 1 :]]
            yield self._joined(parts)

    def rewritten(self, victim: _Victim) -> Iterator[Words]:
        """The attacker's own sentences that should close the difference best, in any place."""
        base = self.sentences(victim.best)
        whole = self.sums([victim.best])
        kept = torch.cat([whole - self.sums(base), whole])  # in the last row nothing is dropped
        lengths = torch.tensor([*(-float(len(part)) for part in base), 0.0]) + len(victim.best)
        close = self._closeness(victim, kept, lengths[:, None] + self.bank_lengths)
        for choice in close.flatten().topk(min(_PROPOSED, close.numel())).indices.tolist():
            place, row = divmod(choice, len(self.bank))
            if place == len(base):
                after = int(self.draw.integers(1, len(base) + 1))
                yield self._joined([*base[:after], self.bank[row], *base[after:]])
            else:
                yield self._joined([*base[:place], self.bank[row], *base[place + 1 :]])

    def _closeness(self, victim: _Victim, kept: Tensor, lengths: Tensor) -> Tensor:
        """Cosine with the goal of (kept + a sentence of the bank) / length, from the known place.

        Written out, so that no vector of each of the many combinations is made: with
        ``w = start + (k + b) / L``, ``|w|^2 = |start|^2 + 2 start.(k + b) / L + |k + b|^2 / L^2``.

        Args:
            victim: whose goal.
            kept: ``(p, d)`` summed vectors of what is kept of the best guess.
            lengths: ``(p, bank)`` words of each combination.
        """
        goal = F.normalize(victim.goal, dim=0)
        start = victim.there - self.sums([victim.best])[0] / len(victim.best)
        along, from_start = ((kept @ way)[:, None] + self.bank_sums @ way for way in (goal, start))
        squares = kept.square().sum(1)[:, None] + self.bank_squares
        squares = squares + 2 * kept @ self.bank_sums.T
        norms = start @ start + 2 * from_start / lengths + squares / lengths**2
        return (start @ goal + along / lengths) / norms.clamp(min=1e-9).sqrt()

    @torch.no_grad()
    def likely_words(
        self, about: Tensor, evidence: Tensor, guesses: Sequence[Words]
    ) -> list[tuple[Tensor, Tensor]]:
        """At each place of each guess the words that the network holds likeliest, and how likely.

        Returns:
            For each guess ``(L, 12)`` log-probabilities and ``(L, 12)`` words.
        """
        if not guesses:
            return []
        rows = [torch.tensor([*guess, END]) for guess in guesses]
        table = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
        writer = self.decoder.writer
        device = next(writer.parameters()).device
        likely = []
        for part in packed(about, evidence, table).split(64):
            scores = writer(to_device(part, device)).float()
            scores[..., : UNKNOWN + 1] = -1e9
            top = scores.log_softmax(2).topk(min(_ALTERNATIVES, scores.shape[2]), dim=2)
            likely += list(zip(top.values.cpu(), top.indices.cpu(), strict=True))
        return [
            (chances[: len(guess)], words[: len(guess)])
            for (chances, words), guess in zip(likely, guesses, strict=True)
        ]

    def reworded(self, victim: _Victim, likely: tuple[Tensor, Tensor]) -> Iterator[Words]:
        """One word exchanged for another that fits there and should close the difference."""
        chances, words = likely
        old = torch.tensor(victim.best)
        worth = self.map.weights @ (victim.goal - victim.there)
        gain = worth[words] - worth[old][:, None]
        gain[(chances < _LEAST_LIKELY) | (words == old[:, None])] = -1.0
        best = gain.flatten().topk(min(_PROPOSED // 2, gain.numel()))
        for better, choice in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            if better <= 0:
                return
            place, row = divmod(choice, words.shape[1])
            yield (*victim.best[:place], int(words[place, row]), *victim.best[place + 1 :])

    def _joined(self, parts: Sequence[Words]) -> Words:
        return tuple(word for part in parts for word in part)[: self.longest]


def _report(row: Sequence[int]) -> Words:
    """The words of a row of numbers, up to its end."""
    words = []
    for number in row:
        if number == END:
            break
        if number > UNKNOWN:
            words.append(number)
    return tuple(words)
