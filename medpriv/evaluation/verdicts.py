"""What a comparison's cells say: a verdict, a warning, and the table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence

import pandas as pd
from scipy.special import ndtri, stdtrit

from medpriv.evaluation.sweep import Row

#: The columns of :func:`compare`'s table.
COLUMNS = (
    "attack", "attribute", "defense", "strength", "exposes", "seed", "metric", "n", "naive",
    "adaptive", "averaged", "baseline", "gain", "ceiling", "verdict", "interval",
    "baseline_interval", "gain_interval", "utility", "utility_interval", "accuracy", "seconds",
    "error",
)  # fmt: skip
#: Fewer patients than these prove nothing, nor does a gain that may be as large as this, or a loss.
FEWEST, UNCLEAR = 30, 0.1
#: How often a row may be called leaking that does not leak, and one that leaks so much be cleared.
ERROR = 0.025
_AT_LEAST = 10  # patients, where their number is known, or an interval over them means little
_ATTACKERS = ("naive", "adaptive", "averaged")


def verdict(row: Row, profile: str) -> str:
    """What a cell shows, in the metric in which its patients fare worst; nothing if it failed.

    The best of several attackers in the worst of several metrics is above its baseline by luck more
    often than one figure is. So for a leak each counts with its part of :data:`ERROR` (Bonferroni).
    To be cleared all have to be small, which luck makes rarer.
    """
    if row["error"]:
        return ""
    found = row["measures"]
    figures = sum(_attackers(one) for one in found)
    seen = [one for one in found if not one["n"] or one["n"] >= _AT_LEAST]
    if any(_ends(one, ERROR / figures)[0] > 0 for one in seen):
        return "leaks"
    clear = profile != "smoke" and all(_is_small(one) for one in found)
    return "no leak seen" if clear else "inconclusive"


def _is_small(measure: Row) -> bool:
    """Whether a gain may be nothing, and can hardly be much, by what so many patients show."""
    low, high = _ends(measure, ERROR)
    # What nobody of them has shown may still be so for others; resamples do not hold it.
    value, reach = measure["gain"], measure.get("reach", math.nan)
    if not math.isnan(reach):
        low, high = min(low, value - reach), max(high, value + reach)
    # Who does worse than a guess shows nothing: turned round, the same attack may be better.
    small = low > -UNCLEAR and measure["gain_low"] <= 0 <= high < UNCLEAR
    return small and measure["n"] >= FEWEST


def _attackers(measure: Row) -> int:
    """How many of the attackers have figures of their own; one at least."""
    figures = [measure.get(who, math.nan) for who in _ATTACKERS]
    return max(1, len({one for one in figures if not math.isnan(one)}))


def _ends(measure: Row, error: float) -> tuple[float, float]:
    """The ends of a gain's interval, beyond each of which the truth lies so often.

    The 95 % interval, stretched as Student's t: by the quantile for another error, by the one for
    few patients, and since resamples of n vary by (n - 1) / n of the variance (Davison & Hinkley
    1997, section 2.3).
    """
    value, patients = measure["gain"], measure["n"]
    if patients > 1:
        far = stdtrit(patients - 1, 1 - error) * math.sqrt(patients / (patients - 1))
    else:
        far = ndtri(1 - error)
    stretch = far / ndtri(1 - 0.025)
    low, high = (
        value + (end - value) * stretch for end in (measure["gain_low"], measure["gain_high"])
    )
    return low, high


def warn_of_guesses(rows: Iterable[Row]) -> None:
    """Say once which attacks are in no seed seen to be better than their baseline."""
    better: dict[tuple[str, str], bool] = {}
    for row in rows:
        if not row["error"]:
            pair = (row["attack"], f"{row['defense']} {row['strength']:g}")
            better[pair] = better.get(pair, False) or row["verdict"] == "leaks"
    weak: dict[str, list[str]] = {}
    for (attack, defense), any_better in better.items():
        if not any_better:
            weak.setdefault(attack, []).append(defense)
    if weak:
        said = "; ".join(f"{attack!r} against {', '.join(those)}" for attack, those in weak.items())
        warnings.warn(
            f"not seen to be better than the guess without the model: {said}. The interval of what "
            "the best attacker has over the baseline, stretched for the choice among attackers and "
            f"metrics, reaches 0, or is of fewer than {_AT_LEAST} patients: such a row says little "
            "of a defense, whose attacker may just be a weak one",
            stacklevel=3,
        )


def tidy(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows of cells as a table with a row for each metric."""
    table = pd.DataFrame([{**row, **measure} for row in rows for measure in row["measures"]])
    for of in ("", "baseline_", "gain_", "utility_"):
        ends = table.reindex(columns=[f"{of}low", f"{of}high"]).to_numpy(dtype=float)
        table[f"{of}interval"] = pd.arrays.IntervalArray(
            [
                pd.Interval(*pair, closed="both") if pair[0] <= pair[1] else math.nan
                for pair in ends
            ],
            closed="both",
        )
    return table.reindex(columns=list(COLUMNS))
