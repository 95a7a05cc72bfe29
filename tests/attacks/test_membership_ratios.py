"""Scores against reference models: closed forms, limits, and what few models can and cannot say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from medpriv.attacks.membership import (
    bavaria,
    bavaria_online,
    lira,
    lira_online,
    of_patients,
    probability_ratio,
    probability_ratio_online,
    rmia,
    yeom,
)
from medpriv.metrics.per_patient import patient_auc
from medpriv.runtime.seeds import rng

SHIFT = 1.5  # of a member's phi, in standard deviations
ROWS = 20_000  # an area then has a standard error of 0.003, of which tolerances are three or more
MEMBER = np.arange(ROWS) < ROWS // 2


def rows(models: int, apart: float, *, had: int = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Phi by a target that had the first half, and by models of which the first ``had`` had all.

    A row's phi has a spread of 1 over models, and a mean of its own, ``apart`` in their spread.
    """
    draw = rng(seed, "rows")
    mean = apart * draw.normal(size=ROWS)
    phi = mean + draw.normal(size=ROWS) + SHIFT * MEMBER
    reference = mean + draw.normal(size=(models, ROWS))
    reference[:had] += SHIFT
    return torch.from_numpy(phi), torch.from_numpy(reference)


def halves(models: int) -> Tensor:
    return (torch.arange(models) < models // 2)[:, None].expand(models, ROWS)


def area(scores: Tensor) -> float:
    return roc_auc_score(MEMBER, scores.numpy())


def exact(beside: float) -> float:
    """The AUC of a normal score whose variance is 1 and so much beside."""
    return float(stats.norm.cdf(SHIFT / np.sqrt(2 * (1 + beside))))


def test_where_all_rows_are_alike_each_scorer_reaches_the_closed_form() -> None:
    phi, out = rows(200, 0.0)
    _, both = rows(200, 0.0, had=100)
    population = torch.from_numpy(rng(1, "population").normal(size=(2, 5_000)))
    ratio = probability_ratio(phi, out)
    found = {
        "Yeom": yeom(phi),
        "LiRA": lira(phi, out),
        "LiRA, a variance each": lira(phi, out, spread="each"),
        "LiRA, online": lira_online(phi, both, halves(200)),
        "ratio": ratio,
        "ratio, online": probability_ratio_online(phi, both, halves(200)),
        "RMIA": rmia(ratio, probability_ratio(population[0], population[1:].expand(200, -1))),
        "BaVarIA": bavaria(phi, out),
        "BaVarIA, online": bavaria_online(phi, both, halves(200)),
    }
    for name, scores in found.items():
        assert area(scores) == pytest.approx(exact(0), abs=0.01), name


@pytest.mark.parametrize("models", [4, 16, 64])
def test_where_rows_differ_few_models_cost_what_they_must(models: int) -> None:
    """Yeom knows no row's mean, LiRA as well as N models tell it, BaVarIA also where means lie."""
    apart = 0.5
    phi, out = rows(models, apart)
    assert area(yeom(phi)) == pytest.approx(exact(apart**2), abs=0.01)
    assert area(lira(phi, out)) == pytest.approx(exact(1 / models), abs=0.01)
    known = apart**2 / (1 + models * apart**2)
    assert area(bavaria(phi, out)) == pytest.approx(exact(known), abs=0.01)


def test_online_scores_reach_it_with_many_models_of_rows_that_differ() -> None:
    phi, both = rows(256, 3.0, had=128)
    for score in (lira_online, bavaria_online):
        assert area(score(phi, both, halves(256))) == pytest.approx(exact(0), abs=0.012)
    assert area(yeom(phi)) < 0.7


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_for_one_patient_all_offline_scores_have_the_order_of_phi(seed: int) -> None:
    """Over targets each is monotone, so that her AUC is that of phi."""
    draw = rng(seed, "targets")
    phi = torch.from_numpy(draw.normal(size=(40, 5)))
    inside = draw.random((40, 5)) < 0.5
    inside[:2] = [[True], [False]]
    out = torch.from_numpy(draw.normal(size=(4, 5)))
    expected = patient_auc(phi.numpy(), inside)
    for score in (yeom(phi), lira(phi, out), probability_ratio(phi, out), bavaria(phi, out)):
        assert patient_auc(score.numpy(), inside) == pytest.approx(expected)


# --- RMIA -----------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.sampled_from([1, 3]), st.sampled_from([0.5, 1.0, 2.0]))
def test_rmia_is_its_definition(seed: int, models: int, gamma: float) -> None:
    draw = rng(seed, "rmia")
    phi, others = draw.normal(size=(2, 6)), draw.normal(size=(2, 9))  # by two targets
    out, of_others = draw.normal(size=(models, 6)), draw.normal(size=(models, 9))

    def ratio(phi: np.ndarray, out: np.ndarray) -> np.ndarray:
        p, expected = 1 / (1 + np.exp(-phi)), (1 / (1 + np.exp(-out))).mean(0)
        return p / (0.65 * expected + 0.35)

    x, z = ratio(phi, out), ratio(others, of_others)
    expected = (x[:, :, None] / z[:, None, :] >= gamma).mean(2)
    logs = [probability_ratio(*map(torch.from_numpy, pair))
            for pair in ((phi, out), (others, of_others))]  # fmt: skip
    assert logs[0].exp().numpy() == pytest.approx(x)
    assert rmia(*logs, gamma=gamma).numpy() == pytest.approx(expected)


def test_for_one_target_rmia_has_the_order_of_base_up_to_ties() -> None:
    phi, out = rows(8, 2.0)
    population = rows(8, 2.0, seed=1)
    ratio = probability_ratio(phi, out)
    z = probability_ratio(population[0][-1_000:], population[1][:, -1_000:])
    share = rmia(ratio, z)
    assert (share[ratio.argsort()].diff() >= 0).all()
    assert len(share.unique()) <= 1_001
    assert abs(area(share) - area(ratio)) <= 1 / 1_000  # half the pairs that tie, of 1 in 500


def test_the_online_ratio_weighs_both_sides_alike() -> None:
    phi, reference = torch.zeros(1), torch.tensor([[2.0], [-1.0], [0.0]])
    inside = torch.tensor([[True], [False], [False]])
    p = reference.sigmoid().numpy()[:, 0]
    expected = np.log(0.5 / ((p[0] + (p[1] + p[2]) / 2) / 2))
    assert probability_ratio_online(phi, reference, inside).item() == pytest.approx(expected)


def test_what_rmia_takes_for_a_member_without_having_seen_one() -> None:
    """With a = 1 she is scored as others are, with a = 0 as sure."""
    phi, out = torch.tensor([0.3]), torch.tensor([[0.3]])
    assert probability_ratio(phi, out, a=1).item() == pytest.approx(0)
    p = 1 / (1 + np.exp(-0.3))
    assert probability_ratio(phi, out, a=0).item() == pytest.approx(np.log(p / ((1 + p) / 2)))


# --- LiRA, BaVarIA --------------------------------------------------------------------------------


def uneven(models: int, n: int = ROWS) -> tuple[Tensor, Tensor, Tensor]:
    """One more outside score, N, and the spread: rows by a normal-inverse-gamma."""
    draw = rng(0, "uneven")
    variance = 3.0 / draw.gamma(2.5, size=n)
    mean = 1.0 + draw.normal(size=n) * np.sqrt(variance / 0.8)
    drawn = mean + draw.normal(size=(models + 1, n)) * np.sqrt(variance)
    return tuple(torch.from_numpy(one) for one in (drawn[0], drawn[1:], np.sqrt(variance)))


@pytest.mark.parametrize("models", [3, 4, 16])
def test_bavaria_says_how_likely_an_outside_score_is(models: int) -> None:
    """Pr[T <= phi] is uniform, as LiRA's is not: Kolmogorov's distance of 20,000 is 0.014 at most.

    At that distance p is 0.0008; the prior is fitted, which adds a little, and the seed is fixed.
    """
    phi, out, _ = uneven(models)
    scores = [bavaria(phi, out), lira(phi, out), lira(phi, out, spread="each")]
    own, *others = (stats.kstest(one.exp().numpy(), "uniform").statistic for one in scores)
    assert own < 0.014 < min(others)


def test_bavaria_tends_to_lira_with_many_models() -> None:
    phi, out, _ = uneven(4_000, 500)
    inside = (torch.arange(4_000) % 2 == 0)[:, None].expand(4_000, 500)
    torch.testing.assert_close(
        bavaria(phi, out).exp(), lira(phi, out, spread="each").exp(), atol=2e-3, rtol=0
    )
    had = out + 2.0 * inside
    found, limit = (
        bavaria_online(phi, had, inside),
        lira_online(phi, had, inside, spread="each"),
    )
    usual = limit.abs() < 5  # far out a Student's tail is another
    assert usual.sum() > 400
    assert (found - limit)[usual].abs().max() < 0.1
    assert stats.spearmanr(found, limit).statistic > 0.9999


def test_with_four_models_bavaria_beats_lira_where_variances_differ() -> None:
    """In pairs: 0.005 is four standard errors of a difference of areas that correlate by 0.9."""
    phi, out, spread = uneven(4)
    phi = phi + torch.from_numpy(MEMBER) * SHIFT * spread
    own = area(bavaria(phi, out))
    assert own > area(lira(phi, out)) + 0.005
    assert own > area(lira(phi, out, spread="each")) + 0.005


def test_online_lira_is_the_normal_ratio_row_by_row() -> None:
    draw = rng(0, "row by row")
    phi, reference = draw.normal(size=6), draw.normal(size=(12, 6))
    inside = draw.permuted(np.arange(12)[:, None].repeat(6, 1) < [5, 6, 7, 6, 4, 8], axis=0)
    args = [torch.from_numpy(one) for one in (phi, reference, inside)]
    parts = [[(reference[who[:, row], row]) for row in range(6)] for who in (inside, ~inside)]
    pooled = [
        sum((part.var() * len(part)) for part in side) / sum(len(part) - 1 for part in side)
        for side in parts
    ]
    for spread in ("each", "global"):
        logs = [
            [
                stats.norm.logpdf(
                    one,
                    part.mean(),
                    part.std(ddof=1) if spread == "each" else pooled[number] ** 0.5,
                )
                for one, part in zip(phi, side, strict=True)
            ]
            for number, side in enumerate(parts)
        ]
        expected = np.subtract(*logs)
        assert lira_online(*args, spread=spread).numpy() == pytest.approx(expected)


def test_bavaria_does_not_tie_far_out() -> None:
    """Also where one variance serves all, so that the Student is a normal one."""
    out = torch.from_numpy(rng(0, "far out").normal(size=(50, 400)))
    phi = torch.linspace(-30, 30, 61)[:, None].expand(61, 400)
    scores = bavaria(phi, out)
    assert scores.isfinite().all()
    assert (scores.diff(dim=0) > 0).all()
    same = bavaria(phi, out[:, :1].expand(50, 400))  # rows on which there is nothing to tell apart
    assert same.isfinite().all()


def test_a_row_that_no_model_of_a_side_had_takes_the_priors() -> None:
    phi, reference = torch.zeros(4), torch.from_numpy(rng(0, "sides").normal(size=(6, 4)))
    inside = torch.tensor([[1, 1, 1, 0]] * 3 + [[0, 0, 0, 0]] * 3) == 1
    assert bavaria_online(phi, reference, inside).isfinite().all()
    for score in (lira_online, probability_ratio_online):
        with pytest.raises(ValueError, match="of a side|of one side"):
            score(phi, reference, inside)


# --- Any number of targets, models and rows a patient ---------------------------------------------


@pytest.mark.parametrize("models", [1, 4, 16, 64])
def test_many_targets_at_once_are_as_one_by_one(models: int) -> None:
    draw = rng(models, "many targets")
    phi = torch.from_numpy(draw.normal(size=(5, 30)))
    reference = torch.from_numpy(draw.normal(size=(models, 30)))
    inside = halves(models)[:, :30]
    offline = [yeom, lambda phi: probability_ratio(phi, reference)]
    if models > 1:
        offline += [lambda phi: lira(phi, reference), lambda phi: bavaria(phi, reference)]
        offline += [
            lambda phi, score=score: score(phi, reference, inside)
            for score in (lira_online, probability_ratio_online, bavaria_online)
        ]
    for score in offline:
        found = score(phi)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, torch.stack([score(one) for one in phi]))


