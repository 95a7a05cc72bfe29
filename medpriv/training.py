"""The one training loop, target models that are trained once, and honest utility figures."""

from __future__ import annotations

import contextlib
import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort, Part
from medpriv.data.resampling import Estimate, interval, patient_bootstrap, resampled_auc
from medpriv.models.recognisers import build_recogniser
from medpriv.models.reports import ReportClassifier
from medpriv.models.targets import build_target
from medpriv.runtime import (
    CacheError,
    atomic_path,
    autocast,
    cache_dir,
    cached,
    check_profile,
    content_hash,
    has_fast_bf16,
    in_chunks,
    pick_device,
    progress,
    reproducible_kernels,
    seeded,
    source_hash,
    to_device,
    torch_rng,
)

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train: Adam, with the learning rate falling to zero along a half cosine.

    Attributes:
        epochs: passes over the data.
        batch_size: rows a step.
        learning_rate: at the start.
        weight_decay: L2 penalty, decoupled (AdamW; Loshchilov & Hutter 2019).
        exact: full float32 everywhere, where bfloat16's rounding would matter.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    exact: bool = False

    @classmethod
    def of_steps(cls, steps: int, rows: int, *, batch_size: int = 64, **others: Any) -> Recipe:
        """As many whole epochs, at least one, as come closest to a number of steps.

        Args:
            steps: how many, whatever the number of rows.
            rows: how many are trained on.
            batch_size: rows a step, at most as many as there are.
            others: the other attributes.
        """
        rows = max(1, rows)
        batch_size = min(batch_size, rows)
        return cls(max(1, round(steps * batch_size / rows)), batch_size, **others)


def fit(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Loss,
    recipe: Recipe,
    seed: int,
    device: str | torch.device = "auto",
    what: str = "training",
    lengths: Tensor | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
) -> list[float]:
    """Train ``model`` in place and return the mean loss of each epoch.

    The same seed gives the same weights on the same device: the order of rows, and whatever a
    layer such as dropout draws, come from generators of their own for each epoch. bfloat16 and
    channels_last are used where the device has them natively.

    Args:
        model: ends in evaluation mode, on ``device``.
        inputs: ``(n, ...)`` float32.
        targets: ``(n, ...)``, whatever ``loss`` takes.
        loss: ``loss(output, target)`` → a scalar, the mean over the batch.
        recipe: see :class:`Recipe`.
        seed: decides the order of rows.
        device: see :func:`medpriv.runtime.pick_device`.
        what: what the progress bar calls it.
        lengths: ``(n,)`` of rows that are padded: rows of similar length then share a batch, so
            that a model which stops at the longest of them computes little for nothing.
        checkpoint: a file in which the state is kept while training lasts, so that an
            interrupted training goes on where it was and ends with the same weights; removed
            at the end. One that is damaged or cannot be written costs a warning, no training.
        checkpoint_seconds: at most this much work is lost.

    Raises:
        ValueError: there are no rows, or inputs, targets and lengths differ in number.
        FloatingPointError: the loss is no longer finite.
    """
    if not len(inputs) or len(inputs) != len(targets):
        raise ValueError(
            f"training needs as many targets as inputs, and at least one; "
            f"got {len(inputs)} inputs and {len(targets)} targets"
        )
    if lengths is not None and len(lengths) != len(inputs):
        raise ValueError(f"expected a length for each of {len(inputs)} rows, got {len(lengths)}")
    where = pick_device(device)
    to_device(model, where)
    inputs, targets = to_device(inputs, where), to_device(targets, where)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    history = _resume(checkpoint, model, weights, optimizer) if checkpoint else []
    saved = time.monotonic()
    for epoch in progress(range(len(history), recipe.epochs), what, unit="epoch"):
        batches = _batches(len(inputs), recipe.batch_size, lengths, seed, epoch)
        with seeded(seed, "epoch", epoch):
            mean = _epoch(model, inputs, targets, batches, loss, recipe, optimizer, epoch, where)
        history.append(mean)
        if not np.isfinite(history[-1]):
            raise FloatingPointError(
                f"{what}: the loss is {history[-1]} after epoch {epoch + 1}; lower the learning "
                f"rate ({recipe.learning_rate}) or check the inputs for extreme values"
            )
        if checkpoint and time.monotonic() - saved >= checkpoint_seconds:
            try:
                _keep(checkpoint, model, weights, optimizer, history)
            except CacheError as error:
                warnings.warn(f"no checkpoint: {error.strerror}", RuntimeWarning, stacklevel=2)
            saved = time.monotonic()
    if checkpoint:
        with contextlib.suppress(OSError):  # one that stays would give the same weights again
            checkpoint.unlink()
    model.eval()
    return history


