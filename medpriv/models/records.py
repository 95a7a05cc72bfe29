"""The record classifier of Wu et al. 2020, by a public summary: two hidden layers of 100 units."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medpriv.data.cohort import Column


class RecordMLP(nn.Module):
    """Raw records in, logits out; encoding is part of the model, as it is in a deployed one.

    Categorical columns become one-hot, numeric ones are standardised with the mean and spread
    of the members. So an attacker who tries every value of an attribute writes the value into
    the raw record and asks, and never needs to know how the model encodes it.

    Args:
        columns: the records' columns.
        members: ``(n, columns)`` float32, whose numeric columns set mean and spread.
        classes: number of classes.
    """

    def __init__(self, columns: Sequence[Column], members: Tensor, *, classes: int = 2) -> None:
        super().__init__()
        self.values = tuple(len(column.values) for column in columns)
        numeric = [j for j, size in enumerate(self.values) if not size]
        spread = members[:, numeric].std(0, correction=0) if numeric else members.new_zeros(0)
        self.register_buffer("mean", members[:, numeric].mean(0))
        self.register_buffer("spread", torch.where(spread > 0, spread, torch.ones_like(spread)))
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.long))
        width = len(numeric) + sum(self.values)
        self.hidden1 = _dense(width, 100)
        self.hidden2 = _dense(100, 100)
        self.output = nn.Linear(100, classes)

    def encode(self, records: Tensor) -> Tensor:
        """Raw records ``(n, columns)`` → ``(n, width)`` float32."""
        parts = [(records[:, self.numeric] - self.mean) / self.spread]
        for j, size in enumerate(self.values):
            if size:
                levels = torch.arange(size, device=records.device)
                parts.append((records[:, j, None] == levels).float())
        return torch.cat(parts, dim=1)

    def forward(self, records: Tensor) -> Tensor:
        """Raw records ``(n, columns)`` float32, categories as codes → logits ``(n, classes)``."""
        return self.output(self.hidden2(self.hidden1(self.encode(records))))


def _dense(wide_in: int, wide_out: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(dense=nn.Linear(wide_in, wide_out), relu=nn.ReLU()))
