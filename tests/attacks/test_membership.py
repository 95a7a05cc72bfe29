"""Membership: scores with known answers, and attacks on a model that learned its rows by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from medpriv.attacks.membership import (
    bavaria_attack,
    best_threshold,
    lira,
    lira_attack,
    loss_attack,
    losses,
    middle_threshold,
    rmia_attack,
    shadow_attack,
    train_shadows,
    true_margin,
)
from medpriv.data import load_records
from medpriv.deployment import ThreatModelError, deploy
from medpriv.metrics import advantage, rate_at
from medpriv.runtime.seeds import rng, seeded, torch_rng
from medpriv.training.loop import Recipe, fit
from medpriv.training.utility_scores import predict


@given(st.integers(0, 1000), st.integers(2, 6))
def test_the_margin_is_that_of_the_logits(seed: int, classes: int) -> None:
    logits = torch.randn(8, classes, generator=torch_rng(seed, "logits"), dtype=torch.float64) * 3
    y = torch.arange(8) % classes
    own = logits.gather(1, y[:, None])[:, 0]
    rest = logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
    torch.testing.assert_close(true_margin(logits.softmax(1), y), own - rest)
    torch.testing.assert_close(
        losses(logits.softmax(1), y), nn.functional.cross_entropy(logits, y, reduction="none")
    )


def test_the_margin_stays_exact_and_finite_where_scores_round_to_one() -> None:
    scores = torch.tensor([[20.0, -20.0], [200.0, -200.0]]).softmax(1)
    y = torch.tensor([0, 0])
    assert true_margin(scores, y)[0].item() == pytest.approx(40, abs=1e-3)
    assert true_margin(scores, y).isfinite().all()
    assert true_margin(scores, 1 - y).isfinite().all()
    assert losses(scores, y)[0].item() == pytest.approx(np.exp(-40), rel=1e-3)
    assert losses(scores, y)[1] >= 0


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_no_cut_calls_more_nearly_half_of_the_others_members(scores: list[int]) -> None:
    others = np.array(scores) / 7
    called = (others > middle_threshold(others)).mean()
    cuts = [(others > cut).mean() for cut in (-np.inf, *others)]
    assert abs(called - 0.5) == pytest.approx(min(abs(share - 0.5) for share in cuts))


def test_where_nothing_ties_the_middle_is_the_median() -> None:
    for rows in (9, 10):
        others = rng(0, "others").normal(size=rows)
        assert middle_threshold(others) == torch.from_numpy(others).median()
    for wrong in ([], [0.1, float("nan")]):
        with pytest.raises(ValueError, match="a score of each of some others"):
            middle_threshold(np.array(wrong))


def test_lira_on_normal_scores_has_its_closed_form() -> None:
    # Members' phi is 1.5 standard deviations higher. Each victim's own mean is far more spread than
    # that, so that only a score which knows the victim's mean tells anything.
    n, shift, draw = 20_000, 1.5, rng(0, "lira")
    means = draw.normal(size=n) * 10
    member = np.arange(n) < n // 2
    phi = means + draw.normal(size=n) + shift * member
    out = torch.from_numpy(means + draw.normal(size=(400, n)))
    patients = np.arange(n).astype(str)
    for spread in ("global", "each"):
        scores = lira(torch.from_numpy(phi), out, spread=spread).numpy()
        for false in (0.01, 0.05):
            exact = stats.norm.cdf(stats.norm.ppf(false) + shift)
            found = rate_at(scores, member, patients, false=false, draws=20)
            # Two sources of error: a threshold set by 10,000 rows, and 400 models for a mean.
            assert found.value == pytest.approx(exact, abs=0.02)
    naive = rate_at(phi, member, patients, false=0.05, draws=20)
    assert naive.value < 0.1


def test_lira_is_one_sided_and_does_not_tie_far_out() -> None:
    out = torch.from_numpy(rng(0, "out").normal(size=(50, 4)))
    scores = lira(torch.tensor([-20.0, 0.0, 20.0, 30.0]), out)
    assert (scores.diff() > 0).all()
    assert scores[0] < -50


def test_the_threshold_of_largest_advantage() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    assert best_threshold(scores, np.array([True, True, False, True, False])) == 3.5
    assert best_threshold(scores, np.array([False, False, False, True, True])) == -np.inf
    tied = np.array([2.0, 2.0, 2.0, 1.0])
    assert best_threshold(tied, np.array([True, False, True, False])) == 1.5
    with pytest.raises(ValueError, match="one of them is missing"):
        best_threshold(scores, np.ones(5, dtype=bool))


# --- On models ------------------------------------------------------------------------------------


def learned_by_heart(x: Tensor, y: Tensor, seed: int) -> nn.Module:
    with seeded(seed, "by heart"):
        model = nn.Sequential(nn.Linear(x.shape[1], 200), nn.ReLU(), nn.Linear(200, 3))
    recipe = Recipe(epochs=60, batch_size=32, learning_rate=3e-3, exact=True)
    fit(model, x, y, loss=nn.functional.cross_entropy, recipe=recipe, seed=seed, device="cpu")
    return model


class Standard(nn.Module):
    """Columns with mean 0 and spread 1."""

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread


@pytest.fixture(scope="module")
def setting():
    """A target trained on 150 of 300 victims, and shadow models on the attacker's records."""
    cohort = load_records("warfarin")
    own = cohort.auxiliary.x
    standard = Standard(own.mean(0), own.std(0).clamp(min=1e-6))

    def train(part, number: int):
        model = learned_by_heart(standard(part.x), part.y, number)
        return lambda x: predict(model, standard(x)).softmax(1)

    inside, outside = cohort.members.take(slice(150)), cohort.victims.take(slice(150))
    target = learned_by_heart(standard(inside.x), inside.y, 99)
    served = nn.Sequential(standard, target)
    x, y = torch.cat([inside.x, outside.x]), torch.cat([inside.y, outside.y])
    patient = np.concatenate([inside.patient, outside.patient])
    shadows = train_shadows(cohort.auxiliary.take(slice(300)), x, train, models=6, seed=0)
    return served, x, y, patient, np.arange(300) < 150, shadows


