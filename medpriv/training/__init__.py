"""The one training loop, target models that are trained once, and honest utility figures."""

from medpriv.training.loop import Recipe
from medpriv.training.many_models import train_many
from medpriv.training.patient_halves import halves
from medpriv.training.recognisers import train_recogniser
from medpriv.training.targets import target_recipe, train_target
from medpriv.training.utility_scores import predict, utility, utility_by, utility_of

__all__ = [
    "Recipe",
    "halves",
    "predict",
    "target_recipe",
    "train_many",
    "train_recogniser",
    "train_target",
    "utility",
    "utility_by",
    "utility_of",
]
