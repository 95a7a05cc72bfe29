"""How good a model is on patients whom it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medpriv.data.cohort import Part
from medpriv.models.careful import careful, check_rank
from medpriv.models.contract import as_logits
from medpriv.runtime.device import in_chunks
from medpriv.statistics import Estimate, fewest_of_each, interval, patient_bootstrap, resampled_auc


def predict(model: nn.Module, inputs: Tensor | Sequence[str], *, batch_size: int = 1024) -> Tensor:
    """Apply a model in chunks, in full precision, and return the result on the CPU.

    Args:
        model: in evaluation mode afterwards; any network from rows to one tensor.
        inputs: ``(n, ...)`` on any device, or n texts; they stay as they are.
        batch_size: rows at once; memory does not grow with n.

    Raises:
        ValueError: it gives something else than one tensor, another number of rows, or cannot
            read such rows.
    """
    network = careful(model).eval()
    check_rank(network, inputs)
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    return in_chunks(
        lambda rows: network(rows).float(), inputs, device=device, batch_size=batch_size
    )


@dataclass(frozen=True)
class Utility:
    """How good a model is on patients it has never seen, each with a 95 % interval.

    AUC is the area under the ROC curve, for more than two classes the mean of one against the
    rest; ``majority`` is the accuracy of always naming the most common class.
    """

    auc: Estimate
    accuracy: Estimate
    majority: float
    rows: int


def utility(model: nn.Module, part: Part, *, seed: int = 0, draws: int = 200) -> Utility:
    """Measure a model's :class:`.Utility`; intervals from a bootstrap over patients.

    Raises:
        ValueError: the part holds one class only, so that an AUC does not exist; or the model's
            answers are no logits, see :func:`medpriv.models.as_logits`.
    """
    return utility_of(_scores(model, part), part, seed=seed, draws=draws)


def utility_of(scores: Tensor, part: Part, *, seed: int = 0, draws: int = 200) -> Utility:
    """The same of answers that were given about a part, such as those of a defended view.

    Args:
        scores: ``(n, classes)``, the larger the likelier; labels as rows of 0 and 1.
        part: about whom, in this order.
        seed: decides the resamples.
        draws: bootstrap resamples.

    Raises:
        ValueError: the part holds one class only, so that an AUC does not exist; or there is not
            one row of scores, all finite, for each of the part's, with one for each class.
    """
    if len(part.y.unique()) < 2:
        raise ValueError("utility needs patients of at least two classes, the part has one")
    classes = int(part.y.max()) + 1  # at least; a class may have no patient in this part
    fits = scores.ndim == 2 and len(scores) == len(part) and scores.shape[1] >= classes
    if not fits or not bool(scores.isfinite().all()):
        raise ValueError(
            f"expected finite scores for each of {len(part)} rows and at least {classes} classes, "
            f"got {tuple(scores.shape)}, or one that is not finite; look at the answers"
        )
    return _utility(scores.double().numpy(), part, seed=seed, draws=draws)


def utility_by(
    model: nn.Module,
    part: Part,
    groups: Sequence[str] | pd.Series | np.ndarray,
    *,
    seed: int = 0,
    draws: int = 200,
    at_least: int = 30,
) -> pd.DataFrame:
    """Measure a model's :class:`.Utility` in each group of patients, and in all of them.

    A group that is too small is measured like the others: leaving it out would hide it. The
    column ``note`` names it.

    Args:
        model: as for :func:`utility`.
        part: on whom to measure.
        groups: ``(n,)`` the group of each row, such as ``part.attributes["density"]``.
        seed: decides the resamples.
        draws: bootstrap resamples.
        at_least: a group of fewer patients is noted as too small.

    Returns:
        One row a group in the order of their names, then ``everyone``; the columns ``patients``,
        ``auc`` and ``accuracy`` (each an :class:`medpriv.statistics.Estimate`; an AUC is NaN where
        the group has one class), ``majority`` and ``note``.

    Raises:
        ValueError: there is not one group for each row.
    """
    names = np.asarray(groups).astype(str)
    if names.shape != (len(part),):
        raise ValueError(f"expected one group for each of {len(part)} rows, got {names.shape}")
    scores = _scores(model, part).double().numpy()
    chosen = {name: names == name for name in np.unique(names)}
    chosen["everyone"] = np.ones(len(part), dtype=bool)
    rows = {}
    for name, where in chosen.items():
        group = part.take(where)
        found = _utility(scores[where], group, seed=seed, draws=draws)
        rows[name] = {
            "patients": group.patients,
            "auc": found.auc,
            "accuracy": found.accuracy,
            "majority": found.majority,
            "note": _doubts(group, at_least),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _scores(model: nn.Module, part: Part) -> Tensor:
    return predict(as_logits(model), part.x).softmax(dim=1)


def _doubts(group: Part, at_least: int) -> str:
    """Why a group's figures say little, or nothing."""
    doubts = []
    if group.patients < at_least:
        doubts.append(f"fewer than {at_least} patients")
    if len(group.y.unique()) < 2:
        doubts.append("one class only")
    return ", ".join(doubts)


def _utility(scores: np.ndarray, part: Part, *, seed: int, draws: int) -> Utility:
    labels = part.y.numpy()
    right = (scores.argmax(1) == labels).astype(float)
    counts = patient_bootstrap(part.patient, draws=draws, seed=seed)
    accuracies = counts @ right / counts.sum(1)
    once = np.ones((1, len(labels)))
    fewest = min(fewest_of_each(labels == one, part.patient) for one in np.unique(labels))
    who = {"patient": part.patient, "seed": seed}
    aucs = _aucs(labels, scores, counts)
    return Utility(
        auc=interval(_aucs(labels, scores, once)[0], aucs, share_of=fewest, **who),
        accuracy=interval(right.mean(), accuracies, share_of=part.patients, **who),
        majority=float(np.bincount(labels).max() / len(labels)),
        rows=len(labels),
    )


def _aucs(labels: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``(draws,)``: the mean over classes of one against the rest, NaN where one is missing."""
    # With two classes both directions give the same area.
    chosen = np.unique(labels)[-1:] if scores.shape[1] == 2 else np.unique(labels)
    areas = [resampled_auc(labels == label, scores[:, label], counts) for label in chosen]
    return np.mean(areas, axis=0)
