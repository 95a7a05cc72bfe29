"""The blacked-out term: what is masked, what is asked, and baselines worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from medpriv.attacks import (
    ask_terms,
    confidence_posterior,
    fit_language_model,
    fit_term_imputer,
    mask_terms,
)
from medpriv.attacks.reports.masked_terms import GAP, filled
from medpriv.deployment import QueryBudgetError, ThreatModelError, View
from medpriv.deployment.view import Meter

TERMS = ("effusion", "nodule", "pleural effusion")


class Reader(nn.Module):
    """Texts → scores of two classes: a nodule is surely abnormal, anything else a coin."""

    def forward(self, texts: Sequence[str]) -> Tensor:
        sure = torch.tensor([0.99 if "nodule" in text else 0.5 for text in texts])
        return torch.stack([1 - sure, sure], dim=1)


def view(expose: str = "scores", budget: int | None = None) -> View:
    reader = Reader()
    answer = (lambda texts: reader(texts).argmax(1)) if expose == "label" else reader
    return View(
        answer, expose=expose, split=None, defenses=(), meter=Meter(budget),
        open_weights=nn.Identity, open_back=nn.Identity,
    )  # fmt: skip


def test_the_one_named_term_is_blacked_out_everywhere() -> None:
    texts = (
        "A Nodule on the left. The nodule is small.",
        "A nodule and an effusion.",  # two terms: left out
        "Clear lungs.",  # none
        "Small pleural effusion.",  # the longer term, not the one inside it
        "Nodules, micronodule.",  # longer words
    )
    hidden = mask_terms(texts, TERMS)
    assert hidden.texts == (f"A {GAP} on the left. The {GAP} is small.", f"Small {GAP}.")
    assert hidden.truth.tolist() == [1, 2]
    assert hidden.rows.tolist() == [0, 3]


@given(st.lists(st.sampled_from(["the", *TERMS, "is", "small"]), min_size=1, max_size=8))
def test_what_is_filled_again_is_the_report(words: list[str]) -> None:
    text = ", ".join(words)
    try:
        hidden = mask_terms([text], TERMS)
    except ValueError:
        assert len({word for word in words if word in TERMS}) != 1
        return
    assert filled(hidden.texts, TERMS)[hidden.truth[0]] == text
    assert not any(term in hidden.texts[0] for term in TERMS)


@pytest.mark.parametrize("terms", [("one",), ("a", "A"), ("a", " ")])
def test_terms_that_are_no_choice_are_refused(terms: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="two or more terms, each once"):
        mask_terms(["a text"], terms)


def test_reports_that_name_none_are_refused() -> None:
    with pytest.raises(ValueError, match="none of 1 reports names exactly one"):
        mask_terms(["Clear lungs."], TERMS)


def test_each_term_is_asked_about_and_the_answers_are_read_as_for_records() -> None:
    served, texts = view(), (f"A {GAP}.", f"No {GAP} is seen.")
    answers = ask_terms(served, texts, TERMS)
    assert answers.shape == (2, 3, 2)
    assert served.queries == 6
    found = confidence_posterior(answers, torch.tensor([1, 0]))
    assert found.argmax(1).tolist() == [1, 0]
    assert found[1].tolist() == pytest.approx([0.5 / 1.01, 0.01 / 1.01, 0.5 / 1.01])
    assert ask_terms(view("label"), texts, TERMS).shape == (2, 3)


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ThreatModelError, match="asking about terms needs scores"):
        ask_terms(view("embedding"), [f"A {GAP}."], TERMS)
    with pytest.raises(QueryBudgetError, match="3 queries asked, 2 of 2 left"):
        ask_terms(view(budget=2), [f"A {GAP}."], TERMS)
    with pytest.raises(ValueError, match="report 1 has no gap"):
        ask_terms(view(), [f"A {GAP}.", "Clear."], TERMS)


# --- Without the model ----------------------------------------------------------------------------


def test_the_imputer_reads_the_words_around_the_gap() -> None:
    own = ["round nodule seen", "fluid with pleural effusion seen"] * 20
    model = fit_term_imputer(mask_terms(own, TERMS), len(TERMS))
    found = model.guess([f"round {GAP} seen", f"fluid with {GAP} seen"])
    assert found.argmax(1).tolist() == [1, 2]
    assert torch.allclose(found.sum(1), torch.ones(2, dtype=torch.float64))
    assert found[:, 0].tolist() == pytest.approx([1 / 43] * 2)  # never met: Laplace's rule


def test_a_single_term_makes_a_constant_imputer() -> None:
    model = fit_term_imputer(mask_terms(["A nodule."] * 7, TERMS), len(TERMS))
    assert model.guess(["x", "y"])[1].tolist() == pytest.approx([0.1, 0.8, 0.1])


def test_the_language_model_by_hand() -> None:
    """One text, "a b a". Words: a, b, unknown and the end, so 1/4 before any context.

    Of 4 words read (a, b, a, end) 3 kinds: P(a) = (2 + 3/4) / 7. After a came b and the end,
    each once, 2 kinds: P(b | a) = (1 + 2 P(b)) / 4, with P(b) = (1 + 3/4) / 7.
    """
    model = fit_language_model(["a b a"], order=2)
    assert model.vocabulary == 4
    single = fit_language_model(["a b a"], order=1)
    assert single._next("a", ()) == pytest.approx(2.75 / 7)
    assert single._next("zebra", ()) == pytest.approx(0.75 / 7)
    assert model._next("b", ("a",)) == pytest.approx((1 + 2 * 1.75 / 7) / 4)


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=5),
       st.integers(1, 4), st.lists(st.sampled_from("abcz"), max_size=3))  # fmt: skip
def test_what_may_follow_sums_to_one(texts: list[list[str]], order: int, before: list[str]) -> None:
    model = fit_language_model([" ".join(words) for words in texts], order=order)
    words = [*sorted(model._known), "never seen", "</s>"]
    padded = ["<s>"] * (order - 1) + [w if w in model._known else "<unknown>" for w in before]
    context = tuple(padded[len(padded) - order + 1 :]) if order > 1 else ()
    total = sum(model._next(w if w in model._known or w == "</s>" else "<unknown>", context)
                for w in words)  # fmt: skip
    assert total == pytest.approx(1)


def test_the_likelier_text_has_the_likelier_term() -> None:
    model = fit_language_model(["round nodule seen", "free effusion seen"] * 5)
    found = model.guess([f"round {GAP} seen", f"free {GAP} seen"], TERMS[:2])
    assert found.argmax(1).tolist() == [1, 0]
    assert bool((model.log_probability(["", "word", "round nodule seen"]) < 0).all())
    with pytest.raises(ValueError, match="expected texts"):
        fit_language_model([])
