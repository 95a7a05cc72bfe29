"""Gradients, exact from weights and estimated from scores: what they are, and what they cost."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.attacks.images import gradients
from medpriv.attacks.images.gradients import Probe, estimate_gradient, open_access
from medpriv.deployment import deploy
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng

SHAPE = (1, 4, 5)
SIGNS = torch.randint(0, 2, (3, 20), generator=torch_rng(0, "signs")).float() * 2 - 1
IMAGES = torch.rand(5, *SHAPE, generator=torch_rng(0)) / 2 + 0.25
LABELS = torch.tensor([0, 1, 2, 0, 1])


def linear(weights: Tensor) -> nn.Module:
    """Logits weights @ pixels."""
    layer = nn.Linear(weights.shape[1], len(weights), bias=False)
    with torch.no_grad():
        layer.weight.copy_(weights)
    return nn.Sequential(nn.Flatten(), layer)


def chosen(log_scores: Tensor, labels: Tensor) -> Tensor:
    """The loss of these tests: the log-score of the class."""
    return log_scores.gather(1, labels[:, None])[:, 0]


# --- Estimates ------------------------------------------------------------------------------------


def test_the_estimate_points_where_the_gradient_does() -> None:
    """20 pixels, 400 directions: the expected cosine is √(400 / 420) = 0.976."""
    model, images, labels = linear(SIGNS), IMAGES.clone(), LABELS

    def loss(some: Tensor, of: Tensor) -> Tensor:
        return chosen(model(some).log_softmax(1), of)

    directions = torch.randn(400, *SHAPE, generator=torch_rng(0, "directions"))
    with torch.no_grad():
        estimate = estimate_gradient(loss, images, labels, directions, 0.01)
    images.requires_grad_()
    (exact,) = torch.autograd.grad(loss(images, labels).sum(), images)
    cosine = F.cosine_similarity(estimate.flatten(1), exact.flatten(1))
    assert cosine.min() > 0.93
    ratio = estimate.flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert (ratio - 1).abs().max() < 0.2


def test_on_orthonormal_directions_it_is_exact_and_the_border_counts_half() -> None:
    """With √d times the unit vectors the mean over directions of u uᵀ is the identity."""
    weights = torch.arange(1.0, 21.0)
    directions = math.sqrt(20) * torch.eye(20).view(20, *SHAPE)

    def loss(some: Tensor, _: Tensor) -> Tensor:
        return some.flatten(1) @ weights

    labels = torch.zeros(2, dtype=torch.int64)
    images = torch.stack([torch.full(SHAPE, 0.5), torch.zeros(SHAPE)])
    estimate = estimate_gradient(loss, images, labels, directions, 0.01).flatten(1)
    torch.testing.assert_close(estimate, torch.stack([weights, weights / 2]), rtol=1e-3, atol=0)


@given(st.integers(1, 9))
def test_neighbours_come_in_pieces_that_fit_into_memory(values: int) -> None:
    """However few fit, the estimate is the same, images stay in [0, 1], and 2 m n are asked."""
    asked: list[int] = []

    def loss(some: Tensor, of: Tensor) -> Tensor:
        assert len(some) == len(of)
        assert 0 <= some.min() <= some.max() <= 1
        asked.append(len(some))
        return some.flatten(1).square() @ SIGNS[0] * (1 + of)

    images, labels = torch.rand(3, *SHAPE, generator=torch_rng(1)), torch.tensor([0, 1, 2])
    directions = torch.randn(7, *SHAPE, generator=torch_rng(2))
    whole = estimate_gradient(loss, images, labels, directions, 0.1)
    assert asked == [2 * 7 * 3]
    asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "_VALUES", values * 2 * images.numel())
        pieces = estimate_gradient(loss, images, labels, directions, 0.1)
    torch.testing.assert_close(pieces, whole)
    assert sum(asked) == 2 * 7 * 3
    assert max(asked) <= 2 * 3 * values


# --- Access ---------------------------------------------------------------------------------------


def test_weights_give_the_exact_gradient(device: str) -> None:
    """The gradient of log p_y is w_y minus the mean of all w, weighed by p."""
    access = open_access(deploy(linear(SIGNS), expose="weights"), Probe(), device=device)
    slope = access.gradient(chosen, IMAGES.to(access.device), LABELS.to(access.device), 0)
    expected = SIGNS[LABELS] - linear(SIGNS)(IMAGES).softmax(1) @ SIGNS
    torch.testing.assert_close(slope.cpu().flatten(1), expected.detach(), atol=1e-5, rtol=1e-5)


def test_exact_gradients_come_in_pieces_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with seeded(0, "test"):
        view = deploy(ImageCNN(size=16, classes=3), expose="weights")
    access = open_access(view, Probe(), device="cpu")
    images = torch.rand(5, 1, 16, 16, generator=torch_rng(3))
    whole = access.both(chosen, images, LABELS)
    monkeypatch.setattr(gradients, "_ROWS", 2)
    pieces = access.both(chosen, images, LABELS)
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(pieces[0], access.look(chosen, images, LABELS))
    assert torch.equal(pieces[1], access.gradient(chosen, images, LABELS, 0))


def test_scores_cost_what_is_said_and_weights_nothing() -> None:
    view, probe = deploy(linear(SIGNS), expose="scores"), Probe(directions=7)
    access = open_access(view, probe)
    access.look(chosen, IMAGES, LABELS)
    assert view.queries == 5 * access.look_price
    access.gradient(chosen, IMAGES, LABELS, 0)
    assert view.queries == 5 * (access.look_price + access.gradient_price) == 5 * (1 + 2 * 7)
    stolen = deploy(linear(SIGNS), expose="weights")
    access = open_access(stolen, probe, device="cpu")
    access.look(chosen, IMAGES, LABELS)
    access.gradient(chosen, IMAGES, LABELS, 0)
    assert stolen.queries == access.look_price == access.gradient_price == 0


@pytest.mark.parametrize("grain", [1, 2, 4, 16])
def test_with_a_coarser_grain_a_gradient_is_as_long(grain: int) -> None:
    """The gradient of log p_1 is the same at each pixel, so its local means are what it is."""
    model = linear(torch.stack([torch.zeros(64), torch.full((64,), 0.1)]))
    grey = torch.full((1, 1, 8, 8), 0.5)
    access = open_access(
        deploy(model, expose="scores"), Probe(directions=1000, spread=0.01, grain=grain)
    )
    slope = access.gradient(chosen, grey, torch.tensor([1]), 0)
    expected = 0.1 * model(grey).softmax(1)[0, 0].item()
    assert slope.mean().item() == pytest.approx(expected, rel=0.15)


def test_directions_are_new_in_each_step_and_the_same_for_a_seed() -> None:
    def slope(seed: int, step: int) -> Tensor:
        access = open_access(deploy(linear(SIGNS), expose="scores"), Probe(), seed=seed)
        return access.gradient(chosen, IMAGES, LABELS, step)

    assert torch.equal(slope(0, 1), slope(0, 1))
    assert not torch.equal(slope(0, 1), slope(0, 2))
    assert not torch.equal(slope(0, 1), slope(1, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": 0}, "directions must be 1 or more, got 0"),
        ({"grain": 0}, "grain must be 1 or more, got 0"),
        ({"spread": 0.0}, "spread must be above 0, got 0.0"),
        ({"spread": math.nan}, "spread must be above 0, got nan"),
    ],
)
def test_probes_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Probe(**options)
