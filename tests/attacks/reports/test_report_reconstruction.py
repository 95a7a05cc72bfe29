"""The report decoder and the corrector: known answers, budgets, and whatever a reader may give."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.attacks import correct_reports, fit_report_decoder, nearest_report
from medpriv.attacks.reports.beam_search import beam_search, draw_reports
from medpriv.attacks.reports.report_reconstruction import ReportDecoder, writer_recipe
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.defenses.compression import projected
from medpriv.deployment import QueryBudgetError, ThreatModelError, View, deploy
from medpriv.metrics import exact_match, token_f1
from medpriv.models.reports import ReportClassifier
from medpriv.models.writers import END, PAD, UNKNOWN, ReportWriter
from medpriv.runtime.device import available_devices
from medpriv.runtime.profile import PROFILES
from medpriv.runtime.seeds import rng, seeded
from medpriv.training.loop import Recipe

BRIEF = Recipe(epochs=1, batch_size=8)
TEXTS = tuple(make_reports(40, seed=5)["text"])


class Looked(nn.Module):
    """An encoder that knows some texts by heart: a one-hot row for each."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.texts = list(texts)
        self.width = len(self.texts)

    def forward(self, texts: Sequence[str]) -> Tensor:
        return torch.eye(self.width)[[self.texts.index(text) for text in texts]]


class Bag(nn.Module):
    """An encoder that adds up a random vector for each word."""

    width = 48

    def forward(self, texts: Sequence[str]) -> Tensor:
        nothing = torch.zeros(48, dtype=torch.float64)
        rows = [sum(map(vector, text.lower().split()), nothing) for text in texts]
        return F.normalize(torch.stack(rows).float(), dim=1) if rows else torch.empty(0, 48)


@cache
def vector(word: str) -> Tensor:
    return torch.from_numpy(rng(0, word).normal(size=48))


def shared(encoder: nn.Module, **options: Any) -> View:
    return deploy(ReportClassifier(encoder, classes=2), expose="embedding", **options)


@pytest.fixture(scope="module")
def decoder() -> ReportDecoder:
    return fit_report_decoder(
        shared(Bag()), TEXTS, queries=120, recipe=Recipe(12, 16, 4e-3), device="cpu"
    )


def test_one_hot_embeddings_of_fifty_sentences_come_back_exactly() -> None:
    first = (text.split(". ")[0] + "." for text in make_reports(80, seed=1)["text"])
    texts = list(dict.fromkeys(first))[:50]
    view = shared(Looked(texts))
    fitted = fit_report_decoder(
        view, texts, queries=50, recipe=Recipe(80, 10, 4e-3), device="cpu", seed=1
    )
    assert exact_match(texts, fitted.guess(view.intercept(texts))).mean() == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_likeliest_text_of_all(seed: int) -> None:
    with seeded(seed, "test"):
        writer = ReportWriter(3, 6, width=4, hidden=8).eval()
        about, evidence = torch.randn(1, 3), 2 * torch.randn(1, 6)

    def likelihood(words: tuple[int, ...]) -> float:
        scores, state = writer.begin(about, evidence)
        total = 0.0
        for word in words:
            scores = scores.clone()
            scores[:, [PAD, UNKNOWN]] = -1e9
            total += scores.log_softmax(1)[0, word].item()
            scores, state = writer.proceed(torch.tensor([word]), state, about, evidence)
        return total

    texts = [
        (*some, END) for size in range(4) for some in itertools.product((3, 4, 5), repeat=size)
    ]
    texts += list(itertools.product((3, 4, 5), repeat=4))  # after which it has to end
    with torch.no_grad():
        best = max(texts, key=likelihood)
    found = beam_search(writer, about, evidence, beam=200, longest=4)[0]
    words = tuple(word for word in found.tolist() if word not in (PAD, END))
    assert words == tuple(word for word in best if word != END)
    assert END in found.tolist()


def test_all_victims_at_once_are_written_as_one_at_a_time(decoder: ReportDecoder) -> None:
    there = decoder.embeddings[:6]
    alone = tuple(decoder.guess(row[None])[0] for row in there)
    assert decoder.guess(there) == alone
    assert decoder.guess(there[:0]) == ()


def test_it_is_the_same_each_time_and_says_what_it_cost(decoder: ReportDecoder) -> None:
    again = fit_report_decoder(
        shared(Bag()), TEXTS, queries=120, recipe=Recipe(12, 16, 4e-3), device="cpu"
    )
    assert again.guess(decoder.embeddings[:9]) == decoder.guess(decoder.embeddings[:9])
    assert decoder.queries == len(decoder.sent) == len(decoder.embeddings) == 120
    assert decoder.own == TEXTS == decoder.sent[:40]
    assert decoder.history[-1] < decoder.history[0]


