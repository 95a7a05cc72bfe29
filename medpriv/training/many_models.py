"""Many models of one architecture, each trained on its own half of the patients.

Who of the patients leaks is a question about one patient at a time, and is answered by many models
that had her in their training and as many that had not (Carlini et al. 2022, section IV).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as from_safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort, Part
from medpriv.models.contract import as_given, check_trainable, untrained_copy
from medpriv.models.reports import ReportClassifier, ReportEncoder
from medpriv.models.targets import build_target
from medpriv.runtime.cache import kept
from medpriv.runtime.device import pick_device, to_device
from medpriv.runtime.hashing import content_hash, identity
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import rng, seeded
from medpriv.training.at_once import Plan, plan, some_answers
from medpriv.training.checkpoint import cached_module, tensor_bytes
from medpriv.training.loop import Recipe, fit
from medpriv.training.stack import Lessons, Stack, fit_together
from medpriv.training.utility_scores import predict

#: What is trained: the target of a cohort, a network as it is, or one for each model's rows and
#: seed.
Untrained = Cohort | nn.Module | Callable[[Part, int], nn.Module]


@dataclass(frozen=True)
class ManyModels:
    """M trained models of one architecture; see :func:`medpriv.training.train_many`.

    Attributes:
        stack: their weights, on the CPU.
        inside: ``(M, n)`` bool, on which rows each was trained.
        seeds: M, that of each model.
        device: where they compute.
        encoder: of report classifiers, the one that they share.
    """

    stack: Stack
    inside: np.ndarray
    seeds: tuple[int, ...]
    device: torch.device
    encoder: ReportEncoder | None = None

    def __len__(self) -> int:
        return len(self.stack)

    def model(self, number: int) -> nn.Module:
        """One of them, in evaluation mode on the device; report classifiers share their encoder."""
        network = as_given(self.stack.one(range(len(self))[number]))
        if self.encoder is not None:
            with seeded(0, "head"):  # whose weights are then others
                classifier = ReportClassifier(self.encoder)
            classifier.head = network
            network = classifier
        return to_device(network, self.device).eval()

    def logits(self, x: Tensor | Sequence[str]) -> Tensor:
        """What each says about rows: ``(M, n, K)`` float32, on the CPU.

        Memory does not grow with the number of rows, but for the result.

        Args:
            x: rows as one of them takes them; of reports the texts, or their embeddings.
        """
        if self.encoder is not None and not isinstance(x, Tensor):
            x = predict(to_device(self.encoder, self.device), x)
        numbers = progress(range(len(self)), "answers of many models", unit="model")
        each = (to_device(self.stack.one(number), self.device) for number in numbers)
        return torch.stack([predict(network, x) for network in each])

    def scores(self, x: Tensor | Sequence[str]) -> Tensor:
        """The softmax of :meth:`logits`."""
        return self.logits(x).softmax(dim=2)


def train_many(
    untrained: Untrained,
    part: Part,
    inside: np.ndarray,
    *,
    recipe: Recipe,
    seed: int = 0,
    device: str | torch.device = "auto",
    at_once: int | None = None,
) -> ManyModels:
    """Train M models of one architecture, model m on the rows where ``inside[m]``; kept.

    Each is what training it alone gives, with :func:`medpriv.training.train_target` on
    ``part.take(inside[m])`` with the seed ``seeds[m]``, but for the order of float32 sums: after
    a few steps logits agree to 1e-4. Where a recipe is not exact, bfloat16 rounds to 8 bits, and
    convolutions that are computed as one on a CPU do not. Several small networks, computed as
    one, are several times faster. An interrupted training goes on where it was.

    Args:
        untrained: a cohort, of whose target M are made, each with its own initial weights; or a
            network, from whose weights all begin; or ``untrained(rows, seed)`` → the network of
            the model with these rows. Of a report classifier the head is trained, and the texts
            are encoded once.
        part: all rows.
        inside: ``(M, n)`` bool, such as :func:`halves`.
        recipe: how to train each.
        seed: decides the seed of each: its order of rows and, of a cohort, its initial weights.
        device: see :func:`medpriv.runtime.device.pick_device`.
        at_once: how many models are computed as one. By itself: on a CPU 64, and 1 where there
            are convolutions, of which many are slower there than one after the other; elsewhere
            all; fewer where memory is short. With 1 each is trained alone, whatever its layers.

    Raises:
        ValueError: ``inside`` does not fit, a model has no rows, or the network cannot be trained
            or not several at once, as with dropout.
        MemoryError: it does not fit into what is free.
    """
    where = pick_device(device)
    inside = _checked(inside, part)
    rows = [torch.from_numpy(np.flatnonzero(own)) for own in inside]
    seeds = tuple(int(rng(seed, "many models", m).integers(2**31)) for m in range(len(inside)))
    networks = _untrained(untrained, part, inside, seeds)
    first = next(networks)
    encoder = first.encoder if isinstance(first, ReportClassifier) else None
    few = part.take(slice(4))
    some = few.x if encoder is None else encoder(few.x)
    first = _trained_part(first, encoder)
    if not isinstance(some, Tensor):
        raise ValueError("of networks that read texts, a ReportClassifier is trained here: its "
                         "head. Embed the texts, or train each with train_target")  # fmt: skip
    with seeded(seed, "target"):  # layers without a size get one, and weights
        _check_classes(first, predict(first, some), untrained, part.y)
    longest = min(recipe.batch_size, int(inside.sum(1).max()))
    how = plan(first, some, few.y, longest, inside.shape, device=where, at_once=at_once)
    stack = Stack(first, len(inside))
    stack.put(0, first)
    for number, network in enumerate(networks, start=1):
        stack.put(number, _trained_part(network, encoder))
    # Of our own networks the code counts already.
    own_code = not isinstance(untrained, Cohort)
    told = (identity(as_given(first)), some_answers(first, some, few.y)) if own_code else None
    shared = None if encoder is None else dict(encoder.state_dict())

    def train(checkpoint: Path) -> None:
        x = part.x if encoder is None else predict(to_device(encoder, where), part.x)
        _train(stack, Lessons(x, part.y, rows, seeds, recipe, where), how, checkpoint)

    parts = (told, shared, part.x, part.y, inside, recipe, seeds)
    cached_module("many", parts, stack, train, device=where)
    return ManyModels(stack.eval(), inside, seeds, where, encoder)


def _checked(inside: np.ndarray, part: Part) -> np.ndarray:
    inside = np.asarray(inside)
    fits = inside.dtype == bool and inside.ndim == 2 and inside.shape[1] == len(part)
    if not fits or not len(inside) or not inside.any(1).all():
        raise ValueError(
            f"expected inside of shape (models, {len(part)}), bool, with a row or more in each "
            f"model; got {inside.shape} {inside.dtype}"
            + (f", and models without any: {np.flatnonzero(~inside.any(1))[:5]}" if fits else "")
        )
    return inside


def _untrained(
    untrained: Untrained, part: Part, inside: np.ndarray, seeds: Sequence[int]
) -> Iterator[nn.Module]:
    """Each model before its training, one at a time."""
    if isinstance(untrained, nn.Module):
        yield from [_own_copy(untrained)] * len(seeds)
        return
    first: nn.Module | None = None
    for own, seed in zip(inside, seeds, strict=True):
        if not isinstance(untrained, Cohort):
            yield _own_copy(untrained(part.take(own), seed))
        elif isinstance(first, ReportClassifier):  # whose encoder takes a second to load
            with seeded(seed, "target"):
                yield ReportClassifier(first.encoder, classes=len(untrained.classes))
        else:
            first = build_target(replace(untrained, members=part.take(own)), seed=seed)
            yield first


def _own_copy(network: nn.Module) -> nn.Module:
    if isinstance(network, ReportClassifier):  # the encoder is frozen, and shared
        return copy.deepcopy(network, {id(network.encoder): network.encoder})
    return untrained_copy(network)


def _trained_part(network: nn.Module, encoder: ReportEncoder | None) -> nn.Module:
    """The network itself, or of a report classifier the head."""
    if not isinstance(network, ReportClassifier):
        return network
    if network.encoder is not encoder:
        raise ValueError("report classifiers that are trained together share one encoder; load it "
                         "once, and make each ReportClassifier(encoder)")  # fmt: skip
    return network.head


def _check_classes(network: nn.Module, logits: Tensor, untrained: Untrained, y: Tensor) -> None:
    known = untrained.classes if isinstance(untrained, Cohort) else ()
    numbers = range(max(logits.shape[-1], int(y.max()) + 1))  # a class may have no row
    check_trainable(network, logits, known or [str(number) for number in numbers])


def _train(stack: Stack, lessons: Lessons, how: Plan, checkpoint: Path) -> None:
    """Train all models, some at once; those that are done are kept until the last ones are."""
    groups = lessons.groups(stack.network)
    some = [
        group[i : i + how.at_once] for group in groups for i in range(0, len(group), how.at_once)
    ]
    done = 0
    for models in some:
        place = checkpoint.with_name(f"{checkpoint.stem}-{content_hash(models)[:16]}.safetensors")
        what = f"{len(models)} of {len(stack)} models, {done} done, about {how.said}"
        stack.put_some(models, _kept(stack.some(models), lessons.of(models), what, place))
        done += len(models)
    for left in checkpoint.parent.glob(f"{checkpoint.stem}-*"):
        with contextlib.suppress(OSError):  # one that stays would give the same weights again
            left.unlink()


def _kept(own: Stack, lessons: Lessons, what: str, place: Path) -> Stack:
    """Some models, trained now or before an interruption."""

    def parse(content: bytes) -> Stack:
        own.load_state_dict(from_safetensors(content))
        return own

    def dump(done: Stack) -> bytes:
        return tensor_bytes(dict(done.state_dict()))

    return kept(place, lambda: _trained(own, lessons, what, place), dump, parse)


def _trained(own: Stack, lessons: Lessons, what: str, place: Path) -> Stack:
    running = place.with_name(f"{place.stem}-running.safetensors")
    if len(own) > 1:
        fit_together(own, lessons, what=what, checkpoint=running)
        return own
    network, rows = own.one(0), lessons.rows[0]
    fit(
        network, lessons.x[rows], lessons.y[rows], loss=F.cross_entropy, recipe=lessons.recipe,
        seed=lessons.seeds[0], device=lessons.device, what=what, checkpoint=running,
    )  # fmt: skip
    own.put(0, network)
    return own
