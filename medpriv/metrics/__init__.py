"""Scores of a guess, always with an interval."""

from medpriv.metrics.calibration import Calibration, calibration
from medpriv.metrics.images import image_scores, mse, nearest_image, psnr, ssim
from medpriv.metrics.intervals import Estimate, difference, mean_estimate
from medpriv.metrics.membership import advantage
from medpriv.metrics.texts import exact_match, nearest_text, token_f1, vocabulary_growth
from medpriv.metrics.texture import spectral_exponent

__all__ = [
    "Calibration",
    "Estimate",
    "advantage",
    "calibration",
    "difference",
    "exact_match",
    "image_scores",
    "mean_estimate",
    "mse",
    "nearest_image",
    "nearest_text",
    "psnr",
    "spectral_exponent",
    "ssim",
    "token_f1",
    "vocabulary_growth",
]
