"""Who is called exposed: nobody by luck, and nearly all who were planted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medpriv.metrics.exposure import exact_p, exposed_if_shuffled, exposed_tail, holm, share_of
from medpriv.metrics.per_patient import patient_auc
from medpriv.runtime.seeds import rng

MODELS, PATIENTS, PLANTED = 200, 400, 10


def toy(seed: int = 0, shift: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Patients of their own level and spread; the last ten are given away by the models."""
    draw = rng(seed, "planted")
    inside = draw.random((MODELS, PATIENTS)) < 0.5
    score = draw.normal(size=(MODELS, PATIENTS)) * draw.gamma(2, size=PATIENTS)
    spread = score.std(0)
    planted = np.arange(PATIENTS) >= PATIENTS - PLANTED
    return score + shift * spread * planted * inside + 5 * draw.normal(size=PATIENTS), inside


@pytest.mark.parametrize("seed", range(3))
def test_planted_patients_are_found_and_nobody_else(seed: int) -> None:
    """Two standard deviations, 50 models each: an AUC of 0.92, 7 standard errors above one half."""
    tail = exposed_tail(*toy(seed), seed=seed)
    assert len(tail.chosen) == 20
    exposed = tail.chosen[tail.exposed]
    assert (exposed >= PATIENTS - PLANTED).all()  # at alpha = 0.01; the seeds are fixed
    assert len(exposed) >= 9
    assert tail.share.value == len(exposed) / PATIENTS
    assert tail.gain.low > 0


@pytest.mark.parametrize("statistic", ["number", "yes or no"])
def test_shuffled_memberships_expose_nobody(statistic: str) -> None:
    """100 shuffles at 1 %: more than 5 once in 1,800; and 10 patients are there to be found."""
    score, inside = toy()
    if statistic == "yes or no":
        score = (score > np.median(score, axis=0)).astype(float)
        score[:, :40] = 1.0  # who is guessed right by all models
    reported = exposed_if_shuffled(score, inside, shuffles=100)
    assert reported.shape == (100,)
    assert (reported > 0).sum() <= 5
    assert exposed_tail(score, inside, draws=2).exposed.sum() >= 9


def test_the_tail_on_its_own_half_is_luck() -> None:
    """Without any leak: the 5 % with the largest of normal areas, here with a deviation of 0.058.

    Their mean lies 2.06 deviations above one half, on the other half nowhere.
    """
    score, inside = toy(shift=0.0)
    tail = exposed_tail(score, inside)
    assert tail.selected == pytest.approx(0.5 + 2.06 * 0.058, abs=0.02)
    assert tail.confirmed.low < 0.5 < tail.confirmed.high  # one seed in twenty; fixed
    assert tail.agreement.low < 0 < tail.agreement.high
    assert not tail.exposed.any()
    assert tail.share == share_of(0, PATIENTS)
    assert (tail.share.low, tail.share.high) == (0, pytest.approx(1 - 0.025 ** (1 / PATIENTS)))


def test_figures_are_of_models_that_did_not_choose() -> None:
    score, inside = toy()
    tail = exposed_tail(score, inside, draws=50)
    areas = patient_auc(score[tail.models], inside[tail.models])
    chose = np.setdiff1d(np.arange(MODELS), tail.models)
    assert len(chose) == len(tail.models) == MODELS // 2
    first = patient_auc(score[chose], inside[chose])
    rest = np.setdiff1d(np.arange(PATIENTS), tail.chosen)
    assert first[tail.chosen].min() >= first[rest].max()
    assert tail.selected == pytest.approx(first[tail.chosen].mean())
    assert tail.auc == pytest.approx(areas[tail.chosen])
    assert tail.confirmed.value == pytest.approx(tail.auc.mean())
    assert tail.others.value == pytest.approx(areas[rest].mean())
    assert (tail.confirmed.patients, tail.others.patients) == (20, 380)
    assert tail.agreement.value == pytest.approx(stats.spearmanr(first, areas).statistic)
    assert tail.p == pytest.approx(
        exact_p(score[tail.models][:, tail.chosen], inside[tail.models][:, tail.chosen])
    )
    assert (tail.exposed == holm(tail.p, 0.01)).all()


def test_the_interval_is_of_other_models() -> None:
    """60 times as many models anew: their tail means lie in it, but for one in twenty."""
    score, inside = toy()
    tail = exposed_tail(score, inside)
    draw, covered = rng(0, "anew"), 0
    spread = score[:, tail.chosen].std(0)
    planted = tail.chosen >= PATIENTS - PLANTED
    exact = np.where(planted, stats.norm.cdf(2**0.5), 0.5).mean()
    for _ in range(60):
        had = draw.random((len(tail.models), 20)) < 0.5
        anew = draw.normal(size=had.shape) * spread + 2 * spread * planted * had
        width = tail.confirmed.high - tail.confirmed.low
        covered += abs(patient_auc(anew, had).mean() - exact) <= width / 2
    assert 50 <= covered <= 60  # at 95 %, fewer than 50 once in 3,000


