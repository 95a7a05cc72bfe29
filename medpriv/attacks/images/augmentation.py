"""Images moved about: more of what one has, without asking anybody for more."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.runtime.seeds import torch_rng

TURN = 0.2  # radians
SCALE = (-0.15, 0.2)
SHIFT = (0.15, 0.2)  # of half the image, across and along
GAMMA = 0.3
CONTRAST = 0.2


def moved_copies(images: Tensor, number: int, *, seed: int = 0) -> Tensor:
    """Copies of images: mirrored at random, turned, resized, shifted, and in another contrast.

    ``(n, c, h, w)`` float32 in [0, 1] → ``(number, c, h, w)`` of the same, on the CPU. Each image
    is copied about equally often. An anatomy stays one that could have been taken, which is what
    makes the copies worth learning from (Shorten & Khoshgoftaar 2019).

    Raises:
        ValueError: there is no image to copy.
    """
    if not len(images):
        raise ValueError("there is no image to copy")
    if not number:
        return images[:0].cpu()
    source = torch_rng(seed, "moved copies")

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(number, generator=source)

    rows = torch.arange(number) % len(images)
    side = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    turn, scale = draw(-TURN, TURN), 1 + draw(*SCALE)
    across, along = draw(-SHIFT[0], SHIFT[0]), draw(-SHIFT[1], SHIFT[1])
    first = torch.stack([scale * side * turn.cos(), -scale * turn.sin(), across], dim=1)
    second = torch.stack([scale * side * turn.sin(), scale * turn.cos(), along], dim=1)
    shape = [number, *images.shape[1:]]
    grid = F.affine_grid(torch.stack([first, second], dim=1), shape, align_corners=False)
    copies = F.grid_sample(images.cpu()[rows], grid, align_corners=False).clamp(0, 1)
    gamma = torch.exp(draw(-GAMMA, GAMMA)).view(-1, 1, 1, 1)
    contrast = (1 + draw(-CONTRAST, CONTRAST)).view(-1, 1, 1, 1)
    return (copies**gamma * contrast).clamp(0, 1)
