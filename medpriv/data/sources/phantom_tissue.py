"""The healthy breast of the mammogram phantoms: outline, texture, tissue, muscle and ducts.

Coordinates are fractions of the image: ``x`` runs from the chest wall (0) towards the nipple,
``y`` from the top (0) to the bottom (1). Every breast is drawn with its chest wall on the left;
``phantoms.make_phantoms`` mirrors the right ones. Arrays that hold one number a breast have the
shape (n, 1, 1), so that they meet pixel arrays (n, size, size) without a loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# How alike the two breasts of one patient are. Together these set how well a patient is found by
# the other breast: better than chance, far from certain.
ASYMMETRY = 0.10  # individual wobble of a shared quantity, as a fraction of its range
TEXTURE_SHARED = 0.75  # correlation of left and right in the coarsest texture frequencies
TEXTURE_COARSE = 6.0  # cycles per image at which that correlation has fallen to 1/e

# Texture: amplitude ~ frequency^(-TEXTURE_EXPONENT / 2). Ducts and film grain flatten the
# measured spectrum, so the drawn one is a little steeper than the goal of about 3.
TEXTURE_EXPONENT = 3.2
COARSEST = 8  # cycles per image; beyond, left and right are independent
BASE_GRID = 64  # frequencies drawn for every size, so that a patient keeps her tissue
DUCT_ANGLES = 256  # entries of the table of duct brightness by angle at the nipple


@dataclass(frozen=True)
class Outline:
    """Pixel coordinates of each breast, and where its landmarks lie, in image fractions."""

    x: Array  # (n, 1, size), from the chest wall
    y: Array  # (1, size, 1), from the top
    margin: Array  # (n, 1, 1), from the image border to the chest wall
    reach: Array  # (n, 1, 1), from the chest wall to the nipple
    nipple: Array  # (n, 1, 1), height of the nipple
    depth: Array  # (n, size, size), distance to the skin, negative outside


def paired(rng: np.random.Generator, patients: int, low: float, high: float) -> Array:
    """Draw a quantity that a patient's two breasts share up to ASYMMETRY: (2*patients, 1, 1)."""
    shared = rng.uniform(low, high, (patients, 1))
    own = ASYMMETRY * (high - low) * rng.standard_normal((patients, 2))
    return np.clip(shared + own, low, high).reshape(-1, 1, 1).astype(np.float32)


def single(rng: np.random.Generator, patients: int, low: float, high: float) -> Array:
    """Draw a quantity of each breast's own: (2*patients, 1, 1)."""
    return rng.uniform(low, high, (2 * patients, 1, 1)).astype(np.float32)


def smoothstep(value: Array) -> Array:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    clipped = np.clip(value, 0, 1)
    step = 3 - 2 * clipped
    step *= clipped
    step *= clipped
    return step


def texture(
    rng: np.random.Generator, fine: np.random.Generator, patients: int, size: int
) -> tuple[Array, Array]:
    """Two independent power-law fields of unit variance for each breast.

    The 64x64 lowest frequencies come from `rng` whatever the size; `fine` fills those that only
    a larger image can show. The coarsest ones are shared by left and right.
    """
    frequency = _frequencies(BASE_GRID)
    own = rng.standard_normal((2 * patients, BASE_GRID, 2 * BASE_GRID), dtype=np.float32)
    base = own.view(np.complex64)
    coarse = np.flatnonzero(np.abs(frequency) <= COARSEST)
    shape = (patients, len(coarse), 2 * len(coarse))
    common = rng.standard_normal(shape, dtype=np.float32).view(np.complex64)
    radius = np.hypot(frequency[coarse, None], frequency[coarse])
    alike = (TEXTURE_SHARED * np.exp(-((radius / TEXTURE_COARSE) ** 2))).astype(np.float32)
    where = (slice(None), *np.ix_(coarse, coarse))
    base[where] *= np.sqrt(1 - alike)
    base[where] += np.repeat(np.sqrt(alike) * common, 2, axis=0)

    spectrum = base if size == BASE_GRID else _resize(base, fine, size)
    spectrum *= _amplitude(size)
    field = np.fft.ifft2(spectrum)
    return np.ascontiguousarray(field.real), np.ascontiguousarray(field.imag)


