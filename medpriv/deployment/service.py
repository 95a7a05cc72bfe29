"""Putting a model into service: what answers, and which defenses stand in front of it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medpriv.deployment.view import EXPOSURES, Answer, Meter, View
from medpriv.models.careful import check_rank
from medpriv.models.contract import Ask, Classifier, as_logits
from medpriv.models.reports import ReportClassifier, TokenFeatures
from medpriv.models.split import back, front, is_alone
from medpriv.runtime.arguments import T, choose, require_integer
from medpriv.runtime.device import in_chunks

_ASKED_TWICE = 8  # rows that tell whether a model is random


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


def deploy(
    model: nn.Module | Ask,
    *,
    expose: Literal["label", "scores", "features", "embedding", "weights", "back"],
    split: str | None = None,
    defenses: Sequence[Defense] = (),
    query_budget: int | None = None,
    batch_size: int = 512,
    outputs: str = "logits",
) -> View:
    """Put a model into service and return what an attacker can see of it.

    Args:
        model: the trained target, from rows to logits ``(n, K)``, K of 2 or more; it is copied, so
            later changes to it do not reach the view. Or a function from rows to answers, such as
            scikit-learn's ``predict_proba`` or one that asks a service: of it, label or scores can
            be exposed. See :func:`medpriv.models.as_logits`.
        expose: what an answer holds.
        split: the split layer; needed for ``features`` and ``back``, optional for ``weights``
            (only the front is then exposed, and the view answers with features), not allowed
            elsewhere.
        defenses: model defenses first change the model, query defenses then the way it computes
            its answers, and view defenses wrap these; each kind in the given order.
        query_budget: rows that the view will answer in all; ``None`` is without limit.
        batch_size: rows computed at once; memory does not grow with the number of rows. A split
            report classifier computes one report after the other.
        outputs: what the model answers with, where it is not logits: one of
            :data:`medpriv.models.contract.OUTPUTS`.

    Raises:
        ValueError: unknown exposure or split, a split that is missing or out of place, or a
            budget below 0; when it is asked, a model whose answers are not as ``outputs`` says.
        TypeError: a defense is of no such kind, the model gives no embedding, or a query defense
            is put before a model of texts.
    """
    model = as_logits(model, outputs)
    _check_request(model, expose, split, query_budget, defenses)
    require_integer("batch_size", batch_size, 1)
    served = copy.deepcopy(model).eval()
    for defense in _of_kind(ModelDefense, defenses):
        served = _changed(served, defense)
    answering = reachable = front(served, split) if split is not None else served
    if expose == "weights" and not is_alone(reachable):
        raise ValueError(
            f"the front alone cannot be had at {split!r}, since the model cannot be traced; use "
            "expose='features', or expose='weights' without a split"
        )
    fresh = any(_of_kind(QueryDefense, defenses))
    if fresh and isinstance(reachable, (ReportClassifier, TokenFeatures)):
        raise TypeError(
            "a QueryDefense changes what is computed from tensors, and this model reads texts; "
            "defend its answers with a ViewDefense"
        )
    for defense in _of_kind(QueryDefense, defenses):
        answering = defense.apply(answering)
    own = not isinstance(served, Classifier)
    plain = _Plain(_answer(answering, expose, split, batch_size, together=fresh), steady=own)
    answer: Answer = plain
    for defense in _of_kind(ViewDefense, defenses):
        answer = defense.apply(answer)
    return View(
        answer,
        expose=expose,
        split=split,
        defenses=tuple(defense.name for defense in defenses),
        meter=Meter(query_budget),
        # On the CPU, as the answers are: what an attacker computes with them need not know where
        # the service runs.
        open_weights=lambda: copy.deepcopy(reachable).cpu().float(),
        open_back=lambda: back(copy.deepcopy(served), str(split)).cpu().float(),
        # Not where the same question gets another answer each time.
        hold=contextlib.nullcontext if fresh or _is_function(served) else plain.hold,
    )


def _check_request(
    model: nn.Module,
    expose: str,
    split: str | None,
    query_budget: int | None,
    defenses: Sequence[Defense],
) -> None:
    choose(expose, EXPOSURES, "exposure")
    if query_budget is not None:
        require_integer("query_budget", query_budget, 0)
    if expose in ("features", "back") and not split:
        raise ValueError(f"expose={expose!r} needs a split layer, for example split='conv4'")
    if split is not None and expose not in ("features", "back", "weights"):
        raise ValueError(f"expose={expose!r} takes no split layer, got split={split!r}")
    if isinstance(model, Classifier):
        _check_classifier(model, expose, defenses)
    if expose == "weights" and split is not None and isinstance(model, ReportClassifier):
        raise ValueError("the front of a ReportClassifier cannot be had; use expose='features'")
    for defense in defenses:
        if not isinstance(defense, Defense):
            raise TypeError(
                "a defense is a ModelDefense, a QueryDefense or a ViewDefense, got "
                f"{type(defense).__name__}"
            )


def _check_classifier(model: Classifier, expose: str, defenses: Sequence[Defense]) -> None:
    if model.outputs == "labels" and expose != "label":
        raise ValueError(f"a model that answers with labels has no {expose}; use expose='label'")
    if not model.is_function:
        return
    if expose not in ("label", "scores"):
        raise ValueError(
            f"of a function nothing is known but its answers, so expose={expose!r} cannot be had; "
            "use expose='scores' or 'label', or give the network itself"
        )
    inside = [one for one in defenses if not isinstance(one, ViewDefense)]
    if inside:
        raise TypeError(
            f"{inside[0].name!r} changes a network, and the model is a function; defend its "
            "answers with a ViewDefense"
        )


def _changed(model: nn.Module, defense: ModelDefense) -> nn.Module:
    if not isinstance(model, Classifier):
        return defense.apply(model).eval()
    model.model = defense.apply(model.model)  # it knows the network, not what is around it
    return model.eval()


def _is_function(model: nn.Module) -> bool:
    return isinstance(model, Classifier) and model.is_function


def _of_kind(kind: type[T], defenses: Sequence[Defense]) -> list[T]:
    return [defense for defense in defenses if isinstance(defense, kind)]


class _Plain:
    """The undefended answer. While it is held, it is computed once for the same rows.

    Args:
        answer: computes it.
        steady: whether the same rows are known to get the same answer; else it is tried.
    """

    def __init__(self, answer: Answer, *, steady: bool) -> None:
        self._answer = answer
        self._holds = False
        self._held: tuple[Tensor | Sequence[str], Tensor] | None = None
        self._random: bool | None = False if steady else None

    def __call__(self, x: Tensor | Sequence[str]) -> Tensor:
        if not self._holds or self._is_random(x):
            return self._answer(x)
        if self._held is None or self._held[0] is not x:
            self._held = x, self._answer(x)
        return self._held[1].clone()  # a defense may write over it

    def _is_random(self, x: Tensor | Sequence[str]) -> bool:
        """Whether the model itself answers differently each time, as with dropout left on."""
        if self._random is None:
            few = x[:_ASKED_TWICE]
            self._random = not self._answer(few).equal(self._answer(few))
        return self._random

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
        compute = (
            model.labels
            if isinstance(model, Classifier)
            else _then(model, lambda logits: logits.argmax(dim=1))
        )
    elif split is None:
        compute = _then(model, lambda logits: logits.softmax(dim=1))
    if isinstance(model, TokenFeatures):  # padded to the longest of a request: one chunk
        return lambda x: in_chunks(compute, x, device=torch.device("cpu"), batch_size=len(x) or 1)
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))

    def answer(x: Tensor | Sequence[str]) -> Tensor:
        check_rank(model, x)
        return in_chunks(compute, x, device=device, batch_size=batch_size, together=together)

    return answer


def _then(model: nn.Module, last: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x: last(model(x))
