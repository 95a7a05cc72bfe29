"""The image classifier of Wu et al. 2020."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from medpriv.models import front, split_names
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng

# Shapes of one 64x64 image after each block, by hand: 3x3 convolutions keep the size, pooling after
# the second, fourth and sixth halves it.
SHAPES = {
    "conv1": (16, 64, 64),
    "conv2": (16, 32, 32),
    "conv3": (32, 32, 32),
    "conv4": (32, 16, 16),
    "conv5": (32, 16, 16),
    "conv6": (32, 8, 8),
    "dense1": (128,),
}
# Weights and biases by hand: 9 · in · out + out in a convolution, in · out + out in a dense layer.
PARAMETERS = {
    "conv1": 9 * 1 * 16 + 16,
    "conv2": 9 * 16 * 16 + 16,
    "conv3": 9 * 16 * 32 + 32,
    "conv4": 9 * 32 * 32 + 32,
    "conv5": 9 * 32 * 32 + 32,
    "conv6": 9 * 32 * 32 + 32,
    "dense1": 32 * 8 * 8 * 128 + 128,
    "dense2": 128 * 2 + 2,
}


def model(**options) -> ImageCNN:
    with seeded(0, "test"):
        return ImageCNN(**options).eval()


def images(number: int = 2, channels: int = 1, size: int = 64) -> torch.Tensor:
    return torch.rand(number, channels, size, size, generator=torch_rng(0, "images"))


def test_layers_and_parameters() -> None:
    found = {
        name: sum(weight.numel() for weight in block.parameters())
        for name, block in model().named_children()
    }
    assert found == PARAMETERS
    assert sum(found.values()) == 297_394


def test_the_names_to_split_at() -> None:
    assert split_names(model()) == tuple(SHAPES)


@pytest.mark.parametrize("split", SHAPES)
def test_features_have_the_papers_shapes(split: str) -> None:
    assert front(model(), split)(images()).shape == (2, *SHAPES[split])


@pytest.mark.parametrize("split", SHAPES)
def test_the_front_and_then_the_rest_is_the_whole_model(split: str) -> None:
    whole, x = model(), images()
    features = front(whole, split)(x)
    for name, block in whole.named_children():
        if (*SHAPES, "dense2").index(name) > (*SHAPES, "dense2").index(split):
            features = block(features)
    torch.testing.assert_close(features, whole(x))


def test_a_block_is_convolution_then_relu_then_pooling() -> None:
    net, x = model(), images()
    one = F.relu(F.conv2d(x - 0.5, net.conv1.conv.weight, net.conv1.conv.bias, padding=1))
    torch.testing.assert_close(front(net, "conv1")(x), one)
    two = F.relu(F.conv2d(one, net.conv2.conv.weight, net.conv2.conv.bias, padding=1))
    torch.testing.assert_close(front(net, "conv2")(x), F.max_pool2d(two, 2))


@pytest.mark.parametrize(
    ("size", "channels", "classes"), [(16, 1, 2), (24, 3, 5), (64, 3, 2), (128, 1, 9)]
)
def test_other_sizes_channels_and_classes(size: int, channels: int, classes: int) -> None:
    net = model(size=size, channels=channels, classes=classes)
    assert net(images(3, channels, size)).shape == (3, classes)


@pytest.mark.parametrize("size", [0, 8, 20, 63, -16])
def test_a_size_that_does_not_survive_the_poolings(size: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 8 and at least 16, got {size}"):
        ImageCNN(size=size)


def test_a_new_model_neither_dies_nor_explodes() -> None:
    """Features of every layer keep about the size of the input's deviations."""
    net = model()
    for split in SHAPES:
        features = front(net, split)(images(8))
        assert 0.02 < features.std() < 5
        assert (features > 0).float().mean() > 0.05
