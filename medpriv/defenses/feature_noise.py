"""Noise, dropout and noise out of a collection, on shared numbers, drawn anew for every answer.

He et al. 2020 (IEEE IoT Journal) tried both at the split layer and found noise too weak, against an
attacker who looks for an image that fits one fixed answer. An attacker who sees which numbers are
zero leaves those out; so a defense of this kind is judged by attackers fitted through it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from medpriv.defenses.answers import on_numbers
from medpriv.deployment import ViewDefense
from medpriv.runtime.seeds import torch_rng


def noised(scale: float, *, relative: bool = True, seed: int = 0) -> ViewDefense:
    """N(0, scale^2) added to every number of an answer.

    Args:
        scale: standard deviation; 0 changes nothing.
        relative: in units of the row's root mean square (of tokens, with their padding); else as
            it is, such as for embeddings of length 1.
        seed: decides the noise; the next answer goes on where the last one stopped.

    Raises:
        ValueError: the scale is negative.
    """
    if not scale >= 0:
        raise ValueError(f"a scale is 0 or more, got {scale}")

    def change(rows: Tensor, draws: torch.Generator) -> Tensor:
        unit = rows.flatten(1).square().mean(1).sqrt() if relative else torch.ones(len(rows))
        noise = torch.randn(rows.shape, generator=draws)
        return rows + scale * unit.view(-1, *[1] * (rows.ndim - 1)) * noise

    kind = "relative" if relative else "absolute"
    return _drawn(f"noise {scale:g}, {kind}", change, seed, "noised")


def dropped(share: float, *, seed: int = 0) -> ViewDefense:
    """Each number of an answer set to zero with a chance, the others enlarged to keep the mean.

    Args:
        share: the chance, from 0 up to but not including 1.
        seed: decides which; the next answer goes on where the last one stopped.

    Raises:
        ValueError: the share is out of range.
    """
    if not 0 <= share < 1:
        raise ValueError(f"a share of numbers to drop is from 0 to below 1, got {share}")

    def change(rows: Tensor, draws: torch.Generator) -> Tensor:
        kept = torch.rand(rows.shape, generator=draws) >= share
        return rows * kept / (1 - share)

    return _drawn(f"dropout {share:g}", change, seed, "dropped")


def sampled(tensors: Tensor, *, seed: int = 0) -> ViewDefense:
    """One of some tensors added to each row of an answer, each as likely as the next.

    Of a single one nothing is drawn: it shifts every answer alike.

    Args:
        tensors: ``(k, ...)`` float, each of the shape of a row, such as
            :func:`medpriv.defenses.learn_noise` makes them.
        seed: decides which; the next answer goes on where the last one stopped.

    Raises:
        ValueError: there is no tensor.
    """
    if tensors.ndim < 2 or not len(tensors) or not tensors.is_floating_point():
        raise ValueError(
            f"expected one or more float tensors (k, ...), got {tensors.dtype} of shape "
            f"{tuple(tensors.shape)}"
        )
    kept, shape = tensors.detach().cpu().clone(), tuple(tensors.shape[1:])

    def change(rows: Tensor, draws: torch.Generator) -> Tensor:
        if tuple(rows.shape[1:]) != shape:
            raise ValueError(
                f"the noise is made for rows of shape {shape}, this view answers "
                f"{tuple(rows.shape[1:])}; learn it at this split"
            )
        return rows + kept[torch.randint(len(kept), (len(rows),), generator=draws)]

    return _drawn(f"one of {len(kept)} noises", change, seed, "sampled")


def _drawn(
    name: str, change: Callable[[Tensor, torch.Generator], Tensor], seed: int, scope: str
) -> ViewDefense:
    return on_numbers(name, lambda: partial(change, draws=torch_rng(seed, scope)))
