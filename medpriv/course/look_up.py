"""What an attacker has of a report without any model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medpriv import data, metrics
from medpriv.metrics.texts import nearest_text

_SHARES = {"auxiliary": 0.5, "victims": 0.1}


def look_up(texts: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """Reconstruct texts without any model: hand back the nearest text of one's own collection.

    Half of the texts, drawn with ``seed``, are the attacker's, a tenth are his victims.

    Args:
        texts: n texts, each counting as one patient's.
        seed: decides who owns what.

    Returns:
        A row for each victim: ``row``, its position in ``texts``; ``exact`` (0 or 1) and ``f1``
        of the nearest text; ``twin``, whether its normal form is in the attacker's collection.
    """
    where = data.split_by_patient(np.arange(len(texts)), _SHARES, seed=seed)
    own = [texts[row] for row in where["auxiliary"]]
    unseen = [texts[row] for row in where["victims"]]
    found = nearest_text(unseen, own)
    known = {data.normalise_text(text) for text in own}
    return pd.DataFrame(
        {
            "row": where["victims"],
            "exact": metrics.exact_match(unseen, found),
            "f1": metrics.token_f1(unseen, found),
            "twin": [data.normalise_text(text) in known for text in unseen],
        }
    )
