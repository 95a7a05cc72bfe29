"""What a defense is here: how the target is trained, and what is deployed around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature

from torch import nn

from medpriv.deployment import View, deploy
from medpriv.deployment.service import Defense
from medpriv.deployment.view import EXPOSURES
from medpriv.evaluation.attacks import Attack, Case

MODALITIES = ("images", "records", "reports")
# What a view of another kind also answers; see View.require.
_ALSO = {"label": ("scores",), "features": ("back",)}

Train = Callable[[Case, float], nn.Module]
Around = Callable[[Case, float, nn.Module], Sequence[Defense]]


@dataclass(frozen=True)
class Defended:
    """A system with a defense of one strength; as it is, without any.

    ``train`` and ``around`` are functions of a module, as those of an
    :class:`medpriv.evaluation.attacks.Attack`.

    Attributes:
        name: in the table.
        strength: in the defense's own unit.
        unit: which that is, for readers.
        modalities: of the cohorts whose models it can protect.
        exposes: what a system so defended can be asked for, of
            :data:`medpriv.deployment.view.EXPOSURES`: a coin on the label protects nothing where
            the scores can be read, so such a system answers with labels alone.
        train: ``train(case, strength)`` → the target; without it
            :func:`medpriv.training.train_target`.
        around: ``around(case, strength, model)`` → the defenses with which it is deployed.
        layers: ``layers(network)`` → with the layers that ``train`` gives a network of the reader's
            own, where these are others than it was given with.
        random: whether the same question gets another answer each time, so that asking often
            helps the attacker.
        split: the one layer whose features can be had, where the defense is made for that layer;
            attacks at other layers, or at none, do not meet such a system.
    """

    name: str
    strength: float = 0.0
    unit: str = ""
    modalities: tuple[str, ...] = MODALITIES
    exposes: tuple[str, ...] = tuple(EXPOSURES)
    train: Train | None = None
    around: Around | None = None
    layers: Callable[[nn.Module], nn.Module] | None = None
    random: bool = False
    split: str | None = None

    @property
    def cut(self) -> dict[str, Train | Around]:
        """What of it is made for one layer, by the attribute's name."""
        both = {"train": self.train, "around": self.around}
        return {k: one for k, one in both.items() if one and "split" in signature(one).parameters}

    def at(self, split: str) -> Defended:
        """The same at another layer."""
        made = {what: partial(one, split=split) for what, one in self.cut.items()}
        return replace(self, split=self.split and split, **made)

    def exposure(self, attack: Attack) -> str | None:
        """What such a system exposes that is enough for the attack; ``None`` if nothing is."""
        if self.split not in (None, attack.split):
            return None
        enough = (attack.needs, *_ALSO.get(attack.needs, ()))
        return next((expose for expose in enough if expose in self.exposes), None)

    def deploy(self, model: nn.Module, case: Case, expose: str, split: str | None) -> View:
        """Put a trained model into service with this defense.

        Args:
            model: as ``train`` made it.
            case: its seed is that of the defense's noise.
            expose: as for :func:`medpriv.deployment.deploy`.
            split: the layer, used where ``expose`` takes one.

        Raises:
            ValueError: the defense is made for another layer.
        """
        if self.split not in (None, split):
            raise ValueError(
                f"the defense {self.name!r} is made for the features of {self.split}, and the "
                f"model is cut at {split}; cut it there"
            )
        cut = split if expose in ("features", "back", "weights") else None
        around = self.around(case, self.strength, model) if self.around else ()
        return deploy(model, expose=expose, split=cut, defenses=around)

    def check(self, modality: str, dataset: object) -> None:
        """Pass if it protects models of such data.

        Raises:
            TypeError: it does not.
        """
        if modality not in self.modalities:
            raise TypeError(
                f"the defense {self.name!r} is of models of {' and '.join(self.modalities)}, and "
                f"{dataset} holds {modality}; take one of known_defenses({modality!r})"
            )


#: The system as it is.
NOTHING = Defended("nothing")
