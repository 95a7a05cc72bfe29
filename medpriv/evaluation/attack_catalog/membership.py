"""Membership, of any modality: its victims are members and others, not the cohort's victims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from medpriv import attacks, metrics
from medpriv.attacks.membership import Shadows
from medpriv.data.cohort import Part
from medpriv.deployment import View
from medpriv.evaluation.attacks import Case
from medpriv.evaluation.defenses import NOTHING
from medpriv.evaluation.targets import trained
from medpriv.statistics import Estimate, fewest_of_each

PEOPLE = 300  # rows of members, of others and of the attacker's own, at most
SHADOWS = 8
FALSE = 0.05  # of the others may be called members, where few mistakes are allowed
_MISTAKES = 2  # that this must come to: a threshold at the highest of few others finds many by luck
_FOUND = f"found at {FALSE:.0%}"


def loss_threshold(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """Yeom's advantage over members and patients of the test part, who are no members.

    Called a member is whose loss is below the median loss of the attacker's own rows, who are no
    members either (:func:`medpriv.attacks.membership.middle_threshold`); that threshold is measured
    on ``fitted_on``.
    """
    own, (x, y, patient, member) = _some(case.cohort.auxiliary), _people(case)
    usual = attacks.membership.loss_attack(fitted_on, own.x, own.y)
    threshold = attacks.membership.middle_threshold(usual.numpy())
    called = attacks.membership.loss_attack(used_on, x, y) > threshold
    return metrics.advantage(called.numpy(), member, patient)


def by_shadows(
    score: Callable[..., Tensor], fitted_on: View, used_on: View, case: Case
) -> dict[str, Estimate]:
    """How members rank before others by a score learned from the attacker's own shadow models.

    AUC, and, of 40 others or more, the share of members found while 5 % of the others are called
    members; each of as many patients as the smaller side has. He trains the models on halves of his
    patients, who are as many as the members, and serves them as he thinks
    that the system is served: with the defense if he knows it (``case.known``).

    Args:
        score: :func:`medpriv.attacks.membership.shadow_attack`, ``lira_attack``,
            ``rmia_attack`` or ``bavaria_attack``.
        fitted_on: not asked.
        used_on: gives scores.
        case: of any modality.

    Raises:
        ValueError: the target is the reader's own, and nobody said how it is trained.
    """
    x, y, patient, member = _people(case)
    scores = score(used_on, x, y, _shadows(case, x)).numpy()
    found = {"AUC": metrics.auc(member, scores, patient)}
    if _enough(patient[~member]):
        found[_FOUND] = metrics.rate_at(scores, member, patient, false=FALSE)
    few = fewest_of_each(member, patient)
    return {name: replace(one, patients=few) for name, one in found.items()}


def _shadows(case: Case, asked: Tensor | Sequence[str]) -> Shadows:
    if case.model is not None and case.untrained is None:
        raise ValueError(
            "an attacker with shadow models trains networks like yours, which is trained already: "
            "give it before its training, compare(..., untrained=...), or leave this attack out"
        )
    known = case.known or _plain

    def train(part: Part, number: int) -> View:
        cohort = replace(case.cohort, members=part)
        return known(replace(case, cohort=cohort, model=None, seed=case.seed + 1 + number))

    own = case.cohort.auxiliary
    return attacks.membership.train_shadows(own, asked, train, models=SHADOWS, seed=case.seed)


def _plain(case: Case) -> View:
    return NOTHING.deploy(trained(case, NOTHING), case, "scores", None)


shadow_models = partial(by_shadows, attacks.membership.shadow_attack)
offline_lira = partial(by_shadows, attacks.membership.lira_attack)
offline_rmia = partial(by_shadows, attacks.membership.rmia_attack)
offline_bavaria = partial(by_shadows, attacks.membership.bavaria_attack)


def as_many_of_both(case: Case) -> dict[str, Estimate]:
    """Without the model members rank as others do."""
    shares = {"AUC": 0.5} | ({_FOUND: FALSE} if _enough(_some(case.cohort.test).patient) else {})
    return {name: Estimate(share, share, share) for name, share in shares.items()}


def _enough(others: np.ndarray) -> bool:
    return len(np.unique(others)) * FALSE >= _MISTAKES


def no_advantage(case: Case) -> Estimate:
    """Without the model nothing tells members from others: 0 exactly."""
    return Estimate(0.0, 0.0, 0.0)


def _some(part: Part) -> Part:
    return part.take(slice(PEOPLE))


def _people(case: Case) -> tuple[Tensor | tuple[str, ...], Tensor, np.ndarray, np.ndarray]:
    """Rows, labels and patients of some members, then of some others, and who is a member."""
    members, others = _some(case.cohort.members), _some(case.cohort.test)
    both = (members.x, others.x)
    x = torch.cat(both) if isinstance(members.x, Tensor) else sum(both, ())
    patient = np.concatenate([members.patient, others.patient])
    return x, torch.cat([members.y, others.y]), patient, np.arange(len(patient)) < len(members)
