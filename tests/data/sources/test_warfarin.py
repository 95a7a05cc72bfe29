"""The warfarin cohort against published figures, a retyped equation and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medpriv.data.sources import warfarin_distribution as warfarin
from medpriv.data.sources.warfarin import make_warfarin
from medpriv.data.sources.warfarin_distribution import (
    dose_class,
    iwpc_sqrt_dose,
    vkorc1_posterior,
)

COLUMNS = [
    "patient",
    "sex",
    "age_decade",
    "height_cm",
    "weight_kg",
    "ancestry",
    "enzyme_inducer",
    "amiodarone",
    "cyp2c9",
    "vkorc1",
    "dose_mg_week",
    "dose_class",
]
# Retyped from Shendre et al. 2018, Pharmacogenomics 19:1357, Table 1 (1000 Genomes), in percent.
PUBLISHED_PERCENT = {
    "white": {"A": 38.8, "*2": 12.4, "*3": 7.3},
    "asian": {"A": 88.5, "*2": 0.1, "*3": 3.4},
    "black": {"A": 5.4, "*2": 0.8, "*3": 0.2},
    "missing or mixed": {"A": 41.1, "*2": 9.9, "*3": 3.7},
}
VKORC1 = ("G/G", "A/G", "A/A")
CYP2C9 = ("*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3")


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    return make_warfarin(200_000, seed=7)


def hardy_weinberg(ancestry: str) -> dict[str, float]:
    percent = PUBLISHED_PERCENT[ancestry]
    a, two, three = (percent[k] / 100 for k in ("A", "*2", "*3"))
    alleles = {"*1": 1 - two - three, "*2": two, "*3": three}
    genotypes = {"G/G": (1 - a) ** 2, "A/G": 2 * a * (1 - a), "A/A": a * a}
    for name in CYP2C9:
        first, second = name.split("/")
        both = alleles[first] * alleles[second]
        genotypes[name] = both if first == second else 2 * both
    return genotypes


def retyped_equation(row: pd.Series) -> float:
    """The IWPC equation once more, from the supplement's numbers, one patient at a time."""
    root = 5.6044 - 0.2614 * row["age_decade"]
    root += 0.0087 * row["height_cm"] + 0.0128 * row["weight_kg"]
    root -= {"G/G": 0, "A/G": 0.8677, "A/A": 1.6974, "unknown": 0.4854}[row["vkorc1"]]
    root -= {
        "*1/*1": 0,
        "*1/*2": 0.5211,
        "*1/*3": 0.9357,
        "*2/*2": 1.0616,
        "*2/*3": 1.9206,
        "*3/*3": 2.3312,
        "unknown": 0.2188,
    }[row["cyp2c9"]]
    root -= {"white": 0, "asian": 0.1092, "black": 0.2760, "missing or mixed": 0.1032}[
        row["ancestry"]
    ]
    return root + 1.1816 * row["enzyme_inducer"] - 0.5503 * row["amiodarone"]


def one_patient(**changes: object) -> pd.DataFrame:
    values = {
        "age_decade": 6,
        "height_cm": 170.0,
        "weight_kg": 80.0,
        "ancestry": "white",
        "enzyme_inducer": 0,
        "amiodarone": 0,
        "cyp2c9": "*1/*1",
        "vkorc1": "G/G",
        "dose_mg_week": 35.0,
        "dose_class": 1,
    }
    return pd.DataFrame([values | changes])


# ---------------------------------------------------------------- the cohort


def test_columns_types_and_ranges(cohort: pd.DataFrame) -> None:
    assert list(cohort.columns) == COLUMNS
    assert cohort["patient"].is_unique
    assert cohort["patient"].iloc[12] == "W0000012"
    assert cohort["age_decade"].between(1, 9).all()
    assert cohort["height_cm"].between(135, 210).all()
    assert cohort["weight_kg"].between(35, 200).all()
    assert set(cohort["enzyme_inducer"]) == set(cohort["amiodarone"]) == {0, 1}
    assert not cohort.isna().any().any()


