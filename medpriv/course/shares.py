"""What is left of something that was measured, and may not have been there."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd


def share(part: Any, whole: Any) -> Any:
    """What share of a measured whole a part is; NaN where there is nothing to have a share of.

    A leak, a gain or a count that is there with the book's data may be 0 or less with a reader's.
    A share of it has no meaning then, and must not look like one. No claim of NaN holds.

    Args:
        part: a number, or a table or column of them.
        whole: of the same shape or one that pandas aligns with it, or one number for all.

    Returns:
        ``part / whole`` where ``whole`` is above 0, else NaN.
    """
    if isinstance(whole, (pd.Series, pd.DataFrame)):
        return part / whole.where(whole > 0)
    return part / (whole if whole > 0 else math.nan)
