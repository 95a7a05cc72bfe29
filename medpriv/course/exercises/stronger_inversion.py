"""The exercises of chapter 07-stronger-inversion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from medpriv.attacks.images.class_inversion import should_stop
from medpriv.course.exercises.base import call
from medpriv.models import total_variation
from medpriv.runtime.seeds import rng, torch_rng

# What a wrong answer that follows `rule` on all cases is told.
NearMiss = tuple[str, Callable[..., Any]]


def _hint(found: Sequence[Any], cases: Sequence[tuple], near: Sequence[NearMiss]) -> str | None:
    """What is said to the first near miss that answers all cases as the reader's function does."""
    for text, rule in near:
        if list(found) == [rule(*case) for case in cases]:
            return text
    return None


# --- 07-tv ----------------------------------------------------------------------------------------


def tv(answer: Any) -> None:
    """``answer(images)`` → the total variation of each image, ``(n,)``."""
    # Neither square nor of one channel, so that no wrong divisor is right by chance.
    images = torch.rand(5, 2, 6, 9, generator=torch_rng(0, "exercise", "tv"))
    expected = total_variation(images).double()
    found = _one_each(call(answer, images.clone()), len(images))
    if torch.allclose(found, expected, rtol=1e-5, atol=0):
        return
    raise AssertionError(
        f"for test images of shape {tuple(images.shape)} your function gives {found[0]:.4f} for "
        f"the first, right is {expected[0]:.4f}. {_tv_hint(found, images.double(), expected)}"
    )


def _one_each(found: Any, count: int) -> Tensor:
    """One finite number for each image, ``(count,)`` float64, from whatever was returned."""
    try:
        values = torch.as_tensor(found).detach().double().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(
            f"return one number for each image, got {type(found).__name__}"
        ) from None
    assert values.numel() != 1, (
        f"your function gives one number for the whole batch; return {count}, one for each image. "
        "A sum or a mean over the dimensions 1, 2 and 3 leaves the images apart"
    )
    assert values.ndim == 1, (
        f"for {count} images return {count} numbers, shape ({count},); got {tuple(values.shape)}. "
        "Channels, rows and columns are all summed up"
    )
    assert len(values) == count, f"for {count} images return {count} numbers, got {len(values)}"
    assert bool(values.isfinite().all()), "return finite numbers, got infinite ones or NaN"
    return values


def _tv_hint(found: Tensor, images: Tensor, expected: Tensor) -> str:
    down, right = images.diff(dim=2), images.diff(dim=3)
    lines, columns = _sum(down.abs()), _sum(right.abs())
    means = down.abs().mean((1, 2, 3)) + right.abs().mean((1, 2, 3))
    signed = _sum(down) + _sum(right)
    round_ = _sum((images - images.roll(1, 2)).abs() + (images - images.roll(1, 3)).abs())
    factor = _factor(found, expected)
    if factor is not None:
        return _divisor_hint(factor, images)
    near = (
        (lines, "Only the differences downwards are in it; those to the right are missing"),
        (columns, "Only the differences to the right are in it; those downwards are missing"),
        (_sum(down**2) + _sum(right**2), "You square the differences; take their absolute values"),
        (
            means,
            "You divide each direction by the number of its own differences. There are fewer of "
            "them than values of an image, and not equally many down and to the right: add up "
            "first, then divide both by the number of values",
        ),
        (signed, _SIGNED),
        (signed.abs(), _SIGNED),
        (
            round_,
            "The last row has no neighbour below it, nor the last column one to its right: "
            "what stands at the opposite edge is none",
        ),
    )
    for wrong, text in near:
        if _factor(found, wrong) is not None:
            return text
    return (
        "Take the absolute differences of neighbours, down (dimension 2) and to the right "
        "(dimension 3), add up all of an image, and divide by how many values it has"
    )


_SIGNED = "Differences up and down cancel in your sum; take their absolute values before you add"


def _divisor_hint(factor: float, images: Tensor) -> str:
    values, pixels = images[0].numel(), images[0, 0].numel()
    if abs(factor - values) < 1e-3:
        return "That is the sum; divide it by the number of values of an image"
    if abs(factor - values / pixels) < 1e-3:
        return "You divide by the pixels; an image has one value for each pixel of each channel"
    if abs(factor - 1 / len(images)) < 1e-3:
        return "You divide by the values of all images together; count those of a single one"
    return f"All are {factor:.3g} times what they should be; look at what you divide by"


