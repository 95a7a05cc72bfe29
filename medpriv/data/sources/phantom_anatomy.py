"""The anatomy of the mammogram phantoms: one block of patients, both breasts, drawn at once.

Into the healthy tissue come implants, masses and calcifications. Coordinates and shapes are those
of :mod:`medpriv.data.sources.phantom_tissue`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medpriv.data.sources.phantom_tissue import (
    Array,
    Outline,
    draw_outline,
    healthy_tissue,
    paired,
    single,
    smoothstep,
    texture,
)

# Masses. Contrast and size set how hard the label is to learn: wide ranges, so that a small CNN
# soon learns the plain ones and still misses some of the faint.
MASS_RADIUS = (0.042, 0.125)  # image fractions
MASS_CONTRAST = (0.19, 0.52)  # attenuation, where fat is about 0.5
MASS_PATCH = 0.50  # side of the square in which a mass and its spicules are drawn

CALCIFICATION_RATE = 0.25  # images with a cluster of specks, mass or not
SPECKS = 7  # specks a cluster


@dataclass(frozen=True)
class Anatomy:
    """One block of breasts, all with the chest wall on the left."""

    attenuation: Array  # (n, size, size), 0 outside the breast
    depth: Array  # (n, size, size), distance to the skin in image fractions, negative outside
    breast: NDArray[np.bool_]  # (n, size, size)
    calcified: NDArray[np.bool_]  # (n,)


def stamp(
    canvas: Array,
    patches: Array,
    image: NDArray[np.int64],
    top: NDArray[np.int64],
    left: NDArray[np.int64],
) -> None:
    """Add patches (m, p, q) into canvas (n, size, size) in place; what falls outside is lost."""
    size = canvas.shape[1]
    rows = (top[:, None] + np.arange(patches.shape[1]))[:, :, None]
    columns = (left[:, None] + np.arange(patches.shape[2]))[:, None, :]
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    where = (image[:, None, None] * size + rows) * size + columns
    np.add.at(canvas.reshape(-1), where[inside], patches[inside])


def add_implants(
    tissue: Array, rng: np.random.Generator, outline: Outline, implant: NDArray[np.bool_]
) -> None:
    """Add a smooth bright body behind the glandular tissue where `implant` (n,) says so."""
    reach = outline.reach
    radius = reach * paired(rng, len(reach) // 2, 0.28, 0.42)
    dx, dy = outline.x - 0.25 * reach, 0.9 * (outline.y - outline.nipple)
    inside = 1 - (dx**2 + dy**2) / (radius * radius)
    shell = smoothstep(inside * 2) * implant[:, None, None]
    tissue += shell * (0.70 + 0.2 * tissue - tissue)


def add_masses(
    canvas: Array,
    rng: np.random.Generator,
    outline: Outline,
    mass: NDArray[np.bool_],
    implant: NDArray[np.bool_],
) -> None:
    """Add a lobulated core with spicules to each image that has a mass, in place."""
    # Every image draws its numbers, so that the rest of it does not depend on who has a mass. In
    # front of an implant, masses lie nearer to the nipple.
    n, size, _ = canvas.shape
    across, along = rng.uniform(-1, 1, (2, n, 1, 1)).astype(np.float32)
    forward = np.where(implant[:, None, None], 0.72 + 0.10 * across, 0.50 + 0.28 * across)
    centre_x = outline.margin + outline.reach * forward
    span = np.where(along < 0, 0.26, 0.14) * (1.1 - forward)
    centre_y = outline.nipple + span * along
    radius = single(rng, n // 2, *MASS_RADIUS)[mass]
    contrast = single(rng, n // 2, *MASS_CONTRAST)[mass]
    spiculated = single(rng, n // 2, 0.0, 0.6)[mass]
    lobes = rng.normal(0, 0.10, (n, 3, 1, 1)).astype(np.float32)[mass]
    phase = rng.uniform(0, 2 * np.pi, (n, 5, 1, 1)).astype(np.float32)[mass]
    centre_x, centre_y = centre_x[mass], centre_y[mass]

    side = int(np.ceil(MASS_PATCH * size))
    top = np.floor((centre_y - MASS_PATCH / 2) * size).astype(np.int64)
    left = np.floor((centre_x - MASS_PATCH / 2) * size).astype(np.int64)
    steps = np.arange(side) + 0.5
    dy = ((top + steps[:, None]) / size - centre_y).astype(np.float32)
    dx = ((left + steps) / size - centre_x).astype(np.float32)
    distance = np.hypot(dx, dy) / radius
    angle = np.arctan2(dy, dx)
    boundary = np.ones_like(angle)
    for k in range(3):
        boundary += lobes[:, k] * np.cos((k + 2) * angle + phase[:, k])
    core = 1 / (1 + np.exp(np.minimum((distance - boundary) * 7, 30)))
    rays = np.maximum(np.cos(7 * angle + phase[:, 3]), 0)
    rays *= np.maximum(np.cos(5 * angle + phase[:, 4]), 0)
    spicules = rays * np.exp(-((distance / 1.8) ** 2))
    patches = contrast * (core + spiculated * spicules)
    stamp(canvas, patches, np.flatnonzero(mass), top.ravel(), left.ravel())


def add_calcifications(
    canvas: Array, rng: np.random.Generator, outline: Outline
) -> NDArray[np.bool_]:
    """Add a cluster of specks to some images, in place; say to which: (n,)."""
    n, size, _ = canvas.shape
    calcified = rng.random(n) < CALCIFICATION_RATE
    offset = rng.normal(0, 1, (2, n, SPECKS)) * rng.uniform(0.008, 0.035, (n, 1))
    bright = rng.uniform(0.05, 0.45, (n, SPECKS, 1, 1)).astype(np.float32)
    forward, along = rng.uniform(-1, 1, (2, n, 1))
    margin, reach, nipple = outline.margin[:, 0], outline.reach[:, 0], outline.nipple[:, 0]
    x = margin + reach * (0.5 + 0.3 * forward) + offset[0]
    y = nipple + 0.18 * along + offset[1]

    sigma = 0.006 * size
    corner = int(np.ceil(2 * sigma))
    steps = np.arange(-corner, corner + 1)
    speck = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * sigma**2)).astype(np.float32)
    top, left = (np.floor(at[calcified].ravel() * size).astype(np.int64) - corner for at in (y, x))
    patches = (bright * speck)[calcified].reshape(-1, *speck.shape)
    stamp(canvas, patches, np.repeat(np.flatnonzero(calcified), SPECKS), top, left)
    return calcified


def draw_anatomy(
    rng: np.random.Generator,
    fine: np.random.Generator,
    size: int,
    gland: NDArray[np.float64],
    implant: NDArray[np.bool_],
    mass: NDArray[np.bool_],
    margin: Array,
) -> Anatomy:
    """Draw n breasts, left and right of each patient in turn.

    gland: (n,) share of glandular tissue in [0, 1]. implant, mass: (n,), who has one. margin:
    (n, 1, 1), the unexposed strip between the image border and the chest wall.
    """
    n = len(gland)
    outline = draw_outline(rng, n // 2, size, margin)
    fields = texture(rng, fine, n // 2, size)
    amount = gland[:, None, None].astype(np.float32)
    tissue = healthy_tissue(rng, outline, fields, amount)
    add_implants(tissue, rng, outline, implant)
    add_masses(tissue, rng, outline, mass, implant)
    calcified = add_calcifications(tissue, rng, outline)

    # The compressed breast thins out towards its edge; the skin is a thin brighter line.
    depth = outline.depth
    breast = (depth > 0) & (outline.x > 0)
    fade = paired(rng, n // 2, 0.06, 0.16) * (0.7 + 0.6 * outline.y)
    thin = 1 - np.clip(depth / fade, 0, 1)
    tissue *= 1 - thin * thin
    tissue += 0.05 * np.maximum(1 - np.abs(depth - 0.01) / 0.01, 0)
    tissue *= breast
    return Anatomy(tissue, depth, breast, calcified)
