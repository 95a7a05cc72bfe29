"""Attacks: each takes a view and auxiliary data, and guesses."""

from medpriv.attacks.class_inversion import ClassInversion, invert_classes, mi_face, should_stop
from medpriv.attacks.gradients import Probe
from medpriv.attacks.inverse_network import InverseNetwork, fit_inverse_network, inverse_recipe
from medpriv.attacks.moves import moved_copies
from medpriv.attacks.query_free import ShadowFront, fit_shadow_front, shadow_recipe
from medpriv.attacks.rmle import (
    Recovery,
    Search,
    choose_tv_weight,
    choose_tv_weight_through,
    recover,
    recover_through,
    search_steps,
)

__all__ = [
    "ClassInversion",
    "InverseNetwork",
    "Probe",
    "Recovery",
    "Search",
    "ShadowFront",
    "choose_tv_weight",
    "choose_tv_weight_through",
    "fit_inverse_network",
    "fit_shadow_front",
    "inverse_recipe",
    "invert_classes",
    "mi_face",
    "moved_copies",
    "recover",
    "recover_through",
    "search_steps",
    "shadow_recipe",
    "should_stop",
]
