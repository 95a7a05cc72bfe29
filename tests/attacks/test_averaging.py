"""Asking again: the binomial formula, what it costs, and what memory does to it."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

from medpriv.attacks import averaged, majority_right, neighbours
from medpriv.data.cohort import Column
from medpriv.defenses import fresh_parameters, randomised_response
from medpriv.deployment import QueryBudgetError, ThreatModelError, View, deploy


class Sign(nn.Module):
    """Class 1 where the first number is positive."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 0], x[:, 0]], 1)


def served(flips: float, key: bytes | None = None, **options) -> View:
    defense = randomised_response(flips, 2, key=key, cell=0.5)
    return deploy(Sign(), expose="label", defenses=[defense], **options)


def rows(number: int) -> Tensor:
    x = torch.ones(number, 2)
    x[:, 1] = torch.arange(number)
    return x


@pytest.mark.parametrize(("times", "right"), [(1, 0.75), (3, 0.84), (9, 0.95), (33, 0.999)])
def test_published_chances(times: int, right: float) -> None:
    assert majority_right(0.75, times) == pytest.approx(right, abs=0.005)


@pytest.mark.parametrize("times", [1, 2, 3, 8, 9])
def test_fresh_coins_average_out_as_the_binomial_says(times: int) -> None:
    n = 20_000
    right = averaged(served(0.25), times)(rows(n)).double().mean().item()
    tie = binom.pmf(times // 2, times, 0.75) if times % 2 == 0 else 0.0
    # Of equally common labels the lowest counts, which is the wrong one here.
    expected = majority_right(0.75, times) - tie / 2
    assert right == pytest.approx(expected, abs=4 * math.sqrt(0.25 / n))


def test_memory_makes_asking_again_useless_and_neighbours_undo_it() -> None:
    n = 4_000
    once = served(0.25, b"key")(rows(n))
    again = averaged(served(0.25, b"key"), 33)(rows(n))
    assert torch.equal(once, again)
    beside = neighbours([Column("told"), Column("other")], torch.tensor([0.0, 50.0]))
    moved = averaged(served(0.25, b"key"), 33, vary=beside)(rows(n)).double().mean().item()
    assert moved == pytest.approx(majority_right(0.75, 33), abs=0.01)


def test_numbers_are_averaged() -> None:
    noisy = deploy(nn.Linear(2, 3), expose="scores", defenses=[fresh_parameters(0.1)])
    assert averaged(noisy, 4)(rows(3)).shape == (3, 3)
    plain = deploy(Sign(), expose="scores")
    torch.testing.assert_close(averaged(plain, 5)(rows(3)), plain(rows(3)))
    torch.testing.assert_close(averaged(plain, 5).intercept(rows(3)), plain(rows(3)))


def test_each_time_costs_a_query() -> None:
    view = served(0.25, query_budget=100)
    three = averaged(view, 3)
    three(rows(10))
    assert (view.queries, three.queries, three.left, three.query_budget) == (30, 30, 23, 100)
    with pytest.raises(QueryBudgetError, match="90 queries asked"):
        three(rows(30))
    assert view.queries == 30
    three.intercept(rows(10))
    assert view.queries == 30


def test_it_gives_what_the_view_gives() -> None:
    view = averaged(served(0.25), 3)
    view.require("label", "an attack")
    with pytest.raises(ThreatModelError, match="needs scores"):
        view.require("scores", "an attack")
    with pytest.raises(ThreatModelError, match="weights"):
        view.weights()
    open_one = averaged(deploy(Sign(), expose="weights"), 2)
    assert isinstance(open_one.weights().model, Sign)
    assert "label" in repr(view)


def test_no_rows_and_no_budget() -> None:
    view = averaged(served(0.25), 3)
    assert view(rows(0)).shape == (0,)
    assert view.left == math.inf


def test_neighbours_leave_categories_and_begin_with_the_record() -> None:
    columns = [Column("age", unit="years"), Column("sex", ("f", "m"))]
    vary = neighbours(columns, 2.0, seed=1)
    x = torch.tensor([[50.0, 1.0]]).repeat(2000, 1)
    assert torch.equal(vary(x, 0), x)
    moved = vary(x, 1)
    assert torch.equal(moved[:, 1], x[:, 1])
    assert (moved[:, 0] - 50).std().item() == pytest.approx(2.0, rel=0.1)
    assert torch.equal(moved, vary(x, 1))
    assert not torch.equal(moved, vary(x, 2))


def test_bad_input() -> None:
    for call, message in (
        (lambda: averaged(served(0.1), 0), "1 or more"),
        (lambda: majority_right(1.2, 3), "a chance"),
        (lambda: neighbours([Column("age")], -1.0), "0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
