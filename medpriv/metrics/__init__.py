"""Scores of a guess, always with an interval."""

from medpriv.metrics.attributes import (
    AttributeScores,
    attribute_scores,
    top_precision,
)
from medpriv.metrics.calibration import Calibration, calibration
from medpriv.metrics.images import image_scores, mse, nearest_image, psnr, ssim
from medpriv.metrics.intervals import Estimate, difference, mean_estimate
from medpriv.metrics.membership import advantage, epsilon_bound, rate_at, roc
from medpriv.metrics.ranking import auc
from medpriv.metrics.reidentification import (
    Matcher,
    Pairs,
    Reidentification,
    feature_distance,
    fit_matcher,
    matcher_recipe,
    pairs,
    pixel_matcher,
    reidentification,
)
from medpriv.metrics.texts import (
    bleu,
    exact_match,
    nearest_text,
    set_f1,
    statement_scores,
    text_cosine,
    token_f1,
    vocabulary_growth,
)
from medpriv.metrics.texture import spectral_exponent

__all__ = [
    "AttributeScores",
    "Calibration",
    "Estimate",
    "Matcher",
    "Pairs",
    "Reidentification",
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
    "matcher_recipe",
    "mean_estimate",
    "mse",
    "nearest_image",
    "nearest_text",
    "pairs",
    "pixel_matcher",
    "psnr",
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
