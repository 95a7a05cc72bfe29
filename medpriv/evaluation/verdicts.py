"""What a comparison's cells say: a verdict, a warning, and the table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence

import pandas as pd

from medpriv.evaluation.sweep import Row

#: The columns of :func:`compare`'s table.
COLUMNS = (
    "attack", "attribute", "defense", "strength", "exposes", "seed", "metric", "n", "naive",
    "adaptive", "averaged", "baseline", "gain", "verdict", "interval", "baseline_interval",
    "gain_interval", "utility", "utility_interval", "accuracy", "seconds", "error",
)  # fmt: skip
#: Fewer patients than these prove nothing, nor does a gain that may be as large as this, or a loss.
FEWEST, UNCLEAR = 30, 0.1
_AT_LEAST = 10  # patients, where their number is known, or an interval over them means little


def verdict(row: Row, profile: str) -> str:
    """What a cell shows, in the metric in which its patients fare worst; nothing if it failed."""
    if row["error"]:
        return ""
    found = row["measures"]
    if any(one["gain_low"] > 0 and (not one["n"] or one["n"] >= _AT_LEAST) for one in found):
        return "leaks"
    # Who does worse than a guess shows nothing: turned round, the same attack may be better.
    clear = all(
        one["n"] >= FEWEST and one["gain_low"] > -UNCLEAR and 0 <= one["gain_high"] < UNCLEAR
        for one in found
    )
    return "no leak seen" if clear and profile != "smoke" else "inconclusive"


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
            f"the best attacker has over the baseline reaches 0, or is of fewer than {_AT_LEAST} "
            "patients: such a row says little of a defense, whose attacker may just be a weak one",
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
