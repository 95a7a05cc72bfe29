"""Reference models: which of them had each row, and what they say of it on either side."""

from __future__ import annotations

import torch
from torch import Tensor

#: ``(N, n)`` phi of the reference models, and ``(N, n)`` bool, which of them count.
Side = tuple[Tensor, Tensor]


def given(phi: Tensor, reference: Tensor, inside: Tensor) -> tuple[Tensor, tuple[Side, Side]]:
    """Phi in float64, and of the reference models those that had each row, and the others.

    Raises:
        ValueError: shapes differ, or whether a model had a row is not bool.
    """
    fits = reference.ndim == 2 and phi.ndim and phi.shape[-1:] == reference.shape[1:]
    if not fits or inside.shape != reference.shape or inside.dtype != torch.bool:
        raise ValueError(
            f"expected phi (..., n), the same by N reference models (N, n), and which of them had "
            f"each row (N, n) bool, got {tuple(phi.shape)}, {tuple(reference.shape)} and "
            f"{tuple(inside.shape)} {inside.dtype}"
        )
    reference = reference.double()
    return phi.double(), ((reference, inside), (reference, ~inside))


def offline(phi: Tensor, out: Tensor) -> tuple[Tensor, Side]:
    """The same of models none of which had a row: all count.

    Raises:
        ValueError: shapes differ.
    """
    phi, (_, had_not) = given(phi, out, torch.zeros(out.shape, dtype=torch.bool))
    return phi, had_not


def summary(side: Side) -> tuple[Tensor, Tensor, Tensor]:
    """``(n,)`` each: how many models count, the mean of phi, and its sum of squares about that."""
    phi, counts = side[0], side[1].double()
    number = counts.sum(0)
    mean = (phi * counts).sum(0) / number.clamp(min=1)
    return number, mean, ((phi - mean).square() * counts).sum(0)