def _sum(differences: Tensor) -> Tensor:
    return differences.sum((1, 2, 3))


def _factor(found: Tensor, wrong: Tensor) -> float | None:
    """By what ``found`` is a multiple of ``wrong``; ``None`` where it is none."""
    factor = float(found @ wrong / (wrong @ wrong))
    alike = factor != 0 and torch.allclose(found, factor * wrong, rtol=1e-4, atol=1e-9)
    return factor if alike else None


# --- 07-stop --------------------------------------------------------------------------------------


def stop(answer: Any) -> None:
    """``answer(costs, patience, good_enough)`` → whether MI-Face stops, for one image."""
    cases = _stop_cases()
    found = [_truth_value(call(answer, list(costs), *rest)) for costs, *rest in cases]
    expected = [_stops(*case) for case in cases]
    if found == expected:
        return
    hint = _hint(found, cases, _STOP_NEAR)
    wrong = [row for row, said in enumerate(found) if said != expected[row]]
    row = min(wrong, key=lambda row: len(cases[row][0]))
    costs, patience, good_enough = cases[row]
    raise AssertionError(
        f"for costs={costs}, patience={patience} and good_enough={good_enough} your function says "
        f"{found[row]}, right is {expected[row]}. {hint or _stop_reason(*cases[row])}"
    )


def _stop_cases() -> list[tuple[list[float], int, float]]:
    """Costs, patience, good_enough: in eighths, so that some are equal and none is rounded."""
    draw = rng(0, "exercise", "stop")
    edges = [
        ([0.5], 1, 0.125),  # nothing before it
        ([0.125], 1, 0.125),
        ([0.5, 0.5], 1, 0.125),
        ([0.5, 0.375], 1, 0.125),
        ([0.25, 0.5, 0.75], 3, 0.125),  # one too few before it
        ([0.75, 0.25, 0.75], 2, 0.125),
        ([1.0, 0.375, 0.25, 0.375], 2, 0.125),
    ]
    drawn = []
    for _ in range(60):
        costs = draw.integers(1, 9, draw.integers(1, 8)) / 8
        good_enough = float(draw.integers(1, 4) / 8)
        drawn.append((costs.tolist(), int(draw.integers(1, 5)), good_enough))
    return edges + drawn


def _truth_value(found: Any) -> bool:
    try:
        value = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"return True or False, got {type(found).__name__}") from None
    assert value.numel() == 1, f"return one truth value, got {value.numel()}"
    assert value.dtype == torch.bool, f"return True or False, got the number {value.item():g}"
    return bool(value)


def _stops(costs: list[float], patience: int, good_enough: float) -> bool:
    exact = torch.tensor(costs, dtype=torch.float64)
    return bool(should_stop(exact, patience=patience, good_enough=good_enough))


def _stop_reason(costs: list[float], patience: int, good_enough: float) -> str:
    before = len(costs) - 1
    if costs[-1] <= good_enough:
        return "The last cost is good enough, whatever came before it"
    if before < patience:
        return f"Here are {before} costs before the last one, fewer than patience: go on"
    return (
        f"Of the costs before the last one, look at the {patience} directly before it, and compare "
        "the last with the worst of them"
    )


def _near_stop(
    *,
    far: Callable[[list[float], int], Sequence[float]] = lambda before, p: before[-p:],
    least: Callable[[int], int] = lambda patience: patience,
    worst: Callable[[Sequence[float]], float] = max,
    stuck: Callable[[float, float], bool] = lambda last, worst: last >= worst,
    good: Callable[[float, float], bool] = lambda last, good_enough: last <= good_enough,
) -> Callable[[list[float], int, float], bool]:
    """The rule with one of its parts changed."""

    def rule(costs: list[float], patience: int, good_enough: float) -> bool:
        before, last = costs[:-1], costs[-1]
        window = far(before, patience) if len(before) >= least(patience) else ()
        return good(last, good_enough) or (bool(window) and stuck(last, worst(window)))

    return rule


