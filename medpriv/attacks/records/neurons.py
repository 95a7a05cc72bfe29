"""Guessing an attribute from inside the network: the units that go with a value.

Jayaraman & Evans 2022 (CCS, arXiv 2209.01292). Some hidden units of a network go
with the attribute, though nobody asked it to learn that. For each candidate v the attacker writes
v into all of his records, so that only the rest of a record speaks, and correlates each unit with
whether v is true. The k units that go with it most, weighted by their correlation, are its score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from medpriv.attacks.records.attribute_inference import posterior
from medpriv.attacks.records.candidate_values import Sensitive
from medpriv.deployment import View
from medpriv.models.split import front, hidden_layers
from medpriv.runtime.device import in_chunks

_ROWS = 16_384


@dataclass(frozen=True)
class Neurons:
    """For each candidate, the hidden units that give it away; made by :func:`.fit_neurons`.

    Attributes:
        units: ``(V, k)`` int64, positions among all hidden units, the strongest first.
        correlation: ``(V, k)`` float64, of each with whether the candidate is true.
    """

    units: Tensor
    correlation: Tensor
    _network: nn.Module
    _wanted: Sensitive
    _mean: Tensor
    _spread: Tensor
    _curve: Tensor

    def guess(self, records: Tensor, prior: Tensor) -> Tensor:
        """P(candidate | record), from its units and a prior: ``(n, V)`` float64, rows sum to 1.

        ``(n, columns)`` float32 records, whose sensitive columns are never read; the prior is
        ``(V,)`` or ``(n, V)``, as an imputer gives it.
        """
        score = self._scores(records)
        return posterior(score * self._curve[:, 1] + self._curve[:, 0], prior)

    def _scores(self, records: Tensor) -> Tensor:
        active = _activations(self._network, self._wanted.written(records))
        return torch.stack(
            [
                (active[:, v, units] - self._mean[v, units]) / self._spread[v, units] @ weight
                for v, (units, weight) in enumerate(zip(self.units, self.correlation, strict=True))
            ],
            dim=1,
        )


def fit_neurons(
    view: View, records: Tensor, wanted: Sensitive, *, units: int = 10, layers: tuple[str, ...] = ()
) -> Neurons:
    """Find the hidden units that give each candidate away, on the attacker's own records.

    Two normal distributions of equal spread, fitted on the same records, make a likelihood of a
    score, which a prior can be multiplied with.

    Args:
        view: exposes ``weights``, without a split.
        records: ``(m, columns)`` float32, the attacker's own, with their true values.
        wanted: the attribute.
        units: k, how many units a candidate has.
        layers: where to look; without it, at every hidden layer.

    Raises:
        ThreatModelError: the view does not expose weights.
        ValueError: ``units`` is below 1, a layer is unknown, or the model has no hidden one.
    """
    view.require("weights", "reading hidden units")
    if units < 1:
        raise ValueError(f"at least one unit is needed, got {units}")
    model = view.weights()
    network = _Hidden(model, layers or hidden_layers(model))
    truth = wanted.truth(records)
    active = _activations(network, wanted.written(records))
    true = truth[:, None] == torch.arange(len(wanted))
    mean, spread = active.mean(0), active.std(0, correction=0)
    standard = (active - mean) / spread.clamp(min=1e-9)
    # A unit that never changes goes with nothing, nor does any with a value that nobody has.
    centred = true.double() - true.double().mean(0)
    size = centred.square().mean(0).sqrt().clamp(min=1e-9)
    correlation = torch.einsum("nvu,nv->vu", standard, centred / size) / len(records)
    k = min(units, correlation.shape[1])
    best = correlation.abs().topk(k, dim=1).indices
    found = Neurons(
        units=best,
        correlation=correlation.gather(1, best),
        _network=network,
        _wanted=wanted,
        _mean=mean,
        _spread=spread.clamp(min=1e-9),
        _curve=torch.zeros(len(wanted), 2, dtype=torch.float64),
    )
    score = found._scores(records)
    return replace(found, _curve=_log_odds(score, true))


def _log_odds(score: Tensor, true: Tensor) -> Tensor:
    """For each candidate, a and b such that a + b score is the log ratio of two normals."""
    curve = torch.zeros(score.shape[1], 2, dtype=torch.float64)
    for v in range(score.shape[1]):
        yes, no = score[true[:, v], v], score[~true[:, v], v]
        if not len(yes) or not len(no):
            continue  # a value that nobody has, or everybody: nothing was learned
        apart = torch.cat([yes - yes.mean(), no - no.mean()])
        variance = apart.square().mean().clamp(min=1e-12)
        slope = (yes.mean() - no.mean()) / variance
        curve[v] = torch.stack([-slope * (yes.mean() + no.mean()) / 2, slope])
    return curve


class _Hidden(nn.Module):
    """Records → all hidden units, side by side."""

    def __init__(self, model: nn.Module, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.fronts = nn.ModuleList(front(model, name) for name in layers)

    def forward(self, records: Tensor) -> Tensor:
        return torch.cat([part(records).flatten(1) for part in self.fronts], dim=1)


def _activations(network: nn.Module, grid: Tensor) -> Tensor:
    """``(n, V, columns)`` → ``(n, V, units)`` float64, on the CPU."""
    device = next(network.parameters()).device
    units = in_chunks(network, grid.flatten(0, 1), device=device, batch_size=_ROWS)
    return units.unflatten(0, grid.shape[:2]).double()