# 4 ancestries x 9 genotypes, two sides at 1e-6 each: a false alarm in fewer than 1 of 10,000 seeds.
@pytest.mark.parametrize("ancestry", PUBLISHED_PERCENT)
def test_genotypes_follow_published_allele_frequencies(cohort: pd.DataFrame, ancestry: str) -> None:
    patients = cohort[cohort["ancestry"] == ancestry]
    counts = patients["vkorc1"].value_counts().to_dict()
    counts |= patients["cyp2c9"].value_counts().to_dict()
    for genotype, probability in hardy_weinberg(ancestry).items():
        low, high = stats.binom.ppf([1e-6, 1 - 1e-6], len(patients), probability)
        assert low <= counts[genotype] <= high, (ancestry, genotype)


# Two sides at 1e-6 for each of 7 counts.
def test_shares_of_ancestry_sex_and_drugs(cohort: pd.DataFrame) -> None:
    expected = {
        ("ancestry", "white"): 0.55,
        ("ancestry", "asian"): 0.30,
        ("ancestry", "black"): 0.09,
        ("ancestry", "missing or mixed"): 0.06,
        ("sex", "male"): 0.55,
        ("enzyme_inducer", 1): 0.01,
        ("amiodarone", 1): 0.06,
    }
    for (column, value), share in expected.items():
        low, high = stats.binom.ppf([1e-6, 1 - 1e-6], len(cohort), share)
        assert low <= (cohort[column] == value).sum() <= high, (column, value)


def test_the_two_genes_are_independent_given_ancestry(cohort: pd.DataFrame) -> None:
    white = cohort[cohort["ancestry"] == "white"]
    table = pd.crosstab(white["vkorc1"], white["cyp2c9"])
    assert stats.chi2_contingency(table).pvalue > 1e-4  # false alarm in 1 of 10,000 seeds


def test_body_size_is_near_limdi_2015(cohort: pd.DataFrame) -> None:
    # Blood 126:539, Table 1: 67.9 in and 192.8 lb (white), 67.4 in and 200.6 lb (black).
    for ancestry, height, weight in (("white", 172.5, 87.5), ("black", 171.2, 91.0)):
        mean = cohort.loc[cohort["ancestry"] == ancestry, ["height_cm", "weight_kg"]].mean()
        assert mean["height_cm"] == pytest.approx(height, abs=1.5)
        assert mean["weight_kg"] == pytest.approx(weight, abs=3.0)


# ---------------------------------------------------------------- the equation and the dose