def _with_the_last(costs: list[float], patience: int, good_enough: float) -> bool:
    stuck = len(costs) > patience and costs[-1] >= max(costs[-patience:])
    return costs[-1] <= good_enough or stuck


_TOO_EARLY = (
    "Your rule looks back before there are `patience` costs before the last one; until then, only "
    "good_enough counts"
)
_STOP_NEAR: tuple[NearMiss, ...] = (
    (
        "Your rule is turned round: it goes on where it should stop. (A popular toolbox does the "
        "same, and its attack can end after one step.) Ask when the search is *over*",
        lambda *case: not _stops(*case),
    ),
    ("Your rule never stops, so the search would not end", lambda *_: False),
    ("Your rule always stops, so the search would not begin", lambda *_: True),
    (
        "Your comparison is turned round: it stops while the costs still get better. Stop where "
        "the last one is *no* better",
        _near_stop(stuck=lambda last, worst: last < worst),
    ),
    (
        "Your comparison is turned round: it stops while the costs still get better. Stop where "
        "the last one is *no* better",
        _near_stop(stuck=lambda last, worst: last <= worst),
    ),
    (
        "You compare with the best of the costs before it; a single good one would end the search. "
        "The rule is more patient: compare with the worst",
        _near_stop(worst=min),
    ),
    (
        "You compare with all earlier costs; only the last `patience` of them count, for the first "
        "ones are high anyway",
        _near_stop(far=lambda before, patience: before),
    ),
    (
        "You compare with all earlier costs, however few there are; only the last `patience` of "
        "them count, and only once there are so many",
        _near_stop(far=lambda before, patience: before, least=lambda patience: 1),
    ),
    (
        "A last cost that equals the worst of those before it is no better: stop there, too",
        _near_stop(stuck=lambda last, worst: last > worst),
    ),
    (
        "A last cost that is at most good_enough ends the search; your rule does not look at it",
        _near_stop(good=lambda last, good_enough: False),
    ),
    (
        "A cost that equals good_enough is good enough",
        _near_stop(good=lambda last, good_enough: last < good_enough),
    ),
    (_TOO_EARLY, _near_stop(least=lambda patience: 1)),
    (_TOO_EARLY + ". The last one is not one of them", _near_stop(least=lambda p: p - 1)),
    (
        "The last cost is among those that you compare it with; only the ones before it count",
        _with_the_last,
    ),
    (
        "Your rule waits for one cost too many: `patience` costs before the last one are enough",
        _near_stop(least=lambda patience: patience + 1),
    ),
)


# --- 07-budget ------------------------------------------------------------------------------------


def budget(answer: Any) -> None:
    """``answer(classes, restarts, directions, budget)`` → how many steps the budget pays for."""
    cases = _budget_cases()
    found = [_whole(call(answer, *case)) for case in cases]
    expected = [affordable(*case) for case in cases]
    if found == expected:
        return
    row = next(row for row, steps in enumerate(found) if steps != expected[row])
    below = [row for row, steps in enumerate(found) if steps < 0]
    row, hint = (below[0], _NEGATIVE) if below else (row, _hint(found, cases, _BUDGET_NEAR))
    classes, restarts, directions, queries = cases[row]
    raise AssertionError(
        f"with classes={classes}, restarts={restarts}, directions={directions} and "
        f"budget={queries} your function gives {found[row]}, right is {expected[row]}. "
        f"{hint or _budget_reason(found[row], *cases[row])}"
    )


def cost(classes: int, restarts: int, directions: int, steps: int) -> int:
    """Queries of a class inversion from scores: steps and start of each restart, last answers."""
    return classes * (restarts * (steps * (2 * directions + 1) + 1) + 1)


