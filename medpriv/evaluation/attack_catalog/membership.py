"""Membership, of any modality: its victims are members and others, not the cohort's victims."""

from __future__ import annotations

import torch

from medpriv import attacks, metrics
from medpriv.data.cohort import Part
from medpriv.deployment import View
from medpriv.evaluation.attacks import Case
from medpriv.statistics import Estimate

PEOPLE = 300  # rows of members, of others and of the attacker's own, at most


def loss_threshold(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """Yeom's advantage over members and patients of the test part, who are no members.

    Called a member is whose loss is below the median loss of the attacker's own rows, who are no
    members either; that threshold is measured on ``fitted_on``.
    """
    cohort = case.cohort
    own, members, others = (_some(part) for part in (cohort.auxiliary, cohort.members, cohort.test))
    threshold = attacks.membership.loss_attack(fitted_on, own.x, own.y).median()
    called = [
        attacks.membership.loss_attack(used_on, part.x, part.y) > threshold
        for part in (members, others)
    ]
    member = torch.arange(len(members) + len(others)) < len(members)
    patient = [*members.patient, *others.patient]
    return metrics.advantage(torch.cat(called).numpy(), member.numpy(), patient)


def no_advantage(case: Case) -> Estimate:
    """Without the model nothing tells members from others: 0 exactly."""
    return Estimate(0.0, 0.0, 0.0)


def _some(part: Part) -> Part:
    return part.take(slice(PEOPLE))
