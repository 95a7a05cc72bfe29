"""Whom an attacker of membership has to tell apart, and a model that knows its few members well."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from medpriv.data.cohort import Cohort, Part
from medpriv.defenses import Privately, train_privately
from medpriv.training.targets import target_recipe, train_target


@dataclass(frozen=True)
class People:
    """Members and as many others or more, whom the attacker has to tell apart.

    Attributes:
        part: their rows.
        member: ``(n,)`` bool.
    """

    part: Part
    member: np.ndarray


def members_and_others(cohort: Cohort, members: int) -> People:
    """The first members of a cohort of records, and all its victims, who are in no training."""
    inside, outside = cohort.members.first_patients(members), cohort.victims
    part = replace(
        inside,
        x=torch.cat([inside.x, outside.x]),
        y=torch.cat([inside.y, outside.y]),
        patient=np.concatenate([inside.patient, outside.patient]),
        attributes=pd.concat([inside.attributes, outside.attributes], ignore_index=True),
    )
    return People(part, np.arange(len(part)) < len(inside))


def trained_on_few(
    cohort: Cohort, part: Part, epsilon: float = math.inf, *, seed: int = 0
) -> tuple[nn.Module, float]:
    """A model of a few members, trained for too long or with DP-SGD.

    The clinic of chapter 03: five times the usual passes, and ten times the usual steps.

    Args:
        cohort: whose columns and classes.
        part: who is a member.
        epsilon: of DP-SGD; infinite without it.
        seed: of the training.

    Returns:
        The model, and the epsilon that its training spent.
    """
    few = replace(cohort, members=part)
    if math.isinf(epsilon):
        usual = target_recipe(cohort, "quick")
        long = replace(usual, epochs=5 * usual.epochs, learning_rate=1e-2)
        return train_target(few, recipe=long, seed=seed), math.inf
    private = train_privately(few, Privately(epsilon, epochs=30), seed=seed)
    return private.model, private.epsilon
