"""The course's attacks on records: an attribute of a patient, with imputation as the baseline."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial

from torch import Tensor

from medpriv import attacks
from medpriv.attacks.records.candidate_values import Sensitive, labels_of
from medpriv.data.cohort import Cohort, Part
from medpriv.deployment import View
from medpriv.evaluation.attack_catalog.answers import asked_twice, mcc, tolerance
from medpriv.evaluation.attacks import Attack, Case
from medpriv.evaluation.cell import Cell, case_of
from medpriv.runtime.cache import remembered
from medpriv.statistics import Estimate

#: What is sensitive in each known data set. An attack that is not told guesses the first; in the
#: reader's own data the first that they named, or else the first categorical column.
SENSITIVE = {
    "warfarin": ("vkorc1",),
    "cardio": ("gender", "cholesterol", "smoke", "alco"),
    "heart": ("sex",),
}
OWN, VICTIMS = 5_000, 2_000  # records at most
_PAIRS = 500  # own records that are asked about twice


def outcome(fitted_on: View, used_on: View, case: Case, *, attribute: str = "") -> Estimate:
    """MAP from the patient's true outcome; the model's errors are counted on ``fitted_on``.

    Fredrikson's estimator (:func:`medpriv.attacks.map_posterior`) times an imputation.

    Args:
        fitted_on: gives labels.
        used_on: gives labels.
        case: of records.
        attribute: what is guessed; without it the first of :data:`SENSITIVE`.
    """
    wanted, own, victims = parts(case, attribute)
    errors = attacks.confusion(own.y, labels_of(fitted_on(own.x)), len(case.cohort.classes))
    grid = attacks.ask_candidates(used_on, victims.x, wanted)
    return _mcc(attacks.map_posterior(grid, victims.y, errors, prior(case, attribute)), case,
                attribute)  # fmt: skip


def answer(fitted_on: View, used_on: View, case: Case, *, attribute: str = "") -> Estimate:
    """MAP from one answer about the patient, such as a letter that quotes it.

    How a second answer goes with a first is counted on ``fitted_on``: an attacker who takes it for
    a view without coins believes each answer.
    """
    wanted, own, victims = parts(case, attribute)
    classes = len(case.cohort.classes)
    twice = asked_twice(fitted_on, own.x, classes)
    letter = labels_of(used_on.intercept(victims.x))
    grid = attacks.ask_candidates(used_on, victims.x, wanted)
    return _mcc(attacks.map_posterior(grid, letter, twice, prior(case, attribute)), case,
                attribute)  # fmt: skip


def agreement(fitted_on: View, used_on: View, case: Case, *, attribute: str = "") -> Estimate:
    """From the scores about the patient: which candidate is answered in the same way.

    How far two answers to one question lie apart is learned on ``fitted_on``.
    """
    wanted, own, victims = parts(case, attribute)
    apart = tolerance(fitted_on, own.x[:_PAIRS])
    seen = used_on.intercept(victims.x)
    grid = attacks.ask_candidates(used_on, victims.x, wanted)
    found = attacks.agreement_posterior(grid, seen, prior(case, attribute), tolerance=apart)
    return _mcc(found, case, attribute)


def confidence(fitted_on: View, used_on: View, case: Case, *, attribute: str = "") -> Estimate:
    """The model's confidence in the true outcome, times the imputation; nothing is fitted."""
    wanted, _, victims = parts(case, attribute)
    grid = attacks.ask_candidates(used_on, victims.x, wanted).clamp(0, 1)
    return _mcc(attacks.confidence_posterior(grid, victims.y, prior(case, attribute)), case,
                attribute)  # fmt: skip


def cases_of_labels(fitted_on: View, used_on: View, case: Case, *, attribute: str = "") -> Estimate:
    """LOMIA (:func:`medpriv.attacks.label_only`): learned from the victims' own clear cases."""
    wanted, own, victims = parts(case, attribute)
    grid = attacks.ask_candidates(used_on, victims.x, wanted)
    found = attacks.label_only(
        grid, victims.y, victims.x, case.cohort.columns, wanted,
        attacks.marginal_prior(own.x, wanted), seed=case.seed,
    )  # fmt: skip
    return _mcc(found, case, attribute)


def hidden_units(fitted_on: View, used_on: View, case: Case, *, attribute: str = "") -> Estimate:
    """The hidden units that go with each value, from the weights in service; no answer is seen."""
    wanted, own, victims = parts(case, attribute)
    found = attacks.fit_neurons(used_on, own.x, wanted)
    return _mcc(found.guess(victims.x, prior(case, attribute)), case, attribute)


def imputation(case: Case, *, attribute: str = "") -> Estimate:
    """The attribute from the rest of the record, without a model."""
    return _mcc(prior(case, attribute), case, attribute)


def sensitive_attribute(cohort: Cohort, attribute: str = "") -> str:
    """The attribute that is guessed.

    Raises:
        ValueError: none is named, and there is no categorical column.
    """
    named = [column.name for column in cohort.columns if len(column.values) > 1]
    usual = cohort.sensitive or SENSITIVE.get(cohort.card.name, ())
    known = [attribute] if attribute else [*usual, *named]
    if not known:
        raise ValueError(
            f"{cohort.card.name} has no categorical column to guess; name an attribute that you "
            "have cut into levels, and write the attack with medpriv.attacks.sensitive"
        )
    return known[0]


def of_attribute(attack: Attack, attribute: str) -> Attack:
    """The attack on another attribute than it takes by itself; one that takes none stays as it is.

    Attributes are those of this module's attacks, and of a reader's own whose ``run`` and
    ``baseline`` take ``attribute=``.
    """
    if not attribute or not _takes_attribute(attack):
        return attack
    run, baseline = (partial(one, attribute=attribute) for one in (attack.run, attack.baseline))
    return replace(attack, run=run, baseline=baseline)


def guessed(cell: Cell) -> str:
    """The attribute that a cell's attack guesses; nothing where it guesses none."""
    if not _takes_attribute(cell.attack):
        return ""
    named = getattr(cell.attack.run, "keywords", {}).get("attribute", "")
    return sensitive_attribute(case_of(cell.data).cohort, named)


def _takes_attribute(attack: Attack) -> bool:
    takes = (inspect.signature(one).parameters for one in (attack.run, attack.baseline))
    return attack.modality == "records" and all("attribute" in names for names in takes)


def parts(case: Case, attribute: str) -> tuple[Sensitive, Part, Part]:
    """What is guessed, the attacker's own records and the victims."""
    cohort = case.cohort
    wanted = attacks.sensitive(cohort.columns, sensitive_attribute(cohort, attribute))
    return wanted, cohort.auxiliary.take(slice(OWN)), cohort.victims.take(slice(VICTIMS))


@remembered(2)
def prior(case: Case, attribute: str) -> Tensor:
    """``(n, V)``: what statistics alone say; the same for every cell of a case."""
    wanted, own, victims = parts(case, attribute)
    return imputed(case.cohort, wanted, own, victims, case.seed)


def imputed(cohort: Cohort, wanted: Sensitive, own: Part, part: Part, seed: int) -> Tensor:
    """``(n, V)``: the attribute of some patients from the rest of their records."""
    made = attacks.fit_imputer(cohort.columns, wanted, own.x, family="logistic", seed=seed)
    return made.guess(part.x)


def _mcc(posterior: Tensor, case: Case, attribute: str) -> Estimate:
    wanted, _, victims = parts(case, attribute)
    return mcc(posterior, wanted.truth(victims.x), victims.patient)
