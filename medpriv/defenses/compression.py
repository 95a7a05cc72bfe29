"""Sharing less of an embedding or of features: fewer bits a number, or fewer numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medpriv.deployment import Answer, ViewDefense
from medpriv.runtime.seeds import torch_rng


def rounded(bits: int) -> ViewDefense:
    """Each number with so many bits, its sign included, relative to the largest of its row.

    What vector databases call scalar quantisation. The row's largest absolute number is sent along
    in full. Of an embedding, and of a token, a row is its numbers; of features that are maps it is
    all maps of an image. Features behind a ReLU never use the sign.

    Args:
        bits: from 2 to 16.

    Raises:
        ValueError: another number of bits; later, that the view answers labels.
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"expected 2 to 16 bits, got {bits}")
    steps = 2 ** (bits - 1) - 1

    def change(rows: Tensor) -> Tensor:
        if not rows.is_floating_point():
            raise ValueError(
                f"'{bits} bits' changes features, embeddings or scores, and this view answers "
                f"{rows.dtype}; deploy with another expose"
            )
        axes = (1, 2, 3) if rows.ndim == 4 else (-1,)
        largest = rows.abs().amax(dim=axes, keepdim=True).clamp(min=1e-12)
        return (rows / largest * steps).round() / steps * largest

    return ViewDefense(f"{bits} bits", _then(change))


def projected(dimensions: int, *, seed: int = 0) -> ViewDefense:
    """Each row projected to so many random directions at right angles, drawn once.

    Lengths are kept on average (Johnson & Lindenstrauss 1984). Where a row has no more numbers
    than that, it is only turned.

    Args:
        dimensions: how many numbers are left.
        seed: decides the directions.

    Raises:
        ValueError: fewer than one dimension.
    """
    if dimensions < 1:
        raise ValueError(f"expected at least one dimension, got {dimensions}")

    def change(rows: Tensor) -> Tensor:
        width = rows.shape[-1]
        drawn = torch.randn(width, width, generator=torch_rng(seed, "projection", width))
        turn, upper = torch.linalg.qr(drawn)
        turn = turn * upper.diagonal().sign()  # so that every rotation is as likely
        left = min(dimensions, width)
        return rows @ turn[:, :left] * (width / left) ** 0.5

    return ViewDefense(f"{dimensions} dimensions", _then(change))


def _then(change: Callable[[Tensor], Tensor]) -> Callable[[Answer], Answer]:
    def wrap(answer: Answer) -> Answer:
        return lambda x: change(answer(x))

    return wrap
