"""The distribution of the synthetic warfarin patients, written down, and its best attacker.

Every patient is drawn from the distribution below, so the best possible attacker can be computed
(`vkorc1_posterior`) and any other attack can be compared with that ceiling. From the top:

    ancestry          shares rounded from the IWPC cohort (Klein et al. 2009, NEJM 360:753)
    sex               independent of ancestry
    age               normal, given ancestry, kept as IWPC's decades
    height            normal, given ancestry and sex
    weight            height squared times a log-normal body mass index, given ancestry
    inducer, amiodarone   independent of everything above
    CYP2C9, VKORC1    Hardy-Weinberg equilibrium, given ancestry; independent of each other
    dose              (IWPC equation + normal residual)^2, the root truncated below

What depends on ancestry is in ``warfarin.json``, with its sources. The dose equation is that of the
supplement of IWPC 2009, the pharmacogenetic algorithm.

The cohort is a teaching model: CYP2C9 alleles beyond *2 and *3, diet and adherence are left out.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import log_ndtr, logsumexp

from medpriv.runtime.resources import json_resource

TABLES: Final = json_resource(__file__, "warfarin.json")
_BY_ANCESTRY: Final = TABLES["ancestries"]
ANCESTRIES: Final = tuple(_BY_ANCESTRY)
SEXES: Final = ("female", "male")
CYP2C9_GENOTYPES: Final = ("*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3")
VKORC1_GENOTYPES: Final = ("G/G", "A/G", "A/A")
UNKNOWN: Final = "unknown"

VKORC1_A_FREQUENCY: Final = {name: row["VKORC1 A"] for name, row in _BY_ANCESTRY.items()}
MALE_SHARE: Final = 0.55
ENZYME_INDUCER_SHARE: Final = 0.01  # rounded from IWPC: phenytoin, carbamazepine or rifampin
AMIODARONE_SHARE: Final = 0.06  # rounded from IWPC

HEIGHT_SD_CM: Final = 7.0
HEIGHT_RANGE_CM: Final = (135.0, 210.0)
WEIGHT_RANGE_KG: Final = (35.0, 200.0)

# IWPC 2009, supplement: square root of the dose in mg a week.
INTERCEPT: Final = 5.6044
PER_AGE_DECADE: Final = -0.2614
PER_CM: Final = 0.0087
PER_KG: Final = 0.0128
VKORC1_EFFECT: Final[dict[str, float]] = TABLES["VKORC1 effect"]
CYP2C9_EFFECT: Final[dict[str, float]] = TABLES["CYP2C9 effect"]
ENZYME_INDUCER_EFFECT: Final = 1.1816
AMIODARONE_EFFECT: Final = -0.5503

# Standard deviation of the residual on the square-root scale. IWPC 2009 gives the mean absolute
# error of the squared prediction, about 8.5 mg a week on patients the equation had not seen. For a
# prediction m and a residual e that error is E|2me + e^2|, near 2 m SD sqrt(2/pi); with the
# cohort's mean m of 5.46 it asks for an SD of 0.98. R^2 on the dose is then 0.49, beside IWPC's
# 0.43 to 0.47.
RESIDUAL_SD: Final = 0.98
# Truncation keeps the square invertible: without it a root below zero would come back as a
# positive dose, and the posterior would have to add both branches. 1.5 squared is 2.25 mg a week,
# near the smallest stable doses reported.
MIN_SQRT_DOSE: Final = 1.5

LOW_DOSE: Final = 21.0  # mg a week; below it is class 0
HIGH_DOSE: Final = 49.0  # mg a week; above it is class 2

Given = Literal["ancestry", "dose", "dose_class"]


def iwpc_sqrt_dose(records: pd.DataFrame) -> np.ndarray:
    """The IWPC pharmacogenetic equation: square root of the weekly dose, without residual.

    Source: Klein et al. 2009, NEJM 360:753, supplementary appendix.

    Args:
        records: with the columns age_decade, height_cm, weight_kg, ancestry, enzyme_inducer,
            amiodarone, cyp2c9 and vkorc1, coded as `make_warfarin` does. Both genotypes may also
            be "unknown", for which IWPC fitted a term of its own.

    Returns:
        ``(n,)`` float64, in sqrt(mg / week). Square it for the dose.

    Raises:
        ValueError: a column is missing, a category is not known, or a number is not finite.
    """
    return (
        _clinical_part(records)
        + _effect(records, "cyp2c9", CYP2C9_EFFECT)
        + _effect(records, "vkorc1", VKORC1_EFFECT)
    )


def dose_class(dose_mg_week: np.ndarray) -> np.ndarray:
    """Clinical class of a weekly dose: 0 below 21, 1 from 21 to 49, 2 above 49 mg a week.

    Takes a float array of any shape, gives an int64 array of that shape. Raises ValueError where
    a dose is not finite.
    """
    dose = np.asarray(dose_mg_week, dtype=float)
    if not np.isfinite(dose).all():
        raise ValueError("dose_mg_week holds values that are not finite; drop or mend those rows.")
    return (dose >= LOW_DOSE).astype(np.int64) + (dose > HIGH_DOSE)


def vkorc1_posterior(records: pd.DataFrame, *, given: Given) -> np.ndarray:
    """Exact P(VKORC1 genotype | what the attacker knows), by Bayes, from the known distribution.

    With v a genotype, a the ancestry, r everything else but the genotype, and t the dose or its
    class:  P(v | r, a, t) is proportional to P(v | a) p(t | v, r, a). The first factor is
    Hardy-Weinberg; the second is the truncated normal of the dose's root around the IWPC equation,
    or its integral over the class. Always guessing the largest entry is the Bayes-optimal attack:
    no attacker with the same knowledge guesses right more often on this cohort. The attacker's
    setting: Fredrikson et al. 2014, section 3.

    Args:
        records: as `make_warfarin` gives them. The column vkorc1 is never read and may be absent.
            Where cyp2c9 is "unknown", its six genotypes are summed over.
        given: "ancestry": the ancestry alone. "dose": all columns and dose_mg_week. "dose_class":
            all columns and dose_class.

    Returns:
        ``(n, 3)`` float64, rows sum to 1, columns in the order of `VKORC1_GENOTYPES`.

    Raises:
        ValueError: `given` is not one of the three, a column is missing, a category is not known,
            a number is not finite, or a dose lies below the cohort's smallest, 2.25 mg a week.
    """
    if given not in get_args(Given):
        raise ValueError(f"given must be one of {get_args(Given)}, got {given!r}.")
    ancestry = _codes(records, "ancestry", ANCESTRIES)
    prior = vkorc1_probabilities()[ancestry]
    if given == "ancestry":
        return prior

    log_likelihood = _log_likelihood_of_dose(records, given, ancestry)
    log_joint = np.log(prior) + log_likelihood
    return np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))


def _log_likelihood_of_dose(
    records: pd.DataFrame, given: Literal["dose", "dose_class"], ancestry: np.ndarray
) -> np.ndarray:
    """Give log p(dose or class | genotype, rest), shape (n, 3), CYP2C9 summed out where unknown."""
    log_density = _log_density_of_root if given == "dose" else _log_mass_of_class
    column = "dose_mg_week" if given == "dose" else "dose_class"
    observed = _observed(records, column)

    clinical = _clinical_part(records)[:, None]
    vkorc1 = np.array([VKORC1_EFFECT[v] for v in VKORC1_GENOTYPES])[None, :]
    cyp2c9 = _codes(records, "cyp2c9", (*CYP2C9_GENOTYPES, UNKNOWN))
    unknown = cyp2c9 == len(CYP2C9_GENOTYPES)
    effects = np.array([CYP2C9_EFFECT[g] for g in CYP2C9_GENOTYPES])

    known_effect = effects[np.where(unknown, 0, cyp2c9)][:, None]
    result = log_density(observed[:, None], clinical + known_effect + vkorc1)
    if not unknown.any():
        return result

    weights = cyp2c9_probabilities()[ancestry[unknown]]
    completions = [
        np.log(weights[:, [g]])
        + log_density(observed[unknown, None], clinical[unknown] + effects[g] + vkorc1)
        for g in range(len(CYP2C9_GENOTYPES))
    ]
    result[unknown] = logsumexp(np.stack(completions), axis=0)
    return result


def _log_density_of_root(root: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Log density of the truncated normal, up to a constant that is equal for all genotypes."""
    return -0.5 * ((root - mean) / RESIDUAL_SD) ** 2 - log_ndtr(
        (mean - MIN_SQRT_DOSE) / RESIDUAL_SD
    )


