"""Models that tell people apart: one class a person."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from medpriv.models.images import ImageCNN
from medpriv.runtime.arguments import choose
from medpriv.runtime.seeds import seeded

KINDS = ("linear", "mlp", "cnn")
HIDDEN = 300


class _Dense(nn.Module):
    """Pixels to classes, through one hidden layer of sigmoids or through none."""

    def __init__(self, pixels: int, people: int, hidden: int) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(flat=nn.Flatten())
        if hidden:
            layers |= {"hidden": nn.Linear(pixels, hidden), "sigmoid": nn.Sigmoid()}
        layers["output"] = nn.Linear(hidden or pixels, people)
        self.layers = nn.Sequential(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(n, c, h, w)`` in [0, 1] → logits ``(n, people)``."""
        return self.layers(images - 0.5)


def build_recogniser(
    shape: Sequence[int], people: int, *, kind: str = "mlp", seed: int = 0
) -> nn.Module:
    """An untrained recogniser, of the kinds that Fredrikson et al. 2015 (section 5) invert.

    ``linear`` is their softmax regression, ``mlp`` their perceptron with one hidden layer of
    sigmoids (with 300 units for their 3,000); ``cnn`` is :class:`ImageCNN`, which they do not have.

    Args:
        shape: ``(c, h, w)`` of an image.
        people: number of classes.
        kind: one of ``linear``, ``mlp``, ``cnn``.
        seed: decides the initial weights.

    Raises:
        ValueError: the kind is unknown.
    """
    choose(kind, KINDS, "kind of recogniser")
    channels, high, wide = shape
    with seeded(seed, "recogniser"):
        if kind == "cnn":
            return ImageCNN(size=high, channels=channels, classes=people)
        return _Dense(channels * high * wide, people, HIDDEN if kind == "mlp" else 0)
