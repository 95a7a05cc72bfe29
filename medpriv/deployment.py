"""What an attacker can see of a model, and nothing more.

A threat model is one line of code::

    view = deploy(model, expose="features", split="conv4", query_budget=1000)

The attacker holds ``view``. It answers queries, counts them, stops at the budget, and refuses
what it does not expose.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medpriv.models.reports import ReportClassifier, TokenFeatures
from medpriv.models.split import back, front
from medpriv.runtime.arguments import choose
from medpriv.runtime.device import in_chunks

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


@dataclass(frozen=True)
class ModelDefense:
    """A defense that changes the model before it is deployed: Model → Model."""

    name: str
    apply: Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class ViewDefense:
    """A defense that changes each answer on its way out: Answer → Answer."""

    name: str
    apply: Callable[[Answer], Answer]


@dataclass(frozen=True)
class QueryDefense:
    """A defense that changes how a deployed model computes each answer: Module → Module.

    It gets the part that answers, up to the split where there is one, and may answer differently
    each time. The stored weights stay as they are: a view that exposes weights shows those.
    """

    name: str
    apply: Callable[[nn.Module], nn.Module]


Defense = ModelDefense | QueryDefense | ViewDefense


class View:
    """One way of reaching a deployed model; made by :func:`deploy`, held by the attacker.

    Attributes:
        expose: what it gives, one of :data:`EXPOSURES`.
        split: the split layer, where there is one.
        query_budget: how many rows it will answer; ``None`` is without limit.
        queries: how many rows it has answered.
        defenses: the names of the defenses in place.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        hold: Callable[[], AbstractContextManager[None]],
        expose: str,
        split: str | None,
        query_budget: int | None,
        defenses: tuple[str, ...],
        open_weights: Callable[[], nn.Module],
        open_back: Callable[[], nn.Module],
    ) -> None:
        self.expose = expose
        self.split = split
        self.query_budget = query_budget
        self.defenses = defenses
        self.queries = 0
        # Closures, not the model: nothing on this object leads to weights by accident.
        self.__answer = answer
        self.__hold = hold
        self.__open_weights = open_weights
        self.__open_back = open_back

    def __call__(self, x: Tensor | Sequence[str]) -> Tensor:
        """Ask about ``n`` rows, as a client: ``(n, ...)`` float32 on the CPU, labels int64.

        Raises:
            QueryBudgetError: fewer than ``n`` queries are left; none is then spent.
            TypeError: one bare string, which would be read letter by letter.
        """
        if isinstance(x, str):
            raise TypeError("a view takes many reports at once; put the text into a list: [text]")
        self.afford(len(x))
        answer = self.__answer(x)
        self.queries += len(x)  # after it: a query that cannot be answered costs nothing
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
        if not intercepted:
            self.afford(len(x) * times)
        ask = self.intercept if intercepted else self
        with self.__hold():
            return [ask(x) for _ in range(times)]

    @property
    def left(self) -> float:
        """How many queries it will still answer; infinite without a budget."""
        return math.inf if self.query_budget is None else self.query_budget - self.queries

    def afford(self, rows: int) -> None:
        """Pass if so many queries are left: for an attack that asks in parts, before the first.

        Raises:
            QueryBudgetError: they are not.
        """
        if rows > self.left:
            raise QueryBudgetError(
                f"{rows} queries asked, {self.left} of {self.query_budget} left; ask about fewer "
                "rows, or deploy with a larger query_budget"
            )

    def intercept(self, x: Tensor | Sequence[str]) -> Tensor:
        """What passes by when others use the system with ``x``: seen, not asked for.

        The victims' own requests; they cost the attacker no query.
        """
        return self.__answer(x)

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
            need: one of :data:`EXPOSURES`.
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


