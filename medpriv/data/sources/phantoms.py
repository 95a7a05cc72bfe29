"""Mammogram phantoms: synthetic two-view mammograms of patients who do not exist.

Each patient has two images, left and right, that share outline, pectoral muscle and coarse
tissue, mirrored; attributes that belong to the patient are equal in both. Everything comes from
a seed, so the ground truth is known and no patient is attacked by following the course.

A block of BLOCK patients is drawn at once by a generator that only the seed and the block's
number set. Patient i is therefore the same however many patients are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.data.sources import Wanted
from medpriv.data.sources.phantom_anatomy import Anatomy, draw_anatomy, stamp
from medpriv.data.sources.phantom_tissue import Array, paired, single
from medpriv.data.splitting import split_rows
from medpriv.runtime.arguments import require_integer
from medpriv.runtime.profile import PHANTOM_PATIENTS
from medpriv.runtime.resources import json_resource

_TABLES = json_resource(__file__, "phantom.json")
CARD = DataCard.of(_TABLES)
CLASSES = ("no mass", "mass")

BLOCK = 16  # patients drawn together; changing it changes every cohort
SIZES = (32, 512)

AGE_BANDS = ("40-49", "50-59", "60-69", "70-79")
AGE_SHARES = (0.30, 0.32, 0.24, 0.14)
AGE_EFFECT = 0.35  # how far ten years lower the latent density, in standard deviations
# BI-RADS density a to d: about 10, 40, 40 and 10 % of women screened (ACR BI-RADS atlas, 2013).
DENSITY_CUTS = (-1.28, 0.0, 1.28)
IMPLANT_RATE = 0.08  # enriched, so that the attribute can be learned from a small cohort

# Enriched, not a screening prevalence (about 0.5 %): an AUC on a few hundred images needs
# positives. One breast, seldom both.
ONE_MASS_RATE = 0.74
TWO_MASSES_RATE = 0.08

# Films: a strip between image border and chest wall in some, artefacts in a few.
MARGIN_RATE = 0.5
MARGIN = (0.02, 0.14)  # image fractions
GRAIN = 0.006  # relative
STRIP_RATE = 0.05  # a bright strip where the film ends
LEAK_RATE = 0.3  # of the films with a margin: a bright line along the chest wall
BURNED_GREY = 0.9
PLATE_KINDS = (0.65, 0.2, 0.15)  # white plate, faint letters, none in the picture


@dataclass(frozen=True)
class Phantoms:
    """A cohort of phantoms; rows 2i and 2i+1 are patient i's left and right breast.

    Attributes:
        images: (2n, size, size) float32 in [0, 1], 0 black.
        labels: (2n,) int64, 1 where a mass is present in the image.
        patient: (2n,) str, such as "P00012".
        breast: (2n, size, size) bool, the breast mask.
        attributes: 2n rows: laterality ("left", "right"), density (BI-RADS "a" to "d"), age_band
            ("40-49" to "70-79"), implant (bool), calcification (bool). All but laterality and
            calcification belong to the patient and are equal in both rows.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    patient: NDArray[np.str_]
    breast: NDArray[np.bool_]
    attributes: pd.DataFrame


def load(wanted: Wanted) -> Cohort:
    """Mammogram phantoms; class 1 where the image shows a mass."""
    sizes = PHANTOM_PATIENTS.of(wanted.profile)
    patients = wanted.patients or sum(sizes)
    made = make_phantoms(patients, seed=wanted.seed, size=wanted.size, burned_in=wanted.burned_in)
    rows = Part(
        x=torch.from_numpy(made.images[:, None]),
        y=torch.from_numpy(made.labels),
        patient=made.patient,
        attributes=made.attributes,
        mask=torch.from_numpy(made.breast[:, None]),
    )
    return split_rows("images", CARD, CLASSES, rows, sizes, wanted, stratify=False)


