"""The attacker who asks again: noise that is drawn anew for each answer can be averaged out.

Any attack can be run through an averaged view: it asks each question several times, and takes the
commonest label, or the mean of numbers. Against a service that remembers its answers he asks about
neighbours of the input instead, one after the other (Warner's coin is then thrown anew).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.data.cohort import Column
from medpriv.deployment import View
from medpriv.runtime.seeds import torch_rng

Vary = Callable[[Tensor, int], Tensor]


def averaged(view: View, times: int, *, vary: Vary | None = None) -> View:
    """A view that asks each question so many times, for a query each, and averages the answers.

    Labels: the commonest, of equally common ones the lowest. Numbers: their mean. What is
    intercepted is averaged as well, as if each victim used the system so often: say so.
    ``vary(x, time)`` is the version of the question that is asked at that time, such as
    :func:`neighbours`; without it the same question.

    Raises:
        ValueError: fewer than one time.
    """
    if times < 1:
        raise ValueError(f"expected to ask 1 or more times, got {times}")

    def ask(x: Tensor | Sequence[str]) -> Tensor:
        if vary is None:
            return _together(view.again(x, times))
        return _together([view(vary(x, time)) for time in range(times)])

    def intercept(x: Tensor | Sequence[str]) -> Tensor:
        return _together(view.again(x, times, intercepted=True))

    return view.through(ask, intercept, times)


def neighbours(columns: Sequence[Column], width: float | Tensor, *, seed: int = 0) -> Vary:
    """Records a little beside the true one: numeric columns moved, categories left.

    The first version is the record itself. The width is the standard deviation of the move, in
    each column's unit: ``(columns,)`` or one number.

    Raises:
        ValueError: the width is negative.
    """
    wide = torch.as_tensor(width, dtype=torch.float32)
    if not bool((wide >= 0).all()):
        raise ValueError(f"a width is 0 or more, got {width}")
    moved = torch.tensor([0.0 if column.categorical else 1.0 for column in columns]) * wide

    def vary(x: Tensor, time: int) -> Tensor:
        if time == 0:
            return x
        draw = torch.randn(x.shape, generator=torch_rng(seed, "neighbours", time))
        return x + draw * moved

    return vary


def majority_right(kept: float, times: int) -> float:
    """The chance that the commonest of so many answers of two classes is the right one.

    A binomial tail: each answer is right with the chance ``kept``, for itself. Of an even number,
    half of the ties count as right.

    Raises:
        ValueError: the chance is outside 0 to 1, or there is no answer.
    """
    if not 0 <= kept <= 1 or times < 1:
        raise ValueError(f"expected a chance and 1 or more answers, got {kept}, {times}")
    from scipy.stats import binom

    more = binom.sf(times // 2, times, kept)
    tie = binom.pmf(times // 2, times, kept) if times % 2 == 0 else 0.0
    return float(more + tie / 2)


def _together(answers: list[Tensor]) -> Tensor:
    every = torch.stack(answers)
    if every.is_floating_point():
        return every.mean(0)
    return F.one_hot(every).sum(0).argmax(-1) if every.numel() else every[0]
