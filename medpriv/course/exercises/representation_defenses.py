"""The check cells of chapter 11."""

from __future__ import annotations

from typing import Any

import torch

from medpriv.course.exercises.base import call, number, numbers
from medpriv.models.losses import distance_correlation
from medpriv.runtime.seeds import torch_rng


def zeros(answer: Any) -> None:
    """``answer(seen, features, share)`` → the error of each row over what was sent."""
    for n, d, share in ((3, 40, 0.5), (5, 30, 0.75)):
        draw = torch_rng(n, "exercise")
        features, truth = (torch.randn(n, d, generator=draw) for _ in range(2))
        kept = torch.rand(n, d, generator=draw) >= share
        kept[:, 0] = True
        seen = truth * kept / (1 - share)
        found = torch.from_numpy(
            numbers(call(answer, seen.clone(), features.clone(), share), (n,), "one error a row")
        )
        away = (features - truth).double().square()
        right = (away * kept).sum(1) / kept.sum(1)
        enlarged = ((features - seen).double().square() * kept).sum(1) / kept.sum(1)
        assert not torch.allclose(found, enlarged, rtol=1e-4), (
            "what was kept is enlarged; multiply what was sent by 1 - share"
        )
        assert not torch.allclose(found, (away * kept).mean(1), rtol=1e-4), (
            "you divide by all numbers; divide by those that were sent"
        )
        every = (features - seen * (1 - share)).double().square().mean(1)
        assert not torch.allclose(found, every, rtol=1e-4), (
            "the zeros are still in; leave out where seen is 0"
        )
        assert torch.allclose(found, right, rtol=1e-4), (
            f"for the first row you return {float(found[0]):.4f}, right is {float(right[0]):.4f}"
        )


def count(answer: Any) -> None:
    """``answer(answers)`` → how many different answers there are, and their mean."""
    for k, q, d in ((3, 40, 6), (5, 60, 4), (1, 7, 3)):
        draw = torch_rng(k, "exercise")
        different = 3 * torch.randn(k, d, generator=draw)
        # The first comes far more often than the others: a mean over all answers is another one.
        which = torch.cat([torch.arange(k), torch.zeros(q - k).long()])
        answers = different[which[torch.randperm(q, generator=draw)]]
        # Rounding in the last place, as of another batch.
        answers = answers + 1e-6 * torch.randn(q, d, generator=draw)
        found = call(answer, answers.clone())
        pair = len(found) if isinstance(found, tuple) else 0
        assert pair == 2, "return two things: the number of different answers, and their mean"
        many = number(found[0])
        middle = torch.from_numpy(numbers(found[1], (d,), "their mean"))
        assert many != q or q == k, (
            "you count answers that differ in the last place; allow for 0.001"
        )
        assert many == k, f"there are {k} different answers, you count {many:g}"
        plain = answers.mean(0).double()
        assert k == 1 or not torch.allclose(middle, plain, atol=1e-3), (
            "that is the mean of all answers; take each different one once"
        )
        assert torch.allclose(middle, different.mean(0).double(), atol=1e-3), (
            f"the mean begins with {float(middle[0]):.3f}, right is "
            f"{float(different.mean(0)[0]):.3f}"
        )


def plain(answer: Any) -> None:
    """``answer(x, z)`` → the plain distance correlation."""
    for n in (20, 50):
        draw = torch_rng(n, "exercise")
        x = torch.randn(n, 4, generator=draw)
        z = torch.cat([x[:, :1] ** 2, torch.randn(n, 2, generator=draw)], dim=1)
        found = number(call(answer, x.clone(), z.clone()))
        right = float(distance_correlation(x, z, unbiased=False))
        honest = float(distance_correlation(x, z))
        assert abs(found - right**2) > 1e-5, "that is its square; take the square root"
        assert abs(found - honest) > 1e-5, "that is the U-centred one; take plain means"
        a, b = (torch.cdist(rows, rows) for rows in (x, z))
        raw = float(((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()).sqrt())
        assert abs(found - raw) > 1e-5, "centre rows and columns of the tables first"
        assert abs(found - right) < 1e-4, f"you return {found:.4f}, right is {right:.4f}"


TESTS = {"11-zeros": zeros, "11-count": count, "11-plain": plain}
