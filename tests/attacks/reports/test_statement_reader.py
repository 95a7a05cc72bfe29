"""Statements read from embeddings: a linear encoder's are read exactly, and as often as stated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medpriv.attacks import correct_reports, fit_report_decoder, fit_statement_reader
from medpriv.attacks.reports.report_corrector import Correction
from medpriv.attacks.reports.report_edits import Victim
from medpriv.attacks.reports.report_reconstruction import ReportDecoder
from medpriv.attacks.reports.statement_reader import StatementReader
from medpriv.deployment import View, deploy
from medpriv.models.reports import ReportClassifier
from medpriv.runtime.seeds import rng
from medpriv.training.loop import Recipe

WORDS = [f"w{chr(97 + i)}" for i in range(20)]


class Counts(nn.Module):
    """An encoder that counts each of twenty words."""

    width = len(WORDS)

    def forward(self, texts: Sequence[str]) -> Tensor:
        said = [text.rstrip(".").split() for text in texts]
        rows = [[float(one.count(word)) for word in WORDS] for one in said]
        return torch.tensor(rows).view(len(texts), self.width)


def read(texts: Sequence[str]) -> list[frozenset[tuple[str, str]]]:
    """Each word is a statement of its own; ``wt`` hardly ever occurs."""
    return [frozenset(("word", word) for word in set(text.rstrip(".").split())) for text in texts]


def texts(number: int, seed: int) -> tuple[str, ...]:
    draw = rng(seed, "statements")
    chance = np.linspace(0.6, 0.1, len(WORDS))
    chance[-1] = 0.002
    rows = draw.random((number, len(WORDS))) < chance
    rows[:, 0] |= ~rows.any(1)
    return tuple(
        " ".join(draw.permutation([w for w, here in zip(WORDS, row, strict=True) if here])) + "."
        for row in rows
    )


def view() -> View:
    return deploy(ReportClassifier(Counts(), classes=2), expose="embedding")


@pytest.fixture(scope="module")
def decoder() -> ReportDecoder:
    own = texts(260, seed=1)
    return fit_report_decoder(
        view(), own, queries=len(set(own)) + 40, recipe=Recipe(3, 16, 4e-3), device="cpu"
    )


@pytest.fixture(scope="module")
def reader(decoder: ReportDecoder) -> StatementReader:
    return fit_statement_reader(decoder, read)


def test_what_an_encoder_counts_is_read_exactly(reader: StatementReader) -> None:
    victims = texts(200, seed=2)
    evidence = reader.evidence(view().intercept(victims))
    stated = reader.stated(victims).bool()
    for column in range(len(reader.statements)):
        here, away = evidence[stated[:, column], column], evidence[~stated[:, column], column]
        assert here.min() > away.max()


def test_what_is_read_is_what_lies_above_the_bar(reader: StatementReader) -> None:
    """A text of one word that is read speaks for this word, and for none that it has not."""
    words = [word for _, word in reader.statements]
    alone = view()([f"{word}." for word in words])
    for word, found in zip(words, reader.guess(alone), strict=True):
        assert found == {("word", word)}
    assert reader.guess(torch.zeros(0, len(WORDS))) == []


def test_as_many_victims_lie_above_the_bar_as_state_it(reader: StatementReader) -> None:
    """The bar stands at the attacker's own share; both shares within five standard errors."""
    victims = texts(400, seed=3)
    above = (reader.evidence(view().intercept(victims)) > 0).float().mean(0)
    share = reader.stated(victims).mean(0)
    bound = 5 * (share * (1 - share) * (1 / 400 + 1 / 260)).sqrt()
    assert ((above - share).abs() <= bound).all()


def test_what_is_rare_is_not_learned(reader: StatementReader) -> None:
    assert ("word", WORDS[0]) in reader.statements
    assert ("word", WORDS[-1]) not in reader.statements
    assert reader.stated([WORDS[-1] + ".", ""]).sum() == 0


def test_kinds_that_are_read_otherwise_are_left_out(decoder: ReportDecoder) -> None:
    def both(given: Sequence[str]) -> list[frozenset[tuple[str, str]]]:
        return [one | {("kind", "a")} for one in read(given)]

    assert ("kind", "a") in fit_statement_reader(decoder, both).statements
    rest = fit_statement_reader(decoder, both, without=["word"])
    assert rest.statements == (("kind", "a"),)


def test_it_costs_no_query_and_says_what_it_cannot_read(
    decoder: ReportDecoder, reader: StatementReader
) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 20\)"):
        reader.evidence(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="not finite"):
        reader.evidence(torch.full((2, 20), float("nan")))
    nothing = fit_statement_reader(decoder, lambda given: [frozenset()] * len(given))
    assert nothing.statements == ()
    assert nothing.evidence(decoder.embeddings[:3]).shape == (3, 0)
    assert nothing.stated(["wa."]).shape == (1, 0)


def test_the_corrector_is_the_same_where_nothing_can_be_read(decoder: ReportDecoder) -> None:
    there = view().intercept(texts(6, seed=4))
    nothing = fit_statement_reader(decoder, lambda given: [frozenset()] * len(given))
    one, other = (
        correct_reports(decoder, view(), there, steps=2, queries=3, statements=statements)
        for statements in (None, nothing)
    )
    assert one[-1].reports == other[-1].reports


def test_what_a_guess_states_decides_between_equally_close_ones_only() -> None:
    goal = torch.tensor([1.0, 0.0])
    victim = Victim(goal, torch.ones(1), str)
    close, closer, far = (torch.tensor([x, (1 - x**2) ** 0.5]) for x in (0.900, 0.905, 0.5))
    victim.learn((3,), "one", close, torch.tensor([[0.01]]))
    victim.learn((4,), "other", closer, torch.tensor([[0.0]]))
    assert victim.text == "one"
    victim.learn((5,), "far", far, torch.tensor([[0.05]]))
    assert victim.text == "one"
    victim.learn((6,), "best", closer, torch.tensor([[0.011]]))
    assert victim.text == "best"
    assert victim.closeness == pytest.approx(0.905, abs=1e-6)


def test_each_step_of_the_corrector_is_as_good_as_the_one_before(
    decoder: ReportDecoder, reader: StatementReader
) -> None:
    there = view().intercept(texts(12, seed=5))
    states = correct_reports(decoder, view(), there, steps=2, queries=4, statements=reader)
    evidence = reader.evidence(there)

    def value(state: Correction) -> Tensor:
        return state.closeness + 0.01 * (reader.stated(state.reports) * evidence).sum(1)

    for before, after in itertools.pairwise(states):
        assert (value(after) >= value(before) - 1e-5).all()
