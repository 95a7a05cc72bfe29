"""DP-SGD: training in which no single member's row can matter much, with a proved epsilon.

Abadi et al. 2016 (CCS, arXiv 1607.00133), algorithm 1, as Opacus does it (Yousefpour et al. 2021):
each step draws members at random (Poisson sampling), clips every member's gradient to one length,
adds normal noise to the sum, and an accountant adds up what all steps tell (PRV; Gopi et al. 2021).

What is protected is that a *row* was in the training data. If a patient has several rows, epsilon
for the patient is larger; with ``unit="patient"`` patients are drawn, the gradients of all rows of
one are summed and clipped once (as McMahan et al. 2018, ICLR, arXiv 1710.06963, do with users), and
epsilon is the patient's. What the trained model computes of an input at inference is not protected
at all. And whoever tries several settings and keeps the best has spent epsilon on each.

Neighbours differ by one row, or one patient, that is added or taken away. How many there are is
taken as public: the sampling rate, the divisor of the mean gradient, the number of steps and the
usual delta depend on it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from medpriv.data.cohort import Cohort
from medpriv.defenses.sample_gradients import bear_hooks, bear_sampling, quiet, unwrap_layers
from medpriv.models.contract import Classifier, as_given, check_trainable, untrained_copy
from medpriv.models.reports import ReportClassifier
from medpriv.models.targets import build_target
from medpriv.runtime.arguments import choose
from medpriv.runtime.device import pick_device, to_device
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.utility_scores import predict


@dataclass(frozen=True)
class Privately:
    """How to train with DP-SGD.

    Attributes:
        epsilon: to spend in all.
        delta: below 1 / members; ``None`` takes 1 / (10 members). Members are rows, or patients
            where these are the unit.
        epochs: passes over the data, on average.
        batch_size: members a step, on average.
        clip: the length to which each member's gradient is cut.
        learning_rate: of Adam.
    """

    epsilon: float
    delta: float | None = None
    epochs: int = 20
    batch_size: int = 64
    clip: float = 1.0
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        if not (0 < self.epsilon < math.inf and self.clip > 0 and self.learning_rate > 0):
            raise ValueError(f"epsilon (finite), clip and learning rate are above 0, got {self}")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"expected one or more epochs and rows a batch, got {self}")


@dataclass(frozen=True)
class PrivateModel:
    """A model trained with DP-SGD, and what is proved of it.

    Attributes:
        model: in evaluation mode.
        epsilon: spent, by the PRV accountant, at most what was asked for.
        delta: at which.
        noise: the noise multiplier, in units of the clipping length.
        steps: how many were made.
        rate: the chance of a member to be in a step.
        unit: whose epsilon it is: of a ``row`` or of a ``patient``.
    """

    model: nn.Module
    epsilon: float
    delta: float
    noise: float
    steps: int
    rate: float
    unit: str = "row"


def train_privately(
    cohort: Cohort,
    how: Privately,
    *,
    seed: int = 0,
    device: str = "auto",
    model: nn.Module | None = None,
    unit: Literal["row", "patient"] = "row",
) -> PrivateModel:
    """Train a cohort's target model with DP-SGD on its members.

    Of a report classifier only the head is trained, as always; the encoder has seen no member.

    Args:
        cohort: whose members train the model.
        how: see :class:`Privately`.
        seed: decides initial weights, who is in each step, and the noise. A seed makes a run
            repeatable for a course; a model that is put into service takes noise that nobody can
            repeat.
        device: see :func:`medpriv.runtime.device.pick_device`.
        model: an untrained classifier in the place of the cohort's own; it is copied. Layers that
            mix members, such as batch norm, are replaced (``ModuleValidator.fix``), and layers
            write no longer in place. One that answers with something else than logits goes through
            :func:`medpriv.models.as_logits` first.
        unit: who is drawn, clipped and accounted for. A patient's rows are in a step together.

    Raises:
        ValueError: delta is not below 1 / members, no noise reaches the epsilon, an input is
            not finite, the model does not give one logit for each class, or the unit is the patient
            and the data do not say whose a row is.
        TypeError: gradients of single members cannot be had of the model.
        FloatingPointError: a weight is no longer finite.
    """
    choose(unit, ("row", "patient"), "unit")
    owner = _patients(cohort) if unit == "patient" else torch.arange(len(cohort.members))
    members = int(owner.max()) + 1
    delta = 1 / (10 * members) if how.delta is None else how.delta
    if not 0 < delta < 1 / members:
        raise ValueError(
            f"delta must be above 0 and below 1 / members = {1 / members:.2g}, got {delta:.2g}: at "
            "that value a training that publishes one member's data would count as private"
        )
    where = pick_device(device)
    whole = _untrained(cohort, seed) if model is None else _prepared(model, cohort)
    rate = min(1.0, how.batch_size / members)
    steps = max(1, math.ceil(how.epochs / rate))
    noise = noise_for(how.epsilon, delta, rate, steps)
    inputs, labels = cohort.members.x, cohort.members.y
    if isinstance(whole, ReportClassifier):
        inputs = predict(to_device(whole.encoder, where), inputs)
        whole.head = _trained(
            whole.head, inputs, labels, owner, how, noise, rate, steps, seed, where
        )
    else:
        whole = _trained(whole, inputs, labels, owner, how, noise, rate, steps, seed, where)
    whole = to_device(as_given(whole), where).eval()
    spent = epsilon_spent(noise, rate, steps, delta)
    return PrivateModel(whole, spent, delta, noise, steps, rate, unit)


def _patients(cohort: Cohort) -> torch.Tensor:
    """``(n,)`` int64: the number of the patient whose each member's row is."""
    if not cohort.card.patient_identity:
        raise ValueError(
            f"{cohort.card.name} does not say which rows belong to one patient, so that nothing "
            "can be proved for patients; name the column of patients, or take unit='row'"
        )
    return torch.from_numpy(np.unique(cohort.members.patient, return_inverse=True)[1])


