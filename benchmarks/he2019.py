"""The inverse network as He, Zhang & Lee 2019 describe it: the reference of the benchmark.

Section 4.2 of doi 10.1145/3359789.3359824, in our own code: a decoder that mirrors the front with
as many stride-2 transposed convolutions as the front has poolings and as many channels as its
features have, squared error, batches of 32, Adam at 1e-3 halved every 15 epochs, 50 epochs. In
float32, as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.deployment import View
from medpriv.runtime.seeds import seeded, torch_rng

EPOCHS, BATCH, RATE, HALVED_EVERY = 50, 32, 1e-3, 15


def mirror(features: Tensor, channels: int, size: int) -> nn.Module:
    """A decoder from features ``(n, c, h, w)`` to images ``(n, channels, size, size)``."""
    wide = features.shape[1]
    layers: list[nn.Module] = [nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU()]
    for _ in range((size // features.shape[-1]).bit_length() - 1):
        layers += [
            nn.ConvTranspose2d(wide, wide, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(wide, channels, 3, padding=1))


def fit_reference(view: View, images: Tensor, *, seed: int = 0) -> nn.Module:
    """Train the reference on the answers to ``images``; it gives images that are not clamped."""
    features = view(images)
    with seeded(seed, "reference"):
        decoder = mirror(features, images.shape[1], images.shape[-1])
    optimizer = torch.optim.Adam(decoder.parameters(), lr=RATE)
    halve = torch.optim.lr_scheduler.StepLR(optimizer, HALVED_EVERY, gamma=0.5)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=torch_rng(seed, "reference order", epoch))
        for rows in order.split(BATCH):
            optimizer.zero_grad()
            F.mse_loss(decoder(features[rows]), images[rows]).backward()
            optimizer.step()
        halve.step()
    return decoder.eval()
