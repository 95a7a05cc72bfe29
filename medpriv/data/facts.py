"""What the patient behind a report has, and which words the report names: true or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.cohort import Cohort, Part
from medpriv.data.person_names import words_of_names
from medpriv.data.sources.report_patients import FACTS
from medpriv.data.text import normalise_text

_NO_FACT = ("normal", "other", "")


def report_facts(cohort: Cohort, part: Part, *, at_least: int = 30) -> pd.DataFrame:
    """The facts of a part's reports, a column each, the same columns in every part.

    For the embedded reports these are the facts that they were written from, the sensitive ones
    first. For Open-i they are the problems that its indexers named, the most common first. Of
    your own file they are its columns of yes and no, in its order. Where it has none nothing is
    known but its words: then they are its ten most common keywords, without words of names (see
    ``medpriv.data.person_names``), and of words that nearly always come together (a correlation
    beyond ±0.9) only the most common.

    Args:
        cohort: of reports.
        part: ``cohort.victims`` or another of its parts, or some rows of one.
        at_least: how often an Open-i problem must occur among the auxiliary reports.

    Returns:
        A row for each report of the part, in its order, and truth values.
    """
    own = cohort.auxiliary
    if _own_columns(own.attributes):
        found = part.attributes[list(own.attributes)]
    elif "Problems" in own.attributes:
        counts = _problems(own.attributes).sum().sort_values(ascending=False, kind="stable")
        names = [name for name in counts.index[counts >= at_least] if name not in _NO_FACT]
        found = _problems(part.attributes).reindex(columns=names, fill_value=0)
    elif set(FACTS) <= set(own.attributes.columns):
        found = part.attributes[list(FACTS)]
    else:
        found = names_words(part.x, keywords(own.x, 10, alike=0.9, names=False))
    return found.astype(bool).reset_index(drop=True)


def age_and_sex(part: Part) -> Tensor:
    """Age in years, 1 for a woman, and their product: ``(n, 3)`` float64.

    What everybody may know of a patient, for baselines. Where a data set does not have both, as
    Open-i, there are no columns: ``(n, 0)``. Nor are there of a reader's columns of yes and no,
    whatever their names: these are facts, to be guessed.
    """
    known = part.attributes
    if _own_columns(known) or not {"age", "sex"} <= set(known.columns):
        return torch.empty(len(part), 0, dtype=torch.float64)
    age, woman = known["age"].astype(float), (known["sex"] == "female").astype(float)
    return torch.tensor(pd.concat([age, woman, age * woman], axis=1).to_numpy())


def keywords(
    texts: Sequence[str],
    number: int,
    *,
    most: float = 0.3,
    alike: float = 1.0,
    names: bool = True,
) -> list[str]:
    """The words that occur in the most texts, but for words of grammar and those in nearly all.

    For a list of common words that is enough. To stand for facts of a patient, words should say
    different things and name nobody: then give ``alike=0.9`` and ``names=False``.

    Args:
        texts: the attacker's own reports.
        number: how many words; fewer come back where there are not as many.
        most: a word in more than this share of the texts tells them apart badly, and is left out.
        alike: of words whose occurrences correlate beyond this (phi, from 0 to 1, of either sign)
            only the most common is taken; 1 takes them all.
        names: whether the words of names may be among them, as ``medpriv.data.person_names`` finds
            them: by titles and capitals.

    Returns:
        Words in normal form, the most common first; those with a digit are left out.

    Raises:
        ValueError: no word is asked for, or ``most`` or ``alike`` is not in (0, 1].
    """
    if number < 1 or not 0 < most <= 1 or not 0 < alike <= 1:
        raise ValueError(
            "expected a number of words from 1 on and a share in (0, 1], "
            f"got {number}, most={most}, alike={alike}"
        )
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts = Counter(word for text in texts for word in set(normalise_text(text).split()))
    left_out = ENGLISH_STOP_WORDS if names else ENGLISH_STOP_WORDS | words_of_names(texts)
    telling = {
        word: count
        for word, count in counts.items()
        if count <= most * len(texts) and word.isalpha() and word not in left_out
    }
    ranked = sorted(telling, key=lambda word: (-telling[word], word))
    return ranked[:number] if alike == 1 else _apart(texts, ranked, number, alike)


def _apart(texts: Sequence[str], ranked: Sequence[str], number: int, alike: float) -> list[str]:
    """The first so many of these words whose occurrences correlate with no earlier one's."""
    own = [set(normalise_text(text).split()) for text in texts]
    taken: dict[str, NDArray] = {}  # occurrences, of mean 0 and length 1
    for word in ranked:
        stands = np.array([word in text for text in own], dtype=np.float64)
        stands -= stands.mean()
        stands /= np.linalg.norm(stands) or 1.0
        if all(abs(stands @ other) <= alike for other in taken.values()):
            taken[word] = stands
        if len(taken) == number:
            break
    return list(taken)


def names_words(texts: Sequence[str], words: Sequence[str]) -> pd.DataFrame:
    """Which of the words each text contains, in normal form: a row for each text, truth values."""
    own = [set(normalise_text(text).split()) for text in texts]
    named = {word: [word in text for text in own] for word in words}
    return pd.DataFrame(named, index=range(len(own)), dtype=bool)


def _own_columns(known: pd.DataFrame) -> bool:
    """Whether what is known are columns of a reader's file: truth values, and nothing else."""
    return known.shape[1] > 0 and all(map(pd.api.types.is_bool_dtype, known.dtypes))


def _problems(rows: pd.DataFrame) -> pd.DataFrame:
    # A finding may be named twice, and with spaces around it.
    listed = rows["Problems"].str.lower().str.replace(r"\s*;\s*", ";", regex=True).str.strip()
    return listed.str.get_dummies(";")