def test_rows_of_a_patient_are_one_question() -> None:
    ratio = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, -1.0, 1.0]])
    scores, names = of_patients(ratio, ["b", "a", "b", "c"])
    assert names.tolist() == ["a", "b", "c"]
    assert scores.tolist() == [[2.0, 4.0, 4.0], [0.0, -0.5, 1.0]]
    assert of_patients(ratio[0], ["b", "a", "b", "c"])[0].tolist() == [2.0, 4.0, 4.0]


def test_two_rows_of_a_patient_tell_more_than_one() -> None:
    """Of two independent rows the shift is sqrt(2) times as large."""
    first, second = (rows(128, 1.0, had=64, seed=seed) for seed in (0, 1))
    two, both = (torch.cat(one, dim=-1) for one in zip(first, second, strict=True))
    inside = halves(128).repeat(1, 2)
    scores, _ = of_patients(lira_online(two, both, inside), np.tile(np.arange(ROWS), 2))
    assert area(scores) == pytest.approx(stats.norm.cdf(SHIFT), abs=0.01)


ONE, FOUR = torch.zeros(1, 3), torch.zeros(4, 3)
PHI = torch.zeros(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lira(PHI, ONE), "two or more reference models"),
        (lambda: bavaria(PHI, ONE), "two or more reference models"),
        (lambda: lira_online(PHI, FOUR[:2], halves(2)[:, :3]), "two or more reference models"),
        (lambda: bavaria_online(PHI, FOUR[:2], halves(2)[:, :3]), "two or more reference models"),
        (lambda: probability_ratio_online(PHI, ONE, ONE > 0), "of one side"),
        (lambda: probability_ratio(PHI, torch.zeros(4, 2)), r"\(3,\), \(4, 2\)"),
        (lambda: lira_online(PHI, FOUR, FOUR), "bool"),
        (lambda: bavaria(PHI, torch.zeros(3)), "expected phi"),
        (lambda: probability_ratio(PHI, FOUR, a=1.2), "a from 0 to 1"),
        (lambda: rmia(PHI, torch.zeros(0)), "some z"),
        (lambda: rmia(FOUR, PHI), "same targets"),
        (lambda: rmia(PHI, PHI, gamma=0), "gamma above 0"),
        (lambda: of_patients(PHI, ["a", "b"]), "one patient a row, got 2"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
