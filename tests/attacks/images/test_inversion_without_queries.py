"""The attack without a query: what it needs, what it recovers, and that it asks nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from medpriv.attacks import Search, fit_shadow_front, recover
from medpriv.attacks.images.inversion_without_queries import ShadowFront, _Moments
from medpriv.deployment import QueryBudgetError, ThreatModelError, View, deploy
from medpriv.metrics.images import mse
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe

SIZE = 32
SHAPE = (1, SIZE, SIZE)


def blobs(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A bright disc in one half of the image; the class is the half."""
    source = torch_rng(seed, "blobs")
    label = torch.arange(number) % 2
    across = 0.15 + 0.3 * torch.rand(number, generator=source) + 0.4 * label
    along = 0.2 + 0.6 * torch.rand(number, generator=source)
    line = torch.linspace(0, 1, SIZE)
    distance = (line[None, None] - across[:, None, None]) ** 2
    distance = distance + (line[None, :, None] - along[:, None, None]) ** 2
    return torch.exp(-distance / 0.02)[:, None], label


def view(expose: str = "back", split: str | None = "conv2", **options) -> View:
    with seeded(0, "test"):
        return deploy(ImageCNN(size=SIZE), expose=expose, split=split, **options)


def test_it_recovers_from_the_traffic_alone_and_asks_nothing() -> None:
    """One seed. The control is the best constant image, which knows the auxiliary images only."""
    served = view(query_budget=0)
    victims, _ = blobs(40, seed=1)
    images, labels = blobs(200)
    sent = served.intercept(victims)
    shadow = fit_shadow_front(
        served, sent, images, labels, recipe=Recipe(20, batch_size=32), device="cpu"
    )
    assert shadow.front(victims).shape == sent.shape
    found = recover(
        shadow.front, sent, shape=SHAPE, search=Search(200, tv_weight=1e-2), device="cpu"
    )
    mean = images.mean(0, keepdim=True).expand_as(victims)
    assert mse(victims, found.images).mean() < 0.7 * mse(victims, mean).mean()
    assert served.queries == 0
    with pytest.raises(QueryBudgetError):
        served(victims)


def test_moments_agree_with_numpy_and_are_0_for_the_same_features() -> None:
    features = torch.rand(50, 3, 4, 4, generator=torch_rng(0, "moments"))
    own = _Moments.of(features)
    assert float(own.distance(features)) == pytest.approx(0, abs=1e-8)
    rows = features.transpose(0, 1).flatten(1)
    assert torch.allclose(own.together, torch.cov(rows, correction=0), atol=1e-6)
    assert float(own.distance(features * 2)) > 0.1
    # Channels in another order have other means at their places.
    assert float(own.distance(features[:, [1, 2, 0]])) > 1e-3


@pytest.mark.parametrize(
    ("expose", "split"),
    [("label", None), ("scores", None), ("features", "conv2"), ("weights", "conv2")],
)
def test_who_does_not_run_the_back_is_refused(expose: str, split: str | None) -> None:
    images, labels = blobs(4)
    with pytest.raises(ThreatModelError, match=f"a shadow front needs back .* exposes {expose}"):
        fit_shadow_front(view(expose, split), torch.zeros(2, 16, 16, 16), images, labels)


def test_features_that_are_no_maps_are_refused() -> None:
    served = view(split="dense1")
    images, labels = blobs(4)
    with pytest.raises(ValueError, match="features that are maps"):
        fit_shadow_front(served, served.intercept(images), images, labels)


def test_the_same_seed_gives_the_same_front() -> None:
    images, labels = blobs(16)
    fronts = []
    for seed in (0, 0, 1):
        served = view()
        shadow = fit_shadow_front(
            served, served.intercept(images), images, labels, seed=seed, recipe=Recipe(1),
            device="cpu",
        )  # fmt: skip
        fronts.append(shadow.front(images).detach())
    assert torch.equal(fronts[0], fronts[1])
    assert not torch.equal(fronts[0], fronts[2])


def test_the_start_with_the_lowest_loss_goes_on() -> None:
    """Of three starts after one epoch, the one kept is the best of them; then it is trained on."""
    images, labels = blobs(16)
    served = view()

    def trained(epochs: int, **options: Any) -> ShadowFront:
        return fit_shadow_front(
            served, served.intercept(images), images, labels, recipe=Recipe(epochs, batch_size=8),
            device="cpu", **options,
        )  # fmt: skip

    alone, best = trained(1, starts=1), trained(1, starts=3)
    assert best.history[-1] <= alone.history[-1]
    assert trained(4).history[:1] == best.history
    assert len(trained(4).history) == 4


def test_no_start_is_refused() -> None:
    images, labels = blobs(4)
    served = view()
    with pytest.raises(ValueError, match="at least one start, got 0"):
        fit_shadow_front(served, served.intercept(images), images, labels, starts=0)
