"""The image classifier of Wu et al. 2020, by a public summary: six convolutions, two dense."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

CHANNELS = (16, 16, 32, 32, 32, 32)
POOLED_AFTER = (2, 4, 6)


class ImageCNN(nn.Module):
    """Six 3x3 convolutions, max-pooling after the second, fourth and sixth, two dense layers.

    Each layer is a block with a name, ``conv1`` to ``conv6``, ``dense1`` and ``dense2``; a block
    holds the layer with its activation and pooling, so a split "after layer 4" is the block
    ``conv4`` with its pooling included. (That Wu et al. 2020, arXiv 2011.00177, split after layers
    2, 4 and 6 is from a public summary; the pooling is that of He et al. 2019.)

    Args:
        size: height and width of the images; a multiple of 8, at least 16.
        channels: 1 for grey images, 3 for colour.
        classes: number of classes.

    Raises:
        ValueError: the size does not survive three poolings.
    """

    def __init__(self, *, size: int = 64, channels: int = 1, classes: int = 2) -> None:
        super().__init__()
        if size < 16 or size % 8:
            raise ValueError(f"size must be a multiple of 8 and at least 16, got {size}")
        widths = (channels, *CHANNELS)
        for number, (wide_in, wide_out) in enumerate(pairwise(widths), start=1):
            self.add_module(f"conv{number}", _block(wide_in, wide_out, number in POOLED_AFTER))
        flat = CHANNELS[-1] * (size // 8) ** 2
        self.dense1 = nn.Sequential(
            OrderedDict(flat=nn.Flatten(), dense=nn.Linear(flat, 128), relu=nn.ReLU())
        )
        self.dense2 = nn.Linear(128, classes)
        self.apply(he_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(n, channels, size, size)`` in [0, 1] → logits ``(n, classes)``."""
        x = images - 0.5
        for block in self.children():
            x = block(x)
        return x


def _block(wide_in: int, wide_out: int, pooled: bool) -> nn.Sequential:
    layers = OrderedDict(conv=nn.Conv2d(wide_in, wide_out, 3, padding=1), relu=nn.ReLU())
    if pooled:
        layers["pool"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


def he_weights(layer: nn.Module) -> None:
    """Weights that keep the signal's size through ReLU layers (He et al. 2015, eq. 10).

    With PyTorch's default weights the loss stays flat for most of a short training.
    """
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
