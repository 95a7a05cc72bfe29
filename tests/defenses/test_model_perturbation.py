"""Noise on parameters: as large as promised, once or for each row, and only where it should be."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from medpriv.defenses import fresh_parameters, noisy_parameters
from medpriv.deployment import View, deploy
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng


def linear(width: int = 6, outputs: int = 3) -> nn.Module:
    with seeded(0, "linear"):
        return nn.Sequential(nn.Linear(width, outputs))


def cnn() -> nn.Module:
    with seeded(0, "cnn"):
        return ImageCNN(size=16, channels=1, classes=2).eval()


def test_noise_drawn_once_has_its_spread_and_leaves_the_model_alone() -> None:
    model = linear(200, 100)
    before = [weight.clone() for weight in model.parameters()]
    noisy = noisy_parameters(0.05, seed=1).apply(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    noise = noisy[0].weight - model[0].weight
    # 20,000 draws: the standard error of a standard deviation is 0.5 %.
    assert noise.std().item() == pytest.approx(0.05, rel=0.02)
    again = noisy_parameters(0.05, seed=1).apply(model)
    assert torch.equal(again[0].weight, noisy[0].weight)


def test_relative_noise_is_in_units_of_each_tensor() -> None:
    model = linear(200, 100)
    with torch.no_grad():
        model[0].weight *= 10
    noise = noisy_parameters(0.1, relative=True).apply(model)[0].weight - model[0].weight
    assert noise.std().item() == pytest.approx(0.1 * model[0].weight.std().item(), rel=0.02)


def test_fresh_noise_on_a_linear_layer_has_its_closed_form() -> None:
    # (W + N) x + b + n is normal around W x + b, with variance sigma^2 (|x|^2 + 1).
    model, sigma, n = linear(), 0.3, 40_000
    x = torch.randn(1, 6, generator=torch_rng(0, "x"))
    served = fresh_parameters(sigma).apply(model)
    with torch.no_grad():
        away = served(x.expand(n, -1)) - model(x)
    spread = sigma * (x.square().sum().item() + 1) ** 0.5
    assert away.mean(0).abs().max().item() < 4 * spread / n**0.5
    assert away.std(0).tolist() == pytest.approx([spread] * 3, rel=4 / (2 * n) ** 0.5)
    covariance = torch.corrcoef(away.T) - torch.eye(3)
    assert covariance.abs().max().item() < 4 / n**0.5


def test_fresh_noise_differs_between_rows_and_queries() -> None:
    view = deploy(cnn(), expose="features", split="conv2", defenses=[fresh_parameters(0.05)])
    x = torch.rand(1, 1, 16, 16, generator=torch_rng(0, "x")).expand(3, -1, -1, -1)
    first, second = view(x), view(x)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    same = deploy(cnn(), expose="features", split="conv2", defenses=[fresh_parameters(0.05)])
    assert torch.equal(same(x), first)


@pytest.mark.parametrize("expose", ["scores", "features"])
def test_without_noise_the_answers_are_the_models(expose: str) -> None:
    split = "conv4" if expose == "features" else None
    x = torch.rand(5, 1, 16, 16, generator=torch_rng(0, "x"))
    plain = deploy(cnn(), expose=expose, split=split)(x)
    for defense in (noisy_parameters(0.0), fresh_parameters(0.0)):
        served = deploy(cnn(), expose=expose, split=split, defenses=[defense])
        torch.testing.assert_close(served(x), plain, rtol=1e-4, atol=1e-5)


def noisy_features() -> View:
    return deploy(cnn(), expose="features", split="conv2", defenses=[fresh_parameters(0.05)])


def test_no_rows_are_answered_by_none_and_draw_nothing() -> None:
    x = torch.rand(3, 1, 16, 16, generator=torch_rng(0, "x"))
    asked, fresh = noisy_features(), noisy_features()
    none = asked(x[:0])
    assert torch.equal(asked(x), fresh(x))
    assert none.shape == (0, *fresh(x).shape[1:])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_row_has_the_answer_of_its_own_model_bit_for_bit(layout: torch.memory_format) -> None:
    # The layout of a weight decides how its sums are rounded, and a trained CNN is channels_last.
    model = cnn().to(memory_format=layout)
    x = torch.rand(5, 1, 16, 16, generator=torch_rng(0, "x"))
    draws = torch_rng(3, "fresh parameters")
    noisy = {
        name: weight.detach() + 0.05 * torch.randn(5, *weight.shape, generator=draws)
        for name, weight in model.named_parameters()
    }
    one = vmap(lambda own, row: functional_call(model, own, (row[None],))[0])
    assert torch.equal(fresh_parameters(0.05, seed=3).apply(model)(x), one(noisy, x))


def test_many_parts_are_drawn_as_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(7, 6, generator=torch_rng(0, "x"))
    monkeypatch.setattr("medpriv.defenses.model_perturbation._NUMBERS", 50)  # 3 rows of 21 numbers
    whole = fresh_parameters(0.1).apply(linear())
    parts = fresh_parameters(0.1).apply(linear())
    assert torch.equal(whole(x), torch.cat([parts(part) for part in x.split(3)]))


def test_memory_does_not_grow_with_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medpriv.defenses.model_perturbation._NUMBERS", 50)
    served = fresh_parameters(0.1).apply(linear())
    assert served(torch.ones(20, 6)).shape == (20, 3)


def test_stored_weights_are_not_those_of_a_query() -> None:
    model = cnn()
    view = deploy(model, expose="weights", defenses=[fresh_parameters(0.1)])
    shown = dict(view.weights().named_parameters())
    assert all(torch.equal(shown[name], weight) for name, weight in model.named_parameters())


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        noisy_parameters(-0.1)
    with pytest.raises(ValueError, match="0 or more"):
        fresh_parameters(float("nan"))
    with pytest.raises(TypeError, match="rows in a tensor"):
        fresh_parameters(0.1).apply(linear())(["a text"])
