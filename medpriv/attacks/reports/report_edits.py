"""Changes to a guess at a report, and where a changed guess would be embedded, without asking.

What the corrector (:func:`medpriv.attacks.correct_reports`) searches among: sentences of other
guesses, sentences of the attacker's own reports, and single words that fit their place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.reports.report_reconstruction import ReportDecoder
from medpriv.attacks.reports.statement_reader import StatementReader
from medpriv.attacks.reports.word_evidence import fit_text_map, word_shares
from medpriv.models.writers import END, UNKNOWN
from medpriv.runtime.seeds import rng

Words = tuple[int, ...]

_PROPOSED = 30  # changes of each kind
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
    worth: Tensor  # of each statement, as a cosine
    filled: Callable[[str], str]  # puts what was read into a text
    asked: dict[Words, float] = field(default_factory=dict)
    best: Words = ()
    text: str = ""
    there: Tensor | None = None
    closeness: float = float("nan")
    value: float = float("-inf")

    def learn(self, guess: Words, text: str, embedded: Tensor, stated: Tensor) -> None:
        """Take note of where a guess is embedded and what it states; keep the best so far."""
        close = float(F.cosine_similarity(embedded, self.goal, dim=0))
        value = close + float(stated @ self.worth)
        self.asked[guess] = value
        if self.there is None or value > self.value:
            self.value, self.closeness = value, close
            self.best, self.text, self.there = guess, text, embedded


class Edits:
    """Proposes changes to guesses, by what the attacker knows of the texts that he has sent.

    Each victim's proposals are drawn by themselves, one victim after the other, since no two have
    as many sentences; they cost neither a question nor a step of the network.
    """

    def __init__(
        self, decoder: ReportDecoder, statements: StatementReader | None, seed: int
    ) -> None:
        self.decoder, self.vocabulary = decoder, decoder.vocabulary
        self.statements = statements
        self.draw = rng(seed, "corrector")
        self.ends = {i for i, word in enumerate(self.vocabulary.words) if word in _ENDS}
        table = self.vocabulary.table(decoder.sent, longest=decoder.longest)
        shares = word_shares(table, len(self.vocabulary), first=UNKNOWN + 1)
        self.effects, self.origin = fit_text_map(shares, decoder.embeddings)
        self.sent = [words_of(row) for row in table.tolist()]
        own = self.sent[: len(decoder.own)]
        known = dict.fromkeys(part for report in own for part in self.sentences(report))
        self.bank = list(known)[:_SENTENCES]
        self.bank_sums = self.sums(self.bank)
        self.bank_squares = self.bank_sums.square().sum(1)
        self.bank_lengths = torch.tensor([float(len(part)) for part in self.bank])
        self.bank_stated = self.stated(map(self.vocabulary.text, self.bank))

    def victims(
        self, goals: Tensor, worth: Tensor, filled: Sequence[Callable[[str], str]]
    ) -> list[Victim]:
        """What is known before a question: of texts sent before, the answers are there already."""
        longest, where = self.decoder.longest, self.decoder.embeddings
        # Texts that can be written again: no word is unknown, and none was cut off.
        numbers = (self.vocabulary.numbers(text, longest=longest + 1) for text in self.decoder.sent)
        whole = [row for row, words in enumerate(numbers)
                 if UNKNOWN not in words and 1 < len(words) <= longest + 1]  # fmt: skip
        victims = [Victim(*known) for known in zip(goals, worth, filled, strict=True)]
        for victim in victims:
            close = F.cosine_similarity(where, victim.goal[None], dim=1)[whole]
            for place in close.topk(min(_NEAREST, len(close))).indices.tolist():
                row = whole[place]
                text = self.vocabulary.text(self.sent[row])
                victim.learn(self.sent[row], text, where[row], self.stated([text]))
        return victims

    def stated(self, texts: Iterator[str] | Sequence[str]) -> Tensor:
        """Which statements stand in each text, ``(n, S)``; S is 0 where none are read."""
        texts = list(texts)
        return self.statements.stated(texts) if self.statements else torch.zeros(len(texts), 0)

    def sums(self, guesses: Sequence[Words]) -> Tensor:
        """The summed vectors of each guess's words: ``(n, d)``."""
        flat = torch.tensor([word for guess in guesses for word in guess])
        lengths = torch.tensor([len(guess) for guess in guesses])
        return F.embedding_bag(flat, self.effects, lengths.cumsum(0) - lengths, mode="sum")

    def sentences(self, guess: Words) -> list[Words]:
        """A guess cut after each full stop and semicolon."""
        cuts = [0, *(i + 1 for i, word in enumerate(guess) if word in self.ends), len(guess)]
        return [guess[start:end] for start, end in itertools.pairwise(cuts) if start < end]

    def best(self, victim: Victim, guesses: Sequence[Words], number: int) -> list[Words]:
        """The guesses, not asked about so far, that should lie closest to the victim's."""
        new = [one for one in dict.fromkeys(guesses) if one and one not in victim.asked]
        if not new:
            return []
        means = self.sums(new) / torch.tensor([[float(len(guess))] for guess in new])
        if victim.there is None:
            where = means + self.origin
        else:  # from a place that is known, only the change has to be foretold
            where = victim.there + means - self.sums([victim.best]) / len(victim.best)
        close = F.cosine_similarity(where, victim.goal[None], dim=1)
        likely = close.topk(min(_READ * number, len(new)))
        texts = (victim.filled(self.vocabulary.text(new[row])) for row in likely.indices.tolist())
        value = likely.values + self.stated(texts) @ victim.worth
        best = likely.indices[value.topk(min(number, len(value))).indices]
        return [new[row] for row in best.tolist()]

    def changes(self, victim: Victim, likely: tuple[Tensor, Tensor]) -> list[Words]:
        """All changes to the best guess that are worth a look; none where there is no guess.

        ``likely`` is what :func:`medpriv.attacks.reports.beam_search.likely_words` says of it.
        """
        if victim.there is None:
            return []
        return [*self._mated(victim), *self._rewritten(victim), *self._reworded(victim, *likely)]

    def _mated(self, victim: Victim) -> Iterator[Words]:
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
                yield self._joined(*base[:place], taken, *base[place + 1 :])
            elif what < 0.8 or len(base) == 1:
                yield self._joined(*base[: place + 1], taken, *base[place + 1 :])
            else:
                yield self._joined(*base[:place], *base[place + 1 :])

    def _rewritten(self, victim: Victim) -> Iterator[Words]:
        """The attacker's own sentences that should close the difference best, in any place."""
        base = self.sentences(victim.best)
        whole = self.sums([victim.best])
        kept = torch.cat([whole - self.sums(base), whole])  # in the last row nothing is dropped
        lengths = torch.tensor([*(-float(len(part)) for part in base), 0.0]) + len(victim.best)
        close = self._closeness(victim, kept, lengths[:, None] + self.bank_lengths)
        lost = self.stated([*map(self.vocabulary.text, base), ""]) @ victim.worth
        close = close + self.bank_stated @ victim.worth - lost[:, None]
        for choice in close.flatten().topk(min(_PROPOSED, close.numel())).indices.tolist():
            place, row = divmod(choice, len(self.bank))
            dropped = place < len(base)
            if not dropped:
                place = int(self.draw.integers(1, len(base) + 1))
            yield self._joined(*base[:place], self.bank[row], *base[place + dropped :])

    def _closeness(self, victim: Victim, kept: Tensor, lengths: Tensor) -> Tensor:
        """Cosine with the goal of (kept + a sentence of the bank) / length, from the known place.

        Written out, so that no vector of each of the many combinations is made: with
        ``w = start + (k + b) / L``, ``|w|^2 = |start|^2 + 2 start.(k + b) / L + |k + b|^2 / L^2``.
        Kept are ``(p, d)`` summed vectors; lengths ``(p, bank)`` are in words.
        """
        goal = F.normalize(victim.goal, dim=0)
        start = victim.there - self.sums([victim.best])[0] / len(victim.best)
        along, from_start = ((kept @ way)[:, None] + self.bank_sums @ way for way in (goal, start))
        squares = kept.square().sum(1)[:, None] + self.bank_squares
        squares = squares + 2 * kept @ self.bank_sums.T
        norms = start @ start + 2 * from_start / lengths + squares / lengths**2
        return (start @ goal + along / lengths) / norms.clamp(min=1e-9).sqrt()

    def _reworded(self, victim: Victim, chances: Tensor, words: Tensor) -> Iterator[Words]:
        """One word exchanged for another that fits there and should close the difference."""
        old = torch.tensor(victim.best)
        worth = self.effects @ (victim.goal - victim.there)
        gain = worth[words] - worth[old][:, None]
        gain[(chances < _LEAST_LIKELY) | (words == old[:, None])] = -1.0
        best = gain.flatten().topk(min(_PROPOSED // 2, gain.numel()))
        for choice in best.indices[best.values > 0].tolist():
            place, row = divmod(choice, words.shape[1])
            yield (*victim.best[:place], int(words[place, row]), *victim.best[place + 1 :])

    def _joined(self, *parts: Words) -> Words:
        return tuple(itertools.chain(*parts))[: self.decoder.longest]


def words_of(row: Sequence[int]) -> Words:
    """The words of a row of numbers, up to its end."""
    return tuple(number for number in itertools.takewhile(END.__ne__, row) if number > UNKNOWN)
