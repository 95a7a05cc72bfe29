"""Defenses: a model made safer, a view made safer, or a training recipe."""

from medpriv.defenses import private_logistic
from medpriv.defenses.adversarial import train_adversarially
from medpriv.defenses.ball import in_ball
from medpriv.defenses.certified_split import train_certified
from medpriv.defenses.coarse_scores import Smoothed, fewer_digits, label_alone, tempered, top_scores
from medpriv.defenses.compression import rounded
from medpriv.defenses.feature_noise import dropped, noised
from medpriv.defenses.gaussian import analytic_gaussian
from medpriv.defenses.label_perturbation import (
    ForwardCorrected,
    epsilon_of,
    private_labels,
    randomised_response,
    response_matrix,
    unbiased_accuracy,
)
from medpriv.defenses.learned_noise import learn_noise, noise_recipe
from medpriv.defenses.model_perturbation import fresh_parameters, noisy_parameters
from medpriv.defenses.no_peek import train_no_peek
from medpriv.defenses.private_training import Privately, train_privately
from medpriv.defenses.split_training import further_recipe

__all__ = [
    "ForwardCorrected",
    "Privately",
    "Smoothed",
    "analytic_gaussian",
    "dropped",
    "epsilon_of",
    "fewer_digits",
    "fresh_parameters",
    "further_recipe",
    "in_ball",
    "label_alone",
    "learn_noise",
    "noise_recipe",
    "noised",
    "noisy_parameters",
    "private_labels",
    "private_logistic",
    "randomised_response",
    "response_matrix",
    "rounded",
    "tempered",
    "top_scores",
    "train_adversarially",
    "train_certified",
    "train_no_peek",
    "train_privately",
    "unbiased_accuracy",
]
