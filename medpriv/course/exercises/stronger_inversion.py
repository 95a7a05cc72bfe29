"""The exercises of chapter 07-stronger-inversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from medpriv.attacks.images.class_inversion import should_stop
from medpriv.course.exercises.base import call, numbers, truth_value, whole_number
from medpriv.models import total_variation
from medpriv.runtime.seeds import rng, torch_rng


def tv(answer: Any) -> None:
    """``answer(images)`` → the total variation of each image, ``(n,)``."""
    # Neither square nor of one channel, so that no wrong divisor is right by chance.
    images = torch.rand(5, 2, 6, 9, generator=torch_rng(0, "exercise", "tv"))
    alone = ", one number for the whole batch: sums over dimensions 1, 2 and 3 keep images apart"
    given = numbers(call(answer, images.clone()), (5,), "one number for each image", alone)
    x, found = images.double(), torch.from_numpy(given)
    assert found.isfinite().all(), "return finite numbers, got infinite ones or NaN"
    expected = total_variation(x)
    down, right = x.diff(dim=2).flatten(1), x.diff(dim=3).flatten(1)
    around = torch.stack([x - x.roll(1, 2), x - x.roll(1, 3)], dim=1).flatten(1)
    wrong = {
        "the differences to the right are missing": down.abs().sum(1),
        "the differences downwards are missing": right.abs().sum(1),
        "you square the differences; take absolute values": (down**2).sum(1) + (right**2).sum(1),
        "up and down cancel; take absolute values first": (down.sum(1) + right.sum(1)).abs(),
        "the directions have different numbers of differences; add up first, then divide": (
            down.abs().mean(1) + right.abs().mean(1)
        ),
        "the last row has no neighbour below it, nor the last column one to its right": (
            around.abs().sum(1)
        ),
    }
    told = f"for the first of five images you return {found[0]:.4f}, right is {expected[0]:.4f}"
    for hint, those in wrong.items():
        assert not _multiple(found.abs(), those), f"{told}: {hint}"
    exact = torch.allclose(found, expected, rtol=1e-5, atol=0)
    assert exact or not _multiple(found, expected), (
        f"{told}: divide by how many values one image has, here 2 channels × 6 rows × 9 columns"
    )
    assert exact, f"{told}: add up the absolute differences of neighbours, down and to the right"


def _multiple(found: torch.Tensor, wrong: torch.Tensor) -> bool:
    factor = found @ wrong / (wrong @ wrong)
    return bool(factor != 0) and torch.allclose(found, factor * wrong, rtol=1e-4, atol=1e-9)


def stop(answer: Any) -> None:
    """``answer(costs, patience, good_enough)`` → whether MI-Face stops, for one image."""
    cases = stop_cases()
    found = [truth_value(call(answer, list(costs), *rest)) for costs, *rest in cases]
    right = [bool(should_stop(torch.tensor(c), patience=p, good_enough=g)) for c, p, g in cases]
    assert found != [not stops for stops in right], (
        "your rule is turned round: it goes on where it should stop. With such a rule MI-Face may "
        "never stop, or its attack can end after one step"
    )
    wrong = [case for case, says, stops in zip(cases, found, right, strict=True) if says != stops]
    if not wrong:
        return
    assert len(set(found)) > 1, f"your rule {'always' if found[0] else 'never'} stops"
    costs, patience, good_enough = min(wrong, key=lambda case: len(case[0]))
    *before, last = costs
    worst = max(before[-patience:], default=last)
    if last <= good_enough:
        reason = "stop, since the last cost is good enough, whatever came before it"
    elif len(before) < patience:
        reason = f"go on, since before the last there are {len(before)}, fewer than patience"
    else:
        reason = f"the worst of `patience` costs directly before the last is {worst}; {last} is "
        reason += "no better, so stop" if last >= worst else "better, so go on"
    raise AssertionError(f"for {costs=}, {patience=} and {good_enough=} you are wrong: {reason}")


def stop_cases() -> list[tuple[list[float], int, float]]:
    """Costs, patience, good_enough: in eighths, so that some are equal and none is rounded."""
    draw = rng(0, "exercise", "stop")
    cases = [([0.5], 1, 0.125), ([0.5, 0.5], 1, 0.125), ([0.25, 0.5, 0.75], 3, 0.125)]
    for _ in range(60):
        costs = draw.integers(1, 9, draw.integers(1, 8)) / 8
        good_enough = float(draw.integers(1, 4) / 8)
        cases.append((costs.tolist(), int(draw.integers(1, 5)), good_enough))
    return cases


def budget(answer: Any) -> None:
    """``answer(classes, restarts, directions, budget)`` → how many steps the budget pays for."""
    cases = budget_cases()
    found = [whole_number(call(answer, *case)) for case in cases]
    assert min(found) >= 0, "where the budget is too small for even 0 steps, return 0, never less"
    for hint, wrong in NEAR_PRICES.items():
        assert found != [affordable(*case, price=wrong) for case in cases], hint
    counts = (hint for hint, near in NEAR_COUNTS if found == [near(*case) for case in cases])
    counted = "".join(f"; {hint}" for hint in counts)
    for (k, r, m, most), steps in zip(cases, found, strict=True):
        right = affordable(k, r, m, most)
        fixed, step = right_price(k, r, m)
        assert steps == right, (
            f"for {k} classes, {r} restarts, {m} directions and a budget of {most} you return "
            f"{steps}, right is {right}: {right} steps cost {fixed + right * step}, {right + 1} "
            f"cost {fixed + (right + 1) * step}{counted}"
        )


def right_price(k: int, r: int, m: int) -> tuple[int, int]:
    """What k classes with r restarts cost whatever the steps, and a step in m directions."""
    return k * (r + 1), k * r * (2 * m + 1)


# What is said to whoever reckons with another price.
NEAR_PRICES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "the restarts are missing: each starts anew": lambda k, r, m: (2 * k, k * (2 * m + 1)),
    "the restarts are missing in the steps": lambda k, r, m: (k * (r + 1), k * (2 * m + 1)),
    "the classes are missing: each is searched for": lambda k, r, m: (r + 1, r * (2 * m + 1)),
    "a direction costs two questions, not one": lambda k, r, m: (k * (r + 1), k * r * (m + 1)),
    "each step also asks about its new image": lambda k, r, m: (k * (r + 1), k * r * 2 * m),
    "the last answers are missing": lambda k, r, m: (k * r, k * r * (2 * m + 1)),
    "one last answer a class, not one in all": lambda k, r, m: (k * r + 1, k * r * (2 * m + 1)),
    "one last answer a class, not a restart": lambda k, r, m: (2 * k * r, k * r * (2 * m + 1)),
    "the starts are missing": lambda k, r, m: (k, k * r * (2 * m + 1)),
    "starts and last answers cost, too": lambda k, r, m: (0, k * r * (2 * m + 1)),
}


def affordable(k: int, r: int, m: int, budget: int, price: Callable = right_price) -> int:
    """The most steps that the budget pays for; 0 where it does not even pay for 0 steps."""
    fixed, step = price(k, r, m)
    return max(0, (budget - fixed) // step)


def _rounded_up(k: int, r: int, m: int, budget: int) -> int:
    fixed, step = right_price(k, r, m)
    return max(0, -((fixed - budget) // step))


_ONE_MORE = "one step too many: a step counts only if the budget pays for all of its questions"
# What is said to whoever reckons with the right price, and counts otherwise.
NEAR_COUNTS: tuple[tuple[str, Callable[..., int]], ...] = (
    (_ONE_MORE, lambda *case: affordable(*case) + 1),
    (_ONE_MORE, _rounded_up),
    ("one step too few: look for the last that still fits", lambda *c: max(0, affordable(*c) - 1)),
    ("what costs exactly the budget is within it", lambda k, r, m, b: affordable(k, r, m, b - 1)),
)


def budget_cases() -> list[tuple[int, int, int, int]]:
    """Classes, restarts, directions and a budget, paid to the last query or near it."""
    draw = rng(0, "exercise", "budget")
    cases = [(2, 4, 10, 5_000), (1, 1, 1, 0), (2, 3, 5, 7), (2, 3, 5, 8)]
    for _ in range(12):
        k, r, m = (int(draw.integers(1, most)) for most in (4, 5, 11))
        fixed, step = right_price(k, r, m)
        exact = fixed + int(draw.integers(0, 40)) * step
        rests = (0, 2, -1, -k, -k * r, -k * (r + 1))  # short of starts or last answers
        cases += [(k, r, m, max(0, exact + rest)) for rest in rests]
    return cases


TESTS = {"07-tv": tv, "07-stop": stop, "07-budget": budget}
