"""How close a reconstructed image is to the true one.

MSE and PSNR compare pixels. SSIM (Wang et al. 2004, IEEE Trans. Image Process. 13:600)
compares local means, contrasts and structure. None of them says whether a patient can be
recognised.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpriv.models.images import ImageCNN
from medpriv.models.split import front, split_names
from medpriv.training.utility_scores import predict

# Wang's settings: Gaussian window of sigma 1.5 cut at 3.5 sigma, population covariance.
_WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
_BORDER = 5  # half the window: scikit-image leaves it out of its own mean, too


def mse(truth: Tensor, guess: Tensor) -> np.ndarray:
    """Mean squared error of each image.

    Args:
        truth: ``(n, c, h, w)`` float32 in [0, 1].
        guess: the same.

    Returns:
        ``(n,)`` float64.

    Raises:
        ValueError: shapes differ, or a value is outside [0, 1].
        TypeError: one of them is no tensor.
    """
    truth, guess = _checked(truth, guess)
    return ((truth.double() - guess.double()) ** 2).mean(dim=(1, 2, 3)).numpy()


def psnr(truth: Tensor, guess: Tensor) -> np.ndarray:
    """Peak signal-to-noise ratio of each image in dB, for a peak of 1; infinite for equal ones.

    Arguments and errors as for ``mse``.
    """
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mse(truth, guess))


def ssim(truth: Tensor, guess: Tensor, mask: Tensor | None = None) -> np.ndarray:
    """Structural similarity of each image, by scikit-image with Wang's settings.

    The mean leaves out a border of half a window, where the window would reach past the image.

    Args:
        truth: ``(n, c, h, w)`` float32 in [0, 1], at least 11 pixels high and wide.
        guess: the same.
        mask: ``(n, 1, h, w)`` bool; the mean is taken inside it only. An image whose mask is
            empty gets NaN.

    Returns:
        ``(n,)`` float64, 1 for equal images, at most 1.

    Errors as for ``mse``.
    """
    from skimage.metrics import structural_similarity

    truth, guess = _checked(truth, guess)
    scores = np.empty(len(truth))
    for row, (a, b) in enumerate(zip(truth.numpy(), guess.numpy(), strict=True)):
        full = structural_similarity(a, b, channel_axis=0, full=True, **_WANG)[1]
        inner = full[:, _BORDER:-_BORDER, _BORDER:-_BORDER]
        if mask is None:
            scores[row] = inner.mean(dtype=np.float64)
            continue
        inside = mask[row, 0, _BORDER:-_BORDER, _BORDER:-_BORDER].numpy()
        scores[row] = inner[:, inside].mean(dtype=np.float64) if inside.any() else np.nan
    return scores


def image_scores(truth: Tensor, guess: Tensor, mask: Tensor | None = None) -> pd.DataFrame:
    """MSE, PSNR and SSIM of each image as a table, and SSIM inside the mask where there is one."""
    scores = {"mse": mse(truth, guess), "psnr": psnr(truth, guess), "ssim": ssim(truth, guess)}
    if mask is not None:
        scores["ssim_inside"] = ssim(truth, guess, mask)
    return pd.DataFrame(scores)


def nearest_image(truth: Tensor, pool: Tensor, *, chunk: int = 256) -> Tensor:
    """For each true image the one of ``pool`` with the smallest squared distance to it.

    As a baseline: the best that anybody could do by handing back somebody else's image. It
    looks at the truth, so no attacker is that good without the model.

    Args:
        truth: ``(n, c, h, w)`` float32.
        pool: ``(m, c, h, w)`` float32, the auxiliary images.
        chunk: true images at once; memory does not grow with n.

    Returns:
        ``(n, c, h, w)`` images from the pool.
    """
    # In float32 the inner products behind cdist lose differences of a few grey levels.
    flat = pool.flatten(1).double()
    parts = (part.flatten(1).double() for part in truth.split(chunk))
    rows = [torch.cdist(part, flat).argmin(dim=1) for part in parts]
    return pool[torch.cat(rows)]


def feature_distance(
    classifier: nn.Module, truth: Tensor, guess: Tensor, layer: str | None = None
) -> NDArray[np.float64]:
    """How far a guess is from the truth to the eyes of an *independent* classifier.

    The Euclidean distance of their features, over the mean distance between the features of
    different true images: 0 is the same, about 1 is as far as a stranger. The classifier must
    have been trained on other patients than the attacked model, or from another seed: an attack
    that undoes the model's own features is close in those by construction.

    Args:
        classifier: any model that :func:`medpriv.models.front` can cut.
        truth: ``(n, c, h, w)`` float32 in [0, 1], n at least 2.
        guess: the same.
        layer: where to take the features; without it the last layer before the answer.

    Returns:
        ``(n,)`` float64, at least 0.

    Raises:
        ValueError: as for ``mse``; there are fewer than two images, the layer is unknown, or
            the classifier gives all true images the same features.
    """
    truth, guess = _checked(truth, guess)
    if len(truth) < 2:
        raise ValueError(f"strangers' distance needs at least 2 true images, got {len(truth)}")
    if layer is None:
        # Of other models than the course's own, the answer itself is the last of the names.
        layer = split_names(classifier)[-1 if isinstance(classifier, ImageCNN) else -2]
    cut = front(classifier, layer)
    ours, theirs = (predict(cut, images).flatten(1).double() for images in (truth, guess))
    scale = _mean_distance(ours)
    if not scale > 0:
        raise ValueError(
            "the classifier gives all true images the same features; train it, or name another "
            "layer"
        )
    return (ours - theirs).norm(dim=1).numpy() / scale


def _mean_distance(rows: Tensor, chunk: int = 256) -> float:
    """Mean Euclidean distance between different rows ``(n, d)``; memory does not grow as n²."""
    exact = "donot_use_mm_for_euclid_dist"  # the fast way leaves a row a distance from itself
    total = sum(
        float(torch.cdist(part, rows, compute_mode=exact).sum()) for part in rows.split(chunk)
    )
    return total / (len(rows) * (len(rows) - 1))


def _checked(truth: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
    for name, images in (("truth", truth), ("guess", guess)):
        if not isinstance(images, Tensor):
            raise TypeError(
                f"{name} must be a tensor (n, c, h, w), got {type(images).__name__}; "
                "torch.as_tensor makes one of an array"
            )
    if truth.shape != guess.shape or truth.ndim != 4:
        raise ValueError(
            "truth and guess must be images of the same shape (n, c, h, w), got "
            f"{tuple(truth.shape)} and {tuple(guess.shape)}"
        )
    for name, images in (("truth", truth), ("guess", guess)):
        if not bool(((images >= 0) & (images <= 1)).all()):
            low, high = float(images.min()), float(images.max())
            raise ValueError(
                f"{name} must lie in [0, 1], got values from {low:.3g} to {high:.3g}; clamp it"
            )
    return truth.detach().cpu().float(), guess.detach().cpu().float()