def _untrained(cohort: Cohort, seed: int) -> nn.Module:
    # Records are standardised by the mean and spread of a part. Those of the members would tell of
    # them outside of what is proved, so others' are taken.
    return build_target(replace(cohort, members=cohort.auxiliary), seed=seed)


def _prepared(model: nn.Module, cohort: Cohort) -> nn.Module:
    """A copy of somebody's network, as gradients of single members can be had of it."""
    own = untrained_copy(model)
    with torch.no_grad():
        logits = copy.deepcopy(own).eval()(cohort.members.x[:2])
    check_trainable(own, logits, cohort.classes)
    for layer in own.modules():
        if getattr(layer, "inplace", False):
            layer.inplace = False  # it would write over what the gradient needs
    return own


def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The smallest noise multiplier with which so many steps spend at most epsilon.

    Args:
        epsilon: to spend.
        delta: of the guarantee.
        rate: the chance of a member to be in a step.
        steps: how many.

    Raises:
        ValueError: no noise reaches it.
    """
    from opacus.accountants.utils import get_noise_multiplier

    with quiet():
        return get_noise_multiplier(
            target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps,
            accountant="prv", epsilon_tolerance=min(0.01, epsilon / 100),
            eps_error=min(0.01, epsilon / 20),
        )  # fmt: skip


def epsilon_spent(noise: float, rate: float, steps: int, delta: float) -> float:
    """What so many noisy steps spend, by the PRV accountant (an upper bound).

    Arguments as for :func:`noise_for`, whose result ``noise`` is.
    """
    from opacus.accountants import create_accountant

    accountant = create_accountant("prv")
    accountant.history = [(noise, rate, steps)]
    with quiet():
        rough = float(accountant.get_epsilon(delta=delta))
        if rough > 0.2:
            return rough
        return float(accountant.get_epsilon(delta=delta, eps_error=max(rough, 1e-4) / 20))


def _trained(
    net: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    owner: torch.Tensor,
    how: Privately,
    noise: float,
    rate: float,
    steps: int,
    seed: int,
    where: torch.device,
) -> nn.Module:
    if not bool(inputs.isfinite().all()):
        raise ValueError("an input is NaN or infinite; clean the members first")
    net = bear_sampling(net.train())
    strange = isinstance(net, Classifier) and bear_hooks(net, inputs, labels)
    # Plain layout: gradients of single members do not come in channels_last.
    net = net.to(where, memory_format=torch.contiguous_format).train()
    members = int(owner.max()) + 1
    rows = DataLoader(TensorDataset(torch.arange(members)), batch_size=min(how.batch_size, members))
    private, optimizer, batches = _made_private(net, rows, how, noise, seed, where)
    batches.batch_sampler.generator = torch_rng(seed, "private batches")
    batches.batch_sampler.steps = steps
    # Opacus rounds both to whole batches; the accountant is told of these.
    batches.batch_sampler.sample_rate = rate
    optimizer.expected_batch_size = rate * members
    with quiet(), seeded(seed, "private training"):
        for (drawn,) in progress(batches, "private training", total=steps, unit="step"):
            optimizer.zero_grad()
            who, place = (drawn, None) if members == len(inputs) else _rows_of(drawn, owner)
            # An empty draw still takes its step, of noise alone: the proof counts it.
            x, y = inputs[who].to(where), labels[who].to(where)
            F.cross_entropy(private(x), y, reduction="mean").backward()
            if place is not None:
                _sum_by_member(private, place.to(where), len(drawn))
            optimizer.step()
    # Gradients of single members are no part of what is released.
    optimizer.zero_grad(set_to_none=True)
    trained = private.to_standard_module()
    if strange:
        unwrap_layers(trained)
    if not all(bool(weight.isfinite().all()) for weight in trained.parameters()):
        raise FloatingPointError(
            f"a weight is NaN or infinite after {steps} steps; lower the learning rate "
            f"({how.learning_rate})"
        )
    return trained


def _rows_of(drawn: torch.Tensor, owner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All rows of the patients who are drawn, and the place of each row's patient among these."""
    place = torch.full((int(owner.max()) + 1,), -1).index_copy(0, drawn, torch.arange(len(drawn)))
    rows = (place[owner] >= 0).nonzero()[:, 0]
    return rows, place[owner[rows]]


def _sum_by_member(net: nn.Module, place: torch.Tensor, members: int) -> None:
    """Put the sum over a member's rows in the place of each row's gradient, before clipping."""
    for weight in net.parameters():
        if weight.requires_grad:
            total = weight.new_zeros(members, *weight.shape)
            weight.grad_sample = total.index_add(0, place, weight.grad_sample)


def _made_private(
    net: nn.Module, rows: DataLoader, how: Privately, noise: float, seed: int, where: torch.device
) -> tuple[nn.Module, Any, Any]:
    """The network, an optimizer and batches as Opacus wraps them."""
    from opacus import PrivacyEngine

    stream = torch_rng(seed, "private noise").initial_seed()
    with quiet():
        return PrivacyEngine(accountant="prv").make_private(
            module=net,
            optimizer=torch.optim.Adam(net.parameters(), lr=how.learning_rate),
            data_loader=rows,
            noise_multiplier=noise,
            max_grad_norm=how.clip,
            noise_generator=torch.Generator(device=where).manual_seed(stream),
        )
