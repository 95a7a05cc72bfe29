"""What a model is here: a network from rows to logits. Anybody else's is brought into this form.

Every function that takes a model in calls :func:`as_logits` or :func:`careful`, so that what fits
and what is refused is the same everywhere.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medpriv.models.careful import given_to, name_of, one_tensor, precision, unwrapped
from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.models.reports import ReportClassifier, ReportEncoder, TokenFeatures
from medpriv.runtime.arguments import choose

#: What a model may answer with; see :func:`.as_logits`.
OUTPUTS = {
    "logits": "(n, K) before the softmax, K of 2 or more",
    "probabilities": "(n, K) after the softmax; or (n,) or (n, 1), the probability of class 1",
    "sigmoid": "(n,) or (n, 1), the logit of class 1, as after training with BCEWithLogitsLoss; "
    "or (n, K), one such logit for each finding, and column= says which finding",
    "labels": "(n,) whole numbers from 0, the predicted class; nothing but labels can be exposed",
}
_OWN = (ImageCNN, RecordMLP, ReportClassifier, ReportEncoder, TokenFeatures)
# Probabilities in half precision round to the first. A single row of logits may come that near by
# chance.
_SUMS_TO_ONE, _ONE_ROW = 1e-3, 1e-6
_ENOUGH = 16  # rows that tell something

Ask = Callable[[Any], Any]


def as_logits(model: nn.Module | Ask, outputs: str = "logits", *, column: int | None = None):
    """A classifier as this package understands it: rows in, logits ``(n, K)`` float32 out.

    The course's own models are returned as they are, and so is what was made by this function.
    Others keep their weights and are called with a copy of the rows, in their own precision and in
    the plain memory layout; of an output object the ``logits`` are taken. What a model answers is
    checked each time.

    Args:
        model: a network; or a function from rows to answers, such as scikit-learn's
            ``predict_proba`` or one that asks a service. It is called with a NumPy array (float32),
            or a list of texts.
        outputs: one of :data:`medpriv.models.contract.OUTPUTS`.
        column: of several findings, each with its own sigmoid, the one that is attacked.

    Raises:
        ValueError: unknown outputs, or a column without several findings; later, by a call, an
            answer that is not of this kind.
        TypeError: neither a network nor a function.
    """
    choose(outputs, OUTPUTS, "outputs")
    if column is not None and outputs not in ("sigmoid", "probabilities"):
        raise ValueError(f"column= says which finding of several, with outputs='sigmoid', not "
                         f"{outputs!r}")  # fmt: skip
    if isinstance(model, Classifier) and (outputs, column) == ("logits", None):
        return model
    if not callable(model):
        raise TypeError(f"expected a network or a function from rows to answers, got "
                        f"{type(model).__name__}")  # fmt: skip
    plain = unwrapped(model)
    if isinstance(plain, _OWN) and precision(plain) == torch.float32 and outputs == "logits":
        return plain
    return Classifier(plain, outputs, column)


class Classifier(nn.Module):
    """Somebody's classifier, made to answer with logits; see :func:`.as_logits`.

    Attributes:
        model: the network, or a function inside of a module.
        form: how its answers become logits.
    """

    def __init__(self, model: nn.Module | Ask, outputs: str, column: int | None = None) -> None:
        super().__init__()
        self.model = model if isinstance(model, nn.Module) else _Asked(model)
        self.form = Form(outputs, column, name_of(self.model))

    @property
    def outputs(self) -> str:
        """What the model answers with, one of :data:`medpriv.models.contract.OUTPUTS`."""
        return self.form.outputs

    @property
    def is_function(self) -> bool:
        """Whether nothing is known of it but its answers."""
        return isinstance(self.model, _Asked)

    def __getattr__(self, name: str) -> Any:
        """What is asked of it and is the network's own, such as a layer."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model" or name.startswith("__"):  # such as the network's own way to copy
                raise
            return getattr(self.model, name)

    def labels(self, x: Tensor | Sequence[str]) -> Tensor:
        """``(n,)`` int64, the predicted classes."""
        if self.outputs != "labels":
            return self(x).argmax(dim=1)
        found = one_tensor(self.model(given_to(self.model, x)), self.form.name)
        if found.ndim != 1 or not bool((found == found.round()).all() and (found >= 0).all()):
            raise ValueError(self.form.refusal(found))
        return found.long()

    def forward(self, x: Tensor | Sequence[str]) -> Tensor:
        """Rows → logits ``(n, K)`` float32."""
        return self.form(self.model(given_to(self.model, x)))


