"""Recovery with the weights: what is invertible comes back, and nobody else gets in."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.attacks import Search, choose_tv_weight, recover
from medpriv.deployment import ThreatModelError, View, deploy
from medpriv.metrics.images import mse
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng

SIZE = 16
SHAPE = (1, SIZE, SIZE)


def smooth(number: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(number, 1, 4, 4, generator=torch_rng(seed, "smooth"))
    return F.interpolate(coarse, size=SIZE, mode="bilinear")


def linear_view() -> View:
    """A front that loses nothing: 2x2 blocks of pixels turned by an orthogonal matrix."""
    conv = nn.Conv2d(1, 4, 2, stride=2)
    with seeded(0, "test"):
        nn.init.orthogonal_(conv.weight.view(4, 4))
    model = nn.Sequential(OrderedDict(conv=conv, flat=nn.Flatten(), dense=nn.Linear(256, 2)))
    return deploy(model, expose="weights", split="conv")


def cnn_view(**options) -> View:
    with seeded(0, "test"):
        return deploy(ImageCNN(size=SIZE), **({"expose": "weights", "split": "conv2"} | options))


# --- Known answers --------------------------------------------------------------------------------


def test_the_input_of_an_invertible_linear_layer_comes_back(device: str) -> None:
    view, victims = linear_view(), smooth(6)
    found = recover(
        view, view.intercept(victims), shape=SHAPE, search=Search(400, tv_weight=0.0), device=device
    )
    assert (found.images - victims).abs().max() < 1e-3
    assert found.objective.max() < 1e-6
    assert view.queries == 0


def test_without_the_data_term_the_smoothest_image_is_left() -> None:
    """A huge lambda leaves a constant image: no neighbour differs by more than a search step."""
    view, victims = cnn_view(), smooth(2)
    search = Search(200, tv_weight=1e4)
    found = recover(view, view.intercept(victims), shape=SHAPE, search=search, device="cpu")
    assert found.images.flatten(1).std(dim=1).max() < 0.02


def test_it_recovers_what_a_shallow_network_was_given() -> None:
    view, victims = cnn_view(), smooth(8)
    search = Search(300, tv_weight=1e-3)
    found = recover(view, view.intercept(victims), shape=SHAPE, search=search, device="cpu")
    grey = mse(victims, torch.full_like(victims, 0.5)).mean()
    assert mse(victims, found.images).mean() < grey / 20


# --- Batches, what is black, the course -----------------------------------------------------------


def test_a_victims_result_does_not_depend_on_the_others_nor_on_chunks() -> None:
    view, victims = linear_view(), smooth(5)
    sent, search = view.intercept(victims), Search(60)
    together = recover(view, sent, shape=SHAPE, search=search, device="cpu")
    alone = recover(view, sent[2:3], shape=SHAPE, search=search, device="cpu")
    chunked = recover(view, sent, shape=SHAPE, search=search, device="cpu", chunk=2)
    assert torch.allclose(together.images[2:3], alone.images, atol=1e-4)
    assert torch.allclose(together.images, chunked.images, atol=1e-4)


def test_what_is_dark_in_the_start_stays_black_and_nothing_else() -> None:
    """Beside a bright square the mean of 3x3 pixels is at least 0.2, at its corners 0.1."""
    view = cnn_view()
    start = torch.full((2, *SHAPE), 0.01)
    start[..., 5:11, 5:11] = 0.9
    lit = torch.zeros(SHAPE)
    lit[..., 3:13, 3:13] = 1.0  # one further, for a pixel with a neighbour that is not dark
    for row in (3, 12):
        for column in (3, 12):
            lit[..., row, column] = 0.0
    found = recover(
        view, view.intercept(torch.ones(2, *SHAPE)), shape=SHAPE, device="cpu", start=start,
        search=Search(30, tv_weight=0.0, dark=0.2), keep=(0, 30),
    )  # fmt: skip
    assert torch.equal(found.course[0], start * lit)
    assert not (found.images * (1 - lit)).any()
    assert (found.images - start * lit).abs().max() > 0.1


def test_the_course_goes_from_the_start_to_the_end_and_the_objective_is_the_least() -> None:
    view, victims = linear_view(), smooth(3)
    search = Search(200, tv_weight=0.0)
    found = recover(
        view, view.intercept(victims), shape=SHAPE, search=search, keep=(0, 20, 200, 900),
        device="cpu",
    )  # fmt: skip
    assert found.steps == (0, 20, 200)
    assert found.course.shape == (3, 3, *SHAPE)
    assert (found.course[0] - 0.5).abs().max() <= 0.005  # grey
    errors = [float(mse(victims, images).mean()) for images in found.course]
    assert errors == sorted(errors, reverse=True)


def test_it_begins_where_it_is_told() -> None:
    view, victims = linear_view(), smooth(3)
    found = recover(
        view, view.intercept(victims), shape=SHAPE, search=Search(1, 1e-9), start=victims,
        keep=(0,), device="cpu",
    )  # fmt: skip
    assert torch.equal(found.course[0], victims)
    assert torch.allclose(found.images, victims)


def test_the_same_seed_gives_the_same_images() -> None:
    view, victims = cnn_view(), smooth(2)
    sent, search = view.intercept(victims), Search(20)
    one, same = (recover(view, sent, shape=SHAPE, search=search, device="cpu") for _ in range(2))
    other = recover(view, sent, shape=SHAPE, search=search, seed=1, device="cpu")
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)


# --- Lambda ---------------------------------------------------------------------------------------


def test_lambda_is_chosen_on_the_attackers_images_by_their_error() -> None:
    view, own = cnn_view(split="conv4"), smooth(4, seed=2)
    weight, errors = choose_tv_weight(view, own, weights=(1e-4, 1e-1, 1e3), search=Search(60))
    assert set(errors) == {1e-4, 1e-1, 1e3}
    assert errors[weight] == min(errors.values())
    assert weight != 1e3  # which leaves nothing but grey
    assert view.queries == 4


def test_lambda_is_chosen_through_a_front_of_ones_own_alike() -> None:
    view, own = cnn_view(split="conv4"), smooth(4, seed=2)
    options = {"weights": (1e-4, 1e-1, 1e3), "search": Search(60)}
    expected = choose_tv_weight(view, own, **options)
    assert choose_tv_weight(view.weights(), own, **options) == expected


def test_a_front_of_ones_own_is_searched_through_as_a_views() -> None:
    view = cnn_view(split="conv4")
    sent, options = view.intercept(smooth(2)), {"shape": SHAPE, "search": Search(20)}
    found = recover(view.weights(), sent, **options)
    assert torch.equal(found.images, recover(view, sent, **options).images)
    with pytest.raises(TypeError, match="a network from images to features.* got Recovery"):
        recover(found, sent, **options)


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expose", "split"),
    [("label", None), ("scores", None), ("features", "conv2"), ("back", "conv2")],
)
def test_without_weights_it_is_refused(expose: str, split: str | None) -> None:
    view = cnn_view(expose=expose, split=split)
    for attack in (
        lambda: recover(view, torch.zeros(1, 16, 8, 8), shape=SHAPE),
        lambda: choose_tv_weight(view, smooth(2)),
    ):
        with pytest.raises(ThreatModelError, match=f"needs weights .* exposes {expose}"):
            attack()
    assert view.queries == 0


def test_weights_without_a_split_have_no_features_to_search_for() -> None:
    with pytest.raises(ThreatModelError, match="needs features"):
        recover(cnn_view(split=None), torch.zeros(1, 2), shape=SHAPE)


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 24, 24)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    view = cnn_view()
    with pytest.raises(ValueError, match="check shape and split"):
        recover(view, view.intercept(smooth(1)), shape=shape)
