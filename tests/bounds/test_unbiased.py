"""Cramér and Rao's bound of unbiased attackers, and that a biased one goes below it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medpriv.bounds.unbiased import least_unbiased_error


def linear(numbers: int, features: int) -> nn.Linear:
    layer = nn.Linear(numbers, features, bias=False).double()
    with torch.no_grad():
        draws = torch.Generator().manual_seed(0)
        layer.weight.copy_(torch.randn(features, numbers, generator=draws, dtype=torch.float64))
    return layer


def test_of_a_linear_layer_it_is_its_squared_norm() -> None:
    layer = linear(5, 8)
    x = torch.randn(3, 5, dtype=torch.float64)
    found = least_unbiased_error(layer, x, 0.5)
    assert found.tolist() == pytest.approx(
        [5 * 0.25 / float(layer.weight.detach().square().sum())] * 3
    )
    assert least_unbiased_error(layer, x, 0.5, answers=4) == pytest.approx(found / 4)


def test_it_is_that_of_the_jacobian_and_probes_come_near() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 6)).double()
    x = torch.rand(4, 1, 6, 6, dtype=torch.float64)
    found = least_unbiased_error(net, x, 2.0)
    for row, one in zip(x, found, strict=True):
        whole = torch.autograd.functional.jacobian(net, row[None]).reshape(6, 36)
        assert float(one) == pytest.approx(36 * 4 / float(whole.square().sum()))
    assert least_unbiased_error(net, x, 2.0, probes=800) == pytest.approx(found, rel=0.15)


def test_least_squares_is_above_it_and_a_biased_attacker_is_not() -> None:
    # x ~ N(0, 1), y = x + N(0, 9): the unbiased y has error 9, the posterior mean y / 10 has 0.9.
    bound = float(least_unbiased_error(nn.Identity(), torch.zeros(1, 4), 3.0))
    assert bound == pytest.approx(9)
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, generator=draws)
    y = x + 3 * torch.randn(20_000, generator=draws)
    assert float((y - x).square().mean()) == pytest.approx(bound, rel=0.05)
    assert float((y / 10 - x).square().mean()) < 0.15 * bound


def test_features_that_say_nothing_and_bad_input() -> None:
    flat = linear(5, 2)
    with torch.no_grad():
        flat.weight.zero_()
    assert least_unbiased_error(flat, torch.zeros(2, 5).double(), 1.0).isinf().all()
    with pytest.raises(ValueError, match="0 or more"):
        least_unbiased_error(nn.Identity(), torch.zeros(1, 4), -1.0)
    with pytest.raises(ValueError, match="probes"):
        least_unbiased_error(nn.Identity(), torch.zeros(1, 4), 1.0, probes=0)
