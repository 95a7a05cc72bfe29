"""Learned noise: as large as asked for, borne by the network, one tensor drawn for each row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor, nn

from medpriv.attacks import averaged
from medpriv.defenses import learn_noise
from medpriv.defenses.feature_noise import sampled
from medpriv.deployment import deploy
from medpriv.models import PixelShuffleDecoder, back, solve_linear_path
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe


def some(k: int = 4) -> Tensor:
    return torch.randn(k, 3, 2, 2, generator=torch_rng(0, "tensors"))


def cnn() -> nn.Module:
    with seeded(0, "cnn"):
        return ImageCNN(size=16).eval()


# --- One of many ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(k=st.integers(1, 6), n=st.integers(0, 40), seed=st.integers(0, 100))
def test_each_row_gets_exactly_one_of_the_tensors(k: int, n: int, seed: int) -> None:
    tensors = some(k)
    x = torch.randn(n, 3, 2, 2, generator=torch_rng(seed, "x"))
    away = sampled(tensors, seed=seed).apply(lambda x: x)(x) - x
    apart = (away[:, None] - tensors[None]).abs().amax((2, 3, 4))
    assert ((apart < 1e-5).sum(1) == 1).all()


def test_each_tensor_is_as_likely_as_the_next_and_rows_are_independent() -> None:
    k, n = 4, 8_000
    tensors = torch.arange(float(k)).view(k, 1)
    which = sampled(tensors, seed=1).apply(lambda x: x)(torch.zeros(n, 1))[:, 0].long()
    counts = torch.bincount(which, minlength=k)
    low, high = binom.ppf([1e-5, 1 - 1e-5], n, 1 / k)
    assert ((counts >= low) & (counts <= high)).all()
    # A row's tensor says nothing of the next one's.
    pairs = torch.bincount(k * which[:-1] + which[1:], minlength=k * k)
    low, high = binom.ppf([1e-5, 1 - 1e-5], n - 1, 1 / k**2)
    assert ((pairs >= low) & (pairs <= high)).all()


def test_the_seed_decides_and_each_answer_is_drawn_anew() -> None:
    x = torch.zeros(50, 3, 2, 2)
    one, again, other = (sampled(some(), seed=s).apply(lambda x: x) for s in (1, 1, 2))
    first = one(x)
    assert torch.equal(first, again(x))
    assert not torch.equal(first, other(x))
    assert not torch.equal(first, one(x))


def test_many_answers_average_to_the_features_and_the_mean_noise() -> None:
    tensors = 0.1 * torch.randn(4, 16, 8, 8, generator=torch_rng(0, "tensors"))
    x = torch.rand(6, 1, 16, 16, generator=torch_rng(0, "x"))
    options = {"expose": "features", "split": "conv2"}
    plain = deploy(cnn(), **options)(x)
    view = deploy(cnn(), **options, defenses=[sampled(tensors, seed=3)])
    times = 400
    away = averaged(view, times)(x) - plain - tensors.mean(0)
    spread = tensors.std(0, correction=0).max().item()
    assert away.abs().max().item() < 6 * spread / times**0.5
    assert view.queries == times * len(x)


def test_a_single_tensor_is_a_shift_that_an_inverse_fitted_through_it_undoes() -> None:
    x = torch.rand(60, 1, 16, 16, generator=torch_rng(0, "x"))
    shift = 5 * torch.randn(1, 16, 1, 1, generator=torch_rng(0, "shift")).expand(-1, -1, 8, 8)
    guesses = []
    for defenses in ([], [sampled(shift)]):
        view = deploy(cnn(), expose="features", split="conv2", defenses=defenses)
        seen = view(x)
        with seeded(0, "decoder"):
            decoder = PixelShuffleDecoder(seen, channels=1, size=16)
        solve_linear_path(decoder, seen, x)
        guesses.append(decoder(seen).detach())
    torch.testing.assert_close(guesses[1], guesses[0], rtol=0, atol=2e-3)


def test_it_refuses_what_it_is_not_made_for() -> None:
    with pytest.raises(ValueError, match="learn it at this split"):
        sampled(some()).apply(lambda x: x)(torch.zeros(2, 3, 4, 4))
    with pytest.raises(ValueError, match="another expose"):
        deploy(cnn(), expose="label", defenses=[sampled(some())])(torch.zeros(1, 1, 16, 16))
    for bad in (torch.zeros(0, 3), torch.zeros(3), torch.zeros(2, 3).long()):
        with pytest.raises(ValueError, match="one or more float tensors"):
            sampled(bad)


# --- Learning them --------------------------------------------------------------------------------


def separable(n: int = 400) -> tuple[nn.Module, Tensor, Tensor]:
    """A back half that reads the first of two numbers, features, and their labels."""
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[-3.0, 0.0], [3.0, 0.0]]))
        head.bias.zero_()
    x = torch.randn(n, 2, generator=torch_rng(0, "x"))
    return head, x, (x[:, 0] > 0).long()


def test_noise_goes_where_the_network_does_not_look() -> None:
    head, x, y = separable()
    before = [weight.clone() for weight in head.parameters()]
    learned = learn_noise(
        head, x, y, scale=4.0, tensors=8, recipe=Recipe(60, 64, learning_rate=0.05)
    )
    first, second = learned.tensors.abs().mean(0)
    assert second > 5 * first
    assert learned.sizes.min().item() > 3.0
    seen = learned.defense().apply(lambda x: x)(x)
    assert (head(seen).argmax(1) == y).double().mean().item() > 0.9
    assert all(torch.equal(a, b) for a, b in zip(before, head.parameters(), strict=True))
    # Drawn as it starts, without learning, the same noise spoils every other answer.
    raw = learn_noise(head, x, y, scale=4.0, tensors=8, recipe=Recipe(0, 64))
    spoiled = raw.defense().apply(lambda x: x)(x)
    assert (head(spoiled).argmax(1) == y).double().mean().item() < 0.85


def test_size_seed_and_no_noise() -> None:
    with seeded(0, "cnn"):
        net = ImageCNN(size=16)
    features = torch.rand(40, 32, 4, 4, generator=torch_rng(0, "z"))
    y = torch.arange(40) % 2
    options = {"tensors": 3, "profile": "smoke"}
    one, again, other = (
        learn_noise(back(net, "conv4"), features, y, scale=0.5, seed=s, **options)
        for s in (1, 1, 2)
    )
    assert one.tensors.shape == (3, 32, 4, 4)
    assert one.sizes.tolist() == pytest.approx([0.5] * 3, rel=0.2)
    assert torch.equal(one.tensors, again.tensors)
    assert not torch.equal(one.tensors, other.tensors)
    none = learn_noise(back(net, "conv4"), features, y, scale=0.0, **options)
    assert not none.tensors.any()


def test_bad_input() -> None:
    head, x, y = separable(8)
    for options, message in (
        ({"scale": -1.0}, "0 or more"),
        ({"tensors": 0}, "one or more tensors"),
        ({"weight": -1.0}, "0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            learn_noise(head, x, y, **options)