def make_phantoms(
    patients: int,
    *,
    seed: int = 0,
    size: int = 64,
    burned_in: bool = False,
    masses: bool = True,
) -> Phantoms:
    """Draw the left and right mammogram of `patients` synthetic patients.

    Args:
        patients: how many, 1 to 99,999; the first k are the same in every cohort of k or more.
        seed: integer, at least 0.
        size: side in pixels, 32 to 512; a patient keeps her anatomy at any size.
        burned_in: write the patient's number into the background, as some scanners do.
        masses: ``False`` draws the same cohort healthy, all labels 0.

    Raises:
        ValueError: an argument is no integer or out of range.
    """
    patients = require_integer("patients", patients, 1, 99_999)
    seed = require_integer("seed", seed, 0)
    size = require_integer("size", size, *SIZES)
    rows = 2 * patients
    images = np.empty((rows, size, size), np.float32)
    breast = np.empty((rows, size, size), bool)
    labels = np.empty(rows, np.int64)
    attributes = []
    for number, start in enumerate(range(0, rows, 2 * BLOCK)):
        block = _draw_block(seed, number, size, burned_in, masses)
        here = slice(start, min(start + 2 * BLOCK, rows))
        kept = here.stop - start
        images[here], breast[here] = block.images[:kept], block.breast[:kept]
        labels[here] = block.labels[:kept]
        attributes.append(block.attributes[:kept])
    return Phantoms(
        images, labels, _names(patients), breast, pd.concat(attributes, ignore_index=True)
    )


def _names(patients: int) -> NDArray[np.str_]:
    return np.repeat(np.array([f"P{i:05d}" for i in range(patients)]), 2)


def _draw_block(seed: int, number: int, size: int, burned_in: bool, show_masses: bool) -> Phantoms:
    """Draw BLOCK patients. `rng` draws alike for every size, `fine` what depends on the size."""
    rng = np.random.default_rng([seed, number])
    fine = np.random.default_rng([seed, number, size])
    n = 2 * BLOCK

    age = rng.choice(len(AGE_BANDS), BLOCK, p=AGE_SHARES)
    latent = AGE_EFFECT * (1.2 - age) + np.sqrt(1 - AGE_EFFECT**2) * rng.standard_normal(BLOCK)
    density = np.searchsorted(DENSITY_CUTS, latent)
    implant = rng.random(BLOCK) < IMPLANT_RATE
    mass = _who_has_a_mass(rng) & show_masses
    gland = np.clip(0.5 + 0.28 * latent, 0.0, 1.0)
    has_margin = np.repeat(rng.random(BLOCK) < MARGIN_RATE, 2).reshape(n, 1, 1)
    margin = paired(rng, BLOCK, *MARGIN) * has_margin
    anatomy = draw_anatomy(
        rng, fine, size, np.repeat(gland, 2), np.repeat(implant, 2), mass, margin
    )
    images = _expose(rng, fine, anatomy, margin)

    # Source and target overlap: numpy copies first.
    images[1::2] = images[1::2, :, ::-1]
    breast = anatomy.breast
    breast[1::2] = breast[1::2, :, ::-1]
    if burned_in:
        for k in range(BLOCK):
            _burn_identifier(images[2 * k : 2 * k + 2], breast[2 * k : 2 * k + 2], number, k)
    attributes = pd.DataFrame(
        {
            "laterality": np.tile(["left", "right"], BLOCK),
            "density": np.repeat(np.array(list("abcd"))[density], 2),
            "age_band": np.repeat(np.array(AGE_BANDS)[age], 2),
            "implant": np.repeat(implant, 2),
            "calcification": anatomy.calcified,
        }
    )
    return Phantoms(images, mass.astype(np.int64), _names(BLOCK), breast, attributes)