def _frequencies(size: int) -> NDArray[np.int64]:
    """Cycles per image of each row or column of a spectrum, in the order of the FFT."""
    return np.rint(np.fft.fftfreq(size, 1 / size)).astype(np.int64)


def _resize(base: NDArray[np.complex64], fine: np.random.Generator, size: int) -> Array:
    """Carry a base spectrum to another size: cut it, or fill the new frequencies from `fine`."""
    shape = (len(base), size, 2 * size)
    if size > BASE_GRID:
        spectrum = fine.standard_normal(shape, dtype=np.float32).view(np.complex64)
    else:
        spectrum = np.zeros((len(base), size, size), np.complex64)
    both = np.intersect1d(_frequencies(size), _frequencies(BASE_GRID))
    spectrum[(slice(None), *np.ix_(both, both))] = base[(slice(None), *np.ix_(both, both))]
    return spectrum


def _amplitude(size: int) -> Array:
    """Power-law amplitude of each frequency; the base grid's field has variance 1 at any size."""

    def power(side: int) -> NDArray[np.float64]:
        frequency = _frequencies(side)
        radius = np.hypot(frequency[:, None], frequency)
        radius[0, 0] = np.inf
        return radius**-TEXTURE_EXPONENT

    scale = size**2 / np.sqrt(power(BASE_GRID).sum())
    return (np.sqrt(power(size)) * scale).astype(np.float32)


def draw_outline(rng: np.random.Generator, patients: int, size: int, margin: Array) -> Outline:
    """Draw the skin line.

    The outline is the level set reach(y)^2 = x^2: an axillary taper above the nipple, a rounded
    lower half below it and a small teat. Dividing by the gradient turns the level set into a
    distance.
    """
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = axis[None, None, :] - margin, axis[None, :, None]
    reach = paired(rng, patients, 0.34, 0.68)
    nipple = paired(rng, patients, 0.50, 0.68)
    bottom = nipple + paired(rng, patients, 0.06, 0.22) + reach * paired(rng, patients, 0.40, 0.65)
    top = reach * paired(rng, patients, 0.25, 0.85)
    taper = paired(rng, patients, 0.7, 1.2)
    teat = np.maximum(single(rng, patients, -0.02, 0.025), 0)

    above = np.clip((nipple - y) / nipple, 0, 1)
    below = np.clip((y - nipple) / (bottom - nipple), 0, None)
    upper = (top + (reach - top) * (0.5 + 0.5 * np.cos(np.pi * above)) ** taper) ** 2
    lower = reach**2 * (1 - below**2.3)
    level = np.where(y < nipple, upper, lower)
    level += 2 * reach * teat * np.exp(-(((y - nipple) / 0.03) ** 2))
    slope = np.gradient(level, 1 / y.shape[1], axis=1)
    depth = (level - x * x) / np.sqrt(slope * slope + 4 * x * x + 1e-4)
    return Outline(x, y, margin, reach, nipple, depth.astype(np.float32))


def pectoral(rng: np.random.Generator, patients: int, outline: Outline) -> Array:
    """The pectoral wedge in the upper chest corner, 0 to 1, brighter towards the corner."""
    x, y, reach = outline.x, outline.y, outline.reach
    width = reach * paired(rng, patients, 0.20, 0.68)
    height = np.minimum(width * paired(rng, patients, 1.4, 3.2), 0.95)
    bulge = paired(rng, patients, 0.0, 0.5)
    inside = 1 - x / width - y / height + bulge * (x / width) * (y / height)
    edge = paired(rng, patients, 0.025, 0.07) / width
    return smoothstep(inside / edge + 0.5) * (0.8 + 0.3 * np.clip(inside, 0, 1))


