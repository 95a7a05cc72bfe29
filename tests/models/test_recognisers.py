"""Models with one class a person."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medpriv.models.images import ImageCNN
from medpriv.models.recognisers import build_recogniser
from medpriv.training.recognisers import train_recogniser
from medpriv.training.utility_scores import predict

SHAPE = (1, 16, 16)


def pictures(people: int = 5) -> torch.Tensor:
    """One picture of each person: a bright square, elsewhere for each."""
    images = torch.full((people, *SHAPE), 0.2)
    for row in range(people):
        images[row, 0, 3 * row : 3 * row + 3, 4:10] = 0.9
    return images


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn"])
def test_one_logit_a_person(kind: str) -> None:
    assert build_recogniser(SHAPE, 7, kind=kind)(torch.rand(3, *SHAPE)).shape == (3, 7)


def test_the_kinds_are_what_they_are_called() -> None:
    layers = {
        kind: [type(m) for m in build_recogniser(SHAPE, 7, kind=kind).modules()]
        for kind in ("linear", "mlp")
    }
    assert [layers[kind].count(nn.Linear) for kind in ("linear", "mlp")] == [1, 2]
    assert nn.Sigmoid in layers["mlp"]
    assert isinstance(build_recogniser(SHAPE, 7, kind="cnn"), ImageCNN)


def test_colour_and_seed() -> None:
    colour = build_recogniser((3, 16, 16), 2)
    assert colour(torch.rand(1, 3, 16, 16)).shape == (1, 2)
    first, second = (build_recogniser(SHAPE, 2, seed=seed)(pictures(1)) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, build_recogniser(SHAPE, 2, seed=0)(pictures(1)))


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match=r"kind of recogniser 'tree'.*linear, mlp, cnn"):
        build_recogniser(SHAPE, 2, kind="tree")


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_it_learns_who_is_who(kind: str) -> None:
    model = train_recogniser(pictures(), kind=kind, device="cpu")
    assert predict(model, pictures()).argmax(1).tolist() == [0, 1, 2, 3, 4]
    again = train_recogniser(pictures(), kind=kind, device="cpu")
    assert torch.equal(predict(model, pictures()), predict(again, pictures()))


def test_it_leaves_the_pictures_alone() -> None:
    own = pictures()
    train_recogniser(own, profile="smoke", device="cpu")
    assert torch.equal(own, pictures())


def test_one_person_is_nobody_to_tell_apart() -> None:
    with pytest.raises(ValueError, match="two or more people.*got 1"):
        train_recogniser(pictures(1), device="cpu")
