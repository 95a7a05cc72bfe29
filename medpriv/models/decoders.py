"""The network that turns features back into images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PixelShuffleDecoder(nn.Module):
    """Features ``(n, c, h, w)``, ``(n, d)`` or ``(n, T, d)`` → images ``(n, channels, s, s)``.

    T tokens of a transformer lie in a square, row by row, perhaps after one for the whole image,
    which is left out; where they do not, they are read as one vector.

    The image is the sum of two paths. The *linear* path maps the 3x3 neighbourhood of each
    feature to the block of pixels it stands for; it can be solved in closed form. The
    *residual* path corrects it; its last layer starts at zero, so a new decoder is its linear
    path alone.

    He et al. 2019 mirror the target with transposed convolutions at full size. Here all the
    convolutions run on a coarse grid, as residual blocks, and one pixel shuffle at the end
    spreads their channels over the pixels: the same receptive field for a fraction of the
    work.

    Args:
        features: a batch of features; sets shapes and the normalisation of each channel.
        channels: of the image.
        size: height and width of the image; a multiple of the features' height.
        width: channels on the coarse grid; by default 48, and 32 where the grid is finer than 16.
        depth: residual blocks.

    Raises:
        ValueError: the image's size is no multiple of the features'.
    """

    def __init__(
        self,
        features: Tensor,
        *,
        channels: int,
        size: int,
        width: int | None = None,
        depth: int = 2,
    ) -> None:
        super().__init__()
        features = as_grid(features)
        dense = features.ndim == 2
        own = 1 if dense else features.shape[-1]
        if size % own:
            raise ValueError(f"image size {size} is no multiple of the features' size {own}")
        axes = (0,) if dense else (0, 2, 3)
        shape = (1, -1, 1, 1)
        spread = features.float().std(axes, correction=0).reshape(shape)
        self.register_buffer("mean", features.float().mean(axes).reshape(shape))
        self.register_buffer("spread", torch.where(spread > 1e-6, spread, torch.ones_like(spread)))
        wide_in = features.shape[1]
        self.linear = nn.Conv2d(wide_in, channels * (size // own) ** 2, 3, padding=1)
        self.linear_shuffle = nn.PixelShuffle(size // own)

        grid = _divisor(size, size // 8) if dense else _divisor(own, size // 2)
        width = width or (48 if grid <= 16 else 32)
        self.fold = 1 if dense else own // grid
        self.lift = (
            nn.Sequential(nn.Flatten(), nn.Linear(wide_in, width * grid**2))
            if dense
            else nn.PixelUnshuffle(self.fold)
        )
        self.unflatten = nn.Unflatten(1, (-1, grid, grid))
        self.enter = nn.Conv2d(width if dense else wide_in * self.fold**2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Residual(width) for _ in range(depth)))
        self.leave = nn.Conv2d(width, channels * (size // grid) ** 2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.shuffle = nn.PixelShuffle(size // grid)

    def normalise(self, features: Tensor) -> Tensor:
        """Features as the view returns them → ``(n, c, h, w)``, each channel centred and scaled."""
        x = as_grid(features)
        x = x[..., None, None] if x.ndim == 2 else x
        return (x - self.mean) / self.spread

    def forward(self, features: Tensor) -> Tensor:
        """Features as the view returns them → images, not clamped (training needs the slope)."""
        x = self.normalise(features)
        coarse = self.lift(x)
        if coarse.ndim == 2:
            coarse = self.unflatten(coarse)
        residual = self.shuffle(self.leave(self.blocks(self.enter(coarse))))
        return self.linear_shuffle(self.linear(x)) + residual


def as_grid(features: Tensor) -> Tensor:
    """Tokens ``(n, T, d)`` as ``(n, d, h, h)``, or ``(n, T d)`` if they fill no square."""
    if features.ndim != 3:
        return features
    for whole in (0, 1):
        side = math.isqrt(features.shape[1] - whole)
        if side > 1 and side**2 == features.shape[1] - whole:
            return features[:, whole:].transpose(1, 2).unflatten(2, (side, side))
    return features.flatten(1)


def _divisor(number: int, most: int) -> int:
    """The largest divisor of ``number`` that is at most ``most``, and at least 1."""
    return next((d for d in range(min(number, most), 0, -1) if number % d == 0), 1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


@torch.no_grad()
def solve_linear_path(
    decoder: PixelShuffleDecoder,
    features: Tensor,
    images: Tensor,
    *,
    penalty: float = 1e-3,
    chunk: int = 64,
) -> None:
    """Set a decoder's linear path to the ridge solution, in place.

    Least squares from the 3x3 neighbourhood of each feature to its block of pixels, over all
    images and positions, with an L2 penalty of ``penalty`` times the mean squared feature. The
    normal equations are summed over chunks, so memory does not grow with the number of images.

    Args:
        decoder: on any device.
        features: float32, as the view returns them, one of the three shapes of the decoder.
        images: ``(m, channels, size, size)`` float32 in [0, 1].
        penalty: the weight of the L2 penalty, relative to the features.
        chunk: images at once.
    """
    weight = decoder.linear.weight
    width = weight[0].numel()
    gram = torch.zeros(width + 1, width + 1, dtype=torch.float64)
    cross = torch.zeros(width + 1, weight.shape[0], dtype=torch.float64)
    for some, truth in zip(features.split(chunk), images.split(chunk), strict=True):
        x = decoder.normalise(some.to(weight.device))
        rows = F.unfold(x, 3, padding=1).transpose(1, 2).reshape(-1, width)
        rows = F.pad(rows, (0, 1), value=1.0)  # the last column is the bias
        blocks = F.pixel_unshuffle(truth.to(weight.device), decoder.linear_shuffle.upscale_factor)
        blocks = blocks.flatten(2).transpose(1, 2).reshape(len(rows), -1)
        gram += (rows.T @ rows).double().cpu()
        cross += (rows.T @ blocks).double().cpu()
    ridge = penalty * gram.diagonal()[:-1].mean()
    gram.diagonal()[:-1] += ridge.clamp(min=1e-6)  # features that never vary: the mean is left
    solution = torch.linalg.solve(gram, cross).float().T
    weight.copy_(solution[:, :-1].reshape(weight.shape))
    decoder.linear.bias.copy_(solution[:, -1])
