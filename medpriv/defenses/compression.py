"""Sharing less of an embedding or of features: fewer bits a number, or fewer numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from medpriv.defenses.answers import on_numbers
from medpriv.deployment import ViewDefense
from medpriv.runtime.arguments import require_integer
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
    require_integer("bits", bits, 2, 16)
    steps = 2 ** (bits - 1) - 1

    def change(rows: Tensor) -> Tensor:
        axes = (1, 2, 3) if rows.ndim == 4 else (-1,)
        largest = rows.abs().amax(dim=axes, keepdim=True).clamp(min=1e-12)
        return (rows / largest * steps).round() / steps * largest

    return on_numbers(f"{bits} bits", lambda: change)


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
    require_integer("dimensions", dimensions, 1)

    def change(rows: Tensor) -> Tensor:
        width = rows.shape[-1]
        drawn = torch.randn(width, width, generator=torch_rng(seed, "projection", width))
        turn, upper = torch.linalg.qr(drawn)
        turn = turn * upper.diagonal().sign()  # so that every rotation is as likely
        left = min(dimensions, width)
        return rows @ turn[:, :left] * (width / left) ** 0.5

    return on_numbers(f"{dimensions} dimensions", lambda: change)
