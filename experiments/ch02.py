"""Recorded tables of chapter 02: embedded beside real data, measured by the same code, by seed.

The tables hold counts and scores only, so that a page can set a generator beside real patients
without having their data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from experiments.recording import Table
from medpriv import data, metrics
from medpriv.course.look_up import look_up
from medpriv.data.cohort import Cohort

PHANTOM_PATIENTS = 200  # enough for an interval of about ±0.03 on the exponent
SIZES = (128, 64)
READ = (5_000, 10_000, 20_000, 40_000, 80_000)  # running words after which a vocabulary is counted
ANOTHER_SEED = 1_000  # of the synthetic reports whose vocabulary others are compared with


def closing_line(report: str) -> str:
    """A report's last sentence: where its conclusion stands."""
    return report.rstrip(". ").rpartition(". ")[2]


def texture_cell(dataset: str, seed: int, size: int) -> dict[str, Any]:
    """One cell of ``02-texture``: the spectral exponent inside the breast, over all parts."""
    patients = PHANTOM_PATIENTS if dataset == "phantom" else None
    parts = data.load_images(dataset, seed=seed, size=size, patients=patients).parts().values()
    exponent = np.concatenate([metrics.spectral_exponent(part.x, part.mask) for part in parts])
    patient = np.concatenate([part.patient for part in parts])
    fits = np.isfinite(exponent)
    mean = metrics.mean_estimate(exponent[fits], patient[fits])
    return {
        "exponent": mean.value,
        "low": mean.low,
        "high": mean.high,
        "measured": int(fits.sum()),
        "images": len(fits),
    }


def report_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``02-reports``: vocabulary, and what a look-up finds with and without twins.

    The look-up is over whole reports as they were filed, or over closing lines where the reports
    are synthetic: whole ones are made distinct.

    ``once`` is the share of the vocabulary that occurs once; ``known`` the share of running words
    that synthetic reports of another seed know; ``bag_accuracy`` that of a bag of words on the
    label; ``twins`` the share of filed texts with a twin; ``abnormal_twins`` and
    ``abnormal_alone`` the shares of class 1 among them and the rest.
    """
    cohort = data.load_reports(dataset, seed=seed)
    texts = [text for part in cohort.parts().values() for text in part.x]
    filed = data.load_reports(dataset, seed=seed, deduplicate=False).parts().values()
    as_filed = [text for part in filed for text in part.x]
    if cohort.card.synthetic:
        as_filed = [closing_line(text) for text in as_filed]
    abnormal = np.concatenate([part.y.numpy() for part in filed])
    return _vocabulary(texts) | _labels(cohort) | _copies(as_filed, abnormal, seed)


def _vocabulary(texts: list[str]) -> dict[str, Any]:
    growth = metrics.vocabulary_growth(texts)
    words = pd.Series(_words(texts))
    others = data.load_reports("synthetic", seed=ANOTHER_SEED).parts().values()
    grammar = set(_words([text for part in others for text in part.x]))
    return {
        "reports": len(texts),
        "words": len(growth),
        "vocabulary": int(growth[-1]),
        **{f"after_{read}": int(growth[read - 1]) for read in READ},
        "once": float((words.value_counts() == 1).mean()),
        "known": float(words.isin(grammar).mean()),
    }


def _words(texts: list[str]) -> list[str]:
    return [word for text in texts for word in data.normalise_text(text).split()]


def _labels(cohort: Cohort) -> dict[str, Any]:
    """How often a bag of words tells normal from abnormal, and the majority class does."""
    members, test = cohort.members, cohort.test
    bag = make_pipeline(CountVectorizer(binary=True), LogisticRegression(max_iter=1000))
    return {
        "bag_accuracy": float(bag.fit(members.x, members.y).score(test.x, test.y)),
        "majority": float(test.y.bincount().max() / len(test)),
    }


def _copies(texts: list[str], abnormal: NDArray[np.int64], seed: int) -> dict[str, Any]:
    alone = data.drop_duplicate_texts(texts, keep_first=False)
    once = [texts[row] for row in data.drop_duplicate_texts(texts)]
    has_twin = np.ones(len(texts), bool)
    has_twin[alone] = False
    before, after = look_up(texts, seed=seed), look_up(once, seed=seed)
    return {
        "filed": len(texts),
        "distinct": len(once),
        "twins": float(has_twin.mean()),
        "abnormal_twins": float(abnormal[has_twin].mean()),
        "abnormal_alone": float(abnormal[~has_twin].mean()),
        "exact_filed": before["exact"].mean(),
        "f1_filed": before["f1"].mean(),
        "f1_filed_no_twin": before["f1"][~before["twin"]].mean(),
        "exact_once": after["exact"].mean(),
        "f1_once": after["f1"].mean(),
    }


TABLES = {
    "02-texture": Table(
        texture_cell,  # mini-MIAS is the same in every seed but for its split
        [
            {"dataset": ["phantom"], "seed": range(5), "size": SIZES},
            {"dataset": ["mias"], "seed": [0], "size": SIZES},
        ],
    ),
    "02-reports": Table(
        report_cell,
        [
            {"dataset": ["synthetic"], "seed": range(5)},
            {"dataset": ["openi"], "seed": range(3)},
        ],
    ),
}
