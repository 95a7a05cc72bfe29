"""The synthetic reports: distinct, true to their facts, learnable."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medpriv.data.sources.report_patients import (
    COMORBIDITIES,
    FACTS,
    FAMILY_NAMES,
    FEMALE_NAMES,
    FINDINGS,
    MALE_NAMES,
    SENSITIVE_FACTS,
)
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.data.text import drop_duplicate_texts, normalise_text

COLUMNS = [
    "patient",
    "name",
    "name_in_text",
    "age",
    "sex",
    "text",
    "abnormal",
    "finding",
    *SENSITIVE_FACTS,
    *COMORBIDITIES,
]

# A small reader of its own: words that speak of a fact, and words that deny.
TERMS = {
    "hiv": r"\bHIV\b|human immunodeficiency|retroviral",
    "depression": r"depress|mood",
    "substance_use": r"substance use|drug|use disorder|opioid|alcohol|heroin|cocaine|amphetamine"
    r"|drinks|methadone",
    "pregnancy": r"pregnan|gravid|gestation",
    "diabetes": r"diabet|insulin|metformin",
    "hypertension": r"hypertension|high blood pressure|antihypertensive",
    "smoker": r"smok|tobacco|cigarette",
    "copd": r"\bCOPD\b|obstructive pulmonary",
    "heart_failure": r"heart failure|ejection",
    "cancer": r"cancer|malignan|tumou?r|carcinoma",
}
DENIAL = re.compile(r"\b(no|not|never|denies|without|negative|non-?smoker)\b", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    return re.split(r"(?<!Ms)(?<!Mr)\.(?:\s|$)", text.rstrip("."))


def stated(text: str, fact: str) -> int:
    speaking = [s for s in sentences(text) if re.search(TERMS[fact], s, re.IGNORECASE)]
    return int(any(not DENIAL.search(s) for s in speaking))


def denied(text: str, fact: str) -> int:
    speaking = [s for s in sentences(text) if re.search(TERMS[fact], s, re.IGNORECASE)]
    return int(any(DENIAL.search(s) is not None for s in speaking))


@pytest.fixture(scope="module")
def reports() -> pd.DataFrame:
    return make_reports(4_000, seed=0)


# ---------------------------------------------------------------- shape and distinctness


def test_columns_and_ranges(reports: pd.DataFrame) -> None:
    assert list(reports.columns) == COLUMNS
    assert reports["patient"].is_unique
    assert reports["patient"].iloc[12] == "R00012"
    assert reports["age"].between(18, 94).all()
    assert set(reports["sex"]) == {"female", "male"}
    assert set(reports["finding"]) == set(FINDINGS)
    for column in ("abnormal", "name_in_text", *FACTS):
        assert set(reports[column]) == {0, 1}, column
    assert not reports.isna().any().any()


def test_length_of_a_report(reports: pd.DataFrame) -> None:
    assert reports["text"].str.split().str.len().between(40, 90).all()
    assert reports["text"].map(lambda text: len(sentences(text))).between(3, 8).all()


def test_no_template_is_left_unfilled(reports: pd.DataFrame) -> None:
    assert not reports["text"].str.contains(r"[\[\]{}|]").any()
    assert not reports["text"].str.contains(r"\s\s|\s[.,;]|\.\.|,\.|None").any()
    assert reports["text"].str.endswith(".").all()
    after_stop = reports["text"].str.extractall(r"(?<!Ms)(?<!Mr)\. (\S)")[0]
    assert after_stop.str.isupper().all()


def test_four_thousand_distinct_reports(reports: pd.DataFrame) -> None:
    without_digits = [re.sub(r"\d", "", normalise_text(text)) for text in reports["text"]]
    names = {word.casefold() for name in reports["name"] for word in name.split()}
    bare = [" ".join(w for w in t.split() if w not in names) for t in without_digits]
    assert len(set(bare)) == len(reports) == 4_000
    assert len(drop_duplicate_texts(reports["text"])) == 4_000
    # METHODS' trap: on Open-i only 2,592 of 3,331 reports differ in their first 40 words.
    first_forty = {" ".join(text.split()[:40]) for text in bare}
    assert len(first_forty) >= 0.999 * len(reports)


def test_no_two_share_much_more_than_a_template(reports: pd.DataFrame) -> None:
    """The nearest other report by word 5-grams: on Open-i a quarter overlap completely."""
    grams = CountVectorizer(binary=True, ngram_range=(5, 5), dtype=np.int32).fit_transform(
        [re.sub(r"\d+", "", text) for text in reports["text"].head(2_000)]
    )
    shared = (grams @ grams.T).tolil()
    shared.setdiag(0)
    share = shared.tocsr().max(axis=1).toarray().ravel() / np.asarray(grams.sum(axis=1)).ravel()
    assert np.quantile(share, 0.99) < 0.6
    assert share.max() < 0.9


def test_no_two_patients_share_name_and_facts(reports: pd.DataFrame) -> None:
    assert not reports.duplicated(["name", *FACTS]).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_are_as_distinct(seed: int) -> None:
    other = make_reports(800, seed=seed)
    assert len(drop_duplicate_texts(other["text"])) == 800
    assert not other.duplicated(["name", *FACTS]).any()


def test_vocabulary_is_not_a_handful(reports: pd.DataFrame) -> None:
    names = {w.casefold() for w in (*FAMILY_NAMES, *FEMALE_NAMES, *MALE_NAMES)}
    words = {w for text in reports["text"] for w in normalise_text(text).split()}
    assert len({w for w in words - names if not any(c.isdigit() for c in w)}) >= 800


# ---------------------------------------------------------------- names


def test_name_lists() -> None:
    assert len(set(FEMALE_NAMES) | set(MALE_NAMES)) >= 120
    assert len(set(FAMILY_NAMES)) >= 200
    for names in (FEMALE_NAMES, MALE_NAMES, FAMILY_NAMES):
        assert len(set(names)) == len(names)


def test_name_in_text_tells_the_truth(reports: pd.DataFrame) -> None:
    everyone = {w.casefold() for w in (*FAMILY_NAMES, *FEMALE_NAMES, *MALE_NAMES)}
    for name, named, text in reports[["name", "name_in_text", "text"]].itertuples(index=False):
        words = set(normalise_text(text).split())
        first, family = (normalise_text(part) for part in name.split())
        assert (family in words) == bool(named)
        # Nobody else is named, and no name is an ordinary word of the reports.
        assert words & everyone <= ({first, family} if named else set())


def test_about_half_carry_the_name(reports: pd.DataFrame) -> None:
    low, high = stats.binom.ppf([1e-6, 1 - 1e-6], len(reports), 0.5)
    assert low <= reports["name_in_text"].sum() <= high  # false alarm: 2 in a million seeds


def test_first_name_fits_the_sex(reports: pd.DataFrame) -> None:
    first = reports["name"].str.split().str[0]
    assert (first.isin(FEMALE_NAMES) == (reports["sex"] == "female")).all()


# ---------------------------------------------------------------- facts and text


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_is_stated_exactly_when_it_is_true(reports: pd.DataFrame, fact: str) -> None:
    read = reports["text"].map(lambda text: stated(text, fact))
    wrong = reports[read != reports[fact]]
    assert wrong.empty, wrong["text"].iloc[0]


@pytest.mark.parametrize("fact", FACTS)
def test_a_true_fact_is_never_denied(reports: pd.DataFrame, fact: str) -> None:
    assert not reports.loc[reports[fact] == 1, "text"].map(lambda text: denied(text, fact)).any()


@pytest.mark.parametrize("fact", SENSITIVE_FACTS)
def test_denials_make_a_keyword_a_poor_reader(reports: pd.DataFrame, fact: str) -> None:
    mentions = reports["text"].str.contains(TERMS[fact], case=False)
    precision = reports.loc[mentions, fact].mean()
    assert 0.2 < precision < 0.75, precision


@pytest.mark.parametrize("fact", SENSITIVE_FACTS)
def test_each_sensitive_fact_has_many_wordings(reports: pd.DataFrame, fact: str) -> None:
    wordings = {
        re.sub(r"[\d.]+", "#", sentence)
        for text in reports.loc[reports[fact] == 1, "text"]
        for sentence in sentences(text)
        if re.search(TERMS[fact], sentence, re.IGNORECASE)
    }
    assert len(wordings) >= 20


def test_age_and_sex_agree_with_the_text(reports: pd.DataFrame) -> None:
    for age, sex, text in reports[["age", "sex", "text"]].itertuples(index=False):
        opening = text.split(". ")[0] + text.split(". ")[1]
        assert re.search(rf"\b{age}\b", opening)
        wrong = r"\b(he|man|mr|male)\b" if sex == "female" else r"\b(she|woman|ms|female)\b"
        assert not re.search(wrong, text, re.IGNORECASE)
    assert not reports["text"].str.contains(r"\ba (?:8\d|18|11)-year").any()
    assert not reports["text"].str.contains(r"\ban (?:[2-79]\d|1[02-79])-year").any()


def test_pregnancy_only_where_possible(reports: pd.DataFrame) -> None:
    fertile = (reports["sex"] == "female") & reports["age"].between(18, 48)
    assert not reports.loc[~fertile, "pregnancy"].any()
    assert not reports.loc[~fertile, "text"].str.contains("regnan").any()


def test_facts_occur_together_as_documented(reports: pd.DataFrame) -> None:
    # One-sided Fisher tests; each effect is large, so p is far below 1e-3 on nearly every seed.
    def together(first: pd.Series, second: pd.Series) -> float:
        return stats.fisher_exact(pd.crosstab(first, second), alternative="greater").pvalue

    pneumonia = (reports["finding"] == "pneumonia").astype(int)
    edema = (reports["finding"] == "edema").astype(int)
    for first, second in (
        (reports["hiv"], reports["substance_use"]),
        (reports["depression"], reports["substance_use"]),
        (reports["smoker"], reports["substance_use"]),
        (reports["hiv"], pneumonia),
        (reports["heart_failure"], edema),
    ):
        assert together(first, second) < 1e-3
    pneumocystis = reports["text"].str.contains("Pneumocystis").astype(int)
    assert together(reports["hiv"], pneumocystis) < 1e-3


def test_prevalences_are_the_documented_ones(reports: pd.DataFrame) -> None:
    # Bounds from the constants, rounded outwards by more than five standard errors.
    expected = {"hiv": (0.05, 0.10), "depression": (0.13, 0.20), "substance_use": (0.10, 0.17)}
    expected |= {"pregnancy": (0.04, 0.09), "abnormal": (0.42, 0.56)}
    for column, (low, high) in expected.items():
        assert low <= reports[column].mean() <= high, column


# ---------------------------------------------------------------- the label


def test_label_is_no_function_of_the_finding(reports: pd.DataFrame) -> None:
    rate = reports.groupby("finding")["abnormal"].mean()
    assert rate["none"] == rate["emphysema"] == 0
    assert rate["pneumonia"] == rate["edema"] == rate["pneumothorax"] == 1
    mixed = rate[["effusion", "nodule", "fracture", "atelectasis", "cardiomegaly"]]
    assert mixed.between(0.2, 0.8).all()


def test_label_is_learnable_but_not_from_one_word(reports: pd.DataFrame) -> None:
    words = CountVectorizer(binary=True, min_df=5)
    x = words.fit_transform(reports["text"])
    y = reports["abnormal"].to_numpy()
    has = np.asarray(x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)).ravel()
    balanced_accuracy = 0.5 + np.abs(has) / 2
    assert balanced_accuracy.max() < 0.75
    model = LogisticRegression(C=1.0, max_iter=500).fit(x[:3_000], y[:3_000])
    assert roc_auc_score(y[3_000:], model.decision_function(x[3_000:])) > 0.9


def test_normal_reports_speak_of_earlier_disease(reports: pd.DataFrame) -> None:
    normal = reports.loc[reports["abnormal"] == 0, "text"]
    assert normal.str.contains("neumonia|pneumothorax|effusion|edema").mean() > 0.2


# ---------------------------------------------------------------- determinism and errors


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**32))
def test_first_patients_do_not_depend_on_the_total(first: int, more: int, seed: int) -> None:
    small, large = make_reports(first, seed=seed), make_reports(first + more, seed=seed)
    pd.testing.assert_frame_equal(small, large.head(first))


def test_prefix_of_the_large_set(reports: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(make_reports(300, seed=0), reports.head(300))
    assert not make_reports(300, seed=1)["text"].isin(reports["text"]).any()


@pytest.mark.parametrize("patients", [0, -3, 1.0, "4", None, True, 100_001])
def test_bad_number_of_patients(patients: object) -> None:
    with pytest.raises(ValueError, match="patients must be an integer of at least 1"):
        make_reports(patients)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True])
def test_bad_seed(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be an integer of at least 0"):
        make_reports(2, seed=seed)
