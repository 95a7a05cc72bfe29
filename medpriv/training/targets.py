"""Target models, trained once and kept."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort
from medpriv.models.contract import as_given, check_trainable, untrained_copy
from medpriv.models.reports import ReportClassifier
from medpriv.models.targets import build_target
from medpriv.runtime.device import pick_device, to_device
from medpriv.runtime.hashing import identity
from medpriv.runtime.profile import IMAGE_TARGET_EPOCHS, RECORD_TARGET_EPOCHS, REPORT_TARGET_EPOCHS
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.checkpoint import cached_module
from medpriv.training.loop import Loss, Recipe, fit
from medpriv.training.utility_scores import predict

_EPOCHS = {
    "images": IMAGE_TARGET_EPOCHS,
    "records": RECORD_TARGET_EPOCHS,
    "reports": REPORT_TARGET_EPOCHS,
}


def target_recipe(cohort: Cohort, profile: str) -> Recipe:
    """The recipe with which :func:`train_target` trains this kind of cohort's target."""
    epochs = _EPOCHS[cohort.modality].of(profile)
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
        device: see :func:`medpriv.runtime.device.pick_device`.
        recipe: how to train; without it :func:`target_recipe`.
        model: an untrained classifier to train in the place of the cohort's own, such as one of
            torchvision's; it is copied and stays untrained. One that answers with something else
            than logits goes through :func:`medpriv.models.as_logits` first.
        loss: ``loss(logits, labels)`` → the mean over the batch, such as a defense's; without it
            the cross-entropy. The key of the cache holds what it makes of some fixed logits.

    Returns:
        The model in evaluation mode, on ``device``.

    Raises:
        ValueError: ``model`` does not give one logit for each class, none of its weights can be
            trained, or they are in half precision.
    """
    where = pick_device(device)
    recipe = recipe or target_recipe(cohort, profile)
    loss = loss or F.cross_entropy
    behaviour = None
    if model is None:
        model = build_target(cohort, seed=seed)
    else:
        model = untrained_copy(_materialised(model, cohort, seed))
        behaviour = _behaviour(model, cohort, loss)
    trained = model.head if isinstance(model, ReportClassifier) else model
    parts = (
        behaviour,
        (cohort.members.x, cohort.members.y),
        recipe,
        _losses_of_some(loss, len(cohort.classes)),
        seed,
    )

    def train(checkpoint: Path) -> None:
        inputs = cohort.members.x
        if isinstance(model, ReportClassifier):
            inputs = predict(to_device(model.encoder, where), inputs)
        fit(
            trained, inputs, cohort.members.y, loss=loss, recipe=recipe, seed=seed, device=where,
            what="target model", checkpoint=checkpoint,
        )  # fmt: skip

    # Of a report classifier all weights decide, and the head's alone are trained.
    encoder = dict(model.state_dict()) if trained is not model else None
    cached_module("targets", (parts, encoder), trained, train, device=where)
    return to_device(as_given(model), where).eval()


def _materialised(model: nn.Module, cohort: Cohort, seed: int) -> nn.Module:
    """The model itself, or where it has layers without a size a copy that has seen some rows."""
    lazy = nn.parameter.UninitializedTensorMixin
    if not any(isinstance(one, lazy) for one in (*model.parameters(), *model.buffers())):
        return model
    model = copy.deepcopy(model).eval()
    with torch.no_grad(), seeded(seed, "target"):
        model(cohort.members.x[:2].clone())
    return model


def _behaviour(model: nn.Module, cohort: Cohort, loss: Loss) -> tuple[object, ...]:
    """What sets a model apart from others with equal weights: its code, some answers and slopes.

    No list of layers says what ``forward`` does with them, in evaluation and in training mode, nor
    which weights the loss reaches.
    """
    probe = copy.deepcopy(model).cpu()
    few = cohort.members.take(slice(4))
    answers, slopes = [], []
    for mode in (probe.eval(), probe.train()):
        with seeded(0, "behaviour"):
            answer = mode(few.x)
        check_trainable(model, answer, cohort.classes)
        answers.append(answer.detach())
        probe.zero_grad(set_to_none=True)
        if answer.requires_grad:
            loss(answer, few.y).backward()
        slopes.append([weight.grad for weight in probe.parameters()])
    frozen = [weight.requires_grad for weight in model.parameters()]
    return identity(model), answers, slopes, frozen


def _losses_of_some(loss: Loss, classes: int) -> Tensor:
    """What sets a loss apart from others: its value for a few answers."""
    logits = torch.randn(32, classes, generator=torch_rng(0, "some logits"))
    labels = torch.arange(32) % classes
    return torch.stack([loss(scale * logits, labels).detach() for scale in (0.1, 1.0, 10.0)])
