"""What the attacker holds: a way to ask, a budget, and what he may know besides."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medpriv.runtime.arguments import choose

Answer = Callable[[Tensor | Sequence[str]], Tensor]

#: What a view can expose, and what its answers then hold.
EXPOSURES = {
    "label": "the predicted class of each input",
    "scores": "the probability of each class",
    "features": "the activations at the split layer",
    "embedding": "the embedding of each report",
    "weights": "the weights, to compute with as the attacker likes",
    "back": "the activations at the split layer, and the weights behind it",
}
# What can be computed from what: a label follows from scores, anything from the weights.
_IMPLIED = {
    "label": {"label"},
    "scores": {"scores", "label"},
    "features": {"features"},
    "embedding": {"embedding"},
    "back": {"back", "features"},
}


class ThreatModelError(PermissionError):
    """An attack asked a view for something that its threat model does not give."""


class QueryBudgetError(ThreatModelError):
    """The view's query budget does not cover a request."""


@dataclass
class Meter:
    """How many rows a service may answer and has answered, through whichever view."""

    budget: int | None
    asked: int = 0

    @property
    def left(self) -> float:
        """How many it will still answer."""
        return math.inf if self.budget is None else self.budget - self.asked


class View:
    """One way of reaching a deployed model; made by :func:`deploy`, held by the attacker.

    Attributes:
        expose: what it gives, one of :data:`medpriv.deployment.view.EXPOSURES`.
        split: the split layer, where there is one.
        defenses: the names of the defenses in place.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        expose: str,
        split: str | None,
        defenses: tuple[str, ...],
        meter: Meter,
        open_weights: Callable[[], nn.Module],
        open_back: Callable[[], nn.Module],
        hold: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
        ask: Answer | None = None,
        price: int = 1,
    ) -> None:
        self.expose = expose
        self.split = split
        self.defenses = defenses
        # Closures, not the model: nothing on this object leads to weights by accident.
        self.__answer = answer
        self.__ask = ask
        self.__meter = meter
        self.__price = price
        self.__hold = hold
        self.__open_weights = open_weights
        self.__open_back = open_back

    def __call__(self, x: Tensor | Sequence[str]) -> Tensor:
        """Ask about ``n`` rows, as a client: ``(n, ...)`` float32 on the CPU, labels int64.

        Args:
            x: a tensor or an array of n rows, of any float or whole numbers; or n texts.

        Raises:
            QueryBudgetError: fewer than ``n`` queries are left; none is then spent.
            TypeError: one bare string, which would be read letter by letter; or neither rows nor
                texts.
            ValueError: a number is NaN or infinite, or the model cannot read such rows; none is
                spent then either.
        """
        x = _rows(x)
        self.afford(len(x))
        if self.__ask:
            return self.__ask(x)
        answer = self.__answer(x)
        self.__meter.asked += len(x)  # after it: a query that cannot be answered costs nothing
        return answer

    def again(
        self, x: Tensor | Sequence[str], times: int, *, intercepted: bool = False
    ) -> list[Tensor]:
        """Ask about the same ``n`` rows so many times; the same answers as by so many calls.

        What the model says is computed once where it is the same each time. What a defense draws
        is drawn anew for each answer.

        Args:
            x: as for a call.
            times: how often; each costs ``n`` queries.
            intercepted: what passes by when others ask so often, which costs none.

        Raises:
            QueryBudgetError: the budget does not cover all of them; none is then spent.
        """
        x = _rows(x)  # once, so that it is the same object each time
        if not intercepted:
            self.afford(len(x) * times)
        ask = self.intercept if intercepted else self
        with self.__hold():
            return [ask(x) for _ in range(times)]

    @property
    def query_budget(self) -> int | None:
        """How many rows the service answers in all; ``None`` is without limit."""
        return self.__meter.budget

    @property
    def queries(self) -> int:
        """How many rows the service has answered."""
        return self.__meter.asked

    @property
    def left(self) -> float:
        """How many rows it will still answer; infinite without a budget."""
        return self.__meter.left if self.query_budget is None else self.__meter.left // self.__price

    def afford(self, rows: int) -> None:
        """Pass if so many can be asked: for an attack that asks in parts, before the first.

        Raises:
            QueryBudgetError: they cannot.
        """
        if rows * self.__price > self.__meter.left:
            raise QueryBudgetError(
                f"{rows * self.__price} queries asked, {self.__meter.left} of {self.query_budget} "
                "left; ask about fewer rows, or deploy with a larger query_budget"
            )

    def intercept(self, x: Tensor | Sequence[str]) -> Tensor:
        """What passes by when others use the system with ``x``: seen, not asked for.

        The victims' own requests; they cost the attacker no query.
        """
        return self.__answer(_rows(x))

    def through(self, ask: Answer, intercept: Answer, price: int) -> View:
        """Another view of the same service, with the same budget: what an attacker makes of it.

        Args:
            ask: the new answer, from calls of this view.
            intercept: what is made of what passes by, from this view's :meth:`intercept`.
            price: how often ``ask`` asks this view about each row.
        """
        return View(
            intercept, ask=ask, price=self.__price * price, meter=self.__meter,
            expose=self.expose, split=self.split, defenses=self.defenses,
            open_weights=self.weights, open_back=self.back,
        )  # fmt: skip

    def weights(self) -> nn.Module:
        """A copy of the model, up to the split layer where there is one, on the CPU.

        Raises:
            ThreatModelError: the view does not expose weights.
        """
        self.require("weights", "reading the weights")
        return self.__open_weights()

    def back(self) -> nn.Module:
        """A copy, on the CPU, of the model behind the split layer, which the partner computes.

        Raises:
            ThreatModelError: the view does not expose it.
        """
        self.require("back", "reading the weights behind the split")
        return self.__open_back()

    def require(self, need: str, who: str) -> None:
        """Pass if the view gives what an attack needs.

        Args:
            need: one of :data:`medpriv.deployment.view.EXPOSURES`.
            who: the attack, as the message names it.

        Raises:
            ThreatModelError: it does not.
        """
        choose(need, EXPOSURES, "exposure")
        if need in self._gives():
            return
        raise ThreatModelError(
            f"{who} needs {need} ({EXPOSURES[need]}); this view exposes {self.expose} "
            f"({EXPOSURES[self.expose]}). Deploy with expose={need!r} if your threat model "
            "allows it"
        )

    def _gives(self) -> set[str]:
        if self.expose != "weights":
            return _IMPLIED[self.expose]
        return {"weights", "features"} if self.split else {"weights", "scores", "label"}

    def __repr__(self) -> str:
        budget = "no query budget" if self.query_budget is None else f"budget {self.query_budget}"
        place = f" at {self.split}" if self.split else ""
        kept = ", ".join(self.defenses) or "none"
        asked = "1 query" if self.queries == 1 else f"{self.queries} queries"
        return f"View({self.expose}{place}; {asked}, {budget}; defenses: {kept})"


def _rows(x: object) -> Tensor | Sequence[str]:
    """Rows as all that answers here takes them: a tensor, floats in float32, or a list of texts."""
    if isinstance(x, str):
        raise TypeError("a view takes many reports at once; put the text into a list: [text]")
    if isinstance(x, np.ndarray) and x.dtype.kind in "OU":
        x = x.tolist()
    if isinstance(x, np.ndarray):
        x = torch.from_numpy(np.ascontiguousarray(x))
    if not isinstance(x, Tensor):
        if isinstance(x, Sequence) and all(isinstance(text, str) for text in x):
            return x
        raise TypeError(
            f"expected a tensor or an array (n, ...), or n texts, got {type(x).__name__}; of a "
            "frame, frame.to_numpy()"
        )
    if x.ndim < 2:
        raise TypeError(
            f"expected n rows (n, ...), got shape {tuple(x.shape)}; a single row needs its first "
            "dimension: x[None]"
        )
    if x.is_complex():
        raise TypeError(f"expected real numbers, got {x.dtype}; give x.real or x.abs()")
    if x.is_floating_point():
        x = x.float()
        if not bool(x.isfinite().all()):
            raise ValueError(
                "a row holds NaN or an infinite number; a model's answer about it means nothing. "
                "Fill or leave out what is missing"
            )
    return x
