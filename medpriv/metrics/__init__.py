"""Scores of a guess, always with an interval."""

from medpriv.metrics.images import image_scores, mse, nearest_image, psnr, ssim
from medpriv.metrics.intervals import Estimate, difference, mean_estimate

__all__ = [
    "Estimate",
    "difference",
    "image_scores",
    "mean_estimate",
    "mse",
    "nearest_image",
    "psnr",
    "ssim",
]
