"""The tests of chapter 06."""

from __future__ import annotations

from typing import Any

import torch

from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.course.exercises.base import call, number, views_asked
from medpriv.deployment import QueryBudgetError
from medpriv.metrics import ssim
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng


def _images(number: int) -> torch.Tensor:
    """Smooth random images, so that no test needs anybody's picture."""
    noise = torch.rand(number, 1, 8, 8, generator=torch_rng(0, "exercise"))
    smooth = torch.nn.functional.interpolate(noise, size=32, mode="bilinear")
    return smooth.clamp(0, 1)


def blank(answer: Any) -> None:
    """``answer(images)`` → the mean SSIM of an all-black guess."""
    images = _images(4)
    images[0] *= 0.02
    found = number(call(answer, images))
    expected = ssim(images, torch.zeros_like(images)).mean()
    ones = ssim(images, torch.ones_like(images)).mean()
    assert abs(found - ones) > 1e-6, "that is the score of a white image; black is 0"
    assert abs(found - expected) < 1e-6, (
        f"for four test images your function gives {found:.4f}, right is {expected:.4f}; compare "
        "each image with one of the same shape that is zero everywhere, then take the mean"
    )


def budget(answer: Any) -> None:
    """``answer(model, images, budget)`` → an inverse network fitted within the budget."""
    with seeded(0, "exercise"):
        model = ImageCNN(size=32)
    try:
        with views_asked() as asked:
            inverse = call(answer, model, _images(24), 10)
    except QueryBudgetError as error:
        raise AssertionError(
            f"the view refused ({error}); send only as many auxiliary images as the budget allows"
        ) from error
    assert isinstance(inverse, InverseNetwork), (
        f"return what fit_inverse_network returns, got {type(inverse).__name__}"
    )
    places = ", ".join(sorted({str(view.split) for view in asked} - {"conv4"}))
    assert not places, f"your attacker asked at {places}; the task says conv4"
    assert all(view.query_budget == 10 for view in asked), (
        "nothing in your deployment stops the attacker; deploy with query_budget=budget, so that "
        "the view refuses more"
    )
    assert inverse.queries == 10, (
        f"with a budget of 10 your attacker asked {inverse.queries} times; use the whole budget "
        "and no more"
    )


def control(answer: Any) -> None:
    """``answer(truth, guess)`` → mean SSIM with one's own image minus with another patient's."""
    truth = _images(6)
    guess = (truth * 0.9 + 0.05).clamp(0, 1)
    found = number(call(answer, truth, guess))
    own = ssim(truth, guess)

    def equals(sign: int, rows: int) -> bool:
        # Up or down the rows, both are another patient.
        others = [ssim(truth.roll(way * rows, dims=0), guess) for way in (1, -1)]
        return any(abs(found - sign * float((own - other).mean())) < 1e-6 for other in others)

    assert not equals(-1, 2), "the sign is turned round: own minus other"
    assert not equals(1, 1), "one row away may be the same patient's other breast; move by two rows"
    assert abs(found - float(own.mean())) > 1e-6, (
        "that is the score with the own image alone; subtract the score with the other patient's"
    )
    right = float((own - ssim(truth.roll(2, dims=0), guess)).mean())
    assert equals(1, 2), (
        f"for six test images your function gives {found:.4f}, right is {right:.4f}. The second "
        "score compares each guess with the image two rows away; for the last two rows, that is "
        "one of the first two"
    )


TESTS = {"06-blank": blank, "06-budget": budget, "06-control": control}
