"""Defenses: a model made safer, a view made safer, or a training recipe."""

from medpriv.defenses.adapters import Adapted, EmbeddingAdapter, adapter_recipe, train_adapter
from medpriv.defenses.adversarial import Adversarial, Opponent, train_adversarially
from medpriv.defenses.convex import (
    LogisticModel,
    fit_logistic,
    objective_perturbed,
    output_perturbed,
    unit_rows,
)
from medpriv.defenses.embeddings import projected, rounded
from medpriv.defenses.features import dropped, noised, sampled
from medpriv.defenses.gaussian import analytic_gaussian, classical_gaussian, gaussian_delta
from medpriv.defenses.learned_noise import LearnedNoise, learn_noise, noise_recipe
from medpriv.defenses.no_peek import train_no_peek
from medpriv.defenses.parameters import fresh_parameters, noisy_parameters
from medpriv.defenses.private_training import (
    Privately,
    PrivateModel,
    epsilon_spent,
    noise_for,
    train_privately,
)
from medpriv.defenses.responses import (
    ForwardCorrected,
    epsilon_of,
    flips_of,
    private_labels,
    randomised_response,
    response_matrix,
    unbiased_accuracy,
)
from medpriv.defenses.scores import Smoothed, fewer_digits, label_alone, tempered, top_scores
from medpriv.defenses.split_training import further_recipe

__all__ = [
    "Adapted",
    "Adversarial",
    "EmbeddingAdapter",
    "ForwardCorrected",
    "LearnedNoise",
    "LogisticModel",
    "Opponent",
    "PrivateModel",
    "Privately",
    "Smoothed",
    "adapter_recipe",
    "analytic_gaussian",
    "classical_gaussian",
    "dropped",
    "epsilon_of",
    "epsilon_spent",
    "fewer_digits",
    "fit_logistic",
    "flips_of",
    "fresh_parameters",
    "further_recipe",
    "gaussian_delta",
    "label_alone",
    "learn_noise",
    "noise_for",
    "noise_recipe",
    "noised",
    "noisy_parameters",
    "objective_perturbed",
    "output_perturbed",
    "private_labels",
    "projected",
    "randomised_response",
    "response_matrix",
    "rounded",
    "sampled",
    "tempered",
    "top_scores",
    "train_adapter",
    "train_adversarially",
    "train_no_peek",
    "train_privately",
    "unbiased_accuracy",
    "unit_rows",
]