def test_a_model_that_learned_by_heart_gives_its_members_away(setting) -> None:
    served, x, y, patient, member, shadows = setting
    view = deploy(served, expose="scores")
    known, labels, inside = shadows.rows()
    threshold = best_threshold((-losses(known, labels)).numpy(), inside.numpy())
    guess = loss_attack(view, x, y).numpy() > threshold
    # 150 against 150: the standard error of an advantage is at most 0.06.
    assert advantage(guess, member, patient).low > 0.1
    for attack in (shadow_attack, lira_attack, rmia_attack, bavaria_attack):
        order = attack(view, x, y, shadows).argsort(descending=True)[:150].numpy()
        assert member[order].mean() > 0.6
    assert view.queries == 1_500


def test_shadow_models_see_half_of_the_patients_and_no_victim(setting) -> None:
    shadows = setting[-1]
    assert shadows.inside.double().mean(1).tolist() == pytest.approx([0.5] * 6, abs=0.01)
    assert shadows.own.shape[:2] == shadows.inside.shape
    assert shadows.victims.shape == (6, 300, 3)
    assert len({tuple(row.tolist()) for row in shadows.inside}) == 6


def test_patients_with_several_rows_are_inside_with_all() -> None:
    cohort = load_records("warfarin", profile="smoke")
    part = cohort.auxiliary.take(np.repeat(np.arange(20), 3))
    seen = []

    def train(inside, number: int):
        seen.append(set(inside.patient))
        return lambda x: torch.full((len(x), 3), 1 / 3)

    shadows = train_shadows(part, part.x[:4], train, models=3)
    for names, row in zip(seen, shadows.inside.numpy(), strict=True):
        assert set(part.patient[row]) == names
        assert not names & set(part.patient[~row])


def test_what_a_view_must_give(setting) -> None:
    served, x, y, _, _, shadows = setting
    view = deploy(served, expose="label")
    for attack in (
        lambda: loss_attack(view, x, y),
        lambda: shadow_attack(view, x, y, shadows),
        lambda: lira_attack(view, x, y, shadows),
        lambda: rmia_attack(view, x, y, shadows),
        lambda: bavaria_attack(view, x, y, shadows),
    ):
        with pytest.raises(ThreatModelError, match="needs scores"):
            attack()


def test_bad_input(setting) -> None:
    *_, shadows = setting
    part = load_records("warfarin", profile="smoke").auxiliary.take(slice(10))
    for call, message in (
        (lambda: true_margin(torch.rand(4, 1), torch.zeros(4).long()), "2 or more classes"),
        (lambda: lira(torch.zeros(3), torch.zeros(5, 4)), "expected phi"),
        (lambda: lira(torch.zeros(3), torch.zeros(1, 3)), "two or more reference models"),
        (
            lambda: lira(torch.zeros(3), torch.zeros(5, 3), spread="none"),
            "of: global, each",
        ),
        (lambda: train_shadows(part, part.x, lambda *_: None, models=0), "one or more models"),
        (lambda: train_shadows(part, part.x, lambda *_: None, share=1.0), "patients on both sides"),
        (
            lambda: shadow_attack(
                deploy(nn.Linear(2, 2), expose="scores"),
                torch.rand(3, 2),
                torch.zeros(3).long(),
                shadows,
            ),
            "scores 2 classes, the shadow models 3",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
