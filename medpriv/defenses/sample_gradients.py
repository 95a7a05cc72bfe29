"""What Opacus needs of a network, so that gradients of single members can be had of it."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def bear_sampling(net: nn.Module) -> nn.Module:
    """A network whose layers do not mix members: batch norm, for one, becomes group norm.

    It is changed only where that is needed, by Opacus's ``ModuleValidator.fix``.
    """
    from opacus.validators import ModuleValidator

    return net if ModuleValidator.is_valid(net) else ModuleValidator.fix(net)


class _Copied(nn.Module):
    """A layer whose answer may be written into, as by ``out += x`` of torchvision's ResNet."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).clone()


def bear_hooks(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> bool:
    """Make a network bear hooks although it writes into answers of its layers.

    Returns:
        Whether layers had to be wrapped, see :func:`unwrap_layers`.

    Raises:
        TypeError: gradients of single members cannot be had of it all the same.
    """
    error = _failed(net, inputs, labels)
    if error is None:
        return False
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _WRITTEN_INTO) and not isinstance(parent, nn.MultiheadAttention):
                setattr(parent, name, _Copied(layer))
    again = _failed(net, inputs, labels)
    if again is not None:
        raise TypeError(
            f"gradients of single members cannot be had of {type(net).__name__}: {again}"
        ) from error
    return True


_WRITTEN_INTO = (nn.modules.conv._ConvNd, nn.Linear, nn.GroupNorm, nn.LayerNorm)


def _failed(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Exception | None:
    """What one step of two members ends with."""
    from opacus.grad_sample import GradSampleModule

    try:
        probe = GradSampleModule(copy.deepcopy(net))
        with quiet():
            F.cross_entropy(probe(inputs[:2]), labels[:2]).backward()
    except Exception as error:  # whatever the layers of somebody's network raise
        return error
    return None


def unwrap_layers(net: nn.Module) -> None:
    """Take away what :func:`bear_hooks` has put around layers."""
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _Copied):
                setattr(parent, name, layer.layer)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Quiet about what is meant: a seed, hooks, and a rough bound that only sizes a grid."""
    # At sampling rate 1 the accountant takes the logarithm of 0, as it should.
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.filterwarnings("ignore", message="Secure RNG turned off")
        warnings.filterwarnings("ignore", message="Optimal order is the")
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