def deploy(
    model: nn.Module,
    *,
    expose: Literal["label", "scores", "features", "embedding", "weights", "back"],
    split: str | None = None,
    defenses: Sequence[Defense] = (),
    query_budget: int | None = None,
    batch_size: int = 512,
) -> View:
    """Put a model into service and return what an attacker can see of it.

    Args:
        model: the trained target; it is copied, so later changes to it do not reach the view.
        expose: what an answer holds.
        split: the split layer; needed for ``features`` and ``back``, optional for ``weights``
            (only the front is then exposed, and the view answers with features), not allowed
            elsewhere.
        defenses: model defenses first change the model, query defenses then the way it computes
            its answers, and view defenses wrap these; each kind in the given order.
        query_budget: rows that the view will answer in all; ``None`` is without limit.
        batch_size: rows computed at once; memory does not grow with the number of rows. A split
            report classifier computes one report after the other.

    Raises:
        ValueError: unknown exposure or split, a split that is missing or out of place, or a
            budget below 0.
        TypeError: a defense is of no such kind, the model gives no embedding, or a query defense
            is put before a model of texts.
    """
    choose(expose, EXPOSURES, "exposure")
    if expose in ("features", "back") and split is None:
        raise ValueError(f"expose={expose!r} needs a split layer, for example split='conv4'")
    if split is not None and expose not in ("features", "back", "weights"):
        raise ValueError(f"expose={expose!r} takes no split layer, got split={split!r}")
    if query_budget is not None and query_budget < 0:
        raise ValueError(f"query_budget must be 0 or more, or None, got {query_budget}")
    if expose == "weights" and split is not None and isinstance(model, ReportClassifier):
        raise ValueError("the front of a ReportClassifier cannot be had; use expose='features'")
    served = copy.deepcopy(model).eval()
    for defense in defenses:
        if isinstance(defense, ModelDefense):
            served = defense.apply(served).eval()
        elif not isinstance(defense, (QueryDefense, ViewDefense)):
            raise TypeError(
                "a defense is a ModelDefense, a QueryDefense or a ViewDefense, got "
                f"{type(defense).__name__}"
            )
    reachable = front(served, split) if split else served
    answering = reachable
    by_text = isinstance(reachable, (ReportClassifier, TokenFeatures))
    fresh = any(isinstance(defense, QueryDefense) for defense in defenses)
    if by_text and fresh:
        raise TypeError(
            "a QueryDefense changes what is computed from tensors, and this model reads texts; "
            "defend its answers with a ViewDefense"
        )
    for defense in defenses:
        if isinstance(defense, QueryDefense):
            answering = defense.apply(answering)
    plain = _Plain(_answer(answering, expose, split, batch_size, together=fresh))
    answer: Answer = plain
    for defense in defenses:
        if isinstance(defense, ViewDefense):
            answer = defense.apply(answer)
    return View(
        answer,
        hold=contextlib.nullcontext if fresh else plain.hold,  # fresh: another one each time
        expose=expose,
        split=split,
        query_budget=query_budget,
        defenses=tuple(defense.name for defense in defenses),
        # On the CPU, as the answers are: what an attacker computes with them need not know where
        # the service runs.
        open_weights=lambda: copy.deepcopy(reachable).cpu(),
        open_back=lambda: back(copy.deepcopy(served), str(split)).cpu(),
    )


class _Plain:
    """The undefended answer. While it is held, it is computed once for the same rows."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._holds = False
        self._held: tuple[Tensor | Sequence[str], Tensor] | None = None

    def __call__(self, x: Tensor | Sequence[str]) -> Tensor:
        if not self._holds:
            return self._answer(x)
        if self._held is None or self._held[0] is not x:
            self._held = x, self._answer(x)
        return self._held[1].clone()  # a defense may write over it

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        self._holds = True
        try:
            yield
        finally:
            self._holds, self._held = False, None


def _answer(
    model: nn.Module, expose: str, split: str | None, batch_size: int, *, together: bool
) -> Answer:
    """The undefended answer: chunked, without gradients, in full precision, on the CPU."""
    compute: Callable[[Tensor | Sequence[str]], Tensor] = model
    if expose == "embedding":
        if not isinstance(model, ReportClassifier):
            raise TypeError(f"{type(model).__name__} gives no embedding; use expose='features'")
        compute = model.embed
    elif expose == "label":
        compute = _then(model, lambda logits: logits.argmax(dim=1))
    elif split is None:
        compute = _then(model, lambda logits: logits.softmax(dim=1))
    if isinstance(model, TokenFeatures):  # padded to the longest of a request: one chunk
        return lambda x: in_chunks(compute, x, device=torch.device("cpu"), batch_size=len(x) or 1)
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))

    def answer(x: Tensor | Sequence[str]) -> Tensor:
        return in_chunks(compute, x, device=device, batch_size=batch_size, together=together)

    return answer


def _then(model: nn.Module, last: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x: last(model(x))
