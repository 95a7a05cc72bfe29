"""The exercises of chapter 04-attribute-inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call, number
from medpriv.runtime.seeds import torch_rng


def g_mean(answer: Any) -> None:
    """``answer(truth, guess)`` → geometric mean of the recalls of the values that occur."""
    truth = np.array([0, 0, 0, 0, 3, 3, 1, 1, 1, 1])
    guess = np.array([0, 0, 0, 1, 3, 0, 1, 2, 2, 2])
    recalls = (0.75, 0.25, 0.5)
    right = float(np.prod(recalls) ** (1 / 3))
    found = number(call(answer, truth, guess))
    assert abs(found - 0.5) > 1e-6, "that is the arithmetic mean of the shares, or the accuracy"
    assert abs(found - float(np.prod(recalls))) > 1e-6, (
        "that is the product of the shares; take its root"
    )
    assert abs(found - right**0.75) > 1e-6, (
        "the root is of the number of values that occur in truth, not of all that could"
    )
    assert found > 0, (
        "the value 2 is never true in the example, so its share does not count; take the values "
        "from truth, not from guess"
    )
    assert abs(found - right) < 1e-6, (
        f"for ten test patients your function gives {found:.3f}, right is {right:.3f}: of the "
        "values 0, 1 and 3 the shares 0.75, 0.25 and 0.5 are found"
    )
    never = number(call(answer, np.array([0, 0, 0, 1]), np.zeros(4, dtype=int)))
    assert abs(never) < 1e-9, "where one value is never found, the G-mean is 0"


def fits(answer: Any) -> None:
    """``answer(grid, printed, digits)`` → which candidates can have led to what is printed."""
    draw = torch_rng(0, "exercise")
    # Candidates close to each other, so that half a step and a whole one differ.
    near = torch.randn(60, 1, 3, generator=draw) + 0.1 * torch.randn(60, 4, 3, generator=draw)
    grid = torch.softmax(near, dim=2)
    for digits in (1, 2):
        printed = (grid[:, 2] * 10**digits).round() / 10**digits
        away = (grid - printed[:, None]).abs()
        right = (away <= 0.5 * 10**-digits + 1e-6).all(2)
        found = torch.as_tensor(call(answer, grid, printed, digits))
        assert found.shape == (60, 4), (
            f"for 60 victims with 4 candidates return (60, 4), got {tuple(found.shape)}"
        )
        assert found.dtype == torch.bool, f"return truth values, got {found.dtype}"
        any_ = (away <= 0.5 * 10**-digits + 1e-6).any(2)
        assert not torch.equal(found, any_), "one score that fits is not enough: all must"
        whole = (away <= 10.0**-digits + 1e-6).all(2)
        assert not torch.equal(found, whole), "you allow a whole step; rounding moves by half of it"
        assert bool(found[:, 2].all()), (
            "the true candidate is ruled out for some victims; allow half a step and a millionth"
        )
        assert torch.equal(found, right), (
            f"with {digits} digits your function keeps {int(found.sum())} candidates, right are "
            f"{int(right.sum())}"
        )


def first_of_two(answer: Any) -> None:
    """``answer(likelihood, prior)`` → posterior of the first of two unknown attributes."""
    draw = torch_rng(1, "exercise")
    likelihood = torch.rand(20, 3, 4, generator=draw)
    prior = torch.rand(3, 4, generator=draw)
    prior = prior / prior.sum()
    right = (likelihood * prior).sum(2)
    found = torch.as_tensor(call(answer, likelihood, prior))
    assert found.shape == (20, 3), (
        f"for 20 victims and 3 values return (20, 3), got {tuple(found.shape)}"
    )
    sums = found.double().sum(1)
    assert bool(((sums - 1).abs() < 1e-4).all()), (
        f"each row must add up to 1; the first adds up to {float(sums[0]):.3f}"
    )
    right = right / right.sum(1, keepdim=True)
    largest = (likelihood * prior).amax(2)
    largest = largest / largest.sum(1, keepdim=True)
    assert not torch.allclose(found.float(), largest, atol=1e-5), (
        "you take the largest completion; add them up"
    )
    apart = likelihood.sum(2) * prior.sum(1)
    apart = apart / apart.sum(1, keepdim=True)
    assert not torch.allclose(found.float(), apart, atol=1e-5), (
        "multiply each completion with its own prior before you add up"
    )
    assert torch.allclose(found.float(), right, atol=1e-5), (
        f"for the first test victim your function gives "
        f"{[round(float(p), 3) for p in found[0]]}, right is "
        f"{[round(float(p), 3) for p in right[0]]}"
    )


TESTS = {"04-gmean": g_mean, "04-fits": fits, "04-sum": first_of_two}