def _log_mass_of_class(label: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Log probability of a dose class under the truncated normal."""
    above = [
        log_ndtr((mean - edge) / RESIDUAL_SD)
        for edge in (MIN_SQRT_DOSE, LOW_DOSE**0.5, HIGH_DOSE**0.5)
    ]
    # log(P(root > a) - P(root > b)) without losing digits where both are tiny.
    masses = [
        above[0] + np.log(-np.expm1(above[1] - above[0])),
        above[1] + np.log(-np.expm1(above[2] - above[1])),
        above[2],
    ]
    return np.choose(label.astype(np.int64), masses) - above[0]


def _observed(records: pd.DataFrame, column: str) -> np.ndarray:
    """What the attacker saw of the outcome: the dose's root, or the class."""
    values = _numbers(records, column)
    if column == "dose_class":
        if not np.isin(values, (0, 1, 2)).all():
            raise ValueError("dose_class must be 0, 1 or 2; use dose_class() on dose_mg_week.")
        return values
    smallest = MIN_SQRT_DOSE**2
    # A dose at the bound itself may come back from the square a rounding error lower.
    if (values < smallest * (1 - 1e-9)).any():
        raise ValueError(
            f"dose_mg_week goes down to {values.min():g}, but this cohort has no dose below "
            f"{smallest:g} mg a week; check the unit (mg a week, not a day)."
        )
    return np.sqrt(values)


def by_ancestry(name: str) -> np.ndarray:
    """A quantity of ``warfarin.json``, in the order of ``ANCESTRIES``."""
    return np.array([row[name] for row in _BY_ANCESTRY.values()])


def vkorc1_probabilities() -> np.ndarray:
    """Hardy-Weinberg genotype probabilities, (ancestries, 3), columns as VKORC1_GENOTYPES."""
    a = by_ancestry("VKORC1 A")
    return np.stack([(1 - a) ** 2, 2 * a * (1 - a), a**2], axis=1)


def cyp2c9_probabilities() -> np.ndarray:
    """Hardy-Weinberg over three alleles, (ancestries, 6), columns as CYP2C9_GENOTYPES."""
    two, three = by_ancestry("CYP2C9 *2"), by_ancestry("CYP2C9 *3")
    one = 1 - two - three
    return np.stack(
        [one**2, 2 * one * two, 2 * one * three, two**2, 2 * two * three, three**2], axis=1
    )


def _clinical_part(records: pd.DataFrame) -> np.ndarray:
    """The IWPC equation without its two genotype terms, shape (n,)."""
    return (
        INTERCEPT
        + PER_AGE_DECADE * _numbers(records, "age_decade")
        + PER_CM * _numbers(records, "height_cm")
        + PER_KG * _numbers(records, "weight_kg")
        + by_ancestry("dose")[_codes(records, "ancestry", ANCESTRIES)]
        + ENZYME_INDUCER_EFFECT * _numbers(records, "enzyme_inducer")
        + AMIODARONE_EFFECT * _numbers(records, "amiodarone")
    )


def _effect(records: pd.DataFrame, column: str, effects: dict[str, float]) -> np.ndarray:
    return np.array(list(effects.values()))[_codes(records, column, tuple(effects))]


def _codes(records: pd.DataFrame, column: str, levels: tuple[str, ...]) -> np.ndarray:
    """Position of each value of a column in levels; an unexpected value is an error."""
    values = _column(records, column)
    codes = pd.Index(levels).get_indexer(values.astype(object))
    if (codes >= 0).all():
        return codes
    found = sorted({str(value) for value in values[codes < 0]})
    raise ValueError(
        f"Column {column!r} holds {', '.join(map(repr, found[:5]))}; expected one of "
        f"{', '.join(map(repr, levels))}."
    )


def _numbers(records: pd.DataFrame, column: str) -> np.ndarray:
    try:
        values = _column(records, column).to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Column {column!r} must hold numbers: {error}") from error
    if not np.isfinite(values).all():
        raise ValueError(f"Column {column!r} holds values that are not finite; drop those rows.")
    return values


def _column(records: pd.DataFrame, column: str) -> pd.Series:
    if column not in records.columns:
        raise ValueError(
            f"records lack the column {column}; they have "
            f"{', '.join(map(str, records.columns))}. make_warfarin gives all of them."
        )
    return records[column]