def affordable(classes: int, restarts: int, directions: int, budget: int) -> int:
    """The most steps whose :func:`cost` is at most ``budget``; 0 where not even 0 steps fit."""
    step = classes * restarts * (2 * directions + 1)
    return max(0, (budget - cost(classes, restarts, directions, 0)) // step)


def _budget_cases() -> list[tuple[int, int, int, int]]:
    draw = rng(0, "exercise", "budget")
    cases = [(2, 4, 10, 5_000), (1, 1, 1, 0), (2, 3, 5, 7), (2, 3, 5, 8)]
    for _ in range(12):
        classes, restarts, directions = (int(draw.integers(1, most)) for most in (4, 5, 11))
        exact = cost(classes, restarts, directions, int(draw.integers(0, 40)))
        # Paid to the last query, a little over, one short, and short of starts or last answers.
        rests = (0, 2, -1, -classes, -classes * restarts, -classes * (restarts + 1))
        cases += [(classes, restarts, directions, max(0, exact + rest)) for rest in rests]
    return cases


def _whole(found: Any) -> int:
    try:
        value = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"return one whole number, got {type(found).__name__}") from None
    assert value.numel() == 1, f"return one whole number, got {value.numel()} numbers"
    assert value.dtype != torch.bool, "return a whole number, got a truth value"
    assert not value.is_floating_point(), (
        f"return a whole number (an int), got {value.item():.6g}, which is a float; a step that "
        "is paid for in part is not taken, so divide whole numbers and round down"
    )
    return int(value)


def _budget_reason(steps: int, classes: int, restarts: int, directions: int, budget: int) -> str:
    price = cost(classes, restarts, directions, steps)
    if price > budget:
        return f"{steps} steps would cost {price} queries, which the budget does not cover"
    more = cost(classes, restarts, directions, steps + 1)
    return f"{steps + 1} steps would cost {more} queries, which the budget covers"


_NEGATIVE = "Where the budget is too small for even 0 steps, the answer is 0, never less"
_ONE_MORE = "One step too many: a step counts only if the budget pays for all of its queries"


def _near_budget(price: Callable[[int, int, int, int], int]) -> Callable[..., int]:
    """The most steps for another price, which grows by the same with each step."""

    def rule(classes: int, restarts: int, directions: int, budget: int) -> int:
        nothing, one = (price(classes, restarts, directions, steps) for steps in (0, 1))
        return max(0, (budget - nothing) // (one - nothing))

    return rule


_BUDGET_NEAR: tuple[NearMiss, ...] = (
    (_ONE_MORE, lambda *case: affordable(*case) + 1),
    (_ONE_MORE, lambda k, r, m, b: max(0, -((cost(k, r, m, 0) - b) // (k * r * (2 * m + 1))))),
    (
        "One step too few: look for the last step that still fits",
        lambda *case: max(0, affordable(*case) - 1),
    ),
    (
        "A search that costs exactly the budget is within it",
        lambda k, r, m, b: affordable(k, r, m, b - 1),
    ),
    (
        "The restarts are missing: each of them begins anew and takes its own steps",
        _near_budget(lambda k, r, m, t: cost(k, 1, m, t)),
    ),
    (
        "The restarts are missing in the steps: each restart takes its own",
        _near_budget(lambda k, r, m, t: k * (t * (2 * m + 1) + r + 1)),
    ),
    (
        "The classes are missing: each of them is searched for on its own",
        _near_budget(lambda k, r, m, t: cost(1, r, m, t)),
    ),
    (
        "A direction is asked about at both of its ends: two neighbours, not one",
        _near_budget(lambda k, r, m, t: k * (r * (t * (m + 1) + 1) + 1)),
    ),
    (
        "Each step also asks for the cost of its new image, after its neighbours",
        _near_budget(lambda k, r, m, t: k * (r * (t * 2 * m + 1) + 1)),
    ),
    (
        "The last answer is missing, which is asked for once for each class",
        _near_budget(lambda k, r, m, t: k * r * (t * (2 * m + 1) + 1)),
    ),
    (
        "The last answer is asked for once for each class, not once in all",
        _near_budget(lambda k, r, m, t: k * r * (t * (2 * m + 1) + 1) + 1),
    ),
    (
        "The last answer is asked for the best restart of each class only, not for all of them",
        _near_budget(lambda k, r, m, t: k * r * (t * (2 * m + 1) + 2)),
    ),
    (
        "The start of each restart is missing: its cost is asked for, too",
        _near_budget(lambda k, r, m, t: k * (r * t * (2 * m + 1) + 1)),
    ),
    (
        "You count the steps only; each restart also asks about its start, and each class for a "
        "last answer",
        _near_budget(lambda k, r, m, t: k * r * t * (2 * m + 1)),
    ),
)


TESTS: dict[str, Callable[[Any], None]] = {
    "07-tv": tv,
    "07-stop": stop,
    "07-budget": budget,
}
