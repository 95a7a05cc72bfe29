"""Matchers: how alike two images are, to find whose a reconstruction is.

Packhäuser et al. 2022 (Scientific Reports 12:14851) trained a network that tells with an AUC of
0.994 whether two chest radiographs are of one patient. The matcher here is small and fitted in
seconds. It sees original images of other patients and never a reconstruction, so that it measures
an attack and is no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.runtime.profile import MATCHER_STEPS
from medpriv.runtime.seeds import seeded
from medpriv.training.loop import Recipe, fit
from medpriv.training.utility_scores import predict

FINE, MIDDLE, COARSE = 32, 16, 8  # sides in pixels at which the matcher looks at an image
WIDTH = 256  # of the hidden layers
TEMPERATURE = 0.05  # of the softmax over cosines
RIDGE = 0.03  # of the within-patient covariance, relative to its mean variance
WINDOW, FADE, GAIN, NOISE = 7, 0.5, 0.1, 0.02  # how much the training images are varied
DECIMALS = 6  # of a cosine; float32 knows no more, and equal images must stay equal


@dataclass(frozen=True)
class Matcher:
    """Says how alike two images are, whichever side they show.

    Attributes:
        network: images ``(n, c, h, w)`` float32 → ``(n, d)`` vectors of length 1, or 0 for an
            image in which there is nothing.
        history: the loss after each epoch of training; empty for plain pixels.
        patients: on how many patients it was trained.
    """

    network: nn.Module
    history: tuple[float, ...] = ()
    patients: int = 0

    def scores(self, probes: Tensor, gallery: Tensor) -> NDArray[np.float64]:
        """Cosine of each probe with each gallery image, the best over mirroring either.

        Args:
            probes: ``(n, c, h, w)`` float32.
            gallery: ``(m, c, h, w)`` float32.

        Returns:
            ``(n, m)`` float64 in [-1, 1], rounded to six decimals.

        Raises:
            ValueError: the two are no images of one shape, or a value is not finite.
        """
        _check_images(probes, gallery)
        (ours, our_mirror), (theirs, their_mirror) = self._embed(probes), self._embed(gallery)
        best = ours @ theirs.T
        # Both mirrored is the first comparison again, but of images unlike any in training.
        np.maximum(best, our_mirror @ theirs.T, out=best)
        np.maximum(best, ours @ their_mirror.T, out=best)
        return best.round(DECIMALS).clip(-1, 1)

    def _embed(self, images: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Embeddings ``(n, d)`` of the images facing left, as in training, and of their mirrors.

        The mirrors cost a little accuracy where the chest wall says which way an image faces,
        and are needed where nothing does.
        """
        facing = _face_left(images)
        plain, mirrored = (predict(self.network, x) for x in (facing, facing.flip(-1)))
        return plain.double().numpy(), mirrored.double().numpy()


def _face_left(images: Tensor) -> Tensor:
    """Turn images so that the brighter half, in mammograms the chest wall's, is on the left."""
    half = images.shape[-1] // 2
    left = images[..., :half].sum((1, 2, 3), dtype=torch.float64)
    right = images[..., -half:].sum((1, 2, 3), dtype=torch.float64)
    return torch.where((right > left)[:, None, None, None], images.flip(-1), images)


def pixel_matcher(images: Tensor | None = None) -> Matcher:
    """The baseline: cosine of centred images at half resolution, nothing learned.

    Args:
        images: ``(m, c, h, w)`` float32 of other patients, whose mean image is subtracted, so
            that what is unusual remains; without them each image is centred on its own mean.
    """
    return Matcher(_Pixels(None if images is None else _face_left(images).mean(0)))


class _Pixels(nn.Module):
    def __init__(self, mean: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3), keepdim=True) if self.mean is None else self.mean
        x = F.avg_pool2d(images - mean, 2).flatten(1)
        size = x.norm(dim=1, keepdim=True)
        # What is left of a flat image is rounding, which has a direction of its own.
        return torch.where(size > 1e-4, x / size.clamp(min=1e-4), 0)


def matcher_recipe(profile: str, number: int) -> Recipe:
    """The recipe of a matcher: about as many steps whatever the ``number`` of pairs.

    It sees no pair more than 30 times: on few patients it would learn those by heart.
    """
    steps = MATCHER_STEPS.of(profile)
    # Small dense layers gain nothing from bfloat16.
    recipe = Recipe.of_steps(steps, number, batch_size=128, weight_decay=1e-2, exact=True)
    return replace(recipe, epochs=min(30, recipe.epochs))


def fit_matcher(
    images: Tensor,
    patient: np.ndarray,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
) -> Matcher:
    """Train a matcher on original images of other patients.

    Two images of one patient shall be alike, those of two patients not: among the second images
    of a batch, softmax over cosines has to name the one that belongs to each first image, and
    the other way round (InfoNCE; van den Oord et al. 2018, arXiv 1807.03748). Images are turned
    to face one way, and varied in blur, contrast, brightness and noise.

    The evaluator may own any number of synthetic patients; the more, the better the matcher::

        made = make_phantoms(4000, seed=another_seed)
        matcher = fit_matcher(torch.from_numpy(made.images[:, None]), made.patient)

    Args:
        images: ``(n, c, h, w)`` float32 in [0, 1], none of them of a victim.
        patient: ``(n,)`` the patient of each image. Each image makes a pair with the next one of
            the same patient; patients with one image are not used.
        profile: sets the number of steps; see ``matcher_recipe``.
        seed: decides initial weights, order and variation.
        device: see :func:`medpriv.runtime.device.pick_device`.
        recipe: instead of the profile's; its batches should hold many pairs.

    Raises:
        ValueError: fewer than two patients have two images, lengths differ, or ``images`` is no
            batch of finite images.
    """
    patient = np.asarray(patient)
    _check_images(images, images)
    if patient.shape != (len(images),):
        raise ValueError(f"expected one patient for each of {len(images)} images")
    rows = successive(patient)
    names, who = np.unique(patient[rows[:, 0]], return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"a matcher is trained on at least 2 patients with two or more images each, got "
            f"{len(names)}; give more patients, or use pixel_matcher, which needs none"
        )
    small = F.adaptive_avg_pool2d(_face_left(images), FINE)
    inputs = torch.stack([small[rows[:, 0]], small[rows[:, 1]]], dim=1)
    with seeded(seed, "matcher"):
        network = _MatchNetwork(inputs)
    history = fit(
        network,
        inputs,
        torch.from_numpy(who),
        loss=_info_nce,
        recipe=recipe or matcher_recipe(profile, len(rows)),
        seed=seed,
        device=device,
        what="matcher",
    )
    return Matcher(network, tuple(history), len(names))


