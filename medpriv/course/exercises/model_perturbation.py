"""The check cells of chapter 10."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call, number
from medpriv.runtime.seeds import torch_rng


def answers(answer: Any) -> None:
    """``answer(sigma, wanted)`` → how many answers to average."""
    for sigma, wanted, right in ((0.5, 0.25, 4), (0.3, 0.1, 9), (1.0, 0.3, 12), (0.1, 0.5, 1)):
        found = number(call(answer, sigma, wanted))
        assert found >= 1, "at least one answer is needed; return no less than 1"
        assert found == round(found), f"return a whole number of answers, got {found:g}"
        assert right == 1 or found != math.ceil(sigma / wanted - 1e-9), (
            "the noise on a mean falls with the square root of the number of answers; square the "
            "ratio"
        )
        told = f"from {sigma} to {wanted} takes {right} answers, you return {found:g}"
        assert found in (right, right + (sigma == 0.3)), told


def private_sum(answer: Any) -> None:
    """``answer(gradients, clip, noise, draw)`` → the clipped, noisy sum."""
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [-6.0, 8.0]])
    clip, noise = 2.0, 1.5
    right = torch.tensor([1.2 + 0.3 - 1.2, 1.6 + 0.4 + 1.6])
    quiet = _vector(answer, rows, clip, 0.0)
    short = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12) * clip
    assert bool(quiet.isfinite().all()), "a row of zeros gives NaN; it has to stay zero"
    assert not torch.allclose(quiet, rows.sum(0)), "cut the rows: some are longer than clip"
    assert not torch.allclose(quiet, short.sum(0), atol=1e-4), (
        "rows shorter than clip stay as they are; the factor is at most 1"
    )
    total = rows.sum(0) * min(1.0, clip / float(rows.sum(0).norm()))
    assert not torch.allclose(quiet, total, atol=1e-4), "cut each row, not the sum"
    assert not torch.allclose(quiet, right / len(rows), atol=1e-4), "return the sum, not the mean"
    assert torch.allclose(quiet, right, atol=1e-4), (
        f"without noise you return {[round(float(v), 3) for v in quiet]}, right is "
        f"{[round(float(v), 3) for v in right]}"
    )
    many = torch.zeros(3, 20_000)
    spread = float(_vector(answer, many, clip, noise).std())
    # The standard deviation of 20,000 draws is within 3 % of the true one (six sigma).
    assert abs(spread / noise - 1) > 0.03, "the noise is measured in units of clip: multiply both"
    assert abs(spread / (noise * clip * math.sqrt(3)) - 1) > 0.03, (
        "you add noise to each row; add it once, to the sum"
    )
    assert abs(spread / (noise * clip) - 1) < 0.03, (
        f"the noise should have a standard deviation of {noise * clip:g}, yours has {spread:.3g}"
    )


def _vector(answer: Any, rows: torch.Tensor, clip: float, noise: float) -> torch.Tensor:
    draw = torch_rng(0, "exercise")
    found = torch.as_tensor(call(answer, rows.clone(), clip, noise, draw)).float()
    assert found.shape == rows.shape[1:], (
        f"return one number for each of {rows.shape[1]} columns, got {tuple(found.shape)}"
    )
    return found


def least_epsilon(answer: Any) -> None:
    """``answer(tpr, fpr, delta)`` → the smallest epsilon that allows these rates."""
    for tpr, fpr, delta in ((0.3, 0.1, 0.0), (0.9, 0.6, 0.0), (0.2, 0.4, 0.0), (0.3, 0.1, 0.05)):
        first = math.log((tpr - delta) / fpr)
        second = math.log((1 - fpr - delta) / (1 - tpr))
        right = max(0.0, first, second)
        found = number(call(answer, tpr, fpr, delta))
        assert found >= 0, f"an epsilon is 0 or more, you return {found:.3f}"
        assert not np.isclose(found, first) or np.isclose(first, right), (
            f"for TPR {tpr} and FPR {fpr} the other inequality says more: look at who is *not* "
            "called a member"
        )
        assert not np.isclose(found, second) or np.isclose(second, right), (
            f"for TPR {tpr} and FPR {fpr} the first inequality says more; take the larger bound"
        )
        assert delta == 0 or not np.isclose(found, math.log(tpr / fpr)), (
            "take delta off before you divide"
        )
        assert abs(found - right) < 1e-6, (
            f"for TPR {tpr}, FPR {fpr} and delta {delta} you return {found:.3f}, right is "
            f"{right:.3f}"
        )
    found = number(call(answer, 0.01, 0.5, 0.05))
    assert abs(found - 0) < 1e-6, "where TPR is below delta that inequality says nothing"


TESTS = {"10-answers": answers, "10-step": private_sum, "10-audit": least_epsilon}
