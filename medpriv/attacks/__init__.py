"""Attacks: each takes a view and auxiliary data, and guesses."""

from medpriv.attacks.inverse_network import InverseNetwork, fit_inverse_network, inverse_recipe

__all__ = ["InverseNetwork", "fit_inverse_network", "inverse_recipe"]
