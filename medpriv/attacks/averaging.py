"""The attacker who asks again: noise that is drawn anew for each answer can be averaged out.

Any attack can be run through an averaged view: it asks each question several times, and takes the
commonest label, or the mean of numbers. Against a service that remembers its answers he asks about
neighbours of the input instead, one after the other (Warner's coin is then thrown anew).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional as F

from medpriv.data.cohort import Column
from medpriv.deployment import View
from medpriv.runtime.seeds import torch_rng

Vary = Callable[[Tensor, int], Tensor]


class Averaged(View):
    """A view through which each question is asked several times; made by :func:`averaged`.

    ``queries``, ``left`` and the budget are those of the view behind it, which pays for each time.
    """

    def __init__(self, view: View, times: int, vary: Vary | None) -> None:
        self._view, self._times, self._vary = view, times, vary
        self.expose, self.split, self.defenses = view.expose, view.split, view.defenses

    def __call__(self, x: Tensor | Sequence[str]) -> Tensor:
        """Ask about ``n`` rows, each so many times: ``(n, ...)``, as the view behind answers.

        Raises:
            QueryBudgetError: the budget does not cover all of them; none is then spent.
        """
        self.afford(len(x))
        if self._vary is None:
            return _together(self._view.again(x, self._times))
        return _together([self._view(self._vary(x, time)) for time in range(self._times)])

    def again(
        self, x: Tensor | Sequence[str], times: int, *, intercepted: bool = False
    ) -> list[Tensor]:
        """As of other views; each time is itself so many questions."""
        if not intercepted:
            self.afford(len(x) * times)
        return [self.intercept(x) if intercepted else self(x) for _ in range(times)]

    @property
    def query_budget(self) -> int | None:
        """That of the view behind."""
        return self._view.query_budget

    @property
    def queries(self) -> int:
        """Spent on the view behind."""
        return self._view.queries

    @property
    def left(self) -> float:
        """How many questions it will still answer, each so many times."""
        return self._view.left // self._times if self.query_budget is not None else math.inf

    def afford(self, rows: int) -> None:
        """As of the view behind."""
        self._view.afford(rows * self._times)

    def intercept(self, x: Tensor | Sequence[str]) -> Tensor:
        """What passes by when the same victims use the system so many times."""
        return _together(self._view.again(x, self._times, intercepted=True))

    def weights(self) -> torch.nn.Module:
        """As of the view behind."""
        return self._view.weights()

    def back(self) -> torch.nn.Module:
        """As of the view behind."""
        return self._view.back()


def averaged(view: View, times: int, *, vary: Vary | None = None) -> View:
    """A view that asks each question so many times and puts the answers together.

    Labels: the commonest, of equally common ones the lowest. Numbers: their mean. What is
    intercepted is averaged as well, as if each victim used the system so often: say so.

    Args:
        view: behind it; each time costs a query there.
        times: 1 or more.
        vary: ``vary(x, time)``, the version of the question that is asked at that time, such as
            :func:`neighbours`; without it the same question.

    Raises:
        ValueError: fewer than one time.
    """
    if times < 1:
        raise ValueError(f"expected to ask 1 or more times, got {times}")
    return Averaged(view, times, vary)


def neighbours(columns: Sequence[Column], width: float | Tensor, *, seed: int = 0) -> Vary:
    """Records a little beside the true one: numeric columns moved, categories left.

    The first version is the record itself.

    Args:
        columns: of the cohort.
        width: standard deviation of the move, in each column's unit; ``(columns,)`` or one number.
        seed: decides the moves.

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
    more = binom.sf(times // 2, times, kept)
    tie = binom.pmf(times // 2, times, kept) if times % 2 == 0 else 0.0
    return float(more + tie / 2)


def _together(answers: list[Tensor]) -> Tensor:
    every = torch.stack(answers)
    if every.is_floating_point():
        return every.mean(0)
    return F.one_hot(every).sum(0).argmax(-1) if every.numel() else every[0]
