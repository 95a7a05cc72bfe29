"""A synthetic warfarin cohort whose joint distribution is known exactly.

The setting is Fredrikson et al. 2014 (USENIX Security, "Privacy in Pharmacogenetics"): a model
that doses warfarin from demographics, drugs and genotypes, and an attacker who wants one genotype,
VKORC1. The distribution is in :mod:`medpriv.data.sources.warfarin_distribution`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtr, ndtri

from medpriv.data.cohort import Cohort, Column, DataCard, Part
from medpriv.data.sources import Wanted
from medpriv.data.sources import warfarin_distribution as law
from medpriv.data.splitting import split_rows
from medpriv.runtime.arguments import require_integer
from medpriv.runtime.profile import WARFARIN_PATIENTS

NO_YES = ("no", "yes")
CLASSES = ("under 21 mg", "21 to 49 mg", "over 49 mg")
COLUMNS = (
    Column("sex", law.SEXES),
    Column("age_decade", unit="decades"),
    Column("height_cm", unit="cm"),
    Column("weight_kg", unit="kg"),
    Column("ancestry", law.ANCESTRIES),
    Column("enzyme_inducer", NO_YES),
    Column("amiodarone", NO_YES),
    Column("cyp2c9", law.CYP2C9_GENOTYPES),
    Column("vkorc1", law.VKORC1_GENOTYPES),
)
CARD = DataCard.of(law.TABLES)

_BLOCK: Final = 4096
_MAX_PATIENTS: Final = 10_000_000  # identifiers have seven digits
# In this order, which decides who has which.
_DRAWS: Final = (
    *("ancestry", "sex", "age", "height", "weight"),
    *("enzyme_inducer", "amiodarone", "cyp2c9", "vkorc1", "dose"),
)


def load(wanted: Wanted) -> Cohort:
    """The warfarin cohort; classes are under 21, 21 to 49 and over 49 mg a week."""
    sizes = WARFARIN_PATIENTS.of(wanted.profile)
    frame = make_warfarin(wanted.patients or sum(sizes), seed=wanted.seed)
    rows = Part(
        x=torch.from_numpy(np.stack([_values(frame, column) for column in COLUMNS], axis=1)),
        y=torch.from_numpy(frame["dose_class"].to_numpy(dtype=np.int64, copy=True)),
        patient=frame["patient"].to_numpy(dtype=str),
        attributes=frame.drop(columns=["patient", "dose_class"]).reset_index(drop=True),
    )
    return split_rows("records", CARD, CLASSES, rows, sizes, wanted, columns=COLUMNS)


def _values(frame: pd.DataFrame, column: Column) -> np.ndarray:
    values = frame[column.name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.codes
    return values.to_numpy(dtype=np.float32)


def make_warfarin(patients: int, *, seed: int = 0) -> pd.DataFrame:
    """Draw a synthetic cohort of patients on a stable dose of warfarin.

    Patient i depends on `seed` and i only: a larger cohort starts with the smaller one.

    Args:
        patients: how many, 1 to 10,000,000. A million takes a few seconds.
        seed: integer, at least 0.

    Returns:
        A row a patient and the columns, in this order: patient (str, "W0000012"); sex (category,
        "female" or "male"); age_decade (int 1..9, an ordered category coded as IWPC does: 20 to 29
        years is 2, 9 is 90 and over, 1 is below 20); height_cm, weight_kg (float, one decimal);
        ancestry (category, one of `ANCESTRIES`); enzyme_inducer, amiodarone (int, 0 or 1); cyp2c9,
        vkorc1 (category, one of `CYP2C9_GENOTYPES`, `VKORC1_GENOTYPES`); dose_mg_week (float, mg a
        week, not rounded, so that `vkorc1_posterior` is exact); dose_class (int, 0 below 21, 1
        from 21 to 49, 2 above 49 mg a week).

    Raises:
        ValueError: `patients` or `seed` is not an integer in its range.
    """
    patients = require_integer("patients", patients, 1, _MAX_PATIENTS)
    seed = require_integer("seed", seed, 0)
    draw = _uniform_draws(patients, seed)

    ancestry = _pick(law.by_ancestry("share")[None], draw["ancestry"])
    male = (draw["sex"] < law.MALE_SHARE).astype(np.int8)
    height = _heights(ancestry, male, draw["height"])
    records = pd.DataFrame(
        {
            "patient": [f"W{i:07d}" for i in range(patients)],
            "sex": _category(male, law.SEXES),
            "age_decade": _age_decades(ancestry, draw["age"]),
            "height_cm": height,
            "weight_kg": _weights(ancestry, height, draw["weight"]),
            "ancestry": _category(ancestry, law.ANCESTRIES),
            "enzyme_inducer": (draw["enzyme_inducer"] < law.ENZYME_INDUCER_SHARE).astype(np.int64),
            "amiodarone": (draw["amiodarone"] < law.AMIODARONE_SHARE).astype(np.int64),
            "cyp2c9": _category(
                _pick(law.cyp2c9_probabilities()[ancestry], draw["cyp2c9"]), law.CYP2C9_GENOTYPES
            ),
            "vkorc1": _category(
                _pick(law.vkorc1_probabilities()[ancestry], draw["vkorc1"]), law.VKORC1_GENOTYPES
            ),
        }
    )
    root = _truncated_normal(law.iwpc_sqrt_dose(records), draw["dose"])
    records["dose_mg_week"] = root**2
    records["dose_class"] = law.dose_class(records["dose_mg_week"].to_numpy())
    return records


def _uniform_draws(patients: int, seed: int) -> dict[str, np.ndarray]:
    """Uniform numbers in (0, 1), one row a patient, in blocks that do not know of each other."""
    blocks = -(-patients // _BLOCK)
    draws = np.empty((blocks * _BLOCK, len(_DRAWS)))
    for block in range(blocks):
        generator = np.random.default_rng(np.random.SeedSequence((seed, block)))
        generator.random(out=draws[block * _BLOCK : (block + 1) * _BLOCK])
    # The inverse of a normal distribution function is infinite at exactly 0.
    np.maximum(draws, np.finfo(float).tiny, out=draws)
    return {name: draws[:patients, column] for column, name in enumerate(_DRAWS)}


def _pick(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Index drawn from each row of probabilities, (n, k) or (1, k), by inverting its sum."""
    edges = np.cumsum(probabilities, axis=1)[:, :-1]
    return (uniform[:, None] >= edges).sum(axis=1)


def _age_decades(ancestry: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    mean, sd = law.by_ancestry("age").T
    years = mean[ancestry] + sd[ancestry] * ndtri(uniform)
    return np.clip(years // 10, 1, 9).astype(np.int64)


def _heights(ancestry: np.ndarray, male: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    mean = law.by_ancestry("height")[ancestry, male]
    return np.clip(mean + law.HEIGHT_SD_CM * ndtri(uniform), *law.HEIGHT_RANGE_CM).round(1)


def _weights(ancestry: np.ndarray, height_cm: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    median, log_sd = law.by_ancestry("body mass index").T
    index = median[ancestry] * np.exp(log_sd[ancestry] * ndtri(uniform))
    return np.clip(index * (height_cm / 100) ** 2, *law.WEIGHT_RANGE_KG).round(1)


def _truncated_normal(mean: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Normal around mean, kept above law.MIN_SQRT_DOSE, by inverting its upper tail."""
    mass = ndtr((mean - law.MIN_SQRT_DOSE) / law.RESIDUAL_SD)
    return np.maximum(mean - law.RESIDUAL_SD * ndtri(uniform * mass), law.MIN_SQRT_DOSE)


def _category(codes: np.ndarray, levels: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=list(levels))