def test_patients_who_are_always_told_apart_have_room_below() -> None:
    """An AUC of 1 in each resample says only what so many models have not shown."""
    score, inside = toy()
    tail = exposed_tail(np.where(np.arange(PATIENTS) < 30, inside, score), inside, draws=20)
    assert (tail.chosen < 30).all()
    assert tail.exposed.all()
    report = inside[tail.models][:, tail.chosen]
    few = np.minimum(report.sum(0), (~report).sum(0)).min()
    assert (tail.confirmed.value, tail.confirmed.high) == (1, 1)
    assert tail.confirmed.low == pytest.approx(0.025 ** (1 / few))
    assert tail.gain.low > 0.3


# --- The exact test -------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 12))
def test_without_ties_it_is_mann_and_whitneys(seed: int, had: int, had_not: int) -> None:
    score = rng(seed, "no ties").normal(size=had + had_not)
    inside = np.arange(had + had_not) < had
    test = stats.mannwhitneyu(score[:had], score[had:], alternative="greater", method="exact")
    assert exact_p(score[:, None], inside[:, None])[0] == pytest.approx(test.pvalue, rel=1e-9)


@given(st.integers(0, 1000), st.integers(2, 60), st.integers(2, 60))
def test_of_yes_and_no_it_is_fishers(seed: int, had: int, had_not: int) -> None:
    score = (rng(seed, "yes or no").random(had + had_not) < 0.6).astype(float)
    inside = np.arange(had + had_not) < had
    table = [[part.sum(), len(part) - part.sum()] for part in (score[:had], score[had:])]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert exact_p(score[:, None], inside[:, None])[0] == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 1000), st.integers(2, 4), st.integers(2, 4))
def test_with_ties_it_counts_all_choices(seed: int, had: int, had_not: int) -> None:
    score = rng(seed, "ties").integers(0, 4, size=had + had_not).astype(float)

    def ranked(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
        both = np.concatenate([first, second], axis=axis)
        return np.take(stats.rankdata(both, axis=axis), range(had), axis=axis).sum(axis)

    test = stats.permutation_test(
        (score[:had], score[had:]), ranked, alternative="greater", n_resamples=np.inf,
        vectorized=True,
    )  # fmt: skip
    found = exact_p(score[:, None], (np.arange(had + had_not) < had)[:, None])
    assert found[0] == pytest.approx(test.pvalue)


def test_many_models_do_not_overflow() -> None:
    score, inside = np.arange(300.0)[:, None], (np.arange(300) >= 150)[:, None]
    logarithm = np.log(exact_p(score, inside)[0])
    lchoose = stats.hypergeom.logpmf(150, 300, 150, 150)  # one of C(300, 150) choices
    assert logarithm == pytest.approx(lchoose, rel=1e-6)
    assert exact_p(np.zeros((300, 1)), inside)[0] == pytest.approx(1)


# --- Correction, share, input ---------------------------------------------------------------------


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=12))
def test_holm_by_hand(p: list[float]) -> None:
    """The definition: adjusted p, the running largest of (k - i) p_(i)."""
    p = np.array(p)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    away = np.abs(adjusted - 0.01) > 1e-9  # not at the edge, where a division rounds
    assert (holm(p, 0.01)[order] == (adjusted <= 0.01))[away].all()


def test_a_share_has_clopper_and_pearsons_interval() -> None:
    found = share_of(7, 50)
    assert found.value == 0.14
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 7, 44))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 8, 43))


def test_too_few_models_say_nothing_of_anybody() -> None:
    score, inside = toy()
    for call, message in (
        (lambda: exposed_tail(score[:99], inside[:99]), "100 models or more, got 99"),
        (lambda: exposed_if_shuffled(score[:60], inside[:60]), "100 models or more, got 60"),
        (lambda: exposed_tail(score, inside, share=1.0), "share between 0 and 1"),
        (lambda: exposed_tail(score[:, :1], inside[:, :1]), "leaves others"),
        (lambda: exposed_tail(score, inside, alpha=0), "alpha between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_patient_must_be_on_both_sides_in_each_half() -> None:
    score, inside = toy()
    chose = np.setdiff1d(np.arange(MODELS), exposed_tail(score, inside, draws=2).models)
    inside[:, 3] = False
    inside[chose[:5], 3] = True
    with pytest.raises(ValueError, match="in all models of a half, or in none"):
        exposed_tail(score, inside)
