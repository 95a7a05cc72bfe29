"""The exercises of chapter 05-report-attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call, numbers
from medpriv.runtime.seeds import torch_rng


def set_f1(answer: Any) -> None:
    """``answer(truth, guess)`` → F1 of the set of words guessed for each report."""
    truth = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    guess = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    right = np.array([0.4, 0.0, 1.0, 1.0])
    found = numbers(call(answer, truth, guess), (4,), "one number a report")
    assert not np.isnan(found[3]), "the last report has no word and none is guessed: 0 / 0; say 1"
    assert abs(found[0] - 1 / 3) > 1e-6, "that is the precision; F1 looks at recall as well"
    assert abs(found[0] - 0.5) > 1e-6, "that is the recall; F1 looks at precision as well"
    assert abs(found[0] - 0.25) > 1e-6, (
        "that is the share of the union (Jaccard's); in F1 the shared words count twice"
    )
    assert np.allclose(found, right), (
        f"for four test reports your function gives {found.round(3).tolist()}, right is "
        f"{right.tolist()}"
    )


def lift(answer: Any) -> None:
    """``answer(facts)`` → P(column | row) / P(column), for each two facts."""
    draw = torch_rng(0, "exercise")
    facts = torch.rand(200, 3, generator=draw) < torch.tensor([0.2, 0.5, 0.4])
    facts[:, 2] |= facts[:, 0]
    x = facts.double()
    share = x.mean(0)
    together = x.T @ x / len(x)
    right = (together / share[:, None] / share[None, :]).numpy()
    found = numbers(call(answer, facts), (3, 3), "a number for each two facts")
    given = (together / share[:, None]).numpy()
    assert not np.allclose(found, given), (
        "that is P(column | row); divide by how common the column is anyway"
    )
    assert not np.allclose(found, together.numpy()), (
        "that is how often both occur; divide by how often they would if they were independent"
    )
    assert np.allclose(found, right, atol=1e-4), (
        f"for 200 test patients the first row is {np.round(found[0], 2).tolist()}, right is "
        f"{np.round(right[0], 2).tolist()}"
    )


def one_bit(answer: Any) -> None:
    """``answer(x)`` → signs of an embedding, as a vector of length 1."""
    x = torch.randn(5, 16, generator=torch_rng(1, "exercise"))
    x = x / x.norm(dim=1, keepdim=True)
    before = x.clone()
    found = torch.as_tensor(call(answer, x))
    assert torch.equal(x, before), "you changed the embeddings that were given; make new ones"
    assert found.shape == (5, 16), f"for (5, 16) return the same shape, got {tuple(found.shape)}"
    assert len(found.abs().unique()) == 1 or torch.allclose(
        found.abs(), found.abs().flatten()[0].expand_as(found)
    ), "all numbers must have the same size, and only the sign may differ"
    assert torch.equal(found.sign(), x.sign()), "the signs are not those of the embedding"
    length = found.double().norm(dim=1)
    assert torch.allclose(length, torch.ones(5).double(), atol=1e-5), (
        f"an embedding has the length 1, yours has {float(length[0]):.3f}; divide by the root of "
        "how many numbers it has"
    )
    assert bool((torch.as_tensor(call(answer, torch.zeros(1, 4))) != 0).all()), (
        "a zero has no sign and comes back as zero; count it as positive"
    )


TESTS = {"05-f1": set_f1, "05-lift": lift, "05-bit": one_bit}
