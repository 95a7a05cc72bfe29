"""What is proved beside what is measured: no recorded cell is above its ceiling."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from experiments import ch14
from experiments.ch14_trained import best_squashed
from experiments.known_training import RATE, STEPS, trained
from medpriv.course import recorded
from medpriv.runtime.seeds import rng

SAMPLED = pytest.mark.sampled(3, group="recorded tables")
SETTING = ["dataset", "defense", "strength", "answers", "candidates", "attack", "seed"]


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return recorded("14-cells")


def test_no_cell_is_above_its_ceiling(cells: pd.DataFrame) -> None:
    """A sound bound fails it with a chance of 1 % for all 1,000 cells together."""
    assert len(cells) >= 1000
    assert cells.notna().all(axis=None)
    assert (cells.lower <= cells.ceiling).all()
    assert ((cells.ceiling > 0) & (cells.ceiling <= 1)).all()
    assert cells.success.to_list() == pytest.approx((cells.right / cells.n).to_list(), rel=1e-5)
    # Each defense is met by somebody whose likelihood is the largest there is.
    best = cells[cells.attack == ch14.BEST]
    assert set(best.defense) == set(cells.defense) == set(ch14.CELLS)


def test_lower_ends_are_those_of_scipy(cells: pd.DataFrame) -> None:
    for row in cells.iloc[::37].itertuples():
        test = binomtest(row.right, row.n, alternative="greater")
        low = test.proportion_ci(1 - ch14.LEVEL, method="exact").low
        assert row.lower == pytest.approx(low, rel=1e-4)


def test_where_a_bound_is_tight_the_best_attacker_is_near(cells: pd.DataFrame) -> None:
    tight = cells[cells.tight]
    assert set(tight.defense) == {"coin", "ball"}
    assert (tight.attack == ch14.BEST).all()
    assert (tight.success > 0.9 * tight.ceiling).all()
    coin = tight[tight.defense == "coin"]
    assert (coin.answers == 1).all()
    assert coin.ceiling.to_list() == pytest.approx((1 - coin.strength).to_list())
    ball = tight[tight.defense == "ball"]
    by_hand = norm.cdf(ball.strength * np.sqrt(ball.answers))
    assert ball.ceiling.to_list() == pytest.approx(by_hand.tolist(), rel=1e-5)


def test_nobody_does_better_than_the_largest_likelihood(cells: pd.DataFrame) -> None:
    """Both on the same answers, or on trainings of the same kind: means over all of a defense."""
    place = [name for name in SETTING if name != "attack"]
    best = cells[cells.attack == ch14.BEST].set_index(place).success
    others = cells[~cells.attack.isin([ch14.BEST, "attribute", "membership"])]
    others = others.set_index(place).success
    ahead = (best.reindex(others.index) - others).groupby(level="defense").mean()
    assert len(ahead) == len(ch14.CELLS)
    assert (ahead > 0).all()


def test_ceilings_rise_with_answers_and_strength(cells: pd.DataFrame) -> None:
    # Those of noise alone are estimates.
    exact = cells[cells.defense != "noise"]
    for changing in ("answers", "strength"):
        fixed = [name for name in SETTING if name != changing]
        for (_, defense, *_), group in exact.groupby(fixed):
            steps = np.diff(group.sort_values(changing).ceiling)
            # More flips and more noise in training tell less.
            falls = changing == "strength" and defense in ("coin", "DP-SGD")
            assert ((-steps if falls else steps) >= -1e-9).all()


@SAMPLED
@pytest.mark.slow
def test_a_sample_computed_again_agrees(cells: pd.DataFrame) -> None:
    some = cells[cells.seed == 0].iloc[::10]
    assert len(some) >= 0.02 * len(cells) - 1
    for then in some.to_dict("records"):
        again = ch14.cell(**{name: then[name] for name in SETTING})
        assert again["lower"] <= again["ceiling"], then
        # Another rounding trains another target, with other codes; draws are the same.
        assert again["success"] == pytest.approx(then["success"], abs=0.05), then
        assert again["ceiling"] == pytest.approx(then["ceiling"], abs=0.05), then


# --- What the cells are made of -------------------------------------------------------------------


def rows(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    x = np.hstack([draws.standard_normal((number, 4)), np.ones((number, 1))])
    return x, np.arange(number) % 3


@pytest.mark.parametrize("products", [False, True])
def test_without_noise_a_row_is_known_if_it_was_ever_drawn(products: bool) -> None:
    own = rows(2, 1)
    scores, who = trained(*rows(30, 0), *own, 1e-3, rng(0), products=products)
    right = (scores.argmax(1) == who).mean()
    # Never drawn in (1 - r)^T of trainings, and then guessed. Four standard errors. A sum of
    # products favours the row with the longer gradient, which these two hardly have.
    by_hand = 1 - (1 - RATE) ** STEPS / 2
    assert right == pytest.approx(by_hand, abs=4 * math.sqrt(by_hand * (1 - by_hand) / 1000) + 0.01)


def test_with_much_noise_nothing_is_known() -> None:
    scores, who = trained(*rows(30, 0), *rows(5, 1), 1e3, rng(0))
    assert (scores.argmax(1) == who).mean() == pytest.approx(0.2, abs=0.06)
    scores, who = trained(*rows(30, 0), *rows(1, 1), 1e3, rng(0), absent=True)
    assert scores.shape == (1000, 2)
    assert (scores.argmax(1) == who).mean() == pytest.approx(0.5, abs=0.07)


def test_without_noise_squashing_costs_nothing() -> None:
    draws = np.random.default_rng(0)
    case = np.arange(200) % 2 == 1
    score = draws.standard_normal(200) + case
    plain = roc_auc_score(case, score)
    found = [best_squashed(score, case, ratio) for ratio in (0.01, 1, 3, 1e6)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.5, abs=0.01)
    assert found[-1] == pytest.approx(plain, abs=1e-3)
