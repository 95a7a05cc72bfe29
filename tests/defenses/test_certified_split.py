"""The ball, its noise, and a network trained behind both."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import Tensor

from experiments.ch14_trained import best_squashed
from medpriv.bounds.ball import auc_ceiling, gallery_ceiling
from medpriv.data import load_images, load_records
from medpriv.defenses.ball import Ball, in_ball, put_ball
from medpriv.defenses.certified_split import train_certified
from medpriv.deployment import deploy
from medpriv.models import build_target, front
from medpriv.runtime.seeds import torch_rng
from medpriv.training import train_target
from medpriv.training.loop import Recipe
from medpriv.training.utility_scores import predict


def identity(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize("ugly", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_is_answered_as_the_centre_is(ugly: float) -> None:
    rows = torch.tensor([[1.0, ugly], [1.0, 2.0]])
    served = in_ball(1.0, 0.0, centre=torch.tensor([3.0, 4.0])).apply(identity)(rows)
    assert served[0].tolist() == [3.0, 4.0]
    assert (served[1] - torch.tensor([3.0, 4.0])).norm() == pytest.approx(1)
    with pytest.raises(ValueError, match="the centre is not finite"):
        in_ball(1.0, 1.0, centre=rows[0])


def test_a_ball_is_the_same_whatever_was_drawn_before() -> None:
    draws = torch_rng(0, "features")
    features, labels = torch.randn(60, 20, generator=draws), torch.arange(60) % 2
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(Ball(features, labels, 4))
    assert torch.equal(made[0].basis, made[1].basis)
    assert torch.equal(made[0].read.weight, made[1].read.weight)


def test_a_row_is_clipped_about_the_centre_and_noise_comes_after() -> None:
    centre = torch.tensor([10.0, 0.0])
    x = torch.tensor([[10.0, 0.3], [10.0, 30.0], [-500.0, 0.0]])
    assert in_ball(2.0, 0.0, centre=centre).apply(identity)(x).tolist() == [
        pytest.approx([10, 0.3]), pytest.approx([10, 2]), pytest.approx([8, 0]),
    ]  # fmt: skip
    far = torch.full((20_000, 2), 1e6)
    served = in_ball(2.0, 0.5, centre=centre, seed=1).apply(identity)(far) - centre
    assert served.mean(0).tolist() == pytest.approx([2**0.5, 2**0.5], abs=0.02)
    assert served.std(0).tolist() == pytest.approx([0.5, 0.5], rel=0.03)
    assert in_ball(0.0, 0.0).apply(identity)(x).tolist() == [[0, 0]] * 3


def test_of_a_row_only_its_code_is_told() -> None:
    basis = torch.linalg.qr(torch.randn(12, 3, generator=torch_rng(0, "basis"))).Q
    x = torch.randn(500, 3, 2, 2, generator=torch_rng(0, "rows"))
    served = in_ball(1.0, 0.2, basis=basis).apply(identity)(x)
    assert served.shape == x.shape
    rows = served.flatten(1)
    assert torch.allclose(rows @ basis @ basis.T, rows, atol=1e-5)
    code = x.flatten(1) @ basis
    clipped = code / code.norm(dim=1, keepdim=True).clamp(min=1)
    assert float((rows @ basis - clipped).std()) == pytest.approx(0.2, rel=0.1)
    with pytest.raises(ValueError, match="orthonormal"):
        in_ball(1.0, 0.2, basis=2 * basis)


def test_noise_is_drawn_anew_and_a_seed_repeats_it() -> None:
    x = torch.zeros(4, 5)
    served = in_ball(1.0, 1.0, seed=3).apply(identity)
    first, second = served(x), served(x)
    assert not torch.equal(first, second)
    assert torch.equal(in_ball(1.0, 1.0, seed=3).apply(identity)(x), first)
    with pytest.raises(ValueError, match="0 or more"):
        in_ball(-1.0, 1.0)
    with pytest.raises(ValueError, match="another expose"):
        in_ball(1.0, 1.0).apply(identity)(torch.zeros(3).long())


@pytest.mark.parametrize("numbers", [1, 5])
def test_features_behind_a_ball_are_in_it(numbers: int) -> None:
    cohort = load_images("phantom", profile="smoke", size=32)
    net = build_target(cohort)
    before = predict(front(net, "conv4"), cohort.test.x)
    ball = put_ball(net, "conv4", cohort.members.x, cohort.members.y, numbers)
    features = predict(front(net, "conv4"), 5 * cohort.test.x)
    assert features.shape == before.shape
    code = (features.flatten(1) - ball.centre) @ ball.basis
    assert code.shape[1] == numbers
    assert float(code.norm(dim=1).max()) <= ball.radius * (1 + 1e-4)
    assert torch.allclose(code @ ball.basis.T + ball.centre, features.flatten(1), atol=1e-3)
    with pytest.raises(ValueError, match="unknown split"):
        put_ball(net, "conv9", cohort.members.x, cohort.members.y, 1)


@pytest.fixture(scope="module")
def records():
    return load_records("cardio", profile="smoke")


@pytest.mark.usefixtures("fresh_cache")
def test_it_can_be_cut_deployed_and_repeated(records) -> None:
    how = {"recipe": Recipe(2, 128, exact=True), "profile": "smoke", "device": "cpu"}
    found = train_certified(records, "hidden1", 2.0, **how)
    again = train_certified(records, "hidden1", 2.0, **how)
    assert torch.equal(predict(found.model, records.test.x), predict(again.model, records.test.x))
    assert found.radius / found.sigma == pytest.approx(2.0)
    assert found.basis.shape == (100, 1)
    view = deploy(found.model, expose="back", split="hidden1", defenses=[found.defense(seed=1)])
    first, second = view(records.test.x), view(records.test.x)
    assert not torch.equal(first, second)
    code = (first - found.centre) @ found.basis
    plain = (predict(front(found.model, "hidden1"), records.test.x) - found.centre) @ found.basis
    assert float((code - plain).std()) == pytest.approx(found.sigma, rel=0.15)
    assert float(plain.abs().max()) <= found.radius
    assert predict(view.back(), first).shape == (len(records.test), 2)


@pytest.mark.usefixtures("fresh_cache")
def test_its_card_says_what_is_proved(records) -> None:
    found = train_certified(
        records, "hidden1", 1.0, recipe=Recipe(1, exact=True), profile="smoke", device="cpu"
    )
    card = found.card(100, budget=4)[""]
    assert card["Anybody, from one answer"] == "9.2% at most"
    most = f"{gallery_ceiling(100, 1, 1, 4):.1%} at most"
    assert card["Anybody, from 4 answers"].startswith(most)
    assert card["AUC of any client, one answer"] == "0.921 at most"
    assert card["C / σ"] == "1"
    with pytest.raises(ValueError, match="above 0"):
        train_certified(records, "hidden1", 0.0)
    with pytest.raises(ValueError, match="numbers"):
        train_certified(records, "hidden1", 1.0, numbers=0, model=copy.deepcopy(found.model))


def expected_auc(score: np.ndarray, case: np.ndarray) -> float:
    """The AUC of a score with N(0, 1) added: the mean over pairs of Φ(difference / √2)."""
    return float(ndtr((score[case][:, None] - score[~case][None]) / 2**0.5).mean())


def test_it_is_nearly_as_good_as_the_undefended_score_squashed() -> None:
    cohort = load_records("cardio")
    plain = train_target(cohort, device="cpu")
    test = cohort.test.take(slice(1000))
    case = test.y.numpy() == 1
    logits = predict(plain, test.x)
    score = (logits[:, 1] - logits[:, 0]).double().numpy()
    for ratio in (1.0, 1.5, 2.0):
        found = train_certified(
            cohort, "hidden2", ratio, model=plain, recipe=Recipe(3, 128, exact=True), device="cpu"
        )
        code = (predict(front(found.model, "hidden2"), test.x) - found.centre) @ found.basis
        ours = expected_auc(code[:, 0].double().numpy() / found.sigma, case)
        ours = max(ours, 1 - ours)  # the code's sign is the network's affair
        squashed = best_squashed(score, case, ratio)
        assert squashed - 0.03 <= ours <= auc_ceiling(ratio, 1), (ratio, squashed, ours)
        # And the network behind reads one draw of it: three standard errors of 0.016.
        view = deploy(found.model, expose="back", split="hidden2", defenses=[found.defense()])
        told = predict(view.back(), view(test.x))
        told = (told[:, 1] - told[:, 0]).numpy()
        heard = (told[case][:, None] > told[~case][None]).mean()
        assert heard >= ours - 0.05
