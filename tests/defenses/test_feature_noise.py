"""Noise and dropout on an answer: as much as promised, and anew each time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medpriv.defenses import dropped, noised
from medpriv.runtime.seeds import torch_rng


def rows(n: int = 200) -> Tensor:
    return torch.randn(n, 4, 8, 8, generator=torch_rng(0, "rows")) * 3


def test_noise_is_relative_to_each_row_or_absolute() -> None:
    x = rows()
    x[0] *= 10
    away = noised(0.5).apply(lambda x: x)(x) - x
    unit = x.flatten(1).square().mean(1).sqrt()
    assert (away.flatten(1).std(1) / unit).mean().item() == pytest.approx(0.5, rel=0.02)
    away = noised(0.5, relative=False).apply(lambda x: x)(x) - x
    assert away.std().item() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(noised(0.0).apply(lambda x: x)(x), x)


def test_dropout_sets_a_share_to_zero_and_keeps_the_mean() -> None:
    x = torch.ones(200, 256)
    served = dropped(0.3).apply(lambda x: x)(x)
    # 51,200 coins: four standard errors of a share are 0.008.
    assert (served == 0).double().mean().item() == pytest.approx(0.3, abs=0.008)
    assert served.mean().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("defense", [noised(0.3), dropped(0.3)], ids=lambda d: d.name)
def test_each_answer_is_drawn_anew(defense) -> None:
    served = defense.apply(lambda x: x)
    first, second = served(rows(2)), served(rows(2))
    assert not torch.equal(first, second)
    assert torch.equal(defense.apply(lambda x: x)(rows(2)), first)


def test_bad_input() -> None:
    for call, message in (
        (lambda: noised(-1), "0 or more"),
        (lambda: dropped(1.0), "below 1"),
        (lambda: noised(1).apply(lambda x: x)(torch.zeros(3).long()), "another expose"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
