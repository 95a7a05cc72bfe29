"""What an attack is here: how it is fitted, where it is used, and what it is measured by.

An attack is fitted through one view and used on what another shows of the victims. The same
function is then every attacker of a comparison, see :func:`attackers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from medpriv.data.cohort import Cohort, Modality
from medpriv.deployment import View
from medpriv.models.reports import PACKAGED
from medpriv.statistics import Estimate

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Case:
    """One repetition of an experiment: whose data, and how long everything may take.

    Attributes:
        cohort: split into parts by ``seed``.
        seed: of everything.
        profile: see :data:`medpriv.runtime.profile.PROFILES`.
        device: see :func:`medpriv.runtime.device.pick_device`.
        encoder: of reports, as :class:`medpriv.models.ReportEncoder` takes it.
        model: the reader's own trained target; without it one is trained.
        untrained: the network that is trained where a target is; without it the cohort's own.
        known: ``known(case)`` → the system without or with the defense, as an attacker who knows it
            would build it for other members; without it he knows of no defense.
    """

    cohort: Cohort
    seed: int = 0
    profile: str = "quick"
    device: str = "auto"
    encoder: str = PACKAGED
    model: nn.Module | None = None
    untrained: nn.Module | None = None
    known: Callable[[Case], View] | None = None


#: A score, or several by the names of their metrics; the larger the worse for the patients.
Scores = Estimate | Mapping[str, Estimate]
Run = Callable[[View, View, Case], Scores]


@dataclass(frozen=True)
class Attack:
    """An attack with its baseline and its metric.

    ``run`` and ``baseline`` are functions of a module (or ``functools.partial`` of one), so that
    another process can be sent them; a lambda cannot.

    Attributes:
        name: in the table.
        modality: of the cohorts that it attacks.
        needs: what a view must give, one of :data:`medpriv.deployment.view.EXPOSURES`.
        run: ``run(fitted_on, used_on, case)`` → the score. Whatever is learned is asked of
            ``fitted_on``; what is known of the victims is what ``used_on`` shows of them.
        baseline: ``baseline(case)`` → the score of the same guess without the model.
        metric: what the score is, for readers, or the first of several.
        split: where the model is cut, for an attack that needs it.
        fits: whether it learns anything of ``fitted_on``; if not, naive and adaptive are one.
        simpler: an attack on the same view that takes less, if there is one. Where it does better
            than the guess without the model, it is what there is to beat.
        rebuilds: whether it builds such systems itself, by ``case.known``.
    """

    name: str
    modality: Modality
    needs: str
    run: Run
    baseline: Callable[[Case], Scores]
    metric: str
    split: str | None = None
    fits: bool = True
    simpler: Run | None = None
    rebuilds: bool = False

    def __call__(self, fitted_on: View, used_on: View, case: Case) -> Estimate:
        """Its score, or of several the first; see :meth:`measure`."""
        return self.measure(fitted_on, used_on, case)[self.metric]

    def measure(self, fitted_on: View, used_on: View, case: Case) -> dict[str, Estimate]:
        """Run it.

        Returns:
            Its scores by metric.

        Raises:
            TypeError: the cohort is of another modality.
            ThreatModelError: a view does not give what the attack needs; nothing was asked.
        """
        self.check(case.cohort.modality, case.cohort.card.name)
        for view in (fitted_on, used_on):
            view.require(self.needs, self.name)
        return self.named(self.run(fitted_on, used_on, case))

    def named(self, scores: Scores) -> dict[str, Estimate]:
        """Scores by metric, where there may be a single one."""
        return {self.metric: scores} if isinstance(scores, Estimate) else dict(scores)

    def check(self, modality: str, dataset: object) -> None:
        """Pass if it attacks such data.

        Raises:
            TypeError: it does not.
        """
        if modality != self.modality:
            raise TypeError(
                f"the attack {self.name!r} is on {self.modality}, and {dataset} holds {modality}; "
                f"take an attack on {modality}, such as one of known_attacks({modality!r}), or "
                f"a data set of {self.modality}"
            )


def attackers(
    attack: Callable[[View, View], T],
    served: Callable[[], View],
    *,
    plain: View | None = None,
    often: View | None = None,
) -> dict[str, T]:
    """What one attack gives to each who runs it.

    Args:
        attack: ``attack(fitted_on, used_on)`` → a score, a guess, whatever is compared.
        served: the defended system, deployed anew for each of them or the same for all.
        plain: the system without the defense; without it there is nothing to know of.
        often: the defended system for one who asks often (:func:`medpriv.attacks.averaged`).

    Returns:
        ``naive``, fitted on ``plain``, who knows of no defense, or else the same as ``adaptive``;
        ``adaptive``, fitted through what is deployed; and, with ``often``, ``averaged``, fitted and
        used through that.
    """
    found: dict[str, T] = {}
    if plain is not None:
        found["naive"] = attack(plain, served())
    view = served()
    found["adaptive"] = attack(view, view)
    found.setdefault("naive", found["adaptive"])
    if often is not None:
        found["averaged"] = attack(often, often)
    return found