_POOL = 16  # batches among which rows are sorted by length


def _batches(
    rows: int, batch_size: int, lengths: Tensor | None, seed: int, epoch: int
) -> list[Tensor]:
    draw = torch_rng(seed, "order", epoch)
    order = torch.randperm(rows, generator=draw)
    if lengths is None:
        return list(order.split(batch_size))
    lengths = lengths.cpu()
    pools = (pool[lengths[pool].argsort(stable=True)] for pool in order.split(_POOL * batch_size))
    batches = [batch for pool in pools for batch in pool.split(batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=draw)]


def _epoch(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    batches: list[Tensor],
    loss: Loss,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    device: torch.device,
) -> float:
    model.train()
    total = torch.zeros((), device=device)
    exact = recipe.exact or (device.type == "cpu" and _grouped(model))
    with reproducible_kernels(exact=recipe.exact):
        for number, batch_rows in enumerate(batches):
            rows = batch_rows.to(device)
            done = (epoch + number / len(batches)) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
            batch = to_device(inputs[rows], device)
            with autocast(device, exact=exact):
                output = model(batch)
            value = loss(output.float(), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += value.detach() * len(rows)
    return float(total) / len(inputs)


def _grouped(model: nn.Module) -> bool:
    """Whether a convolution has groups, as in shufflenet and mobilenet.

    On a CPU their bfloat16 kernel (oneDNN's, for weights, one place and stride 2) reads memory
    that nobody has written, and the gradient is then anything, infinity included.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return any(isinstance(part, kinds) and part.groups > 1 for part in model.modules())


# --- Checkpoints: model, optimizer and history in one safetensors file --------------------------


def _keep(
    path: Path,
    model: nn.Module,
    weights: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    history: list[float],
) -> None:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, weight in enumerate(weights):
        for name, value in optimizer.state[weight].items():
            state[f"optimizer.{number}.{name}"] = value
    state["history"] = torch.tensor(history, dtype=torch.float64)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    with atomic_path(path) as part:
        _save(state, part)


def _save(state: dict[str, Tensor], path: Path) -> None:
    # safetensors' own writer reports a full disk by an error that is no OSError.
    path.write_bytes(to_safetensors(state))


def _resume(
    path: Path,
    model: nn.Module,
    weights: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
) -> list[float]:
    if not path.exists():
        return []
    try:
        state = load_file(path)
        history = state["history"].tolist()
        found = {name: state[f"model.{name}"] for name in model.state_dict()}
    except (SafetensorError, KeyError, OSError) as error:
        warnings.warn(
            f"the checkpoint {path.name} is damaged ({error}); training starts again",
            RuntimeWarning,
            stacklevel=3,
        )
        return []
    model.load_state_dict(found)
    for number, weight in enumerate(weights):
        prefix = f"optimizer.{number}."
        optimizer.state[weight] = {
            name.removeprefix(prefix): value if name.endswith(".step") else value.to(weight.device)
            for name, value in state.items()
            if name.startswith(prefix)
        }
    return history


# --- Target models ----------------------------------------------------------------------------

_EPOCHS = {
    "images": {"smoke": 2, "quick": 15, "full": 40},
    "records": {"smoke": 4, "quick": 20, "full": 40},
    "reports": {"smoke": 10, "quick": 60, "full": 100},
}


def target_recipe(cohort: Cohort, profile: str) -> Recipe:
    """The recipe with which :func:`train_target` trains this kind of cohort's target."""
    epochs = _EPOCHS[cohort.modality][check_profile(profile)]
    if cohort.modality == "images":
        return Recipe(epochs=epochs, weight_decay=1e-2)
    # Small dense layers gain nothing from bfloat16.
    return Recipe(epochs=epochs, batch_size=128, weight_decay=1e-3, exact=True)


def train_target(
    cohort: Cohort,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
    model: nn.Module | None = None,
    loss: Loss | None = None,
) -> nn.Module:
    """The target model of a cohort, trained on its members; from the cache where it is there.

    The key of the cache is a hash of the members, the architecture, the initial weights, the
    recipe, the seed, the device and the code, so two chapters that need the same model train it
    once, and no chapter gets a model that its own code would not have given.

    Args:
        cohort: whose members train the model.
        profile: how long to train, where there is no ``recipe``.
        seed: decides the order of rows and, without ``model``, the initial weights.
        device: see :func:`medpriv.runtime.pick_device`.
        recipe: how to train; without it :func:`target_recipe`.
        model: an untrained classifier to train in the place of the cohort's own, such as one of
            torchvision's; it is copied and stays untrained.
        loss: ``loss(logits, labels)`` → the mean over the batch, such as a defense's; without it
            the cross-entropy. The key of the cache holds what it makes of some fixed logits.

    Returns:
        The model in evaluation mode, on ``device``.

    Raises:
        ValueError: ``model`` does not give one logit for each class.
    """
    where = pick_device(device)
    recipe = recipe or target_recipe(cohort, profile)
    loss = loss or F.cross_entropy
    behaviour = None if model is None else _behaviour(model, cohort)
    model = build_target(cohort, seed=seed) if model is None else copy.deepcopy(model)
    trained = model.head if isinstance(model, ReportClassifier) else model
    key = content_hash(
        behaviour,
        dict(model.state_dict()),
        (cohort.members.x, cohort.members.y),
        recipe,
        _losses_of_some(loss, len(cohort.classes)),
        seed,
        (where.type, has_fast_bf16(where), torch.__version__),
        source_hash("models", "training", "runtime"),
    )

    def make() -> nn.Module:
        inputs = cohort.members.x
        if isinstance(model, ReportClassifier):
            inputs = predict(to_device(model.encoder, where), inputs)
        fit(
            trained,
            inputs,
            cohort.members.y,
            loss=loss,
            recipe=recipe,
            seed=seed,
            device=where,
            what="target model",
            checkpoint=cache_dir() / "checkpoints" / f"{key}.safetensors",
        )
        return trained

    def save(net: nn.Module, path: Path) -> None:
        _save({name: value.contiguous() for name, value in net.state_dict().items()}, path)

    def load(path: Path) -> nn.Module:
        state = load_file(path)
        copy.deepcopy(trained).load_state_dict(state)  # a wrong file fails here and changes nothing
        trained.load_state_dict(state)
        return trained

    cached("targets", key, make, save, load, suffix=".safetensors")
    return to_device(model, where).eval()


VARIED = 0.3  # exponent and noise of the pictures that a recogniser is trained on
GRAIN = 0.03


def train_recogniser(
    images: Tensor,
    *,
    kind: str = "mlp",
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
) -> nn.Module:
    """A model that tells people apart, trained on one picture of each: row i is class i.

    It sees each picture in varied contrast and with noise, as another exposure would give it.

    Args:
        images: ``(n, c, h, w)`` float32 in [0, 1], one of each person.
        kind: see :func:`medpriv.models.build_recogniser`.
        profile: how often it sees each.
        seed: decides weights, order and variation.
        device: see :func:`medpriv.runtime.pick_device`.

    Returns:
        The model in evaluation mode, on ``device``.

    Raises:
        ValueError: there are fewer than two people, or the kind is unknown.
    """
    people = len(images)
    if people < 2:
        raise ValueError(f"a recogniser needs two or more people to tell apart, got {people}")
    copies = {"smoke": 2, "quick": 20, "full": 100}[check_profile(profile)]
    draw = torch_rng(seed, "varied pictures")
    rows = torch.arange(people).repeat(copies)
    own = images.cpu()[rows]
    power = torch.exp(VARIED * (2 * torch.rand(len(rows), 1, 1, 1, generator=draw) - 1))
    noise = GRAIN * torch.randn(own.shape, generator=draw)
    model = build_recogniser(images.shape[1:], people, kind=kind, seed=seed)
    fit(
        model,
        (own**power + noise).clamp(0, 1),
        rows,
        loss=F.cross_entropy,
        # Small dense layers gain nothing from bfloat16.
        recipe=Recipe(epochs=30, weight_decay=1e-2, exact=kind != "cnn"),
        seed=seed,
        device=device,
        what="recogniser",
    )
    return model


def _behaviour(model: nn.Module, cohort: Cohort) -> tuple[str, Tensor, Tensor]:
    """What sets a model apart from others with equal weights: its layers and its answers.

    The answers to a few members, in evaluation and in training mode, say what no list of layers
    says: what ``forward`` does with them.

    Raises:
        ValueError: the model does not give one logit for each class.
    """
    probe = copy.deepcopy(model).cpu()
    few = cohort.members.x[:4]
    answers = []
    for mode in (probe.eval(), probe.train()):
        with torch.no_grad(), seeded(0, "behaviour"):
            answer = mode(few)
        expected = (len(few), len(cohort.classes))
        if not isinstance(answer, Tensor) or answer.shape != expected:
            found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise ValueError(
                f"{type(model).__name__} must return logits of shape {expected} for "
                f"{len(few)} rows, one for each of the classes {', '.join(cohort.classes)}; "
                f"it returns {found}"
            )
        answers.append(answer)
    return repr(model), *answers


def _losses_of_some(loss: Loss, classes: int) -> Tensor:
    """What sets a loss apart from others: its value for a few answers."""
    logits = torch.randn(32, classes, generator=torch_rng(0, "some logits"))
    labels = torch.arange(32) % classes
    return torch.stack([loss(scale * logits, labels).detach() for scale in (0.1, 1.0, 10.0)])


def predict(model: nn.Module, inputs: Tensor | Sequence[str], *, batch_size: int = 1024) -> Tensor:
    """Apply a model in chunks, in full precision, and return the result on the CPU.

    Args:
        model: in evaluation mode afterwards.
        inputs: ``(n, ...)`` on any device, or n texts.
        batch_size: rows at once; memory does not grow with n.
    """
    model.eval()
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    return in_chunks(lambda rows: model(rows).float(), inputs, device=device, batch_size=batch_size)


# --- Utility ----------------------------------------------------------------------------------


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
    """Measure a model's :class:`Utility`; intervals from a bootstrap over patients.

    Raises:
        ValueError: the part holds one class only, so that an AUC does not exist.
    """
    return utility_of(predict(model, part.x).softmax(dim=1), part, seed=seed, draws=draws)


def utility_of(scores: Tensor, part: Part, *, seed: int = 0, draws: int = 200) -> Utility:
    """The same of answers that were given about a part, such as those of a defended view.

    Args:
        scores: ``(n, classes)``, the larger the likelier; labels as rows of 0 and 1.
        part: about whom, in this order.
        seed: decides the resamples.
        draws: bootstrap resamples.

    Raises:
        ValueError: the part holds one class only, so that an AUC does not exist; or there is not
            one row of scores, all finite, for each of the part's.
    """
    if len(part.y.unique()) < 2:
        raise ValueError("utility needs patients of at least two classes, the part has one")
    if scores.ndim != 2 or len(scores) != len(part) or not bool(scores.isfinite().all()):
        raise ValueError(
            f"expected finite scores (n, classes) for each of {len(part)} rows, got "
            f"{tuple(scores.shape)}, or one that is not finite; look at the answers"
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
    """Measure a model's :class:`Utility` in each group of patients, and in all of them.

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
        ``auc`` and ``accuracy`` (each an :class:`medpriv.metrics.Estimate`; an AUC is NaN where
        the group has one class), ``majority`` and ``note``.

    Raises:
        ValueError: there is not one group for each row.
    """
    names = np.asarray(groups).astype(str)
    if names.shape != (len(part),):
        raise ValueError(f"expected one group for each of {len(part)} rows, got {names.shape}")
    scores = _probabilities(model, part)
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


def _doubts(group: Part, at_least: int) -> str:
    """Why a group's figures say little, or nothing."""
    doubts = []
    if group.patients < at_least:
        doubts.append(f"fewer than {at_least} patients")
    if len(group.y.unique()) < 2:
        doubts.append("one class only")
    return ", ".join(doubts)


def _probabilities(model: nn.Module, part: Part) -> np.ndarray:
    """``(n, classes)`` float64."""
    return predict(model, part.x).softmax(dim=1).double().numpy()


def _utility(scores: np.ndarray, part: Part, *, seed: int, draws: int) -> Utility:
    labels = part.y.numpy()
    right = (scores.argmax(1) == labels).astype(float)
    counts = patient_bootstrap(part.patient, draws=draws, seed=seed)
    accuracies = counts @ right / counts.sum(1)
    once = np.ones((1, len(labels)))
    return Utility(
        auc=interval(_aucs(labels, scores, once)[0], _aucs(labels, scores, counts)),
        accuracy=interval(right.mean(), accuracies),
        majority=float(np.bincount(labels).max() / len(labels)),
        rows=len(labels),
    )


def _aucs(labels: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The AUC of each resample, the mean over classes of one against the rest.

    Args:
        labels: ``(n,)``.
        scores: ``(n, classes)``.
        counts: ``(draws, n)`` how often each row counts.

    Returns:
        ``(draws,)``, NaN where a resample lacks a class.
    """
    # With two classes both directions give the same area.
    chosen = np.unique(labels)[-1:] if scores.shape[1] == 2 else np.unique(labels)
    areas = [resampled_auc(labels == label, scores[:, label], counts) for label in chosen]
    return np.mean(areas, axis=0)
