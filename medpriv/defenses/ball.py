"""Features in a ball: clipped on their way out, with noise; and a layer that writes them into one.

Without the ball noise proves nothing, since a patient may be as far from the others as the network
likes (that is :func:`medpriv.defenses.noised`). With it, see :mod:`medpriv.bounds.ball`.

The proof is of real numbers. Noise from a generator whose seed is known can be taken off, and in
the last digits of a float a careful attacker finds more (Mironov 2012, CCS).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.defenses.answers import Change, on_numbers
from medpriv.deployment import ViewDefense
from medpriv.models.split import front
from medpriv.runtime.seeds import torch_rng
from medpriv.training.utility_scores import predict

_SEEN = 2000  # members that a ball is made of


def in_ball(
    radius: float,
    sigma: float,
    *,
    centre: Tensor | None = None,
    basis: Tensor | None = None,
    seed: int = 0,
) -> ViewDefense:
    """Numbers clipped into a ball about a fixed centre, and N(0, sigma^2) added to each.

    Args:
        radius: C; a row that is further from the centre is moved to the border. One with a number
            that is not finite is answered as the centre is, since NaN would tell whose it was.
        sigma: of the noise, in the same unit.
        centre: of the shape of a row, chosen without looking at who is answered; else 0.
        basis: ``(d, k)`` with orthonormal columns, in which a row of d numbers has its code of k:
            what a row has besides is left out, and noise is added to the code. Without it the code
            is the row.
        seed: decides the noise; the next answer goes on where the last one stopped. Whoever knows a
            service's seed takes its noise off again.

    Raises:
        ValueError: radius or sigma is out of range, the centre is not finite, or the basis is not
            orthonormal.
    """
    if not (0 <= radius < math.inf and 0 <= sigma < math.inf):
        raise ValueError(f"radius and sigma are 0 or more, got {radius} and {sigma}")
    if basis is not None:
        basis = basis.detach().cpu().float()
        if not torch.allclose(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-4):
            raise ValueError(
                "the columns of a basis are orthonormal; torch.linalg.qr makes them so"
            )
    middle = torch.zeros(1) if centre is None else centre.detach().cpu().float().flatten()
    if not bool(middle.isfinite().all()):
        raise ValueError("the centre is not finite; take the mean of features that are")

    def begin() -> Change:
        draws = torch_rng(seed, "in ball")

        def change(rows: Tensor) -> Tensor:
            codes = rows.flatten(1) - middle
            codes = codes.where(codes.isfinite().all(1, keepdim=True), 0.0)
            codes = codes if basis is None else codes @ basis
            codes = _clipped(codes, radius)
            codes = codes + sigma * torch.randn(codes.shape, generator=draws)
            codes = codes if basis is None else codes @ basis.T
            return (codes + middle).view(rows.shape)

        return change

    return on_numbers(f"ball of radius {radius:g}, noise {sigma:g}", begin)


def _clipped(codes: Tensor, radius: float) -> Tensor:
    # In double precision, so that nothing is outside by more than the last rounding.
    length = codes.double().norm(dim=1, keepdim=True)
    return (codes.double() * (radius / length.clamp(min=radius or 1.0))).float()


class Ball(nn.Module):
    """Features ``(n, ...)`` → the same shape, with a code of few numbers inside a ball.

    At first the code is what a linear reader of the features says of the class, as K - 1 numbers,
    and then the largest principal components. It is written back along the directions in which
    features vary with it, so that a trained network goes on as it was.

    Args:
        features: ``(n, ...)`` float, of members, from which centre, basis, radius and reader are
            taken; the first three stay.
        labels: ``(n,)`` int64.
        numbers: k, of the code.
    """

    def __init__(self, features: Tensor, labels: Tensor, numbers: int) -> None:
        super().__init__()
        rows = features.detach().cpu().double().flatten(1)
        centre = rows.mean(0)
        rows = rows - centre
        weights = _reader(rows, labels, numbers)
        codes = rows @ weights
        basis = torch.linalg.qr(rows.T @ codes).Q
        self.register_buffer("centre", centre.float())
        self.register_buffer("basis", basis.float())
        self.radius = 2 * float((rows @ basis).square().sum(1).mean().sqrt()) or 1.0
        # Steep, for a code near the border is what noise hides least; what is no class, flat.
        steep = torch.full((numbers,), 0.3, dtype=rows.dtype)
        steep[: len(labels.unique()) - 1] = 3
        weights = weights * (steep / codes.std(0).clamp(min=1e-12))
        self.read = nn.Linear(*weights.shape)
        with torch.no_grad():
            self.read.weight.copy_(weights.T)
            self.read.bias.copy_(-centre @ weights)

    def forward(self, features: Tensor) -> Tensor:
        """``(n, ...)``: the centre and the basis times a code no longer than the radius."""
        code = self.read(features.flatten(1))
        # Smooth, so that who is near the border still has a gradient.
        code = code * (self.radius / (1 + code.square().sum(1, keepdim=True)).sqrt())
        return (code @ self.basis.T + self.centre).view_as(features)


def _reader(rows: Tensor, labels: Tensor, numbers: int) -> Tensor:
    """``(d, k)``: how a class is read from centred rows by ridge regression, then components."""
    classes = F.one_hot(labels.cpu()).double()
    classes = classes - classes.mean(0)
    # In as many dimensions as there are rows: fewer than features have numbers.
    alike = rows @ rows.T
    held = alike + alike.diag().mean() * torch.eye(len(rows), dtype=rows.dtype)
    said = rows.T @ torch.linalg.solve(held, classes)
    read = said @ torch.linalg.svd(rows @ said, full_matrices=False).Vh.T
    read = read[:, : min(numbers, classes.shape[1] - 1)]
    more = numbers - read.shape[1]
    if not more:
        return read
    away = torch.linalg.qr(read).Q
    rest = rows - rows @ away @ away.T
    # Whole: a randomised decomposition would make another ball in each process.
    size, sides = torch.linalg.eigh(rest @ rest.T)
    components = rest.T @ sides[:, -more:].flip(1) / size[-more:].flip(0).clamp(min=1e-12).sqrt()
    return torch.cat([read, components], 1)


def put_ball(net: nn.Module, split: str, x: Tensor, y: Tensor, numbers: int) -> Ball:
    """Put a ball behind a named layer of a network, in place.

    Args:
        net: is changed.
        split: the layer's name.
        x: ``(n, ...)``, members; at most 2,000 are looked at.
        y: ``(n,)`` int64, their classes.
        numbers: of the code.

    Raises:
        ValueError: there is no layer of this name, or the network cannot be cut there.
    """
    features = predict(front(net, split), x[:_SEEN])
    if split not in dict(net.named_modules()):
        raise ValueError(f"a ball is put behind a layer, and {split!r} is none; name a module")
    ball = Ball(features, y[:_SEEN], numbers)
    parent, _, name = split.rpartition(".")
    layers = OrderedDict(layer=net.get_submodule(split), ball=ball)
    setattr(net.get_submodule(parent), name, nn.Sequential(layers))
    return ball