def test_draws_end_and_differ_and_are_seeded(decoder: ReportDecoder) -> None:
    def draw(seed: int) -> Tensor:
        about = decoder.inputs(decoder.embeddings[:3])
        return draw_reports(decoder.writer, *about, 20, longest=decoder.longest, seed=seed)

    rows = draw(seed=1)
    assert rows.shape[:2] == (3, 20)
    assert (rows == END).sum(2).max() == 1
    assert not (rows == UNKNOWN).any()
    assert torch.equal(rows, draw(seed=1))
    assert not torch.equal(rows, draw(seed=2))


def test_without_an_embedding_it_writes_one_text_for_everybody(decoder: ReportDecoder) -> None:
    assert len(decoder.without_embedding().split()) > 5
    assert decoder.without_embedding() == decoder.without_embedding()


@pytest.mark.parametrize(
    "texts",
    [
        ["", "clear lungs", "no effusion"],
        ["clear"],
        ["word " * 5000, "clear lungs"],
        ["患者 右肺炎", "Ärzte loben ÄÖÜ", "сердце в норме"],
        ["clear lungs"] * 4,
    ],
    ids=["empty", "one word", "5,000 words", "no ASCII", "twins"],
)
def test_odd_reports_are_learned_from_and_guessed(texts: list[str]) -> None:
    view = shared(Bag())
    fitted = fit_report_decoder(view, texts, queries=8, recipe=BRIEF, longest=20, device="cpu")
    guess = fitted.guess(view.intercept(["", "word", "no such word " * 2000]))
    assert len(guess) == 3
    assert all(len(text.split()) <= 20 for text in guess)
    assert len(fitted.own) == len(set(texts))
    corrected = correct_reports(fitted, view, fitted.embeddings[:2], steps=1, queries=2)
    assert len(corrected) == 2


def test_texts_without_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one report"):
        fit_report_decoder(shared(Bag()), ["", "  "], recipe=BRIEF)
    with pytest.raises(ValueError, match="at least one report"):
        fit_report_decoder(shared(Bag()), [], recipe=BRIEF)


def test_embeddings_that_cannot_be_read_are_refused(decoder: ReportDecoder) -> None:
    broken = decoder.embeddings[:3].clone()
    broken[1, 5] = float("nan")
    for give in (decoder.guess, lambda rows: correct_reports(decoder, shared(Bag()), rows)):
        with pytest.raises(ValueError, match="embedding 1 has a number that is not finite"):
            give(broken)
        with pytest.raises(ValueError, match=r"shape \(n, 48\).*got \(3, 7\)"):
            give(torch.zeros(3, 7))
        with pytest.raises(ValueError, match="got \\(48,\\)"):
            give(decoder.embeddings[0])
    with pytest.raises(ValueError, match="at least one hypothesis"):
        decoder.guess(decoder.embeddings[:1], beam=0)


def test_embeddings_of_another_length_are_brought_to_the_views(decoder: ReportDecoder) -> None:
    rows = decoder.embeddings[:5]
    assert decoder.guess(rows * 7) == decoder.guess(rows)
    assert len(decoder.guess(rows * 0)) == 5


def test_views_and_budgets() -> None:
    with pytest.raises(ThreatModelError, match="report decoder needs embedding"):
        fit_report_decoder(deploy(ReportClassifier(Bag(), classes=2), expose="label"), TEXTS)
    with pytest.raises(ValueError, match="does not cover the 40 different reports"):
        fit_report_decoder(shared(Bag()), TEXTS, queries=39)
    view = shared(Bag(), query_budget=45)
    fitted = fit_report_decoder(view, TEXTS, recipe=BRIEF)
    assert (fitted.queries, view.queries) == (45, 45)
    with pytest.raises(QueryBudgetError):
        fit_report_decoder(shared(Bag(), query_budget=10), TEXTS, recipe=BRIEF)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_recipes_steps_do_not_depend_on_the_number_of_reports(profile: str) -> None:
    wanted = {"smoke": 30, "quick": 280, "full": 12_000}[profile]
    for reports in (64, 1000, 5000):
        recipe = writer_recipe(profile, reports)
        each = reports / recipe.batch_size
        assert abs(recipe.epochs * each - wanted) <= max(each / 2, each - wanted)


