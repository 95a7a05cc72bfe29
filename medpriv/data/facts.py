"""What the patient behind a report has, and which words the report names: true or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from medpriv.data.cohort import Cohort, Part
from medpriv.data.sources.report_patients import FACTS
from medpriv.data.text import normalise_text

_NO_FACT = ("normal", "other", "")


def report_facts(cohort: Cohort, part: Part, *, at_least: int = 30) -> pd.DataFrame:
    """The facts of a part's reports, a column each, the same columns in every part.

    For the embedded reports these are the facts that they were written from, the sensitive ones
    first. For Open-i they are the problems that its indexers named, the most common first. Of
    your own file nothing is known but its words: there they are its ten most common keywords.

    Args:
        cohort: of reports.
        part: ``cohort.victims`` or another of its parts, or some rows of one.
        at_least: how often an Open-i problem must occur among the auxiliary reports.

    Returns:
        A row for each report of the part, in its order, and truth values.
    """
    own = cohort.auxiliary
    if "Problems" in own.attributes:
        counts = _problems(own.attributes).sum().sort_values(ascending=False, kind="stable")
        names = [name for name in counts.index[counts >= at_least] if name not in _NO_FACT]
        found = _problems(part.attributes).reindex(columns=names, fill_value=0)
    elif set(FACTS) <= set(own.attributes.columns):
        found = part.attributes[list(FACTS)]
    else:
        found = names_words(part.x, keywords(own.x, 10))
    return found.astype(bool).reset_index(drop=True)


def age_and_sex(part: Part) -> Tensor:
    """Age in years, 1 for a woman, and their product: ``(n, 3)`` float64.

    What everybody may know of a patient, for baselines. Where a data set does not have both, as
    Open-i, there are no columns: ``(n, 0)``.
    """
    known = part.attributes
    if not {"age", "sex"} <= set(known.columns):
        return torch.empty(len(part), 0, dtype=torch.float64)
    age, woman = known["age"].astype(float), (known["sex"] == "female").astype(float)
    return torch.tensor(pd.concat([age, woman, age * woman], axis=1).to_numpy())


def keywords(texts: Sequence[str], number: int, *, most: float = 0.3) -> list[str]:
    """The words that occur in the most texts, but for words of grammar and those in nearly all.

    Args:
        texts: the attacker's own reports.
        number: how many words; fewer come back where there are not as many.
        most: a word in more than this share of the texts tells them apart badly, and is left out.

    Returns:
        Words in normal form, the most common first; those with a digit are left out.

    Raises:
        ValueError: no word is asked for, or the share is not in (0, 1].
    """
    if number < 1 or not 0 < most <= 1:
        raise ValueError(
            f"expected a number of words from 1 on and a share in (0, 1], got {number}, {most}"
        )
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts = Counter(word for text in texts for word in set(normalise_text(text).split()))
    telling = {
        word: count
        for word, count in counts.items()
        if count <= most * len(texts) and word.isalpha() and word not in ENGLISH_STOP_WORDS
    }
    return sorted(telling, key=lambda word: (-telling[word], word))[:number]


def names_words(texts: Sequence[str], words: Sequence[str]) -> pd.DataFrame:
    """Which of the words each text contains, in normal form: a row for each text, truth values."""
    own = [set(normalise_text(text).split()) for text in texts]
    named = {word: [word in text for text in own] for word in words}
    return pd.DataFrame(named, index=range(len(own)), dtype=bool)


def _problems(rows: pd.DataFrame) -> pd.DataFrame:
    # A finding may be named twice, and with spaces around it.
    listed = rows["Problems"].str.lower().str.replace(r"\s*;\s*", ";", regex=True).str.strip()
    return listed.str.get_dummies(";")
