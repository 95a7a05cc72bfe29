"""The check cells of chapter 07: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from answering import accepted, refused
from medpriv.attacks import Probe, invert_classes
from medpriv.attacks.images.class_inversion import should_stop
from medpriv.course.checks import NOT_SOLVED, check
from medpriv.course.exercises.stronger_inversion import (
    NEAR_COUNTS,
    NEAR_PRICES,
    TESTS,
    affordable,
    budget_cases,
    stop_cases,
)
from medpriv.deployment import deploy
from medpriv.models import total_variation
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded

ALL = (1, 2, 3)


def lines(x):
    return x.diff(dim=2)


def columns(x):
    return x.diff(dim=3)


def summed(x):
    return lines(x).abs().sum(ALL) + columns(x).abs().sum(ALL)


def in_numpy(x):
    x = x.numpy()
    down, right = abs(np.diff(x, axis=2)), abs(np.diff(x, axis=3))
    return (down.sum(axis=ALL) + right.sum(axis=ALL)) / x[0].size


def by_slices(images):
    found = []
    for x in images:
        down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
        found.append((down.abs().sum() + right.abs().sum()) / x.numel())
    return found


def in_place(x):
    found = total_variation(x)
    x.zero_()
    return found


def around(x):
    return (x - x.roll(1, 2)).abs().mean(ALL) + (x - x.roll(1, 3)).abs().mean(ALL)


def stop(
    window=lambda costs, p: costs[-p - 1 : -1],
    enough=lambda costs, p: len(costs) > p,
    worst=max,
    stuck=lambda last, worst: last >= worst,
    good=lambda last, good_enough: last <= good_enough,
):
    def answer(costs, patience, good_enough):
        if good(costs[-1], good_enough):
            return True
        return enough(costs, patience) and stuck(costs[-1], worst(window(costs, patience)))

    return answer


def the_packages(costs, patience, good_enough):
    return should_stop(torch.tensor(costs), patience=patience, good_enough=good_enough)


def popping(costs, patience, good_enough):
    last = costs.pop()
    return last <= good_enough or (len(costs) >= patience and last >= max(costs[-patience:]))


def padded(costs, patience, good_enough):
    """As with a window that is full of infinities at first."""
    window = ([math.inf] * patience + costs[:-1])[-patience:]
    return costs[-1] <= good_enough or costs[-1] >= max(window)


def as_the_toolbox(costs, patience, good_enough):
    return not padded(costs, patience, good_enough)


def counting(k, r, m, budget):
    steps = 0
    while cost(k, r, m, steps + 1) <= budget:
        steps += 1
    return steps


def dividing(k, r, m, budget):
    return max(0, ((budget // k - 1) // r - 1) // (2 * m + 1))


def priced(price, round_off=math.floor, least=0):
    """The steps that a budget pays for, where a search costs `price(k, r, m)` = (fixed, a step)."""

    def answer(k, r, m, budget):
        fixed, step = price(k, r, m)
        return max(least, round_off((budget - fixed) / step))

    return answer


def right(k, r, m):
    return k * (r + 1), k * r * (2 * m + 1)


def cost(k, r, m, steps):
    fixed, step = right(k, r, m)
    return fixed + steps * step


RIGHT = [
    ("07-tv", total_variation),
    ("07-tv", lambda x: summed(x) / x[0].numel()),
    ("07-tv", lambda x: total_variation(x.double()).requires_grad_()),
    ("07-tv", lambda x: total_variation(x).tolist()),
    ("07-tv", in_numpy),
    ("07-tv", by_slices),
    ("07-tv", in_place),
    ("07-stop", stop()),
    ("07-stop", the_packages),
    ("07-stop", lambda *case: the_packages(*case).numpy()),
    ("07-stop", lambda *case: the_packages(*case)[None]),
    ("07-stop", lambda *case: np.bool_(bool(the_packages(*case)))),
    ("07-stop", popping),
    ("07-stop", padded),
    ("07-stop", lambda c, p, g: bool(np.any(c[-1] <= g)) or stop()(c, p, g)),
    ("07-budget", counting),
    ("07-budget", dividing),
    ("07-budget", priced(right)),
    ("07-budget", lambda *case: np.int64(dividing(*case))),
    ("07-budget", lambda *case: np.array(dividing(*case))),
    ("07-budget", lambda *case: torch.tensor(dividing(*case))),
]

WRONG_TV = [
    (lambda x: lines(x).abs().sum(ALL) / x[0].numel(), "the differences to the right are missing"),
    (lambda x: lines(x).abs().mean(ALL), "the differences to the right are missing"),
    (lambda x: columns(x).abs().sum(ALL) / x[0].numel(), "the differences downwards are missing"),
    (
        lambda x: (lines(x).pow(2).sum(ALL) + columns(x).pow(2).sum(ALL)) / x[0].numel(),
        "take absolute values",
    ),
    (lambda x: lines(x).pow(2).sum(ALL) + columns(x).pow(2).sum(ALL), "you square the"),
    (
        lambda x: total_variation(x).mean(),
        "return one number for each image, shape (5,), got (), one number for the whole batch",
    ),
    (
        lambda x: float(summed(x).sum()),
        "shape (5,), got (), one number for the whole batch: sums over dimensions 1, 2 and 3",
    ),
    (summed, "divide by how many values one image has"),
    (lambda x: summed(x) / x[0, 0].numel(), "2 channels × 6 rows × 9 columns"),
    (lambda x: summed(x) / x.numel(), "divide by how many values one image has"),
    (lambda x: total_variation(x) / 2, "divide by how many values one image has"),
    (lambda x: lines(x).abs().mean(ALL) + columns(x).abs().mean(ALL), "add up first, then divide"),
    (
        lambda x: (lines(x).abs().mean(ALL) + columns(x).abs().mean(ALL)) / 2,
        "the directions have different numbers of differences",
    ),
    (lambda x: (lines(x).sum(ALL) + columns(x).sum(ALL)) / x[0].numel(), "up and down cancel"),
    (lambda x: (lines(x).sum(ALL) + columns(x).sum(ALL)).abs(), "take absolute values first"),
    (around, "the last row has no neighbour below it"),
    (lambda x: total_variation(x)[:, None], "shape (5,), got (5, 1)"),
    (lambda x: lines(x).abs().mean((2, 3)), "shape (5,), got (5, 2)"),
    (lambda x: total_variation(x)[:-1], "shape (5,), got (4,)"),
    (lambda x: total_variation(x).round().long(), "you return 1.0000, right is"),
    (lambda x: total_variation(x) > 0.5, "right is"),
    (lambda x: torch.zeros(len(x)), "you return 0.0000, right is"),
    (lambda x: x.std(ALL), "add up the absolute differences of neighbours"),
    (lambda x: torch.full((len(x),), torch.nan), "return finite numbers, got infinite ones or NaN"),
    (lambda x: total_variation(x) / 0, "return finite numbers, got infinite ones or NaN"),
    (lambda x: "smooth", "return one number for each image, got str"),
    (lambda x: None, "did you forget `return`"),
    (lambda x: x.diff(dim=4), "your code raised"),
    (0.2, "a function was expected, got float"),
]

WRONG_RULES = [
    (as_the_toolbox, "its attack can end after one step"),
    (lambda *case: False, "never stops"),
    (lambda *case: True, "always stops"),
    (stop(stuck=lambda last, worst: last < worst), "0.5 is no better, so stop"),
    (stop(stuck=lambda last, worst: last <= worst), "0.75 is better, so go on"),
    (stop(worst=min), "directly before the last is 1.0; 0.75 is better"),
    (stop(window=lambda costs, p: costs[:-1]), "directly before the last is 0.5; 0.5 is no better"),
    (
        stop(window=lambda costs, p: costs[:-1], enough=lambda costs, p: len(costs) > 1),
        "go on, since before the last there are 1, fewer",
    ),
    (stop(stuck=lambda last, worst: last > worst), "the last is 0.5; 0.5 is no better, so stop"),
    (stop(good=lambda last, good_enough: False), "stop, since the last cost is good enough"),
    (
        stop(good=lambda last, good_enough: last < good_enough),
        "good_enough=0.375 you are wrong: stop, since",
    ),
    (
        stop(
            window=lambda costs, p: costs[max(0, len(costs) - p - 1) : -1],
            enough=lambda costs, p: len(costs) > 1,
        ),
        "before the last there are 1, fewer than patience",
    ),
    (
        stop(
            window=lambda costs, p: costs[:-1][-p:] or [math.inf],
            enough=lambda costs, p: len(costs) >= p,
        ),
        "before the last there are 1, fewer than patience",
    ),
    (stop(window=lambda costs, p: costs[-p:]), "directly before the last is 1.0; 0.75 is better"),
    (
        stop(enough=lambda costs, p: len(costs) > p + 1),
        "the last is 0.5; 0.5 is no better, so stop",
    ),
    (stop(good=lambda last, g: last <= 2 * g), "go on, since before the last there are 0, fewer"),
    (
        lambda c, p, g: stop()(c, p, g if len(c) > p else 2 * g),
        "go on, since before the last there are 0, fewer",
    ),
    (lambda c, p, g: p > 1 and stop()(c, p, g), "whatever came before it"),
    (
        stop(window=lambda costs, p: costs[-p - 1 : -1], worst=lambda w: sum(w) / len(w)),
        "directly before the last is 1.0; 0.875 is better",
    ),
]

WRONG_STOP = [
    *WRONG_RULES,
    (lambda *case: not the_packages(*case), "your rule is turned round"),
    (stop(window=lambda costs, p: costs[-p:-1]), "your code raised, in the line"),
    (lambda *case: int(the_packages(*case)), "return True or False, got the number"),
    (lambda c, p, g: [cost <= g for cost in c] * 2, "return True or False, got 2"),
    (lambda *case: "stop", "return True or False, got str"),
    (lambda *case: None, "did you forget `return`"),
    (lambda costs: True, "your code raised TypeError"),
    (True, "a function was expected, got bool"),
]

WRONG_BUDGET = [
    (
        lambda *case: dividing(*case) + 1,
        "you return 30, right is 29: 29 steps cost 4882, 30 cost 5050; one step too many",
    ),
    (
        priced(right, math.ceil),
        "you return 30, right is 29: 29 steps cost 4882, 30 cost 5050; one step too many",
    ),
    (
        lambda *case: max(0, dividing(*case) - 1),
        "you return 28, right is 29: 29 steps cost 4882, 30 cost 5050; one step too few",
    ),
    (
        lambda k, r, m, b: dividing(k, r, m, b - 1),
        "a budget of 897 you return 26, right is 27: 27 steps cost 897, 28 cost 930; what costs "
        "exactly the budget is within it",
    ),
    (lambda k, r, m, b: dividing(k, 1, m, b), "the restarts are missing: each"),
    (priced(lambda k, r, m: (k * (r + 1), k * (2 * m + 1))), "the restarts are missing in the"),
    (lambda k, r, m, b: dividing(1, r, m, b), "the classes are missing"),
    (
        priced(lambda k, r, m: (k * (r + 1), k * r * (m + 1))),
        "a direction costs two questions, not one",
    ),
    (priced(lambda k, r, m: (k * (r + 1), k * r * 2 * m)), "asks about its new image"),
    (priced(lambda k, r, m: (k * r, right(k, r, m)[1])), "the last answers are missing"),
    (priced(lambda k, r, m: (k * r + 1, right(k, r, m)[1])), "not one in all"),
    (priced(lambda k, r, m: (2 * k * r, right(k, r, m)[1])), "a class, not a restart"),
    (priced(lambda k, r, m: (k, right(k, r, m)[1])), "the starts are missing"),
    (priced(lambda k, r, m: (0, right(k, r, m)[1])), "starts and last answers cost, too"),
    (priced(right, lambda steps: steps), "which is a float"),
    (lambda *case: float(dividing(*case)), "return a whole number (an int), got 29, which"),
    (lambda *case: np.floor(dividing(*case) / 1), "which is a float"),
    (lambda *case: torch.tensor(dividing(*case) / 1), "divide whole numbers and round down"),
    (priced(right, least=-math.inf), "for even 0 steps, return 0, never less"),
    (lambda k, r, m, b: ((b // k - 1) - 1) // (2 * m + 1), "never less"),
    (lambda *case: 7, "you return 7, right is 29"),
    (lambda k, r, m, b: b // 2, "you return 2500, right is 29"),
    (lambda *case: True, "got a truth value"),
    (lambda *case: [1, 2], "return one whole number, got 2"),
    (lambda *case: "many", "return one whole number, got str"),
    (lambda *case: None, "did you forget `return`"),
    (lambda k, r, m, b: b // 0, "your code raised, in the line"),
    (29, "a function was expected, got int"),
]

WRONG = [
    (exercise, answer, hint)
    for exercise, wrong in (
        ("07-tv", WRONG_TV),
        ("07-stop", WRONG_STOP),
        ("07-budget", WRONG_BUDGET),
    )
    for answer, hint in wrong
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right_answers(exercise: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    accepted(exercise, answer, capsys)


@pytest.mark.parametrize(("exercise", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint_and_the_notebook_goes_on(
    exercise: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(exercise, answer, hint, capsys)


@pytest.mark.parametrize("exercise", TESTS)
@pytest.mark.parametrize("stub", [..., lambda *_: ...], ids=["value", "function"])
def test_a_stub_is_not_solved_yet(
    exercise: str, stub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    check(exercise, stub)
    assert capsys.readouterr().out.strip() == NOT_SOLVED


def told_apart(rules: list[Callable[..., Any]], cases: list[tuple]) -> bool:
    return len({tuple(rule(*case) for case in cases) for rule in rules}) == len(rules)


def test_the_cases_tell_each_near_miss_from_the_right_answer_and_from_each_other() -> None:
    assert told_apart([stop(), *(wrong for wrong, _ in WRONG_RULES)], stop_cases())
    priced_near = [partial(affordable, price=price) for price in NEAR_PRICES.values()]
    counted_near = [near for _, near in NEAR_COUNTS]
    assert told_apart([affordable, *priced_near, *counted_near], budget_cases())


def test_the_stopping_rule_is_tried_on_both_answers_and_on_the_edges() -> None:
    cases = stop_cases()
    assert 0.25 < np.mean([stop()(*case) for case in cases]) < 0.75
    assert any(len(costs) <= patience for costs, patience, _ in cases)
    assert any(costs[-1] == good_enough for costs, _, good_enough in cases)
    assert {patience for _, patience, _ in cases} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("classes", "restarts", "directions", "budget"), [(2, 3, 4, 300), (1, 1, 1, 14), (3, 2, 5, 211)]
)
def test_the_price_is_that_of_the_attack(
    classes: int, restarts: int, directions: int, budget: int
) -> None:
    """Whoever may ask so often gets exactly so many steps, and pays exactly their price."""
    with seeded(0, "exercise"):
        model = ImageCNN(size=16, classes=3)
    view = deploy(model, expose="scores", query_budget=budget)
    found = invert_classes(
        view,
        range(classes),
        shape=(1, 16, 16),
        restarts=restarts,
        probe=Probe(directions=directions),
        steps=50,
        device="cpu",
    )
    steps = affordable(classes, restarts, directions, budget)
    assert found.steps.tolist() == [steps] * classes
    assert found.queries == view.queries == cost(classes, restarts, directions, steps) <= budget
    assert budget < cost(classes, restarts, directions, steps + 1)
