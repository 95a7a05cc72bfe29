"""The check cells of chapter 09."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call, number, numbers
from medpriv.defenses import epsilon_of, response_matrix
from medpriv.runtime.seeds import rng, torch_rng


def epsilon(answer: Any) -> None:
    """``answer(p, k)`` → the epsilon of one answer."""
    for p, k in ((0.1, 2), (0.3, 3), (0.5, 10)):
        found, right = number(call(answer, p, k)), epsilon_of(p, k)
        assert abs(found - np.log((1 - p) / p)) > 1e-9 or k == 2, (
            "with more than two answers a wrong one is only one of k - 1; divide p by k - 1"
        )
        assert abs(found - right / np.log(2)) > 1e-9, "take the natural logarithm, np.log"
        assert abs(found - np.exp(right)) > 1e-9, "the ratio is right; take its logarithm"
        assert abs(found - right) < 1e-6, (
            f"for p = {p} and {k} answers you return {found:.4f}, right is {right:.4f}"
        )


def through_the_coin(answer: Any) -> None:
    """``answer(confusion, p)`` → how often each flipped answer comes for each truth."""
    for size, p in ((2, 0.2), (4, 0.35)):
        draw = torch_rng(size, "exercise")
        errors = torch.rand(size, size, generator=draw, dtype=torch.float64)
        errors = errors / errors.sum(1, keepdim=True)
        coin = response_matrix(p, size)
        found = torch.as_tensor(call(answer, errors.clone(), p)).double()
        assert found.shape == errors.shape, (
            f"return a table {tuple(errors.shape)}, got {tuple(found.shape)}"
        )
        sums = found.sum(1)
        assert bool(((sums - 1).abs() < 1e-4).all()), (
            f"each row must add up to 1, since some answer comes; the first adds up to "
            f"{float(sums[0]):.3f}"
        )
        other_way = coin @ errors
        assert not torch.allclose(found, other_way, atol=1e-6), (
            "you let the coin fall before the model answers; multiply in the other order"
        )
        assert torch.allclose(found, errors @ coin, atol=1e-5), (
            f"in the first row you return {[round(float(v), 3) for v in found[0]]}, right is "
            f"{[round(float(v), 3) for v in (errors @ coin)[0]]}"
        )


def survey(answer: Any) -> None:
    """``answer(answers, p, k)`` → unbiased shares of the classes."""
    for p, k in ((0.2, 2), (0.4, 4)):
        answers = rng(k, "exercise").integers(k, size=500) ** 2 % k
        seen = np.bincount(answers, minlength=k) / len(answers)
        right = (seen - p / (k - 1)) / (1 - p - p / (k - 1))
        found = numbers(call(answer, answers, p, k), (k,), f"{k} shares")
        assert not np.allclose(found, seen), (
            "these are the shares among the answers; undo what the coin did to them"
        )
        assert not np.allclose(found, right * len(answers)), "divide the counts by their number"
        assert np.allclose(found, right, atol=1e-6), (
            f"for p = {p} and {k} classes you return {found.round(3).tolist()}, right is "
            f"{right.round(3).tolist()}"
        )


TESTS = {"09-epsilon": epsilon, "09-table": through_the_coin, "09-survey": survey}
