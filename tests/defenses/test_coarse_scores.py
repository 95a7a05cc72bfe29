"""Less of the scores: what stays, what goes, and losses that smooth."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from medpriv.defenses import Smoothed, fewer_digits, label_alone, tempered, top_scores
from medpriv.runtime.seeds import torch_rng


def scores(number: int = 40, classes: int = 5) -> Tensor:
    return torch.randn(number, classes, generator=torch_rng(0, "scores")).mul(3).softmax(1)


def served(defense, x: Tensor) -> Tensor:
    return defense.apply(lambda x: x)(x)


@pytest.mark.parametrize(
    "defense", [top_scores(2), label_alone(), tempered(4.0), tempered(0.2)], ids=lambda d: d.name
)
def test_the_label_stays(defense) -> None:
    assert torch.equal(served(defense, scores()).argmax(1), scores().argmax(1))


def test_digits_and_top_scores() -> None:
    assert torch.equal(
        served(fewer_digits(1), torch.tensor([[0.26, 0.74]])), torch.tensor([[0.3, 0.7]])
    )
    x = served(top_scores(2), scores())
    assert ((x > 0).sum(1) == 2).all()
    assert torch.equal(served(top_scores(9), scores()), scores())
    assert torch.equal(served(label_alone(), scores()).sum(1), torch.ones(40))


@given(st.floats(0.3, 5.0))
def test_a_temperature_is_that_of_the_logits_and_can_be_undone(temperature: float) -> None:
    logits = torch.randn(20, 4, generator=torch_rng(1, "logits"), dtype=torch.float64)
    flat = served(tempered(temperature), logits.softmax(1))
    torch.testing.assert_close(flat, (logits / temperature).softmax(1))
    torch.testing.assert_close(served(tempered(1 / temperature), flat), logits.softmax(1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_smoothing_is_pytorchs(share: float) -> None:
    logits = torch.randn(30, 5, generator=torch_rng(2, "logits"))
    labels = torch.arange(30) % 5
    torch.testing.assert_close(
        Smoothed(share)(logits, labels), F.cross_entropy(logits, labels, label_smoothing=share)
    )


def test_negative_smoothing_asks_for_more_than_certainty() -> None:
    labels = torch.tensor([0])
    sure, surer = torch.tensor([[4.0, 0.0]]), torch.tensor([[8.0, 0.0]])
    gain = {a: Smoothed(a)(sure, labels) - Smoothed(a)(surer, labels) for a in (-0.5, 0.5)}
    assert gain[-0.5] > 0 > gain[0.5]


def test_bad_input() -> None:
    for call, message in (
        (lambda: fewer_digits(-1), "at least 0 and at most 15"),
        (lambda: top_scores(0), "number must be an integer of at least 1"),
        (lambda: tempered(0), "above 0"),
        (lambda: Smoothed(1.0), "below 1"),
        (lambda: served(tempered(2), torch.zeros(3).long()), "deploy with expose='scores'"),
        (lambda: served(tempered(2), torch.randn(9, 4)), "from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
