"""What is learned of answers before those about a victim are read."""

from __future__ import annotations

import pytest
import torch

from medpriv.data import load_records
from medpriv.defenses import noised, randomised_response, response_matrix
from medpriv.deployment import deploy
from medpriv.evaluation import compare, named_attack, named_defense
from medpriv.evaluation.attack_catalog.answers import asked_twice, tolerance
from medpriv.models import build_target
from medpriv.runtime.seeds import torch_rng


def test_two_coins_fall_between_two_answers() -> None:
    cohort = load_records("warfarin", profile="smoke")
    model, x = build_target(cohort), cohort.test.x
    x = x.repeat(20_000 // len(x) + 1, 1)
    coin = deploy(model, expose="label", defenses=[randomised_response(0.3, 3, seed=1)])
    said = deploy(model, expose="label")(x)
    # Both answers come from one label of the model's own; of each second answer, the first follows
    # from which label that may have been.
    shares = torch.bincount(said, minlength=3).double() / len(said)
    once = response_matrix(0.3, 3).double()
    both = once.T @ torch.diag(shares) @ once
    exact = both / both.sum(0, keepdim=True)
    # Of 20,000 rows each class is answered to some 3,000 at least: five standard errors are 0.05.
    torch.testing.assert_close(asked_twice(coin, x, 3).double(), exact, atol=0.05, rtol=0)
    plain = asked_twice(deploy(model, expose="label"), x, 3)
    seen = shares > 0
    exact = torch.eye(3).double()[:, seen]
    torch.testing.assert_close(plain.double()[:, seen], exact, atol=0.01, rtol=0)


def test_one_who_knows_of_the_coin_gains_by_it() -> None:
    """What is counted enters the posterior the right way round."""
    letter = named_attack("records", "MAP, one answer")
    coin = named_defense("records", "randomised response, fresh", 0.2)
    table = compare([letter], [coin], range(3), dataset="warfarin")
    # Seen are 0.050, 0.026 and 0.020; the wrong way round -0.010, -0.039 and -0.037. The spread of
    # seeds is 0.016, so the mean of three is 0.032 with a standard error of 0.009.
    assert (table["adaptive"] - table["naive"]).mean() > 0


def test_scores_that_repeat_leave_rounding_only_and_noise_is_measured() -> None:
    cohort = load_records("warfarin", profile="smoke")
    model, x = build_target(cohort), cohort.test.x.repeat(20, 1)
    assert tolerance(deploy(model, expose="scores"), x) == 1e-4
    hazy = deploy(model, expose="scores", defenses=[noised(0.1, relative=False, seed=1)])
    draw = torch.randn(200_000, 3, generator=torch_rng(1, "differences")) * 0.1 * 2**0.5
    exact = float(draw.abs().amax(1).sort().values[190_000])
    assert tolerance(hazy, x) == pytest.approx(exact, rel=0.1)
