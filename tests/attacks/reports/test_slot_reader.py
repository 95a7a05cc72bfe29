"""What stands in a slot: exact posteriors of a linear encoder, budgets, and bad input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.attacks import correct_reports, fit_report_decoder, fit_slot_reader
from medpriv.attacks.reports.slot_reader import SlotReader
from medpriv.data import report_slots
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.data.statements import Slot, stated_facts
from medpriv.defenses import rounded
from medpriv.defenses.compression import projected
from medpriv.deployment import QueryBudgetError, ThreatModelError, View, deploy
from medpriv.models.reports import ReportClassifier
from medpriv.runtime.seeds import rng
from medpriv.training.loop import Recipe

TOWN = Slot("town", ("Aba", "Bern", "Cork", "Delft"), re.compile(r"\bfrom (\w+)\b"))


class Sum(nn.Module):
    """An encoder that adds up a random vector for each word: each word's effect is exact."""

    width = 6

    def forward(self, texts: Sequence[str]) -> Tensor:
        rows = [sum(map(vector, text.split()), np.zeros(self.width)) for text in texts]
        return torch.tensor(np.array(rows)).float().view(-1, self.width)


class Bag(nn.Module):
    """The same in more dimensions, brought to length 1 as a real encoder does."""

    width = 400

    def forward(self, texts: Sequence[str]) -> Tensor:
        words = ((vector(word.strip(".,"), self.width) for word in text.split()) for text in texts)
        rows = torch.tensor(np.array([sum(one, np.zeros(self.width)) for one in words])).float()
        return F.normalize(rows.view(-1, self.width), dim=1)


@cache
def vector(word: str, width: int = Sum.width) -> np.ndarray:
    return rng(0, word).normal(size=width)


def shared(encoder: nn.Module, **options: Any) -> View:
    return deploy(ReportClassifier(encoder, classes=2), expose="embedding", **options)


def letters(number: int, seed: int = 0) -> list[str]:
    """Texts of a sentence with a town, and twelve words of an alphabet of forty."""
    draw = rng(seed, "letters")
    others = [f"w{i}" for i in range(40)]
    return [
        f"He comes from {draw.choice(TOWN.words)} today. " + " ".join(draw.choice(others, 12))
        for _ in range(number)
    ]


def fitted(texts: list[str], **options: Any) -> tuple[View, SlotReader]:
    view = shared(Sum())
    known = view(texts)
    return view, fit_slot_reader(view, texts, TOWN, known=known, **options)


def test_it_is_bayes_with_equal_covariances() -> None:
    """Of two normal distributions with one covariance, against scipy's own densities."""
    texts = letters(300)
    view, reader = fitted(texts)
    known = view.intercept(texts)
    covariance = np.cov(known.double().numpy().T)
    covariance += 0.1 * np.diag(covariance).mean() * np.eye(Sum.width)
    towns = np.array([vector(word) for word in TOWN.words])
    effects = reader.scale * (towns - towns.mean(0))
    counts = np.array([sum(TOWN.word(text) == word for text in texts) for word in TOWN.words])
    victims = view.intercept(letters(20, seed=1)).double().numpy()
    mean = known.double().mean(0).numpy()
    density = [multivariate_normal(mean + one, covariance).pdf(victims) for one in effects]
    expected = np.array(density).T * (counts + 1)
    expected /= expected.sum(1, keepdims=True)
    found = reader.chances(torch.from_numpy(victims))
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_a_whole_report_that_is_no_longer_than_a_sentence_has_its_whole_effect() -> None:
    """A sum dilutes nothing, so the scale that own reports choose is the full one, or nearly."""
    _, reader = fitted(letters(300))
    assert reader.scale >= 0.5


