"""Target models, trained once for all cells that attack them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load as from_safetensors
from torch import Tensor, nn

from medpriv.defenses import learn_noise
from medpriv.defenses.learned_noise import LearnedNoise
from medpriv.deployment import deploy
from medpriv.evaluation.attacks import Case
from medpriv.evaluation.defenses import Defended
from medpriv.models.contract import as_given, untrained_copy
from medpriv.models.reports import PACKAGED, ReportClassifier, ReportEncoder
from medpriv.models.split import back
from medpriv.models.targets import build_target
from medpriv.runtime.cache import Memory, cached
from medpriv.runtime.code import code_hash
from medpriv.runtime.device import has_fast_bf16, pick_device, to_device
from medpriv.runtime.hashing import identity
from medpriv.training.checkpoint import cached_module, tensor_bytes
from medpriv.training.loop import Loss
from medpriv.training.targets import train_target


def plain_target(case: Case, *, loss: Loss | None = None) -> nn.Module:
    """The target as :func:`medpriv.training.targets.train_target` trains it for a case."""
    return train_target(
        case.cohort, profile=case.profile, seed=case.seed, device=case.device,
        model=untrained(case), loss=loss,
    )  # fmt: skip


def untrained(case: Case) -> nn.Module | None:
    """The untrained target where the case brings one or names another encoder, else nothing."""
    if case.untrained is not None:
        return case.untrained
    if case.cohort.modality != "reports" or case.encoder == PACKAGED:
        return None
    return build_target(case.cohort, seed=case.seed, encoder=case.encoder)


def trained(case: Case, defended: Defended) -> nn.Module:
    """The target of a defended system, in evaluation mode; from the cache where it is there.

    Kept are the weights of its layers, and nothing else that a recipe may set; of a report
    classifier those of its head, for its encoder is everybody's.

    Raises:
        TypeError: what ``defended.train`` returns has other layers than the untrained network, or
            another encoder.
    """
    if defended.train is None and case.model is not None:
        return to_device(copy.deepcopy(case.model), pick_device(case.device)).eval()
    if defended.train is None:
        return _remembering(plain_target(case), case)
    usual = _usual(case, defended)
    recipe, part = defended.train, _trained_part(usual)

    def train(_: Path) -> None:
        model = recipe(case, defended.strength)
        found, expected = _shapes(model), _shapes(usual)
        if found != expected:
            other = [
                name for name in {**found, **expected} if found.get(name) != expected.get(name)
            ]
            raise TypeError(
                f"the recipe of {defended.name!r} must return a network with the layers of the "
                f"untrained one, {type(usual).__name__}; it returns {type(model).__name__}, and "
                f"{len(other)} weights are others, such as {', '.join(other[:3])}. Give your "
                "network to compare(..., untrained=...), or take case.untrained in the recipe"
            )
        if isinstance(usual, ReportClassifier) and not _same_encoder(model, usual):
            raise TypeError(
                f"the recipe of {defended.name!r} changed the report encoder; train the head "
                "alone, or name your own encoder: compare(..., encoder=...)"
            )
        part.load_state_dict(_trained_part(model).state_dict())

    parts = (identity(recipe), code_hash(recipe), defended.strength, identity(case))
    cached_module("defended", parts, part, train, device=case.device)
    return _remembering(to_device(usual, pick_device(case.device)).eval(), case)


def learned_noise(case: Case, tensors: int, model: nn.Module, split: str) -> LearnedNoise:
    """Noise that the rest of a trained model has learned to bear; from the cache where it is there.

    Each noise is pushed to be as large as what it covers, in root mean square.

    Args:
        case: of whose members the model is, and the seed.
        tensors: how many noises there are to draw from.
        model: as :func:`trained` gives it.
        split: the layer, for a model of images or records; a report's embedding has no other.
    """
    members, where = case.cohort.members, pick_device(case.device)
    reports = isinstance(model, ReportClassifier)
    parts = (
        dict(_trained_part(model).state_dict()),
        (tensors, split, identity(case)),
        (where.type, has_fast_bf16(where), torch.__version__),
    )

    def make() -> LearnedNoise:
        view = (
            deploy(model, expose="embedding")
            if reports
            else deploy(model, expose="features", split=split)
        )
        return learn_noise(
            model.head if reports else back(model, split), view(members.x), members.y,
            tensors=tensors, profile=case.profile, seed=case.seed, device=case.device,
        )  # fmt: skip

    def dump(noise: LearnedNoise) -> bytes:
        return tensor_bytes({"tensors": noise.tensors, "unit": torch.tensor(noise.unit)})

    def parse(content: bytes) -> LearnedNoise:
        kept = from_safetensors(content)
        return LearnedNoise(kept["tensors"], float(kept["unit"]))

    return cached("learned-noise", parts, make, dump, parse, suffix=".safetensors")


def _usual(case: Case, defended: Defended) -> nn.Module:
    """A network of the kind that is trained, which takes the weights of a recipe."""
    if case.untrained is not None:
        own = as_given(untrained_copy(case.untrained))
        return defended.layers(own) if defended.layers else own
    return build_target(case.cohort, seed=case.seed, encoder=case.encoder)


def _trained_part(model: nn.Module) -> nn.Module:
    """Of a report classifier the head: its encoder is not trained."""
    return model.head if isinstance(model, ReportClassifier) else model


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in _trained_part(model).state_dict().items()}


# --- Reports embedded once ------------------------------------------------------------------------


def _remembering(model: nn.Module, case: Case) -> nn.Module:
    if isinstance(model, ReportClassifier):
        model.encoder = Remembering(model.encoder)
    return model


class Remembering(ReportEncoder):
    """An encoder that embeds the same request once in a process.

    Every cell asks about the same reports, and on a CPU embedding them is nearly all that a cell
    on reports costs. Remembered are the last requests as a whole, not texts: what a text is
    embedded as depends, in its last digits, on what it is padded with.
    """

    _answers: ClassVar[Memory[Tensor]] = Memory(64)  # of all encoders, 512 texts each: 50 MB
    _last: ClassVar[list[nn.Module]] = []  # shared by all targets on top of it: 90 MB

    def __init__(self, encoder: ReportEncoder) -> None:
        nn.Module.__init__(self)
        self.name, self.max_tokens = encoder.name, encoder.max_tokens
        if not self._last or not _equal(self._last[0], encoder.transformer):
            self._last[:] = [encoder.transformer]
        self.tokenizer, self.transformer = encoder.tokenizer, self._last[0]
        self.eval()

    def forward(self, texts: Sequence[str], *, batch_size: int | None = None) -> Tensor:
        """As :class:`medpriv.models.ReportEncoder`."""
        # Of the weights as they are now: a defense may have changed this copy's. Noise on a tensor
        # shows in its sum, which costs milliseconds where a hash of all of them costs more.
        weights = tuple(float(weight.sum()) for weight in self.transformer.parameters())
        key = (weights, self.max_tokens, batch_size, tuple(texts))
        embed = super().forward

        def make() -> Tensor:
            with torch.no_grad():
                return embed(texts, batch_size=batch_size)

        return self._answers.get(key, make).clone()


def _same_encoder(one: nn.Module, other: nn.Module) -> bool:
    return _equal(one.encoder.transformer.cpu(), other.encoder.transformer.cpu())


def _equal(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        value.device == second[name].device and value.equal(second[name])
        for name, value in first.items()
    )
