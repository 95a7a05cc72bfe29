"""Adversarial training: the opponent it trained with fails, and a fresh one need not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medpriv.data import load_records
from medpriv.data.cohort import Cohort
from medpriv.defenses import train_adversarially
from medpriv.defenses.adversarial import Opponent, fit_against
from medpriv.defenses.split_training import Halves
from medpriv.deployment import deploy
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe
from medpriv.training.targets import train_target

BRIEF = Recipe(epochs=2, batch_size=32, weight_decay=1e-2)


pytestmark = pytest.mark.usefixtures("fresh_cache")


@pytest.fixture
def cohort(small_images: Cohort) -> Cohort:
    return small_images


def test_without_weight_it_is_the_ordinary_training(cohort: Cohort) -> None:
    plain = train_target(cohort, recipe=BRIEF, seed=3, device="cpu").state_dict()
    found = train_adversarially(cohort, "conv2", 0.0, recipe=BRIEF, seed=3, device="cpu")
    weights = found.model.state_dict()
    assert all(torch.equal(plain[name], value) for name, value in weights.items())


def test_the_opponent_is_worse_off_than_one_of_an_undefended_model(cohort: Cohort) -> None:
    recipe = Recipe(epochs=30, batch_size=16, learning_rate=3e-3)
    errors = []
    for weight in (1e-9, 3.0):  # without any, the opponent would not be trained either
        found = train_adversarially(cohort, "conv4", weight, recipe=recipe)
        view = deploy(found.model, expose="features", split="conv4")
        guess = found.guess(view.intercept(cohort.victims.x))
        assert guess.shape == cohort.victims.x.shape
        assert 0 <= float(guess.min()) <= float(guess.max()) <= 1
        errors.append(float(F.mse_loss(guess, cohort.victims.x)))
    assert errors[1] > 1.25 * errors[0]


def two_signals(n: int = 2_000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs whose first number is the label's, and whose second is a secret."""
    x = torch.randn(n, 2, generator=torch_rng(0, "signals"))
    return x, (x[:, 0] > 0).long(), (x[:, 1:] > 0).float()


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_a_linear_front_learns_to_leave_the_secret_out(weight: float) -> None:
    # The best front looks at the first number only; the secret then cannot be told by anybody.
    x, y, secret = two_signals()
    with seeded(0, "linear"):
        front, back = nn.Linear(2, 1, bias=False), nn.Linear(1, 2)
        opponent = Opponent(nn.Linear(1, 1))
    with torch.no_grad():
        front.weight.copy_(torch.tensor([[1.0, 1.0]]))
    fit_against(
        Halves(front, back, 2), opponent, x, y, secret, weight,
        error=F.binary_cross_entropy_with_logits, alone=0.6931,
        recipe=Recipe(epochs=20, batch_size=64, learning_rate=0.02, exact=True), seed=0,
        device="cpu",
    )  # fmt: skip
    first, second = front.weight.detach()[0].tolist()
    share = abs(second / first)
    assert share < 0.15
    features = (x @ front.weight.T).detach()
    told = ((features > features.median()) == secret.bool()).double().mean().item()
    assert abs(told - 0.5) < 0.1


def test_an_opponent_does_not_see_shift_or_scale() -> None:
    with seeded(0, "net"):
        opponent = Opponent(nn.Conv2d(3, 1, 1))
    z = torch.randn(4, 3, 5, 5, generator=torch_rng(0, "z"))
    torch.testing.assert_close(opponent(5 * z + 2), opponent(z), rtol=1e-3, atol=1e-4)


def test_a_last_batch_of_one_row_goes_without_the_opponent(cohort: Cohort) -> None:
    few = replace(cohort, members=cohort.members.take(slice(0, 9)))
    found = train_adversarially(few, "dense1", 1.0, recipe=Recipe(epochs=1, batch_size=4))
    assert all(bool(value.isfinite().all()) for value in found.model.state_dict().values())


def test_bad_input(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        train_adversarially(cohort, "conv2", -0.1)
    grey = replace(cohort.members, x=torch.full_like(cohort.members.x, 0.5))
    with pytest.raises(ValueError, match="a secret that varies"):
        train_adversarially(replace(cohort, members=grey), "conv2", 1.0, recipe=BRIEF)
    with pytest.raises(ValueError, match="use train_adapter"):
        train_adversarially(load_records("warfarin", profile="smoke"), "dense1", 1.0)
