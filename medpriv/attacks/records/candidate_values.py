"""What an attacker wants to know of a record, and the question he asks for each possible answer.

The attacks of chapter 04 write each candidate value into the victim's record, and look at what the
model makes of it. The grid of answers is asked once here, and an attack is a function of it::

    wanted = sensitive(cohort.columns, "vkorc1")
    answers = ask_candidates(view, victims.x, wanted)  # (n, V, K)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medpriv.data.cohort import Column
from medpriv.deployment import View

_ROWS = 16_384  # of the grid at once


@dataclass(frozen=True)
class Sensitive:
    """One or more attributes of a record, and the V values (or combinations) that they may take.

    Attributes:
        columns: positions of the k attributes in a record.
        edges: for each attribute, ascending, what separates its levels from one another.
        values: ``(V, k)`` float32, what is written into a record for each candidate. The last
            attribute changes fastest.
        names: one a candidate, for readers.
    """

    columns: tuple[int, ...]
    edges: tuple[Tensor, ...]
    values: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def truth(self, records: Tensor) -> Tensor:
        """Which candidate each record holds: ``(n, columns)`` → ``(n,)`` int64.

        Raises:
            ValueError: a value is missing (NaN).
        """
        place = torch.zeros(len(records), dtype=torch.long)
        for column, edges in zip(self.columns, self.edges, strict=True):
            own = records[:, column].contiguous()
            if bool(own.isnan().any()):
                raise ValueError(
                    "a sensitive value is missing (NaN), so that there is no truth to compare "
                    "with; leave those records out"
                )
            place = place * (len(edges) + 1) + torch.bucketize(own, edges, right=True)
        return place

    def written(self, records: Tensor) -> Tensor:
        """Each record with each candidate in it: ``(n, columns)`` → ``(n, V, columns)``."""
        grid = records[:, None].repeat(1, len(self), 1)
        grid[:, :, list(self.columns)] = self.values
        return grid

    def marginal(self, posterior: Tensor, attribute: int) -> Tensor:
        """One attribute's posterior, of k from 0: ``(n, V)`` → ``(n, its levels)``.

        The sum over what the others may be: so an attribute is guessed while others of the record
        are unknown as well (Fredrikson et al. 2014, figure 2: the sum over completions).

        Raises:
            IndexError: there is no such attribute.
        """
        sizes = [len(edges) + 1 for edges in self.edges]
        if not 0 <= attribute < len(sizes):
            raise IndexError(f"there are attributes 0 to {len(sizes) - 1}, got {attribute}")
        split = posterior.unflatten(1, sizes).movedim(attribute + 1, 1)
        return split.flatten(2).sum(2) if len(sizes) > 1 else split

    def rest(self, columns: int) -> list[int]:
        """The positions, of so many, that the attacker knows."""
        return [position for position in range(columns) if position not in self.columns]


def sensitive(
    columns: Sequence[Column],
    *names: str,
    cuts: Mapping[str, Sequence[float]] | None = None,
    records: Tensor | None = None,
) -> Sensitive:
    """Name the attributes that an attacker wants.

    Several names are guessed together: the candidates are all combinations of their values.

    Args:
        columns: of the cohort.
        names: the attributes.
        cuts: for each numeric one, where its range is cut into intervals; a value on a cut belongs
            to the interval above.
        records: ``(n, columns)`` float32, the attacker's own, needed with ``cuts``: the median
            of each interval stands for it in a question.

    Raises:
        ValueError: no name, an unknown one or one named twice; a numeric attribute without cuts or
            records; cuts that do not ascend or leave an interval empty; a single value.
    """
    known = {column.name: position for position, column in enumerate(columns)}
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(
            f"name one or more attributes, each once, of {', '.join(known)}; got {names}"
        )
    levels = [_levels(columns[known[name]], known[name], cuts or {}, records) for name in names]
    combined = list(
        itertools.product(*(zip(own, labels, strict=True) for _, own, labels in levels))
    )
    return Sensitive(
        columns=tuple(known[name] for name in names),
        edges=tuple(edges for edges, _, _ in levels),
        values=torch.tensor([[value for value, _ in row] for row in combined]),
        names=tuple(", ".join(label for _, label in row) for row in combined),
    )


def _levels(
    column: Column, position: int, cuts: Mapping[str, Sequence[float]], records: Tensor | None
) -> tuple[Tensor, list[float], tuple[str, ...]]:
    """What separates the levels of an attribute, what stands for each, and its name."""
    if column.categorical:
        if len(column.values) < 2:
            raise ValueError(f"{column.name} has a single value: there is nothing to guess")
        codes = torch.arange(len(column.values), dtype=torch.float32)
        return codes[1:] - 0.5, codes.tolist(), column.values
    edges = torch.tensor(cuts.get(column.name, ()), dtype=torch.float32)
    if not len(edges) or records is None or bool((edges.diff() <= 0).any()):
        raise ValueError(
            f"{column.name} is numeric: give ascending cuts, such as "
            f"cuts={{{column.name!r}: (50, 60)}}, and records of your own"
        )
    own = records[:, position].contiguous()
    own = own[~own.isnan()]
    where = torch.bucketize(own, edges, right=True)
    empty = [level for level in range(len(edges) + 1) if not bool((where == level).any())]
    if empty:
        raise ValueError(
            f"no record of yours has a {column.name} in interval {empty[0] + 1} of "
            f"{len(edges) + 1}, so that nothing can stand for it; cut elsewhere"
        )
    middle = [float(own[where == level].median()) for level in range(len(edges) + 1)]
    inner = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    labels = (f"under {edges[0]:g}", *inner, f"{edges[-1]:g} or more")
    return edges, middle, tuple(f"{column.name} {label}" for label in labels)


def ask_candidates(view: View, records: Tensor, wanted: Sensitive) -> Tensor:
    """Ask about each record with each candidate value in it; a query for each.

    Args:
        view: exposes ``scores`` or ``label``.
        records: ``(n, columns)`` float32. What they hold in the sensitive columns is never read.
        wanted: see :func:`sensitive`.

    Returns:
        ``(n, V, K)`` float32 scores, or ``(n, V)`` int64 labels, as the view gives.

    Raises:
        ThreatModelError: the view gives neither.
        QueryBudgetError: ``n V`` queries are more than are left; none is then spent.
        ValueError: a known attribute is missing (NaN), which no model here takes.
    """
    view.require("label" if view.expose == "label" else "scores", "asking candidates")
    if bool(records[:, wanted.rest(records.shape[1])].isnan().any()):
        raise ValueError(
            "a known attribute is missing (NaN), and the model would answer NaN; fill it in, for "
            "example with its median in your own records"
        )
    view.afford(len(records) * len(wanted))
    chunks = records.split(max(1, _ROWS // len(wanted)))
    answers = [view(wanted.written(chunk).flatten(0, 1)) for chunk in chunks]
    return torch.cat(answers).unflatten(0, (len(records), len(wanted)))


def labels_of(answers: Tensor) -> Tensor:
    """The labels in a view's answers: integers ``(...)`` or scores ``(..., K)`` → ``(...)`` int64.

    Of scores the largest counts.
    """
    return answers.argmax(-1) if answers.is_floating_point() else answers.long()


def check_labels(labels: Tensor, classes: int) -> None:
    """Pass if each label is one of 0..K-1.

    Raises:
        ValueError: one is not.
    """
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise ValueError(f"a label lies outside 0..{classes - 1}")
