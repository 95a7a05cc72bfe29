"""Changes to a guess at a report, and where a changed guess would be embedded, without asking.

What the corrector (:func:`medpriv.attacks.correct_reports`) searches among: sentences of other
guesses, sentences of the attacker's own reports, and single words that fit their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.reports.report_decoder import ReportDecoder
from medpriv.attacks.reports.statement_reader import StatementReader
from medpriv.attacks.reports.word_evidence import TextMap, fit_text_map, word_shares
from medpriv.models.writers import END, PAD, UNKNOWN, Vocabulary, packed
from medpriv.runtime.device import to_device
from medpriv.runtime.seeds import rng

Words = tuple[int, ...]

_PROPOSED = 30  # changes of each kind
_ALTERNATIVES = 12  # words considered at each place
_SENTENCES = 5000  # of the attacker's own, at most
_NEAREST = 8  # texts sent before
_READ = 5  # times as many guesses are read as are asked about
_LEAST_LIKELY = -5.0  # log-probability of a word at its place
_ENDS = (".", ";")


@dataclass
class Victim:
    """What is known about one report: the goal, what was read from it, and all guesses asked about.

    ``text`` is the best guess as it was asked about, ``there`` where that is embedded; the best one
    lies closest, and says what was read from the goal: its cosine and its worth are largest.
    """

    goal: Tensor
    filled: Callable[[str], str] = str  # puts what was read into a text
    worth: Tensor = field(default_factory=lambda: torch.empty(0))  # of each statement, as a cosine
    asked: dict[Words, float] = field(default_factory=dict)
    best: Words = ()
    text: str = ""
    there: Tensor | None = None
    closeness: float = float("nan")
    value: float = float("-inf")

    def learn(self, guess: Words, text: str, embedded: Tensor, worth: float) -> None:
        """Take note of where a guess is embedded, and keep it if it is the best so far."""
        close = float(F.cosine_similarity(embedded, self.goal, dim=0))
        self.asked[guess] = close + worth
        if self.there is None or close + worth > self.value:
            self.value = close + worth
            self.best, self.text, self.there, self.closeness = guess, text, embedded, close


class Changes:
    """Proposes changes to a guess, and foretells where they would be embedded."""

    def __init__(
        self, decoder: ReportDecoder, seed: int, reader: StatementReader | None = None
    ) -> None:
        self.reader = reader
        self.vocabulary: Vocabulary = decoder.vocabulary
        self.decoder = decoder
        self.longest = decoder.longest
        self.draw = rng(seed, "corrector")
        self.ends = {i for i, word in enumerate(self.vocabulary.words) if word in _ENDS}
        table = self.vocabulary.table(decoder.sent, longest=decoder.longest)
        self.map: TextMap = fit_text_map(
            word_shares(table, len(self.vocabulary), first=UNKNOWN + 1), decoder.embeddings
        )
        self.sent = [words_of(row) for row in table.tolist()]
        # Texts that can be written again: no word is unknown, and none was cut off.
        numbers = (self.vocabulary.numbers(text, longest=self.longest + 1) for text in decoder.sent)
        self.whole = [
            row
            for row, words in enumerate(numbers)
            if UNKNOWN not in words and 1 < len(words) <= self.longest + 1
        ]
        own = self.sent[: len(decoder.own)]
        known = dict.fromkeys(part for report in own for part in self.sentences(report))
        self.bank = list(known)[:_SENTENCES]
        self.bank_sums = self.sums(self.bank)
        self.bank_squares = self.bank_sums.square().sum(1)
        self.bank_lengths = torch.tensor([float(len(part)) for part in self.bank])
        self.bank_stated = self._stated([self.vocabulary.text(part) for part in self.bank])

    def answered(self, victim: Victim) -> None:
        """Tell a victim which texts sent before lie closest: their answers are there already."""
        where = self.decoder.embeddings
        close = F.cosine_similarity(where, victim.goal[None], dim=1)[self.whole]
        for place in close.topk(min(_NEAREST, len(close))).indices.tolist():
            row = self.whole[place]
            text = self.vocabulary.text(self.sent[row])
            victim.learn(self.sent[row], text, where[row], float(self.worth(victim, [text])))

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

    def best(self, victim: Victim, guesses: list[Words], number: int) -> list[Words]:
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
        likely = close.topk(min(_READ * number, len(new)))
        texts = [victim.filled(self.vocabulary.text(new[row])) for row in likely.indices.tolist()]
        value = likely.values + self.worth(victim, texts)
        best = likely.indices[value.topk(min(number, len(value))).indices]
        return [new[row] for row in best.tolist()]

    def worth(self, victim: Victim, texts: Sequence[str]) -> Tensor:
        """What the statements of each text are worth, ``(n,)``; 0 where nothing was read."""
        return self._stated(texts) @ victim.worth

    def _stated(self, texts: Sequence[str]) -> Tensor:
        return self.reader.stated(texts) if self.reader else torch.zeros(len(texts), 0)

    def changes(self, victim: Victim, likely: tuple[Tensor, Tensor]) -> list[Words]:
        """All changes to the best guess that are worth a look; none where there is no guess."""
        if victim.there is None:
            return []
        return [*self.mated(victim), *self.rewritten(victim), *self.reworded(victim, likely)]

    def mated(self, victim: Victim) -> Iterator[Words]:
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

    def rewritten(self, victim: Victim) -> Iterator[Words]:
        """The attacker's own sentences that should close the difference best, in any place."""
        base = self.sentences(victim.best)
        whole = self.sums([victim.best])
        kept = torch.cat([whole - self.sums(base), whole])  # in the last row nothing is dropped
        lengths = torch.tensor([*(-float(len(part)) for part in base), 0.0]) + len(victim.best)
        close = self._closeness(victim, kept, lengths[:, None] + self.bank_lengths)
        lost = self.worth(victim, [*(self.vocabulary.text(part) for part in base), ""])
        close = close + self.bank_stated @ victim.worth - lost[:, None]
        for choice in close.flatten().topk(min(_PROPOSED, close.numel())).indices.tolist():
            place, row = divmod(choice, len(self.bank))
            if place == len(base):
                after = int(self.draw.integers(1, len(base) + 1))
                yield self._joined([*base[:after], self.bank[row], *base[after:]])
            else:
                yield self._joined([*base[:place], self.bank[row], *base[place + 1 :]])

    def _closeness(self, victim: Victim, kept: Tensor, lengths: Tensor) -> Tensor:
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

    def reworded(self, victim: Victim, likely: tuple[Tensor, Tensor]) -> Iterator[Words]:
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


def words_of(row: Sequence[int]) -> Words:
    """The words of a row of numbers, up to its end."""
    words = []
    for number in row:
        if number == END:
            break
        if number > UNKNOWN:
            words.append(number)
    return tuple(words)