def ducts(rng: np.random.Generator, patients: int, outline: Outline, wander: Array) -> Array:
    """Strands that converge on the nipple: brightness by angle, read from a table.

    `wander` (2*patients, size, size) makes the strands meander; they fade where they meet, since
    a pixel there holds many.
    """
    shape = (patients, 2, DUCT_ANGLES)
    own = rng.standard_normal(shape, dtype=np.float32)
    common = rng.standard_normal((patients, 1, DUCT_ANGLES), dtype=np.float32)
    table = (np.sqrt(0.5) * own + np.sqrt(0.5) * common).reshape(-1, DUCT_ANGLES)
    frequency = np.fft.rfftfreq(DUCT_ANGLES, 1 / DUCT_ANGLES)
    smooth = np.exp(-((frequency / 30) ** 2)) * (frequency > 6)
    table = np.fft.irfft(np.fft.rfft(table) * smooth, DUCT_ANGLES).astype(np.float32)
    table = np.maximum(table / table.std(1, keepdims=True), 0) ** 1.5

    # across / (along + sideways) is monotone in the angle at the nipple and far cheaper.
    across, along = outline.y - outline.nipple, np.maximum(outline.reach - outline.x, 0)
    sideways = np.abs(across)
    angle = across / (along + sideways + 0.03) + wander
    entry = np.clip((angle + 1) * (DUCT_ANGLES / 2), 0, DUCT_ANGLES - 1).astype(np.int32)
    entry += (DUCT_ANGLES * np.arange(len(table), dtype=np.int32))[:, None, None]
    return table.ravel().take(entry) * np.minimum((along + sideways) / 0.15, 1)


def meander(rng: np.random.Generator, patients: int, x: Array, y: Array) -> Array:
    """A slow wave, (2*patients, size, size), by which a duct's angle wanders."""
    phase = 2 * np.pi * rng.random((3, 2 * patients, 1, 1), dtype=np.float32)
    wave = np.sin(9 * x + phase[0]) * np.sin(7 * y + phase[1])
    return 0.08 * wave + 0.03 * np.sin(23 * x + phase[2])


def healthy_tissue(
    rng: np.random.Generator, outline: Outline, fields: tuple[Array, Array], gland: Array
) -> Array:
    """Attenuation of fat, glandular tissue, strands and muscle: (n, size, size)."""
    x, y, reach, nipple = outline.x, outline.y, outline.reach, outline.nipple
    patients = len(reach) // 2
    first, second = fields

    # Glandular tissue: a rounded body behind the nipple with an irregular border.
    centre_x = reach * paired(rng, patients, 0.48, 0.62)
    centre_y = nipple - paired(rng, patients, 0.0, 0.08)
    half_width = reach * (0.30 + 0.36 * gland)
    half_height = (0.10 + 0.20 * gland) * paired(rng, patients, 0.8, 1.25)
    body = ((x - centre_x) / half_width) ** 2 + ((y - centre_y) / half_height) ** 2
    glandular = smoothstep(0.75 - 0.6 * body + 0.45 * first)
    glandular *= smoothstep(outline.depth / 0.06)  # the fatty rim

    strands = ducts(rng, patients, outline, meander(rng, patients, x, y))
    ligaments = np.maximum(1 - np.abs(second - 0.3 * first) * 3, 0)
    fat = single(rng, patients, 0.47, 0.53)
    tissue = fat + 0.035 * first + 0.04 * ligaments
    tissue += strands * (0.015 + 0.04 * glandular)
    tissue += glandular * (0.08 + 0.17 * gland + 0.05 * second)

    # Muscle adds to the tissue in front of it and evens it out.
    muscle = pectoral(rng, patients, outline)
    tissue += muscle * (paired(rng, patients, 0.16, 0.34) - 0.7 * (tissue - fat))
    return tissue