def test_what_does_not_stand_in_embeddings_is_not_read() -> None:
    """An encoder that is blind to towns: the prior is left, the same for everybody."""

    class Blind(Sum):
        def forward(self, texts: Sequence[str]) -> Tensor:
            return super().forward([TOWN.filled(text, "Aba") for text in texts])

    texts = letters(120)
    view = shared(Blind())
    reader = fit_slot_reader(view, texts, TOWN, known=view(texts))
    chances = reader.chances(view.intercept(letters(9, seed=2)))
    counts = torch.tensor([sum(TOWN.word(one) == w for one in texts) + 1.0 for w in TOWN.words])
    torch.testing.assert_close(chances, (counts / counts.sum()).expand(9, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("defenses", [(), (rounded(6),), (projected(300),)], ids=len)
def test_names_are_read_through_whatever_the_view_does(defenses: tuple[Any, ...]) -> None:
    """By chance one name of 271 is right; the bound is far above what chance reaches."""
    own = list(make_reports(250, seed=3)["text"])
    victims = list(make_reports(320, seed=3)["text"][250:])
    view = shared(Bag(), defenses=defenses)
    name = report_slots(own)[0]
    reader = fit_slot_reader(view, own, name, known=view(own))
    who = [text for text in victims if name.word(text)]
    read = reader.guess(view.intercept(who))
    right = np.mean([name.word(text) == word for text, word in zip(who, read, strict=True)])
    assert reader.queries == 2 * len(name.words)
    assert right > 0.2


def test_it_is_seeded_and_counts_its_queries() -> None:
    texts = letters(60)
    view = shared(Sum())
    known = view(texts)
    before = view.queries
    one, same, other = (
        fit_slot_reader(view, texts, TOWN, known=known, sentences=3, seed=seed)
        for seed in (0, 0, 1)
    )
    assert view.queries - before == 3 * one.queries == 3 * 3 * len(TOWN.words)
    there = view.intercept(letters(5, seed=1))
    torch.testing.assert_close(one.chances(there), same.chances(there), rtol=0, atol=0)
    torch.testing.assert_close(other.chances(there).sum(1), torch.ones(5))
    assert one.guess(there[:0]) == ()


def test_fewer_sentences_than_asked_for_are_taken_as_they_are() -> None:
    view = shared(Sum())
    texts = [*letters(1), "nobody comes", "", "w1 w2"]
    assert fit_slot_reader(view, texts, TOWN, known=view(texts), sentences=9).queries == 4


def test_what_cannot_be_read_says_so() -> None:
    texts = letters(10)
    view = shared(Sum())
    known = view(texts)
    with pytest.raises(ThreatModelError, match="the slot reader needs embedding"):
        fit_slot_reader(
            deploy(ReportClassifier(Sum(), classes=2), expose="label"), texts, TOWN, known=known
        )
    small = shared(Sum(), query_budget=7)
    with pytest.raises(QueryBudgetError):
        fit_slot_reader(small, texts, TOWN, known=known)
    assert small.queries == 0
    with pytest.raises(ValueError, match="an embedding of each of 10 texts"):
        fit_slot_reader(view, texts, TOWN, known=known[:9])
    with pytest.raises(ValueError, match="1 or more sentences"):
        fit_slot_reader(view, texts, TOWN, known=known, sentences=0)
    with pytest.raises(ValueError, match="has one of 4 words as its town"):
        fit_slot_reader(view, ["w1 w2"] * 10, TOWN, known=known)
    reader = fit_slot_reader(view, texts, TOWN, known=known)
    with pytest.raises(ValueError, match=r"shape \(n, 6\)"):
        reader.guess(known[:, :5])
    with pytest.raises(ValueError, match="not finite"):
        reader.guess(known * float("nan"))


# --- Slots ------------------------------------------------------------------------------------


def test_slots_hold_what_the_reader_of_statements_reads() -> None:
    table = make_reports(300, seed=4)
    name, age = report_slots(list(table["text"]))
    for row in table.itertuples():
        family = row.name.split()[-1] if row.name_in_text else None
        assert name.word(row.text) == family
        assert age.word(row.text) == str(row.age)
        said = dict(pair for pair in stated_facts(row.text) if pair[0] in ("name", "age"))
        assert said.get("name") == (family and family.lower())
        assert said["age"] == str(row.age)


@given(st.integers(0, 199), st.data())
def test_a_filled_slot_holds_the_word_and_nothing_else_has_changed(
    row: int, data: st.DataObject
) -> None:
    text = WRITTEN[row]
    for slot in report_slots(WRITTEN):
        word = data.draw(st.sampled_from(slot.words))
        changed = slot.filled(text, word)
        if slot.word(text) is None:
            assert changed == text
            continue
        assert slot.word(changed) == word
        assert slot.count(text) == slot.count(changed) == 1
        assert slot.filled(changed, slot.word(text)) == text


WRITTEN = list(make_reports(200, seed=6)["text"])


def test_reports_without_names_and_ages_have_no_slots() -> None:
    assert report_slots(["the heart is normal . no effusion .", "", "x"]) == ()
    assert report_slots([]) == ()


# --- In the corrector ---------------------------------------------------------------------------


def test_the_corrector_writes_what_was_read() -> None:
    own = tuple(make_reports(120, seed=5)["text"])
    victims = tuple(make_reports(132, seed=5)["text"])[120:]
    view = shared(Bag())
    decoder = fit_report_decoder(view, own, queries=160, recipe=Recipe(4, 16, 4e-3), device="cpu")
    slots = report_slots(own)
    readers = [fit_slot_reader(view, own, slot, known=decoder.embeddings) for slot in slots]
    there = view.intercept(victims)
    states = correct_reports(decoder, view, there, steps=2, queries=4, slots=readers)
    known = {
        decoder.vocabulary.text(row) for row in decoder.vocabulary.table(decoder.sent).tolist()
    }
    for slot, reader in zip(slots, readers, strict=True):
        for text, word in zip(states[-1].reports, reader.guess(there), strict=True):
            assert slot.word(text) in (None, word) or text in known
        assert any(map(slot.word, set(states[-1].reports) - known))
    closeness = F.cosine_similarity(view(states[-1].reports), there)
    torch.testing.assert_close(closeness, states[-1].closeness, rtol=0, atol=1e-5)
    none = correct_reports(decoder, view, there[:0], steps=1, queries=2, slots=readers)
    assert [state.reports for state in none] == [(), ()]
