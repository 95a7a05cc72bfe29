"""Plain noise on a model's parameters: theta + N(0, sigma^2 I), drawn once or for every query.

Wu et al. 2020, by a public summary, perturb weights and biases with sigma from 0.02 to 0.05. The
noise proves nothing: no sensitivity bounds what one patient did to the weights, so no epsilon
follows. And the same sigma is much for a layer of small weights and little for one of large ones;
``relative`` takes it in units of each tensor's own spread.

Drawn once, the noisy model is simply another model, which an attacker can query like the first.
Drawn for each query, every row is answered by a model of its own.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from medpriv.deployment.service import ModelDefense, QueryDefense
from medpriv.runtime.seeds import torch_rng

_NUMBERS = 2**25  # drawn at once for fresh noise: 128 MiB
_MODELS = 16  # computed at once on a CPU: twice as fast as 256


def noisy_parameters(sigma: float, *, relative: bool = False, seed: int = 0) -> ModelDefense:
    """Noise on weights and biases, drawn once, before the model is put into service.

    Args:
        sigma: standard deviation; 0 changes nothing.
        relative: in units of the standard deviation of each parameter tensor.
        seed: decides the noise.

    Raises:
        ValueError: sigma is negative.
    """
    _check(sigma)

    def apply(model: nn.Module) -> nn.Module:
        model = copy.deepcopy(model)
        draws = torch_rng(seed, "noisy parameters")
        with torch.no_grad():
            for weight in model.parameters():
                noise = torch.randn(weight.shape, generator=draws)
                weight += (_spread(weight, sigma, relative) * noise).to(weight)
        return model

    return ModelDefense(_name(sigma, relative, "drawn once"), apply)


def fresh_parameters(sigma: float, *, relative: bool = False, seed: int = 0) -> QueryDefense:
    """Noise on weights and biases, drawn anew for every row that is answered.

    Where a model is split, only the part in front of the split is noisy, since only that part
    answers. Rows must be tensors: of a report classifier the encoder is no tensor's function.

    Arguments and errors as for :func:`noisy_parameters`; the next query goes on drawing where the
    last one stopped.
    """
    _check(sigma)

    def apply(model: nn.Module) -> nn.Module:
        return _Fresh(model, sigma, relative, seed)

    return QueryDefense(_name(sigma, relative, "per query"), apply)


class _Fresh(nn.Module):
    """Answers each row with a model of its own, many rows at a time."""

    def __init__(self, model: nn.Module, sigma: float, relative: bool, seed: int) -> None:
        super().__init__()
        self.model = model
        self.draws = torch_rng(seed, "fresh parameters")
        self.spreads = {
            name: _spread(weight, sigma, relative) for name, weight in model.named_parameters()
        }

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"noise per query needs rows in a tensor, got {type(x).__name__}; defend the "
                "embedding of reports instead"
            )
        if not len(x):
            return self.model(x)
        weights = dict(self.model.named_parameters())
        many = max(1, sum(weight.numel() for weight in weights.values()))
        return torch.cat([self._answer(part, weights) for part in x.split(1 + _NUMBERS // many)])

    @torch.no_grad()
    def _answer(self, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        noisy = {name: self._noisy(name, weight, x) for name, weight in weights.items()}

        def one(own: dict[str, Tensor], row: Tensor) -> Tensor:
            return functional_call(self.model, own, (row[None],))[0]

        # A processor's cache holds the activations of a few models, not of hundreds.
        return vmap(one, chunk_size=_MODELS if x.device.type == "cpu" else None)(noisy, x)

    def _noisy(self, name: str, weight: Tensor, x: Tensor) -> Tensor:
        """``(n, *weight)``: a weight for each row of x."""
        noise = torch.randn(len(x), *weight.shape, generator=self.draws)
        noise = noise.mul_(self.spreads[name]).to(x)
        # In place, since fresh memory costs as much as the numbers in it; but another layout than
        # the weight's would be computed with another rounding.
        return noise.add_(weight) if weight.is_contiguous() else weight + noise


def _spread(weight: Tensor, sigma: float, relative: bool) -> float:
    if not relative or weight.numel() < 2:
        return sigma
    return sigma * float(weight.detach().std())


def _name(sigma: float, relative: bool, when: str) -> str:
    unit = " of each tensor's spread" if relative else ""
    return f"parameter noise sigma={sigma:g}{unit}, {when}"


def _check(sigma: float) -> None:
    if not sigma >= 0:
        raise ValueError(f"sigma must be 0 or more, got {sigma}")