class _MatchNetwork(nn.Module):
    """Images → vectors of length 1: a linear path that is solved, and a residual that is trained.

    The linear path takes the coarse image to where all that tells the two images of a patient
    apart is equally large in each direction, and so weighs little what varies within patients
    (within-class covariance normalisation; Hatch, Kajarekar & Stolcke 2006, Interspeech). The
    residual is a dense network on a finer image; its last layer starts at zero.

    Args:
        pairs: ``(k, 2, c, FINE, FINE)`` float32, all facing one way.
    """

    def __init__(self, pairs: Tensor) -> None:
        super().__init__()
        channels = pairs.shape[2]
        self.linear = nn.Linear(channels * COARSE**2, channels * COARSE**2)
        last = nn.Linear(WIDTH, self.linear.out_features)
        self.residual = nn.Sequential(
            nn.Linear(channels * MIDDLE**2, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            last,
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self._solve_linear(pairs)

    @torch.no_grad()
    def _solve_linear(self, pairs: Tensor) -> None:
        x = _shrunk(pairs.flatten(0, 1), COARSE).double()
        mean, apart = x.mean(0), (x[::2] - x[1::2]) / 2**0.5
        within = apart.T @ apart / len(apart)
        # The floor is for pairs of equal images, which do not vary at all.
        within.diagonal().add_((RIDGE * within.diagonal().mean()).clamp(min=1e-8))
        identity = torch.eye(len(within), dtype=torch.float64)
        whiten = torch.linalg.solve_triangular(torch.linalg.cholesky(within), identity, upper=False)
        # Vectors of about length 1, so that the residual learns at the right scale.
        whiten /= ((x - mean) @ whiten.T).norm(dim=1).mean().clamp(min=1e-8)
        self.linear.weight.copy_(whiten)
        self.linear.bias.copy_(-(whiten @ mean))

    def forward(self, images: Tensor) -> Tensor:
        """``(n, c, h, w)`` → ``(n, d)``; pairs ``(n, 2, c, h, w)``, varied → ``(n, 2, d)``."""
        if images.ndim == 5:
            return self(_varied(images.flatten(0, 1))).unflatten(0, (-1, 2))
        # Pairs are of this size already.
        x = images if images.shape[-1] == FINE else F.adaptive_avg_pool2d(images, FINE)
        embedding = self.linear(_shrunk(x, COARSE)) + self.residual(_shrunk(x, MIDDLE) - 0.5)
        return F.normalize(embedding, dim=1)


def _shrunk(images: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(images, side).flatten(1)


def _varied(images: Tensor) -> Tensor:
    """Each image somewhat blurred, drawn to the mean image, brighter or darker, and noisy.

    A matcher of sharp originals alone would miss images that are less so for any reason. How
    much is random, and known without looking at an attack. The blur is squared: most are light.
    """
    blur, fade, gain = torch.rand(3, len(images), 1, 1, 1, device=images.device)
    box = _box(images.shape[-1]).to(images)
    smooth = box @ images @ box.T
    images = images + blur**2 * (smooth - images)
    images = images + FADE * fade * (images.mean(0) - images)
    return images * (1 + GAIN * (2 * gain - 1)) + NOISE * torch.randn_like(images)


def _box(side: int) -> Tensor:
    """``(side, side)``: what takes each pixel of a row to the mean of its neighbours.

    As a product it is ten times faster than ``avg_pool2d`` on so few pixels, and the same.
    """
    place = torch.arange(side)
    near = ((place[:, None] - place).abs() <= WINDOW // 2).float()
    return near / near.sum(1, keepdim=True)


def _info_nce(embeddings: Tensor, who: Tensor) -> Tensor:
    """Mean cross-entropy of naming the partner, over first and second images of a batch."""
    cosine = embeddings[:, 0] @ embeddings[:, 1].T
    own = torch.arange(len(who), device=who.device)
    # Other pairs of the same patient are neither partners nor strangers.
    other = (who[:, None] == who) & (own[:, None] != own)
    logits = (cosine / TEMPERATURE).masked_fill(other, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def successive(patient: np.ndarray) -> NDArray[np.int64]:
    """``(k, 2)`` rows: each image with the next one of the same patient."""
    order = np.argsort(patient, kind="stable")
    same = patient[order][1:] == patient[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def _check_images(one: Tensor, other: Tensor) -> None:
    if one.ndim != 4 or other.ndim != 4 or one.shape[1:] != other.shape[1:]:
        raise ValueError(
            "expected images (n, c, h, w) of one size, got "
            f"{tuple(one.shape)} and {tuple(other.shape)}"
        )
    if not bool(one.isfinite().all() and other.isfinite().all()):
        raise ValueError("an image holds values that are not finite; look at the guess")