def test_equation_equals_the_retyped_one(cohort: pd.DataFrame) -> None:
    some = cohort.head(2_000)
    expected = some.apply(retyped_equation, axis=1).to_numpy()
    np.testing.assert_allclose(iwpc_sqrt_dose(some), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("vkorc1", [*VKORC1, "unknown"])
@pytest.mark.parametrize("cyp2c9", [*CYP2C9, "unknown"])
@pytest.mark.parametrize("ancestry", PUBLISHED_PERCENT)
def test_equation_in_every_cell(vkorc1: str, cyp2c9: str, ancestry: str) -> None:
    patient = one_patient(
        vkorc1=vkorc1, cyp2c9=cyp2c9, ancestry=ancestry, enzyme_inducer=1, amiodarone=1
    )
    expected = retyped_equation(patient.iloc[0])
    assert iwpc_sqrt_dose(patient)[0] == pytest.approx(expected, abs=1e-12)


def test_a_patient_by_hand() -> None:
    # 5.6044 - 0.2614*7 + 0.0087*160 + 0.0128*60 - 1.6974 - 0.9357 - 0.1092 - 0.5503
    #   = 5.6044 - 1.8298 + 1.3920 + 0.7680 - 3.2926 = 2.6420; squared 6.980 mg a week.
    patient = one_patient(
        age_decade=7,
        height_cm=160.0,
        weight_kg=60.0,
        vkorc1="A/A",
        cyp2c9="*1/*3",
        ancestry="asian",
        amiodarone=1,
    )
    assert iwpc_sqrt_dose(patient)[0] == pytest.approx(2.6420, abs=1e-12)


def test_residual_is_the_stated_truncated_normal(cohort: pd.DataFrame) -> None:
    root, mean = np.sqrt(cohort["dose_mg_week"].to_numpy()), iwpc_sqrt_dose(cohort)
    sd, low = warfarin.RESIDUAL_SD, warfarin.MIN_SQRT_DOSE
    assert root.min() >= low
    uniform = stats.truncnorm((low - mean) / sd, np.inf, loc=mean, scale=sd).cdf(root)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4  # false alarm in 1 of 10,000 seeds


def test_error_of_the_equation_is_near_the_published_one(cohort: pd.DataFrame) -> None:
    # IWPC 2009: mean absolute error about 8.5 mg a week, R^2 0.43 (validation) to 0.47.
    # 200,000 patients make the sampling error about 0.02 mg.
    predicted = iwpc_sqrt_dose(cohort) ** 2
    dose = cohort["dose_mg_week"].to_numpy()
    error = np.abs(predicted - dose)
    assert 8.3 <= error.mean() <= 8.7
    assert 0.40 <= np.corrcoef(predicted, dose)[0, 1] ** 2 <= 0.52
    # Limdi et al. 2010, Blood 115:3827, Table 2, whose model was refitted without ancestry.
    for ancestry, published in (("asian", 7.41), ("white", 9.25), ("black", 11.63)):
        mine = error[(cohort["ancestry"] == ancestry).to_numpy()].mean()
        assert mine == pytest.approx(published, rel=0.15)


def test_dose_classes_are_near_those_of_iwpc(cohort: pd.DataFrame) -> None:
    # IWPC 2009, Table 3, 5,052 patients: 33.9 %, 53.8 %, 12.4 % (its bounds are inclusive the
    # other way round). A cohort from round figures is not expected to come closer than this.
    shares = cohort["dose_class"].value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(shares, [0.339, 0.538, 0.124], atol=0.08)


def test_class_boundaries() -> None:
    doses = np.array([2.25, np.nextafter(21, 0), 21.0, 35.0, 49.0, np.nextafter(49, 50), 149.0])
    assert dose_class(doses).tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_dose_class_column_agrees(cohort: pd.DataFrame) -> None:
    dose, label = cohort["dose_mg_week"], cohort["dose_class"]
    assert ((label == 0) == (dose < 21)).all()
    assert ((label == 2) == (dose > 49)).all()


# ---------------------------------------------------------------- the posterior


def test_posterior_from_ancestry_is_hardy_weinberg() -> None:
    for ancestry in PUBLISHED_PERCENT:
        row = vkorc1_posterior(one_patient(ancestry=ancestry)[["ancestry"]], given="ancestry")[0]
        expected = [hardy_weinberg(ancestry)[v] for v in VKORC1]
        np.testing.assert_allclose(row, expected, atol=1e-12)


def bayes_by_hand(patient: pd.Series, cyp2c9: tuple[str, ...], which: str) -> np.ndarray:
    """Posterior by enumeration with scipy's truncated normal; sums over the given CYP2C9."""
    frequency = hardy_weinberg(patient["ancestry"])
    joint = np.zeros(3)
    for i, v in enumerate(VKORC1):
        for g in cyp2c9:
            mean = retyped_equation(
                pd.concat(
                    [patient.drop(["vkorc1", "cyp2c9"]), pd.Series({"vkorc1": v, "cyp2c9": g})]
                )
            )
            sd = warfarin.RESIDUAL_SD
            root = stats.truncnorm((1.5 - mean) / sd, np.inf, loc=mean, scale=sd)
            edges = [(1.5, 21**0.5), (21**0.5, 7.0), (7.0, np.inf)][patient["dose_class"]]
            likelihood = (
                root.pdf(patient["dose_mg_week"] ** 0.5)
                if which == "dose"
                else root.cdf(edges[1]) - root.cdf(edges[0])
            )
            joint[i] += frequency[v] * frequency[g] * likelihood
    return joint / joint.sum()


@pytest.mark.parametrize("which", ["dose", "dose_class"])
def test_posterior_equals_enumeration(cohort: pd.DataFrame, which: str) -> None:
    some = cohort.head(60)
    got = vkorc1_posterior(some, given=which)
    for i, (_, patient) in enumerate(some.iterrows()):
        expected = bayes_by_hand(patient, (patient["cyp2c9"],), which)
        np.testing.assert_allclose(got[i], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("which", ["dose", "dose_class"])
def test_posterior_sums_over_an_unknown_cyp2c9(cohort: pd.DataFrame, which: str) -> None:
    some = cohort.head(24).astype({"cyp2c9": object})
    some.loc[some.index[::2], "cyp2c9"] = "unknown"
    got = vkorc1_posterior(some, given=which)
    for i, (_, patient) in enumerate(some.iterrows()):
        genotypes = CYP2C9 if i % 2 == 0 else (patient["cyp2c9"],)
        expected = bayes_by_hand(patient, genotypes, which)
        np.testing.assert_allclose(got[i], expected, rtol=1e-9, atol=1e-12)


def test_posterior_against_brute_force() -> None:
    """Draw 400,000 copies of one patient by rejection and count genotypes in each dose class."""
    rng = np.random.default_rng(3)
    patient = one_patient(ancestry="missing or mixed", cyp2c9="*1/*2", age_decade=5)
    frequency = hardy_weinberg("missing or mixed")
    genotype = rng.choice(3, size=400_000, p=[frequency[v] for v in VKORC1])
    means = np.array(
        [
            retyped_equation(one_patient(**patient.iloc[0].to_dict() | {"vkorc1": v}).iloc[0])
            for v in VKORC1
        ]
    )
    root = rng.normal(means[genotype], warfarin.RESIDUAL_SD)
    while (root < 1.5).any():
        low = root < 1.5
        root[low] = rng.normal(means[genotype[low]], warfarin.RESIDUAL_SD)
    label = np.digitize(root**2, [21.0, 49.0])
    for c in (0, 1, 2):
        drawn = genotype[label == c]
        got = vkorc1_posterior(patient.assign(dose_class=c), given="dose_class")[0]
        empirical = np.bincount(drawn, minlength=3) / len(drawn)
        # 9 comparisons at 4.5 standard errors: a false alarm in fewer than 1 of 10,000 seeds.
        bound = 4.5 * np.sqrt(got * (1 - got) / len(drawn)) + 1 / len(drawn)
        assert (np.abs(empirical - got) <= bound).all()


@pytest.mark.parametrize("which", ["ancestry", "dose", "dose_class"])
def test_posterior_is_calibrated(cohort: pd.DataFrame, which: str) -> None:
    posterior = vkorc1_posterior(cohort, given=which)
    truth = cohort["vkorc1"].cat.codes.to_numpy()
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-12)
    for v in range(3):
        bins = np.digitize(posterior[:, v], np.linspace(0.1, 0.9, 9))
        for b in np.unique(bins):
            p, hit = posterior[bins == b, v], truth[bins == b] == v
            # 90 comparisons at 4.5 standard errors (7e-6 each): below 1 false alarm in 1,000.
            bound = 4.5 * np.sqrt((p * (1 - p)).sum()) / len(p) + 1 / len(p)
            assert abs(p.mean() - hit.mean()) <= bound, (which, v, b)


def test_more_knowledge_makes_a_better_bayes_attacker(cohort: pd.DataFrame) -> None:
    truth = cohort["vkorc1"].cat.codes.to_numpy()

    def accuracy(which: str) -> float:
        return float((vkorc1_posterior(cohort, given=which).argmax(axis=1) == truth).mean())

    most_common = np.bincount(truth).max() / len(truth)
    # Margins are above 1 point; the standard error of each share is about 0.1 point.
    assert accuracy("dose") > accuracy("dose_class") + 0.01
    assert accuracy("dose_class") > accuracy("ancestry") + 0.01
    assert accuracy("ancestry") > most_common + 0.1


def test_posterior_never_reads_the_genotype(cohort: pd.DataFrame) -> None:
    some = cohort.head(500)
    blind = some.drop(columns=["vkorc1", "patient", "sex"])
    for which in ("ancestry", "dose", "dose_class"):
        np.testing.assert_array_equal(
            vkorc1_posterior(some, given=which), vkorc1_posterior(blind, given=which)
        )


@settings(max_examples=60, deadline=None)
@given(
    age=st.integers(1, 9),
    height=st.floats(135, 210),
    weight=st.floats(35, 200),
    ancestry=st.sampled_from(list(PUBLISHED_PERCENT)),
    cyp2c9=st.sampled_from([*CYP2C9, "unknown"]),
    dose=st.floats(2.25, 400),
    label=st.integers(0, 2),
)
def test_posterior_is_a_distribution_and_falls_with_dose(
    age: int, height: float, weight: float, ancestry: str, cyp2c9: str, dose: float, label: int
) -> None:
    patient = one_patient(
        age_decade=age,
        height_cm=height,
        weight_kg=weight,
        ancestry=ancestry,
        cyp2c9=cyp2c9,
        dose_mg_week=dose,
        dose_class=label,
    )
    for which in ("ancestry", "dose", "dose_class"):
        row = vkorc1_posterior(patient, given=which)[0]
        assert np.isfinite(row).all()
        assert (row >= 0).all()
        assert row.sum() == pytest.approx(1, abs=1e-9)
    # A/A needs less warfarin, so a higher dose can only speak against it.
    higher = vkorc1_posterior(patient.assign(dose_mg_week=dose + 1), given="dose")[0]
    assert higher[2] <= vkorc1_posterior(patient, given="dose")[0][2] + 1e-12


# ---------------------------------------------------------------- determinism and errors


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9_000), st.integers(0, 9_000), st.integers(0, 2**32))
def test_first_patients_do_not_depend_on_the_total(first: int, more: int, seed: int) -> None:
    small, large = make_warfarin(first, seed=seed), make_warfarin(first + more, seed=seed)
    pd.testing.assert_frame_equal(small, large.head(first))


