"""Fewer bits and fewer numbers: what is promised about each."""

from __future__ import annotations

import pytest
import torch

from medpriv.defenses import rounded
from medpriv.defenses.compression import projected
from medpriv.runtime.seeds import torch_rng


def rows(number: int = 50, width: int = 96) -> torch.Tensor:
    return torch.randn(number, width, generator=torch_rng(0, "rows"))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_rounding_errs_by_half_a_step_and_uses_no_more_values(bits: int) -> None:
    x = rows()
    served = rounded(bits).apply(lambda x: x)(x)
    steps = 2 ** (bits - 1) - 1
    largest = x.abs().amax(1, keepdim=True)
    assert ((served - x).abs() <= largest / steps / 2 + 1e-6).all()
    assert max(len(row.unique()) for row in served) <= 2 * steps + 1


def test_a_row_of_zeros_stays_one() -> None:
    assert torch.equal(rounded(4).apply(lambda x: x)(torch.zeros(2, 5)), torch.zeros(2, 5))


def test_a_full_projection_is_a_rotation_and_a_partial_one_keeps_lengths_on_average() -> None:
    x = rows(400)
    turned = projected(96, seed=1).apply(lambda x: x)(x)
    torch.testing.assert_close(turned @ turned.T, x @ x.T, rtol=0, atol=1e-3)
    fewer = projected(32, seed=1).apply(lambda x: x)(x)
    assert fewer.shape == (400, 32)
    assert fewer.square().sum(1).mean().item() == pytest.approx(
        x.square().sum(1).mean().item(), rel=0.05
    )
    assert projected(200).apply(lambda x: x)(x).shape == (400, 96)


def test_the_directions_are_drawn_once() -> None:
    x = rows()
    first, second = (projected(8, seed=s).apply(lambda x: x)(x) for s in (1, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, projected(8, seed=2).apply(lambda x: x)(x))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="bits must be an integer of at least 2 and at most 16"):
        rounded(1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        projected(0)


def test_rounding_of_maps_is_relative_to_the_whole_image() -> None:
    x = torch.rand(5, 3, 4, 4, generator=torch_rng(0, "maps"))
    x[:, 0] *= 10  # one channel far larger: the others lose their detail
    served = rounded(4).apply(lambda x: x)(x)
    largest = x.flatten(1).amax(1)
    assert ((served - x).abs().flatten(1).amax(1) <= largest / 14 + 1e-6).all()
    assert max(len(row.unique()) for row in served) <= 8  # none is negative
    tokens = rows(12, 8).view(3, 4, 8)
    each = torch.stack([rounded(4).apply(lambda x: x)(row) for row in tokens])
    assert torch.equal(rounded(4).apply(lambda x: x)(tokens), each)


def test_rounding_refuses_labels() -> None:
    with pytest.raises(ValueError, match="another expose"):
        rounded(4).apply(lambda x: x)(torch.zeros(3).long())
