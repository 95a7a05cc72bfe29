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

import torch
from torch import Tensor

from medpriv.attacks.reports.report_decoder import ReportDecoder, as_shared
from medpriv.attacks.reports.report_edits import Changes, Victim, Words, words_of
from medpriv.attacks.reports.slot_reader import SlotReader
from medpriv.attacks.reports.statement_reader import StatementReader
from medpriv.data.statements import Slot
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
        decoder: fitted through the same view.
        view: exposes ``embedding``; every guess that is embedded costs a query.
        embeddings: ``(n, d)`` of the victims, as the view shows them.
        steps: rounds of changes after the first guesses.
        queries: asked about each victim in each round, the first guesses included.
        slots: fitted through the same view; what they read of a victim stands in each guess that
            is asked about, in the place of what the decoder wrote there.
        statements: fitted on the same decoder; of guesses that lie about equally close those are
            kept that state what it reads from the victim's embedding.
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
    about = decoder.inputs(embeddings)
    view.afford(len(embeddings) * queries * (steps + 1))
    search = Changes(decoder, seed, statements)
    goals = as_shared(embeddings, unit=decoder.unit)
    read = list(zip(*(reader.guess(embeddings) for reader in slots), strict=True))
    held = [reader.slot for reader in slots]
    fill = [_filler(held, words) for words in read or [()] * len(goals)]
    worth = _WORTH * statements.evidence(embeddings) if statements else torch.zeros(len(goals), 0)
    victims = [Victim(*known) for known in zip(goals, fill, worth, strict=True)]
    for victim in victims:
        search.answered(victim)
    drawn = decoder.draw(embeddings, max(_DRAWN, queries), seed=seed)
    first = [[words_of(row) for row in rows] for rows in drawn.tolist()]
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
    search: Changes,
    victims: Sequence[Victim],
    proposed: Sequence[list[Words]],
    queries: int,
    *,
    spent: int,
) -> Correction:
    """Ask about the most promising guesses of each victim, as many as a step allows."""
    chosen = [search.best(victim, guesses, queries) for victim, guesses in
              zip(victims, proposed, strict=True)]  # fmt: skip
    texts = [
        victim.filled(search.vocabulary.text(guess))
        for victim, guesses in zip(victims, chosen, strict=True)
        for guess in guesses
    ]
    answers = iter(zip(texts, view(texts), strict=True)) if texts else iter(())
    for victim, guesses in zip(victims, chosen, strict=True):
        for guess in guesses:
            text, answer = next(answers)
            if answer.shape != victim.goal.shape:
                raise ValueError(
                    f"the view answers with {len(answer)} numbers, the decoder was fitted on "
                    f"{len(victim.goal)}; give the view that it was fitted through"
                )
            victim.learn(guess, text, answer, float(search.worth(victim, [text])))
    return Correction(
        tuple(victim.text for victim in victims),
        torch.tensor([victim.closeness for victim in victims]),
        spent,
    )


def _filler(slots: Sequence[Slot], words: Sequence[str]) -> Callable[[str], str]:
    """Puts a victim's words into the slots of a text."""

    def filled(text: str) -> str:
        for slot, word in zip(slots, words, strict=True):
            text = slot.filled(text, word)
        return text

    return filled