class Form(nn.Module):
    """What a model answers with → logits ``(n, K)`` float32; it holds no weights.

    Args:
        outputs: one of :data:`medpriv.models.contract.OUTPUTS`.
        column: of several findings.
        name: of the model, in messages.
    """

    def __init__(self, outputs: str, column: int | None, name: str) -> None:
        super().__init__()
        self.outputs, self.column, self.name = outputs, column, name
        self._said: list[str] = []  # no attribute by which models are told apart

    def forward(self, answer: Any) -> Tensor:
        """Any answer → logits.

        Raises:
            ValueError: it is not of this kind, or, outside of training, not finite.
        """
        answer = one_tensor(answer, self.name).float()
        found = self._logits(answer if self.column is None else self._chosen(answer))
        if not self.training and not _many_at_once(found) and not bool(found.isfinite().all()):
            raise ValueError(
                f"{self.name} answers with NaN or infinite numbers; look at its weights, and at "
                "the rows that it was given"
            )
        return found

    def _chosen(self, answer: Tensor) -> Tensor:
        if answer.ndim != 2 or not 0 <= self.column < answer.shape[1]:
            raise ValueError(self.refusal(answer, f"there is no column {self.column}"))
        return answer[:, self.column]

    def _logits(self, answer: Tensor) -> Tensor:
        single = answer.ndim == 1 or (answer.ndim == 2 and answer.shape[1] == 1)
        if self.outputs == "sigmoid" and single:
            yes = answer.reshape(-1, 1)
            return torch.cat([torch.zeros_like(yes), yes], dim=1)
        if self.outputs == "probabilities" and (single or answer.ndim == 2):
            yes = answer.reshape(-1, 1)
            rows = torch.cat([1 - yes, yes], dim=1) if single else answer
            if not bool(((rows >= 0) & ((rows.sum(1, keepdim=True) - 1).abs() < 0.01)).all()):
                raise ValueError(self.refusal(answer, "no probabilities that sum to 1"))
            return rows.clamp(min=torch.finfo(torch.float32).tiny).log()
        if self.outputs == "logits" and answer.ndim == 2 and not single:
            known = not _many_at_once(answer) and len(answer)
            if known and _like_probabilities(answer.detach()):
                why = "each row is a distribution, so that a softmax would be taken twice"
                raise ValueError(self.refusal(answer, why))
            if known and not self.training:
                self._look(answer.detach())
            return answer
        raise ValueError(self.refusal(answer))

    def _look(self, answer: Tensor) -> None:
        """Say once that what should be logits may be something else, where it cannot be told."""
        inside = len(answer) >= _ENOUGH and bool(((answer >= 0) & (answer <= 1)).all())
        if inside and not self._said:
            self._said.append("between 0 and 1")
            warnings.warn(
                f"each of the numbers that {self.name} gives lies between 0 and 1, which logits "
                "seldom do. If they come from a sigmoid, leave it out, or name the finding: "
                "medpriv.models.as_logits(model, outputs='probabilities', column=...)",
                RuntimeWarning,
                stacklevel=2,
            )

    def refusal(self, found: Tensor, why: str = "") -> str:
        """What is said of answers that are of another kind."""
        others = "; ".join(f"{name!r}: {what}" for name, what in OUTPUTS.items())
        return (
            f"{self.name} was expected to answer with {self.outputs}, and gives numbers of shape "
            f"{tuple(found.shape)}{': ' + why if why else ''}. Say what it answers with, in "
            f"deploy(..., outputs=...) or medpriv.models.as_logits(model, outputs=...): {others}"
        )


class _Asked(nn.Module):
    """A function in the place of a network; a copy is the same function (it may hold a socket)."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self.ask = ask

    def __deepcopy__(self, memo: dict[int, Any]) -> _Asked:
        return self

    @property
    def called(self) -> str:
        """Its name."""
        return getattr(self.ask, "__qualname__", type(self.ask).__name__)

    def forward(self, x: Tensor | Sequence[str]) -> Tensor:
        found = self.ask(x.detach().cpu().numpy() if isinstance(x, Tensor) else list(x))
        if isinstance(found, Tensor):
            return found
        values = np.array(found)
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.called} was expected to give numbers, one row for each it is asked about; "
                f"got {type(found).__name__} of {values.dtype}. Classes are whole numbers from 0"
            )
        return torch.from_numpy(values)


def _many_at_once(answer: Tensor) -> bool:
    """Whether it stands for answers of many models in one, whose numbers cannot be looked at."""
    return torch._C._functorch.is_batchedtensor(answer)


def _like_probabilities(rows: Tensor) -> bool:
    near = _SUMS_TO_ONE if len(rows) > 1 else _ONE_ROW
    sums = (rows.sum(1) - 1).abs() <= near
    return bool((rows >= 0).all() and (rows <= 1 + near).all() and sums.all())


def check_classes(logits: Tensor, model: nn.Module, classes: Sequence[str]) -> None:
    """Pass if a model gave one logit for each class.

    Raises:
        ValueError: it did not.
    """
    if logits.shape[1:] != (len(classes),):
        raise ValueError(
            f"{name_of(as_given(model))} must return logits of shape {(len(logits), len(classes))} "
            f"for {len(logits)} rows, one for each of the classes {', '.join(classes)}; it returns "
            f"{tuple(logits.shape)}"
        )


def check_trainable(model: nn.Module, logits: Tensor, classes: Sequence[str]) -> None:
    """Pass if a model that gave these logits can be trained for these classes.

    Raises:
        ValueError: it has not one logit for each class, no weight that can be trained, or weights
            in half precision.
    """
    check_classes(logits, model, classes)
    name = name_of(as_given(model))
    weights = list(model.parameters())
    if not any(weight.requires_grad for weight in weights):
        raise ValueError(
            f"no weight of {name} can be trained: requires_grad is False for each of {len(weights)}"
        )
    if any(weight.dtype in (torch.float16, torch.bfloat16) for weight in weights):
        raise ValueError(
            f"{name} has weights in half precision, in which small steps are lost; give "
            "model.float()"
        )


def untrained_copy(model: nn.Module) -> nn.Module:
    """A copy to be trained, brought into the contract; the given one stays as it is.

    Raises:
        ValueError: it is a function.
    """
    own = as_logits(copy.deepcopy(model))
    if isinstance(own, Classifier) and own.is_function:
        raise ValueError("a function cannot be trained; give the network itself")
    return own


def as_given(model: nn.Module) -> nn.Module:
    """The network that was given to :func:`as_logits`, where it answers with logits by itself."""
    plain = isinstance(model, Classifier) and model.outputs == "logits"
    return model.model if plain else model