def test_seed_decides_everything() -> None:
    pd.testing.assert_frame_equal(make_warfarin(50, seed=4), make_warfarin(50, seed=4))
    other = make_warfarin(50, seed=5)
    assert not make_warfarin(50, seed=4)["dose_mg_week"].equals(other["dose_mg_week"])
    # A known answer, so that two processes, machines or versions cannot differ unnoticed.
    assert make_warfarin(3, seed=0)["dose_mg_week"].round(6).tolist() == KNOWN_DOSES


KNOWN_DOSES = [13.308864, 18.389835, 11.945079]


@pytest.mark.parametrize("patients", [0, -1, 2.0, "10", True, 10_000_001])
def test_bad_number_of_patients(patients: object) -> None:
    with pytest.raises(ValueError, match="patients must be an integer of at least 1"):
        make_warfarin(patients)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, False])
def test_bad_seed(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be an integer of at least 0"):
        make_warfarin(10, seed=seed)


def test_numpy_integers_are_integers() -> None:
    pd.testing.assert_frame_equal(
        make_warfarin(np.int64(5), seed=np.int32(1)), make_warfarin(5, seed=1)
    )


@pytest.mark.parametrize("column", COLUMNS[2:10])
def test_missing_column(column: str) -> None:
    with pytest.raises(ValueError, match=f"lack the column {column};"):
        iwpc_sqrt_dose(one_patient().drop(columns=column))


@pytest.mark.parametrize(
    ("which", "column"),
    [
        ("ancestry", "ancestry"),
        ("dose", "dose_mg_week"),
        ("dose", "cyp2c9"),
        ("dose_class", "dose_class"),
    ],
)
def test_missing_column_for_the_posterior(which: str, column: str) -> None:
    with pytest.raises(ValueError, match=f"lack the column {column};"):
        vkorc1_posterior(one_patient().drop(columns=column), given=which)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("vkorc1", "G/A", "'G/A'; expected one of 'G/G'"),
        ("cyp2c9", "*1/*4", r"'\*1/\*4'; expected one of"),
        ("ancestry", "White", "'White'; expected one of 'white'"),
        ("vkorc1", None, "'vkorc1' holds"),
        ("weight_kg", float("nan"), "'weight_kg' holds values that are not finite"),
        ("height_cm", "tall", "'height_cm' must hold numbers"),
    ],
)
def test_unknown_values(column: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        iwpc_sqrt_dose(one_patient(**{column: value}))


def test_posterior_errors() -> None:
    with pytest.raises(ValueError, match="given must be one of"):
        vkorc1_posterior(one_patient(), given="everything")
    with pytest.raises(ValueError, match=r"no dose below 2\.25 mg a week"):
        vkorc1_posterior(one_patient(dose_mg_week=2.0), given="dose")
    with pytest.raises(ValueError, match="dose_class must be 0, 1 or 2"):
        vkorc1_posterior(one_patient(dose_class=3), given="dose_class")
    with pytest.raises(ValueError, match="not finite"):
        dose_class(np.array([np.nan]))
