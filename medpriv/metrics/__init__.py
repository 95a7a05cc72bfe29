"""Scores of a guess, always with an interval."""

from medpriv.metrics.attributes import attribute_scores, top_precision
from medpriv.metrics.calibration import calibration
from medpriv.metrics.images import feature_distance, image_scores, nearest_image, ssim
from medpriv.metrics.matchers import fit_matcher, pixel_matcher
from medpriv.metrics.membership import advantage, epsilon_bound, rate_at, roc
from medpriv.metrics.ranking import auc
from medpriv.metrics.reidentification import pairs, reidentification
from medpriv.metrics.texts import (
    bleu,
    exact_match,
    set_f1,
    statement_scores,
    text_cosine,
    token_f1,
    vocabulary_growth,
)
from medpriv.metrics.texture import spectral_exponent
from medpriv.statistics import difference, mean_estimate

__all__ = [
    "advantage",
    "attribute_scores",
    "auc",
    "bleu",
    "calibration",
    "difference",
    "epsilon_bound",
    "exact_match",
    "feature_distance",
    "fit_matcher",
    "image_scores",
    "mean_estimate",
    "nearest_image",
    "pairs",
    "pixel_matcher",
    "rate_at",
    "reidentification",
    "roc",
    "set_f1",
    "spectral_exponent",
    "ssim",
    "statement_scores",
    "text_cosine",
    "token_f1",
    "top_precision",
    "vocabulary_growth",
]