def _who_has_a_mass(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Two flags a patient, left and right: (2*BLOCK,)."""
    draw, side = rng.random(BLOCK), rng.integers(0, 2, BLOCK)
    mass = np.repeat((draw < TWO_MASSES_RATE)[:, None], 2, axis=1)
    one = (draw >= TWO_MASSES_RATE) & (draw < TWO_MASSES_RATE + ONE_MASS_RATE)
    mass[one, side[one]] = True
    return mass.reshape(-1)


def _expose(
    rng: np.random.Generator, fine: np.random.Generator, anatomy: Anatomy, margin: Array
) -> Array:
    """Turn attenuation into grey values: film response, fog, grain, label plate, film edges.

    The response is the S-shaped density curve of film: dark and flat where little is absorbed,
    flat again where much is.
    """
    n, size, _ = anatomy.attenuation.shape
    x = ((np.arange(size) + 0.5) / size).astype(np.float32)
    y = x[:, None]
    middle = paired(rng, BLOCK, 0.42, 0.56)
    gamma = paired(rng, BLOCK, 2.0, 3.0)
    fog = np.maximum(single(rng, BLOCK, -0.02, 0.03), 0)
    film_end = single(rng, BLOCK, 0.75, 1.15)
    grain = fine.standard_normal((n, size, size), dtype=np.float32)

    # exp and log are far faster than ** on float32; their floor stays invisible.
    value = np.exp(gamma * np.log(np.maximum(anatomy.attenuation, 1e-3) / middle))
    value /= 1 + value
    value += fog * ((x > margin) & (x < film_end))
    value *= 1 + GRAIN * grain
    background = ~anatomy.breast & (anatomy.depth < -0.02)
    plate = _plates(rng, size)
    torn = rng.random(n) < STRIP_RATE
    strip = x - single(rng, BLOCK, 0.82, 0.97)[torn] - 0.05 * y
    plate[torn] = np.maximum(plate[torn], 0.95 * np.clip(strip * size, 0, 1))
    leak = (rng.random((n, 1, 1)) < LEAK_RATE) & (x < margin) & (x > margin - 0.016)
    np.copyto(value, plate, where=background & (plate > 0))
    np.copyto(value, np.float32(0.8), where=leak)
    return np.clip(value, 0, 1, out=value)


def _plates(rng: np.random.Generator, size: int) -> Array:
    """Lead label plates on an empty film: (n, size, size), 0 where there is none."""
    n = 2 * BLOCK
    height, width = max(round(0.14 * size), 4), max(round(0.10 * size), 3)
    top = rng.uniform(-0.05, 0.12, n)
    left = rng.uniform(0.60, 0.90, n)
    kind = rng.choice(3, n, p=PLATE_KINDS)
    letters = np.stack([_plate_letters("L"), _plate_letters("R")]).astype(np.float32)
    # Four samples a pixel and side, averaged: small letters blur as they do on a scan.
    rows = np.arange(4 * height) * letters.shape[1] // (4 * height)
    columns = np.arange(4 * width) * letters.shape[2] // (4 * width)
    ink = letters[:, rows][:, :, columns].reshape(2, height, 4, width, 4).mean((2, 4))
    ink = np.tile(ink, (BLOCK, 1, 1))
    ink[1::2] = ink[1::2, :, ::-1]  # the right breast is mirrored afterwards
    kind = kind[:, None, None]
    patches = np.where(kind == 0, 0.97 - 0.75 * ink, np.where(kind == 1, 0.22 * ink, 0))
    canvas = np.zeros((n, size, size), np.float32)
    corner = np.floor(np.stack([top, left]) * size).astype(np.int64)
    stamp(canvas, patches.astype(np.float32), np.arange(n), *corner)
    return canvas


def _plate_letters(side: str) -> NDArray[np.bool_]:
    """The plate's inscription, side above view, with a rim: (15, 11)."""
    plate = np.zeros((15, 11), bool)
    plate[2:7, 4:7] = _bitmap(side)
    plate[8:13, 2:9] = _bitmap("ML")
    return plate


def _bitmap(text: str) -> NDArray[np.bool_]:
    """Text in 3x5 letters with a blank column between: (5, 4*len(text) - 1)."""
    rows = np.array([_TABLES["glyphs"][letter] for letter in text])
    bits = (rows[:, :, None] >> np.array([2, 1, 0, 3])) & 1  # bit 3 is never set: the blank
    return bits.transpose(1, 0, 2).reshape(5, -1)[:, :-1].astype(bool)


def _burn_identifier(
    pair: NDArray[np.float32], breast: NDArray[np.bool_], block: int, k: int
) -> None:
    """Write the patient's number into the lower outer corner of both images, in place.

    Only background pixels change: where the breast reaches the corner, it hides digits.
    """
    size = pair.shape[-1]
    scale = max(1, size // 64)
    digits = np.kron(_bitmap(f"{BLOCK * block + k:05d}"), np.ones((scale, scale), bool))
    height, width = digits.shape
    rows = slice(size - scale - height, size - scale)
    corners = (slice(size - scale - width, size - scale), slice(scale, scale + width))
    for image, mask, columns in zip(pair, breast, corners, strict=True):
        spot = image[rows, columns]
        spot[...] = np.where(mask[rows, columns], spot, BURNED_GREY * digits)
