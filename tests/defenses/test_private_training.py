"""DP-SGD: the accountant against two others, and a training that does what the proof assumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prv_accountant import PRVAccountant
from prv_accountant.privacy_random_variables import PoissonSubsampledGaussianMechanism
from torch import nn

from medpriv.data import load_images, load_records, load_reports
from medpriv.defenses import Privately, analytic_gaussian, train_privately
from medpriv.defenses.private_training import epsilon_spent, noise_for
from medpriv.models import build_target
from medpriv.runtime.device import available_devices
from medpriv.training.utility_scores import predict, utility


@pytest.mark.parametrize("noise", [0.8, 1.5, 4.0])
@pytest.mark.parametrize("steps", [1, 10])
def test_at_sampling_rate_1_it_is_the_closed_gaussian_form(noise: float, steps: int) -> None:
    # Ten steps with sqrt(10) times the noise are one step (composition of Gaussians).
    spent = epsilon_spent(noise * steps**0.5, 1.0, steps, 1e-5)
    assert analytic_gaussian(spent, 1e-5) == pytest.approx(noise, rel=0.03)
    assert analytic_gaussian(spent, 1e-5) <= noise  # an upper bound on epsilon


@pytest.mark.parametrize(("noise", "rate", "steps"), [(1.1, 0.02, 1000), (0.8, 0.1, 100)])
def test_it_is_the_reference_implementations(noise: float, rate: float, steps: int) -> None:
    mechanism = PoissonSubsampledGaussianMechanism(
        noise_multiplier=noise, sampling_probability=rate
    )
    other = PRVAccountant(
        prvs=[mechanism], max_self_compositions=[steps], eps_error=0.01, delta_error=1e-10
    )
    low, _, high = other.compute_epsilon(delta=1e-5, num_self_compositions=[steps])
    assert low <= epsilon_spent(noise, rate, steps, 1e-5) <= high + 0.01


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 3.0])
def test_the_noise_spends_what_was_asked_and_little_less(epsilon: float) -> None:
    noise = noise_for(epsilon, 1e-4, 0.1, 200)
    assert 0.97 * epsilon < epsilon_spent(noise, 0.1, 200, 1e-4) <= epsilon + 1e-6


HOW = Privately(3.0, epochs=3, batch_size=50)


@pytest.mark.parametrize("load", [load_records, load_images, load_reports])
def test_every_kind_of_target_can_be_trained(load) -> None:
    names = {load_records: "warfarin", load_images: "phantom", load_reports: "synthetic"}
    cohort = load(names[load], profile="smoke")
    trained = train_privately(cohort, Privately(8.0, epochs=1, batch_size=32), device="cpu")
    assert predict(trained.model, cohort.test.x).shape == (len(cohort.test), len(cohort.classes))
    assert type(trained.model) is type(build_target(cohort))
    assert trained.epsilon <= 8.0 + 1e-6
    assert trained.delta == pytest.approx(0.1 / len(cohort.members))
    # As the shadow of the clean one: it can be cut, copied and deployed like any other.
    assert not any("_forward" in name for name, _ in trained.model.named_parameters())


def test_no_members_gradient_leaves_with_the_model(records, tmp_path: Path) -> None:
    trained = train_privately(records, HOW, device="cpu")
    torch.save(trained.model, tmp_path / "model.pt")
    again = torch.load(tmp_path / "model.pt", weights_only=False)
    for weight in (*trained.model.parameters(), *again.parameters()):
        assert weight.grad is None
        for kept in ("grad_sample", "summed_grad"):
            assert getattr(weight, kept, None) is None
    assert not any(part._backward_hooks or part._forward_hooks for part in again.modules())


@pytest.fixture(scope="module")
def records():
    return load_records("warfarin", profile="smoke")


@pytest.mark.parametrize("device", available_devices())
def test_the_same_seed_gives_the_same_model(records, device: str) -> None:
    first, second, other = (
        predict(train_privately(records, HOW, seed=seed, device=device).model, records.test.x)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_with_little_noise_it_learns() -> None:
    cohort = load_records("warfarin")
    how = Privately(20.0, epochs=10, batch_size=128, clip=5.0)
    trained = train_privately(cohort, how, device="cpu")
    found = utility(trained.model, cohort.test)
    assert found.accuracy.low > found.majority


def test_a_step_is_no_longer_than_one_clipped_gradient(records) -> None:
    # All rows in one step, next to no noise: the mean of clipped gradients is at most as long as
    # the clipping length. Adam hides the length, so the gradients themselves are looked at.
    lengths = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build_target(records)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x) * 100  # steep, so that every gradient is clipped

    model = Watched()
    how = Privately(50.0, epochs=1, batch_size=len(records.members), clip=0.5)
    step = torch.optim.Adam.step

    def look(self, *args, **kwargs):
        squares = [p.grad.square().sum() for group in self.param_groups for p in group["params"]]
        lengths.append(float(torch.stack(squares).sum().sqrt()))
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", look)
        trained = train_privately(records, how, model=model, device="cpu")
    assert len(lengths) == trained.steps == 1
    assert 0 < lengths[0] <= 0.5 * 1.01


def test_how_many_rows_a_step_sees_is_binomial(records, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    cross_entropy = nn.functional.cross_entropy

    def watch(logits: torch.Tensor, labels: torch.Tensor, **options):
        sizes.append(len(labels))
        return cross_entropy(logits, labels, **options)

    monkeypatch.setattr("medpriv.defenses.private_training.F.cross_entropy", watch)
    n = len(records.members)
    size = round(0.6 * n)  # not a whole number of batches
    trained = train_privately(records, Privately(5.0, epochs=60, batch_size=size), device="cpu")
    rate = trained.rate
    assert rate == pytest.approx(0.6)
    assert len(sizes) == trained.steps
    assert len(set(sizes)) > 3  # not batches of one size
    error = np.sqrt(n * rate * (1 - rate) / len(sizes))
    assert np.mean(sizes) == pytest.approx(n * rate, abs=4 * error)


def test_members_do_not_set_how_records_are_standardised(records) -> None:
    trained = train_privately(records, HOW, device="cpu")
    own = build_target(records)
    assert not torch.equal(trained.model.mean, own.mean)


def test_layers_that_mix_members_are_replaced(records) -> None:
    width = records.members.x.shape[1]
    model = nn.Sequential(nn.Linear(width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    trained = train_privately(records, HOW, model=model, device="cpu")
    assert not any(isinstance(part, nn.BatchNorm1d) for part in trained.model.modules())


def with_nan(cohort):
    x = cohort.members.x.clone()
    x[0, 0] = float("nan")
    return replace(cohort, members=replace(cohort.members, x=x))


def test_bad_input(records) -> None:
    for call, message in (
        (lambda: Privately(0), "above 0"),
        (lambda: Privately(float("inf")), "finite"),
        (lambda: train_privately(with_nan(records), Privately(1)), "NaN or infinite"),
        (lambda: Privately(1, epochs=0), "one or more epochs"),
        (lambda: train_privately(records, Privately(1, delta=0.5)), "below 1 / members"),
        (lambda: train_privately(records, Privately(1, delta=0.0)), "above 0 and below"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
