"""The exercises of chapter 08-report-reconstruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call
from medpriv.runtime.seeds import torch_rng


def recovered_and_true(answer: Any) -> None:
    """``answer(truth, guess)`` → recall and precision of statements over all reports."""
    truth = [{"hiv", "aged 40", "nodule"}, {"copd"}, {"aged 61", "edema"}]
    guess = [{"hiv"}, {"copd", "hiv", "cancer"}, set()]
    found = call(answer, truth, guess)
    pair = isinstance(found, (tuple, list)) and len(found) == 2
    assert pair, f"return two numbers, recall and precision, got {found!r}"
    recall, precision = (float(np.asarray(one)) for one in found)
    assert not (np.isclose(recall, 2 / 4) and np.isclose(precision, 2 / 6)), (
        "recall and precision are in the other order"
    )
    each = np.mean([1 / 3, 1, 0])
    assert not np.isclose(recall, each), (
        "that is the mean over reports; sum over all reports first, then divide once"
    )
    assert np.allclose([recall, precision], [2 / 6, 2 / 4]), (
        f"for three test reports your function gives {recall:.3f} and {precision:.3f}, right is "
        "0.333 and 0.500"
    )


def closest(answer: Any) -> None:
    """``answer(goal, guesses)`` → position of the guess with the largest cosine."""
    goal = torch.tensor([1.0, 0.0, 0.0])
    guesses = torch.tensor([[3.0, 4.0, 0.0], [0.9, 0.1, 0.0], [9.0, 9.0, 9.0], [1.8, 0.2, 0.0]])
    found = call(answer, goal, guesses)
    place = int(torch.as_tensor(found).reshape(-1)[0])
    assert torch.as_tensor(found).numel() == 1, "return one position, an integer"
    assert place != 2, "the third guess is only the longest; divide by the length"
    assert place != 3, "the second and the fourth have the same cosine; name the first of them"
    assert place == 1, f"your function names guess {place}, right is 1, counted from 0"


def rounded(answer: Any) -> None:
    """``answer(x, bits)`` → each number as a multiple of its row's step."""
    x = torch.randn(6, 40, generator=torch_rng(2, "exercise"))
    before = x.clone()
    found = torch.as_tensor(call(answer, x, 4)).float()
    assert torch.equal(x, before), "you changed the embeddings that were given; make new ones"
    assert found.shape == x.shape, f"return the shape {tuple(x.shape)}, got {tuple(found.shape)}"
    largest = x.abs().amax(1, keepdim=True)
    overall = (x / (x.abs().max() / 7)).round() * (x.abs().max() / 7)
    assert not torch.allclose(found, overall, atol=1e-6), (
        "the step is the same for all rows; choose it for each row"
    )
    for wrong in (8, 15, 16):
        other = (x / (largest / wrong)).round() * (largest / wrong)
        assert not torch.allclose(found, other, atol=1e-6), (
            f"with 4 bits, one for the sign, m is 2 ** 3 - 1 = 7, not {wrong}"
        )
    right = (x / (largest / 7)).round() * (largest / 7)
    assert torch.allclose(found, right, atol=1e-5), (
        f"the first number of the test is {float(x[0, 0]):.3f}; with 4 bits it should become "
        f"{float(right[0, 0]):.3f}, yours is {float(found[0, 0]):.3f}"
    )


TESTS = {"08-recall": recovered_and_true, "08-closest": closest, "08-bits": rounded}
