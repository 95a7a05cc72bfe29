"""A miniature corrector: guess, have the guess embedded, look at the difference, guess better.

Morris et al. 2023 (vec2text, EMNLP, arXiv 2310.06816): a guess can be checked, since the service
embeds any text. They train a large model to rewrite a guess from the difference between its
embedding and the victim's. Here the rewriting is a search that a CPU does in seconds: changes are
proposed offline, a linear map from words to embedding foretells which of them close the difference,
and only the most promising ones are asked about. Each question costs a query; what was sent before,
to train the decoder, is answered already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from medpriv.attacks.reports.beam_search import draw_reports, likely_words
from medpriv.attacks.reports.report_edits import Edits, Victim, Words, words_of
from medpriv.attacks.reports.report_reconstruction import ReportDecoder, as_shared
from medpriv.attacks.reports.slot_reader import SlotReader
from medpriv.attacks.reports.statement_reader import StatementReader
from medpriv.deployment import View
from medpriv.runtime.progress import progress

_WORTH = 0.01  # in cosine, of a statement for whose odds a factor of e speaks
_DRAWN = 32  # reports drawn for each victim, of which as many are asked about as a step allows


@dataclass(frozen=True)
class Correction:
    """The best guess at each victim's report after so many queries.

    Attributes:
        reports: n texts.
        closeness: ``(n,)`` cosine of each one's embedding with the victim's; NaN where there was
            nothing to guess, and the guess is empty.
        queries: spent on each victim so far, at most: where nothing new is proposed, fewer are.
    """

    reports: tuple[str, ...]
    closeness: Tensor
    queries: int


def correct_reports(
    decoder: ReportDecoder,
    view: View,
    embeddings: Tensor,
    *,
    steps: int = 4,
    queries: int = 8,
    slots: Sequence[SlotReader] = (),
    statements: StatementReader | None = None,
    seed: int = 0,
) -> list[Correction]:
    """Improve the decoder's guesses by asking the view about them.

    Args:
        decoder: and slots and statements, fitted through the same view.
        view: exposes ``embedding``; every guess that is embedded costs a query.
        embeddings: ``(n, d)`` of the victims, as the view shows them.
        steps: rounds of changes after the first guesses.
        queries: asked about each victim in each round, the first guesses included.
        slots: what they read of a victim stands in each guess that is asked about.
        statements: of guesses that lie about equally close those are kept that state what it reads.
        seed: decides what is drawn and proposed.

    Returns:
        The state after the first guesses and after each step: ``steps + 1`` corrections.

    Raises:
        ThreatModelError: the view exposes no embedding.
        QueryBudgetError: the budget does not cover ``n * queries * (steps + 1)``; none is spent.
        ValueError: as for :meth:`.ReportDecoder.guess`, a number is below 1, or the view is not the
            one that the decoder was fitted through: its answers have another width.
    """
    view.require("embedding", "the corrector")
    if queries < 1 or steps < 0:
        raise ValueError(f"expected steps from 0 and queries from 1 on, got {steps}, {queries}")
    about, evidence = decoder.inputs(embeddings)
    view.afford(len(embeddings) * queries * (steps + 1))
    edits = Edits(decoder, statements, seed)
    goals = as_shared(embeddings, unit=decoder.unit)
    worth = _WORTH * statements.evidence(embeddings) if statements else torch.zeros(len(goals), 0)
    victims = edits.victims(goals, worth, _fillers(slots, embeddings))
    drawn = draw_reports(
        decoder.writer, about, evidence, max(_DRAWN, queries), seed=seed, longest=decoder.longest
    )
    proposed = [[words_of(row) for row in rows] for rows in drawn.tolist()]
    states = []
    for step in progress(range(steps + 1), "corrector", unit="step"):
        if step:
            guesses = [victim.best for victim in victims]
            likely = likely_words(decoder.writer, about, evidence, guesses)
            proposed = list(map(edits.changes, victims, likely))
        _ask(view, edits, victims, proposed, queries)
        texts = tuple(victim.text for victim in victims)
        closeness = torch.tensor([victim.closeness for victim in victims])
        states.append(Correction(texts, closeness, queries * (step + 1)))
    return states


def _ask(
    view: View,
    edits: Edits,
    victims: Sequence[Victim],
    proposed: Sequence[Sequence[Words]],
    queries: int,
) -> None:
    """Ask about the most promising guesses of all victims at once, so many of each."""
    asked = [
        (victim, guess, victim.filled(edits.vocabulary.text(guess)))
        for victim, guesses in zip(victims, proposed, strict=True)
        for guess in edits.best(victim, guesses, queries)
    ]
    if not asked:
        return
    texts = [text for _, _, text in asked]
    answers, known = view(texts), edits.decoder.embeddings
    if answers.shape[1:] != known.shape[1:]:
        raise ValueError(
            f"the view answers with {answers.shape[1]} numbers, the decoder was fitted on "
            f"{known.shape[1]}; give the view that it was fitted through"
        )
    rows = zip(answers, edits.stated(texts).split(1), strict=True)
    for (victim, guess, text), (answer, stated) in zip(asked, rows, strict=True):
        victim.learn(guess, text, answer, stated)


def _fillers(slots: Sequence[SlotReader], embeddings: Tensor) -> list[Callable[[str], str]]:
    """For each victim, what puts the words that were read of it into the slots of a text."""
    read = list(zip(*(reader.guess(embeddings) for reader in slots), strict=True))
    return [partial(_filled, slots, words) for words in read or [()] * len(embeddings)]


def _filled(slots: Sequence[SlotReader], words: Sequence[str], text: str) -> str:
    for reader, word in zip(slots, words, strict=True):
        text = reader.slot.filled(text, word)
    return text