def test_the_corrector_comes_closer_and_counts_its_queries(decoder: ReportDecoder) -> None:
    victims = tuple(make_reports(52, seed=5)["text"])[40:]
    view = shared(Bag())
    there = view.intercept(victims)
    states = correct_reports(decoder, view, there, steps=3, queries=6)
    assert [state.queries for state in states] == [6, 12, 18, 24]
    assert view.queries <= 12 * 24
    for before, after in itertools.pairwise(states):
        assert (after.closeness >= before.closeness).all()
    closeness = F.cosine_similarity(view(states[-1].reports), there)
    torch.testing.assert_close(closeness, states[-1].closeness, rtol=0, atol=1e-5)
    assert states[-1].closeness.mean() > states[0].closeness.mean() + 0.05
    first, last = (token_f1(victims, state.reports).mean() for state in (states[0], states[-1]))
    assert last > first


def test_a_report_that_was_sent_is_found_without_a_question(decoder: ReportDecoder) -> None:
    """Its answer is there already, and nothing lies closer."""
    view = shared(Bag())
    (state,) = correct_reports(decoder, view, decoder.embeddings[[3, 7]], steps=0, queries=1)
    assert exact_match([TEXTS[3], TEXTS[7]], state.reports).tolist() == [1, 1]
    torch.testing.assert_close(state.closeness, torch.ones(2), rtol=0, atol=1e-5)


def test_the_nearest_report_is_the_one_with_the_largest_cosine() -> None:
    known = torch.tensor([[9.0, 0.0], [0.6, 0.8], [0.0, 2.0]])
    victims = torch.tensor([[0.5, 0.5], [3.0, 0.1]])
    assert nearest_report(["a", "b", "c"], known, victims) == ("b", "a")
    assert nearest_report(["a", "b", "c"], known, victims[:0]) == ()
    with pytest.raises(ValueError, match="embeddings of 2 texts"):
        nearest_report(["a", "b"], known, victims)
    with pytest.raises(ValueError, match="not finite"):
        nearest_report(["a", "b", "c"], known, victims * float("nan"))


def test_the_corrector_is_seeded(decoder: ReportDecoder) -> None:
    there = shared(Bag()).intercept(tuple(make_reports(44, seed=5)["text"])[40:])
    first, second, third = (
        correct_reports(decoder, shared(Bag()), there, steps=1, queries=3, seed=seed)[-1].reports
        for seed in (0, 0, 1)
    )
    assert first == second != third


def test_the_corrector_spends_nothing_that_it_cannot_finish(decoder: ReportDecoder) -> None:
    view = shared(Bag(), query_budget=59)
    with pytest.raises(QueryBudgetError):
        correct_reports(decoder, view, decoder.embeddings[:5], steps=2, queries=4)
    assert view.queries == 0
    with pytest.raises(ThreatModelError, match="the corrector needs embedding"):
        correct_reports(
            decoder, deploy(ReportClassifier(Bag(), classes=2), expose="label"), decoder.embeddings
        )
    with pytest.raises(ValueError, match="steps from 0"):
        correct_reports(decoder, shared(Bag()), decoder.embeddings, queries=0)


@pytest.mark.skipif(len(available_devices()) < 2, reason="needs an accelerator")
def test_an_accelerator_writes_what_the_cpu_writes(decoder: ReportDecoder) -> None:
    there = decoder.embeddings[:8]
    expected = decoder.guess(there)
    decoder.writer.to(available_devices()[-1])
    found = decoder.guess(there)
    decoder.writer.to("cpu")
    assert token_f1(expected, found).mean() > 0.95


def test_victims_about_whom_nothing_is_written_stop_nobody() -> None:
    """The attacker owns empty reports, and learns to write nothing about one of the victims."""
    texts = ["", *TEXTS[:8]]
    view = shared(Bag())
    recipe = Recipe(40, 8, 4e-3)
    fitted = fit_report_decoder(view, texts, queries=60, recipe=recipe, device="cpu")
    there = view.intercept(["", TEXTS[0]])
    states = correct_reports(fitted, view, there, steps=2, queries=2)
    assert len(states[-1].reports) == 2
    assert states[-1].closeness[1] > 0.5
    assert (states[-1].reports[0] == "") == bool(states[-1].closeness[0].isnan())


def test_the_corrector_without_victims_and_with_another_view(decoder: ReportDecoder) -> None:
    states = correct_reports(decoder, shared(Bag()), decoder.embeddings[:0], steps=2, queries=2)
    assert [state.reports for state in states] == [(), (), ()]
    narrow = shared(Bag(), defenses=[projected(5)])
    with pytest.raises(ValueError, match="answers with 5 numbers, the decoder was fitted on 48"):
        correct_reports(decoder, narrow, decoder.embeddings[:2], steps=1, queries=2)


def test_a_drawing_needs_a_number(decoder: ReportDecoder) -> None:
    about = decoder.inputs(decoder.embeddings[:1])
    with pytest.raises(ValueError, match="expected a number from 1 on, got 0"):
        draw_reports(decoder.writer, *about, 0, longest=9)
